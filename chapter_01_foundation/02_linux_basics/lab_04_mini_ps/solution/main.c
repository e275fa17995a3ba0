/* mini_ps: lists processes, as /proc tells of them. */
#include "mini_ps.h"

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Reads a decimal number at *at and moves *at behind it. */
static bool read_number(const char **at, const char *end, long long max,
                        long long *number)
{
    const char *p = *at;
    long long n = 0;
    while (p < end && *p >= '0' && *p <= '9') {
        int digit = *p++ - '0';
        if (n > (max - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    if (p == *at)
        return false;
    *at = p;
    *number = n;
    return true;
}

static int malformed(void)
{
    errno = EBADMSG;
    return -1;
}

int mini_ps_parse_stat(struct mini_ps_process *process, const char *bytes,
                       size_t len)
{
    const char *end = bytes + len;
    const char *open = memchr(bytes, '(', len);
    /* The last one: the name may hold others. */
    const char *close = memrchr(bytes, ')', len);
    if (open == NULL || close == NULL || close < open)
        return malformed();

    long long pid, ppid;
    const char *at = bytes;
    if (!read_number(&at, open, INT_MAX, &pid) || pid == 0)
        return malformed();
    if (at + 1 != open || *at != ' ')
        return malformed();
    size_t name_len = close - open - 1;
    if (name_len >= sizeof process->name)
        return malformed();

    /* Behind the name: blank, state, blank, ppid. */
    if (end - close < 5 || close[1] != ' ' || close[3] != ' ')
        return malformed();
    char state = close[2];
    if (!((state >= 'A' && state <= 'Z') || (state >= 'a' && state <= 'z')))
        return malformed();
    at = close + 4;
    if (!read_number(&at, end, INT_MAX, &ppid))
        return malformed();

    process->pid = (pid_t)pid;
    process->ppid = (pid_t)ppid;
    process->state = state;
    memcpy(process->name, open + 1, name_len);
    process->name[name_len] = '\0';
    return 0;
}

void mini_ps_format_memory(char text[MINI_PS_MEMORY_SIZE], long long kb)
{
    if (kb < 0) {
        snprintf(text, MINI_PS_MEMORY_SIZE, "?");
        return;
    }
    if (kb < 1024) {
        snprintf(text, MINI_PS_MEMORY_SIZE, "%lldK", kb);
        return;
    }
    const char *unit = "MGT";
    double value = kb / 1024.0;
    /* 1023.95 is the first that prints as 1024.0. */
    while (value >= 1023.95 && unit[1] != '\0') {
        value /= 1024;
        unit++;
    }
    snprintf(text, MINI_PS_MEMORY_SIZE, "%.1f%c", value, *unit);
}

char *mini_ps_command(const char *cmdline, size_t len, const char *name)
{
    while (len > 0 && cmdline[len - 1] == '\0')
        len--;

    char *command;
    if (len > 0) {
        command = malloc(len + 1);
        if (command == NULL)
            return NULL;
        memcpy(command, cmdline, len);
        command[len] = '\0';
    } else {
        len = strlen(name) + 2;
        command = malloc(len + 1);
        if (command == NULL)
            return NULL;
        snprintf(command, len + 1, "[%s]", name);
    }
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = command[i];
        if (byte == '\0')
            command[i] = ' ';
        else if (byte < 0x20 || byte == 0x7f)
            command[i] = '?';
    }
    return command;
}

/* The pid that this name is, or 0 if it is none. */
static pid_t pid_of(const char *name)
{
    const char *end = name + strlen(name);
    long long pid;
    if (*name == '0' || !read_number(&name, end, INT_MAX, &pid) || name != end)
        return 0;
    return (pid_t)pid;
}

static int compare_pids(const void *a, const void *b)
{
    pid_t left = *(const pid_t *)a, right = *(const pid_t *)b;
    return (left > right) - (left < right);
}

/* Collects the pids of an open directory. On failure *pids is still to be
 * freed. */
static int collect_pids(DIR *dir, pid_t **pids, size_t *count)
{
    size_t size = 0;
    for (;;) {
        errno = 0; /* NULL is the end only if this stays 0 (readdir(3)) */
        struct dirent *entry = readdir(dir);
        if (entry == NULL)
            return errno == 0 ? 0 : -1;
        pid_t pid = pid_of(entry->d_name);
        if (pid == 0)
            continue;
        if (*count == size) {
            size = size == 0 ? 256 : size * 2;
            pid_t *more = reallocarray(*pids, size, sizeof **pids);
            if (more == NULL)
                return -1;
            *pids = more;
        }
        (*pids)[(*count)++] = pid;
    }
}

int mini_ps_pids(const char *root, pid_t **pids, size_t *count)
{
    DIR *dir = opendir(root);
    if (dir == NULL)
        return -1;
    *pids = NULL;
    *count = 0;
    int result = collect_pids(dir, pids, count);
    int error = errno;
    closedir(dir);
    if (result == -1)
        free(*pids);
    else if (*count > 0)
        qsort(*pids, *count, sizeof **pids, compare_pids);
    errno = error;
    return result;
}

/* Reads to the end: files in /proc do not tell their size beforehand. */
static char *read_all(int fd, size_t *len)
{
    size_t size = 1024;
    char *bytes = malloc(size);
    *len = 0;
    while (bytes != NULL) {
        ssize_t n = read(fd, bytes + *len, size - *len);
        if (n == 0)
            return bytes;
        if (n == -1 && errno != EINTR)
            break;
        *len += n > 0 ? n : 0;
        if (*len < size)
            continue;
        size *= 2;
        char *more = realloc(bytes, size);
        if (more == NULL)
            break;
        bytes = more;
    }
    free(bytes);
    return NULL;
}

/* A whole file of a process, for the caller to free. */
static char *read_file(int dir, const char *name, size_t *len)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    if (fd == -1)
        return NULL;
    char *bytes = read_all(fd, len);
    int error = errno;
    close(fd);
    errno = error;
    return bytes;
}

static int read_stat(struct mini_ps_process *process, int dir)
{
    size_t len;
    char *stat = read_file(dir, "stat", &len);
    if (stat == NULL)
        return -1;
    int result = mini_ps_parse_stat(process, stat, len);
    free(stat);
    return result;
}

/* statm counts in pages: size, resident, … Of a kernel thread or zombie both
 * are 0; a process that is swapped out still has a size. */
static int read_memory(struct mini_ps_process *process, int dir)
{
    size_t len;
    char *statm = read_file(dir, "statm", &len);
    if (statm == NULL)
        return -1;
    const char *at = statm, *end = statm + len;
    long long page_kb = sysconf(_SC_PAGESIZE) / 1024;
    long long size, resident;
    bool fine = read_number(&at, end, LLONG_MAX, &size) && at < end &&
                *at++ == ' ' &&
                read_number(&at, end, LLONG_MAX / page_kb, &resident);
    free(statm);
    if (!fine)
        return malformed();
    process->rss_kb = size == 0 ? -1 : resident * page_kb;
    return 0;
}

/* The arguments lie in the process's own memory: without memory there are
 * none, and no need to ask. */
static int read_command(struct mini_ps_process *process, int dir)
{
    size_t len = 0;
    char *cmdline = NULL;
    if (process->rss_kb != -1) {
        cmdline = read_file(dir, "cmdline", &len);
        if (cmdline == NULL)
            return -1;
    }
    process->command = mini_ps_command(cmdline, len, process->name);
    free(cmdline);
    return process->command == NULL ? -1 : 0;
}

int mini_ps_read(struct mini_ps_process *process, const char *root, pid_t pid)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof path, "%s/%d", root, (int)pid);
    if (len < 0 || (size_t)len >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    /* An open directory remains this process's, even if another process gets
     * the same pid between two reads. */
    int result = -1;
    int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir != -1 && read_stat(process, dir) == 0 &&
        read_memory(process, dir) == 0 && read_command(process, dir) == 0)
        result = 0;
    int error = errno == ENOENT ? ESRCH : errno;
    if (dir != -1)
        close(dir);
    errno = error;
    return result;
}

