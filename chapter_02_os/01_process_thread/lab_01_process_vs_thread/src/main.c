/*
 * Lab 1: process versus thread
 *
 * Goal: add the numbers from 1 to n with processes that send their results
 * through pipes, and with threads that leave them in memory.
 *
 * Requirements (process_vs_thread.h has them in full):
 * 1. sum_with_processes and sum_with_threads are in this file.
 * 2. A worker that dies, a fork or a pipe that fails, a result that comes in
 *    pieces: the right sum or an error, never a wrong sum.
 * 3. No process, zombie, thread, descriptor or memory is left behind, whatever
 *    the call returns.
 *
 * Hints:
 * - Begin with one process: pipe, fork, read, waitpid. Then make it a loop.
 * - Before you write fork(), say for each descriptor who has it afterwards.
 * - What is taken in a loop is given back in a loop: remember how far you got.
 * - The program in program.c is complete. It compares your two functions.
 * - Stuck? make hint
 *
 * Verification:
 *     make test
 *     make run ARGS="200000000 2"
 *
 * Acceptance criteria:
 * [ ] both sums are right, for any number of workers
 * [ ] the workers work at the same time
 * [ ] a worker that dies is an error, never a wrong sum
 * [ ] a call that fails kills the workers it has not waited for, nobody else,
 *     and waits for them
 * [ ] a worker touches nothing that belongs to the caller or to other workers
 * [ ] nothing is left behind: no process, zombie, thread, descriptor or memory
 * [ ] you can say why the writing end is closed before the next fork, and what
 *     hangs otherwise
 */
#include "process_vs_thread.h"

#include "todo.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* These structs are a proposal. Change them if you like. */

struct share {
    uint64_t first, last; /* of 1…n; nothing when last < first */
    uint64_t (*work)(uint64_t first, uint64_t last);
};

struct process {
    pid_t pid;
    int from; /* the end of its pipe that we read */
};

struct thread {
    pthread_t id;
    struct share share;
    uint64_t result;
};

int sum_with_processes(uint64_t n, unsigned num_workers,
                       uint64_t (*work)(uint64_t first, uint64_t last),
                       uint64_t *sum)
{
    todo("sum_with_processes");
}

int sum_with_threads(uint64_t n, unsigned num_workers,
                     uint64_t (*work)(uint64_t first, uint64_t last),
                     uint64_t *sum)
{
    todo("sum_with_threads");
}
