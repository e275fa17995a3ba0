/*
 * proxy_test.h - a proxy between a client and backends that the test plays
 * itself.
 *
 *     struct backend b = backend_open();
 *     struct proxy *proxy = proxy_start(NULL, b.port);
 *     int client = client_connect(proxy->port);
 *     client_send(client, "GET /a HTTP/1.1\r\nHost: test\r\n\r\n");
 *     int backend = client_accept(b.listener);
 *     client_expect(backend, FORWARDED("GET /a", ""));
 *     client_send(backend, "HTTP/1.1 204 No Content\r\n\r\n");
 *     client_expect(client, "HTTP/1.1 204 No Content\r\n" VIA "\r\n");
 *     …
 *     proxy_end(proxy);
 */
#ifndef PROXY_TEST_H
#define PROXY_TEST_H

#include "test/client.h"
#include "test/http.h"
#include "test/process.h"
#include "test/program.h"
#include <sys/types.h>

/* What the proxy makes of a request of HTTP/1.1 with "Host: test" and the
 * given other fields. */
#define FORWARDED(method_and_path, fields)               \
    method_and_path " HTTP/1.1\r\nHost: test\r\n" fields \
                    "X-Forwarded-For: 127.0.0.1\r\n" VIA
#define VIA "Via: 1.1 proxy\r\n"
#define REQUEST(method_and_path) method_and_path " HTTP/1.1\r\nHost: test\r\n"

struct backend {
    int listener, port;
};

/* A backend that listens. */
struct backend backend_open(void);
/* One that refuses: its port is taken, and nobody listens there. */
struct backend backend_dead(void);
void backend_close(struct backend backend);
/* Nobody waits to be accepted. */
void backend_expect_unasked(struct backend backend);

struct proxy {
    struct program *program;
    pid_t pid;
    int port;
};

struct proxy_options {
    const char *timeout_ms, *threads; /* NULL: not given */
    const char *faults;               /* fault.h, in the proxy's own calls */
};

/* Starts a proxy in front of backends at these ports, up to eight. */
#define proxy_start(options, ...) \
    proxy_start_at(TEST_PLACE("start"), options, (int[]){__VA_ARGS__, 0})
struct proxy *proxy_start_at(struct test_place place,
                             const struct proxy_options *options,
                             const int *ports);
/* Stops it with SIGTERM: it must exit with 0. Returns what it printed. */
struct run proxy_end(struct proxy *proxy);
/* "127.0.0.1:PORT answered N, failed M\n" is a line of it. */
void assert_counts(struct run r, struct backend backend, int answered,
                   int failed);

/* All bytes until the end, or until a reset. *was_reset may be NULL. */
char *read_to_end(int fd, size_t *len, bool *was_reset);
/* Has the client's request go to the backend, and its answer come back. */
int round_trip(int client, struct backend backend);

/* Somebody listens there. */
bool can_connect(int port);
/* nginx as a backend, at the port of a dead one, in the working directory. */
struct program *nginx_start(int port, const char *locations);

/* Much at once. Socket buffers are made small, so that little is on its way. */
void narrow(int fd);
/* Sends an endless pattern, from its byte number `sent` on, until nothing more
 * is taken and the proxy sleeps. Returns how much has gone then. */
size_t flood(struct proxy *proxy, int fd, size_t sent, size_t most);
/* Sends the pattern from `sent` to len, and at the same time reads it, from its
 * start, at the other end. */
void transfer(int from, int to, size_t sent, size_t len);

#endif
