#include "load_balancer.h"
#include "malformed.h"
#include "proxy_test.h"
#include "test/fault.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Functions: tests 01 to 21. The clock is turned by hand. */

static uint64_t now = 1000 * SECOND;

static void pass(uint64_t ns)
{
    now += ns;
}

static struct sockaddr_in address(const char *host, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, host, &address.sin_addr);
    return address;
}

/* Backends 127.0.0.1:9001, :9002, … with these weights. */
#define make(how, ...)                                                 \
    make_with((struct balancer_options){.strategy = (how), .seed = 1}, \
              (const int[]){__VA_ARGS__, 0})

static struct balancer *make_with(struct balancer_options options,
                                  const int *weights)
{
    while (weights[options.count]) {
        int i = options.count++;
        options.backends[i].address = address("127.0.0.1", 9001 + i);
        options.backends[i].weight = weights[i];
    }
    struct balancer *balancer = balancer_new(&options, now);
    assert_non_null(balancer);
    /* It has a copy. */
    memset(&options, 0xff, sizeof(options));
    return balancer;
}

static int choose(struct balancer *balancer)
{
    return balancer_choose(balancer, NULL, 0, now);
}

/* So many choices in a row, as letters: "aab". */
static const char *choices(struct balancer *balancer, int count)
{
    static char letters[256];
    for (int i = 0; i < count; i++)
        letters[i] = (char)('a' + choose(balancer));
    letters[count] = '\0';
    return letters;
}

static void start_requests(struct balancer *balancer, int backend, int count)
{
    for (int i = 0; i < count; i++)
        balancer_started(balancer, backend);
}

static void finish(struct balancer *balancer, int backend, enum outcome outcome,
                   int status)
{
    balancer_finished(balancer, backend, outcome, status, 1000000, now);
}

static void request(struct balancer *balancer, int backend,
                    enum outcome outcome, int status)
{
    balancer_started(balancer, backend);
    finish(balancer, backend, outcome, status);
}

static void fail_requests(struct balancer *balancer, int backend, int count)
{
    for (int i = 0; i < count; i++)
        request(balancer, backend, REFUSED, 0);
}

static void check(struct balancer *balancer, int backend, bool passed,
                  int count)
{
    for (int i = 0; i < count; i++)
        balancer_checked(balancer, backend, passed, now);
}

static bool is_in(struct balancer *balancer, int backend)
{
    return balancer_weight(balancer, backend, now) > 0;
}

TEST(test_01_round_robin_takes_turns)
{
    struct balancer *balancer = make(ROUND_ROBIN, 1, 1, 1);
    assert_string_equal(choices(balancer, 7), "abcabca");
    balancer_free(balancer);
    /* Weights are for others, and so is who is busy. */
    balancer = make(ROUND_ROBIN, 5, 1);
    start_requests(balancer, 1, 9);
    assert_string_equal(choices(balancer, 6), "ababab");
    assert_int_equal(balancer_weight(balancer, 0, now), FULL);
    assert_int_equal(balancer_address(balancer, 1)->sin_port, htons(9002));
    balancer_free(balancer);
    balancer = make(ROUND_ROBIN, 1);
    assert_string_equal(choices(balancer, 3), "aaa");
    balancer_free(balancer);
    balancer_free(NULL);
}

TEST(test_02_weights_are_mixed_evenly)
{
    struct balancer *balancer = make(WEIGHTED, 5, 1, 1);
    assert_string_equal(choices(balancer, 14), "aabacaaaabacaa");
    assert_int_equal(balancer_weight(balancer, 0, now), 5 * FULL);
    balancer_free(balancer);
    balancer = make(WEIGHTED, 3, 2);
    assert_string_equal(choices(balancer, 10), "ababaababa");
    balancer_free(balancer);
}

TEST(test_03_least_connections_goes_where_there_is_least)
{
    struct balancer *balancer = make(LEAST_CONNECTIONS, 1, 1, 1);
    start_requests(balancer, 0, 2);
    start_requests(balancer, 1, 3);
    start_requests(balancer, 2, 1);
    assert_int_equal(choose(balancer), 2);
    start_requests(balancer, 2, 2);
    assert_int_equal(choose(balancer), 0);
    finish(balancer, 1, ANSWERED, 200);
    finish(balancer, 1, ABANDONED, 0);
    assert_int_equal(choose(balancer), 1);
    assert_int_equal(choose(balancer), 1);
    balancer_free(balancer);
}

TEST(test_04_equal_ones_take_turns)
{
    struct balancer *balancer = make(LEAST_CONNECTIONS, 1, 1, 1);
    /* Each is answered before the next one comes. */
    assert_string_equal(choices(balancer, 5), "abcab");
    /* a and c are equal, and b was chosen last: it is c's turn. */
    start_requests(balancer, 1, 1);
    assert_string_equal(choices(balancer, 4), "caca");
    balancer_free(balancer);
}

TEST(test_05_twice_the_weight_carries_twice_as_much)
{
    struct balancer *balancer = make(LEAST_CONNECTIONS, 3, 1);
    int got[2] = {0};
    for (int i = 0; i < 40; i++) {
        int backend = choose(balancer);
        balancer_started(balancer, backend);
        got[backend]++;
    }
    assert_int_equal(got[0], 30);
    /* (30 + 1) / 3 is more than (9 + 1) / 1, if only by a third. */
    finish(balancer, 1, ANSWERED, 200);
    assert_int_equal(choose(balancer), 1);
    balancer_free(balancer);
}

TEST(test_06_of_two_random_ones_the_less_busy_is_chosen)
{
    enum { N = 5, DRAWS = 10000 };
    struct balancer *balancer = make(TWO_CHOICES, 1, 1, 1, 1, 1);
    int got[N] = {0};
    for (int i = 0; i < N; i++)
        start_requests(balancer, i, 2 * i);
    for (int i = 0; i < DRAWS; i++)
        got[choose(balancer)]++;
    /* Of ten pairs, four have backend 0 in them, three more backend 1, … */
    for (int i = 0; i < N; i++) {
        assert_at_least(got[i], (N - 1 - i) * DRAWS / 10 - DRAWS / 40);
        assert_at_most(got[i], (N - 1 - i) * DRAWS / 10 + DRAWS / 40);
    }
    assert_int_equal(got[N - 1], 0); /* never against itself */
    balancer_free(balancer);

    /* With weights: 8 / 4 is less than 3 / 1. */
    balancer = make(TWO_CHOICES, 4, 1);
    start_requests(balancer, 0, 7);
    start_requests(balancer, 1, 2);
    assert_string_equal(choices(balancer, 8), "aaaaaaaa");
    balancer_free(balancer);
    balancer = make(TWO_CHOICES, 1);
    assert_string_equal(choices(balancer, 3), "aaa");
    balancer_free(balancer);
}

