/*
 * match.h - compare what a command printed with what a page says it prints.
 *
 * "..." inside a line stands for anything in it, a line that is only "..."
 * for any lines, or none. Blanks at the end of a line do not count.
 */
#ifndef MATCH_H
#define MATCH_H

#include "text.h"

struct difference {
    size_t expected; /* index of the first line that differs; the count of */
    size_t actual;   /* lines where one side is over */
};

/* With any_numbers every number may be another one, and blanks may be wider or
 * narrower. On false, *difference says where. */
bool match_lines(struct lines expected, struct lines actual, bool any_numbers,
                 struct difference *difference);

#endif
