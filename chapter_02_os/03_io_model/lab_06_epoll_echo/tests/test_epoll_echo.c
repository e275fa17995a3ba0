/* What is special to epoll_echo. The shared tests are in echo_tests.c. */
#include "echo_test.h"

#include <poll.h>
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

/* The first writes are short: what is left must be held. From the 41st on a
 * write takes what was read, so that one which is interrupted comes right
 * behind its read, also where the first of them meet the log. Then the faults
 * stop: what a server writes to itself is not meant. */
TEST(test_31_short_and_interrupted_calls_lose_nothing)
{
    struct echo *server = echo_start_with_faults(
        "read:short=3:when=1..45,recv:short=3:when=1..45,"
        "read:error=EINTR:when=2..3,recv:error=EINTR:when=2..3,"
        "write:short=1:when=1..40,send:short=1:when=1..40,"
        "write:error=EINTR:when=1..2,send:error=EINTR:when=1..2,"
        "write:error=EINTR:when=50..51,send:error=EINTR:when=50..51,"
        "write:error=EINTR:when=60..62,send:error=EINTR:when=60..62,"
        "epoll_wait:error=EINTR:when=2..3");
    int fd = echo_connect(server);
    echo_round_trip(fd, "Nothing of this sentence is lost, and nothing of it "
                        "comes twice. It is long enough for all the faults, "
                        "also where the first of them meet the log.");
    shutdown(fd, SHUT_WR);
    client_expect_end(fd);
    close(fd);
    echo_end(server);
}

/* Connects clients one by one; at most one of them may find its connection
 * closed. */
static void expect_served_but_one(struct echo *server)
{
    enum { CLIENTS = 8 };
    int fds[CLIENTS], refused = 0;
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = echo_connect(server);
        refused += !echo_is_served(fds[i]);
    }
    assert_at_most(refused, 1);
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
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
    expect_served_but_one(server);
    echo_end_cleanly(server, SIGTERM);
}

TEST(test_33_a_client_that_cannot_be_watched_is_closed)
{
    struct echo *server =
        echo_start_with_faults("epoll_ctl:error=ENOSPC:when=6");
    expect_served_but_one(server);
    echo_end_cleanly(server, SIGTERM);
}

TEST(test_34_memory_that_runs_out_costs_one_connection)
{
    struct echo *server = echo_start_with_faults(
        "malloc:error=ENOMEM:when=4,calloc:error=ENOMEM:when=4");
    expect_served_but_one(server);
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

/* No connection ends: the descriptors become free elsewhere. Meanwhile a client
 * talks, so that the server is never long without an event. */
TEST(test_37_a_shortage_ends_while_a_client_talks)
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