TEST(test_07_the_seed_makes_the_choices)
{
    struct balancer *balancers[3];
    const char *seen[3];
    for (int i = 0; i < 3; i++) {
        struct balancer_options options = {.strategy = TWO_CHOICES,
                                           .seed = i < 2 ? 42 : 43};
        balancers[i] =
            make_with(options, (const int[]){1, 1, 1, 1, 1, 1, 1, 1, 0});
        seen[i] = text("%s", choices(balancers[i], 100));
        balancer_free(balancers[i]);
    }
    assert_string_equal(seen[0], seen[1]);
    assert_string_not_equal(seen[0], seen[2]);
}

/* Where client number n is sent. */
static int home(struct balancer *balancer, int n)
{
    struct sockaddr_in client = address("10.0.0.0", 1 + n % 60000);
    client.sin_addr.s_addr = htonl(0x0a000000u + (unsigned)n);
    return balancer_choose(balancer, &client, 0, now);
}

enum { CLIENTS = 10000 };

static void find_homes(struct balancer *balancer, int *homes)
{
    for (int i = 0; i < CLIENTS; i++)
        homes[i] = home(balancer, i);
}

static int count_homes(const int *homes, int backend)
{
    int count = 0;
    for (int i = 0; i < CLIENTS; i++)
        count += homes[i] == backend;
    return count;
}

TEST(test_08_a_client_stays_where_it_is)
{
    struct balancer *balancer = make(CONSISTENT_HASH, 1, 1, 1, 1);
    static int homes[CLIENTS];
    find_homes(balancer, homes);
    for (int i = 0; i < 4; i++) {
        assert_at_least(count_homes(homes, i), CLIENTS / 4 * 3 / 4);
        assert_at_most(count_homes(homes, i), CLIENTS / 4 * 5 / 4);
    }
    start_requests(balancer, 0, 100);
    pass(SECOND);
    for (int i = 0; i < CLIENTS; i++) {
        struct sockaddr_in client = address("10.0.0.0", 1234);
        client.sin_addr.s_addr = htonl(0x0a000000u + (unsigned)i);
        if (balancer_choose(balancer, &client, 0, now) != homes[i])
            fail_msg("client %d went from backend %d to another", i, homes[i]);
    }
    balancer_free(balancer);

    balancer = make(CONSISTENT_HASH, 3, 1);
    find_homes(balancer, homes);
    assert_at_least(count_homes(homes, 1), CLIENTS / 4 * 3 / 4);
    assert_at_most(count_homes(homes, 1), CLIENTS / 4 * 5 / 4);
    balancer_free(balancer);
}

/* As make(CONSISTENT_HASH, 1, 1, 1, 1), but only three of the four. */
static struct balancer *make_three(const int numbers[3])
{
    struct balancer_options options = {.strategy = CONSISTENT_HASH, .count = 3};
    for (int i = 0; i < 3; i++) {
        options.backends[i].address = address("127.0.0.1", 9001 + numbers[i]);
        options.backends[i].weight = 1;
    }
    struct balancer *balancer = balancer_new(&options, now);
    assert_non_null(balancer);
    return balancer;
}

/* Nobody has moved who was not at this backend. */
static void expect_only_clients_of(int backend, const int *before,
                                   const int *after)
{
    for (int i = 0; i < CLIENTS; i++)
        if (before[i] != backend && after[i] != before[i])
            fail_msg("client %d moved from backend %d to %d for no reason", i,
                     before[i], after[i]);
}

TEST(test_09_only_clients_of_a_lost_backend_move)
{
    struct balancer *balancer = make(CONSISTENT_HASH, 1, 1, 1, 1);
    static int before[CLIENTS], after[CLIENTS];
    find_homes(balancer, before);
    balancer_free(balancer);
    static const int in_order[] = {0, 1, 3}, mixed[] = {3, 0, 1};
    balancer = make_three(in_order);
    for (int i = 0; i < CLIENTS; i++)
        after[i] = in_order[home(balancer, i)];
    balancer_free(balancer);
    expect_only_clients_of(2, before, after);
    /* Its clients are spread over all the others. */
    for (int i = 0; i < 4; i++)
        assert_at_most(count_homes(after, i), CLIENTS / 3 * 5 / 4);
    /* A place in the list is no name. */
    balancer = make_three(mixed);
    for (int i = 0; i < CLIENTS; i++)
        if (mixed[home(balancer, i)] != after[i])
            fail_msg("client %d: backend %d, in another order %d", i, after[i],
                     mixed[home(balancer, i)]);
    balancer_free(balancer);
}

