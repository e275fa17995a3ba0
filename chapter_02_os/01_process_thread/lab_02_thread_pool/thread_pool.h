/*
 * thread_pool.h - a fixed number of threads that run what they are given.
 *
 *     struct thread_pool *pool = thread_pool_new(4);
 *     if (pool == NULL)
 *         err(1, "thread_pool_new");
 *     for (int i = 0; i < 100; i++)
 *         if (thread_pool_submit(pool, resize, &images[i]) == -1)
 *             err(1, "thread_pool_submit");
 *     thread_pool_wait(pool);
 *     thread_pool_free(pool);
 *
 * A job is a call: a function and the argument for it. The threads that make
 * these calls are the workers. A job is queued until a worker takes it, and
 * running until its function returns; then it is done.
 *
 * The pool belongs to the one who made it; the threads that use it only borrow
 * it. The pool passes `arg` on as it is and never looks at what it points to:
 * that must live until the job is done, and it is never freed by the pool.
 * Functions that fail return -1 or NULL and set errno. A pool that is given to
 * a function is never NULL, but for thread_pool_free().
 */
#ifndef THREAD_POOL_H
#define THREAD_POOL_H

/* What is in it is up to you (src/thread_pool.c). */
struct thread_pool;

/*
 * Makes a pool and starts num_workers threads with pthread_create(3): exactly
 * so many, all of them here, and none later. While there is nothing to run,
 * they sleep in the kernel: they use no CPU time and do not look every now and
 * then. The caller frees the pool with thread_pool_free().
 *
 * Returns NULL on error, and then no thread is left and no memory is held:
 *   EINVAL  num_workers is 0
 *   ENOMEM  no memory
 *   EAGAIN  a thread could not be created; and every other error of
 *           pthread_create(3). Nothing is tried a second time.
 */
struct thread_pool *thread_pool_new(unsigned num_workers);

/*
 * Queues a job: one of the workers will call run(arg), once. Does not wait for
 * it, nor for room: the queue grows as long as there is memory. Any number of
 * threads may submit at once, and jobs may submit jobs to their own pool.
 *
 * Jobs are started in the order in which they were submitted, and no job stays
 * queued while a worker has nothing to run. What the submitter wrote to memory
 * before the call, the job sees.
 *
 * `run` returns when it is done; it does not end its thread with
 * pthread_exit(3).
 *
 * Returns 0, or -1 on error; then the job will not run, and nothing else has
 * changed:
 *   EINVAL  run is NULL
 *   ENOMEM  no memory
 */
int thread_pool_submit(struct thread_pool *pool, void (*run)(void *arg),
                       void *arg);

/*
 * Waits until no job is queued and none is running; returns at once if that is
 * so already. The caller sleeps meanwhile. A job counts until its function has
 * returned, so a job that submits jobs is waited for together with them, and
 * with those that they submit. Jobs that other threads submit during the call
 * may be waited for, too. What the jobs wrote to memory, the caller sees.
 *
 * Any number of threads may wait at once, and a job may wait for another pool.
 * Afterwards the pool is as it was before: it takes new jobs.
 *
 * Returns 0, or -1 on error:
 *   EDEADLK  the caller is a job of this very pool: it would wait for itself
 */
int thread_pool_wait(struct thread_pool *pool);

/*
 * Waits as thread_pool_wait() does, so that everything queued is run, and what
 * these jobs submit as well; all workers take part until the last job is done.
 * Then ends the workers, joins them, and frees the pool. Does nothing with
 * NULL.
 *
 * No other thread may be inside a call on this pool, or start one afterwards;
 * the jobs of the pool may, as long as they run. A job must not free its own
 * pool.
 */
void thread_pool_free(struct thread_pool *pool);

#endif
