/*
 * What all four echo servers have to do. Tests of a single lab begin at
 * number 30 and are in its own folder.
 */
#include "echo_test.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_MEMORY_KB = 2048 }; /* of one connection */

TEST(test_01_it_says_where_it_listens)
{
    struct echo *server = echo_start();
    assert_at_least(server->port, 1);
    int fd = echo_connect(server);
    close(fd);
    echo_end(server);

    struct program *program =
        program_start(TEST_PLACE("start"), (struct run_options){0},
                      (const char *const[]){NULL});
    int port = program_port(program);
    fd = client_connect(port);
    close(fd);
    program_signal(program, SIGTERM);
    struct run r = program_wait(program);
    char *line = text("Listening on 127.0.0.1:%d\n", port);
    assert_output_contains(r, line);
}

#define USAGE "[--host ADDRESS] [--port PORT]\n"

TEST(test_02_a_wrong_command_line_is_a_usage_error)
{
    assert_usage(USAGE, "--port", "80x");
    assert_usage(USAGE, "--port", "");
    assert_usage(USAGE, "--port", "-1");
    assert_usage(USAGE, "--port", "65536");
    assert_usage(USAGE, "--port", "4294967296");
    assert_usage(USAGE, "--port");
    assert_usage(USAGE, "--host", "localhost");
    assert_usage(USAGE, "--host", "127.0.0.1.1");
    assert_usage(USAGE, "--speed", "9");
    assert_usage(USAGE, "7");
}

static void expect_no_start(const char *host, int port, int error)
{
    assert_no_start(text("%s:%d: %s\n", host, port, strerror(error)), "--port",
                    text("%d", port), "--host", host);
}

TEST(test_03_an_address_that_cannot_be_had_is_reported)
{
    struct echo *server = echo_start();
    expect_no_start("127.0.0.1", server->port, EADDRINUSE);
    /* RFC 5737: an address for examples, nobody's. */
    expect_no_start("192.0.2.1", 0, EADDRNOTAVAIL);
    int fd = echo_connect(server);
    echo_round_trip(fd, "still here");
    close(fd);
    echo_end(server);
}

/* An address of our own: nobody else can take its port in between. */
static const char *own_host(void)
{
    int pid = (int)getpid();
    return text("127.%d.%d.%d", 1 + (pid >> 16 & 63), pid >> 8 & 255,
                2 + (pid & 127));
}

TEST(test_04_it_can_be_started_again_at_once)
{
    struct echo *first = echo_start_at(own_host(), 0);
    int fd = echo_connect(first);
    echo_round_trip(fd, "one");
    /* It closes first, so TIME_WAIT is on its side. */
    shutdown(fd, SHUT_WR);
    client_expect_end(fd);
    int open = echo_connect(first);
    echo_round_trip(open, "two");
    echo_end(first);

    struct echo *second = echo_start_at(first->host, first->port);
    assert_int_equal(second->port, first->port);
    int again = echo_connect(second);
    echo_round_trip(again, "three");
    close(again);
    close(open);
    close(fd);
    echo_end(second);
}

TEST(test_05_bytes_come_back_unchanged)
{
    struct echo *server = echo_start();
    int fd = echo_connect(server);
    echo_round_trip(fd, "x");
    echo_round_trip(fd, "no newline");
    echo_round_trip(fd, "\n\n\r\n");
    unsigned char every[256];
    for (int i = 0; i < 256; i++)
        every[i] = (unsigned char)i;
    client_send_bytes(fd, every, sizeof(every));
    client_expect_bytes(fd, every, sizeof(every));
    /* One that is cut anywhere, one that is sent as a whole. */
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    for (const char *at = "byte by byte"; *at; at++)
        client_send_bytes(fd, at, 1);
    client_expect(fd, "byte by byte");
    for (int i = 0; i < 50; i++)
        echo_round_trip(fd, text("message %d", i));
    close(fd);
    echo_end(server);
}

TEST(test_06_after_a_half_close_everything_comes_back)
{
    struct echo *server = echo_start();
    int fd = echo_connect(server);
    echo_expect_opened(server, fd);
    process_stop(server->pid); /* it sees the bytes and the end at once */
    client_send(fd, "the last words");
    shutdown(fd, SHUT_WR);
    process_continue(server->pid);
    client_expect(fd, "the last words");
    client_expect_end(fd);
    close(fd);

    /* More than goes back in one piece. */
    fd = echo_connect(server);
    size_t sent = 0;
    for (; sent < 4 * ECHO_CHUNK; sent += ECHO_CHUNK)
        client_send_bytes(fd, echo_pattern(sent), ECHO_CHUNK);
    shutdown(fd, SHUT_WR);
    echo_expect_pattern(fd, sent);
    client_expect_end(fd);
    close(fd);

    /* Nothing was sent: nothing comes back. */
    fd = echo_connect(server);
    shutdown(fd, SHUT_WR);
    client_expect_end(fd);
    close(fd);
    echo_end(server);
}

