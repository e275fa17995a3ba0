#include "parallel_sum.h"
#include "test/fault.h"
#include "test/process.h"
#include "test/program.h"
#include "test/test.h"

#include <dirent.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* One call on a channel, made by a thread of its own. */

struct call {
    struct channel *channel;
    uint64_t value; /* to be sent, or what was received */
    int returned;
    int error;
    pthread_t thread;
    atomic_int tid; /* 0 until the thread runs */
    atomic_bool over;
};

static void *send_value(void *arg)
{
    struct call *call = arg;
    call->tid = gettid();
    call->returned = channel_send(call->channel, call->value);
    call->error = errno;
    call->over = true;
    return NULL;
}

static void *receive_value(void *arg)
{
    struct call *call = arg;
    call->tid = gettid();
    call->returned = channel_receive(call->channel, &call->value);
    call->over = true;
    return NULL;
}

static void begin(struct call *call, void *(*run)(void *))
{
    assert_int_equal(pthread_create(&call->thread, NULL, run, call), 0);
}

static void finish(struct call *call)
{
    wait_until(call->over);
    pthread_join(call->thread, NULL);
}

static void expect_to_wait(struct call *call)
{
    wait_until(call->over ||
               (call->tid != 0 && thread_state(call->tid) == 'S'));
    if (call->over)
        fail_msg("the call returned where it had to wait");
}

/* The next two waits of the learner's code return at once, for nothing. */
static void wake_for_nothing(void)
{
    fault("pthread_cond_wait:retval=0:when=1..2");
}

static void expect_received(struct channel *channel, uint64_t expected)
{
    uint64_t value = ~expected;
    assert_true(channel_receive(channel, &value));
    assert_int_equal(value, expected);
}

static void expect_end(struct channel *channel)
{
    uint64_t value;
    assert_false(channel_receive(channel, &value));
}

TEST(test_01_values_come_out_in_the_order_they_went_in)
{
    struct channel *channel = channel_new(3);
    assert_non_null(channel);
    assert_success(channel_send(channel, 1));
    for (uint64_t value = 1; value < 10; value++) {
        assert_success(channel_send(channel, value + 1));
        expect_received(channel, value);
    }
    assert_success(channel_send(channel, UINT64_MAX));
    assert_success(channel_send(channel, 0));
    expect_received(channel, 10);
    expect_received(channel, UINT64_MAX);
    expect_received(channel, 0);
    channel_free(channel);
}

TEST(test_02_a_full_channel_makes_the_sender_wait)
{
    struct channel *channel = channel_new(2);
    assert_non_null(channel);
    assert_success(channel_send(channel, 1));
    assert_success(channel_send(channel, 2));

    wake_for_nothing();
    struct call third = {.channel = channel, .value = 3};
    begin(&third, send_value);
    expect_to_wait(&third);
    expect_received(channel, 1);
    finish(&third);
    assert_int_equal(third.returned, 0);
    expect_received(channel, 2);
    expect_received(channel, 3);
    channel_free(channel);
}

TEST(test_03_an_empty_channel_makes_the_receiver_wait)
{
    struct channel *channel = channel_new(2);
    assert_non_null(channel);
    wake_for_nothing();
    struct call early = {.channel = channel};
    begin(&early, receive_value);
    expect_to_wait(&early);
    assert_success(channel_send(channel, 7));
    finish(&early);
    assert_true(early.returned);
    assert_int_equal(early.value, 7);
    channel_free(channel);
}

TEST(test_04_a_closed_channel_is_emptied_and_takes_nothing_more)
{
    struct channel *channel = channel_new(3);
    assert_non_null(channel);
    assert_success(channel_send(channel, 1));
    assert_success(channel_send(channel, 2));
    channel_close(channel);
    assert_fails(channel_send(channel, 3), EPIPE);
    expect_received(channel, 1);
    assert_fails(channel_send(channel, 3), EPIPE);
    channel_close(channel);
    expect_received(channel, 2);
    expect_end(channel);
    expect_end(channel);
    channel_free(channel);

    channel_free(NULL);
    /* One that is freed with a value in it. */
    channel = channel_new(1);
    assert_non_null(channel);
    assert_success(channel_send(channel, 1));
    channel_free(channel);
}

static void begin_all(struct call receivers[2], struct call senders[2])
{
    for (int i = 0; i < 2; i++) {
        begin(&receivers[i], receive_value);
        begin(&senders[i], send_value);
    }
    for (int i = 0; i < 2; i++) {
        expect_to_wait(&receivers[i]);
        expect_to_wait(&senders[i]);
    }
}