void mini_ps_release(struct mini_ps_process *process)
{
    free(process->command);
    process->command = NULL;
}

static int print_row(const struct mini_ps_process *process)
{
    char memory[MINI_PS_MEMORY_SIZE];
    mini_ps_format_memory(memory, process->rss_kb);
    return printf("%7d %7d %c %7s %s\n", (int)process->pid, (int)process->ppid,
                  process->state, memory, process->command);
}

int main(int argc, char **argv)
{
    if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
        fprintf(stderr, "usage: mini_ps [ROOT]\n");
        return 2;
    }
    const char *root = argc == 2 ? argv[1] : "/proc";
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error like others: EPIPE */

    pid_t *pids;
    size_t count;
    if (mini_ps_pids(root, &pids, &count) == -1)
        err(1, "%s", root);

    int status = 0;
    if (printf("    PID    PPID S     RSS COMMAND\n") < 0)
        err(1, "standard output");
    for (size_t i = 0; i < count; i++) {
        struct mini_ps_process process;
        if (mini_ps_read(&process, root, pids[i]) == -1) {
            if (errno == ESRCH)
                continue;
            warn("%s/%d", root, (int)pids[i]);
            status = 1;
            continue;
        }
        if (print_row(&process) < 0)
            err(1, "standard output");
        mini_ps_release(&process);
    }
    free(pids);
    if (fflush(stdout) == EOF)
        err(1, "standard output");
    return status;
}
