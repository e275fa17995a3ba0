/*
 * backends.c - round robin. The threads share a counter and nothing else: each
 * takes a number, and whose number it is does not matter.
 */
#include "reverse_proxy.h"

#include <arpa/inet.h>
#include <stdatomic.h>
#include <stdlib.h>

struct backend {
    struct sockaddr_in address;
    atomic_ullong answered, failed;
};

struct backends {
    atomic_uint calls;
    int count;
    struct backend list[];
};

struct backends *backends_new(const struct sockaddr_in *addresses, int count)
{
    struct backends *backends =
        malloc(sizeof(*backends) + (size_t)count * sizeof(backends->list[0]));
    if (!backends)
        return NULL;
    atomic_init(&backends->calls, 0);
    backends->count = count;
    for (int i = 0; i < count; i++) {
        struct backend *backend = &backends->list[i];
        backend->address = addresses[i];
        atomic_init(&backend->answered, 0);
        atomic_init(&backend->failed, 0);
    }
    return backends;
}

const struct sockaddr_in *backends_address(const struct backends *backends,
                                           int backend)
{
    return &backends->list[backend].address;
}

int backends_choose(struct backends *backends, const struct http_head *request,
                    const struct sockaddr_in *client, uint64_t tried)
{
    unsigned count = (unsigned)backends->count;
    unsigned first = atomic_fetch_add(&backends->calls, 1) % count;
    for (unsigned i = 0; i < count; i++) {
        unsigned backend = (first + i) % count;
        if (!(tried >> backend & 1))
            return (int)backend;
    }
    return -1;
}

void backends_started(struct backends *backends, int backend)
{
    /* Round robin does not ask who is busy. */
}

void backends_finished(struct backends *backends, int backend,
                       enum outcome outcome, int status, uint64_t elapsed_ns)
{
    struct backend *one = &backends->list[backend];
    if (outcome != ABANDONED)
        atomic_fetch_add(outcome == ANSWERED ? &one->answered : &one->failed,
                         1);
}

void backends_print(const struct backends *backends, FILE *file)
{
    for (int i = 0; i < backends->count; i++) {
        const struct backend *backend = &backends->list[i];
        char host[INET_ADDRSTRLEN];
        inet_ntop(AF_INET, &backend->address.sin_addr, host, sizeof(host));
        fprintf(file, "%s:%d answered %llu, failed %llu\n", host,
                ntohs(backend->address.sin_port),
                atomic_load(&backend->answered), atomic_load(&backend->failed));
    }
}

void backends_free(struct backends *backends)
{
    free(backends);
}
