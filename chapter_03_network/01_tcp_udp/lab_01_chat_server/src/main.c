/*
 * Lab 1: chat_server
 *
 * Goal: what one client says, all others read, in one thread, and no client
 * can hold up, forge or end anything for the others.
 *
 *     chat_server [--port PORT]
 *
 * Requirements (README.md has them in full):
 * 1. The functions of chat_server.h, in framer.c: bytes into lines, without
 *    I/O; and what may be a nick.
 * 2. The server: [userN]: text to all others; arrivals, departures and nicks
 *    are announced; an id is never given twice.
 * 3. What a client does not take yet waits in the server, up to 256 KiB; then
 *    the client is dropped. Nobody else waits for it.
 * 4. A client may end with FIN or RST, or vanish: then the kernel is to find
 *    out (keepalive, TCP_USER_TIMEOUT).
 * 5. It serves 1,000 clients, sleeps with nothing to do, and survives when
 *    descriptors or memory run out.
 *
 * Hints:
 * - Write framer.c first, and pass tests 01 to 07. It never needs a socket.
 * - Every socket is non-blocking, and the thread sleeps in one place only.
 * - Do not send where a line arises: queue it for each client, and send each
 *   queue at the end of a turn of the loop. 1,000 arrivals are 500,000 lines,
 *   and they need not be as many calls.
 * - Do not free a client in the middle of a loop over all clients. Mark it, and
 *   remove it between two turns. To announce that may mark the next one.
 * - Stuck? make hint
 *
 * Verification:
 *     make test
 *     make run ARGS="--port 7007"      and then, twice: nc 127.0.0.1 7007
 *
 * Acceptance criteria:
 * [ ] make test passes all tests
 * [ ] no text and no nick can look like a line of the server or of another
 * [ ] whatever a client does or does not do, it costs bounded memory and keeps
 *     nobody waiting
 * [ ] every client that is gone is announced, however it went
 * [ ] one thread serves a thousand clients, and sleeps with nothing to do
 * [ ] you can say who finds out, and after how long, when a client's machine
 *     loses its power
 */
#include "chat_server.h"
#include "timing.h"
#include "todo.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MOST_WAITING = 256 * 1024, /* bytes that wait for one client */
};

/* The structs and functions below are a suggestion. The tests see only the
 * program and framer.c. */

struct client {
    int fd;
    bool gone; /* to be taken off the list */
    char name[sizeof("user18446744073709551615")];
    struct framer framer;
    char *queue; /* bytes that wait to be sent, or NULL */
    size_t queue_len, queue_size;
    struct client *next;
};

static struct {
    int listener, signals;
    int port; /* where it listens */
    unsigned long long last_id;
    struct client *clients;
    size_t count;
} server;

/* Closes and frees a client that is on the list no more. */
static void release(struct client *client)
{
    todo("release");
}

/*
 * Until a signal has come: waits for events; reads from clients; makes lines,
 * and puts them into the queues of those who receive them; accepts clients;
 * sends the queues; removes who is gone. Each of these is a function.
 */
static void run(void)
{
    todo("run");
}

_Noreturn static void usage(void)
{
    fputs("usage: chat_server [--port PORT]\n", stderr);
    exit(2);
}

/* Reads the command line; one that makes no sense ends in usage(). Returns the
 * port. */
static int parse_arguments(int argc, char **argv)
{
    todo("parse_arguments");
    usage();
}

/* Returns a socket that listens, and keeps in server.port where; if there is
 * none to be had, ends the program with a message. */
static int open_listener(int port)
{
    todo("open_listener");
}

/* Returns a descriptor that is readable when SIGTERM or SIGINT has come. */
static int open_signals(void)
{
    todo("open_signals");
}

int main(int argc, char **argv)
{
    int port = parse_arguments(argc, argv);
    server.signals = open_signals();
    server.listener = open_listener(port);
    printf("Listening on 127.0.0.1:%d\n", server.port);
    fflush(stdout);
    run();
    for (struct client *client = server.clients, *next; client; client = next) {
        next = client->next;
        release(client);
    }
    close(server.listener);
    close(server.signals);
    return 0;
}