TEST(test_10_who_has_failed_a_request_is_not_asked_again)
{
    struct sockaddr_in client = address("10.1.2.3", 7);
    for (enum strategy s = ROUND_ROBIN; s <= CONSISTENT_HASH; s++) {
        struct balancer *balancer = make(s, 1, 1, 1);
        int first = balancer_choose(balancer, &client, 0, now);
        uint64_t tried = 1u << first;
        int second = balancer_choose(balancer, &client, tried, now);
        assert_at_least(second, 0);
        assert_at_most(second, 2);
        assert_int_not_equal(second, first);
        tried |= 1u << second;
        assert_int_equal(balancer_choose(balancer, &client, tried, now),
                         3 - first - second);
        assert_int_equal(balancer_choose(balancer, &client, 7, now), -1);
        balancer_free(balancer);
        /* The highest number there is. */
        static const int sixty_four[MAX_BACKENDS + 1] = {
            1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
            1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
            1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
        struct balancer_options options = {.strategy = s};
        balancer = make_with(options, sixty_four);
        tried = ~((uint64_t)1 << 63);
        assert_int_equal(balancer_choose(balancer, &client, tried, now), 63);
        balancer_free(balancer);
    }
}

TEST(test_11_three_failed_checks_take_out_two_bring_back)
{
    struct balancer *balancer = make(ROUND_ROBIN, 1, 1);
    check(balancer, 1, false, CHECKS_DOWN - 1);
    check(balancer, 1, true, 1);
    check(balancer, 1, false, CHECKS_DOWN - 1);
    assert_true(is_in(balancer, 1));
    check(balancer, 1, false, 1);
    assert_false(is_in(balancer, 1));
    assert_string_equal(choices(balancer, 3), "aaa");
    check(balancer, 1, true, CHECKS_UP - 1);
    check(balancer, 1, false, 1);
    check(balancer, 1, true, CHECKS_UP - 1);
    assert_false(is_in(balancer, 1));
    check(balancer, 1, true, 1);
    assert_true(is_in(balancer, 1));
    /* A healthy one gains nothing. */
    assert_int_equal(balancer_weight(balancer, 0, now), FULL);
    check(balancer, 0, true, 10);
    assert_int_equal(balancer_weight(balancer, 0, now), FULL);
    /* All may be down: then there is nobody to ask. */
    check(balancer, 0, false, CHECKS_DOWN);
    check(balancer, 1, false, CHECKS_DOWN);
    assert_int_equal(choose(balancer), -1);
    balancer_free(balancer);
}

TEST(test_12_checks_are_due_at_their_time)
{
    struct balancer_options options = {.check_ns = 2 * SECOND};
    struct balancer *balancer = make_with(options, (const int[]){1, 1, 0});
    assert_int_equal(balancer_next_check(balancer), now);
    assert_int_equal(balancer_check_due(balancer, now), 0);
    pass(SECOND / 2);
    assert_int_equal(balancer_check_due(balancer, now), 1);
    assert_int_equal(balancer_check_due(balancer, now), -1);
    assert_true(balancer_next_check(balancer) == UINT64_MAX);
    balancer_checked(balancer, 1, true, now);
    balancer_checked(balancer, 0, true, now);
    assert_int_equal(balancer_next_check(balancer), now + SECOND * 3 / 2);
    pass(SECOND * 3 / 2 - 1);
    assert_int_equal(balancer_check_due(balancer, now), -1);
    /* Who has been due for longer comes first. */
    pass(SECOND);
    assert_int_equal(balancer_check_due(balancer, now), 0);
    /* Nobody is checked twice at a time, however late it is. */
    assert_int_equal(balancer_check_due(balancer, now), 1);
    pass(10 * SECOND);
    assert_int_equal(balancer_check_due(balancer, now), -1);
    balancer_checked(balancer, 1, false, now);
    assert_int_equal(balancer_next_check(balancer), now - 8 * SECOND);
    assert_int_equal(balancer_check_due(balancer, now), 1);
    balancer_free(balancer);
    /* Without checks none is ever due. */
    balancer = make(ROUND_ROBIN, 1, 1);
    assert_int_equal(balancer_check_due(balancer, now), -1);
    assert_true(balancer_next_check(balancer) == UINT64_MAX);
    balancer_free(balancer);
}

TEST(test_13_five_failures_in_a_row_eject)
{
    static const struct {
        enum outcome outcome;
        int status;
    } failures[] = {{REFUSED, 0},    {BROKEN, 200},   {TIMED_OUT, 0},
                    {ANSWERED, 502}, {ANSWERED, 503}, {ANSWERED, 504}};
    for (int i = 0; i < 6; i++) {
        struct balancer *balancer = make(ROUND_ROBIN, 1, 1, 1);
        fail_requests(balancer, 1, EJECT_AFTER - 1);
        assert_true(is_in(balancer, 1));
        request(balancer, 1, failures[i].outcome, failures[i].status);
        assert_false(is_in(balancer, 1));
        assert_string_equal(choices(balancer, 4), "acac");
        balancer_free(balancer);
    }
    static const int good[] = {200, 304, 404, 500, 501, 505};
    for (int i = 0; i < 6; i++) {
        struct balancer *balancer = make(ROUND_ROBIN, 1, 1, 1);
        fail_requests(balancer, 1, EJECT_AFTER - 1);
        request(balancer, 1, ANSWERED, good[i]);
        fail_requests(balancer, 1, EJECT_AFTER - 1);
        assert_true(is_in(balancer, 1));
        /* Nobody's fault: the row goes on as if nothing had been. */
        request(balancer, 1, ABANDONED, 0);
        assert_true(is_in(balancer, 1));
        fail_requests(balancer, 1, 1);
        assert_false(is_in(balancer, 1));
        balancer_free(balancer);
    }
}

/* Ejects a backend and returns how long that lasts, in seconds. */
static int eject(struct balancer *balancer, int backend)
{
    uint64_t begin = now;
    assert_true(is_in(balancer, backend));
    fail_requests(balancer, backend, EJECT_AFTER);
    assert_false(is_in(balancer, backend));
    while (!is_in(balancer, backend))
        pass(SECOND);
    assert_false(balancer_weight(balancer, backend, now - 1) > 0);
    return (int)((now - begin) / SECOND);
}

TEST(test_14_each_ejection_is_longer)
{
    struct balancer *balancer = make(ROUND_ROBIN, 1, 1);
    assert_int_equal(eject(balancer, 1), 10);
    assert_int_equal(eject(balancer, 1), 20);
    request(balancer, 1, ANSWERED, 200);
    pass(EJECT_MOST_NS - 1);
    assert_int_equal(eject(balancer, 1), 40);
    assert_int_equal(eject(balancer, 0), 10); /* each for itself */
    assert_int_equal(eject(balancer, 1), 80);
    assert_int_equal(eject(balancer, 1), 160);
    assert_int_equal(eject(balancer, 1), 160);
    assert_int_equal(eject(balancer, 1), 160);
    /* It has been well for long. */
    pass(EJECT_MOST_NS);
    assert_int_equal(eject(balancer, 1), 10);
    assert_int_equal(eject(balancer, 1), 20);
    balancer_free(balancer);
}

TEST(test_15_at_most_half_are_ejected)
{
    struct balancer *balancer = make(ROUND_ROBIN, 1, 1, 1, 1, 1);
    for (int i = 0; i < 5; i++)
        fail_requests(balancer, i, EJECT_AFTER);
    for (int i = 0; i < 5; i++)
        assert_int_equal(is_in(balancer, i), i >= 2);
    /* Their row has gone on: one more failure is enough when there is room. */
    pass(EJECT_NS);
    fail_requests(balancer, 4, 1);
    assert_false(is_in(balancer, 4));
    balancer_free(balancer);
    /* A lone one never is. One of two is. */
    balancer = make(ROUND_ROBIN, 1);
    fail_requests(balancer, 0, 3 * EJECT_AFTER);
    assert_int_equal(balancer_weight(balancer, 0, now), FULL);
    balancer_free(balancer);
    balancer = make(ROUND_ROBIN, 1, 1);
    fail_requests(balancer, 0, EJECT_AFTER);
    fail_requests(balancer, 1, EJECT_AFTER);
    assert_false(is_in(balancer, 0));
    assert_true(is_in(balancer, 1));
    balancer_free(balancer);
    /* Who is down is not ejected, but one of all. */
    balancer = make(ROUND_ROBIN, 1, 1, 1, 1);
    for (int i = 0; i < 4; i++) {
        if (i < 2)
            check(balancer, i, false, CHECKS_DOWN);
        else
            fail_requests(balancer, i, EJECT_AFTER);
        assert_false(is_in(balancer, i));
    }
    balancer_free(balancer);
}

TEST(test_16_what_ends_during_an_ejection_is_no_row)
{
    struct balancer *balancer = make(ROUND_ROBIN, 1, 1);
    start_requests(balancer, 1, 3 * EJECT_AFTER);
    for (int i = 0; i < EJECT_AFTER; i++)
        finish(balancer, 1, TIMED_OUT, 0);
    assert_false(is_in(balancer, 1));
    /* These were on their way when it was ejected: once is enough. */
    for (int i = 0; i < EJECT_AFTER; i++)
        finish(balancer, 1, TIMED_OUT, 0);
    pass(EJECT_NS);
    assert_true(is_in(balancer, 1));
    for (int i = 0; i < EJECT_AFTER - 1; i++)
        finish(balancer, 1, TIMED_OUT, 0);
    assert_true(is_in(balancer, 1));
    finish(balancer, 1, TIMED_OUT, 0);
    assert_false(is_in(balancer, 1));
    balancer_free(balancer);
}

TEST(test_17_who_returns_begins_with_little)
{
    struct balancer *balancer = make(WEIGHTED, 1, 4);
    assert_int_equal(balancer_weight(balancer, 1, now), 400);
    fail_requests(balancer, 1, EJECT_AFTER);
    pass(EJECT_NS - 1);
    assert_int_equal(balancer_weight(balancer, 1, now), 0);
    pass(1);
    assert_int_equal(balancer_weight(balancer, 1, now), 4);
    pass(RETURN_NS / 100 * 2 - 1);
    assert_int_equal(balancer_weight(balancer, 1, now), 4);
    pass(1);
    assert_int_equal(balancer_weight(balancer, 1, now), 8);
    pass(RETURN_NS / 100 * 48);
    assert_int_equal(balancer_weight(balancer, 1, now), 200);
    pass(RETURN_NS / 2 - 1);
    assert_int_equal(balancer_weight(balancer, 1, now), 396);
    pass(1);
    assert_int_equal(balancer_weight(balancer, 1, now), 400);
    /* Down, and ejected in addition: back when both are over. */
    check(balancer, 1, false, CHECKS_DOWN);
    fail_requests(balancer, 1, EJECT_AFTER);
    pass(SECOND);
    check(balancer, 1, true, CHECKS_UP);
    assert_int_equal(balancer_weight(balancer, 1, now), 0);
    pass(2 * EJECT_NS - SECOND);
    assert_int_equal(balancer_weight(balancer, 1, now), 4);
    /* And down alone. */
    check(balancer, 1, false, CHECKS_DOWN);
    pass(100 * SECOND);
    check(balancer, 1, true, CHECKS_UP);
    pass(RETURN_NS / 4);
    assert_int_equal(balancer_weight(balancer, 1, now), 100);
    /* That is half of all: 100 of 100 + 100. */
    const char *seen = choices(balancer, 100);
    int got = 0;
    for (int i = 0; i < 100; i++)
        got += seen[i] == 'b';
    assert_int_equal(got, 50);
    balancer_free(balancer);
    /* 1 / 1 is more than 100 / 100, and less than 101 / 100. */
    for (int i = 0; i < 2; i++) {
        balancer = make(i ? TWO_CHOICES : LEAST_CONNECTIONS, 1, 1);
        fail_requests(balancer, 1, EJECT_AFTER);
        pass(EJECT_NS);
        start_requests(balancer, 0, 98);
        assert_int_equal(choose(balancer), 0);
        start_requests(balancer, 0, 2);
        assert_int_equal(choose(balancer), 1);
        balancer_free(balancer);
    }
}

TEST(test_18_its_clients_come_back_little_by_little)
{
    struct balancer *balancer = make(CONSISTENT_HASH, 1, 1, 1, 1);
    static int before[CLIENTS], after[CLIENTS];
    find_homes(balancer, before);
    check(balancer, 2, false, CHECKS_DOWN);
    find_homes(balancer, after);
    expect_only_clients_of(2, before, after);
    assert_int_equal(count_homes(after, 2), 0);
    check(balancer, 2, true, CHECKS_UP);
    pass(RETURN_NS / 2);
    find_homes(balancer, after);
    expect_only_clients_of(2, before, after);
    /* 50 of 350. */
    assert_at_least(count_homes(after, 2), CLIENTS / 7 * 3 / 4);
    assert_at_most(count_homes(after, 2), CLIENTS / 7 * 5 / 4);
    pass(RETURN_NS / 2);
    find_homes(balancer, after);
    assert_memory_equal(after, before, sizeof(before));
    balancer_free(balancer);
}

static bool retry(struct balancer *balancer)
{
    return balancer_choose(balancer, NULL, 1, now) != -1;
}

TEST(test_19_retries_have_a_budget)
{
    struct balancer *balancer = make(ROUND_ROBIN, 1, 1);
    for (int i = 0; i < RETRY_MOST; i++)
        assert_true(retry(balancer));
    assert_false(retry(balancer));
    /* One for five requests; time alone brings none. */
    pass(1000 * SECOND);
    for (int i = 0; i < 4; i++)
        choose(balancer);
    assert_false(retry(balancer));
    choose(balancer);
    assert_true(retry(balancer));
    assert_false(retry(balancer));
    /* More than RETRY_MOST cannot be saved. */
    for (int i = 0; i < 10 * RETRY_MOST; i++)
        choose(balancer);
    /* There is nobody to ask: that costs nothing. */
    for (int i = 0; i < 5; i++)
        assert_int_equal(balancer_choose(balancer, NULL, 3, now), -1);
    for (int i = 0; i < RETRY_MOST; i++)
        assert_true(retry(balancer));
    assert_false(retry(balancer));
    /* A request that nobody gets adds, too. */
    for (int i = 0; i < 2; i++)
        check(balancer, i, false, CHECKS_DOWN);
    for (int i = 0; i < 5; i++)
        assert_int_equal(choose(balancer), -1);
    check(balancer, 1, true, CHECKS_UP);
    assert_true(retry(balancer));
    assert_false(retry(balancer));
    balancer_free(balancer);
    /* A retry that was refused was nobody's turn. */
    balancer = make(ROUND_ROBIN, 1, 1, 1);
    for (int i = 0; i < RETRY_MOST; i++)
        assert_true(retry(balancer));
    assert_false(retry(balancer));
    assert_string_equal(choices(balancer, 3), "abc");
    balancer_free(balancer);
}

static const char *stats(const struct balancer *balancer)
{
    static char out[4096];
    ssize_t len = balancer_stats(balancer, now, out, sizeof(out) - 1);
    assert_at_least(len, 1);
    out[len] = '\0';
    return out;
}

TEST(test_20_statistics_say_what_happened)
{
    struct balancer *balancer = make(WEIGHTED, 1, 2, 3);
    assert_string_equal(
        stats(balancer),
        "strategy=weighted retries=0 retries_refused=0\n"
        "127.0.0.1:9001 up weight=1 active=0 answered=0 failed=0 "
        "ejections=0 mean_us=0\n"
        "127.0.0.1:9002 up weight=2 active=0 answered=0 failed=0 "
        "ejections=0 mean_us=0\n"
        "127.0.0.1:9003 up weight=3 active=0 answered=0 failed=0 "
        "ejections=0 mean_us=0\n");
    for (int i = 0; i < RETRY_MOST + 2; i++)
        retry(balancer);
    balancer_choose(balancer, NULL, 7, now); /* nobody is left */
    start_requests(balancer, 0, 5);
    balancer_finished(balancer, 0, ANSWERED, 200, 1000999, now);
    balancer_finished(balancer, 0, ANSWERED, 503, 2000999, now);
    balancer_finished(balancer, 0, ABANDONED, 0, 9000000, now);
    balancer_finished(balancer, 0, BROKEN, 200, 9000000, now);
    fail_requests(balancer, 1, EJECT_AFTER + 1);
    check(balancer, 2, false, CHECKS_DOWN);
    check(balancer, 2, true, CHECKS_UP);
    const char *first =
        "127.0.0.1:9001 up weight=1 active=1 answered=2 failed=1 "
        "ejections=0 mean_us=1500\n";
    assert_string_equal(
        stats(balancer),
        text("strategy=weighted retries=10 retries_refused=2\n%s"
             "127.0.0.1:9002 ejected weight=2 active=0 answered=0 failed=6 "
             "ejections=1 mean_us=0\n"
             "127.0.0.1:9003 returning weight=3 active=0 answered=0 failed=0 "
             "ejections=0 mean_us=0\n",
             first));
    check(balancer, 1, false, CHECKS_DOWN);
    pass(RETURN_NS);
    const char *all =
        text("strategy=weighted retries=10 retries_refused=2\n%s"
             "127.0.0.1:9002 down weight=2 active=0 answered=0 failed=6 "
             "ejections=1 mean_us=0\n"
             "127.0.0.1:9003 up weight=3 active=0 answered=0 failed=0 "
             "ejections=0 mean_us=0\n",
             first);
    assert_string_equal(stats(balancer), all);
    /* Just enough room, and one byte less. */
    size_t len = strlen(all);
    char *out = malloc(len);
    assert_int_equal(balancer_stats(balancer, now, out, len), len);
    assert_memory_equal(out, all, len);
    assert_fails(balancer_stats(balancer, now, out, len - 1), ENOBUFS);
    assert_fails(balancer_stats(balancer, now, out, 0), ENOBUFS);
    free(out);
    balancer_free(balancer);
}

TEST(test_21_without_memory_there_is_no_balancer)
{
    struct balancer_options options = {.count = 1};
    options.backends[0].address = address("127.0.0.1", 9001);
    options.backends[0].weight = 1;
    for (int i = 1; i <= 3; i++) {
        fault(text("malloc:error=ENOMEM:when=%d,calloc:error=ENOMEM:when=%d", i,
                   i));
        errno = 0;
        struct balancer *balancer = balancer_new(&options, now);
        if (fault_hits() > 0) {
            assert_null(balancer);
            assert_int_equal(errno, ENOMEM);
        }
        fault_clear();
        balancer_free(balancer);
    }
}

/* The program: tests 22 and on. */

#define start_balancer(...) start_faulty(NULL, __VA_ARGS__)
#define start_faulty(faults, ...)         \
    start_at(TEST_PLACE("start"), faults, \
             (const char *const[]){__VA_ARGS__, NULL})

static struct proxy start_at(struct test_place place, const char *faults,
                             const char *const args[])
{
    struct run_options options = {.faults = faults};
    struct program *program = program_start(place, options, args);
    return (struct proxy){.program = program,
                          .port = program_port(program),
                          .pid = program_pid(program)};
}

static const char *at(struct backend backend)
{
    return text("127.0.0.1:%d", backend.port);
}

/* What a client does that wants one answer. */
static int ask(struct proxy *proxy, const char *line)
{
    int client = client_connect(proxy->port);
    client_send(client, text("%s HTTP/1.1\r\nHost: test\r\n\r\n", line));
    return client;
}

/* The backend gets a request and answers it; the connection is closed. */
static void serve(struct backend backend, const char *line, int status)
{
    int fd = client_accept(backend.listener);
    client_expect(fd, text("%s HTTP/1.1\r\nHost: test\r\n", line));
    client_send(fd, text("HTTP/1.1 %d X\r\nContent-Length: 0\r\n"
                         "Connection: close\r\n\r\n",
                         status));
    /* Only to be read when the balancer has all of it. */
    char byte;
    while (recv(fd, &byte, 1, 0) == 1)
        ;
    close(fd);
}

static void expect_status(int client, int status)
{
    assert_status(http_read(client), status);
    close(client);
}

static const char *get_stats(struct proxy *proxy)
{
    int client = ask(proxy, "GET /stats");
    struct http_reply r = http_read(client);
    close(client);
    assert_status(r, 200);
    return r.body;
}

/* Its line at /stats begins so. */
static bool backend_is(struct proxy *proxy, struct backend backend,
                       const char *words)
{
    return strstr(get_stats(proxy), text("%s %s ", at(backend), words)) != NULL;
}

TEST(test_22_a_wrong_command_line_is_a_usage_error)
{
    static const char *const wrong[][6] = {
        {"--port", "1", NULL},
        {"--backend", "127.0.0.1", NULL},
        {"--backend", "127.0.0.1:0", NULL},
        {"--backend", "127.0.0.1:65536", NULL},
        {"--backend", "localhost:80", NULL},
        {"--backend", "127.0.0.1:80*", NULL},
        {"--backend", "127.0.0.1:80*0", NULL},
        {"--backend", "127.0.0.1:80*101", NULL},
        {"--backend", "127.0.0.1:80*2*2", NULL},
        {"--backend", "127.0.0.1*2:80", NULL},
        {"--backend", "127.0.0.1:80", "operand", NULL},
        {"--backend", "127.0.0.1:80", "--strategy", "random", NULL},
        {"--backend", "127.0.0.1:80", "--strategy", "", NULL},
        {"--backend", "127.0.0.1:80", "--check-path", "health", NULL},
        {"--backend", "127.0.0.1:80", "--check-path", "/a b", NULL},
        {"--backend", "127.0.0.1:80", "--check-path", "/\r\nX: y", NULL},
        {"--backend", "127.0.0.1:80", "--check-ms", "0", NULL},
        {"--backend", "127.0.0.1:80", "--check-timeout-ms", "", NULL},
        {"--backend", "127.0.0.1:80", "--drain-ms", "-1", NULL},
        {"--backend", "127.0.0.1:80", "--timeout-ms", "1s", NULL},
        {"--backend", "127.0.0.1:80", "--port", "65536", NULL},
        {"--backend", "127.0.0.1:80", "--csv", NULL},
        {"--backend", "127.0.0.1:80", "--simulate", NULL},
        {"--simulate", "--csv", "now", NULL},
        {"--colour", NULL},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct run r =
            program_run(TEST_PLACE("run"), (struct run_options){0}, wrong[i]);
        assert_exit(r, 2);
        assert_output(r, "");
        assert_error_contains(r, "usage: load_balancer ");
    }
    /* 64 are enough. */
    const char *many = "exec \"$0\"";
    for (int i = 0; i < MAX_BACKENDS + 1; i++)
        many = text("%s --backend 127.0.0.1:80", many);
    const char *const shell[] = {"sh", "-c", many, NULL};
    struct run too_many = run_alone((struct run_options){.under = shell});
    assert_exit(too_many, 2);
    assert_error_contains(too_many, "usage: load_balancer ");
    int port;
    int fd = client_listen(&port);
    const char *number = text("%d", port);
    struct run r = run("--port", number, "--backend", "127.0.0.1:9001*100");
    close(fd);
    assert_exit(r, 1);
    assert_output(r, "");
    assert_error(
        r, text("load_balancer: 127.0.0.1:%d: Address already in use\n", port));
}

TEST(test_23_requests_go_where_the_strategy_says)
{
    struct backend a = backend_open(), b = backend_open();
    struct proxy proxy =
        start_balancer("--strategy", "weighted", "--backend",
                       text("%s*2", at(a)), "--backend", at(b));
    struct backend order[] = {a, b, a, a, b, a};
    for (int i = 0; i < 6; i++) {
        int client = ask(&proxy, "POST /");
        serve(order[i], "POST /", 200);
        expect_status(client, 200);
    }
    struct run r = proxy_end(&proxy);
    assert_output_contains(r,
                           "strategy=weighted retries=0 retries_refused=0\n");
    assert_output_contains(r,
                           text("%s up weight=2 active=0 answered=4 failed=0 "
                                "ejections=0 mean_us=",
                                at(a)));
    /* Nobody waits while somebody is free. */
    proxy = start_balancer("--strategy", "least-connections", "--backend",
                           at(a), "--backend", at(b));
    int waiting = ask(&proxy, "POST /slow");
    int slow = client_accept(a.listener);
    for (int i = 0; i < 3; i++) {
        int client = ask(&proxy, "POST /");
        serve(b, "POST /", 200);
        expect_status(client, 200);
    }
    close(slow);
    expect_status(waiting, 502);
    proxy_end(&proxy);
    backend_close(a);
    backend_close(b);
}

/* A client with this address: all of 127.0.0.0/8 is ours. */
static int connect_from(const char *host, int port)
{
    struct sockaddr_in from = address(host, 0);
    struct sockaddr_in to = address("127.0.0.1", port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&from, sizeof(from)) == -1 ||
        connect(fd, (struct sockaddr *)&to, sizeof(to)) == -1)
        fail_msg("%s to %d: %s", host, port, strerror(errno));
    return fd;
}

