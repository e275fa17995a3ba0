/*
 * mistakes.h - wrong solutions, told as edits of the reference solution. The
 * format is described in .github/CONTRIBUTING.md, section 5.
 *
 *     struct mistake mistake;
 *     const char *problem = mistake_read(path, &mistake);
 *     if (problem)
 *         errx(1, "%s", problem);
 */
#ifndef MISTAKES_H
#define MISTAKES_H

#include <stddef.h>

/* One block: these whole lines of a file become those. */
struct edit {
    const char *file; /* in solution/ */
    int line;         /* of the block's <<< */
    const char *search, *replace;
};

struct mistake {
    const char *path;
    const char *fails; /* the test that must catch it */
    const char *why;
    const char *mode; /* plain, asan, tsan; "default" when it names none */
    struct edit *edits;
    size_t edit_count;
};

/* Returns NULL, or what is wrong as "PATH:LINE: …". */
const char *mistake_read(const char *path, struct mistake *mistake);

#endif
