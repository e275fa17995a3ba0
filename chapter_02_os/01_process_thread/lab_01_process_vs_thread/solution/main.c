/*
 * process_vs_thread - add 1 + 2 + … + n with processes and with threads.
 *
 * A process has to send its result, and may be killed; a thread leaves its
 * result in memory, and has to be waited for. The program is in program.c.
 */
#include "process_vs_thread.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

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

static int check(uint64_t n, unsigned num_workers)
{
    if (num_workers > 0 && n <= SUM_N_MAX)
        return 0;
    errno = num_workers == 0 ? EINVAL : EOVERFLOW;
    return -1;
}

/* Share number i of num_workers; the first ones have one number more. */
static struct share cut(uint64_t n, unsigned num_workers, unsigned i,
                        uint64_t (*work)(uint64_t first, uint64_t last))
{
    uint64_t size = n / num_workers, rest = n % num_workers;
    uint64_t first = 1 + i * size + (i < rest ? i : rest);
    return (struct share){first, first + size - 1 + (i < rest), work};
}

/* Writes all of the result. A write may be interrupted, and come short. */
static int send_result(int fd, uint64_t result)
{
    const char *bytes = (const char *)&result;
    for (size_t sent = 0; sent < sizeof result;) {
        ssize_t n = write(fd, bytes + sent, sizeof result - sent);
        if (n == -1 && errno != EINTR)
            return -1;
        sent += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* Reads all of the result. The end before that is an error. */
static int receive_result(int fd, uint64_t *result)
{
    char *bytes = (char *)result;
    for (size_t received = 0; received < sizeof *result;) {
        ssize_t n = read(fd, bytes + received, sizeof *result - received);
        if (n == 0)
            errno = EIO;
        if (n == 0 || (n == -1 && errno != EINTR))
            return -1;
        received += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* Starts process number i; those before it are running. */
static int start_process(struct process *processes, unsigned i,
                         struct share share)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) == -1)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        /* Everything open came along, also what belongs to the others. */
        for (unsigned before = 0; before < i; before++)
            close(processes[before].from);
        close(ends[0]);
        uint64_t result = share.work(share.first, share.last);
        _exit(send_result(ends[1], result) == -1 ? EXIT_FAILURE : EXIT_SUCCESS);
    }
    int error = errno;
    /* Now, or the next worker gets it, too: then the end of this one would not
     * be seen before the end of that one. */
    close(ends[1]);
    if (pid == -1) {
        close(ends[0]);
        errno = error;
        return -1;
    }
    processes[i] = (struct process){pid, ends[0]};
    return 0;
}

/* Waits for the end of a process. A bad end is an error. */
static int bury(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) == -1)
        if (errno != EINTR)
            return -1;
    if (status == 0)
        return 0;
    errno = EIO;
    return -1;
}

int sum_with_processes(uint64_t n, unsigned num_workers,
                       uint64_t (*work)(uint64_t first, uint64_t last),
                       uint64_t *sum)
{
    if (check(n, num_workers) == -1)
        return -1;
    struct process *processes = calloc(num_workers, sizeof *processes);
    if (processes == NULL)
        return -1;

    unsigned started = 0, ended = 0;
    uint64_t total = 0;
    int returned = -1;
    for (; started < num_workers; started++)
        if (start_process(processes, started,
                          cut(n, num_workers, started, work)) == -1)
            goto out;
    for (unsigned i = 0; i < num_workers; i++) {
        uint64_t result;
        if (receive_result(processes[i].from, &result) == -1)
            goto out;
        /* Before the next one, which may never end: this one may have failed
         * after it sent its result. */
        ended++;
        if (bury(processes[i].pid) == -1)
            goto out;
        total += result;
    }
    *sum = total;
    returned = 0;

out:;
    int error = errno;
    /* Nobody has waited for these: their pids are still theirs. */
    for (unsigned i = ended; i < started; i++)
        kill(processes[i].pid, SIGKILL);
    for (unsigned i = ended; i < started; i++)
        bury(processes[i].pid);
    for (unsigned i = 0; i < started; i++)
        close(processes[i].from);
    free(processes);
    errno = error;
    return returned;
}

static void *run_thread(void *argument)
{
    struct thread *thread = argument;
    thread->result =
        thread->share.work(thread->share.first, thread->share.last);
    return NULL;
}

int sum_with_threads(uint64_t n, unsigned num_workers,
                     uint64_t (*work)(uint64_t first, uint64_t last),
                     uint64_t *sum)
{
    if (check(n, num_workers) == -1)
        return -1;
    struct thread *threads = calloc(num_workers, sizeof *threads);
    if (threads == NULL)
        return -1;

    unsigned started = 0;
    int error = 0;
    for (; started < num_workers; started++) {
        struct thread *thread = &threads[started];
        thread->share = cut(n, num_workers, started, work);
        error = pthread_create(&thread->id, NULL, run_thread, thread);
        if (error != 0)
            break;
    }
    uint64_t total = 0;
    for (unsigned i = 0; i < started; i++) {
        pthread_join(threads[i].id, NULL);
        total += threads[i].result;
    }
    free(threads);

    if (error != 0) {
        errno = error;
        return -1;
    }
    *sum = total;
    return 0;
}
