/*
 * checks.h - asks backends how they are, on the worker's epoll.
 *
 *     checks_open(&checks, &worker, balancer, "/health", 1000);
 *     for (;;) {
 *         int most_ms = checks_run(&checks, now_ns());
 *         … epoll_wait …
 *         if (!checks_event(&checks, event.data.ptr, now_ns()))
 *             forward_event(&worker, event.data.ptr);
 *     }
 *     checks_close(&checks);
 *
 * A check is "GET PATH HTTP/1.1" on a connection of its own. It has passed
 * when the head of a final response has come whose status is 200 to 399, and
 * failed when the connection fails or ends before, or when the timeout is over.
 * One that cannot be made for want of a descriptor or of
 * memory is made again after that time, and says nothing about the backend.
 */
#ifndef CHECKS_H
#define CHECKS_H

#include "forward.h"
#include "load_balancer.h"

struct check {
    bool under_way;
    int fd; /* -1: there is no connection */
    bool asked;
    uint64_t begun_ns;
    size_t len;
    char bytes[HTTP_MAX_HEAD];
};

struct checks {
    int epoll;
    struct balancer *balancer;
    const char *path; /* NULL: no checks */
    uint64_t timeout_ns;
    struct check list[MAX_BACKENDS];
};

void checks_open(struct checks *checks, const struct worker *worker,
                 struct balancer *balancer, const char *path, int timeout_ms);

/* Begins the checks that are due, and ends those that are late. Returns the
 * milliseconds until it wants to be called again, -1 for never. */
int checks_run(struct checks *checks, uint64_t now_ns);

/* Returns false if this is no check's pointer. */
bool checks_event(struct checks *checks, const void *pointer, uint64_t now_ns);

void checks_close(struct checks *checks);

#endif
