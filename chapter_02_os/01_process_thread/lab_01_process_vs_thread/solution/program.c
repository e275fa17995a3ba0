/*
 * The program: adds alone, with processes and with threads, and measures what
 * each way costs.
 *
 * Memory is measured in a run of its own, by the workers: while all of them
 * are there, each reads in /proc/self/smaps_rollup what belongs to its process
 * alone. Time and context switches are those of a second run, with sum_range().
 */
#include "process_vs_thread.h"

#include "timing.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

struct way {
    const char *name;
    int (*add)(uint64_t n, unsigned num_workers,
               uint64_t (*work)(uint64_t first, uint64_t last), uint64_t *sum);
    bool has_own_memory; /* each worker */
};

static const struct way ways[] = {{"processes", sum_with_processes, true},
                                  {"threads", sum_with_threads, false}};

struct cost {
    double wall_ms, cpu_ms;
    long voluntary, involuntary; /* context switches */
};

/* What the workers find, in memory that processes share, too. */
static struct notes {
    unsigned num_workers;
    atomic_uint here; /* workers that have come so far */
    sem_t all_here;
    atomic_long kib_added_up; /* what each of them has */
    atomic_long kib_at_most;  /* the largest of it */
} * notes;

/* What this process and the children it has waited for have used so far. */
static struct cost cost_so_far(void)
{
    static const int whose[] = {RUSAGE_SELF, RUSAGE_CHILDREN};
    struct cost cost = {.wall_ms = now_ns() / 1e6};
    for (int i = 0; i < 2; i++) {
        struct rusage usage;
        getrusage(whose[i], &usage);
        cost.cpu_ms +=
            1e3 * (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
            (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
        cost.voluntary += usage.ru_nvcsw;
        cost.involuntary += usage.ru_nivcsw;
    }
    return cost;
}

/* KiB that this process has written to and shares with nobody; -1 where the
 * kernel does not tell. Without stdio, whose buffers would count. */
static long private_kib(void)
{
    char text[4096];
    int fd = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
    if (fd == -1)
        return -1;
    ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    if (len <= 0)
        return -1;
    text[len] = '\0';
    const char *field = strstr(text, "\nPrivate_Dirty:");
    return field == NULL ? -1 : strtol(strchr(field, ':') + 1, NULL, 10);
}

/* Waits until all workers are here. Not for ever: one may never come. */
static void meet(void)
{
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec++;
    if (atomic_fetch_add(&notes->here, 1) + 1 == notes->num_workers)
        for (unsigned i = 0; i < notes->num_workers; i++)
            sem_post(&notes->all_here);
    while (sem_timedwait(&notes->all_here, &limit) == -1 && errno == EINTR)
        ;
}

/* The work of the first run. Nobody ends before he has looked: the first one
 * who has looked saw the memory of all. */
static uint64_t look_at_memory(uint64_t first, uint64_t last)
{
    meet();
    long kib = private_kib();
    atomic_fetch_add(&notes->kib_added_up, kib);
    long most = notes->kib_at_most;
    while (kib > most &&
           !atomic_compare_exchange_weak(&notes->kib_at_most, &most, kib))
        ;
    return sum_range(first, last);
}

/* KiB that each worker adds to what the caller has; below 0 where the kernel
 * does not tell. */
static double memory_of_each(const struct way *way, unsigned num_workers)
{
    notes = mmap(NULL, sizeof *notes, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (notes == MAP_FAILED)
        err(1, "mmap");
    notes->num_workers = num_workers;
    if (sem_init(&notes->all_here, 1, 0) == -1)
        err(1, "sem_init");

    long before = private_kib();
    uint64_t sum;
    if (way->add(num_workers, num_workers, look_at_memory, &sum) == -1)
        err(1, "sum_with_%s", way->name);
    long all =
        way->has_own_memory ? notes->kib_added_up : notes->kib_at_most - before;
    munmap(notes, sizeof *notes);
    return before == -1 ? -1 : (double)all / num_workers;
}

/* `kib` below 0: unknown. */
static void print_row(const char *name, uint64_t sum, struct cost start,
                      struct cost end, double kib)
{
    char memory[16] = "?";
    if (kib >= 0)
        snprintf(memory, sizeof memory, "%.0f", kib);
    printf("%-9s %20" PRIu64 " %9.2f %9.2f %9ld %11ld %9s\n", name, sum,
           end.wall_ms - start.wall_ms, end.cpu_ms - start.cpu_ms,
           end.voluntary - start.voluntary, end.involuntary - start.involuntary,
           memory);
    /* Now: a fork() would copy what is still in the buffer. */
    if (fflush(stdout) == EOF)
        err(1, "standard output");
}

static void compare(const struct way *way, uint64_t n, unsigned num_workers)
{
    double kib = memory_of_each(way, num_workers);
    uint64_t sum;
    struct cost start = cost_so_far();
    if (way->add(n, num_workers, sum_range, &sum) == -1)
        err(1, "sum_with_%s", way->name);
    print_row(way->name, sum, start, cost_so_far(), kib);
}

/* A whole number from 0 to max, and nothing behind it. */
static bool parse(const char *text, uint64_t max, uint64_t *number)
{
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0 &&
           *number <= max;
}

int main(int argc, char **argv)
{
    uint64_t n = 200000000, num_workers = 4;
    if (argc > 3 || (argc > 1 && !parse(argv[1], SUM_N_MAX, &n)) ||
        (argc > 2 && !parse(argv[2], UINT_MAX, &num_workers))) {
        fprintf(stderr, "usage: process_vs_thread [N [WORKERS]]\n");
        return 2;
    }
    /* Who started us may have ignored it, and that is inherited. */
    signal(SIGCHLD, SIG_DFL);

    printf("%-9s %20s %9s %9s %9s %11s %9s\n", "", "sum", "wall ms", "CPU ms",
           "voluntary", "involuntary", "KiB each");
    struct cost start = cost_so_far();
    uint64_t sum = sum_range(1, n);
    print_row("alone", sum, start, cost_so_far(), 0);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        compare(&ways[i], n, (unsigned)num_workers);
    return 0;
}
