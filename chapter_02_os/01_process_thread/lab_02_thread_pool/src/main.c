/*
 * Lab 2: thread pool
 *
 * Goal: a fixed number of threads that run the jobs they are given, and sleep
 * while there are none.
 *
 * Requirements (thread_pool.h has them in full):
 * 1. You write the pool, in thread_pool.c. This file is complete: a program
 *    that submits jobs and says how fast they were done.
 * 2. Any number of threads may submit and wait, and jobs may submit jobs.
 * 3. No data race, no leak, no thread left behind; also when a thread cannot
 *    be created.
 *
 * Hints:
 * - Two things can be waited for: a job, and the end of the last one. Each has
 *   a condition variable of its own.
 * - A wait stands in a loop that looks at its condition again.
 * - The lock is held to take a job, never while it runs.
 * - A job that is running is in no queue any more, and not done.
 * - Stuck? make hint
 *
 * Verification:
 *     make test
 *     make run ARGS="2 1000000"
 *
 * Acceptance criteria:
 * [ ] every job is run once; jobs are started in the order of submission
 * [ ] no job stays queued while a worker has nothing to run; the worker sleeps
 * [ ] wait and free return when the last job has returned, not before
 * [ ] when a step fails, nothing is leaked and nobody is left waiting
 * [ ] the program has all its jobs done, however many workers it has
 */
#include "thread_pool.h"

#include "timing.h"

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static void mark(void *arg)
{
    char *done = arg;
    *done = 1;
}

/* Submits `jobs` jobs, and waits after each `batch` of them. */
static void run_jobs(struct thread_pool *pool, char *done, uint64_t jobs,
                     uint64_t batch)
{
    for (uint64_t i = 0; i < jobs; i++) {
        if (thread_pool_submit(pool, mark, &done[i]) == -1)
            err(1, "thread_pool_submit");
        if ((i + 1) % batch == 0 && thread_pool_wait(pool) == -1)
            err(1, "thread_pool_wait");
    }
    if (thread_pool_wait(pool) == -1)
        err(1, "thread_pool_wait");
}

/* A whole number from 1 to max, and nothing behind it. */
static bool parse(const char *text, uint64_t max, uint64_t *number)
{
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0 &&
           *number >= 1 && *number <= max;
}

int main(int argc, char **argv)
{
    uint64_t workers = 2, jobs = 1000000, batch = UINT64_MAX;
    if (argc > 4 || (argc > 1 && !parse(argv[1], UINT_MAX, &workers)) ||
        (argc > 2 && !parse(argv[2], SIZE_MAX, &jobs)) ||
        (argc > 3 && !parse(argv[3], UINT64_MAX, &batch))) {
        fprintf(stderr, "usage: thread_pool [WORKERS [JOBS [BATCH]]]\n");
        return 2;
    }

    char *done = calloc(jobs, 1);
    if (done == NULL)
        err(1, "%" PRIu64 " jobs", jobs);
    struct thread_pool *pool = thread_pool_new((unsigned)workers);
    if (pool == NULL)
        err(1, "thread_pool_new");

    uint64_t start = now_ns(), cpu_start = cpu_ns();
    run_jobs(pool, done, jobs, batch);
    double wall = (double)(now_ns() - start);
    double cpu = (double)(cpu_ns() - cpu_start);
    thread_pool_free(pool);

    uint64_t count = 0;
    for (uint64_t i = 0; i < jobs; i++)
        count += (uint64_t)done[i];
    free(done);
    printf("%" PRIu64 " of %" PRIu64 " jobs done by %" PRIu64 " workers\n",
           count, jobs, workers);
    printf("%.0f jobs/s, %.0f ns of CPU time each\n", 1e9 * (double)jobs / wall,
           cpu / (double)jobs);
    if (fflush(stdout) == EOF)
        err(1, "standard output");
    return 0;
}
