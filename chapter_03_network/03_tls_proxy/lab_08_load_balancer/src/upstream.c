/*
 * upstream.c - connections to backends, and those that are kept for later.
 */
#include "forward.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

bool endpoint_watch(struct worker *worker, struct endpoint *endpoint,
                    uint32_t events)
{
    if (events == endpoint->watched)
        return true;
    int operation = events == 0              ? EPOLL_CTL_DEL
                    : endpoint->watched == 0 ? EPOLL_CTL_ADD
                                             : EPOLL_CTL_MOD;
    struct epoll_event event = {.events = events, .data.ptr = endpoint};
    if (epoll_ctl(worker->epoll, operation, endpoint->fd, &event) == -1)
        return false;
    endpoint->watched = events;
    return true;
}

void endpoint_close(struct worker *worker, struct endpoint *endpoint)
{
    close(endpoint->fd); /* epoll forgets it, too */
    endpoint->fd = -1;
    endpoint->next = worker->closed;
    worker->closed = endpoint;
}

struct upstream *upstream_reuse(struct worker *worker, int backend)
{
    struct upstream *upstream = worker->idle[backend];
    if (upstream) {
        worker->idle[backend] = upstream->next;
        worker->num_idle[backend]--;
    }
    return upstream;
}

struct upstream *upstream_connect(struct worker *worker, int backend)
{
    const struct sockaddr_in *address =
        backends_address(worker->backends, backend);
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1)
        return NULL;
    struct upstream *upstream = malloc(sizeof(*upstream));
    if (!upstream || (connect(fd, (const struct sockaddr *)address,
                              sizeof(*address)) == -1 &&
                      errno != EINPROGRESS && errno != EINTR)) {
        int error = errno;
        free(upstream);
        close(fd);
        errno = error;
        return NULL;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    *upstream = (struct upstream){.end.fd = fd, .backend = backend};
    return upstream;
}

void upstream_close(struct worker *worker, struct upstream *upstream)
{
    endpoint_close(worker, &upstream->end);
}

void upstream_keep(struct worker *worker, struct upstream *upstream)
{
    int backend = upstream->backend;
    upstream->kept = true;
    upstream->end.session = NULL;
    if (worker->num_idle[backend] == MAX_KEPT ||
        !endpoint_watch(worker, &upstream->end, EPOLLIN)) {
        upstream_close(worker, upstream);
        return;
    }
    upstream->next = worker->idle[backend];
    worker->idle[backend] = upstream;
    worker->num_idle[backend]++;
}

/* Nothing was asked, so whatever comes is the end of this connection. */
void upstream_event(struct worker *worker, struct upstream *upstream)
{
    struct upstream **link = &worker->idle[upstream->backend];
    while (*link != upstream)
        link = &(*link)->next;
    *link = upstream->next;
    worker->num_idle[upstream->backend]--;
    upstream_close(worker, upstream);
}
