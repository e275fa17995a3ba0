#include "test/process.h"
#include "test/program.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    MOST_IPV4 = 65507, /* bytes in a datagram */
    MOST_IPV6 = 65527,
    MOST_CLIENTS = 1024,
    BATCH = 32,  /* datagrams on their way at once: a receive buffer is small */
    SEVERAL = 4, /* threads */
    MOST_TASKS = 64,
};

/* The server. */

struct server {
    struct program *program;
    pid_t pid;
    const char *host;
    int port;
};

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static bool is_ipv6(const char *host)
{
    return strchr(host, ':') != NULL;
}

static struct server begin(struct run_options options, const char *host,
                           int port, int threads)
{
    struct server server = {.host = host};
    server.program = program_start(
        TEST_PLACE("start"), options,
        (const char *const[]){"--host", host, "--port", text("%d", port),
                              "--threads", text("%d", threads), NULL});
    server.pid = program_pid(server.program);
    server.port = program_port(server.program);
    return server;
}

static struct server start_server(int threads)
{
    return begin((struct run_options){0}, "127.0.0.1", 0, threads);
}

static struct server start_ipv6_server(void)
{
    return begin((struct run_options){0}, "::1", 0, 2);
}

static struct server start_with_faults(int threads, const char *faults)
{
    return begin((struct run_options){.faults = faults}, "127.0.0.1", 0,
                 threads);
}

/* For tests of something else: it may handle the signal and exit with 0, or
 * die of it. Sanitizers must have found nothing. */
static void end(struct server *server)
{
    program_signal(server->program, SIGTERM);
    struct run r = program_wait(server->program);
    if (r.status != 128 + SIGTERM)
        assert_exit(r, 0);
    const char *line = is_ipv6(server->host) ? "Listening on [%s]:%d\n"
                                             : "Listening on %s:%d\n";
    assert_output_contains(r, text(line, server->host, server->port));
}

static const char *statistics(struct server *server)
{
    program_signal(server->program, SIGUSR1);
    const char *line = program_line(server->program);
    if (!line) {
        assert_exit(program_wait(server->program), 0);
        fail_msg("it ended at SIGUSR1");
    }
    return line;
}

static bool statistics_say(struct server *server, const char *start)
{
    return strncmp(statistics(server), start, strlen(start)) == 0;
}

/* "clients" is text: it may be "1024+". */
static void expect_statistics(struct server *server, long packets, long bytes,
                              const char *clients)
{
    assert_string_equal(
        statistics(server),
        text("packets %ld, bytes %ld, clients %s", packets, bytes, clients));
}

/* Clients. */

static union address make_address(const char *host, int port)
{
    union address address;
    memset(&address, 0, sizeof(address));
    if (is_ipv6(host)) {
        address.v6.sin6_family = AF_INET6;
        address.v6.sin6_port = htons((uint16_t)port);
        inet_pton(AF_INET6, host, &address.v6.sin6_addr);
    } else {
        address.v4.sin_family = AF_INET;
        address.v4.sin_port = htons((uint16_t)port);
        inet_pton(AF_INET, host, &address.v4.sin_addr);
    }
    return address;
}

static socklen_t length_of(const union address *address)
{
    return address->any.sa_family == AF_INET ? sizeof(address->v4)
                                             : sizeof(address->v6);
}

/* A socket bound to this address of ours, any port; -1 if it is not ours. */
static int bound_socket(const char *host)
{
    union address own = make_address(host, 0);
    int fd = socket(own.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd == -1 || bind(fd, &own.any, length_of(&own)) == 0)
        return fd;
    close(fd);
    return -1;
}

static void need_ipv6(void)
{
    int fd = bound_socket("::1");
    if (fd == -1)
        test_skip("this machine has no IPv6");
    close(fd);
}

/* A client at this address. The socket is connected: it takes datagrams from
 * the server's address and port only. */
static int client_at(struct server *server, const char *host)
{
    union address address = make_address(server->host, server->port);
    int fd = bound_socket(host);
    if (fd == -1 || connect(fd, &address.any, length_of(&address)) == -1)
        fail_msg("a socket at %s: %s", host, strerror(errno));
    return fd;
}

static int client(struct server *server)
{
    return client_at(server, server->host);
}

