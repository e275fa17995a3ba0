/*
 * forward.c - one client, one backend, and what goes from one to the other.
 *
 * A session is a client's connection. It reads a request's head, asks a backend
 * (the exchange), and then moves bytes in both directions at the same time:
 *
 *     client  -> from_client  -> to_backend -> backend
 *     client <-  to_client   <- from_backend <- backend
 */
#include "forward.h"
#include "body.h"
#include "buffer.h"
#include "todo.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum state {
    IDLE,     /* waits for a request's head */
    EXCHANGE, /* a backend has been asked */
    LAST,     /* sends what to_client holds, and no more after it */
    LINGER,   /* waits for the client to close */
    CLOSED,   /* will be freed by the sweep */
};

struct session {
    struct endpoint client; /* first, for forward_event() */
    char address[INET_ADDRSTRLEN];
    struct sockaddr_in peer;
    struct session *older, *newer;
    uint64_t moved_ns;
    enum state state;

    /* The exchange: what must be known of it? */
    struct upstream *upstream;
    struct http_head request, response;
    struct body request_body, response_body;

    struct buffer from_client, to_backend, from_backend, to_client;
};

bool forward_open(struct worker *worker, int fd, const struct sockaddr_in *peer)
{
    todo("forward_open");
}

void forward_event(struct worker *worker, struct endpoint *endpoint)
{
    todo("forward_event");
}

int forward_expire(struct worker *worker, uint64_t now_ns)
{
    todo("forward_expire");
}

void forward_sweep(struct worker *worker)
{
    todo("forward_sweep");
}

void forward_close_all(struct worker *worker)
{
    todo("forward_close_all");
}
