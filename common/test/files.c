#include "test/harness.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What harness_alloc() gave, newest first: reachable, so no leak. */
struct piece {
    struct piece *next;
    max_align_t bytes[];
};

static struct piece *_Atomic pieces;

__attribute__((noreturn)) static void broken(const char *what, const char *path)
{
    harness_end(PAGE_FAULT, (struct test_place){0}, "%s %s: %s", what, path,
                strerror(errno));
}

void *harness_alloc(size_t size)
{
    struct piece *piece = malloc(sizeof(*piece) + size);
    if (!piece)
        broken("memory for", "the test");
    piece->next = pieces;
    while (!atomic_compare_exchange_weak(&pieces, &piece->next, piece))
        ;
    return piece->bytes;
}

char *vtext(const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int len = vsnprintf(NULL, 0, format, arguments);
    char *string = harness_alloc((size_t)len + 1);
    vsnprintf(string, (size_t)len + 1, format, again);
    va_end(again);
    return string;
}

char *text(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *string = vtext(format, arguments);
    va_end(arguments);
    return string;
}

const char *lab_path(const char *file)
{
    return text("%s/%s", harness.lab, file);
}

void write_bytes(const char *path, const void *bytes, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd == -1)
        broken("creating", path);
    for (size_t done = 0; done < len;) {
        ssize_t n = write(fd, (const char *)bytes + done, len - done);
        if (n == -1 && errno != EINTR)
            broken("writing", path);
        done += n > 0 ? (size_t)n : 0;
    }
    if (close(fd) == -1)
        broken("writing", path);
}

void write_text(const char *path, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *content = NULL;
    int len = vasprintf(&content, format, arguments);
    va_end(arguments);
    if (len == -1)
        broken("memory for", path);
    write_bytes(path, content, (size_t)len);
    free(content);
}

/* Files in /proc do not know their size: read to the end. */
char *read_bytes(const char *path, size_t *len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd == -1 || fstat(fd, &status) == -1)
        broken("reading", path);
    size_t size = (size_t)status.st_size + 4096, done = 0;
    char *bytes = harness_alloc(size + 1);
    for (;;) {
        if (done == size) {
            char *more = harness_alloc(2 * size + 1);
            memcpy(more, bytes, done);
            bytes = more;
            size *= 2;
        }
        ssize_t n = read(fd, bytes + done, size - done);
        if (n == -1 && errno != EINTR)
            broken("reading", path);
        if (n == 0)
            break;
        done += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    bytes[done] = '\0';
    if (len)
        *len = done;
    return bytes;
}

static int count_entries(const char *path)
{
    int count = 0;
    DIR *directory = opendir(path);
    if (!directory)
        broken("reading", path);
    struct dirent *entry;
    while ((entry = readdir(directory)))
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

int count_threads(void)
{
    return count_entries("/proc/self/task");
}

int count_descriptors(void)
{
    return count_entries("/proc/self/fd") - 1; /* opendir's own */
}

void test_waiting(struct test_place place)
{
    char *waiting = harness.page->waiting;
    size_t size = sizeof(harness.page->waiting);
    if (!place.file)
        waiting[0] = '\0';
    else
        snprintf(waiting, size, "%s:%d: %s", place.file, place.line,
                 place.what);
}

void test_pause(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* The line that installs a command here, from the course's own table. */
static void install_line(const char *command, char *line, size_t size)
{
    char *setup =
        text("'%s/../../../tools/setup' --how %s", harness.lab, command);
    line[0] = '\0';
    FILE *pipe = popen(setup, "r");
    if (!pipe)
        return;
    if (!fgets(line, (int)size, pipe))
        line[0] = '\0';
    line[strcspn(line, "\n")] = '\0';
    pclose(pipe);
}

static bool is_installed(const char *command)
{
    const char *path = getenv("PATH");
    while (path && *path) {
        size_t len = strcspn(path, ":");
        char *file = text("%.*s/%s", (int)len, path, command);
        if (access(file, X_OK) == 0)
            return true;
        path += len + (path[len] == ':');
    }
    return false;
}

void test_need(const char *command)
{
    char line[256];
    if (is_installed(command))
        return;
    install_line(command, line, sizeof(line));
    test_skip("%s is not installed%s%s", command, line[0] ? "; try: " : "",
              line);
}

void test_need_ptrace(void)
{
    int status = -1;
    pid_t child = fork();
    if (child == 0)
        _exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 ? 0 : 1);
    if (child == -1 || waitpid(child, &status, 0) != child || status != 0)
        test_skip("ptrace is not allowed here");
}
