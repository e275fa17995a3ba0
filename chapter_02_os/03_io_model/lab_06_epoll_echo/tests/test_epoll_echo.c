/* What is special to epoll_echo. The shared tests are in echo_tests.c. */
#include "echo_test.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* epoll runs wherever the tests do. */
void echo_need(void)
{
}

TEST(test_30_one_thread_serves_all)
{
    echo_expect_one_thread();
}

TEST(test_31_short_and_interrupted_calls_lose_nothing)
{
    echo_expect_nothing_lost(",epoll_wait:error=EINTR:when=2..3");
}

/* EMFILE comes before there is any connection: nobody's end tells the server
 * to look again. */
TEST(test_32_an_accept_that_fails_is_made_again)
{
    struct echo *server = echo_start_with_faults(
        "accept:error=ECONNABORTED:when=1,accept4:error=ECONNABORTED:when=1,"
        "accept:error=EINTR:when=2,accept4:error=EINTR:when=2,"
        "accept:error=EMFILE:when=3,accept4:error=EMFILE:when=3,"
        "accept:error=EAGAIN:when=5,accept4:error=EAGAIN:when=5");
    echo_expect_served_but_one(server);
    echo_end_cleanly(server, SIGTERM);
}

TEST(test_33_a_client_that_cannot_be_watched_is_closed)
{
    struct echo *server =
        echo_start_with_faults("epoll_ctl:error=ENOSPC:when=6");
    echo_expect_served_but_one(server);
    echo_end_cleanly(server, SIGTERM);
}

TEST(test_34_memory_that_runs_out_costs_one_connection)
{
    struct echo *server = echo_start_with_faults(
        "malloc:error=ENOMEM:when=4,calloc:error=ENOMEM:when=4");
    echo_expect_served_but_one(server);
    echo_end_cleanly(server, SIGTERM);

    /* None is left when bytes have to be kept. */
    server = echo_start_with_faults(
        "malloc:error=ENOMEM:when=3+,calloc:error=ENOMEM:when=3+,"
        "realloc:error=ENOMEM:when=3+");
    int other = echo_connect(server);
    echo_round_trip(other, "hello");
    int slow = client_connect_narrow(server->port);
    echo_flood(server, slow);
    echo_round_trip(other, "still here?");
    close(slow);
    close(other);
    echo_end_cleanly(server, SIGTERM);
}

/* Both clients have sent all they have to say before the server runs, the one
 * with much to say first. With each read the server gets three bytes, so it is
 * busy with that one for a long time. The log shows who was done first. */
TEST(test_35_a_client_with_much_to_say_does_not_go_first)
{
    enum { MUCH = 300000 };
    struct echo *server = echo_start_with_faults("read:short=3,recv:short=3");
    int greedy = echo_connect(server), modest = echo_connect(server);
    echo_expect_opened(server, greedy);
    echo_expect_opened(server, modest);
    const char *modest_name = echo_name(modest);

    process_stop(server->pid);
    for (size_t sent = 0; sent < MUCH; sent += ECHO_CHUNK)
        send(greedy, echo_pattern(sent), ECHO_CHUNK,
             MSG_NOSIGNAL | MSG_DONTWAIT);
    shutdown(greedy, SHUT_WR);
    client_send(modest, "hi");
    shutdown(modest, SHUT_WR);
    process_continue(server->pid);

    client_expect(modest, "hi");
    client_expect_end(modest);
    const char *line = program_line(server->program);
    if (strcmp(line, text("Connection closed: %s", modest_name)) != 0)
        fail_msg("expected: the client that said \"hi\" is done first\n"
                 "actual:   it had to wait for the one with %d bytes",
                 MUCH);
    client_reset(greedy);
    close(modest);
    echo_end(server);
}

TEST(test_36_five_thousand_clients_at_once, .limit_ms = 4000)
{
    int count = echo_room_for(5000);
    int *fds = malloc((size_t)count * sizeof(*fds));
    struct echo *server = echo_start();
    echo_connect_many(server, fds, count);
    for (int i = 0; i < count; i++)
        client_send(fds[i], "hello");
    for (int i = count - 1; i >= 0; i--)
        client_expect(fds[i], "hello");
    assert_int_equal(process_threads(server->pid), 1);
    for (int i = 0; i < count; i++)
        client_reset(fds[i]);
    echo_end(server);
    free(fds);
}

TEST(test_37_a_shortage_ends_while_a_client_talks)
{
    echo_expect_shortage_to_end();
}
