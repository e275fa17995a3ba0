/*
 * Lab 7: reverse_proxy
 *
 * Goal: take HTTP requests, have them answered by backends, and show each side
 * honestly what became of the other.
 *
 *     reverse_proxy [--port PORT] [--threads N] [--timeout-ms MS]
 *                   --backend ADDRESS:PORT ...
 *
 * Requirements (README.md and reverse_proxy.h have them in full):
 * 1. Nothing is passed on but what was understood: heads and bodies are written
 *    anew, and a backend is asked only when a head is complete and good.
 * 2. Both directions stream, with backpressure: a session's memory is bounded.
 * 3. Round robin over the backends, with a counter that all threads share. A
 *    dead backend is tried around where a request may be repeated.
 * 4. Connections are kept on both sides.
 * 5. Nothing that a client or a backend does ends the proxy, or holds it up.
 *
 * Hints:
 * - heads.c and backends.c do no I/O. Begin there: tests 01 to 09.
 * - main.c is done but for the command line. forward.h says what it calls.
 * - One function that goes on as far as it can, called after every event, is
 *   simpler than a state for each thing that may be waited for.
 * - Read into a buffer only where it has room; write and see what is left.
 * - Stuck? make hint
 *
 * Verification:
 *     make test
 *     make run ARGS="--port 8080 --backend 127.0.0.1:8081"
 *
 * Acceptance criteria:
 * [ ] make test passes all tests
 * [ ] what reaches a backend is what was understood, and nothing else
 * [ ] a body of any size costs the same memory
 * [ ] a dead backend costs nobody a GET, and no POST is ever sent twice
 * [ ] a cut response looks cut
 * [ ] nothing that a client or a backend does ends the proxy
 */
#include "forward.h"
#include "reverse_proxy.h"
#include "timing.h"
#include "todo.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MAX_THREADS = 64,
    EVENTS = 256,   /* taken from the kernel at once */
    RETRY_MS = 100, /* without a free descriptor, look again after this */
};

struct options {
    int port, threads, timeout_ms;
    struct sockaddr_in backends[MAX_BACKENDS];
    int num_backends;
};

static struct {
    int listener, signals; /* shared by all threads */
} proxy;

_Noreturn static void usage(void)
{
    fputs("usage: reverse_proxy [--port PORT] [--threads N] [--timeout-ms MS] "
          "--backend ADDRESS:PORT ...\n",
          stderr);
    exit(2);
}

/* Reads the command line; one that makes no sense ends in usage(). */
static struct options parse_arguments(int argc, char **argv)
{
    todo("parse_arguments");
    usage();
}

/* Returns a socket that listens, and in *port where. */
static int open_listener(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)*port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof(address);
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
        bind(fd, (struct sockaddr *)&address, len) == -1 ||
        listen(fd, SOMAXCONN) == -1 ||
        getsockname(fd, (struct sockaddr *)&address, &len) == -1)
        err(1, "127.0.0.1:%d", *port);
    *port = ntohs(address.sin_port);
    return fd;
}

/* SIGTERM and SIGINT become readable on a descriptor. Nobody reads it, so every
 * thread sees it. */
static int open_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd == -1)
        err(1, "signalfd");
    return fd;
}

static bool start_accepting(struct worker *worker)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE,
                                .data.ptr = &proxy.listener};
    return epoll_ctl(worker->epoll, EPOLL_CTL_ADD, proxy.listener, &event) == 0;
}

static bool stop_accepting(struct worker *worker)
{
    return epoll_ctl(worker->epoll, EPOLL_CTL_DEL, proxy.listener, NULL) == 0;
}

/* Accepts one client. Returns false if that has to wait, for a descriptor or
 * for memory. */
static bool accept_one(struct worker *worker)
{
    struct sockaddr_in peer = {0};
    socklen_t len = sizeof(peer);
    int fd = accept4(proxy.listener, (struct sockaddr *)&peer, &len,
                     SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd != -1)
        return forward_open(worker, fd, &peer);
    return errno != EMFILE && errno != ENFILE && errno != ENOMEM &&
           errno != ENOBUFS;
}

/* Handles events until a signal has come. */
static void run(struct worker *worker)
{
    struct epoll_event events[EVENTS];
    uint64_t stopped_ns = 0; /* when accepting had to stop; 0: it goes on */
    for (;;) {
        int most_ms = forward_expire(worker, now_ns());
        if (stopped_ns && worker->now_ns - stopped_ns >= RETRY_MS * 1000000 &&
            start_accepting(worker))
            stopped_ns = 0;
        if (stopped_ns && (most_ms == -1 || most_ms > RETRY_MS))
            most_ms = RETRY_MS;
        int count = epoll_wait(worker->epoll, events, EVENTS, most_ms);
        if (count == -1 && errno != EINTR)
            err(1, "epoll_wait");
        worker->now_ns = now_ns();
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == &proxy.signals)
                return;
            if (events[i].data.ptr != &proxy.listener)
                forward_event(worker, events[i].data.ptr);
            else if (!accept_one(worker) && stop_accepting(worker))
                stopped_ns = worker->now_ns;
        }
        forward_sweep(worker);
    }
}

static void worker_open(struct worker *worker, struct backends *backends,
                        int timeout_ms)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &proxy.signals};
    *worker = (struct worker){.epoll = epoll_create1(EPOLL_CLOEXEC),
                              .backends = backends,
                              .timeout_ms = timeout_ms};
    if (worker->epoll == -1 ||
        epoll_ctl(worker->epoll, EPOLL_CTL_ADD, proxy.signals, &event) == -1 ||
        !start_accepting(worker))
        err(1, "epoll");
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    run(worker);
    forward_close_all(worker);
    close(worker->epoll);
    return NULL;
}

int main(int argc, char **argv)
{
    struct options options = parse_arguments(argc, argv);
    static struct worker workers[MAX_THREADS];
    pthread_t threads[MAX_THREADS];
    struct backends *backends =
        backends_new(options.backends, options.num_backends);
    if (!backends)
        err(1, "backends");
    proxy.signals = open_signals();
    proxy.listener = open_listener(&options.port);
    for (int i = 0; i < options.threads; i++)
        worker_open(&workers[i], backends, options.timeout_ms);
    for (int i = 1; i < options.threads; i++) {
        errno = pthread_create(&threads[i], NULL, work, &workers[i]);
        if (errno)
            err(1, "pthread_create");
    }
    printf("Listening on 127.0.0.1:%d\n", options.port);
    fflush(stdout); /* nothing can fail any more */
    work(&workers[0]);
    for (int i = 1; i < options.threads; i++)
        pthread_join(threads[i], NULL);
    backends_print(backends, stdout);
    backends_free(backends);
    close(proxy.listener);
    close(proxy.signals);
    return 0;
}
