/*
 * beside - runs two commands in turns and compares their times.
 *
 *     beside GOAL THEIRS... : OURS...
 *
 * Their output goes into a pipe that costs next to nothing to empty: some
 * programs do less work when they see /dev/null. Prints medians of wall time
 * and CPU time, and theirs divided by ours: above 1, ours is faster.
 */
#include "timing.h"

#include <err.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 7 };

struct times {
    double wall_ms[ROUNDS], cpu_ms[ROUNDS];
    long long bytes; /* of output */
    int waited;      /* rounds in which others had its CPU */
};

static double ms(struct timeval t)
{
    return (double)t.tv_sec * 1e3 + (double)t.tv_usec / 1e3;
}

static long long drain(int fd)
{
    static int null = -1;
    if (null == -1)
        null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    long long bytes = 0;
    ssize_t n;
    while ((n = splice(fd, NULL, null, NULL, 1 << 20, 0)) > 0)
        bytes += n;
    if (n == -1)
        err(1, "splice");
    return bytes;
}

static void measure(char **command, struct times *times, int round)
{
    int ends[2], status;
    if (pipe2(ends, O_CLOEXEC) == -1)
        err(1, "pipe");
    uint64_t start = now_ns();
    pid_t pid = fork();
    if (pid == -1)
        err(1, "fork");
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        execvp(command[0], command);
        err(127, "%s", command[0]);
    }
    close(ends[1]);
    times->bytes = drain(ends[0]);
    close(ends[0]);
    struct rusage usage;
    if (wait4(pid, &status, 0, &usage) == -1)
        err(1, "wait4");
    if (status != 0)
        errx(1, "%s failed", command[0]);
    double wall_ms = (double)(now_ns() - start) / 1e6;
    double cpu_ms = ms(usage.ru_utime) + ms(usage.ru_stime);
    times->wall_ms[round] = wall_ms;
    times->cpu_ms[round] = cpu_ms;
    times->waited += wall_ms > 1.3 * cpu_ms;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values)
{
    qsort(values, ROUNDS, sizeof(*values), compare);
    return values[ROUNDS / 2];
}

static void print_command(char **command, struct times *times)
{
    char line[256] = "";
    for (int i = 0; command[i]; i++) {
        const char *slash = strrchr(command[i], '/');
        size_t len = strlen(line);
        snprintf(line + len, sizeof line - len, "%s ",
                 slash ? slash + 1 : command[i]);
    }
    printf("%-32s wall %7.1f ms   CPU %7.1f ms   %10lld bytes out%s\n", line,
           median(times->wall_ms), median(times->cpu_ms), times->bytes,
           times->waited > ROUNDS / 2 ? "   (machine was busy)" : "");
}

int main(int argc, char **argv)
{
    int colon = 2;
    while (colon < argc && strcmp(argv[colon], ":") != 0)
        colon++;
    if (colon < 3 || colon + 1 >= argc) {
        fprintf(stderr, "usage: beside GOAL THEIRS... : OURS...\n");
        return 2;
    }
    argv[colon] = NULL;
    char **theirs = argv + 2, **ours = argv + colon + 1;
    struct times their_times = {0}, our_times = {0};
    for (int round = 0; round < ROUNDS; round++) {
        measure(theirs, &their_times, round);
        measure(ours, &our_times, round);
    }
    print_command(theirs, &their_times);
    print_command(ours, &our_times);
    printf("%-32s wall %6.2fx      CPU %6.2fx   (goal: %sx)\n\n", "ratio",
           median(their_times.wall_ms) / median(our_times.wall_ms),
           median(their_times.cpu_ms) / median(our_times.cpu_ms), argv[1]);
    return 0;
}
