/*
 * process_vs_thread.h - adds 1 + 2 + … + n with processes, and with threads.
 *
 *     uint64_t sum;
 *     if (sum_with_processes(1000, 4, sum_range, &sum) == -1)
 *         err(1, "sum_with_processes");
 *     printf("%" PRIu64 "\n", sum);
 *
 * Both functions cut 1…n into as many shares as there are workers, whose sizes
 * differ by at most one. When n is 0, the sum is 0; that is no error. What a
 * worker does with its share is a parameter: sum_range() adds it. The program
 * passes a function that measures memory, too, and the tests pass functions
 * that kill their process, say nothing, or never return.
 *
 * Nothing outlives a call: no process, no zombie, no thread, no descriptor, no
 * memory. Functions that fail return -1, set errno and write nothing into *sum.
 * No pointer may be NULL.
 */
#ifndef PROCESS_VS_THREAD_H
#define PROCESS_VS_THREAD_H

#include <stdint.h>

/* The largest n for which 1 + 2 + … + n fits into a uint64_t. */
#define SUM_N_MAX UINT64_C(6074000999)

/*
 * The work itself, and given: adds first, first + 1, …, last. Returns 0 when
 * last < first. `last` is at most SUM_N_MAX.
 *
 * The empty asm statement hides from the compiler what happens to `sum`: clang
 * would put the formula n * (n + 1) / 2 in place of the loop.
 */
static inline uint64_t sum_range(uint64_t first, uint64_t last)
{
    uint64_t sum = 0;
    for (uint64_t number = first; number <= last; number++) {
        sum += number;
        __asm__ volatile("" : "+r"(sum));
    }
    return sum;
}

/*
 * Stores in *sum what the calls of work() returned, added modulo 2^64.
 *
 * Each worker is a child process made by fork(2), and all of them work at the
 * same time. A worker calls work(first, last) for its share, sends the eight
 * bytes of what it returned through a pipe(2) or socketpair(2) of its own, with
 * write(2) or send(2), and ends with status 0. It ends by _exit(2): stdio
 * buffers and atexit(3) handlers are the caller's, a worker leaves them alone.
 * While it works, it has open what the caller had open before the call and the
 * end that it writes to, and nothing else.
 *
 * When n < num_workers, only n workers are needed. The others are not started,
 * or get an empty share: last is less than first, and work() returns 0.
 *
 * The caller takes the workers in the order of the shares: it reads the result,
 * waits for the end of this worker, and goes on to the next. (Or as results
 * come; but it must not wait for a share while a worker before it has failed,
 * be it after sending.) As soon as it knows that the call will fail, it kills
 * with SIGKILL those it has not waited for, and nobody else: their work may
 * have no end. Then it waits for each of them.
 *
 * Calls that a signal interrupted (EINTR) are made again, except close(2).
 * Other children of the caller are left alone: who waits for them gets their
 * status. The caller must not ignore SIGCHLD, and nobody else may wait for the
 * workers. If the caller has other threads, work() may do only what
 * signal-safety(7) allows.
 *
 * Returns 0, or -1 on error. The first one that is noticed counts:
 *   EINVAL     num_workers is 0; found out before anything else
 *   EOVERFLOW  n > SUM_N_MAX; found out before anything is taken or started
 *   ENOMEM     no memory
 *   EMFILE, …  errno as pipe(2) or socketpair(2) gave it
 *   EAGAIN, …  errno as fork(2) gave it; nothing is tried a second time
 *   EIO        a worker was killed by a signal, ended with a status other than
 *              0, or sent less than the eight bytes, whatever its status. Other
 *              errors of read(2) and waitpid(2) may be EIO, or what they are.
 */
int sum_with_processes(uint64_t n, unsigned num_workers,
                       uint64_t (*work)(uint64_t first, uint64_t last),
                       uint64_t *sum);

/*
 * The same with threads: started with pthread_create(3), all at work at the
 * same time, beside the caller. Each leaves its result where the caller finds
 * it; the caller ends them all with pthread_join(3).
 *
 * A thread cannot be killed without its process. When the k-th thread cannot be
 * created, those before it finish their share; the call waits for them, and
 * fails. And a thread that is killed takes the caller along.
 *
 * Returns 0, or -1 on error:
 *   EINVAL     num_workers is 0; found out before anything else
 *   EOVERFLOW  n > SUM_N_MAX; found out before anything is taken or started
 *   ENOMEM     no memory
 *   EAGAIN, …  as pthread_create(3) gave it; nothing is tried a second time
 */
int sum_with_threads(uint64_t n, unsigned num_workers,
                     uint64_t (*work)(uint64_t first, uint64_t last),
                     uint64_t *sum);

#endif
