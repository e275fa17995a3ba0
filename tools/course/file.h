/*
 * file.h - whole files and whole folders.
 *
 *     size_t len;
 *     char *bytes = file_read("hints.md", &len);
 *     if (!bytes)
 *         warn("hints.md");
 *
 * Functions return -1 or NULL and set errno. Symbolic links are copied and
 * removed as links, never followed.
 */
#ifndef FILE_H
#define FILE_H

#include "text.h"
#include <stdbool.h>
#include <stddef.h>

/* The whole file, with a NUL behind it; *len (may be NULL) without that NUL. */
char *file_read(const char *path, size_t *len);
/* The same of what is open already, a pipe for example. */
char *read_to_end(int fd, size_t *len);

/* Creates or replaces the file. Readers see the old or the new one, whole. */
int file_write(const char *path, const void *bytes, size_t len);

/* Its lines; none when it cannot be read. */
struct lines file_lines(const char *path);

bool file_exists(const char *path);
bool is_folder(const char *path);

struct names {
    char **name;
    size_t count;
};

/* What is in the folder, sorted, without . and ..; nothing when the folder
 * cannot be read. */
struct names folder_names(const char *path);

/* Creates the folder and those above it. An existing one is no error. */
int folder_create(const char *path);

/* Copies a file or a folder with all that is in it. Entries with one of the
 * names in except (NULL-ended, may be NULL) are left out at every depth. */
int tree_copy(const char *from, const char *to, const char *const except[]);
/* A path that does not exist is no error. */
int tree_remove(const char *path);
/* Same names, same bytes. False, too, when one cannot be read. */
bool tree_equal(const char *one, const char *other);

#endif
