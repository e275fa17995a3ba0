/*
 * balancer.c - which backend gets the next request: those that may be chosen,
 * what they weigh now, and five ways to choose among them.
 */
#include "load_balancer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    struct balancer *balancer =
        malloc(sizeof(*balancer) +
               (size_t)options->count * sizeof(balancer->backends[0]));
    if (!balancer)
        return NULL;
    *balancer = (struct balancer){.strategy = options->strategy,
                                  .random = options->seed,
                                  .check_ns = options->check_ns,
                                  .last = options->count - 1,
                                  .saved = RETRY_MOST * 100,
                                  .count = options->count};
    for (int i = 0; i < options->count; i++) {
        struct sockaddr_in address = options->backends[i].address;
        uint64_t key = (uint64_t)address.sin_addr.s_addr << 16;
        balancer->backends[i] =
            (struct backend){.address = address,
                             .weight = options->backends[i].weight,
                             .key = scramble(key | address.sin_port),
                             .check_due_ns = now_ns};
    }
    return balancer;
}

void balancer_free(struct balancer *balancer)
{
    free(balancer);
}

const struct sockaddr_in *balancer_address(const struct balancer *balancer,
                                           int backend)
{
    return &balancer->backends[backend].address;
}

/* Health. */

static bool is_ejected(const struct backend *backend, uint64_t now_ns)
{
    return now_ns < backend->ejected_until_ns;
}

/* The percentage of its weight that a backend has. */
static int share(const struct backend *backend, uint64_t now_ns)
{
    if (backend->down || is_ejected(backend, now_ns))
        return 0;
    uint64_t returned = backend->up_ns > backend->ejected_until_ns
                            ? backend->up_ns
                            : backend->ejected_until_ns;
    if (returned == 0 || now_ns - returned >= RETURN_NS)
        return FULL;
    int percent = (int)((now_ns - returned) * 100 / RETURN_NS);
    return percent > 0 ? percent : 1;
}

int balancer_weight(const struct balancer *balancer, int backend,
                    uint64_t now_ns)
{
    const struct backend *one = &balancer->backends[backend];
    return share(one, now_ns) *
           (balancer->strategy == ROUND_ROBIN ? 1 : one->weight);
}

/* The backend whose next check is due first, NULL if all are being checked. */
static struct backend *first_due(const struct balancer *balancer)
{
    const struct backend *first = NULL;
    for (int i = 0; i < balancer->count && balancer->check_ns > 0; i++) {
        const struct backend *one = &balancer->backends[i];
        if (!one->checking &&
            (!first || one->check_due_ns < first->check_due_ns))
            first = one;
    }
    return (struct backend *)first;
}

int balancer_check_due(struct balancer *balancer, uint64_t now_ns)
{
    struct backend *due = first_due(balancer);
    if (!due || due->check_due_ns > now_ns)
        return -1;
    due->checking = true;
    due->check_due_ns = now_ns + balancer->check_ns;
    return (int)(due - balancer->backends);
}

uint64_t balancer_next_check(const struct balancer *balancer)
{
    const struct backend *due = first_due(balancer);
    return due ? due->check_due_ns : UINT64_MAX;
}

void balancer_checked(struct balancer *balancer, int backend, bool passed,
                      uint64_t now_ns)
{
    struct backend *one = &balancer->backends[backend];
    one->checking = false;
    one->checks_passed = passed ? one->checks_passed + 1 : 0;
    one->checks_failed = passed ? 0 : one->checks_failed + 1;
    if (one->checks_failed >= CHECKS_DOWN)
        one->down = true;
    if (one->down && one->checks_passed >= CHECKS_UP) {
        one->down = false;
        one->up_ns = now_ns;
    }
}

/* Strategies. All of them get at least one candidate. */

/* Candidate number n, from 0 on. */
static int candidate(const struct candidates *candidates, int n)
{
    int i = 0;
    while (candidates->weight[i] == 0 || n-- > 0)
        i++;
    return i;
}

