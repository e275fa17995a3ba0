/* What is special to uring_echo. The shared tests are in echo_tests.c. */
#include "echo_test.h"
#include "timing.h"

#include <liburing.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* Containers forbid io_uring often, and kernels may be built without it. */
void echo_need(void)
{
    struct io_uring ring;
    int result = io_uring_queue_init(8, &ring, 0);
    if (result < 0)
        test_skip("io_uring cannot be had here: %s", strerror(-result));
    io_uring_queue_exit(&ring);
}

TEST(test_30_one_thread_serves_all)
{
    enum { CLIENTS = 50 };
    int fds[CLIENTS];
    struct echo *server = echo_start();
    echo_connect_many(server, fds, CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        echo_round_trip(fds[i], "hello");
    assert_int_equal(process_threads(server->pid), 1);
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
    echo_end(server);
}

TEST(test_31_5000_clients_are_served, .limit_ms = 3000)
{
    enum { CLIENTS = 5000, ENOUGH = 500 };
    static int fds[CLIENTS];
    int clients = echo_room_for(CLIENTS);
    if (clients < ENOUGH)
        test_skip("only %d descriptors may be open (ulimit -Hn)", clients);
    struct echo *server = echo_start();
    echo_connect_many(server, fds, clients);
    /* While it is stopped all of them send; then all are ready at once. */
    process_stop(server->pid);
    for (int i = 0; i < clients; i++)
        client_send(fds[i], text("from client %d", i));
    process_continue(server->pid);
    for (int i = 0; i < clients; i++)
        client_expect(fds[i], text("from client %d", i));
    assert_int_equal(process_threads(server->pid), 1);
    for (int i = 0; i < clients; i++)
        client_reset(fds[i]);
    echo_end(server);
}

TEST(test_32_held_bytes_stay_what_they_are)
{
    enum { LEN = 32 * ECHO_CHUNK };
    struct echo *server = echo_start();
    int other = echo_connect(server);
    int slow = client_connect_narrow(server->port);
    size_t sent = echo_flood(server, slow);
    /* Other bytes go through the server, more than any buffer of it holds. */
    for (size_t from = LEN; from < 2 * (size_t)LEN; from += ECHO_CHUNK) {
        client_send_bytes(other, echo_pattern(from), ECHO_CHUNK);
        client_expect_bytes(other, echo_pattern(from), ECHO_CHUNK);
    }
    shutdown(slow, SHUT_WR);
    echo_expect_pattern(slow, sent);
    client_expect_end(slow);
    close(slow);
    close(other);
    echo_end(server);
}

TEST(test_33_without_memory_one_connection_ends)
{
    enum { CLIENTS = 20, FAILED = 6 };
    int fds[CLIENTS];
    struct echo *server = echo_start_with_faults(
        "malloc:error=ENOMEM:when=8..10,calloc:error=ENOMEM:when=8..10");
    int old = echo_connect(server);
    echo_round_trip(old, "hello");
    /* They come one behind the other, with no time in between. */
    process_stop(server->pid);
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = echo_connect(server);
    process_continue(server->pid);
    int refused = 0;
    for (int i = 0; i < CLIENTS; i++) {
        refused += !echo_is_served(fds[i]);
        client_reset(fds[i]);
    }
    assert_at_most(refused, FAILED);
    int late = echo_connect(server);
    echo_round_trip(late, "and I?");
    echo_round_trip(old, "still here?");
    close(late);
    close(old);
    echo_end_cleanly(server, SIGTERM);
}

#define TRACE_FILE "trace.txt"
/* LeakSanitizer is a tracer itself and cannot work in a tracee. */
#define WITH_STRACE(...)                                                    \
    ((struct run_options){                                                  \
        .under = (const char *const[]){"strace", "-f", "-qq", "-E",         \
                                       "LSAN_OPTIONS=detect_leaks=0", "-o", \
                                       TRACE_FILE, __VA_ARGS__, NULL}})

static void need_strace(void)
{
    echo_need();
    test_need("strace");
    test_need_ptrace();
}

/* The server, where `strace` is what was started. */
static pid_t traced(struct program *strace)
{
    int pid = (int)program_pid(strace);
    const char *path = text("/proc/%d/task/%d/children", pid, pid);
    FILE *file = fopen(path, "r");
    int child = 0;
    if (!file || fscanf(file, "%d", &child) != 1)
        fail_msg("%s has no child", path);
    fclose(file);
    return child;
}

TEST(test_34_a_kernel_that_forbids_io_uring_is_told, .limit_ms = 3000)
{
    need_strace();
    struct run_options forbidden =
        WITH_STRACE("-e", "trace=io_uring_setup", "-e",
                    "inject=io_uring_setup:error=EPERM");
    struct run r = run_with(forbidden, "--port", "0");
    assert_error(r, "uring_echo: io_uring: Operation not permitted\n");
    assert_output(r, "");
    assert_exit(r, 1);
}

TEST(test_35_an_interrupted_wait_is_made_again, .limit_ms = 3000)
{
    need_strace();
    struct run_options interrupted =
        WITH_STRACE("-e", "trace=io_uring_enter", "-e",
                    "inject=io_uring_enter:error=EINTR:when=1+2");
    struct program *p = start_with(interrupted, "--port", "0");
    int port = program_port(p);
    for (int i = 0; i < 3; i++) {
        int fd = client_connect(port);
        client_send(fd, "hello");
        client_expect(fd, "hello");
        close(fd);
    }
    kill(traced(p), SIGTERM);
    assert_exit(program_wait(p), 0);
}

static int count_lines(const char *path)
{
    int lines = 0;
    for (const char *at = read_bytes(path, NULL); *at; at++)
        lines += *at == '\n';
    return lines;
}

TEST(test_36_a_system_call_serves_many_clients, .limit_ms = 3000)
{
    enum { CLIENTS = 40, ROUNDS = 5, MESSAGES = CLIENTS * ROUNDS };
    need_strace();
    int fds[CLIENTS];
    struct program *p =
        start_with(WITH_STRACE("-e", "signal=none"), "--port", "0");
    int port = program_port(p);
    pid_t server = traced(p);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = client_connect(port);
        client_send(fds[i], "x");
        client_expect(fds[i], "x");
    }
    int before = count_lines(TRACE_FILE);
    for (int round = 0; round < ROUNDS; round++) {
        process_stop(server);
        for (int i = 0; i < CLIENTS; i++)
            client_send(fds[i], "hello");
        process_continue(server);
        for (int i = 0; i < CLIENTS; i++)
            client_expect(fds[i], "hello");
    }
    int calls = count_lines(TRACE_FILE) - before;
    assert_at_most(calls, MESSAGES / 2);
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
    kill(server, SIGTERM);
    assert_exit(program_wait(p), 0);
}

