/*
 * Lab 5: blocking_echo
 *
 * Goal: send every client its bytes back, with a thread for each connection
 * and calls that block.
 *
 *     blocking_echo [--host ADDRESS] [--port PORT]
 *
 * Requirements (../echo/README.md and the lab's README have them in full):
 * 1. "Listening on IP:PORT" when clients can connect, then a line for each
 *    connection that begins and one for each that ends.
 * 2. Every byte comes back, in order, before the connection is closed.
 * 3. Every client has a thread of its own. It ends with its connection.
 * 4. Clients that vanish, that do not read, or for whom there is no
 *    descriptor, thread or memory, disturb nobody else.
 * 5. SIGTERM and SIGINT end the server with status 0, whatever its threads
 *    wait for.
 *
 * Hints:
 * - First make one client happy: parse_arguments, open_listener, log_peer,
 *   then accept_all with everything in one thread.
 * - Standard output is a pipe when tests run the server: dprintf(3), or
 *   fflush(3) after each line.
 * - sigwait(3) waits for a signal like for anything else, if all threads block
 *   it. shutdown(2) wakes threads that are inside accept, read and write.
 * - Stuck? make hint
 *
 * Verification:
 *     make test
 *     make run ARGS="--port 7007"      and then: nc 127.0.0.1 7007
 *
 * Acceptance criteria:
 * [ ] make test passes all tests, under ThreadSanitizer, too
 * [ ] every byte comes back, also behind a half-close
 * [ ] no client can hold up or end the service of another
 * [ ] a connection that has ended leaves no descriptor, memory or thread
 * [ ] the server ends cleanly while its threads wait for their clients
 */
#include "todo.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 64 * 1024 };

/* The structs and functions below are a suggestion. The tests see only the
 * program. */

struct options {
    const char *host;
    int port;
};

struct connection {
    int fd;
    struct sockaddr_in peer;
    struct connection *next, **link; /* link points here */
};

/* The lock guards everything but the listener and its address. */
static struct {
    int listener;
    struct sockaddr_in address; /* where it listens */
    pthread_mutex_t lock;
    pthread_cond_t ended; /* a connection is gone */
    struct connection *connections;
    bool stopping;
} server = {.lock = PTHREAD_MUTEX_INITIALIZER,
            .ended = PTHREAD_COND_INITIALIZER};

_Noreturn static void usage(void)
{
    fputs("usage: blocking_echo [--host ADDRESS] [--port PORT]\n", stderr);
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

/* The thread that says where the server listens, then accepts connections and
 * starts a thread for each, until the server stops. */
static void *accept_all(void *argument)
{
    todo("accept_all");
}

/* Wakes all threads and waits until they are done. */
static void stop(pthread_t acceptor)
{
    todo("stop");
}

int main(int argc, char **argv)
{
    struct options options = parse_arguments(argc, argv);
    todo("block SIGTERM and SIGINT");
    server.listener = open_listener(&options);
    pthread_t acceptor;
    errno = pthread_create(&acceptor, NULL, accept_all, NULL);
    if (errno != 0)
        err(1, "pthread_create");
    todo("wait for SIGTERM or SIGINT");
    stop(acceptor);
    return 0;
}