static void send_bytes(int fd, const void *bytes, size_t len)
{
    if (send(fd, bytes, len, 0) != (ssize_t)len)
        fail_msg("sending %zu bytes: %s", len, strerror(errno));
}

static void send_text(int fd, const char *text)
{
    send_bytes(fd, text, strlen(text));
}

/* One datagram; returns its bytes, with a NUL behind the last. */
static char *receive(int fd, size_t *len)
{
    static char buf[MOST_IPV6 + 100];
    test_waiting(TEST_PLACE("waited for a datagram to come back"));
    ssize_t n = recv(fd, buf, sizeof(buf) - 1, 0);
    test_waiting((struct test_place){0});
    if (n == -1)
        fail_msg("waiting for a datagram: %s", strerror(errno));
    *len = n > 0 ? (size_t)n : 0;
    buf[*len] = '\0';
    return buf;
}

static void expect_bytes(int fd, const void *bytes, size_t wanted)
{
    size_t len;
    const char *got = receive(fd, &len);
    assert_bytes_equal(got, len, bytes, wanted);
}

static void expect_text(int fd, const char *text)
{
    expect_bytes(fd, text, strlen(text));
}

static void round_trip(int fd, const char *text)
{
    send_text(fd, text);
    expect_text(fd, text);
}

/* Tests. */

TEST(test_01_it_says_where_it_listens)
{
    struct server server = start_server(2);
    int fd = client(&server);
    round_trip(fd, "hello");
    close(fd);
    end(&server);

    /* Without any argument, the same. */
    server = (struct server){.host = "127.0.0.1"};
    server.program = program_start(TEST_PLACE("start"), (struct run_options){0},
                                   (const char *const[]){NULL});
    server.port = program_port(server.program);
    fd = client(&server);
    round_trip(fd, "hello");
    close(fd);
    end(&server);
}

#define USAGE "[--host ADDRESS] [--port PORT] [--threads N]\n"

TEST(test_02_a_wrong_command_line_is_a_usage_error)
{
    assert_usage(USAGE, "--port", "80x");
    assert_usage(USAGE, "--port", "");
    assert_usage(USAGE, "--port", "-1");
    assert_usage(USAGE, "--port", "65536");
    assert_usage(USAGE, "--port", "4294967296");
    assert_usage(USAGE, "--port");
    assert_usage(USAGE, "--threads", "0");
    assert_usage(USAGE, "--threads", "65");
    assert_usage(USAGE, "--threads", "two");
    assert_usage(USAGE, "--host", "localhost");
    assert_usage(USAGE, "--host", "127.0.0.1.1");
    assert_usage(USAGE, "--host", "[::1]");
    assert_usage(USAGE, "--speed", "9");
    assert_usage(USAGE, "7");
}

static void expect_no_start(const char *host, int port, int error)
{
    const char *port_text = text("%d", port);
    struct program *program = start("--host", host, "--port", port_text);
    const char *line = program_line(program);
    if (line)
        fail_msg("--host %s --port %d\nexpected: an error\nactual:   \"%s\"",
                 host, port, line);
    struct run r = program_wait(program);
    assert_exit(r, 1);
    const char *format =
        is_ipv6(host) ? "udp_echo: [%s]:%d: %s\n" : "udp_echo: %s:%d: %s\n";
    assert_error(r, text(format, host, port, strerror(error)));
}

TEST(test_03_an_address_that_cannot_be_had_is_reported)
{
    struct server server = start_server(1);
    expect_no_start("127.0.0.1", server.port, EADDRINUSE);
    /* RFC 5737 and RFC 3849: addresses for examples, nobody's. */
    expect_no_start("192.0.2.1", 0, EADDRNOTAVAIL);
    int own = bound_socket("::1");
    if (own != -1)
        expect_no_start("2001:db8::1", 0, EADDRNOTAVAIL);
    close(own);
    int fd = client(&server);
    round_trip(fd, "still here");
    close(fd);
    end(&server);
}

TEST(test_04_a_datagram_comes_back_unchanged)
{
    struct server server = start_server(2);
    int fd = client(&server);
    round_trip(fd, "x");
    round_trip(fd, "no newline");
    round_trip(fd, "\n\n\r\n");
    unsigned char every[256];
    for (int i = 0; i < 256; i++)
        every[i] = (unsigned char)i;
    send_bytes(fd, every, sizeof(every));
    expect_bytes(fd, every, sizeof(every));
    /* Nothing is left of a long one when a short one follows. */
    round_trip(fd, "y");
    close(fd);
    end(&server);
}