TEST(test_05_close_wakes_everybody_who_waits)
{
    struct channel *empty = channel_new(1);
    struct channel *full = channel_new(1);
    assert_non_null(empty);
    assert_non_null(full);
    assert_success(channel_send(full, 1));

    struct call receivers[2] = {{.channel = empty}, {.channel = empty}};
    struct call senders[2] = {{.channel = full}, {.channel = full}};
    begin_all(receivers, senders);
    channel_close(empty);
    channel_close(full);
    for (int i = 0; i < 2; i++) {
        finish(&receivers[i]);
        assert_false(receivers[i].returned);
        finish(&senders[i]);
        assert_int_equal(senders[i].returned, -1);
        assert_int_equal(senders[i].error, EPIPE);
    }
    expect_received(full, 1);
    expect_end(full);
    channel_free(empty);
    channel_free(full);
}

/* Many senders and receivers. Value number i of sender s is s * EACH + i. */
enum { SENDERS = 3, RECEIVERS = 3, EACH = 20 };

struct crowd {
    struct channel *channel;
    atomic_int next_sender;
    atomic_int times_seen[SENDERS * EACH];
};

static void *send_many(void *arg)
{
    struct crowd *crowd = arg;
    uint64_t first = (uint64_t)atomic_fetch_add(&crowd->next_sender, 1) * EACH;
    for (uint64_t i = 0; i < EACH; i++)
        assert_success(channel_send(crowd->channel, first + i));
    return NULL;
}

static void *receive_many(void *arg)
{
    struct crowd *crowd = arg;
    uint64_t least_expected[SENDERS];
    for (uint64_t i = 0; i < SENDERS; i++)
        least_expected[i] = i * EACH;

    uint64_t value;
    while (channel_receive(crowd->channel, &value)) {
        assert_at_most(value, SENDERS * EACH - 1);
        atomic_fetch_add(&crowd->times_seen[value], 1);
        if (value < least_expected[value / EACH])
            fail_msg("%" PRIu64 " came after a later value of the same sender",
                     value);
        least_expected[value / EACH] = value + 1;
    }
    return NULL;
}

static void expect_all_to_arrive(void)
{
    static struct crowd crowd;
    crowd.channel = channel_new(2);
    assert_non_null(crowd.channel);
    pthread_t senders[SENDERS], receivers[RECEIVERS];
    for (int i = 0; i < RECEIVERS; i++)
        assert_success(
            pthread_create(&receivers[i], NULL, receive_many, &crowd));
    for (int i = 0; i < SENDERS; i++)
        assert_success(pthread_create(&senders[i], NULL, send_many, &crowd));
    for (int i = 0; i < SENDERS; i++)
        pthread_join(senders[i], NULL);
    channel_close(crowd.channel);
    for (int i = 0; i < RECEIVERS; i++)
        pthread_join(receivers[i], NULL);

    for (int value = 0; value < SENDERS * EACH; value++)
        if (crowd.times_seen[value] != 1)
            fail_msg("value %d was received %d times", value,
                     crowd.times_seen[value]);
    channel_free(crowd.channel);
}

/* Two values and two places come before any of the sleepers runs. */
static void expect_each_to_wake_one(void)
{
    struct channel *empty = channel_new(2);
    struct channel *full = channel_new(2);
    assert_non_null(empty);
    assert_non_null(full);
    assert_success(channel_send(full, 1));
    assert_success(channel_send(full, 2));

    struct call receivers[2] = {{.channel = empty}, {.channel = empty}};
    struct call senders[2] = {{.channel = full}, {.channel = full}};
    begin_all(receivers, senders);
    assert_success(channel_send(empty, 1));
    assert_success(channel_send(empty, 2));
    expect_received(full, 1);
    expect_received(full, 2);
    for (int i = 0; i < 2; i++) {
        finish(&receivers[i]);
        finish(&senders[i]);
    }
    channel_free(empty);
    channel_free(full);
}

TEST(test_06_many_senders_and_receivers_lose_nothing)
{
    expect_all_to_arrive();
    take_turns();
    expect_each_to_wake_one();
}

/* How memory may be asked for. */
static const char *const allocators[] = {"malloc", "calloc"};
enum { ALLOCATORS = 2 };

/* From now on the n-th call of this allocator by the learner's code fails. */
static void run_out_of_memory(const char *allocator, int n)
{
    fault(text("%s:error=ENOMEM:when=%d", allocator, n));
}

