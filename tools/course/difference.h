/*
 * difference.h - how a lab's src/ differs from its solution/.
 */
#ifndef DIFFERENCE_H
#define DIFFERENCE_H

#include "course.h"

/* What diff(1) says, "" when they are the same. Ends the command with a message
 * when it cannot be run. */
char *difference_read(const struct lab *lab);
/* The same in pieces: each a place, below the names of its two files. */
struct names difference_hunks(char *difference);
/* Prints it, coloured. */
void difference_print(char *difference);

#endif
