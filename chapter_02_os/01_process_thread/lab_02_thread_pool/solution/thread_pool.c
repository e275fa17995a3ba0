/*
 * thread_pool - a queue of jobs, and the threads that run them.
 *
 * One mutex guards everything. There are two things to wait for, and a
 * condition variable for each: a worker waits for a job, and whoever called
 * thread_pool_wait() waits for the last job to be done.
 *
 * The queue is a ring that doubles when it is full. It never blocks the
 * submitter: a job that waited for room in its own pool might hold the very
 * worker that would have made room.
 */
#include "thread_pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* A power of two, and so is every later capacity. */
enum { FIRST_CAPACITY = 64 };

struct job {
    void (*run)(void *arg);
    void *arg;
};

struct thread_pool {
    pthread_mutex_t mutex;    /* guards all but the workers */
    pthread_cond_t not_empty; /* a job was queued, or the pool closes */
    pthread_cond_t all_done;  /* no job is queued or running */
    bool closing;
    size_t unfinished; /* jobs queued or running */
    struct job *jobs;  /* the queue, a ring */
    size_t capacity;
    size_t oldest;        /* where the oldest job is in jobs[] */
    size_t queued;        /* jobs in the ring, from `oldest` on */
    unsigned num_workers; /* that run; used by the owner alone */
    pthread_t *workers;   /* the same */
};

/* The pool that this thread works for; NULL in all other threads. */
static _Thread_local struct thread_pool *own_pool;

static struct job take_oldest(struct thread_pool *pool)
{
    struct job job = pool->jobs[pool->oldest];
    pool->oldest = (pool->oldest + 1) & (pool->capacity - 1);
    pool->queued--;
    return job;
}

static void *work(void *arg)
{
    struct thread_pool *pool = arg;
    own_pool = pool;
    pthread_mutex_lock(&pool->mutex);
    for (;;) {
        /* A loop: another worker may have been faster, and a wait may end
         * without any signal. */
        while (pool->queued == 0 && !pool->closing)
            pthread_cond_wait(&pool->not_empty, &pool->mutex);
        if (pool->queued == 0)
            break;
        struct job job = take_oldest(pool);
        pthread_mutex_unlock(&pool->mutex);

        job.run(job.arg);

        pthread_mutex_lock(&pool->mutex);
        if (--pool->unfinished == 0)
            pthread_cond_broadcast(&pool->all_done);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

/* Ends the workers, as many as there are, and frees the pool. */
static void close_pool(struct thread_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    pool->closing = true;
    pthread_cond_broadcast(&pool->not_empty);
    pthread_mutex_unlock(&pool->mutex);
    for (unsigned i = 0; i < pool->num_workers; i++)
        pthread_join(pool->workers[i], NULL);

    pthread_cond_destroy(&pool->all_done);
    pthread_cond_destroy(&pool->not_empty);
    pthread_mutex_destroy(&pool->mutex);
    free(pool->workers);
    free(pool->jobs);
    free(pool);
}

/* Returns 0 or the number of an error. */
static int start_workers(struct thread_pool *pool, unsigned num_workers)
{
    if (pool->jobs == NULL || pool->workers == NULL)
        return ENOMEM;
    while (pool->num_workers < num_workers) {
        pthread_t *worker = &pool->workers[pool->num_workers];
        int error = pthread_create(worker, NULL, work, pool);
        if (error != 0)
            return error;
        pool->num_workers++;
    }
    return 0;
}

struct thread_pool *thread_pool_new(unsigned num_workers)
{
    if (num_workers == 0) {
        errno = EINVAL;
        return NULL;
    }
    struct thread_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL)
        return NULL;
    pool->capacity = FIRST_CAPACITY;
    pool->jobs = calloc(pool->capacity, sizeof *pool->jobs);
    pool->workers = calloc(num_workers, sizeof *pool->workers);
    /* With default attributes none of the three can fail on Linux. */
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->not_empty, NULL);
    pthread_cond_init(&pool->all_done, NULL);

    int error = start_workers(pool, num_workers);
    if (error != 0) {
        close_pool(pool);
        errno = error;
        return NULL;
    }
    return pool;
}

/* Makes a full ring twice as large. */
static int grow(struct thread_pool *pool)
{
    size_t capacity = pool->capacity;
    struct job *jobs = reallocarray(pool->jobs, 2 * capacity, sizeof *jobs);
    if (jobs == NULL)
        return -1;
    /* What stands before the oldest job is younger than all the others, so it
     * moves behind them. */
    memcpy(jobs + capacity, jobs, pool->oldest * sizeof *jobs);
    pool->jobs = jobs;
    pool->capacity = 2 * capacity;
    return 0;
}

int thread_pool_submit(struct thread_pool *pool, void (*run)(void *arg),
                       void *arg)
{
    if (run == NULL) {
        errno = EINVAL;
        return -1;
    }
    pthread_mutex_lock(&pool->mutex);
    if (pool->queued == pool->capacity && grow(pool) == -1) {
        pthread_mutex_unlock(&pool->mutex);
        errno = ENOMEM;
        return -1;
    }
    size_t place = (pool->oldest + pool->queued) & (pool->capacity - 1);
    pool->jobs[place] = (struct job){run, arg};
    pool->queued++;
    pool->unfinished++;
    /* One signal for each job: that the queue was not empty does not mean that
     * nobody sleeps. Without a sleeper it makes no system call. */
    pthread_cond_signal(&pool->not_empty);
    pthread_mutex_unlock(&pool->mutex);
    return 0;
}

int thread_pool_wait(struct thread_pool *pool)
{
    if (own_pool == pool) {
        errno = EDEADLK;
        return -1;
    }
    pthread_mutex_lock(&pool->mutex);
    while (pool->unfinished > 0)
        pthread_cond_wait(&pool->all_done, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
    return 0;
}

void thread_pool_free(struct thread_pool *pool)
{
    if (pool == NULL)
        return;
    /* First, because all workers are to stay: a job that still runs may submit
     * more than one of them can do. */
    thread_pool_wait(pool);
    close_pool(pool);
}
