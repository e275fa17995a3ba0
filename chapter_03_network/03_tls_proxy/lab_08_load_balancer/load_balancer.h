/*
 * load_balancer.h - which backend gets the next request.
 *
 *     struct balancer_options options = {
 *         .strategy = LEAST_CONNECTIONS,
 *         .count = 2,
 *         .backends = {{.address = …, .weight = 1}, {…}},
 *     };
 *     struct balancer *balancer = balancer_new(&options, now_ns());
 *     int i = balancer_choose(balancer, &client, 0, now_ns());
 *     balancer_started(balancer, i);
 *     … forward the request to balancer_address(balancer, i) …
 *     balancer_finished(balancer, i, ANSWERED, 200, elapsed_ns, now_ns());
 *     balancer_free(balancer);
 *
 * Nothing here does I/O or looks at a clock. Every now_ns is the time in
 * nanoseconds, from a start that does not matter; it is more than 0, and never
 * runs backwards from one call to the next. Backends are numbered from 0, and
 * every number that is passed is one of a backend. One thread at a time.
 */
#ifndef LOAD_BALANCER_H
#define LOAD_BALANCER_H

#include "reverse_proxy.h" /* enum outcome, MAX_BACKENDS */

#include <stddef.h>
#include <stdint.h>

#define SECOND ((uint64_t)1000000000)

enum {
    MAX_WEIGHT = 100,
    FULL = 100, /* percent of its weight that a healthy backend has */

    CHECKS_DOWN = 3, /* checks failed in a row take a backend out */
    CHECKS_UP = 2,   /* checks passed in a row bring it back */

    EJECT_AFTER = 5,    /* requests failed in a row eject a backend */
    EJECT_PERCENT = 50, /* at most so many of the backends at a time */

    RETRY_PERCENT = 20, /* retries for each 100 requests */
    RETRY_MOST = 10,    /* retries that can be saved up */
};
#define EJECT_NS (10 * SECOND)       /* the first ejection; then it doubles */
#define EJECT_MOST_NS (160 * SECOND) /* up to this */
#define RETURN_NS (20 * SECOND)      /* from the return to the whole weight */

enum strategy {
    ROUND_ROBIN,       /* one after the other */
    WEIGHTED,          /* one after the other, by weight, evenly mixed */
    LEAST_CONNECTIONS, /* the one with the least to do, for its weight */
    TWO_CHOICES,       /* the better one of two drawn at random */
    CONSISTENT_HASH,   /* by client: a client stays where it is */
};
static const char *const strategy_names[] = {
    "round-robin", "weighted", "least-connections", "two-choices", "hash"};

struct balancer_options {
    enum strategy strategy;
    uint64_t seed;     /* TWO_CHOICES: where its random numbers begin */
    uint64_t check_ns; /* from check to check of a backend; 0: no checks */
    int count;         /* of backends: 1 to MAX_BACKENDS */
    struct {
        struct sockaddr_in address;
        int weight; /* 1 to MAX_WEIGHT */
    } backends[MAX_BACKENDS];
};

struct balancer;

/* Options are copied. All backends are there, with their whole weight, and have
 * nothing to do. With CONSISTENT_HASH no two of them may have the same address
 * and port. NULL with ENOMEM. */
struct balancer *balancer_new(const struct balancer_options *options,
                              uint64_t now_ns);
/* NULL is allowed. */
void balancer_free(struct balancer *balancer);

const struct sockaddr_in *balancer_address(const struct balancer *balancer,
                                           int backend);

/* Health. */

/*
 * What a backend counts for now:
 *
 *     0                while it is down (balancer_checked) or ejected
 *                      (balancer_finished)
 *     weight * FULL    otherwise,
 *     weight * P       but in the first RETURN_NS after it was: P is the
 *                      percentage of RETURN_NS that has passed, rounded down,
 *                      at least 1
 *
 * weight is 1 with ROUND_ROBIN, whatever the options say. A backend that was
 * down and ejected is back when both are over:
 *
 *     second    10        20        30        40        50        60
 *     down      |-------------------|
 *     ejected             |-------------------|
 *     P          0         0         0        1 ------- 50 ------ FULL
 *
 * A new balancer's backends have not been away: there is no slow start.
 */
int balancer_weight(const struct balancer *balancer, int backend,
                    uint64_t now_ns);

/*
 * Active checks: the caller asks which backend it should check, does so, and
 * tells what it saw.
 *
 * Returns a backend whose check is due (of several, the one that has been due
 * for longest; of equal ones, the lowest number), and counts it as being
 * checked, until balancer_checked(); -1 if none is. The first check of each is
 * due when the balancer is made, the next one check_ns after the call that
 * returned the backend, whenever that check ends. A backend that is being
 * checked is not returned: if it becomes due meanwhile, it is returned
 * afterwards, and has been due since then.
 */
int balancer_check_due(struct balancer *balancer, uint64_t now_ns);

/* When the next check is due, perhaps in the past, of the backends that are not
 * being checked; UINT64_MAX if all are, or without checks. */
uint64_t balancer_next_check(const struct balancer *balancer);

/* How the check went. CHECKS_DOWN that failed in a row: the backend is down.
 * CHECKS_UP that passed in a row: it is no longer, and comes back slowly, from
 * now on. While it is not down, checks that pass only end the row of failed
 * ones. A check ends no ejection. May be called without a check that was due,
 * and with check_ns == 0. */
