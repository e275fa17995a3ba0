#include "file.h"

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

char *read_to_end(int fd, size_t *len)
{
    char *all = NULL, buffer[16384];
    size_t all_len;
    ssize_t got;
    int error = 0;
    FILE *memory = open_memstream(&all, &all_len);
    if (!memory)
        errx(1, "out of memory");
    while ((got = read(fd, buffer, sizeof buffer)) != 0 && !error) {
        if (got > 0)
            fwrite(buffer, 1, (size_t)got, memory);
        else if (errno != EINTR)
            error = errno;
    }
    if (fclose(memory) == EOF)
        errx(1, "out of memory");
    keep(all);
    if (len)
        *len = all_len;
    errno = error;
    return error ? NULL : all;
}

char *file_read(const char *path, size_t *len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    char *all = read_to_end(fd, len);
    int error = errno;
    close(fd);
    errno = error;
    return all;
}

struct lines file_lines(const char *path)
{
    char *all = file_read(path, NULL);
    return all ? text_lines(all) : (struct lines){0};
}

static int write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t written = write(fd, bytes, len);
        if (written < 0 && errno != EINTR)
            return -1;
        if (written > 0) {
            bytes += written;
            len -= (size_t)written;
        }
    }
    return 0;
}

static int write_new(const char *path, const void *bytes, size_t len,
                     mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0)
        return -1;
    int result = write_all(fd, bytes, len);
    int error = errno;
    if (close(fd) < 0 && result == 0)
        return -1;
    errno = error;
    return result;
}

int file_write(const char *path, const void *bytes, size_t len)
{
    /* A machine that shares the folder may have a process of this number. */
    struct utsname here;
    uname(&here);
    char *temporary =
        text("%s.%s.%ld.tmp", path, here.nodename, (long)getpid());
    if (write_new(temporary, bytes, len, 0666) < 0 ||
        rename(temporary, path) < 0) {
        int error = errno;
        unlink(temporary);
        errno = error;
        return -1;
    }
    return 0;
}

bool file_exists(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

bool is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static int compare_names(const void *one, const void *other)
{
    return strcmp(*(char *const *)one, *(char *const *)other);
}

struct names folder_names(const char *path)
{
    struct names names = {0};
    DIR *folder = opendir(path);
    if (!folder)
        return names;
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        names.name = grow(names.name, names.count, sizeof *names.name);
        names.name[names.count++] = text("%s", entry->d_name);
    }
    closedir(folder);
    if (names.count)
        qsort(names.name, names.count, sizeof *names.name, compare_names);
    return names;
}

int folder_create(const char *path)
{
    if (mkdir(path, 0777) == 0)
        return 0;
    if (errno == ENOENT && strchr(path, '/')) {
        if (folder_create(parent_of(path)) < 0)
            return -1;
        return mkdir(path, 0777);
    }
    return errno == EEXIST && is_folder(path) ? 0 : -1;
}

static int copy_file(const char *from, const char *to, mode_t mode)
{
    size_t len;
    char *bytes = file_read(from, &len);
    return bytes ? write_new(to, bytes, len, mode & 0777) : -1;
}

/* As a link, unless what it leads to cannot be reached from the copy. */
static int copy_link(const char *from, const char *to)
{
    char target[4096];
    ssize_t len = readlink(from, target, sizeof target - 1);
    if (len < 0)
        return -1;
    target[len] = '\0';
    /* A copy over an earlier one. */
    if (unlink(to) < 0 && errno != ENOENT)
        return -1;
    if (symlink(target, to) < 0)
        return -1;
    if (access(to, F_OK) == 0 || access(from, R_OK) < 0)
        return 0;
    return unlink(to) < 0 ? -1 : copy_file(from, to, 0666);
}

static bool is_among(const char *name, const char *const names[])
{
    for (size_t i = 0; names && names[i]; i++)
        if (!strcmp(name, names[i]))
            return true;
    return false;
}

int tree_copy(const char *from, const char *to, const char *const except[])
{
    struct stat status;
    if (lstat(from, &status) < 0)
        return -1;
    if (S_ISLNK(status.st_mode))
        return copy_link(from, to);
    if (S_ISREG(status.st_mode))
        return copy_file(from, to, status.st_mode);
    if (!S_ISDIR(status.st_mode))
        return 0; /* a socket or pipe that some program left */
    if (folder_create(to) < 0)
        return -1;
    struct names names = folder_names(from);
    for (size_t i = 0; i < names.count; i++) {
        const char *name = names.name[i];
        if (!is_among(name, except) &&
            tree_copy(text("%s/%s", from, name), text("%s/%s", to, name),
                      except) < 0)
            return -1;
    }
    return 0;
}

int tree_remove(const char *path)
{
    struct stat status;
    if (lstat(path, &status) < 0)
        return errno == ENOENT ? 0 : -1;
    if (!S_ISDIR(status.st_mode))
        return unlink(path);
    struct names names = folder_names(path);
    for (size_t i = 0; i < names.count; i++)
        if (tree_remove(text("%s/%s", path, names.name[i])) < 0)
            return -1;
    return rmdir(path);
}

static bool same_names(struct names one, struct names other)
{
    if (one.count != other.count)
        return false;
    for (size_t i = 0; i < one.count; i++)
        if (strcmp(one.name[i], other.name[i]) != 0)
            return false;
    return true;
}

static bool same_bytes(const char *one, const char *other)
{
    size_t one_len, other_len;
    char *one_bytes = file_read(one, &one_len);
    char *other_bytes = file_read(other, &other_len);
    return one_bytes && other_bytes && one_len == other_len &&
           memcmp(one_bytes, other_bytes, one_len) == 0;
}

bool tree_equal(const char *one, const char *other)
{
    if (is_folder(one) != is_folder(other))
        return false;
    if (!is_folder(one))
        return same_bytes(one, other);
    struct names names = folder_names(one);
    if (!same_names(names, folder_names(other)))
        return false;
    for (size_t i = 0; i < names.count; i++)
        if (!tree_equal(text("%s/%s", one, names.name[i]),
                        text("%s/%s", other, names.name[i])))
            return false;
    return true;
}