TEST(test_24_a_client_keeps_its_backend)
{
    struct backend b[2] = {backend_open(), backend_open()};
    struct proxy proxy = start_balancer("--strategy", "hash", "--backend",
                                        at(b[0]), "--backend", at(b[1]));
    struct balancer_options options = {.strategy = CONSISTENT_HASH};
    options.count = 2;
    for (int i = 0; i < 2; i++) {
        options.backends[i].address = address("127.0.0.1", b[i].port);
        options.backends[i].weight = 1;
    }
    struct balancer *balancer = balancer_new(&options, now);
    for (int i = 1; i <= 32; i++) {
        const char *host = text("127.0.0.%d", i);
        struct sockaddr_in client = address(host, 1);
        int home = balancer_choose(balancer, &client, 0, now);
        int fd = connect_from(host, proxy.port);
        client_send(fd, REQUEST("POST /") "\r\n");
        serve(b[home], "POST /", 200);
        expect_status(fd, 200);
    }
    balancer_free(balancer);
    proxy_end(&proxy);
    backend_close(b[0]);
    backend_close(b[1]);
}

TEST(test_25_a_dead_backend_is_tried_around_then_ejected)
{
    struct backend dead = backend_dead(), b = backend_open();
    struct proxy proxy =
        start_balancer("--backend", at(dead), "--backend", at(b));
    int refused = 0;
    for (int i = 0; i < 20; i++) {
        int client = ask(&proxy, "GET /");
        serve(b, "GET /", 200);
        expect_status(client, 200);
        refused += backend_is(&proxy, dead, "up");
    }
    /* Every second request met it, until five had. */
    assert_int_equal(refused, 8);
    const char *all = get_stats(&proxy);
    assert_contains(all, "strategy=round-robin retries=5 retries_refused=0\n");
    assert_contains(all, text("%s ejected weight=1 active=0 answered=0 "
                              "failed=5 ejections=1 mean_us=0\n",
                              at(dead)));
    proxy_end(&proxy);
    backend_close(dead);
    backend_close(b);
}

