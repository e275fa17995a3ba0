/*
 * balancer.c - which backend gets the next request (load_balancer.h). The
 * structs and static functions are a suggestion; the tests see only what the
 * header shows.
 */
#include "load_balancer.h"
#include "todo.h"

#include <stdlib.h>

struct backend {
    struct sockaddr_in address;
    int weight;
    int active;
    int credit;   /* ROUND_ROBIN, WEIGHTED */
    uint64_t key; /* CONSISTENT_HASH: its address and port, scrambled */

    /* Active checks. Of these two rows one is 0. */
    bool down, checking;
    int checks_passed, checks_failed;
    uint64_t check_due_ns;
    uint64_t up_ns; /* when it was down last; 0: never */

    /* Passive ejection. */
    int row;                   /* requests failed in a row */
    uint64_t ejection_ns;      /* how long the last one was; 0: none */
    uint64_t ejected_until_ns; /* 0: never was */

    unsigned long long answered, failed, ejections;
    uint64_t elapsed_ns; /* of those answered */
};

struct balancer {
    enum strategy strategy;
    uint64_t random, check_ns;
    int last;  /* LEAST_CONNECTIONS: chosen last */
    int saved; /* retries, in hundredths */
    unsigned long long retries, retries_refused;
    int count;
    struct backend backends[];
};

/* Who may be chosen now, and with which weight; 0 for all others. */
struct candidates {
    int count, total;
    int weight[MAX_BACKENDS];
};

struct balancer *balancer_new(const struct balancer_options *options,
                              uint64_t now_ns)
{
    todo("balancer_new");
}

void balancer_free(struct balancer *balancer)
{
    free(balancer);
}

const struct sockaddr_in *balancer_address(const struct balancer *balancer,
                                           int backend)
{
    todo("balancer_address");
}

/* Health. */

int balancer_weight(const struct balancer *balancer, int backend,
                    uint64_t now_ns)
{
    todo("balancer_weight");
}

int balancer_check_due(struct balancer *balancer, uint64_t now_ns)
{
    todo("balancer_check_due");
}

uint64_t balancer_next_check(const struct balancer *balancer)
{
    todo("balancer_next_check");
}

void balancer_checked(struct balancer *balancer, int backend, bool passed,
                      uint64_t now_ns)
{
    todo("balancer_checked");
}

/* Requests. */

int balancer_choose(struct balancer *balancer, const struct sockaddr_in *client,
                    uint64_t tried, uint64_t now_ns)
{
    todo("balancer_choose");
}

void balancer_started(struct balancer *balancer, int backend)
{
    todo("balancer_started");
}

void balancer_finished(struct balancer *balancer, int backend,
                       enum outcome outcome, int status, uint64_t elapsed_ns,
                       uint64_t now_ns)
{
    todo("balancer_finished");
}

/* Statistics. */

ssize_t balancer_stats(const struct balancer *balancer, uint64_t now_ns,
                       char *out, size_t size)
{
    todo("balancer_stats");
}
