#include "process.h"
#include "file.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Makes fd the program's standard input, output or error. */
static int replace(int fd, int standard)
{
    if (fd == standard)
        return fcntl(fd, F_SETFD, 0); /* not closed on exec */
    return dup2(fd, standard) < 0 ? -1 : 0;
}

_Noreturn static void become(const char *folder, const char *const command[],
                             int output, int merged)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    unsetenv("MAKEFLAGS");
    unsetenv("MFLAGS");
    unsetenv("MAKELEVEL");
    if (nothing < 0 || replace(nothing, STDIN_FILENO) < 0 ||
        (output >= 0 && replace(output, STDOUT_FILENO) < 0) ||
        (merged && replace(output, STDERR_FILENO) < 0) || chdir(folder) < 0) {
        warn("%s", folder);
        _exit(127);
    }
    execvp(command[0], (char *const *)command);
    warn("%s", command[0]);
    _exit(127);
}

static pid_t start(const char *folder, const char *const command[], int output,
                   int merged, int session)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    if (session) {
        setsid();
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    }
    become(folder, command, output, merged);
}

pid_t process_start(const char *folder, const char *const command[], int output,
                    int merged)
{
    return start(folder, command, output, merged, 1);
}

int process_wait(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return 127;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int process_run(const char *folder, const char *const command[])
{
    pid_t pid = start(folder, command, -1, 0, 0);
    if (pid < 0) {
        warn("fork");
        return 127;
    }
    return process_wait(pid);
}

char *process_output(const char *folder, const char *const command[],
                     int *status)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        err(1, "pipe");
    pid_t pid = start(folder, command, ends[1], 0, 0);
    if (pid < 0)
        err(1, "fork");
    close(ends[1]);
    char *all = read_to_end(ends[0], NULL);
    if (!all)
        err(1, "%s", command[0]);
    close(ends[0]);
    *status = process_wait(pid);
    return all;
}