TEST(test_05_an_empty_datagram_comes_back)
{
    struct server server = start_server(1);
    int fd = client(&server);
    send_bytes(fd, "", 0);
    expect_bytes(fd, "", 0);
    round_trip(fd, "and the next one, too");
    close(fd);
    end(&server);
}

/* With one thread they come back in the order in which they came: so the last
 * one says that nothing was sent twice before it. */
TEST(test_06_datagrams_come_back_one_for_one)
{
    struct server server = start_server(1);
    int fd = client(&server);
    process_stop(server.pid); /* it finds them all at once */
    send_text(fd, "one");
    send_text(fd, "two");
    send_bytes(fd, "", 0);
    send_text(fd, "three");
    send_text(fd, "three");
    send_text(fd, "the last");
    process_continue(server.pid);
    expect_text(fd, "one");
    expect_text(fd, "two");
    expect_text(fd, "");
    expect_text(fd, "three");
    expect_text(fd, "three");
    expect_text(fd, "the last");
    close(fd);
    end(&server);
}

static unsigned char *pattern(size_t len)
{
    static unsigned char bytes[MOST_IPV6];
    for (size_t i = 0; i < len; i++)
        bytes[i] = (unsigned char)(i * 31 + i / 251);
    return bytes;
}

TEST(test_07_the_largest_datagram_comes_back)
{
    struct server server = start_server(2);
    int fd = client(&server);
    send_bytes(fd, pattern(MOST_IPV4), MOST_IPV4);
    expect_bytes(fd, pattern(MOST_IPV4), MOST_IPV4);
    close(fd);
    end(&server);
}

TEST(test_08_ipv6_is_served)
{
    need_ipv6();
    struct server server = start_ipv6_server();
    int fd = client(&server);
    round_trip(fd, "hello");
    send_bytes(fd, pattern(MOST_IPV6), MOST_IPV6);
    expect_bytes(fd, pattern(MOST_IPV6), MOST_IPV6);
    int other = client(&server);
    round_trip(other, "and I?");
    round_trip(fd, "hello again");
    close(other);
    close(fd);
    end(&server);
}

TEST(test_09_each_client_gets_its_own)
{
    enum { CLIENTS = 100, ROUNDS = 10 };
    int fds[CLIENTS];
    struct server server = start_server(SEVERAL);
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = client(&server);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < CLIENTS; i++)
            send_text(fds[i], text("client %d, round %d", i, round));
        for (int i = CLIENTS - 1; i >= 0; i--)
            expect_text(fds[i], text("client %d, round %d", i, round));
    }
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
    end(&server);
}

TEST(test_10_sigusr1_prints_statistics)
{
    struct server server = start_server(2);
    expect_statistics(&server, 0, 0, "0");
    int fd = client(&server);
    round_trip(fd, "hello");
    expect_statistics(&server, 1, 5, "1");
    round_trip(fd, "you");
    expect_statistics(&server, 2, 8, "1");
    round_trip(fd, "");
    expect_statistics(&server, 3, 8, "1");
    expect_statistics(&server, 3, 8, "1");
    send_bytes(fd, pattern(MOST_IPV4), MOST_IPV4);
    expect_bytes(fd, pattern(MOST_IPV4), MOST_IPV4);
    expect_statistics(&server, 4, 8 + MOST_IPV4, "1");
    close(fd);
    end(&server);

    /* Counted before it is sent: this answer is never done. */
    const char *faults = "sendto:error=EINTR,sendmsg:error=EINTR";
    struct run_options options = {.faults = faults, .may_crash = true};
    server = begin(options, "127.0.0.1", 0, 1);
    fd = client(&server);
    send_text(fd, "hello");
    wait_until(statistics_say(&server, "packets 1, bytes 5, clients 1"));
    close(fd);
    program_signal(server.program, SIGKILL);
    program_wait(server.program);
}