static int most_credit(struct balancer *balancer,
                       const struct candidates *candidates)
{
    struct backend *backends = balancer->backends;
    int best = candidate(candidates, 0);
    for (int i = best; i < balancer->count; i++) {
        if (candidates->weight[i] == 0)
            continue;
        backends[i].credit += candidates->weight[i];
        if (backends[i].credit > backends[best].credit)
            best = i;
    }
    backends[best].credit -= candidates->total;
    return best;
}

/* (active + 1) / weight of i is less than that of j. */
static bool is_less_busy(const struct balancer *balancer,
                         const struct candidates *candidates, int i, int j)
{
    const struct backend *backends = balancer->backends;
    return (int64_t)(backends[i].active + 1) * candidates->weight[j] <
           (int64_t)(backends[j].active + 1) * candidates->weight[i];
}

static int least_busy(struct balancer *balancer,
                      const struct candidates *candidates)
{
    int best = -1;
    for (int n = 1; n <= balancer->count; n++) {
        int i = (balancer->last + n) % balancer->count;
        if (candidates->weight[i] > 0 &&
            (best == -1 || is_less_busy(balancer, candidates, i, best)))
            best = i;
    }
    balancer->last = best;
    return best;
}

static int better_of_two(struct balancer *balancer,
                         const struct candidates *candidates)
{
    unsigned count = (unsigned)candidates->count;
    if (count == 1)
        return candidate(candidates, 0);
    int one = (int)(random_next(&balancer->random) % count);
    int other = (int)(random_next(&balancer->random) % (count - 1));
    other += other >= one; /* any but the first */
    one = candidate(candidates, one);
    other = candidate(candidates, other);
    return is_less_busy(balancer, candidates, other, one) ? other : one;
}

/*
 * Rendezvous: client and backend together make a number, and the client goes
 * where it is greatest. So who else is there does not matter, unless it is
 * greater. u is uniform in (0, 1); -log(u) / weight is then the time of the
 * first event of a source with this rate, and which of several sources is the
 * first one goes by their rates.
 */
static int rendezvous(const struct balancer *balancer,
                      const struct candidates *candidates,
                      const struct sockaddr_in *client)
{
    int best = -1;
    double first = 0;
    for (int i = 0; i < balancer->count; i++) {
        if (candidates->weight[i] == 0)
            continue;
        uint64_t number = scramble(scramble(client->sin_addr.s_addr) ^
                                   balancer->backends[i].key);
        double u = ((double)(number >> 11) + 0.5) / (double)(1ull << 53);
        double time = -log(u) / candidates->weight[i];
        if (best == -1 || time < first) {
            best = i;
            first = time;
        }
    }
    return best;
}

static int choose(struct balancer *balancer,
                  const struct candidates *candidates,
                  const struct sockaddr_in *client)
{
    switch (balancer->strategy) {
    case LEAST_CONNECTIONS:
        return least_busy(balancer, candidates);
    case TWO_CHOICES:
        return better_of_two(balancer, candidates);
    case CONSISTENT_HASH:
        return rendezvous(balancer, candidates, client);
    default:
        return most_credit(balancer, candidates);
    }
}

static struct candidates find_candidates(const struct balancer *balancer,
                                         uint64_t tried, uint64_t now_ns)
{
    struct candidates candidates = {0};
    for (int i = 0; i < balancer->count; i++) {
        if (tried >> i & 1)
            continue;
        candidates.weight[i] = balancer_weight(balancer, i, now_ns);
        candidates.total += candidates.weight[i];
        candidates.count += candidates.weight[i] > 0;
    }
    return candidates;
}

