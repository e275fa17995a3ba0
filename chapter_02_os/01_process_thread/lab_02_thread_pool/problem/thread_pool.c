/*
 * The pool of lab 2; its contract is in thread_pool.h.
 *
 * The structs are a proposal: a ring of jobs that doubles when it is full, a
 * mutex that guards it, and a condition variable for each of the two things
 * that one can wait for. Change them if you like.
 */
#include "thread_pool.h"

#include "todo.h"

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

struct thread_pool *thread_pool_new(unsigned num_workers)
{
    todo("thread_pool_new");
}

int thread_pool_submit(struct thread_pool *pool, void (*run)(void *arg),
                       void *arg)
{
    todo("thread_pool_submit");
}

int thread_pool_wait(struct thread_pool *pool)
{
    todo("thread_pool_wait");
}

void thread_pool_free(struct thread_pool *pool)
{
    todo("thread_pool_free");
}
