#include "needs.h"
#include "course.h"
#include "file.h"
#include "process.h"
#include "text.h"

#include <linux/io_uring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool has_command(const char *word)
{
    const char *path = getenv("PATH");
    char *rest, *folders = text("%s", path ? path : "/usr/bin:/bin");
    for (char *folder = strtok_r(folders, ":", &rest); folder;
         folder = strtok_r(NULL, ":", &rest))
        if (access(text("%s/%s", folder, word), X_OK) == 0)
            return true;
    return false;
}

/* Containers may forbid it even for one's own children. */
static bool may_trace(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 ? 0 : 1);
    return pid > 0 && process_wait(pid) == 0;
}

static bool may_count(void)
{
    const char *const command[] = {
        "sh", "-c", "perf stat -e task-clock true >/dev/null 2>&1", NULL};
    return process_run("/", command) == 0;
}

/* Containers and system administrators often forbid it. */
static bool may_ring(void)
{
    struct io_uring_params params = {0};
    int fd = (int)syscall(SYS_io_uring_setup, 1, &params);
    if (fd != -1)
        close(fd);
    return fd != -1;
}

/* What nothing is graded without: see tools/grade/sandbox.c. */
static bool may_lock_in(void)
{
    const char *const command[] = {
        "sh", "-c", "exec .build/tools/grade --probe >/dev/null 2>&1", NULL};
    return process_run(course_root(), command) == 0;
}

/* To others' packets; that takes CAP_NET_RAW. */
static bool may_listen(void)
{
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (fd != -1)
        close(fd);
    return fd != -1;
}

static bool may_part(void)
{
    const char *const command[] = {"unshare", "-n", "true", NULL};
    return process_run("/", command) == 0;
}

static bool has_library(const char *name)
{
    const char *const command[] = {"pkg-config", "--exists", name, NULL};
    return process_run("/", command) == 0;
}

/* As tools/probe found out. */
static bool has_sanitizer(const char *variable)
{
    const char *config =
        file_read(text("%s/.build/config.mk", course_root()), NULL);
    return config && strstr(config, text("%s := yes", variable));
}

const char *need_missing(const char *word)
{
    if (!strcmp(word, "ptrace"))
        return may_trace() ? NULL : "ptrace is not allowed here";
    if (!strcmp(word, "io_uring"))
        return may_ring() ? NULL : "io_uring is not allowed here";
    if (!strcmp(word, "asan") || !strcmp(word, "tsan"))
        return has_sanitizer(*word == 'a' ? "HAVE_ASAN" : "HAVE_TSAN")
                   ? NULL
                   : text("%s does not run here", word);
    if (!strcmp(word, "sandbox"))
        return may_lock_in() ? NULL : "there is no sandbox here";
    if (!has_command(word) && !has_library(word))
        return text("%s is not installed here", word);
    if (!strcmp(word, "perf") && !may_count())
        return "perf is not allowed to count here";
    if (!strcmp(word, "tcpdump") && !may_listen())
        return "tcpdump is not allowed to listen here";
    if (!strcmp(word, "unshare") && !may_part())
        return "namespaces are not allowed here";
    return NULL;
}