TEST(test_07_a_channel_without_room_or_memory_is_refused)
{
    assert_fails_null(channel_new(0), EINVAL);
    /* Eight times this is 8 in a size_t. */
    assert_fails_null(channel_new(SIZE_MAX / 8 + 2), ENOMEM);

    for (int i = 0; i < ALLOCATORS; i++) {
        struct channel *channel = NULL;
        for (int n = 1; channel == NULL; n++) {
            run_out_of_memory(allocators[i], n);
            errno = 0;
            channel = channel_new(1);
            if (channel == NULL) {
                assert_int_equal(errno, ENOMEM);
                assert_at_least(fault_hits(), 1);
            }
        }
        /* All memory is there already. */
        run_out_of_memory(allocators[i], 1);
        assert_success(channel_send(channel, 1));
        expect_received(channel, 1);
        channel_free(channel);
    }
}

/* The sums. */

struct way {
    const char *name;
    int (*add)(uint64_t n, unsigned num_threads, uint64_t *sum);
};

static const struct way with_mutex = {"sum_with_mutex", sum_with_mutex};
static const struct way with_channel = {"sum_with_channel", sum_with_channel};

static const uint64_t UNTOUCHED = 42;

static const char *call_text(const struct way *way, uint64_t n,
                             unsigned num_threads)
{
    return text("%s(%" PRIu64 ", %u, &sum)", way->name, n, num_threads);
}

static void expect_sum(const struct way *way, uint64_t n, unsigned num_threads,
                       uint64_t expected)
{
    const char *call = call_text(way, n, num_threads);
    uint64_t sum = UNTOUCHED;
    long before = fault_calls("pthread_create");
    errno = 0;
    int returned = way->add(n, num_threads, &sum);
    test_success(TEST_PLACE(call), returned, errno);
    test_compare(TEST_PLACE(text("the sum of %s", call)), test_unsigned(sum),
                 "==", test_unsigned(expected));

    long created = fault_calls("pthread_create") - before;
    assert_at_most(created, num_threads);
    if (n >= num_threads)
        assert_int_equal(created, num_threads);
}

static void expect_sums(const struct way *way)
{
    expect_sum(way, 10, 1, 55);
    /* Shares of different size, and a sum of more than 32 bits. */
    expect_sum(way, 100003, 3, 5000350006);
    /* More threads than numbers. */
    expect_sum(way, 3, 4, 6);
    expect_sum(way, 0, 1, 0);
}

static void expect_error(const struct way *way, uint64_t n,
                         unsigned num_threads, int expected)
{
    uint64_t sum = UNTOUCHED;
    errno = 0;
    int returned = way->add(n, num_threads, &sum);
    test_fails(TEST_PLACE(call_text(way, n, num_threads)), returned == -1,
               returned, errno, expected);
    assert_int_equal(sum, UNTOUCHED);
}

TEST(test_08_sum_sequential_adds_from_1_to_n)
{
    uint64_t sum = UNTOUCHED;
    assert_success(sum_sequential(10, &sum));
    assert_int_equal(sum, 55);
    assert_success(sum_sequential(1, &sum));
    assert_int_equal(sum, 1);
    assert_success(sum_sequential(0, &sum));
    assert_int_equal(sum, 0);
    assert_success(sum_sequential(100003, &sum));
    assert_int_equal(sum, 5000350006);

    sum = UNTOUCHED;
    assert_fails(sum_sequential(SUM_N_MAX + 1, &sum), EOVERFLOW);
    assert_fails(sum_sequential(UINT64_MAX, &sum), EOVERFLOW);
    assert_int_equal(sum, UNTOUCHED);
}

TEST(test_09_sum_with_mutex_comes_to_the_same)
{
    expect_sums(&with_mutex);
}

TEST(test_10_sum_with_channel_comes_to_the_same)
{
    expect_sums(&with_channel);
}

static void expect_errors(const struct way *way)
{
    expect_error(way, 10, 0, EINVAL);
    expect_error(way, 0, 0, EINVAL);
    expect_error(way, SUM_N_MAX + 1, 2, EOVERFLOW);
    expect_error(way, UINT64_MAX, 2, EOVERFLOW);
}

TEST(test_11_no_threads_and_too_large_a_sum_are_errors)
{
    expect_errors(&with_mutex);
    expect_errors(&with_channel);
}

enum { SHARING = 2, SOME_WORK_MS = 1, MUCH_WORK_MS = 500 };

struct addition {
    const struct way *way;
    atomic_int tid; /* of the caller; 0 until it begins */
};

static void *add_everything(void *arg)
{
    struct addition *addition = arg;
    addition->tid = gettid();
    uint64_t sum;
    int returned = addition->way->add(SUM_N_MAX, SHARING, &sum);
    fail_msg("%s returned %d (%s) before %d threads were seen at work",
             addition->way->name, returned,
             returned == -1 ? strerror(errno) : "no error", SHARING);
}