int balancer_choose(struct balancer *balancer, const struct sockaddr_in *client,
                    uint64_t tried, uint64_t now_ns)
{
    struct candidates candidates = find_candidates(balancer, tried, now_ns);
    if (tried == 0) {
        balancer->saved += RETRY_PERCENT;
        if (balancer->saved > RETRY_MOST * 100)
            balancer->saved = RETRY_MOST * 100;
    }
    if (candidates.count == 0)
        return -1;
    if (tried != 0 && balancer->saved < 100) {
        balancer->retries_refused++;
        return -1;
    }
    if (tried != 0) {
        balancer->saved -= 100;
        balancer->retries++;
    }
    return choose(balancer, &candidates, client);
}

/* Requests. */

void balancer_started(struct balancer *balancer, int backend)
{
    balancer->backends[backend].active++;
}

static void eject(struct balancer *balancer, struct backend *backend,
                  uint64_t now_ns)
{
    int ejected = 1; /* with this one */
    for (int i = 0; i < balancer->count; i++)
        ejected += is_ejected(&balancer->backends[i], now_ns);
    if (ejected * 100 > balancer->count * EJECT_PERCENT)
        return;
    backend->ejection_ns *= 2;
    if (backend->ejection_ns > EJECT_MOST_NS)
        backend->ejection_ns = EJECT_MOST_NS;
    if (backend->ejection_ns == 0 ||
        now_ns - backend->ejected_until_ns >= EJECT_MOST_NS)
        backend->ejection_ns = EJECT_NS;
    backend->ejected_until_ns = now_ns + backend->ejection_ns;
    backend->ejections++;
    backend->row = 0;
}

void balancer_finished(struct balancer *balancer, int backend,
                       enum outcome outcome, int status, uint64_t elapsed_ns,
                       uint64_t now_ns)
{
    struct backend *one = &balancer->backends[backend];
    one->active--;
    if (outcome == ABANDONED)
        return;
    if (outcome == ANSWERED) {
        one->answered++;
        one->elapsed_ns += elapsed_ns;
    } else {
        one->failed++;
    }
    if (is_ejected(one, now_ns))
        return;
    bool failed = outcome != ANSWERED || (status >= 502 && status <= 504);
    one->row = failed ? one->row + 1 : 0;
    if (one->row >= EJECT_AFTER)
        eject(balancer, one, now_ns);
}

/* Statistics. */

struct writer {
    char *out;
    size_t len, size;
    bool full;
};

__attribute__((format(printf, 2, 3))) static void put(struct writer *writer,
                                                      const char *format, ...)
{
    char line[256];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    if ((size_t)len > writer->size - writer->len) {
        writer->full = true;
        return;
    }
    memcpy(writer->out + writer->len, line, (size_t)len);
    writer->len += (size_t)len;
}

static const char *state_name(const struct backend *backend, uint64_t now_ns)
{
    if (backend->down)
        return "down";
    if (is_ejected(backend, now_ns))
        return "ejected";
    return share(backend, now_ns) < FULL ? "returning" : "up";
}

ssize_t balancer_stats(const struct balancer *balancer, uint64_t now_ns,
                       char *out, size_t size)
{
    struct writer writer = {.size = size};
    writer.out = out;
    put(&writer, "strategy=%s retries=%llu retries_refused=%llu\n",
        strategy_names[balancer->strategy], balancer->retries,
        balancer->retries_refused);
    for (int i = 0; i < balancer->count; i++) {
        const struct backend *one = &balancer->backends[i];
        char host[INET_ADDRSTRLEN];
        inet_ntop(AF_INET, &one->address.sin_addr, host, sizeof(host));
        put(&writer,
            "%s:%d %s weight=%d active=%d answered=%llu failed=%llu "
            "ejections=%llu mean_us=%llu\n",
            host, ntohs(one->address.sin_port), state_name(one, now_ns),
            one->weight, one->active, one->answered, one->failed,
            one->ejections,
            one->answered
                ? (unsigned long long)(one->elapsed_ns / 1000 / one->answered)
                : 0);
    }
    if (writer.full) {
        errno = ENOBUFS;
        return -1;
    }
    return (ssize_t)writer.len;
}
