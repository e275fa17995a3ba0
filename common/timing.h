/*
 * timing.h - two clocks for programs that measure themselves.
 *
 *     uint64_t start = now_ns();
 *     work();
 *     printf("%.1f ms\n", (now_ns() - start) / 1e6);
 *
 * Both count nanoseconds and cannot fail on Linux (clock_gettime(2)).
 */
#ifndef TIMING_H
#define TIMING_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Time on the wall, from a start nobody promises; never runs backwards. */
static inline uint64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

/* CPU time that all threads of this process have used. */
static inline uint64_t cpu_ns(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

#endif
