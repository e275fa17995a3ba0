/* What is special to async_echo. The shared tests are in echo_tests.c and
 * echo_tests_completion.c. */
#include "echo_test.h"

#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* libuv runs wherever the tests do. */
void echo_need(void)
{
}

TEST(test_34_without_memory_to_hold_bytes_it_goes_on)
{
    struct echo *server = echo_start_with_faults("malloc:error=ENOMEM:when=2+");
    int first = client_connect_narrow(server->port);
    int second = client_connect_narrow(server->port);
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
        process_stop(server->pid);
        client_send_bytes(fd, echo_pattern(0), ECHO_CHUNK);
        process_continue(server->pid);
        echo_expect_pattern(fd, ECHO_CHUNK);
    }
    echo_round_trip(fd, "still here?");
    close(fd);
    echo_end(server);
}

#define TRACE_FILE "trace.txt"

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
    kill(echo_traced(strace), SIGTERM);
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
