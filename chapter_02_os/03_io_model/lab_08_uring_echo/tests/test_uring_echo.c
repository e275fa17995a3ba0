/* What is special to uring_echo. The shared tests are in echo_tests.c and
 * echo_tests_completion.c. */
#include "echo_test.h"
#include "timing.h"

#include <liburing.h>
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
    kill(echo_traced(p), SIGTERM);
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
    pid_t server = echo_traced(p);
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

TEST(test_39_a_shortage_ends_while_a_client_talks)
{
    echo_expect_shortage_to_end();
}
