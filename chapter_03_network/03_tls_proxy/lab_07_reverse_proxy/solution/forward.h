/*
 * forward.h - one client, one backend, and what goes from one to the other.
 *
 *     struct worker worker = {.epoll = epoll_create1(EPOLL_CLOEXEC),
 *                             .backends = backends,
 *                             .timeout_ms = 30000};
 *     forward_open(&worker, accept4(…), &peer);
 *     for (;;) {
 *         int most_ms = forward_expire(&worker, now_ns());
 *         int count = epoll_wait(worker.epoll, events, EVENTS, most_ms);
 *         for (int i = 0; i < count; i++)
 *             forward_event(&worker, events[i].data.ptr);
 *         forward_sweep(&worker);
 *     }
 *     forward_close_all(&worker);
 *
 * A worker belongs to one thread. Only the backends are shared.
 */
#ifndef FORWARD_H
#define FORWARD_H

#include "reverse_proxy.h"

#include <stdbool.h>
#include <stdint.h>

enum { MAX_KEPT = 64 }; /* idle connections per backend and worker */

struct session;

/* A descriptor in epoll. */
struct endpoint {
    int fd;           /* -1 once it is closed */
    uint32_t watched; /* what epoll is asked for; 0: it is not in there */
    struct session *session; /* NULL: a backend's connection that is idle */
    struct endpoint *next;   /* of those that are closed */
};

/* A connection to a backend. */
struct upstream {
    struct endpoint end; /* first, for forward_event() */
    int backend;
    bool kept;             /* it has been used before */
    struct upstream *next; /* of those that are idle */
};

struct worker {
    int epoll;
    struct backends *backends;
    int timeout_ms;
    /* For a proxy that answers some requests itself: writes a whole response
     * with "Connection: close" and returns its length, or 0 for a request that
     * is for a backend. NULL: all of them are. */
    size_t (*answer)(const struct http_head *request, char *out, size_t size);
    bool draining;   /* forward_drain() was called */
    uint64_t now_ns; /* when epoll_wait returned */

    int num_clients;
    struct session *oldest, *newest; /* in the order of their last movement */
    struct upstream *idle[MAX_BACKENDS];
    int num_idle[MAX_BACKENDS];
    struct endpoint *closed; /* events may still name them until the sweep */
};

/* A client was accepted; fd is the worker's now. Without memory it is closed.
 * Returns false then. */
bool forward_open(struct worker *worker, int fd,
                  const struct sockaddr_in *peer);

/* Something can be done, or has happened, at an endpoint. It gets no events:
 * recv(2) and send(2) say what there is, and EAGAIN that there is nothing. */
void forward_event(struct worker *worker, struct endpoint *endpoint);

/* Ends what has not moved for timeout_ms. Returns the milliseconds until the
 * next one may be due, -1 if there is none. */
int forward_expire(struct worker *worker, uint64_t now_ns);

/* Frees what was closed, when no event can name it any more. */
void forward_sweep(struct worker *worker);

/* For a proxy that ends without cutting anything: closes the clients of which
 * no byte of a request has come, and the others after their response. When
 * num_clients is 0, all have gone. */
void forward_drain(struct worker *worker);

/* Closes all connections. */
void forward_close_all(struct worker *worker);

/* upstream.c: connections to backends. */

/* An idle connection to the backend, NULL if there is none. */
struct upstream *upstream_reuse(struct worker *worker, int backend);
/* A new one; it may still be connecting. NULL with the errno of socket(2),
 * connect(2) or malloc(3). */
struct upstream *upstream_connect(struct worker *worker, int backend);
/* Keeps it for later, if it can. */
void upstream_keep(struct worker *worker, struct upstream *upstream);
void upstream_close(struct worker *worker, struct upstream *upstream);
/* An idle one has something to say: that it is closed, most likely. */
void upstream_event(struct worker *worker, struct upstream *upstream);

/* Asks epoll for these events; 0 for none, not even for errors. */
bool endpoint_watch(struct worker *worker, struct endpoint *endpoint,
                    uint32_t events);
/* Closes it; it is freed by the sweep, with the struct that it begins. */
void endpoint_close(struct worker *worker, struct endpoint *endpoint);

#endif
