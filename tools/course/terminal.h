/*
 * terminal.h - the learner's terminal while `course watch` has it.
 *
 * Keys come one by one and are not shown; Ctrl-C and Ctrl-Z stay what they
 * are. Whatever ends the command, exit(3) or a crash, sets the terminal right.
 */
#ifndef TERMINAL_H
#define TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

/* Takes the terminal, if standard input is one and we are in its foreground.
 * May be called again at any time. Returns whether keys can be read. */
bool terminal_take(void);
/* Sets it as it was. */
void terminal_give_back(void);

struct terminal_size {
    int rows, columns;
};

struct terminal_size terminal_size(void);

/* Columns of the line on a screen; escape sequences take none. */
int terminal_width(const char *line);

#endif