TEST(test_11_a_client_is_an_address_and_a_port)
{
    struct server server = start_server(SEVERAL);
    int first = client(&server), second = client(&server);
    round_trip(first, "a");
    round_trip(second, "b");
    expect_statistics(&server, 2, 2, "2");

    /* The port of the first one, at another address. */
    union address own;
    socklen_t len = sizeof(own);
    getsockname(first, &own.any, &len);
    union address server_address = make_address("127.0.0.1", server.port);
    inet_pton(AF_INET, "127.0.0.2", &own.v4.sin_addr);
    int third = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (bind(third, &own.any, len) == -1 ||
        connect(third, &server_address.any, sizeof(own.v4)) == -1)
        test_skip("127.0.0.2, port %d: %s", ntohs(own.v4.sin_port),
                  strerror(errno));
    round_trip(third, "c");
    expect_statistics(&server, 3, 3, "3");
    round_trip(first, "d");
    round_trip(second, "e");
    round_trip(third, "f");
    expect_statistics(&server, 6, 6, "3");
    close(third);
    close(second);
    close(first);
    end(&server);
}

TEST(test_12_ipv6_clients_are_counted)
{
    need_ipv6();
    struct server server = start_ipv6_server();
    int first = client(&server), second = client(&server);
    round_trip(first, "a");
    expect_statistics(&server, 1, 1, "1");
    round_trip(second, "b");
    round_trip(first, "c");
    expect_statistics(&server, 3, 3, "2");
    close(second);
    close(first);
    end(&server);
}

/* A socket that can send from any address of 127.0.0.0/8. */
static int many_faced_socket(void)
{
    int on = 1;
    int fd = bound_socket("0.0.0.0");
    if (fd == -1 ||
        setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)) == -1)
        fail_msg("a socket: %s", strerror(errno));
    return fd;
}

/* Sends a byte from an address that only this number has, anywhere in
 * 127.0.0.0/8. */
static void send_from(int fd, struct server *server, int number)
{
    union address to = make_address(server->host, server->port);
    uint32_t low = ((uint32_t)number * 40503u + 7) & 0xffffff;
    struct in_pktinfo from = {.ipi_spec_dst.s_addr = htonl(127u << 24 | low)};
    union {
        char bytes[CMSG_SPACE(sizeof(from))];
        struct cmsghdr align;
    } control;
    memset(&control, 0, sizeof(control));
    struct iovec part = {.iov_base = "?", .iov_len = 1};
    struct msghdr message = {.msg_name = &to.any,
                             .msg_namelen = sizeof(to.v4),
                             .msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = IPPROTO_IP;
    header->cmsg_type = IP_PKTINFO;
    header->cmsg_len = CMSG_LEN(sizeof(from));
    memcpy(CMSG_DATA(header), &from, sizeof(from));
    if (sendmsg(fd, &message, 0) != 1)
        fail_msg("sending from client %d: %s", number, strerror(errno));
}

/* A datagram there and back for each of these clients. */
static void round_trips_from(int fd, struct server *server, int first,
                             int count)
{
    for (int sent = 0; sent < count;) {
        int most = count - sent < BATCH ? count - sent : BATCH;
        for (int i = 0; i < most; i++)
            send_from(fd, server, first + sent + i);
        for (int i = 0; i < most; i++)
            expect_text(fd, "?");
        sent += most;
    }
}

TEST(test_13_a_thousand_clients_are_counted, .limit_ms = 3000)
{
    struct server server = start_server(SEVERAL);
    int fd = many_faced_socket();
    round_trips_from(fd, &server, 0, 1);
    int before = process_descriptors(server.pid);
    round_trips_from(fd, &server, 1, MOST_CLIENTS - 1);
    expect_statistics(&server, MOST_CLIENTS, MOST_CLIENTS, "1024");
    /* All of them are known. */
    round_trips_from(fd, &server, 0, MOST_CLIENTS);
    expect_statistics(&server, 2 * MOST_CLIENTS, 2 * MOST_CLIENTS, "1024");
    assert_int_equal(process_descriptors(server.pid), before);
    close(fd);
    end(&server);
}

TEST(test_14_more_clients_are_served_but_not_kept, .limit_ms = 3000)
{
    enum { MORE = 2500 };
    struct server server = start_server(SEVERAL);
    int fd = many_faced_socket();
    round_trips_from(fd, &server, 0, MOST_CLIENTS);
    expect_statistics(&server, MOST_CLIENTS, MOST_CLIENTS, "1024");
    round_trips_from(fd, &server, MOST_CLIENTS, 1);
    expect_statistics(&server, MOST_CLIENTS + 1, MOST_CLIENTS + 1, "1024+");
    round_trips_from(fd, &server, MOST_CLIENTS, MORE - MOST_CLIENTS);
    expect_statistics(&server, MORE + 1, MORE + 1, "1024+");
    close(fd);
    end(&server);
}

TEST(test_15_each_receiver_is_a_thread)
{
    struct server one = start_server(1);
    int fd = client(&one);
    round_trip(fd, "hello");
    close(fd);
    int threads = process_threads(one.pid);
    end(&one);

    struct server several = start_server(1 + 7);
    fd = client(&several);
    round_trip(fd, "hello");
    close(fd);
    assert_int_equal(process_threads(several.pid) - threads, 7);
    end(&several);
}

/* The threads of the server; returns how many there are. */
static int tasks(struct server *server, pid_t *tids)
{
    int count = 0;
    DIR *directory = opendir(text("/proc/%d/task", (int)server->pid));
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        if (entry->d_name[0] != '.' && count < MOST_TASKS)
            tids[count++] = atoi(entry->d_name);
    }
    if (directory)
        closedir(directory);
    return count;
}