TEST(test_26_retries_do_not_multiply_the_load)
{
    /* Both are dead: each GET is tried twice, as long as there is budget. */
    struct backend one = backend_dead(), two = backend_dead();
    struct proxy proxy =
        start_balancer("--backend", at(one), "--backend", at(two));
    for (int i = 0; i < 5; i++)
        expect_status(ask(&proxy, "GET /"), 502);
    assert_contains(get_stats(&proxy), " retries=5 retries_refused=0\n");
    proxy_end(&proxy);
    backend_close(one);
    backend_close(two);
    /* Nobody dies here, but many requests do. */
    struct backend b[3] = {backend_open(), backend_open(), backend_open()};
    proxy = start_balancer("--backend", at(b[0]), "--backend", at(b[1]),
                           "--backend", at(b[2]));
    for (int i = 0; i < 8; i++) {
        int client = ask(&proxy, "GET /");
        struct pollfd ready[] = {{b[0].listener, POLLIN, 0},
                                 {b[1].listener, POLLIN, 0},
                                 {b[2].listener, POLLIN, 0},
                                 {client, POLLIN, 0}};
        while (poll(ready, 4, -1) > 0 && !ready[3].revents)
            for (int j = 0; j < 3; j++)
                if (ready[j].revents)
                    close(client_accept(b[j].listener));
        expect_status(client, 502);
    }
    assert_not_contains(get_stats(&proxy), " retries_refused=0\n");
    proxy_end(&proxy);
    for (int i = 0; i < 3; i++)
        backend_close(b[i]);
}