TEST(test_37_who_waits_is_served_when_a_descriptor_is_free)
{
    struct echo *server = echo_start();
    process_limit_descriptors(server->pid, 1);
    int first = echo_connect(server);
    echo_round_trip(first, "hello");
    int late = echo_connect(server); /* in the queue of the listener */
    client_send(late, "and I?");
    process_expect_asleep(server->pid);
    client_reset(first);
    client_expect(late, "and I?");
    close(late);
    echo_end(server);
}

/* For longer than a server waits until it looks again for a descriptor. */
TEST(test_38_after_a_shortage_every_client_has_its_name)
{
    enum { CLIENTS = 4, LONG_NS = 150 * 1000000 };
    int fds[CLIENTS];
    struct echo *server = echo_start();
    process_limit_descriptors(server->pid, CLIENTS);
    echo_connect_many(server, fds, CLIENTS);
    process_expect_asleep(server->pid);
    for (uint64_t start = now_ns(); now_ns() - start < LONG_NS;) {
        for (int i = 0; i < CLIENTS; i++) {
            const char *name = echo_name(fds[i]);
            client_reset(fds[i]);
            echo_expect_closed(server, name);
        }
        process_stop(server->pid);
        for (int i = 0; i < CLIENTS; i++)
            fds[i] = echo_connect(server);
        process_continue(server->pid);
        for (int i = 0; i < CLIENTS; i++)
            echo_expect_opened(server, fds[i]);
    }
    for (int i = 0; i < CLIENTS; i++)
        client_reset(fds[i]);
    echo_end(server);
}

/* No connection ends: the descriptors become free elsewhere. Meanwhile a client
 * talks, so that the server is never long without an event. */
TEST(test_39_a_shortage_ends_while_a_client_talks)
{
    struct echo *server = echo_start();
    process_limit_descriptors(server->pid, 1);
    int talking = echo_connect(server);
    echo_round_trip(talking, "hello");
    int late = echo_connect(server); /* in the queue of the listener */
    client_send(late, "and I?");
    process_expect_asleep(server->pid);
    echo_round_trip(talking, "those that are open go on");
    process_limit_descriptors(server->pid, 20);
    struct pollfd answer = {.fd = late, .events = POLLIN};
    while (poll(&answer, 1, 0) == 0)
        echo_round_trip(talking, "still talking");
    int new = echo_connect(server);
    echo_round_trip(new, "and I, too?");
    close(new);
    close(late);
    close(talking);
    echo_end(server);
}
