/* What is special to blocking_echo. The shared tests are in echo_tests.c. */
#include "echo_test.h"

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

/* Threads run wherever the tests do. */
void echo_need(void)
{
}

TEST(test_30_every_client_has_a_thread)
{
    enum { CLIENTS = 20 };
    int fds[CLIENTS];
    struct echo *server = echo_start();
    int one = echo_connect(server);
    echo_round_trip(one, "hello");
    int before = process_threads(server->pid);
    echo_connect_many(server, fds, CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        echo_round_trip(fds[i], "hello");
    assert_int_equal(process_threads(server->pid) - before, CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
    wait_until(process_threads(server->pid) == before);
    close(one);
    echo_end(server);
}

TEST(test_31_short_and_interrupted_calls_lose_nothing)
{
    echo_expect_nothing_lost("");
}

/* EMFILE comes before there is any connection: nobody's end tells the server
 * to look again. */
TEST(test_32_an_accept_that_fails_is_made_again)
{
    struct echo *server = echo_start_with_faults(
        "accept:error=ECONNABORTED:when=1,accept4:error=ECONNABORTED:when=1,"
        "accept:error=EINTR:when=2,accept4:error=EINTR:when=2,"
        "accept:error=EMFILE:when=3,accept4:error=EMFILE:when=3");
    echo_expect_served_but_one(server);
    echo_end_cleanly(server, SIGTERM);
}

TEST(test_33_a_thread_that_cannot_be_started_costs_one_connection)
{
    struct echo *server =
        echo_start_with_faults("pthread_create:error=EAGAIN:when=4");
    echo_expect_served_but_one(server);
    echo_end_cleanly(server, SIGTERM);
}

TEST(test_34_memory_that_runs_out_costs_one_connection)
{
    struct echo *server = echo_start_with_faults(
        "malloc:error=ENOMEM:when=4,calloc:error=ENOMEM:when=4");
    echo_expect_served_but_one(server);
    echo_end_cleanly(server, SIGTERM);
}