/* A check of the balancer, answered like this. */
static void answer_check(struct backend backend, const char *answer)
{
    int fd = client_accept(backend.listener);
    client_expect(fd, text("GET /health?x=1 HTTP/1.1\r\nHost: %s\r\n"
                           "Connection: close\r\n\r\n",
                           at(backend)));
    client_send(fd, answer);
    client_expect_end(fd);
    close(fd);
}

TEST(test_27_checks_decide_who_gets_requests)
{
    struct backend b = backend_open();
    struct proxy proxy =
        start_balancer("--check-path", "/health?x=1", "--check-ms", "1",
                       "--check-timeout-ms", "60000", "--backend", at(b));
    answer_check(b, "HTTP/1.1 503 Service Unavailable\r\n\r\n");
    answer_check(b, "HTTP/1.1 404 Not Found\r\n\r\n");
    answer_check(b, "nonsense\r\n\r\n");
    wait_until(backend_is(&proxy, b, "down"));
    expect_status(ask(&proxy, "GET /"), 502);
    answer_check(b, "HTTP/1.1 302 Found\r\n\r\n");
    answer_check(b, "HTTP/1.1 204 No Content\r\n\r\n");
    wait_until(!backend_is(&proxy, b, "down"));
    assert_true(backend_is(&proxy, b, "returning"));
    proxy_end(&proxy);
    backend_close(b);
}

