/* What is special to async_echo. The shared tests are in echo_tests.c. */
#include "echo_test.h"

#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* libuv runs wherever the tests do. */
void echo_need(void)
{
}

TEST(test_30_one_thread_serves_all)
{
    enum { CLIENTS = 50 };
    int fds[CLIENTS];
    struct echo *server = echo_start();
    echo_connect_many(server, fds, CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        echo_round_trip(fds[i], "hello");
    assert_int_equal(echo_threads(server), 1);
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
    echo_pause(server);
    for (int i = 0; i < clients; i++)
        client_send(fds[i], text("from client %d", i));
    echo_resume(server);
    for (int i = 0; i < clients; i++)
        client_expect(fds[i], text("from client %d", i));
    assert_int_equal(echo_threads(server), 1);
    for (int i = 0; i < clients; i++)
        echo_reset(fds[i]);
    echo_end(server);
}

TEST(test_32_held_bytes_stay_what_they_are)
{
    enum { LEN = 32 * ECHO_CHUNK };
    struct echo *server = echo_start();
    int other = echo_connect(server);
    int slow = echo_connect_narrow(server);
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
    echo_pause(server);
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = echo_connect(server);
    echo_resume(server);
    int refused = 0;
    for (int i = 0; i < CLIENTS; i++) {
        refused += !echo_is_served(fds[i]);
        echo_reset(fds[i]);
    }
    assert_at_most(refused, FAILED);
    int late = echo_connect(server);
    echo_round_trip(late, "and I?");
    echo_round_trip(old, "still here?");
    close(late);
    close(old);
    echo_end_cleanly(server, SIGTERM);
}

TEST(test_34_without_memory_to_hold_bytes_it_goes_on)
{
    struct echo *server = echo_start_with_faults("malloc:error=ENOMEM:when=2+");
    int first = echo_connect_narrow(server);
    int second = echo_connect_narrow(server);
    echo_flood(server, first);
    echo_flood(server, second);
    echo_end_cleanly(server, SIGTERM);
    close(first);
    close(second);
}

/* What is waiting fills the buffer: there is no more when libuv looks again. */
TEST(test_35_nothing_to_read_is_not_the_end)
{
    struct echo *server = echo_start();
    int fd = echo_connect(server);
    echo_round_trip(fd, "hello");
    for (int round = 0; round < 3; round++) {
        echo_pause(server);
        client_send_bytes(fd, echo_pattern(0), ECHO_CHUNK);
        echo_resume(server);
        echo_expect_pattern(fd, ECHO_CHUNK);
    }
    echo_round_trip(fd, "still here?");
    close(fd);
    echo_end(server);
}

#define TRACE_FILE "trace.txt"

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

/* One message and its answer, with this done to the server's calls. */
static void say_hello_under_strace(const char *inject)
{
    /* LeakSanitizer is a tracer itself and cannot work in a tracee. */
    struct run_options options = {.under = (const char *const[]){
                                      "strace", "-f", "-qq", "-o", TRACE_FILE,
                                      "-E", "LSAN_OPTIONS=detect_leaks=0", "-e",
                                      "trace=write", "-e", inject, NULL}};
    struct program *strace = start_with(options, "--port", "0");
    int fd = client_connect(program_port(strace));
    client_send(fd, "hello");
    client_expect(fd, "hello");
    close(fd);
    kill(traced(strace), SIGTERM);
    assert_exit(program_wait(strace), 0);
}

TEST(test_36_a_write_that_takes_nothing_yet_is_made_later, .limit_ms = 3000)
{
    test_need("strace");
    test_need_ptrace();
    say_hello_under_strace("signal=none");
    /* Which of its writes is the answer? (libuv writes to itself, too.) */
    char *trace = read_bytes(TRACE_FILE, NULL);
    char *answer = strstr(trace, "\"hello\"");
    int number = 1;
    for (char *at = trace; answer && at < answer; at++)
        number += *at == '\n';
    say_hello_under_strace(text("inject=write:error=EAGAIN:when=%d", number));
}