/* Stops one thread as a debugger does, and nothing else. */
static void hold(pid_t tid)
{
    if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) == -1 ||
        ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) == -1 ||
        waitpid(tid, NULL, __WALL) != tid)
        fail_msg("stopping thread %d: %s", (int)tid, strerror(errno));
}

TEST(test_16_a_thread_that_is_held_up_holds_up_nobody)
{
    test_need_ptrace();
    pid_t tids[MOST_TASKS];
    struct server server = start_server(2);
    int fds[8];
    for (int i = 0; i < 8; i++) {
        fds[i] = client(&server);
        round_trip(fds[i], "hello");
    }
    int count = tasks(&server, tids);
    for (int i = 0; i < count; i++) {
        process_expect_asleep(server.pid); /* so it holds no lock */
        hold(tids[i]);
        for (int j = 0; j < 8; j++)
            round_trip(fds[j], text("thread %d does not run", i));
        process_expect_asleep(server.pid); /* who had a lock has it again */
        ptrace(PTRACE_DETACH, tids[i], NULL, NULL);
    }
    for (int i = 0; i < 8; i++)
        close(fds[i]);
    end(&server);
}

TEST(test_17_a_client_that_is_gone_ends_nothing)
{
    struct server server = start_server(2);
    int other = client(&server);
    for (int i = 0; i < 10; i++) {
        /* It goes before it is answered: the kernel sends an ICMP message. */
        int fd = client(&server);
        process_stop(server.pid);
        send_text(fd, "nobody waits for this");
        close(fd);
        process_continue(server.pid);
        round_trip(other, "still here?");
    }
    close(other);
    end(&server);
}

TEST(test_18_an_error_is_about_one_datagram)
{
    struct server server = start_with_faults(
        1, "recvfrom:error=ECONNREFUSED:when=1..4,"
           "recvmsg:error=ECONNREFUSED:when=1..4,"
           "sendto:error=EPERM:when=2,sendmsg:error=EPERM:when=2");
    int fd = client(&server);
    round_trip(fd, "first");
    send_text(fd, "a firewall takes this");
    round_trip(fd, "third");
    round_trip(fd, "fourth");
    close(fd);
    end(&server);
}

TEST(test_19_interrupted_calls_lose_nothing)
{
    struct server server = start_with_faults(
        1, "recvfrom:error=EINTR:when=1..3,recvmsg:error=EINTR:when=1..3,"
           "sendto:error=EINTR:when=1..3,sendmsg:error=EINTR:when=1..3,"
           "poll:error=EINTR:when=1,epoll_wait:error=EINTR:when=1");
    int fd = client(&server);
    round_trip(fd, "one");
    round_trip(fd, "two");
    round_trip(fd, "three");
    close(fd);
    end(&server);
}

/* Each datagram is handled by the next thread in turn, and since none is sent,
 * nothing that threads do with the socket puts them in an order. So under
 * ThreadSanitizer what they share is seen to be guarded, or not. */