TEST(test_07_connections_are_logged)
{
    struct echo *server = echo_start();
    int first = echo_connect(server), second = echo_connect(server);
    const char *first_name = echo_name(first);
    const char *second_name = echo_name(second);
    echo_expect_opened(server, first);
    echo_expect_opened(server, second);
    echo_round_trip(second, "hello");
    close(second);
    echo_expect_closed(server, second_name);
    echo_round_trip(first, "hello");
    client_reset(first);
    echo_expect_closed(server, first_name);
    program_signal(server->program, SIGTERM);
    struct run r = program_wait(server->program);
    /* Four lines behind the first, whatever their order. */
    size_t wanted = strlen(text("Listening on 127.0.0.1:%d\n", server->port)) +
                    strlen(text("New connection from %s\n", first_name)) +
                    strlen(text("New connection from %s\n", second_name)) +
                    strlen(text("Connection closed: %s\n", first_name)) +
                    strlen(text("Connection closed: %s\n", second_name));
    assert_int_equal(r.out_len, wanted);
}

TEST(test_08_many_clients_are_served_at_once)
{
    enum { CLIENTS = 100 };
    int fds[CLIENTS];
    struct echo *server = echo_start();
    echo_connect_many(server, fds, CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        client_send(fds[i], text("from client %d", i));
    for (int i = CLIENTS - 1; i >= 0; i--)
        client_expect(fds[i], text("from client %d", i));
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
    echo_end(server);
}

/* Sends the pattern from `sent` to `len` and reads it from its start, both at
 * the same time, as a real client does. */
static void pump(int fd, size_t sent, size_t len)
{
    static unsigned char bytes[ECHO_CHUNK];
    size_t got = 0;
    while (got < len) {
        struct pollfd ready = {.fd = fd,
                               .events = POLLIN | (sent < len ? POLLOUT : 0)};
        poll(&ready, 1, -1);
        if (ready.revents & POLLOUT) {
            size_t most = len - sent < ECHO_CHUNK ? len - sent : ECHO_CHUNK;
            ssize_t n =
                send(fd, echo_pattern(sent), most, MSG_NOSIGNAL | MSG_DONTWAIT);
            sent += n > 0 ? (size_t)n : 0;
        }
        if (ready.revents & (POLLIN | POLLHUP | POLLERR)) {
            ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
            if (n <= 0)
                fail_msg("after %zu of %zu bytes: %s", got, len,
                         n == 0 ? "the end" : strerror(errno));
            assert_at_most(got + (size_t)n, sent);
            if (memcmp(bytes, echo_pattern(got), (size_t)n) != 0)
                assert_bytes_equal(bytes, (size_t)n, echo_pattern(got),
                                   (size_t)n);
            got += (size_t)n;
        }
    }
}

TEST(test_09_much_goes_both_ways_at_once)
{
    struct echo *server = echo_start();
    int fd = client_connect_narrow(server->port);
    /* First nothing is read, so that the server cannot send all it has. */
    size_t sent = echo_flood(server, fd);
    pump(fd, sent, sent + (1 << 20));
    shutdown(fd, SHUT_WR);
    client_expect_end(fd);
    close(fd);
    echo_end(server);
}

TEST(test_10_a_slow_reader_stops_nobody_else)
{
    struct echo *server = echo_start();
    int other = echo_connect(server);
    int slow = client_connect_narrow(server->port);
    size_t sent = echo_flood(server, slow);
    echo_round_trip(other, "am I still served?");
    int late = echo_connect(server);
    echo_round_trip(late, "and I?");

    /* It reads again. */
    shutdown(slow, SHUT_WR);
    echo_expect_pattern(slow, sent);
    client_expect_end(slow);
    close(slow);
    close(late);
    close(other);
    echo_end(server);
}

TEST(test_11_a_slow_reader_costs_bounded_memory)
{
    struct echo *server = echo_start();
    int fd = echo_connect(server);
    pump(fd, 0, ECHO_CHUNK);
    long before_kb = process_resident_kb(server->pid);
    int slow = client_connect_narrow(server->port);
    echo_flood(server, slow);
    long more_kb = process_resident_kb(server->pid) - before_kb;
    assert_at_most(more_kb, MOST_MEMORY_KB);
    client_reset(slow);
    close(fd);
    echo_end(server);
}

TEST(test_12_a_reset_ends_one_connection_only)
{
    struct echo *server = echo_start();
    int other = echo_connect(server);
    for (int i = 0; i < 20; i++) {
        int fd = echo_connect(server);
        const char *name = echo_name(fd);
        /* Not all servers can name a client that is gone before. */
        echo_expect_opened(server, fd);
        if (i % 2 == 0)
            echo_round_trip(fd, "hello");
        client_reset(fd);
        echo_expect_closed(server, name);
    }
    echo_round_trip(other, "still here?");
    close(other);
    echo_end(server);
}

TEST(test_13_a_client_that_takes_nothing_back_ends_nobody_else)
{
    struct echo *server = echo_start();
    int other = echo_connect(server);
    /* It goes while the server waits to send more to it. */
    int slow = client_connect_narrow(server->port);
    const char *name = echo_name(slow);
    echo_flood(server, slow);
    close(slow); /* with bytes unread: a reset */
    echo_expect_closed(server, name);
    echo_round_trip(other, "still here?");

    /* Half-closed, then gone, before the server has read a byte: what it
     * sends then raises SIGPIPE. */
    int fd = echo_connect(server);
    name = echo_name(fd);
    echo_expect_opened(server, fd);
    process_stop(server->pid);
    client_send(fd, "nobody waits for this");
    shutdown(fd, SHUT_WR);
    client_reset(fd);
    process_continue(server->pid);
    echo_expect_closed(server, name);
    echo_round_trip(other, "and now?");
    close(other);
    echo_end(server);
}

TEST(test_14_running_out_of_descriptors_is_survived)
{
    struct echo *server = echo_start();
    int old = echo_connect(server);
    echo_round_trip(old, "one");
    int all = process_descriptors(server->pid);
    process_limit_descriptors(server->pid, 2);
    int first = echo_connect(server), second = echo_connect(server);
    echo_round_trip(first, "two");
    echo_round_trip(second, "three");

    int late = echo_connect(server); /* in the queue of the listener */
    client_send(late, "four");
    echo_round_trip(old, "those that are open go on");
    echo_round_trip(first, "those that are open go on");
    process_expect_asleep(server->pid);

    client_reset(first);
    client_reset(second);
    /* late may get one of their descriptors; the other is free then. */
    wait_until(process_descriptors(server->pid) <= all + 1);
    int new = echo_connect(server);
    echo_round_trip(new, "descriptors are free again");
    echo_round_trip(old, "and the old one is served");
    process_limit_descriptors(server->pid, 20);
    client_reset(late);
    close(new);
    close(old);
    echo_end(server);
}

TEST(test_15_connections_that_end_leave_nothing)
{
    struct echo *server = echo_start();
    int old = echo_connect(server);
    echo_round_trip(old, "x");
    int descriptors = process_descriptors(server->pid);
    int threads = process_threads(server->pid);
    for (int round = 0; round < 3; round++) {
        int fds[20];
        echo_connect_many(server, fds, 20);
        for (int i = 0; i < 20; i++) {
            echo_round_trip(fds[i], "x");
            if (i % 2 == 0)
                client_reset(fds[i]);
            else
                close(fds[i]);
        }
    }
    wait_until(process_descriptors(server->pid) == descriptors);
    wait_until(process_threads(server->pid) == threads);
    close(old);
    echo_end(server);
}

TEST(test_16_it_sleeps_while_there_is_nothing_to_do)
{
    struct echo *server = echo_start();
    int fds[10];
    echo_connect_many(server, fds, 10);
    for (int i = 0; i < 10; i++)
        echo_round_trip(fds[i], "hello");
    process_expect_idle(server->pid);
    for (int i = 0; i < 10; i++)
        close(fds[i]);
    echo_end(server);
}

/* Stops a server whose clients are in every state there is. */
static void stop_busy(int signal)
{
    struct echo *server = echo_start();
    int idle = echo_connect(server);
    int talking = echo_connect(server);
    int slow = client_connect_narrow(server->port);
    echo_expect_opened(server, idle);
    echo_round_trip(talking, "hello");
    echo_flood(server, slow);
    echo_end_cleanly(server, signal);
    close(idle);
    close(talking);
    close(slow);
}

TEST(test_17_sigterm_and_sigint_end_it_cleanly)
{
    struct echo *server = echo_start();
    echo_end_cleanly(server, SIGTERM);
    stop_busy(SIGTERM);
    stop_busy(SIGINT);
}
