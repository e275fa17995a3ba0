/*
 * Lab 2: udp_echo
 *
 * Goal: send every datagram back to where it came from, with several threads
 * on one socket, and count what comes.
 *
 *     udp_echo [--host ADDRESS] [--port PORT] [--threads N]
 *
 * Requirements (README.md has them in full):
 * 1. One datagram back for each that came, with the same bytes: none is too
 *    small (0 bytes) or too large (65,507 bytes with IPv4, 65,527 with IPv6).
 * 2. N threads receive from one socket. One that is held up holds up nobody.
 * 3. SIGUSR1 prints "packets N, bytes N, clients N"; so does the end.
 * 4. A client is an address and a port. 1,024 of them are kept at most.
 * 5. No error of one datagram ends the server. What cannot be sent is
 *    dropped.
 * 6. SIGTERM and SIGINT end it with status 0.
 *
 * Hints:
 * - Begin with one thread, and without statistics: recvfrom, sendto, again.
 * - recvfrom(2) returns 0 for an empty datagram. That is no end.
 * - Block the signals before you start a thread: all threads inherit that.
 *   Then main can wait for them with sigwait(3).
 * - Counters that several threads change are atomic, or have a lock. A set of
 *   clients is more than a counter: it needs the lock.
 * - shutdown(2) wakes the threads that wait in recvfrom, although it fails.
 * - Stuck? make hint
 *
 * Verification:
 *     make test
 *     make run ARGS="--port 7007"      and then: nc -u 127.0.0.1 7007
 *
 * Acceptance criteria:
 * [ ] make test passes all tests, under ThreadSanitizer, too
 * [ ] every datagram comes back to its sender, one for one
 * [ ] the statistics are right, whatever number of threads counts
 * [ ] no number of clients makes the server's memory grow
 * [ ] nothing that one client does ends the server
 */
#include "todo.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MOST_THREADS = 64,
    MOST_CLIENTS = 1024,
};

/* The structs and functions below are a suggestion. The tests see only the
 * program. */

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

struct options {
    union address address;
    const char *host;
    int port;
    int threads;
};

static int server; /* the socket */

_Noreturn static void usage(void)
{
    fputs("usage: udp_echo [--host ADDRESS] [--port PORT] [--threads N]\n",
          stderr);
    exit(2);
}

/* Reads the command line; one that makes no sense ends in usage(). */
static struct options parse_arguments(int argc, char **argv)
{
    todo("parse_arguments");
    usage();
}

/* Returns a socket bound to the address; if there is none to be had, ends the
 * program with a message. */
static int open_socket(const struct options *options)
{
    todo("open_socket");
}

/* Says where the socket is bound: "Listening on 127.0.0.1:40321". */
static void print_address(void)
{
    todo("print_address");
}

static void print_statistics(void)
{
    todo("print_statistics");
}

/* A receiving thread: sends back and counts, until the server stops. */
static void *serve(void *argument)
{
    todo("serve");
}

static void start_threads(pthread_t *threads, int count)
{
    for (int i = 0; i < count; i++) {
        errno = pthread_create(&threads[i], NULL, serve, NULL);
        if (errno != 0)
            err(1, "pthread_create");
    }
}

/* Tells the threads to end, wakes those that wait, and joins them all. */
static void stop_threads(pthread_t *threads, int count)
{
    todo("stop_threads");
}

int main(int argc, char **argv)
{
    struct options options = parse_arguments(argc, argv);
    pthread_t threads[MOST_THREADS] = {0};
    todo("block the signals");

    server = open_socket(&options);
    start_threads(threads, options.threads);
    print_address();
    todo("wait for signals; SIGUSR1 prints statistics, the others end it");
    stop_threads(threads, options.threads);
    print_statistics();
    close(server);
    return 0;
}
