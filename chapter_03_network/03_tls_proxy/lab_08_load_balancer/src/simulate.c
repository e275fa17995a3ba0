/*
 * simulate.c - a model of ten backends. Each answers one request after the
 * other, within 1 to 19 ms; number 0 needs ten times as long. Requests come on
 * their own, whether the ones before are answered or not, from many clients.
 *
 * There is no clock and no chance in it: all numbers follow from the seed, so
 * two strategies meet the same requests, and two runs print the same.
 */
#include "simulate.h"
#include "load_balancer.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    BACKENDS = 10,
    SLOWER = 10,      /* backend 0 */
    MEAN_US = 10000,  /* of one answer of the others */
    REQUESTS = 40000, /* in each run */
    CLIENTS = 2000,
    SEED = 8,
};

struct request {
    uint64_t came_ns, done_ns;
};

struct queue {
    int first, len;
    struct request *requests; /* room for all there are */
};

struct result {
    int slow; /* requests that backend 0 got */
    uint64_t p50_ns, p99_ns;
};

/* 1 to 2 * mean - 1, all as likely: mean on average. */
static uint64_t draw_ns(uint64_t *random, uint64_t mean_us)
{
    return (1 + random_next(random) % (2 * mean_us - 1)) * 1000;
}

/* Answers whatever is answered until now. */
static void finish_until(struct balancer *balancer, struct queue *queues,
                         uint64_t now_ns, uint64_t *elapsed_ns, int *finished)
{
    for (;;) {
        struct request *next = NULL;
        int backend = 0;
        for (int i = 0; i < BACKENDS; i++) {
            struct request *head = &queues[i].requests[queues[i].first];
            if (queues[i].len > 0 && (!next || head->done_ns < next->done_ns)) {
                next = head;
                backend = i;
            }
        }
        if (!next || next->done_ns > now_ns)
            return;
        queues[backend].first++;
        queues[backend].len--;
        uint64_t took_ns = next->done_ns - next->came_ns;
        elapsed_ns[(*finished)++] = took_ns;
        balancer_finished(balancer, backend, ANSWERED, 200, took_ns,
                          next->done_ns);
    }
}

static void enqueue(struct queue *queue, uint64_t now_ns, uint64_t needs_ns)
{
    struct request *behind = &queue->requests[queue->first + queue->len];
    uint64_t begin_ns = queue->len > 0 ? behind[-1].done_ns : now_ns;
    *behind = (struct request){now_ns, begin_ns + needs_ns};
    queue->len++;
}

static int compare(const void *one, const void *other)
{
    uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
    return (a > b) - (a < b);
}

/* Requests come every gap_us, on average. */
static struct result run(struct balancer *balancer, struct queue *queues,
                         uint64_t *elapsed_ns, uint64_t gap_us)
{
    struct result result = {0};
    uint64_t random = SEED, now_ns = SECOND;
    int finished = 0;
    for (int i = 0; i < BACKENDS; i++)
        queues[i].first = queues[i].len = 0;
    for (int i = 0; i < REQUESTS; i++) {
        now_ns += draw_ns(&random, gap_us);
        uint64_t needs_ns = draw_ns(&random, MEAN_US);
        struct sockaddr_in client = {.sin_family = AF_INET};
        client.sin_addr.s_addr =
            htonl(0x0a000000 + (uint32_t)(random_next(&random) % CLIENTS));
        finish_until(balancer, queues, now_ns, elapsed_ns, &finished);
        int backend = balancer_choose(balancer, &client, 0, now_ns);
        balancer_started(balancer, backend);
        enqueue(&queues[backend], now_ns,
                backend == 0 ? needs_ns * SLOWER : needs_ns);
        result.slow += backend == 0;
    }
    finish_until(balancer, queues, UINT64_MAX, elapsed_ns, &finished);
    qsort(elapsed_ns, REQUESTS, sizeof(*elapsed_ns), compare);
    result.p50_ns = elapsed_ns[REQUESTS / 2];
    result.p99_ns = elapsed_ns[REQUESTS / 100 * 99];
    return result;
}

/* percent: of what all backends together can answer. WEIGHTED is told which
 * one is slow. */
static int try_strategy(enum strategy strategy, int percent,
                        struct result *result)
{
    struct balancer_options options = {
        .strategy = strategy, .seed = SEED, .count = BACKENDS};
    struct queue queues[BACKENDS] = {0};
    bool known = strategy == WEIGHTED;
    for (int i = 0; i < BACKENDS; i++) {
        options.backends[i].address.sin_family = AF_INET;
        options.backends[i].address.sin_port = htons((uint16_t)(8001 + i));
        options.backends[i].weight = known && i > 0 ? SLOWER : 1;
    }
    struct balancer *balancer = balancer_new(&options, SECOND);
    struct request *requests = malloc(sizeof(*requests) * REQUESTS * BACKENDS);
    uint64_t *elapsed_ns = malloc(sizeof(*elapsed_ns) * REQUESTS);
    bool enough = balancer && requests && elapsed_ns;
    for (int i = 0; i < BACKENDS && enough; i++)
        queues[i].requests = requests + (size_t)i * REQUESTS;
    /* Nine and a tenth backends. */
    int capacity = (BACKENDS - 1) * SLOWER + 1;
    if (enough)
        *result = run(balancer, queues, elapsed_ns,
                      (uint64_t)(MEAN_US * SLOWER * 100 / capacity / percent));
    free(elapsed_ns);
    free(requests);
    balancer_free(balancer);
    return enough ? 0 : -1;
}

static int print_table(void)
{
    printf("%-18s %12s %10s %12s   at 50 %% load\n", "strategy", "to the slow",
           "p50", "p99");
    for (enum strategy s = ROUND_ROBIN; s <= CONSISTENT_HASH; s++) {
        struct result result;
        if (try_strategy(s, 50, &result) == -1)
            return -1;
        printf("%-18s %10.2f %% %7.1f ms %9.1f ms\n", strategy_names[s],
               result.slow * 100.0 / REQUESTS, (double)result.p50_ns / 1e6,
               (double)result.p99_ns / 1e6);
    }
    return 0;
}

static int print_csv(void)
{
    printf("load");
    for (enum strategy s = ROUND_ROBIN; s <= CONSISTENT_HASH; s++)
        printf(",%s", strategy_names[s]);
    printf("\n");
    for (int percent = 5; percent <= 95; percent += 5) {
        printf("%d", percent);
        for (enum strategy s = ROUND_ROBIN; s <= CONSISTENT_HASH; s++) {
            struct result result;
            if (try_strategy(s, percent, &result) == -1)
                return -1;
            printf(",%.1f", (double)result.p99_ns / 1e6);
        }
        printf("\n");
    }
    return 0;
}

int simulate(bool csv)
{
    return csv ? print_csv() : print_table();
}
