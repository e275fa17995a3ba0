/*
 * Lab 8: uring_echo
 *
 * Goal: the echo server on io_uring. You do not ask what is ready and then act;
 * you say what is to be done, and learn what has been done.
 *
 * Requirements (../echo/README.md and README.md have them in full):
 * 1. uring_echo [--host ADDRESS] [--port PORT]; the line "Listening on …" when
 *    clients can connect, and a line when each of them comes and goes.
 * 2. Every byte comes back, unchanged and in order, before the end does.
 * 3. A client that does not read is not read from: memory stays bounded.
 * 4. One thread serves all clients; a system call serves many of them.
 * 5. No failure of one client ends the server, be it a reset, a missing
 *    descriptor or missing memory. SIGINT and SIGTERM end it with status 0.
 * 6. Where io_uring is forbidden it says so.
 *
 * Hints:
 * - Of each connection keep one operation under way: a receive or a send. Then
 *   you always know whose the buffer is.
 * - A queue is full one day: io_uring_get_sqe() returns NULL.
 * - An operation under way holds its descriptor and its buffer, whatever you
 *   close or free meanwhile.
 * - In which order? README.md, Steps.
 *
 * Verification:
 *     make test
 *     make run ARGS="--port 7007"      and then: nc 127.0.0.1 7007
 *
 * Acceptance criteria:
 * [ ] make test passes all tests
 * [ ] you know for every buffer when the kernel lets go of it
 * [ ] you can say which operations are under way when nothing happens
 * [ ] you can say what happens, completion by completion, when a client does
 *     not read
 * [ ] no client can make the server grow, stop or spin
 */
#include "todo.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BUFFER = 16 * 1024,
    ENTRIES = 4096, /* operations handed over with one system call, at most */
    RETRY_MS = 100, /* without a free descriptor, look again after this */
};

/* The structs and functions below are a suggestion. The tests see only the
 * program. */

struct options {
    const char *host;
    int port;
};

struct connection {
    int fd;
    struct sockaddr_in peer;
    bool sending; /* or receiving */
    size_t len, sent;
    struct connection *prev, *next;
    char buf[BUFFER];
};

/* What an operation is for, in its user_data: one of these, or the address of
 * its connection. */
enum { ACCEPT = 1, RETRY, SIGNAL };

static struct {
    struct io_uring ring;
    int listener, signals;
    struct sockaddr_in peer; /* of the accept that is under way */
    socklen_t peer_len;
} server;

_Noreturn static void usage(void)
{
    fputs("usage: uring_echo [--host ADDRESS] [--port PORT]\n", stderr);
    exit(2);
}

/* Reads the command line; one that makes no sense ends in usage(). */
static struct options parse_arguments(int argc, char **argv)
{
    todo("parse_arguments");
    usage();
}

/* Returns a socket that listens, and says where; if there is none to be had,
 * ends the program with a message. */
static int open_listener(const struct options *options)
{
    todo("open_listener");
}

/* Returns a descriptor that is readable when SIGTERM or SIGINT has come. */
static int open_signals(void)
{
    todo("open_signals");
}

/* io_uring_queue_init(3). Error: the line "uring_echo: io_uring: reason". */
static void open_ring(void)
{
    todo("open_ring");
}

/* Room in the queue for one more operation. A full queue is handed over
 * first. */
static struct io_uring_sqe *next_entry(void)
{
    todo("next_entry");
}

static void start_accept(void)
{
    struct io_uring_sqe *entry = next_entry();
    server.peer_len = sizeof(server.peer);
    io_uring_prep_accept(entry, server.listener,
                         (struct sockaddr *)&server.peer, &server.peer_len,
                         SOCK_CLOEXEC);
    entry->user_data = ACCEPT;
}

/* Takes one completion after the other, and starts what comes next. */
static void run(void)
{
    start_accept();
    todo("run");
}

int main(int argc, char **argv)
{
    struct options options = parse_arguments(argc, argv);
    setvbuf(stdout, NULL, _IOLBF, 0); /* each line is flushed */
    open_ring();
    server.signals = open_signals();
    server.listener = open_listener(&options);
    run();
    io_uring_queue_exit(&server.ring);
    close(server.listener);
    close(server.signals);
    return 0;
}
