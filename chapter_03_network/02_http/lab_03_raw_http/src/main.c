/*
 * Lab 3: raw_http, the server
 *
 * Goal: answer HTTP/1.1 requests on nothing but sockets, in one thread.
 *
 *     raw_http [--host ADDRESS] [--port PORT] [--timeout-ms MS]
 *
 * Requirements (the README has them in full):
 * 1. The parser in http.c does no I/O, the answers in resources.c neither.
 * 2. Connections are kept; requests that came together are answered in order.
 * 3. Request bodies are read, with a length or in chunks, up to a limit.
 * 4. Whoever breaks the rules gets a status, then the end, and no reset.
 * 5. A clock: whoever takes too long is told so, or closed.
 * 6. No client stops or ends the service of another.
 *
 * Hints:
 * - The command line, the listener, the signals, the loop and the bytes that
 *   are held are those of chapter 2, lab 6.
 * - A connection is in one of three states: it reads a head, it reads a body,
 *   or its last answer has been made.
 * - First one request and one answer, then the next request on the same
 *   connection, then many in one read.
 * - Stuck? make hint
 *
 * Verification:
 *     make test
 *     make run ARGS="--port 8080"      and then: curl -i 127.0.0.1:8080/
 *
 * Acceptance criteria:
 * [ ] make test passes all tests
 * [ ] the parser's result does not depend on how the bytes were cut
 * [ ] every malformed request in the table gets its status, and then the end
 * [ ] answers come in order; nobody waits for another client
 * [ ] no client can hold a connection for longer than its time, or make it cost
 *     more than its memory
 * [ ] curl, nc and wrk get what they expect
 */
#include "raw_http.h"
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

/* The structs and functions below are a suggestion. The tests see only the
 * program. */

enum {
    INPUT = 2 * HTTP_MAX_HEAD, /* a head, and room for bytes behind it */
    OUTPUT = 2 * MAX_BODY,     /* answers that leave together */
    EVENTS = 256,              /* taken from the kernel at once */
    MS = 1000000,              /* nanoseconds */
    RETRY_MS = 100,            /* without a descriptor, look again then */
    TIMEOUT_MS = 10000,        /* unless the command line says else */
    MAX_TIMEOUT_MS = 3600000,
};

struct options {
    const char *host;
    int port, timeout_ms;
};

enum state {
    READING_HEAD,
    READING_BODY,
    ENDING, /* the last answer has been made; what comes is thrown away */
};

struct connection {
    int fd;
    enum state state;
    uint64_t deadline_ns;
    struct connection *before, *behind; /* by deadline, the next one first */

    struct http_head head;
    struct http_chunked chunked;
    char *body; /* content of the request, if it is wanted, or NULL */
    size_t body_len;

    char *held; /* answers that wait to be sent, or NULL */
    size_t held_len, held_sent;

    /* What has been read: the request begins at start, and next is what has
     * not been taken of its body. */
    size_t start, next, end;
    char in[INPUT];
};

static struct {
    int epoll, listener, signals;
    struct sockaddr_in address; /* where it listens */
    bool accepting;             /* the listener is watched */
    uint64_t retry_ns;          /* or when it will be again */
    uint64_t now_ns, timeout_ns;
    struct connection connections; /* the ring's anchor, itself none */
    char out[OUTPUT];
    size_t out_len;
} server;

_Noreturn static void usage(void)
{
    fputs("usage: raw_http [--host ADDRESS] [--port PORT] [--timeout-ms MS]\n",
          stderr);
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

/* Takes the connection out of the ring, closes and frees it. */
static void connection_close(struct connection *connection)
{
    todo("connection_close");
}

/* Waits for events and handles them, until a signal has come: connections to
 * accept, requests to read, answers to send, time that is over. */
static void run(void)
{
    todo("run");
}

int main(int argc, char **argv)
{
    struct options options = parse_arguments(argc, argv);
    server.now_ns = now_ns();
    server.timeout_ns = (uint64_t)options.timeout_ms * MS;
    server.connections.before = server.connections.behind = &server.connections;
    server.signals = open_signals();
    server.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (server.epoll == -1)
        err(1, "epoll_create1");
    server.listener = open_listener(&options);
    todo("watch the listener and the signals, then say where it listens");
    run();
    struct connection *connection = server.connections.behind, *next;
    for (; connection != &server.connections; connection = next) {
        next = connection->behind;
        connection_close(connection);
    }
    close(server.listener);
    close(server.epoll);
    close(server.signals);
    return 0;
}
