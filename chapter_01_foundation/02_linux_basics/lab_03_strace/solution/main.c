/*
 * Lab 3: a program to look at with strace
 *
 * Goal: copy a file, sleep, and let three threads write, so that every step
 * is a system call one can point at.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER_SIZE = 4096, PAUSE_MS = 10, THREADS = 3 };

struct speaker {
    pthread_t thread;
    int number;
    int error; /* errno of a failed write, 0 if it worked */
};

/* A short write, or one cut off by a signal, only means: go on. */
static int write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1)
            return -1;
        bytes += n;
        len -= (size_t)n;
    }
    return 0;
}

static int copy_bytes(int from, const char *input, int to, const char *output)
{
    char buf[BUFFER_SIZE];
    for (;;) {
        ssize_t n = read(from, buf, sizeof(buf));
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1) {
            warn("%s", input);
            return -1;
        }
        if (n == 0)
            return 0;
        if (write_all(to, buf, (size_t)n) == -1) {
            warn("%s", output);
            return -1;
        }
    }
}

/* Says itself what went wrong, for only here is known with which file. */
static int copy_file(const char *input, const char *output)
{
    int from = open(input, O_RDONLY | O_CLOEXEC);
    if (from == -1) {
        warn("%s", input);
        return -1;
    }
    int status = -1;
    int to = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (to == -1) {
        warn("%s", output);
        goto out;
    }
    status = copy_bytes(from, input, to, output);
    /* Some file systems report a failed write only here (close(2), NOTES). */
    if (close(to) == -1 && status == 0) {
        warn("%s", output);
        status = -1;
    }
out:
    close(from);
    return status;
}

static void pause_ms(long ms)
{
    struct timespec rest = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&rest, &rest) == -1 && errno == EINTR)
        continue;
}

/* One write(2) for the whole line, so that no other thread comes between.
 * printf would only fill a buffer that all threads share. */
static void *speak(void *argument)
{
    struct speaker *self = argument;
    char line[32];
    int len = snprintf(line, sizeof(line), "thread %d\n", self->number);
    if (write_all(STDOUT_FILENO, line, (size_t)len) == -1)
        self->error = errno;
    return NULL;
}

static int run_threads(void)
{
    struct speaker speakers[THREADS] = {0};
    int started = 0;
    int status = 0;
    while (started < THREADS) {
        struct speaker *s = &speakers[started];
        s->number = started + 1;
        errno = pthread_create(&s->thread, NULL, speak, s);
        if (errno != 0) {
            warn("thread %d", s->number);
            status = -1;
            break;
        }
        started++;
    }
    for (int i = 0; i < started; i++) {
        pthread_join(speakers[i].thread, NULL);
        errno = speakers[i].error;
        if (errno != 0) {
            warn("standard output");
            status = -1;
        }
    }
    return status;
}

int main(int argc, char *argv[])
{
    if (argc != 3) {
        fprintf(stderr, "usage: strace_me INPUT OUTPUT\n");
        return 2;
    }
    /* A reader that has gone away is an error like any other: EPIPE. */
    signal(SIGPIPE, SIG_IGN);
    if (copy_file(argv[1], argv[2]) == -1)
        return 1;
    pause_ms(PAUSE_MS);
    return run_threads() == 0 ? 0 : 1;
}
