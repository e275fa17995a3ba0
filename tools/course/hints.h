/*
 * hints.h - a lab's hints.md: for each test a section "## test_NN_name" with
 * a numbered list of hints, from a question to nearly the answer.
 */
#ifndef HINTS_H
#define HINTS_H

#include "course.h"

enum { HINT_LEVELS = 3 };

struct hints {
    const char *test;
    int line;            /* of the section's heading */
    const char **levels; /* their text, with the newlines of the file */
    size_t level_count;
};

struct hint_list {
    struct hints *hints;
    size_t count;
};

/* Reads the lab's hints.md; nothing when there is none. */
struct hint_list hints_read(const struct lab *lab);
/* The hints for this test, or NULL. */
const struct hints *hints_find(const struct hint_list *list, const char *test);

#endif