void balancer_checked(struct balancer *balancer, int backend, bool passed,
                      uint64_t now_ns);

/* Requests. */

/*
 * Which backend gets this request, or -1. tried has bit 1 << i set for each
 * backend that has failed this request before: with tried != 0 this is a retry.
 *
 * Candidates are the backends with a weight above 0 (balancer_weight) that have
 * not been tried. Without any: -1.
 *
 * Retries have a budget: there are RETRY_MOST at the start, each call with
 * tried == 0 adds RETRY_PERCENT hundredths of one, up to RETRY_MOST, and each
 * retry costs one. If less than one is left, a retry gets -1. A call that finds
 * no candidate costs nothing and is counted nowhere (but with tried == 0 it
 * adds). Whatever the reason for -1: no credit has moved, no random number was
 * drawn.
 *
 * How a candidate is chosen; "weight" is balancer_weight() now:
 *
 * ROUND_ROBIN, WEIGHTED: every backend has a credit, 0 at the start. Each
 *     candidate gets its weight added; the one with the most credit is chosen
 *     (of equal ones, the lowest number), and pays the sum of all that was
 *     added. The credit of the others stays.
 * LEAST_CONNECTIONS: the least (active + 1) / weight, compared exactly. active
 *     is the number of requests that were started there and are not finished.
 *     Of equal ones the first behind the backend chosen last, upwards, then
 *     from 0 on; at the start backend 0 is the first.
 * TWO_CHOICES: two different candidates are drawn at random, each pair as
 *     likely as the others; of them, the lesser (active + 1) / weight, of equal
 *     ones either. A lone candidate is chosen. The numbers are those of
 *     random_next(), from the seed on: the same seed and the same calls make
 *     the same choices.
 * CONSISTENT_HASH: depends on the client's address (not its port) and on the
 *     candidates' addresses, ports and weights, and on nothing else; not on
 *     their order either. If a candidate goes away, its clients are spread over
 *     the others by weight, and no other client moves. If the weight of one
 *     grows, clients move to it from the others, and no other client moves.
 *     Among 10,000 clients a candidate's share is that of its weight, give or
 *     take a quarter of it.
 *
 * client is looked at with CONSISTENT_HASH alone; else it may be NULL.
 */
int balancer_choose(struct balancer *balancer, const struct sockaddr_in *client,
                    uint64_t tried, uint64_t now_ns);

/* The request is on its way to this backend. */
void balancer_started(struct balancer *balancer, int backend);

/*
 * It is over: exactly once for each balancer_started(). status is that of the
 * response, 0 if none came; elapsed_ns the time it took.
 *
 * A request has failed if its outcome is REFUSED, BROKEN or TIMED_OUT, or if
 * the answer's status is 502, 503 or 504: then the backend says that it cannot
 * serve. (500 says nothing about the next request.) ABANDONED is neither good
 * nor bad: it changes nothing but active.
 *
 * Passive ejection: when EJECT_AFTER or more have failed in a row, the backend
 * is ejected, unless more than EJECT_PERCENT of all backends would then be
 * ejected; the row goes on in that case, and the next failure asks again. An
 * ejection ends the row. Being down is something else: one that is down counts
 * among all, not among the ejected, and its requests belong to its row.
 * It lasts EJECT_NS, each further one of this backend twice as long as the one
 * before, up to EJECT_MOST_NS; EJECT_NS again if at least EJECT_MOST_NS have
 * passed since the end of the last one. At its end (now_ns == that time) the
 * backend is back, slowly.
 * What ends while its backend is ejected is counted (balancer_stats), but is
 * no part of a row.
 */
void balancer_finished(struct balancer *balancer, int backend,
                       enum outcome outcome, int status, uint64_t elapsed_ns,
                       uint64_t now_ns);

/*
 * Writes lines to out, without a NUL, and returns their length; -1 with ENOBUFS
 * if it is more than size (what out holds is then undefined). The first line:
 *
 *     strategy=round-robin retries=2 retries_refused=0
 *
 * Then one line for each backend: these eight words, a blank between them.
 *
 *     127.0.0.1:9001  up  weight=1  active=0
 *     answered=12  failed=2  ejections=0  mean_us=213
 *
 * retries: those that balancer_choose() granted, retries_refused: those it did
 * not for want of budget. The second word is "down" if the backend is down,
 * else "ejected" if it is ejected, "returning" if it is back for less than
 * RETURN_NS, else "up". weight is that of the options. answered counts ANSWERED
 * (of any status), failed REFUSED, BROKEN and TIMED_OUT, ejections how often it
 * was ejected. So a 503 is answered, not failed, though it is a failure in the
 * row. mean_us is the mean of elapsed_ns of those answered, in microseconds,
 * rounded down; 0 without any.
 */
ssize_t balancer_stats(const struct balancer *balancer, uint64_t now_ns,
                       char *out, size_t size);

/* Given: splitmix64, by Sebastiano Vigna. A bit changed in x changes half of
 * the bits of scramble(x). */
static inline uint64_t scramble(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static inline uint64_t random_next(uint64_t *state)
{
    return scramble(*state += 0x9e3779b97f4a7c15u);
}

#endif
