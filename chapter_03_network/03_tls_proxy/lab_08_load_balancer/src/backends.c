#include "backends.h"
#include "timing.h"

int backends_choose(struct backends *backends, const struct http_head *request,
                    const struct sockaddr_in *client, uint64_t tried)
{
    return balancer_choose(backends->balancer, client, tried, now_ns());
}

void backends_started(struct backends *backends, int backend)
{
    balancer_started(backends->balancer, backend);
}

void backends_finished(struct backends *backends, int backend,
                       enum outcome outcome, int status, uint64_t elapsed_ns)
{
    balancer_finished(backends->balancer, backend, outcome, status, elapsed_ns,
                      now_ns());
}

const struct sockaddr_in *backends_address(const struct backends *backends,
                                           int backend)
{
    return balancer_address(backends->balancer, backend);
}
