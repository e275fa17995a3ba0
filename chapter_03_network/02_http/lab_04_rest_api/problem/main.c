/*
 * Lab 4: rest_api
 *
 * Goal: a JSON API for items, with a framework: libmicrohttpd speaks HTTP,
 * jansson reads and writes JSON, and what is left is yours.
 *
 *     rest_api [--port PORT] [--threads N] [--max-items N]
 *
 * Requirements (rest_api.h and the README have them in full):
 * 1. The store in rest_api.c: create, list, get, replace, update, delete.
 *    JSON in, JSON or an error that names the member out; no HTTP.
 * 2. Any number of threads may call it at once.
 * 3. The program in this file: /items and /items/ID, with the methods, the
 *    statuses and the fields of the README.
 * 4. What is wrong with the head wins over what is wrong with the body.
 * 5. Requests that two readers read in two ways are refused, although
 *    libmicrohttpd lets them through.
 *
 * Hints:
 * - Begin with rest_api.c: tests 01 to 15 need nothing else.
 * - libmicrohttpd calls handle() several times for one request: when the head
 *   is there (*own is NULL), for each piece of the body (*data_len > 0), and at
 *   the end (*data_len == 0). What has to be remembered goes into *own.
 * - An answer that is queued at the first call closes the connection.
 * - Reading needs the lock, too.
 * - Stuck? make hint
 *
 * Verification:
 *     make test
 *     make run ARGS="--port 8080"    and then: curl -i 127.0.0.1:8080/items
 *
 * Acceptance criteria:
 * [ ] make test passes all tests
 * [ ] every error says what is wrong, and names the member that is
 * [ ] no item and no id is lost or given twice, whatever the threads do
 * [ ] a request ends in one place, whoever reads it
 * [ ] whatever a client does or sends, it costs bounded memory, and is freed
 * [ ] you can say what libmicrohttpd did for you, and what it let through
 */
#include "rest_api.h"
#include "todo.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MAX_BODY = 8192, /* bytes of a request's content */
    MAX_THREADS = 64,
    MOST_ITEMS = 10000,
    CONNECTIONS = 800, /* of all threads; more have to wait */
    TIMEOUT_S = 10,    /* a connection on which nothing happens is closed */
    /* Strict, 0.9.75 answers a request without Host with two heads. */
    STRICT = MHD_VERSION >= 0x01000000,
};

/* The structs and functions below are a suggestion. The tests see only the
 * program, and the functions of rest_api.h. */

struct options {
    int port, threads, max_items;
};

/* A request on its way: its content gathers here. */
struct request {
    bool too_large;
    size_t len;
    char body[MAX_BODY];
};

_Noreturn static void usage(void)
{
    fputs("usage: rest_api [--port PORT] [--threads N] [--max-items N]\n",
          stderr);
    exit(2);
}

/* Reads the command line; one that makes no sense ends in usage(). */
static struct options parse_arguments(int argc, char **argv)
{
    todo("parse_arguments");
    usage();
}

/* Returns a non-blocking socket that listens on 127.0.0.1, and stores the port
 * that it really has in *port; if there is none to be had, ends the program
 * with a message. */
static int open_listener(int asked, int *port)
{
    todo("open_listener");
}

/* Called by the threads of libmicrohttpd: once when the head is there, once for
 * each piece of content, once at the end. */
static enum MHD_Result handle(void *api, struct MHD_Connection *connection,
                              const char *path, const char *method,
                              const char *version, const char *data,
                              size_t *data_len, void **own)
{
    todo("handle");
}

int main(int argc, char **argv)
{
    struct options options = parse_arguments(argc, argv);
    int port;
    struct rest_api *api = rest_api_new((size_t)options.max_items);
    if (!api)
        err(1, "rest_api_new");
    todo("block SIGTERM and SIGINT in all threads");
    /* There are more options: for threads, connections, time, and the end of a
     * request. poll, not epoll: libmicrohttpd 0.9.75 with epoll does not see
     * that a client has gone in the middle of a request. */
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_POLL_INTERNAL_THREAD, 0, NULL, NULL, handle, api,
        MHD_OPTION_LISTEN_SOCKET, open_listener(options.port, &port),
        MHD_OPTION_STRICT_FOR_CLIENT, (int)STRICT, MHD_OPTION_END);
    if (!daemon)
        errx(1, "libmicrohttpd does not start");
    printf("Listening on 127.0.0.1:%d\n", port);
    fflush(stdout);
    todo("wait for a signal");
    MHD_stop_daemon(daemon); /* closes the listener, too */
    rest_api_free(api);
    return 0;
}
