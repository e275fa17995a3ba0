/*
 * search.h - what makes the filter as fast as grep(1).
 *
 *     struct search search = search_begin(pattern, text, end);
 *     const char *match = search_find(&search, text, end);
 *
 * memmem(3) and a loop around memchr(3) are right, too, and take more time.
 */
#ifndef SEARCH_H
#define SEARCH_H

#include <stddef.h>

struct search {
    const char *pattern;
    size_t len;
    size_t rare; /* where in the pattern its rarest byte stands */
};

/* Prepares a search of the text from start to end. The pattern stays the
 * caller's. */
struct search search_begin(const char *pattern, const char *start,
                           const char *end);

/* The first place from start on where the pattern stands, or NULL. An empty
 * pattern stands at start. */
const char *search_find(const struct search *search, const char *start,
                        const char *end);

long count_newlines(const char *start, const char *end);

#endif
