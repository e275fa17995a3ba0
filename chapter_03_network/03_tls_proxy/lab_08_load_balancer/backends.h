/*
 * backends.h - what the forwarding asks about backends (reverse_proxy.h),
 * answered by a balancer, with now_ns() as the time.
 *
 *     struct backends backends = {balancer};
 *     struct worker worker = {.backends = &backends, …};
 */
#ifndef BACKENDS_H
#define BACKENDS_H

#include "load_balancer.h"

struct backends {
    struct balancer *balancer;
};

#endif
