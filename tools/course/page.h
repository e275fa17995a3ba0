/*
 * page.h - the steps of a document that runs. The format is described in
 * .github/CONTRIBUTING.md, section 7.
 *
 *     struct page page;
 *     const char *problem = page_read(path, &page);
 *     if (problem)
 *         errx(1, "%s", problem);
 *     for (size_t i = 0; i < page.count; i++)
 *         …page.steps[i]…
 */
#ifndef PAGE_H
#define PAGE_H

#include "text.h"

struct step {
    int line;                 /* in the page */
    const char *file;         /* the file to write, or NULL: a command */
    const char *text;         /* the file's content, or what is typed */
    struct lines output;      /* what the command prints, as the page says */
    bool any_numbers;         /* numbers and the width of blanks do not count */
    const char *const *needs; /* NULL-ended: "strace", "ptrace", … */
};

struct page {
    struct step *steps;
    size_t count;
};

/* Returns NULL, or what is wrong as "LINE: …". */
const char *page_read(const char *path, struct page *page);

/* The first line of what is typed, to name the step by. */
const char *step_name(const struct step *step);

#endif
