/* Which backend is next: see reverse_proxy.h. */
#include "reverse_proxy.h"
#include "todo.h"

#include <arpa/inet.h>
#include <stdatomic.h>
#include <stdlib.h>

struct backend {
    struct sockaddr_in address;
    /* What do you count? */
};

struct backends {
    int count;
    struct backend list[];
};

struct backends *backends_new(const struct sockaddr_in *addresses, int count)
{
    todo("backends_new");
}

const struct sockaddr_in *backends_address(const struct backends *backends,
                                           int backend)
{
    return &backends->list[backend].address;
}

int backends_choose(struct backends *backends, const struct http_head *request,
                    const struct sockaddr_in *client, uint64_t tried)
{
    todo("backends_choose");
}

void backends_started(struct backends *backends, int backend)
{
    /* Round robin does not ask who is busy. */
}

void backends_finished(struct backends *backends, int backend,
                       enum outcome outcome, int status, uint64_t elapsed_ns)
{
    todo("backends_finished");
}

void backends_print(const struct backends *backends, FILE *file)
{
    todo("backends_print");
}

void backends_free(struct backends *backends)
{
    free(backends);
}
