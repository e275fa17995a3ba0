/*
 * Lab 7: async_echo
 *
 * Goal: the echo server on libuv, the event loop under Node.js. The loop waits;
 * you write what happens when something has come.
 *
 * Requirements (../echo/README.md and README.md have them in full):
 * 1. async_echo [--host ADDRESS] [--port PORT]; the line "Listening on …" when
 *    clients can connect, and a line when each of them comes and goes.
 * 2. Every byte comes back, unchanged and in order, before the end does.
 * 3. A client that does not read is not read from: memory stays bounded.
 * 4. One thread serves all clients; nobody waits for another.
 * 5. No failure of one client ends the server, be it a reset, a missing
 *    descriptor or missing memory. SIGINT and SIGTERM end it with status 0.
 *
 * Hints:
 * - A callback must not block, and whatever it was given is libuv's.
 * - A handle is yours again in the callback of uv_close(), not before.
 * - uv_write() returns at once. Until its callback comes, request and bytes
 *   must stay where they are.
 * - In which order? README.md, Steps.
 *
 * Verification:
 *     make test
 *     make run ARGS="--port 7007"      and then: nc 127.0.0.1 7007
 *
 * Acceptance criteria:
 * [ ] make test passes all tests
 * [ ] no callback of yours ever waits
 * [ ] you know for every piece of memory when libuv lets go of it
 * [ ] you can say what happens, call by call, when a client does not read
 * [ ] no client can make the server grow, stop or spin
 */
#include "todo.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

enum {
    BACKLOG = 4096,
    BUFFER = 64 * 1024,
};

/* The structs and functions below are a suggestion. The tests see only the
 * program. */

struct options {
    const char *host;
    int port;
};

/* One of these for each client. handle->data is yours to point to it. */
struct connection {
    uv_tcp_t tcp;
    struct sockaddr_in peer;
    char *held; /* bytes that wait to go back, or NULL */
    uv_write_t write;
};

static struct {
    uv_loop_t loop;
    uv_tcp_t listener;
    uv_signal_t interrupt, terminate;
} server;

_Noreturn static void usage(void)
{
    fputs("usage: async_echo [--host ADDRESS] [--port PORT]\n", stderr);
    exit(2);
}

/* Reads the command line; one that makes no sense ends in usage(). */
static struct options parse_arguments(int argc, char **argv)
{
    todo("parse_arguments");
    usage();
}

/* libuv's errors are those of errno, negative. */
static void need(int result, const char *what)
{
    if (result < 0)
        errx(1, "%s: %s", what, strerror(-result));
}

/*
 * A client wants to connect: uv_accept() it, start reading.
 *
 * What else libuv will call, yours to write as well:
 *
 *     give_buffer(handle, wanted, buf)   where shall bytes go?
 *     on_read(stream, len, buf)          they are there, or the end is
 *     on_written(write, status)          what uv_write() was given has gone
 *     on_closed(handle)                  the handle is yours again
 */
static void on_connection(uv_stream_t *listener, int status)
{
    todo("on_connection");
}

/* uv_tcp_bind() before uv_listen(), uv_tcp_getsockname() after it. */
static void listen_at(const struct options *options)
{
    char name[INET_ADDRSTRLEN + sizeof(":65535")];
    snprintf(name, sizeof(name), "%s:%d", options->host, options->port);
    struct sockaddr_in address;
    uv_ip4_addr(options->host, options->port, &address);
    need(uv_tcp_init(&server.loop, &server.listener), name);
    todo("listen_at");
    need(uv_listen((uv_stream_t *)&server.listener, BACKLOG, on_connection),
         name);
}

/* A loop without handles has nothing to wait for, and uv_run() returns. */
static void on_signal(uv_signal_t *handle, int number)
{
    todo("on_signal");
}

int main(int argc, char **argv)
{
    struct options options = parse_arguments(argc, argv);
    setvbuf(stdout, NULL, _IOLBF, 0); /* each line is flushed */
    signal(SIGPIPE, SIG_IGN); /* a client that is gone is an error of write */
    need(uv_loop_init(&server.loop), "uv_loop_init");
    need(uv_signal_init(&server.loop, &server.interrupt), "uv_signal_init");
    need(uv_signal_init(&server.loop, &server.terminate), "uv_signal_init");
    need(uv_signal_start(&server.interrupt, on_signal, SIGINT), "SIGINT");
    need(uv_signal_start(&server.terminate, on_signal, SIGTERM), "SIGTERM");
    listen_at(&options);
    uv_run(&server.loop, UV_RUN_DEFAULT);
    uv_loop_close(&server.loop);
    return 0;
}