TEST(test_28_statistics_are_served)
{
    struct backend b = backend_open();
    struct proxy proxy = start_balancer("--backend", at(b));
    int client = ask(&proxy, "GET /stats");
    struct http_reply r = http_read(client);
    assert_status(r, 200);
    assert_header(r, "Content-Type", "text/plain");
    assert_header(r, "Connection", "close");
    assert_body(r, text("strategy=round-robin retries=0 retries_refused=0\n"
                        "%s up weight=1 active=0 answered=0 failed=0 "
                        "ejections=0 mean_us=0\n",
                        at(b)));
    client_expect_end(client);
    close(client);
    const char *length = text("%zu", r.body_len);
    client = ask(&proxy, "HEAD /stats");
    r = http_read_to(client, "HEAD");
    assert_status(r, 200);
    assert_header(r, "Content-Length", length);
    client_expect_end(client);
    close(client);
    /* The same path, and a body that nobody wants. */
    client = client_connect(proxy.port);
    client_send(client,
                REQUEST("GET http://test/stats") "Content-Length: 2\r\n\r\nno");
    r = http_read(client);
    assert_status(r, 200);
    assert_contains(r.body, "strategy=round-robin ");
    client_expect_end(client);
    close(client);
    /* All else is for the backends. */
    static const char *const others[] = {"POST /stats", "GET /stats/",
                                         "GET /stats?x", "GET /statsx"};
    for (int i = 0; i < 4; i++) {
        client = ask(&proxy, others[i]);
        serve(b, others[i], 201);
        expect_status(client, 201);
    }
    client = ask(&proxy, "POST /");
    int fd = client_accept(b.listener);
    assert_contains(get_stats(&proxy), " active=1 answered=4 ");
    close(fd);
    expect_status(client, 502);
    proxy_end(&proxy);
    /* Many of them have a lot to say. */
    enum { MANY = 60 };
    const char *many[MANY + 1] = {NULL};
    for (int i = 0; i < MANY; i++)
        many[i] = text("--backend=%s*100", at(b));
    proxy = start_at(TEST_PLACE("start"), NULL, many);
    int lines = 0;
    for (const char *c = get_stats(&proxy); *c; c++)
        lines += *c == '\n';
    assert_int_equal(lines, 1 + MANY);
    proxy_end(&proxy);
    backend_close(b);
}

