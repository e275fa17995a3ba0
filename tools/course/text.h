/*
 * text.h - strings and arrays that live until the command ends.
 *
 *     const char *path = text("%s/%s", folder, name);
 *     lines = grow(lines, count, sizeof *lines);
 *     lines[count++] = path;
 *
 * A command of the course is over in a moment, so nothing is freed: whoever
 * holds a string may pass it on without asking who owns it. One that goes on
 * for long frees all that came since a mark. Running out of memory ends the
 * command.
 */
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Takes over memory from malloc, asprintf, open_memstream and the like. Ends
 * the command when it is NULL. */
void *keep(void *memory);

/* Frees what was kept since then. */
void *text_mark(void);
void text_release(void *mark);

/* printf into memory. */
char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The first len bytes, with a NUL behind them. */
char *text_copy(const char *bytes, size_t len);

/* The string as one word of the shell. */
char *text_quoted(const char *string);

/* Makes room for one more element behind the count that are there. Start with
 * NULL and 0 and add one at a time. */
void *grow(void *array, size_t count, size_t element_size);

struct lines {
    char **line; /* without newlines */
    size_t count;
};

/* Cuts the text at its newlines, in place. */
struct lines text_lines(char *all);

/* Prints a paragraph of Markdown in lines of at most 78 columns, without the
 * asterisks of what is bold; all lines but the first are indented. */
void print_wrapped(const char *paragraph, int indent);

bool starts_with(const char *string, const char *prefix);
bool ends_with(const char *string, const char *suffix);
/* The string without blanks and newlines at its end, cut in place. */
char *trim_end(char *string);
/* The last part of a path. */
const char *base_name(const char *path);
/* The path without its last part. */
const char *parent_of(const char *path);

#endif
