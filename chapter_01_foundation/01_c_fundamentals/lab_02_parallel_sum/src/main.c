/*
 * Lab 2: parallel sum
 *
 * Goal: add the numbers from 1 to n alone, then with threads that add to one
 * total behind a mutex, then with threads that send their results through a
 * channel.
 *
 * Requirements (parallel_sum.h has them in full):
 * 1. The channel in channel.c is bounded, blocks and can be closed, for any
 *    number of senders and receivers.
 * 2. sum_sequential, sum_with_mutex and sum_with_channel are in this file.
 * 3. No data race, no leak, no thread left behind; also when a thread cannot
 *    be created.
 *
 * Hints:
 * - Begin with channel.c: tests 01 to 07 need nothing else.
 * - A wait stands in a loop that looks at its condition again.
 * - Each thread adds its share first, and takes the lock once, afterwards.
 * - What both parallel sums do (check, start, join) is worth a function.
 * - Stuck? make hint
 *
 * Verification:
 *     make test
 *     make run ARGS="100000000 2"
 *
 * Acceptance criteria:
 * [ ] values come out of the channel in order, and none is lost
 * [ ] whoever waits is woken: by a value, by room, by the close
 * [ ] the three sums are equal
 * [ ] the threads work at the same time
 * [ ] when a step fails, nothing is leaked and nobody is left waiting
 */
#include "parallel_sum.h"

#include "timing.h"
#include "todo.h"

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* Anything from 1 on will do; with a small one the senders have to wait. */
enum { CHANNEL_CAPACITY = 2 };

struct worker {
    pthread_t thread;
    uint64_t first, last; /* its share of 1…n; nothing when last < first */
    void *target;         /* where its sum goes */
};

struct total {
    pthread_mutex_t mutex; /* guards sum */
    uint64_t sum;
};

int sum_sequential(uint64_t n, uint64_t *sum)
{
    todo("sum_sequential");
}

int sum_with_mutex(uint64_t n, unsigned num_threads, uint64_t *sum)
{
    todo("sum_with_mutex");
}

int sum_with_channel(uint64_t n, unsigned num_threads, uint64_t *sum)
{
    todo("sum_with_channel");
}

/* The program is complete; it compares your three functions. */

/* A whole number from 0 to max, and nothing behind it. */
static bool parse(const char *text, uint64_t max, uint64_t *number)
{
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0 &&
           *number <= max;
}

static void print_line(const char *name, uint64_t sum, uint64_t ns,
                       uint64_t sequential_ns)
{
    printf("%-10s %20" PRIu64 " %9.3f ms %6.2fx\n", name, sum, ns / 1e6,
           (double)sequential_ns / ns);
}

int main(int argc, char **argv)
{
    uint64_t n = 100000000, num_threads = 4;
    if (argc > 3 || (argc > 1 && !parse(argv[1], UINT64_MAX, &n)) ||
        (argc > 2 && !parse(argv[2], UINT_MAX, &num_threads))) {
        fprintf(stderr, "usage: parallel_sum [N [THREADS]]\n");
        return 2;
    }

    uint64_t sum;
    uint64_t start = now_ns();
    if (sum_sequential(n, &sum) == -1)
        err(1, "sum_sequential");
    uint64_t sequential_ns = now_ns() - start;
    print_line("sequential", sum, sequential_ns, sequential_ns);

    start = now_ns();
    if (sum_with_mutex(n, num_threads, &sum) == -1)
        err(1, "sum_with_mutex");
    print_line("mutex", sum, now_ns() - start, sequential_ns);

    start = now_ns();
    if (sum_with_channel(n, num_threads, &sum) == -1)
        err(1, "sum_with_channel");
    print_line("channel", sum, now_ns() - start, sequential_ns);

    if (fflush(stdout) == EOF)
        err(1, "standard output");
    return 0;
}