static bool can_connect(int port)
{
    struct sockaddr_in to = address("127.0.0.1", port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int result = connect(fd, (struct sockaddr *)&to, sizeof(to));
    close(fd);
    return result == 0;
}

TEST(test_29_sigterm_drains)
{
    struct backend b = backend_open();
    struct proxy proxy = start_balancer("--backend", at(b));
    int idle = client_connect(proxy.port);
    int kept = round_trip(idle, b);
    int asking = ask(&proxy, "POST /asking");
    int fd = client_accept(b.listener);
    client_expect(fd, FORWARDED("POST /asking", "") "\r\n");
    int reading = ask(&proxy, "POST /reading");
    int other = client_accept(b.listener);
    client_expect(other, FORWARDED("POST /reading", "") "\r\n");
    client_send(other, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
    client_expect(reading,
                  "HTTP/1.1 200 OK\r\n" VIA "Content-Length: 8\r\n\r\nhalf");
    program_signal(proxy.program, SIGTERM);
    assert_string_equal(program_line(proxy.program), "Draining");
    assert_false(can_connect(proxy.port));
    client_expect_end(idle);
    close(idle);
    /* What is under way goes on, and is the last on its connection. */
    client_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    struct http_reply r = http_read(asking);
    assert_status(r, 200);
    assert_header(r, "Connection", "close");
    assert_body(r, "ok");
    client_expect_end(asking);
    close(asking);
    client_send(other, "done");
    client_expect(reading, "done");
    client_expect_end(reading);
    close(reading);
    struct run end = program_wait(proxy.program);
    assert_exit(end, 0);
    assert_output_contains(end,
                           text("%s up weight=1 active=0 answered=3 ", at(b)));
    close(kept);
    close(fd);
    close(other);
    backend_close(b);
}

static bool is_stopped(struct proxy *proxy)
{
    char line[128] = "";
    FILE *file = fopen(text("/proc/%d/stat", (int)proxy->pid), "r");
    if (file && !fgets(line, sizeof(line), file))
        line[0] = '\0';
    if (file)
        fclose(file);
    return strstr(line, ") T ") != NULL;
}

/* The kernel has bytes of this client, which the proxy has not read. */
static bool has_arrived(struct proxy *proxy, int client)
{
    struct sockaddr_in from = {0};
    socklen_t len = sizeof(from);
    getsockname(client, (struct sockaddr *)&from, &len);
    const char *ends =
        text(":%04X %08X:%04X 01 ", (unsigned)proxy->port,
             (unsigned)from.sin_addr.s_addr, (unsigned)ntohs(from.sin_port));
    FILE *file = fopen("/proc/net/tcp", "r");
    char line[256], *found = NULL;
    while (file && !found && fgets(line, sizeof(line), file))
        found = strstr(line, ends);
    if (file)
        fclose(file);
    /* Behind it: bytes to send, a colon, bytes to read. */
    return found && strtol(found + strlen(ends) + 9, NULL, 16) > 0;
}

TEST(test_30_a_request_that_has_arrived_is_answered)
{
    struct backend b = backend_open();
    struct proxy proxy = start_balancer("--backend", at(b));
    int clients[2] = {client_connect(proxy.port)};
    int kept = round_trip(clients[0], b);
    int before = proxy_descriptors(&proxy);
    clients[1] = client_connect(proxy.port);
    wait_until(proxy_descriptors(&proxy) > before);
    /* Behind the signal, before the balancer looks. */
    program_signal(proxy.program, SIGSTOP);
    wait_until(is_stopped(&proxy));
    program_signal(proxy.program, SIGTERM);
    for (int i = 0; i < 2; i++) {
        client_send(clients[i], REQUEST("POST /") "\r\n");
        wait_until(has_arrived(&proxy, clients[i]));
    }
    program_signal(proxy.program, SIGCONT);
    assert_string_equal(program_line(proxy.program), "Draining");
    for (int i = 0; i < 2; i++) {
        char byte;
        assert_fails(recv(clients[i], &byte, 1, MSG_DONTWAIT), EAGAIN);
    }
    serve(b, "POST /", 200);
    serve(b, "POST /", 200);
    for (int i = 0; i < 2; i++) {
        struct http_reply r = http_read(clients[i]);
        assert_status(r, 200);
        assert_header(r, "Connection", "close");
        close(clients[i]);
    }
    assert_exit(program_wait(proxy.program), 0);
    close(kept);
    backend_close(b);
}

TEST(test_31_draining_has_an_end)
{
    struct backend b = backend_open();
    for (int i = 0; i < 3; i++) {
        struct proxy proxy = start_balancer("--backend", at(b), "--drain-ms",
                                            i == 0 ? "20" : "3600000");
        int client = ask(&proxy, "POST /");
        int fd = client_accept(b.listener);
        client_expect(fd, "POST / HTTP/1.1\r\n");
        if (i < 2) {
            program_signal(proxy.program, SIGTERM);
            assert_string_equal(program_line(proxy.program), "Draining");
        }
        /* 0: it ends on its own; 1: by a second signal; 2: at once. */
        if (i == 1)
            program_signal(proxy.program, SIGTERM);
        if (i == 2)
            program_signal(proxy.program, SIGINT);
        assert_exit(program_wait(proxy.program), 0);
        close(client);
        close(fd);
    }
    /* With nobody there it ends at once. */
    struct proxy proxy =
        start_balancer("--backend", at(b), "--drain-ms", "3600000");
    proxy_end(&proxy);
    backend_close(b);
}

TEST(test_32_smuggling_stops_here)
{
    struct backend b = backend_open();
    struct proxy proxy = start_balancer("--backend", at(b));
    for (int i = 0; i < NUM_MALFORMED; i++) {
        const struct malformed *m = &malformed[i];
        int client = client_connect(proxy.port);
        client_send_bytes(client, m->bytes, m->len);
        struct http_reply r = http_read(client);
        if (r.status != m->status)
            fail_msg("%s\nexpected: status %d\nactual:   %d", m->name,
                     m->status, r.status);
        client_expect_end(client);
        close(client);
    }
    assert_contains(get_stats(&proxy), " failed=0 ejections=0 ");
    proxy_end(&proxy);
    backend_close(b);
}

TEST(test_33_calls_that_fail_end_nothing)
{
    struct backend b = backend_open();
    struct proxy proxy = start_faulty(
        "accept:error=ECONNABORTED:when=1,accept4:error=ECONNABORTED:when=1,"
        "accept:error=EMFILE:when=2,accept4:error=EMFILE:when=2,"
        "epoll_wait:error=EINTR:when=2..3",
        "--backend", at(b));
    for (int i = 0; i < 2; i++) {
        int client = ask(&proxy, "POST /");
        serve(b, "POST /", 200);
        expect_status(client, 200);
    }
    /* With nothing to do it sleeps. */
    proxy_expect_idle(&proxy);
    proxy_end(&proxy);
    backend_close(b);
}

TEST(test_34_the_simulation_shows_the_difference)
{
    struct run r = run("--simulate");
    assert_exit(r, 0);
    static const char *const rows[] = {"strategy  ",    "round-robin  ",
                                       "weighted  ",    "least-connections  ",
                                       "two-choices  ", "hash  "};
    for (int i = 0; i < 6; i++)
        assert_output_contains(r, rows[i]);
    /* 10 %: its share; 1.1 %: that of its weight. */
    assert_output_contains(r, "round-robin             10.00 %");
    assert_output_contains(r, "weighted                 1.10 %");
    double slow = atof(strstr(r.out, "least-connections") + 17);
    if (slow > 5)
        fail_msg("least-connections sent %.2f %% to the slow one", slow);
}

TEST(test_35_nginx_is_checked_and_asked, .limit_ms = 3000)
{
    test_need("nginx");
    test_need("curl");
    /* The port is ours until nginx has it. */
    struct backend b = backend_dead();
    write_text("nginx.conf",
               "daemon off; master_process off; pid nginx.pid;\n"
               "error_log stderr crit; events { }\n"
               "http { access_log off; client_body_temp_path body;\n"
               "proxy_temp_path proxy; fastcgi_temp_path fastcgi;\n"
               "uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n"
               "server { listen 127.0.0.1:%d reuseport;\n"
               "location / { return 200 hello; }\n"
               "} }\n",
               b.port);
    /* Nobody listens yet: it is down. */
    struct proxy proxy = start_balancer("--check-path", "/health", "--check-ms",
                                        "5", "--backend", at(b));
    wait_until(backend_is(&proxy, b, "down"));
    struct run_options options = {.program = "nginx"};
    struct program *nginx = start_with(options, "-p", ".", "-c", "nginx.conf");
    wait_until(backend_is(&proxy, b, "returning"));
    options.program = "curl";
    const char *url = text("http://127.0.0.1:%d/", proxy.port);
    struct run r = run_with(options, "-sS", url, url, text("%sstats", url));
    assert_exit(r, 0);
    assert_output_contains(r, "hellohellostrategy=round-robin");
    assert_output_contains(r, " answered=2 failed=0 ");
    proxy_end(&proxy);
    program_signal(nginx, SIGTERM);
    program_wait(nginx);
    backend_close(b);
}