TEST(test_20_what_cannot_be_sent_is_dropped)
{
    enum { LOST = 10 };
    struct server server =
        start_with_faults(SEVERAL, "sendto:error=ENOBUFS:when=1..10,"
                                   "sendmsg:error=ENOBUFS:when=1..10");
    int fd = client(&server);
    for (int i = 1; i <= LOST; i++) {
        send_text(fd, "lost");
        wait_until(statistics_say(&server, text("packets %d, ", i)));
        process_expect_asleep(server.pid);
    }
    round_trip(fd, "sent");
    expect_statistics(&server, LOST + 1, 4 * (LOST + 1), "1");
    close(fd);
    end(&server);
}

TEST(test_21_it_sleeps_while_there_is_nothing_to_do)
{
    struct server server = start_server(SEVERAL);
    int fd = client(&server);
    round_trip(fd, "hello");
    process_expect_idle(server.pid);
    close(fd);
    end(&server);
}

static void expect_clean_end(int signal, int threads)
{
    struct server server = start_server(threads);
    int fd = client(&server);
    round_trip(fd, "hello");
    round_trip(fd, "");
    expect_statistics(&server, 2, 5, "1");
    program_signal(server.program, signal);
    struct run r = program_wait(server.program);
    assert_exit(r, 0);
    assert_output(r, text("Listening on 127.0.0.1:%d\n"
                          "packets 2, bytes 5, clients 1\n"
                          "packets 2, bytes 5, clients 1\n",
                          server.port));
    close(fd);
}

TEST(test_22_sigterm_and_sigint_end_it_with_statistics)
{
    expect_clean_end(SIGTERM, 1);
    expect_clean_end(SIGINT, SEVERAL);

    /* While datagrams wait. */
    struct server server = start_server(2);
    int fd = client(&server);
    process_stop(server.pid);
    for (int i = 0; i < 100; i++)
        send_text(fd, "too late?");
    program_signal(server.program, SIGTERM);
    process_continue(server.pid);
    struct run r = program_wait(server.program);
    assert_exit(r, 0);
    assert_output_contains(r, "\npackets ");
    close(fd);

    /* While they never end: from the second on, there is always one more. */
    server = start_with_faults(1, "recvfrom:retval=5:when=2+,"
                                  "recvmsg:retval=5:when=2+");
    fd = client(&server);
    round_trip(fd, "hello");
    close(fd);
    program_signal(server.program, SIGTERM);
    assert_exit(program_wait(server.program), 0);
}

static void expect_no_thread(const char *faults)
{
    struct run_options options = {.faults = faults};
    struct program *program = start_with(options, "--threads", "3");
    const char *line = program_line(program);
    if (line)
        fail_msg("pthread_create fails\nexpected: an error\n"
                 "actual:   \"%s\"",
                 line);
    struct run r = program_wait(program);
    assert_exit(r, 1);
    assert_error_contains(r, "udp_echo: ");
    assert_error_contains(r, strerror(EAGAIN));
}

TEST(test_23_without_its_threads_it_does_not_begin)
{
    expect_no_thread("pthread_create:error=EAGAIN");
    expect_no_thread("pthread_create:error=EAGAIN:when=3+");
}

/* An address of our own: nobody else takes its ports. */
static const char *own_host(void)
{
    int pid = (int)getpid();
    return text("127.%d.%d.%d", 64 + (pid >> 16 & 63), pid >> 8 & 255,
                2 + (pid & 127));
}

static bool is_answered(int fd)
{
    char buf[16];
    send(fd, "?", 1, 0); /* refused as long as nobody listens */
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    return poll(&ready, 1, 1) == 1 &&
           recv(fd, buf, sizeof(buf), MSG_DONTWAIT) == 1;
}

TEST(test_24_output_that_nobody_reads_ends_nothing)
{
    struct server server = begin((struct run_options){0}, own_host(), 0, 1);
    end(&server);
    const char *port = text("%d", server.port); /* which is free again */
    struct run_options options = {.closed_output = true};
    server.program = start_with(options, "--host", server.host, "--port", port);

    int fd = client_at(&server, "127.0.0.1");
    wait_until(is_answered(fd));
    close(fd);
    program_signal(server.program, SIGUSR1);
    fd = client_at(&server, "127.0.0.1");
    round_trip(fd, "still here?");
    close(fd);
    program_signal(server.program, SIGTERM);
    assert_exit(program_wait(server.program), 0);
}