/* Threads alive that worked so long; not this one, and not the caller. */
static int count_workers(int caller, long ms)
{
    int count = 0;
    DIR *threads = opendir("/proc/self/task");
    assert_non_null(threads);
    for (struct dirent *entry; (entry = readdir(threads)) != NULL;) {
        int tid = atoi(entry->d_name);
        if (tid != 0 && tid != gettid() && tid != caller)
            count += thread_cpu_ns(tid) >= ms * 1000000LL;
    }
    closedir(threads);
    return count;
}

/* Adding 1…SUM_N_MAX takes seconds of CPU time, so the threads that share the
 * work are at it together, however the machine schedules them. A child does
 * it, and ends itself as soon as they are seen. */
static void expect_to_work_together(const struct way *way)
{
    pid_t child = fork();
    assert_int_not_equal(child, -1);
    if (child == 0) {
        struct addition addition = {.way = way};
        pthread_t adder;
        assert_success(pthread_create(&adder, NULL, add_everything, &addition));
        wait_until(addition.tid != 0);
        bool together = false;
        wait_until(
            (together = count_workers(addition.tid, SOME_WORK_MS) >= SHARING) ||
            count_workers(addition.tid, MUCH_WORK_MS) > 0);
        if (!together)
            fail_msg("%s: one thread worked for %d ms, and no other with it",
                     way->name, MUCH_WORK_MS);
        kill(getpid(), SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

TEST(test_12_the_threads_work_at_the_same_time)
{
    expect_to_work_together(&with_mutex);
    expect_to_work_together(&with_channel);
}

static void expect_error_without_thread(const struct way *way)
{
    enum { THREADS = 4 };
    /* Those before the failing one are there, and have hardly begun. Several
     * times: on a busy machine they may be over already. */
    static const int failing[] = {4, 2, 2, 2, 2, 2};
    for (size_t i = 0; i < sizeof failing / sizeof failing[0]; i++) {
        fault(text("pthread_create:error=EAGAIN:when=%d", failing[i]));
        expect_error(way, 1000, THREADS, EAGAIN);
    }
    /* The largest sum there is: nothing has been added when this fails. */
    fault("pthread_create:error=EAGAIN");
    expect_error(way, SUM_N_MAX, THREADS, EAGAIN);
}

TEST(test_13_a_thread_that_cannot_be_created_is_an_error)
{
    take_turns();
    expect_error_without_thread(&with_mutex);
    expect_error_without_thread(&with_channel);
}

static void expect_sum_or_no_memory(const struct way *way)
{
    uint64_t sum = UNTOUCHED;
    errno = 0;
    int returned = way->add(100, 1, &sum);
    if (returned == 0) {
        assert_int_equal(sum, 5050);
    } else {
        test_fails(TEST_PLACE(call_text(way, 100, 1)), returned == -1, returned,
                   errno, ENOMEM);
        assert_int_equal(sum, UNTOUCHED);
        assert_at_least(fault_hits(), 1);
    }
}

static void expect_to_fail_without_memory(const struct way *way)
{
    for (int i = 0; i < ALLOCATORS; i++) {
        int n = 1;
        do {
            run_out_of_memory(allocators[i], n++);
            expect_sum_or_no_memory(way);
        } while (fault_hits() > 0);
    }
}

TEST(test_14_without_memory_the_sums_fail_and_leak_nothing)
{
    expect_to_fail_without_memory(&with_mutex);
    expect_to_fail_without_memory(&with_channel);
}

/* A line such as "mutex  500500  0.097 ms  1.9x". */
static void expect_line(struct run r, const char *name, uint64_t expected)
{
    const char *line = r.out;
    while (line != NULL && strncmp(line, name, strlen(name)) != 0) {
        line = strchr(line, '\n');
        line = line == NULL ? NULL : line + 1;
    }
    if (line == NULL)
        fail_msg("no line begins with \"%s\":\n%s", name, r.out);
    uint64_t sum;
    double ms, times;
    int end = 0;
    sscanf(line + strlen(name), " %" SCNu64 " %lf ms %lfx%n", &sum, &ms, &times,
           &end);
    if (end == 0)
        fail_msg("not a sum, milliseconds and a ratio:\n%s", line);
    assert_int_equal(sum, expected);
}

TEST(test_15_the_program_compares_the_three)
{
    struct run r = run("100003", "3");
    assert_exit(r, 0);
    expect_line(r, "sequential", 5000350006);
    expect_line(r, "mutex", 5000350006);
    expect_line(r, "channel", 5000350006);
}
