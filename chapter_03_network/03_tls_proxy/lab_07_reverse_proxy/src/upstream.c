/*
 * upstream.c - connections to backends, and those that are kept for later.
 */
#include "forward.h"
#include "todo.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

bool endpoint_watch(struct worker *worker, struct endpoint *endpoint,
                    uint32_t events)
{
    todo("endpoint_watch");
}

void endpoint_close(struct worker *worker, struct endpoint *endpoint)
{
    todo("endpoint_close");
}

struct upstream *upstream_reuse(struct worker *worker, int backend)
{
    todo("upstream_reuse");
}

struct upstream *upstream_connect(struct worker *worker, int backend)
{
    todo("upstream_connect");
}

void upstream_close(struct worker *worker, struct upstream *upstream)
{
    todo("upstream_close");
}

void upstream_keep(struct worker *worker, struct upstream *upstream)
{
    todo("upstream_keep");
}

void upstream_event(struct worker *worker, struct upstream *upstream)
{
    todo("upstream_event");
}
