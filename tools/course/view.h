/*
 * view.h - what `course watch` shows: the lab, its tests, the first failure.
 */
#ifndef VIEW_H
#define VIEW_H

#include "course.h"

struct view {
    const struct lab *lab;
    const char *said; /* by make test, so far */
    bool running;
    const char *note;     /* an answer to a key; NULL: none */
    bool note_alone;      /* instead of the tests */
    const char *question; /* to be answered y or n; NULL: none */
};

/* Draws it over the one before. */
void view_draw(const struct view *view);

#endif
