/*
 * Lab 6: epoll_echo
 *
 * Goal: send every client its bytes back, in one thread that never waits for
 * any of them alone.
 *
 *     epoll_echo [--host ADDRESS] [--port PORT]
 *
 * Requirements (../echo/README.md and the lab's README have them in full):
 * 1. The server of lab 5, seen from outside; and it has one thread.
 * 2. Every descriptor is non-blocking. The thread sleeps in epoll_wait(2) and
 *    nowhere else.
 * 3. What a client does not take yet is held, and meanwhile nothing more is
 *    read from it: no client makes the server's memory grow.
 * 4. A client that never stops sending does not starve the others.
 * 5. With nothing to do the server sleeps, also while descriptors have run
 *    out.
 *
 * Hints:
 * - parse_arguments, log_peer and open_listener are those of lab 5, but for
 *   SOCK_NONBLOCK.
 * - First without holding anything: read, write, and hope. Then tests 09 to
 *   11.
 * - EAGAIN is no error: epoll_wait says when it is worth trying again. But a
 *   write that did nothing has sent 0 bytes, and all of them have to be kept.
 * - A pause ends at a time of the clock (now_ns()): the timeout of epoll_wait
 *   begins anew with each event.
 * - Ask for EPOLLOUT only while there is something to send.
 * - Stuck? make hint
 *
 * Verification:
 *     make test
 *     make run ARGS="--port 7007"      and then: nc 127.0.0.1 7007
 *
 * Acceptance criteria:
 * [ ] make test passes all tests
 * [ ] one thread serves five thousand clients
 * [ ] no client can hold up or end the service of another
 * [ ] whatever a client does, its connection costs bounded memory
 * [ ] a server with nothing to do sleeps
 */
#include "timing.h"
#include "todo.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BUFFER = 64 * 1024,
    EVENTS = 256,         /* taken from the kernel at once */
    RETRY_NS = 100000000, /* without a descriptor, look again after this */
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
    char *held; /* bytes that wait to go back, or NULL */
    size_t held_len, held_sent;
    struct connection *next, **link; /* link points here */
};

static struct {
    int epoll, listener, signals;
    struct sockaddr_in address; /* where it listens */
    bool accepting;             /* the listener is watched */
    uint64_t retry_at;          /* if it is not: when it will be again, in ns */
    struct connection *connections;
} server;

_Noreturn static void usage(void)
{
    fputs("usage: epoll_echo [--host ADDRESS] [--port PORT]\n", stderr);
    exit(2);
}

/* Reads the command line; one that makes no sense ends in usage(). */
static struct options parse_arguments(int argc, char **argv)
{
    todo("parse_arguments");
    usage();
}

/* Returns a socket that listens, and keeps in server.address where; if there
 * is none to be had, ends the program with a message. */
static int open_listener(const struct options *options)
{
    todo("open_listener");
}

/* Returns a descriptor that is readable when SIGTERM or SIGINT has come. */
static int open_signals(void)
{
    todo("open_signals");
}

/* Takes the connection off the list, closes, logs and frees it. */
static void connection_close(struct connection *connection)
{
    todo("connection_close");
}

/* Waits for events and handles them, until a signal has come: connections to
 * accept, bytes to read, room for bytes that are held. */
static void run(void)
{
    todo("run");
}

int main(int argc, char **argv)
{
    struct options options = parse_arguments(argc, argv);
    server.signals = open_signals();
    server.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (server.epoll == -1)
        err(1, "epoll_create1");
    server.listener = open_listener(&options);
    todo("watch the listener and the signals, then say where it listens");
    run();
    for (struct connection *c = server.connections, *next; c; c = next) {
        next = c->next;
        connection_close(c);
    }
    close(server.listener);
    close(server.epoll);
    close(server.signals);
    return 0;
}
