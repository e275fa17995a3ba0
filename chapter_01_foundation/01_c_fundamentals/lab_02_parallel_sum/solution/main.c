/*
 * parallel_sum - add 1 + 2 + … + n in three ways, and compare them.
 *
 * Both parallel ways start a thread for each share and join them all. They
 * differ in where a thread leaves its result: in a total behind a mutex, or in
 * a channel to the caller.
 */
#include "parallel_sum.h"

#include "timing.h"

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

static int check_n(uint64_t n)
{
    if (n <= SUM_N_MAX)
        return 0;
    errno = EOVERFLOW;
    return -1;
}

/* Room for the workers, once the arguments are right; NULL on error. */
static struct worker *workers_new(uint64_t n, unsigned num_threads)
{
    if (num_threads == 0) {
        errno = EINVAL;
        return NULL;
    }
    if (check_n(n) == -1)
        return NULL;
    return calloc(num_threads, sizeof(struct worker));
}

/* Cuts 1…n into shares and starts a thread for each. Returns how many run;
 * errno says why, when that is not all of them. */
static unsigned start_workers(struct worker *workers, unsigned num_threads,
                              uint64_t n, void *(*work)(void *), void *target)
{
    uint64_t next = 1;
    for (unsigned i = 0; i < num_threads; i++) {
        struct worker *worker = &workers[i];
        uint64_t size = n / num_threads + (i < n % num_threads);
        worker->first = next;
        worker->last = next + size - 1;
        worker->target = target;
        next += size;

        int error = pthread_create(&worker->thread, NULL, work, worker);
        if (error != 0) {
            errno = error;
            return i;
        }
    }
    return num_threads;
}

static void join_workers(struct worker *workers, unsigned started)
{
    for (unsigned i = 0; i < started; i++)
        pthread_join(workers[i].thread, NULL);
}

static void *add_to_total(void *arg)
{
    struct worker *worker = arg;
    struct total *total = worker->target;
    /* The long part without the lock, the short part under it. */
    uint64_t part = sum_range(worker->first, worker->last);
    pthread_mutex_lock(&total->mutex);
    total->sum += part;
    pthread_mutex_unlock(&total->mutex);
    return NULL;
}

static void *send_part(void *arg)
{
    struct worker *worker = arg;
    uint64_t part = sum_range(worker->first, worker->last);
    /* A closed channel means that the caller has given up: nothing to do. */
    (void)channel_send(worker->target, part);
    return NULL;
}

int sum_sequential(uint64_t n, uint64_t *sum)
{
    if (check_n(n) == -1)
        return -1;
    *sum = sum_range(1, n);
    return 0;
}

int sum_with_mutex(uint64_t n, unsigned num_threads, uint64_t *sum)
{
    struct worker *workers = workers_new(n, num_threads);
    if (workers == NULL)
        return -1;

    struct total total = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    unsigned started =
        start_workers(workers, num_threads, n, add_to_total, &total);
    int error = errno;
    join_workers(workers, started);
    pthread_mutex_destroy(&total.mutex);
    free(workers);

    if (started < num_threads) {
        errno = error;
        return -1;
    }
    *sum = total.sum;
    return 0;
}

int sum_with_channel(uint64_t n, unsigned num_threads, uint64_t *sum)
{
    struct worker *workers = workers_new(n, num_threads);
    if (workers == NULL)
        return -1;
    struct channel *channel = channel_new(CHANNEL_CAPACITY);
    if (channel == NULL) {
        free(workers);
        return -1;
    }

    unsigned started =
        start_workers(workers, num_threads, n, send_part, channel);
    int error = errno;
    uint64_t total = 0;
    if (started == num_threads) {
        uint64_t part;
        for (unsigned i = 0; i < num_threads; i++)
            if (channel_receive(channel, &part))
                total += part;
    } else {
        /* Nobody will receive: those who wait for room must not wait. */
        channel_close(channel);
    }
    join_workers(workers, started);
    channel_free(channel);
    free(workers);

    if (started < num_threads) {
        errno = error;
        return -1;
    }
    *sum = total;
    return 0;
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
