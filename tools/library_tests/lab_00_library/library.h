/*
 * library.h - small things to make fail.
 */
#ifndef LIBRARY_H
#define LIBRARY_H

#include <stddef.h>
#include <sys/types.h>

/* Reads until len bytes have come or the end; -1 and errno as read(2). */
ssize_t library_read_all(int fd, void *buf, size_t len);
/* A copy of the string that the caller frees, or NULL. */
char *library_copy(const char *string);
/* Starts that many threads and joins them; an errno, or 0. */
int library_threads(int count);
/* open(2) for reading. */
int library_open(const char *path);

#endif
