/*
 * submission.c - what learners have handed in.
 *
 * Everything here is read with the grader's own rights, so nothing is opened
 * but folders and regular files that are really there: no symbolic link at any
 * step, no pipe, no device.
 */
#include "grade.h"

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MOST_ENTRIES = 1000,
    MOST_SOURCES = 64,
    LARGEST_SOURCE = 512 * 1024,
    LARGEST_WORK = 2 * 1024 * 1024,
    SHOWN = 10, /* names that were left out */
};

static int compare(const void *one, const void *other)
{
    return strcmp(*(char *const *)one, *(char *const *)other);
}

/* Sorted names of what is in the folder, which is closed; at most `most`. */
static struct names names_in(int fd, size_t most)
{
    struct names names = {0};
    DIR *folder = fdopendir(fd);
    if (!folder) {
        close(fd);
        return names;
    }
    for (struct dirent *entry;
         names.count < most && (entry = readdir(folder));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        names.name = grow(names.name, names.count, sizeof *names.name);
        names.name[names.count++] = text("%s", entry->d_name);
    }
    closedir(folder);
    if (names.count)
        qsort(names.name, names.count, sizeof *names.name, compare);
    return names;
}

static int open_folder(int at, const char *name)
{
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Opens at/path one step at a time. -1 when a step is missing or no folder. */
static int open_path(int at, const char *path)
{
    int fd = dup(at);
    while (*path && fd != -1) {
        size_t len = strcspn(path, "/");
        int next = open_folder(fd, text_copy(path, len));
        close(fd);
        fd = next;
        path += len + (path[len] == '/');
    }
    return fd;
}

struct learners learners_read(const char *submissions)
{
    struct learners learners = {0};
    int fd = open(submissions, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd == -1)
        err(STATUS_USAGE, "%s", submissions);
    struct names names = names_in(dup(fd), (size_t)-1);
    for (size_t i = 0; i < names.count; i++) {
        const char *name = names.name[i];
        struct stat status;
        if (*name == '.' ||
            fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW) == -1 ||
            !S_ISDIR(status.st_mode))
            continue;
        char *shown = clean_text(name, strlen(name));
        for (char *c = shown; *c; c++)
            if (*c == '\n' || *c == '\t')
                *c = ' ';
        learners.learner =
            grow(learners.learner, learners.count, sizeof *learners.learner);
        learners.learner[learners.count++] = (struct learner){
            .name = shown, .id = safe_name(name), .folder = name};
    }
    close(fd);
    return learners;
}

static bool is_plain(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz"
                              "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.");
    return name[len] == '\0' && *name != '-' && len <= 100;
}

/* Takes the file; says why not when that is so. links is O_NOFOLLOW, but 0
 * for the course's own files: those may be links to what it has elsewhere. */
static const char *take(struct work *work, int folder, const char *name,
                        const char *as, int links)
{
    int fd = openat(folder, name,
                    O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | links);
    struct stat status;
    if (fd == -1)
        return errno == ELOOP ? "a symbolic link" : strerror(errno);
    if (fstat(fd, &status) == -1 || !S_ISREG(status.st_mode)) {
        close(fd);
        return "not a regular file";
    }
    char *bytes = keep(malloc(LARGEST_SOURCE + 1));
    size_t len = 0;
    ssize_t got = 1;
    while (len <= LARGEST_SOURCE && got != 0) {
        got = read(fd, bytes + len, LARGEST_SOURCE + 1 - len);
        if (got == -1 && errno != EINTR)
            break;
        len += got > 0 ? (size_t)got : 0;
    }
    close(fd);
    if (got == -1)
        return strerror(errno);
    if (len > LARGEST_SOURCE)
        return text("larger than %d KiB", LARGEST_SOURCE / 1024);
    work->source = grow(work->source, work->count, sizeof *work->source);
    work->source[work->count++] = (struct source){as, bytes, len};
    work->len += len;
    return work->len > LARGEST_WORK
               ? text("more than %d KiB in all", LARGEST_WORK / 1024)
               : NULL;
}

static void leave_out(struct work *work, const char *shown)
{
    struct names *names = &work->left_out;
    if (names->count == SHOWN)
        return;
    names->name = grow(names->name, names->count, sizeof *names->name);
    names->name[names->count++] = (char *)shown;
}

/* Editors and archives leave files with a dot in front; they say nothing. */
static void look_at(struct work *work, int folder, const char *name, int links)
{
    const char *shown = clean_text(name, strlen(name)), *why;
    if (*name == '.')
        return;
    if (!ends_with(name, ".c") && !ends_with(name, ".h")) {
        leave_out(work, shown);
        return;
    }
    if (!is_plain(name))
        why = "names of sources are of letters, digits, _ - and .";
    else if (work->count == MOST_SOURCES)
        why = text("more than %d sources", MOST_SOURCES);
    else
        why = take(work, folder, name, name, links);
    if (why)
        work->refused = text("%s: %s", shown, why);
}

/* The sources of a folder, which is closed. */
static struct work read_folder(int fd, int links)
{
    struct work work = {0};
    struct names names = names_in(dup(fd), MOST_ENTRIES + 1);
    if (names.count > MOST_ENTRIES)
        work.refused = text("more than %d files", MOST_ENTRIES);
    for (size_t i = 0; i < names.count && !work.refused; i++)
        look_at(&work, fd, names.name[i], links);
    close(fd);
    return work;
}

/* lab_01_mini_cat.c or mini_cat.c is main.c. */
static struct work read_single(int learner, const struct lab *lab)
{
    struct work work = {0};
    const char *word = lab->name + strlen("lab_");
    word += strcspn(word, "_");
    const char *const names[] = {text("%s.c", lab->name),
                                 text("%s.c", word + (*word == '_'))};
    for (int i = 0; i < 2 && work.count == 0; i++) {
        struct stat status;
        if (fstatat(learner, names[i], &status, AT_SYMLINK_NOFOLLOW) == -1)
            continue;
        const char *why = take(&work, learner, names[i], "main.c", O_NOFOLLOW);
        if (why)
            work.refused = text("%s: %s", names[i], why);
    }
    return work;
}

struct work work_read(const char *submissions, const struct learner *learner,
                      const struct lab *lab)
{
    struct work work = {0};
    int all = open(submissions, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int folder = all == -1 ? -1 : open_folder(all, learner->folder);
    if (all != -1)
        close(all);
    if (folder == -1) {
        work.refused = strerror(errno);
        return work;
    }
    const char *path = text("%s/src", path_shown(lab->path));
    int sources = open_path(folder, path);
    if (sources != -1)
        work = read_folder(sources, O_NOFOLLOW);
    else if (errno == ELOOP || errno == ENOTDIR)
        work.refused =
            text("%s: not a folder, or behind a symbolic link", path);
    if (work.count == 0 && !work.refused)
        work = read_single(folder, lab);
    close(folder);
    return work;
}

struct work work_of_course(const struct lab *lab, const char *folder)
{
    int fd = open(text("%s/%s", lab->path, folder),
                  O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct work none = {0};
    return fd == -1 ? none : read_folder(fd, 0);
}

bool work_equal(const struct work *one, const struct work *other)
{
    if (one->count != other->count)
        return false;
    for (size_t i = 0; i < one->count; i++) {
        const struct source *a = &one->source[i], *b = &other->source[i];
        if (strcmp(a->name, b->name) != 0 || a->len != b->len ||
            memcmp(a->bytes, b->bytes, a->len) != 0)
            return false;
    }
    return true;
}
