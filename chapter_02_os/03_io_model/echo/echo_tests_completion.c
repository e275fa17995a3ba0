/*
 * What the servers have to do that hand out a buffer and are told later what
 * came of it: async_echo and uring_echo.
 */
#include "echo_test.h"

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

TEST(test_30_one_thread_serves_all)
{
    echo_expect_one_thread();
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
