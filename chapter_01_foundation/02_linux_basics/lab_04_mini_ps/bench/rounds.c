/*
 * Runs mini_ps and ps in turn over 600 sleeping processes and prints the
 * medians, then mini_ps over a proc root of 100,000 pids.
 */
#include "timing.h"
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROCESSES = 600, ROUNDS = 15, PIDS = 100000 };

struct contender {
    const char *label;
    char *const *argv;
    double wall_ms[ROUNDS], cpu_ms[ROUNDS];
};

static char mini_ps[] = "build/bench/mini_ps";

static struct contender contenders[] = {
    {"mini_ps", (char *[]){mini_ps, NULL}, {0}, {0}},
    {"ps -eo pid,ppid,stat,rss,args",
     (char *[]){"ps", "-eo", "pid,ppid,stat,rss,args", NULL},
     {0},
     {0}},
    {"ps -ef", (char *[]){"ps", "-ef", NULL}, {0}, {0}},
    {"ps -e", (char *[]){"ps", "-e", NULL}, {0}, {0}},
};
enum { CONTENDERS = sizeof contenders / sizeof contenders[0] };

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

/* Sorts the values. */
static double median(double values[ROUNDS])
{
    qsort(values, ROUNDS, sizeof *values, compare);
    return values[ROUNDS / 2];
}

/* Runs a command with its output to a file that is thrown away. */
static void time_command(char *const argv[], double *wall_ms, double *cpu_ms)
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null",
                                     O_WRONLY, 0);
    uint64_t start = now_ns();
    pid_t child;
    int error = posix_spawnp(&child, argv[0], &actions, NULL, argv, environ);
    if (error != 0)
        errx(1, "%s: %s", argv[0], strerror(error));
    int status;
    struct rusage usage;
    if (wait4(child, &status, 0, &usage) == -1)
        err(1, "wait4");
    *wall_ms = (now_ns() - start) / 1e6;
    *cpu_ms = usage.ru_utime.tv_sec * 1e3 + usage.ru_utime.tv_usec / 1e3 +
              usage.ru_stime.tv_sec * 1e3 + usage.ru_stime.tv_usec / 1e3;
    posix_spawn_file_actions_destroy(&actions);
    if (status != 0)
        errx(1, "%s failed: status %#x", argv[0], status);
}

static void beside_ps(void)
{
    pid_t children[PROCESSES];
    int started = 0;
    while (started < PROCESSES) {
        pid_t child = fork();
        if (child == -1) {
            warn("fork, after %d processes", started);
            break;
        }
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            for (;;)
                pause();
        }
        children[started++] = child;
    }

    for (int round = -1; round < ROUNDS; round++) {
        for (int i = 0; i < CONTENDERS; i++) {
            struct contender *c = &contenders[i];
            int slot = round < 0 ? 0 : round; /* the first warms up */
            time_command(c->argv, &c->wall_ms[slot], &c->cpu_ms[slot]);
        }
    }
    for (int i = 0; i < started; i++)
        kill(children[i], SIGKILL);
    for (int i = 0; i < started; i++)
        waitpid(children[i], NULL, 0);

    printf("work:     %d processes more than usual, median of %d rounds\n\n",
           started, ROUNDS);
    double wall = 0, cpu = 0;
    for (int i = 0; i < CONTENDERS; i++) {
        struct contender *c = &contenders[i];
        double this_wall = median(c->wall_ms), this_cpu = median(c->cpu_ms);
        printf("%-31s wall %6.2f ms   CPU %6.2f ms%s\n", c->label, this_wall,
               this_cpu,
               this_wall > 1.2 * this_cpu ? "   (machine was busy)" : "");
        if (i == 0) {
            wall = this_wall;
            cpu = this_cpu;
        } else {
            printf("%-31s wall %5.2fx      CPU %5.2fx   (goal: 3.00x)\n",
                   "ratio", this_wall / wall, this_cpu / cpu);
        }
    }
}

static void write_file(const char *path, const char *bytes, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd == -1 || write(fd, bytes, len) != (ssize_t)len)
        err(1, "%s", path);
    close(fd);
}

/* A proc root of a hundred thousand pids, all of them links to one process. */
static void many_pids(void)
{
    static const char stat[] = "7 (server) S 1 7 7 0 -1 4194560 101 0 0 0 7 3 "
                               "0 0 20 0 1 0 5000 8388608 1024 0 1 1 0 0 0 0 "
                               "0 4096 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 "
                               "0\n";
    static const char statm[] = "2048 1024 512 1 0 50 0\n";
    static const char cmdline[] = "/usr/bin/server\0--port\0007000";
    char path[64];
    mkdir("build/bench/root", 0755);
    mkdir("build/bench/root/one", 0755);
    write_file("build/bench/root/one/stat", stat, strlen(stat));
    write_file("build/bench/root/one/statm", statm, strlen(statm));
    write_file("build/bench/root/one/cmdline", cmdline, sizeof cmdline);
    for (int pid = 1; pid <= PIDS; pid++) {
        snprintf(path, sizeof path, "build/bench/root/%d", pid);
        if (symlink("one", path) == -1 && errno != EEXIST)
            err(1, "%s", path);
    }

    double wall_ms[3], cpu_ms;
    char *argv[] = {mini_ps, "build/bench/root", NULL};
    for (int round = 0; round < 3; round++)
        time_command(argv, &wall_ms[round], &cpu_ms);
    qsort(wall_ms, 3, sizeof *wall_ms, compare);
    printf("\na proc root of %d pids, median of 3: %.0f ms, %.1f us each\n",
           PIDS, wall_ms[1], wall_ms[1] * 1000 / PIDS);
}

int main(void)
{
    beside_ps();
    fflush(stdout);
    many_pids();
}
