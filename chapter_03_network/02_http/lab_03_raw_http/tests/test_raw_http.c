/* The server, from outside. The parser's tests are in test_http.c. */
#include "malformed.h"
#include "test/http.h"
#include "test/process.h"
#include "test/program.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    MOST_BODY = 65536,
    MOST_HEAD = 8192,
    LARGE = 60000,         /* the body of one request in a flood */
    FLOOD = 1000,          /* requests in a flood that never ends */
    MOST_FLOOD = 48 << 20, /* bytes of a flood that does */
    LOOKS = 5,             /* in a row, until a server counts as asleep */
    MOST_MEMORY_KB = 2048, /* of one connection */
};

#define GET(target) "GET " target " HTTP/1.1\r\nHost: test\r\n\r\n"

struct server {
    struct program *program;
    pid_t pid;
    int port;
};

static struct server begin(struct run_options options, const char *timeout_ms)
{
    struct server server = {0};
    server.program =
        program_start(TEST_PLACE("start"), options,
                      (const char *const[]){"--timeout-ms", timeout_ms, NULL});
    server.pid = program_pid(server.program);
    server.port = program_port(server.program);
    return server;
}

/* With time enough for everybody. */
static struct server server_start(void)
{
    return begin((struct run_options){0}, "3600000");
}

static struct server server_start_with_faults(const char *faults)
{
    return begin((struct run_options){.faults = faults}, "3600000");
}

/* Here something runs out of time. */
static struct server server_start_hasty(void)
{
    return begin((struct run_options){0}, "30");
}

/* For tests of something else: it may handle the signal or die of it. */
static void server_end(struct server server)
{
    program_signal(server.program, SIGTERM);
    struct run r = program_wait(server.program);
    if (r.status != 128 + SIGTERM)
        assert_exit(r, 0);
}

/* Sends a request and reads what answers it. */
static struct http_reply ask(int fd, const char *request)
{
    client_send(fd, request);
    return http_read_to(fd, strncmp(request, "HEAD ", 5) ? "GET" : "HEAD");
}

static struct http_reply ask_for(int fd, const char *method, const char *target)
{
    return ask(fd,
               text("%s %s HTTP/1.1\r\nHost: test\r\n\r\n", method, target));
}

static void expect_hello(int fd)
{
    struct http_reply r = ask(fd, GET("/"));
    assert_status(r, 200);
    assert_body(r, "Hello, World!");
}

/* A client that sends much and reads nothing. */

/* An echo request of LARGE letters, the same for each call. */
static const char *large_request(size_t *len)
{
    static char request[LARGE + 200];
    size_t head = (size_t)snprintf(request, sizeof(request),
                                   "POST /echo HTTP/1.1\r\nHost: test\r\n"
                                   "Content-Length: %d\r\n\r\n",
                                   LARGE);
    for (size_t i = 0; i < LARGE; i++)
        request[head + i] = (char)('a' + (i + i / 26) % 26);
    *len = head + LARGE;
    return request;
}

/* Sends large requests until the server takes no more, or the connection is
 * gone. Returns how many bytes went out. */
static size_t flood(struct server server, int fd)
{
    size_t len, sent = 0;
    int looks = 0;
    const char *request = large_request(&len);
    test_waiting(TEST_PLACE("waited until the server stops reading"));
    while (looks < LOOKS && sent < FLOOD * len) {
        ssize_t n = send(fd, request + sent % len, len - sent % len,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n == -1 && errno != EAGAIN)
            break;
        sent += n > 0 ? (size_t)n : 0;
        looks = n == -1 && process_is_asleep(server.pid) ? looks + 1 : 0;
        if (n == -1)
            test_pause();
    }
    test_waiting((struct test_place){0});
    return sent;
}

/* Sends the rest of the last request and reads all answers. */
static void drain(int fd, size_t sent)
{
    size_t len;
    const char *request = large_request(&len);
    for (size_t i = 0; i < sent / len; i++) {
        struct http_reply r = http_read(fd);
        assert_status(r, 200);
        assert_bytes_equal(r.body, r.body_len, request + len - LARGE, LARGE);
    }
    if (sent % len == 0)
        return;
    client_send_bytes(fd, request + sent % len, len - sent % len);
    struct http_reply r = http_read(fd);
    assert_bytes_equal(r.body, r.body_len, request + len - LARGE, LARGE);
}

#define USAGE "[--host ADDRESS] [--port PORT] [--timeout-ms MS]\n"

TEST(test_14_a_wrong_command_line_is_a_usage_error)
{
    assert_usage(USAGE, "--port", "80x");
    assert_usage(USAGE, "--port", "");
    assert_usage(USAGE, "--port", "-1");
    assert_usage(USAGE, "--port", "65536");
    assert_usage(USAGE, "--port");
    assert_usage(USAGE, "--host", "localhost");
    assert_usage(USAGE, "--timeout-ms", "0");
    assert_usage(USAGE, "--timeout-ms", "3600001");
    assert_usage(USAGE, "--timeout-ms", "4294967297");
    assert_usage(USAGE, "--timeout-ms", "1s");
    assert_usage(USAGE, "--speed", "9");
    assert_usage(USAGE, "7");
}

TEST(test_15_it_says_where_it_listens)
{
    struct server server = server_start();
    int fd = client_connect(server.port);
    expect_hello(fd);
    /* Stopped with a connection open, which its port remembers. */
    program_signal(server.program, SIGTERM);
    struct run r = program_wait(server.program);
    assert_exit(r, 0);
    assert_output(r, text("Listening on 127.0.0.1:%d\n", server.port));
    close(fd);

    const char *port = text("%d", server.port);
    struct program *again = start("--port", port);
    assert_int_equal(program_port(again), server.port);
    assert_no_start(text("127.0.0.1:%s: %s\n", port, strerror(EADDRINUSE)),
                    "--port", port);
    program_signal(again, SIGINT);
    assert_exit(program_wait(again), 0);
}

/* The time that such a text tells; the text has to be just that. */
static time_t parse_date(const char *date)
{
    struct tm utc = {0};
    char again[64];
    const char *end = strptime(date, "%a, %d %b %Y %T GMT", &utc);
    strftime(again, sizeof(again), "%a, %d %b %Y %T GMT", &utc);
    if (!end || *end != '\0' || strcmp(date, again) != 0)
        fail_msg("expected: a date like Fri, 20 Nov 2026 12:00:00 GMT\n"
                 "actual:   %s",
                 date);
    return timegm(&utc);
}

TEST(test_16_it_says_hello_and_tells_the_time)
{
    struct server server = server_start();
    int fd = client_connect(server.port);
    time_t before = time(NULL) - 1; /* that clock may lag a little */
    struct http_reply r = ask(fd, GET("/"));
    assert_status(r, 200);
    assert_true(strncmp(r.head, "HTTP/1.1 ", 9) == 0);
    assert_header(r, "Content-Type", "text/plain; charset=utf-8");
    assert_header(r, "Content-Length", "13");
    assert_header(r, "Connection", NULL);
    assert_body(r, "Hello, World!");
    r = ask(fd, GET("/?a=b/../time"));
    assert_body(r, "Hello, World!");
    r = ask(fd, GET("http://elsewhere"));
    assert_body(r, "Hello, World!");

    r = ask(fd, GET("/time"));
    time_t after = time(NULL);
    assert_status(r, 200);
    assert_header(r, "Content-Type", "text/plain; charset=utf-8");
    assert_header(r, "Date", r.body);
    assert_at_least(parse_date(r.body), before);
    assert_at_most(parse_date(r.body), after);
    close(fd);
    server_end(server);
}

TEST(test_17_a_name_is_decoded)
{
    struct server server = server_start();
    int fd = client_connect(server.port);
    assert_body(ask(fd, GET("/hello/Ada")), "Hello, Ada!");
    assert_body(ask(fd, GET("/hello/Ada%20B.+C?d=e")), "Hello, Ada B.+C!");
    assert_body(ask(fd, GET("/hello/%c3%A4%2f%25%3F")), "Hello, \xc3\xa4/%?!");
    assert_body(ask(fd, GET("/hello/%2541")), "Hello, %41!");
    struct http_reply r = ask(fd, GET("/hello/a%00b"));
    assert_bytes_equal(r.body, r.body_len, "Hello, a\0b!", 11);

    const char *name = text("%04000d", 7);
    r = ask_for(fd, "GET", text("/hello/%s", name));
    assert_body(r, text("Hello, %s!", name));

    static const char *const wrong[] = {"/hello/%",    "/hello/a%4",
                                        "/hello/%4g",  "/hello/%g4",
                                        "/hello/%%41", "/hello/%4?1"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        r = ask_for(fd, "GET", wrong[i]);
        assert_status(r, 400);
        assert_header(r, "Connection", NULL);
    }
    expect_hello(fd); /* on the same connection */
    close(fd);
    server_end(server);
}

static void expect_not_allowed(int fd, const char *method, const char *target,
                               const char *allowed)
{
    struct http_reply r = ask_for(fd, method, target);
    assert_status(r, 405);
    assert_header(r, "Allow", allowed);
}

TEST(test_18_what_is_not_there_and_what_is_not_allowed)
{
    struct server server = server_start();
    int fd = client_connect(server.port);
    static const char *const nowhere[] = {
        "/nope",  "/hello", "/hello/", "/hello/?x", "/hello/a/b", "/Hello/",
        "/time/", "/tim",   "/echo/",  "//",        "/%74ime",    "/hello%2Fa"};
    for (size_t i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++)
        assert_status(ask_for(fd, "GET", nowhere[i]), 404);
    assert_status(ask_for(fd, "BREW", "/nope"), 404);
    assert_status(ask_for(fd, "OPTIONS", "*"), 404);
    assert_status(ask_for(fd, "CONNECT", "test:80"), 404);
    expect_not_allowed(fd, "POST", "/", "GET, HEAD");
    expect_not_allowed(fd, "get", "/", "GET, HEAD");
    expect_not_allowed(fd, "BREW", "/time?now", "GET, HEAD");
    expect_not_allowed(fd, "DELETE", "/hello/Ada", "GET, HEAD");
    expect_not_allowed(fd, "GET", "/echo", "POST");
    struct http_reply r = ask_for(fd, "GET", "/nope");
    assert_header(r, "Content-Type", "text/plain; charset=utf-8");
    assert_header(r, "Connection", NULL);
    parse_date(http_header(r, "Date") ? http_header(r, "Date") : "");
    expect_hello(fd);
    close(fd);
    server_end(server);
}

TEST(test_19_head_is_get_without_the_body)
{
    struct server server = server_start();
    int fd = client_connect(server.port);
    struct http_reply r = ask_for(fd, "HEAD", "/");
    assert_status(r, 200);
    assert_header(r, "Content-Length", "13");
    assert_header(r, "Content-Type", "text/plain; charset=utf-8");
    /* What comes next is the next answer, not a body. */
    expect_hello(fd);
    assert_header(ask_for(fd, "HEAD", "/hello/Ada"), "Content-Length", "11");
    assert_header(ask_for(fd, "HEAD", "/time"), "Content-Length", "29");
    assert_status(ask_for(fd, "HEAD", "/nope"), 404);
    r = ask_for(fd, "HEAD", "/echo");
    assert_status(r, 405);
    assert_header(r, "Allow", "POST");
    expect_hello(fd);
    close(fd);
    server_end(server);
}

/* The last answer on its connection, although requests follow. */
static void expect_last(struct server server, const char *request)
{
    int fd = client_connect(server.port);
    client_send(fd, request);
    client_send(fd, GET("/hello/nobody"));
    struct http_reply r = http_read(fd);
    assert_status(r, 200);
    assert_header(r, "Connection", "close");
    client_expect_end(fd);
    close(fd);
}

TEST(test_20_a_connection_is_kept_until_somebody_wants_its_end)
{
    struct server server = server_start();
    int fd = client_connect(server.port);
    for (int i = 0; i < 10; i++) {
        expect_hello(fd);
        struct http_reply r = ask(fd, "GET / HTTP/1.0\r\n"
                                      "Connection: keep-alive\r\n\r\n");
        assert_header(r, "Connection", "keep-alive");
    }
    close(fd);
    expect_last(server, "GET / HTTP/1.0\r\n\r\n");
    expect_last(server, "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n"
                        "\r\n");
    server_end(server);
}

/* All at once, or in pieces that end anywhere but between two requests. */
static void pipeline(struct server server, size_t step)
{
    enum { REQUESTS = 300 };
    char requests[REQUESTS * 60], *end = requests;
    int fd = client_connect(server.port);
    for (int i = 0; i < REQUESTS; i++)
        end += sprintf(end, "GET /hello/%d HTTP/1.1\r\nHost: a\r\n\r\n", i);
    size_t len = (size_t)(end - requests);
    for (size_t sent = 0; sent < len; sent += step)
        client_send_bytes(fd, requests + sent,
                          len - sent < step ? len - sent : step);
    for (int i = 0; i < REQUESTS; i++)
        assert_body(http_read(fd), text("Hello, %d!", i));
    expect_hello(fd);
    close(fd);
}

TEST(test_21_pipelined_requests_are_answered_in_order)
{
    struct server server = server_start();
    pipeline(server, 1 << 20);
    pipeline(server, 97);

    /* Of all kinds, and nobody waits for what may come behind them. */
    int fd = client_connect(server.port);
    client_send(
        fd, "POST /echo HTTP/1.1\r\nHost: a\r\n"
            "Content-Length: 4\r\n\r\n"
            "GET " GET("/hello/1") "POST /echo HTTP/1.1\r\nHost: a\r\n"
                                   "Transfer-Encoding: chunked\r\n\r\n"
                                   "3\r\nGET\r\n0\r\n\r\n"
                                   "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" GET(
                                       "/nope") "POST / HTTP/1.1\r\nHost: "
                                                "a\r\nContent-Length: 3\r\n\r\n"
                                                "123" GET(
                                                    "/hello/2") "GET /hello/3");
    assert_body(http_read(fd), "GET ");
    assert_body(http_read(fd), "Hello, 1!");
    assert_body(http_read(fd), "GET");
    assert_status(http_read_to(fd, "HEAD"), 200);
    assert_status(http_read(fd), 404);
    assert_status(http_read(fd), 405);
    assert_body(http_read(fd), "Hello, 2!");
    client_send(fd, " HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_body(http_read(fd), "Hello, 3!");
    close(fd);
    server_end(server);
}

/* A head as long as can be. */
static const char *full_head(const char *begin)
{
    int len = MOST_HEAD - (int)strlen(begin) - (int)strlen("X: \r\n\r\n");
    return text("%sX: %0*d\r\n\r\n", begin, len, 0);
}

/* Heads that end where the server's buffer may end, and all is there when it
 * reads. */
static void expect_full_heads(struct server server, int fd)
{
    process_stop(server.pid);
    client_send(fd, full_head("GET /hello/full HTTP/1.1\r\nHost: a\r\n"));
    client_send(fd, full_head("POST /echo HTTP/1.1\r\nHost: a\r\n"
                              "Content-Length: 5\r\n"));
    client_send(fd, "hello");
    process_continue(server.pid);
    assert_body(http_read(fd), "Hello, full!");
    assert_body(http_read(fd), "hello");
}

/* Each of the server's reads gets a single byte. */
TEST(test_22_requests_may_come_byte_by_byte)
{
    struct server server = server_start_with_faults(
        "read:short=1:when=1..3000,recv:short=1:when=1..3000");
    int fd = client_connect(server.port);
    expect_hello(fd);
    client_send(
        fd,
        "\r\n" GET("/hello/%41da") "POST /echo HTTP/1.1\r\nHost: a\r\n"
                                   "Content-Length: 5\r\n\r\nhello"
                                   "POST /echo HTTP/1.1\r\nHost: a\r\n"
                                   "Transfer-Encoding: chunked\r\n\r\n"
                                   "5;x=y\r\nhello\r\n"
                                   "A\r\n, chunked!\r\n0\r\nTrailer: x\r\n\r\n"
                                   "GET / HTTP/2.0\r\n");
    assert_body(http_read(fd), "Hello, Ada!");
    assert_body(http_read(fd), "hello");
    assert_body(http_read(fd), "hello, chunked!");
    assert_status(http_read(fd), 505);
    client_expect_end(fd);
    close(fd);
    server_end(server);

    /* Two come together, and of the second's body a part. */
    server = server_start();
    fd = client_connect(server.port);
    client_send(fd, GET("/hello/1") "POST /echo HTTP/1.1\r\nHost: a\r\n"
                                    "Content-Length: 5\r\n\r\nhe");
    assert_body(http_read(fd), "Hello, 1!");
    client_send(fd, "llo");
    assert_body(http_read(fd), "hello");
    expect_full_heads(server, fd);
    close(fd);
    server_end(server);
}

static void expect_echo(int fd, const char *bytes, size_t len)
{
    client_send(fd, text("POST /echo?x HTTP/1.1\r\nHost: a\r\n"
                         "Content-Length: %zu\r\n\r\n",
                         len));
    client_send_bytes(fd, bytes, len);
    struct http_reply r = http_read(fd);
    assert_status(r, 200);
    assert_header(r, "Content-Type", "application/octet-stream");
    assert_bytes_equal(r.body, r.body_len, bytes, len);
}

/* The same in chunks of up to `step` bytes. */
static void expect_echo_chunked(int fd, const char *bytes, size_t len,
                                size_t step)
{
    client_send(fd, "POST /echo HTTP/1.1\r\nHost: a\r\n"
                    "Transfer-Encoding: chunked\r\n\r\n");
    for (size_t sent = 0; sent < len; sent += step) {
        size_t size = len - sent < step ? len - sent : step;
        client_send(fd, text("%zX;a=b\r\n", size));
        client_send_bytes(fd, bytes + sent, size);
        client_send(fd, "\r\n");
    }
    client_send(fd, "0\r\n\r\n");
    struct http_reply r = http_read(fd);
    assert_status(r, 200);
    assert_bytes_equal(r.body, r.body_len, bytes, len);
}

TEST(test_23_the_echo_is_what_was_sent)
{
    static char bytes[MOST_BODY];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 7 + i / 256);
    struct server server = server_start();
    int fd = client_connect(server.port);
    expect_echo(fd, "hello", 5);
    expect_echo(fd, "", 0);
    expect_echo(fd, "a\0\r\n\r\n", 6);
    expect_echo(fd, bytes, sizeof(bytes));
    expect_echo_chunked(fd, "hello", 5, 1);
    expect_echo_chunked(fd, "", 0, 1);
    expect_echo_chunked(fd, bytes, sizeof(bytes), 1000);
    expect_echo_chunked(fd, bytes, sizeof(bytes), sizeof(bytes));
    struct http_reply r = ask_for(fd, "POST", "/echo");
    assert_status(r, 200);
    assert_int_equal(r.body_len, 0);

    /* Others read it, too, and throw it away. */
    assert_body(ask(fd, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 23\r\n"
                        "\r\nGET /time HTTP/1.1\r\n\r\n."),
                "Hello, World!");
    assert_status(ask(fd, "PUT /nope HTTP/1.1\r\nHost: a\r\n"
                          "Transfer-Encoding: chunked\r\n\r\n"
                          "3\r\nabc\r\n0\r\n\r\n"),
                  404);
    expect_hello(fd);
    close(fd);
    server_end(server);
}

TEST(test_24_who_asks_first_is_told_to_go_on)
{
    struct server server = server_start();
    int fd = client_connect(server.port);
    client_send(fd, "POST /echo HTTP/1.1\r\nHost: a\r\n"
                    "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    client_expect(fd, "HTTP/1.1 100 Continue\r\n\r\n");
    client_send(fd, "hello");
    assert_body(http_read(fd), "hello");
    client_send(fd, "POST /nope HTTP/1.1\r\nHost: a\r\n"
                    "Expect: 100-Continue\r\n"
                    "Transfer-Encoding: chunked\r\n\r\n");
    client_expect(fd, "HTTP/1.1 100 Continue\r\n\r\n");
    client_send(fd, "1\r\na\r\n0\r\n\r\n");
    assert_status(http_read(fd), 404);

    /* No 100: nothing to wait for, already come, never asked, or too much. */
    assert_status(ask(fd, "POST /echo HTTP/1.1\r\nHost: a\r\n"
                          "Expect: 100-continue\r\n\r\n"),
                  200);
    assert_status(ask(fd, "POST /echo HTTP/1.1\r\nHost: a\r\n"
                          "Content-Length: 0\r\nExpect: 100-continue\r\n\r\n"),
                  200);
    assert_body(ask(fd, "POST /echo HTTP/1.1\r\nHost: a\r\n"
                        "Expect: 100-continue\r\n"
                        "Content-Length: 5\r\n\r\nhello"),
                "hello");
    assert_body(ask(fd, "POST /echo HTTP/1.0\r\nConnection: keep-alive\r\n"
                        "Expect: 100-continue\r\n"
                        "Content-Length: 5\r\n\r\nhello"),
                "hello");
    assert_status(ask(fd, "POST /echo HTTP/1.1\r\nHost: a\r\n"
                          "Expect: 100-continue\r\n"
                          "Content-Length: 65537\r\n\r\n"),
                  413);
    client_expect_end(fd);
    close(fd);
    server_end(server);
}

/* Sends zeros as long as somebody takes them, up to 4 MiB. */
static void send_zeros(int fd)
{
    static const char zeros[65536];
    for (int i = 0; i < 64; i++)
        if (send(fd, zeros, sizeof(zeros), MSG_NOSIGNAL) == -1)
            fail_msg("the server reset the connection while it was sent to:"
                     " %s",
                     strerror(errno));
}

TEST(test_25_too_large_a_body_is_refused)
{
    struct server server = server_start();
    /* The client reads nothing until it has sent it all. */
    int fd = client_connect(server.port);
    client_send(fd, GET("/hello/1") "POST /nope HTTP/1.1\r\nHost: a\r\n"
                                    "Content-Length: 4194304\r\n\r\n");
    send_zeros(fd);
    assert_body(http_read(fd), "Hello, 1!");
    struct http_reply r = http_read(fd);
    assert_status(r, 413);
    assert_header(r, "Connection", "close");
    client_expect_end(fd);
    close(fd);

    fd = client_connect(server.port);
    client_send(fd, "POST /echo HTTP/1.1\r\nHost: a\r\n"
                    "Transfer-Encoding: chunked\r\n\r\n400000\r\n");
    send_zeros(fd);
    r = http_read(fd);
    assert_status(r, 413);
    client_expect_end(fd);
    close(fd);

    /* One byte too many, in a chunk of its own. */
    fd = client_connect(server.port);
    client_send(fd, "POST / HTTP/1.1\r\nHost: a\r\n"
                    "Transfer-Encoding: chunked\r\n\r\n10000\r\n");
    client_send(fd, text("%065536d\r\n1\r\nx", 0));
    assert_status(http_read(fd), 413);
    client_expect_end(fd);
    close(fd);
    server_end(server);
}

TEST(test_26_every_malformed_request_gets_its_status)
{
    struct server server = server_start();
    int other = client_connect(server.port);
    for (int i = 0; i < NUM_MALFORMED; i++) {
        const struct malformed *request = &malformed[i];
        struct test_place place =
            TEST_PLACE(text("the answer to: %s", request->name));
        int fd = client_connect(server.port);
        if (i % 2 == 0)
            client_send(fd, GET("/hello/first"));
        client_send_bytes(fd, request->bytes, request->len);
        if (i % 2 == 0)
            assert_body(http_read_at(place, fd, "GET"), "Hello, first!");
        struct http_reply r = http_read_at(place, fd, "GET");
        if (r.status != request->status)
            test_fail(place, "expected: status %d\nactual:   status %d",
                      request->status, r.status);
        assert_header(r, "Connection", "close");
        client_expect_end_at(place, fd);
        close(fd);
    }
    expect_hello(other);
    close(other);
    server_end(server);
}

/* Begins a request, never finishes it. */
static void expect_timeout(struct server server, const char *begin)
{
    int fd = client_connect(server.port);
    client_send(fd, begin);
    struct http_reply r = http_read(fd);
    assert_status(r, 408);
    assert_header(r, "Connection", "close");
    client_expect_end(fd);
    close(fd);
}

TEST(test_27_a_request_has_to_come_in_its_time)
{
    struct server server = server_start_hasty();
    expect_timeout(server, "G");
    expect_timeout(server, "GET / HTTP/1.1\r\nHost: a\r\n");
    expect_timeout(server, "POST /echo HTTP/1.1\r\nHost: a\r\n"
                           "Content-Length: 5\r\n\r\nhell");
    expect_timeout(server, "PUT /a HTTP/1.1\r\nHost: a\r\n"
                           "Transfer-Encoding: chunked\r\n\r\n5\r\nhello");

    int fd = client_connect(server.port);
    client_send(fd, GET("/") "GET /hello");
    assert_status(http_read(fd), 200);
    assert_status(http_read(fd), 408);
    close(fd);
    server_end(server);

    /* Byte after byte, as long as it takes: the limit is one for all. It is so
     * long that none of them comes too late by itself. */
    server = begin((struct run_options){0}, "250");
    fd = client_connect(server.port);
    client_send(fd, "POST / HTTP/1.1\r\nHost: a\r\n"
                    "Transfer-Encoding: chunked\r\n\r\n");
    struct pollfd answer = {.fd = fd, .events = POLLIN};
    test_waiting(TEST_PLACE("waited, sending byte after byte, for 408"));
    for (int i = 0; poll(&answer, 1, 0) == 0; i++)
        client_send_bytes(fd, &"1\r\nx\r\n"[i % 6], 1);
    test_waiting((struct test_place){0});
    assert_status(http_read(fd), 408);
    client_expect_end(fd);
    close(fd);
    server_end(server);
}

TEST(test_28_whoever_does_nothing_is_closed)
{
    struct server server = server_start_hasty();
    int open = process_descriptors(server.pid);
    /* Never said a word. */
    int silent = client_connect(server.port);
    client_expect_end(silent);
    /* Between two requests. */
    int idle = client_connect(server.port);
    expect_hello(idle);
    client_expect_end(idle);
    /* Does not go after the last answer. */
    int last = client_connect(server.port);
    assert_status(ask(last, "GET / HTTP/2.0\r\n"), 505);
    client_expect_end(last);
    /* Takes nothing. */
    int slow = client_connect_narrow(server.port);
    flood(server, slow);
    wait_until(process_descriptors(server.pid) == open);
    close(slow);
    close(last);
    close(idle);
    close(silent);
    server_end(server);

    /* Goes on sending after the last answer, a byte now and then. The limit is
     * so long that none of them comes too late by itself. */
    server = begin((struct run_options){0}, "250");
    last = client_connect(server.port);
    assert_status(ask(last, "GET / HTTP/2.0\r\n"), 505);
    test_waiting(TEST_PLACE("waited, sending byte after byte, for the end"));
    while (send(last, "x", 1, MSG_NOSIGNAL) == 1)
        test_pause();
    test_waiting((struct test_place){0});
    close(last);
    server_end(server);
}

TEST(test_29_a_slow_reader_costs_little_and_stops_nobody)
{
    /* Memory that was freed shall not count. */
    const char *options = getenv("ASAN_OPTIONS");
    setenv("ASAN_OPTIONS",
           text("%s:quarantine_size_mb=0:thread_local_quarantine_size_kb=0",
                options ? options : ""),
           1);
    struct server server = server_start();
    int other = client_connect(server.port);
    static char bytes[MOST_BODY];
    expect_echo(other, bytes, sizeof(bytes));
    long before_kb = process_resident_kb(server.pid);
    int slow = client_connect_narrow(server.port);
    size_t sent = flood(server, slow);
    assert_at_most(sent, MOST_FLOOD);
    long more_kb = process_resident_kb(server.pid) - before_kb;
    assert_at_most(more_kb, MOST_MEMORY_KB);
    expect_hello(other);
    int late = client_connect(server.port);
    expect_hello(late);

    /* It reads again. */
    drain(slow, sent);
    expect_hello(slow);
    close(slow);
    close(late);
    close(other);
    server_end(server);
}

TEST(test_30_clients_may_go_at_any_time)
{
    struct server server = server_start();
    int other = client_connect(server.port);
    expect_hello(other);
    int open = process_descriptors(server.pid);
    static const char post[] = "POST /echo HTTP/1.1\r\nHost: a\r\n"
                               "Content-Length: 5\r\n\r\nhel";
    static const char *const begins[] = {"", "GET /", GET("/"), post};
    for (int i = 0; i < 20; i++) {
        int fd = client_connect(server.port);
        client_send(fd, begins[i % 4]);
        if (i % 5 == 0)
            client_reset(fd);
        else
            close(fd);
    }
    wait_until(process_descriptors(server.pid) == open);

    /* Half-closed: what is complete is answered, then comes the end. */
    int fd = client_connect(server.port);
    client_send(fd, GET("/hello/1") GET("/hello/2") "GET /hello/3");
    shutdown(fd, SHUT_WR);
    assert_body(http_read(fd), "Hello, 1!");
    assert_body(http_read(fd), "Hello, 2!");
    client_expect_end(fd);
    close(fd);
    fd = client_connect(server.port);
    client_send(fd, "POST /echo HTTP/1.1\r\nHost: a\r\n"
                    "Content-Length: 5\r\n\r\nhell");
    shutdown(fd, SHUT_WR);
    client_expect_end(fd);
    close(fd);

    /* While the server waits to send more, and before it sends: SIGPIPE. */
    int slow = client_connect_narrow(server.port);
    flood(server, slow);
    close(slow);
    fd = client_connect(server.port);
    wait_until(process_descriptors(server.pid) == open + 1);
    process_stop(server.pid);
    client_send(fd, GET("/") GET("/"));
    shutdown(fd, SHUT_WR);
    client_reset(fd);
    process_continue(server.pid);
    wait_until(process_descriptors(server.pid) == open);
    expect_hello(other);
    close(other);
    server_end(server);
}

/* No connection ends: the descriptors become free elsewhere. Meanwhile a client
 * talks, so that the server is never long without an event. */
TEST(test_31_running_out_of_descriptors_is_survived)
{
    struct server server = server_start();
    process_limit_descriptors(server.pid, 1);
    int talking = client_connect(server.port);
    expect_hello(talking);
    int late = client_connect(server.port); /* in the queue of the listener */
    client_send(late, GET("/"));
    process_expect_asleep(server.pid);
    expect_hello(talking);
    process_limit_descriptors(server.pid, 20);
    struct pollfd answer = {.fd = late, .events = POLLIN};
    while (poll(&answer, 1, 0) == 0)
        expect_hello(talking);
    int new = client_connect(server.port);
    expect_hello(new);
    close(new);
    close(late);
    close(talking);
    server_end(server);
}

/* Sends a request; false if the connection was closed without an answer. */
static bool is_served(int fd)
{
    static const char request[] = "POST /echo HTTP/1.1\r\nHost: a\r\n"
                                  "Content-Length: 5\r\n\r\nhello";
    char first;
    send(fd, request, strlen(request), MSG_NOSIGNAL);
    if (recv(fd, &first, 1, MSG_PEEK) != 1)
        return false;
    assert_body(http_read(fd), "hello");
    return true;
}

/* Connects clients one by one; at most one of them may find its connection
 * closed. */
static void expect_served_but_one(const char *faults)
{
    struct server server = server_start_with_faults(faults);
    int refused = 0;
    for (int i = 0; i < 6; i++) {
        int fd = client_connect(server.port);
        refused += !is_served(fd);
        close(fd);
    }
    assert_at_most(refused, 1);
    program_signal(server.program, SIGTERM);
    assert_exit(program_wait(server.program), 0);
}

/* A thousand requests wait when the server reads. Of its first writes most has
 * to be kept, so requests have to wait in its buffer. */
static void expect_all_answered(void)
{
    enum { REQUESTS = 1000 };
    static const char request[] = "GET /nope HTTP/1.1\r\nHost:\r\n\r\n";
    static char requests[REQUESTS * sizeof(request)];
    struct server server = server_start_with_faults(
        "write:short=1000:when=1..3,send:short=1000:when=1..3");
    int fd = client_connect(server.port);
    char *end = requests;
    for (int i = 0; i < REQUESTS; i++)
        end = stpcpy(end, request);
    process_stop(server.pid);
    client_send_bytes(fd, requests, (size_t)(end - requests));
    process_continue(server.pid);
    for (int i = 0; i < REQUESTS; i++)
        assert_status(http_read(fd), 404);
    close(fd);
    server_end(server);
}

TEST(test_32_what_fails_costs_one_connection_at_most)
{
    expect_all_answered();

    /* The first writes are short, so something must be kept. */
    struct server server = server_start_with_faults(
        "read:short=3:when=1..45,recv:short=3:when=1..45,"
        "read:error=EINTR:when=2..3,recv:error=EINTR:when=2..3,"
        "write:short=1:when=1..40,send:short=1:when=1..40,"
        "write:error=EINTR:when=3..4,send:error=EINTR:when=3..4,"
        "write:error=EINTR:when=50..51,send:error=EINTR:when=50..51,"
        "writev:error=EINTR:when=1..2,sendmsg:error=EINTR:when=1..2,"
        "poll:error=EINTR:when=2..3,epoll_wait:error=EINTR:when=2..3");
    int fd = client_connect(server.port);
    client_send(fd, GET("/hello/1") GET("/hello/2"));
    assert_body(http_read(fd), "Hello, 1!");
    assert_body(http_read(fd), "Hello, 2!");
    for (int i = 0; i < 20; i++)
        expect_hello(fd);
    close(fd);
    server_end(server);

    expect_served_but_one(
        "accept:error=ECONNABORTED:when=1,accept4:error=ECONNABORTED:when=1,"
        "accept:error=EINTR:when=2,accept4:error=EINTR:when=2,"
        "accept:error=EMFILE:when=3,accept4:error=EMFILE:when=3,"
        "accept:error=EAGAIN:when=5,accept4:error=EAGAIN:when=5");
    expect_served_but_one("epoll_ctl:error=ENOSPC:when=6");
    expect_served_but_one("malloc:error=ENOMEM:when=5");
    expect_served_but_one("calloc:error=ENOMEM:when=5");
    expect_served_but_one("realloc:error=ENOMEM:when=5");
}

TEST(test_33_it_sleeps_while_there_is_nothing_to_do)
{
    enum { CLIENTS = 10 };
    struct server server = server_start();
    int fds[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = client_connect(server.port);
        expect_hello(fds[i]);
    }
    client_send(fds[0], "GET /hello"); /* it waits for the rest */
    process_expect_idle(server.pid);
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
    server_end(server);
}

/* Stops a server whose clients are in every state there is. */
static void stop_busy(int signal)
{
    struct server server = server_start();
    int fds[4];
    for (int i = 0; i < 3; i++)
        fds[i] = client_connect(server.port);
    fds[3] = client_connect_narrow(server.port);
    expect_hello(fds[0]);
    client_send(fds[1], "GET /");
    assert_status(ask(fds[2], "GET / HTTP/2.0\r\n"), 505);
    flood(server, fds[3]);
    program_signal(server.program, signal);
    assert_exit(program_wait(server.program), 0);
    for (int i = 0; i < 4; i++)
        close(fds[i]);
}

TEST(test_34_sigterm_and_sigint_end_it_cleanly)
{
    stop_busy(SIGTERM);
    stop_busy(SIGINT);
}

TEST(test_35_one_thread_serves_a_thousand, .limit_ms = 2000)
{
    enum { CLIENTS = 1000, BATCH = 100, SPARE = 64 };
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    int count = CLIENTS;
    if (limit.rlim_cur < CLIENTS + SPARE)
        count = (int)limit.rlim_cur - SPARE;
    struct server server = server_start();
    int *fds = calloc((size_t)count, sizeof(*fds));
    for (int i = 0; i < count; i++) {
        fds[i] = client_connect(server.port);
        if (i % BATCH == 0) /* a listen queue is not endless */
            expect_hello(fds[i]);
    }
    for (int i = 0; i < count; i++)
        client_send(fds[i],
                    text("GET /hello/%d HTTP/1.1\r\nHost: a\r\n\r\n", i));
    for (int i = count - 1; i >= 0; i -= 7)
        assert_body(http_read(fds[i]), text("Hello, %d!", i));
    assert_int_equal(process_threads(server.pid), 1);
    for (int i = 0; i < count; i++)
        client_reset(fds[i]);
    free(fds);
    server_end(server);
}

TEST(test_36_curl_gets_what_it_expects, .limit_ms = 3000)
{
    test_need("curl");
    struct run_options curl = {.program = "curl"};
    static char bytes[MOST_BODY + 1];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 13 + i / 256);
    write_bytes("most", bytes, MOST_BODY);
    write_bytes("too_much", bytes, MOST_BODY + 1);
    struct server server = server_start();
    const char *url = text("http://127.0.0.1:%d", server.port);

    struct run r = run_with(curl, "-sS", "--fail", text("%s/", url),
                            text("%s/hello/[1-3]", url));
    assert_exit(r, 0);
    assert_output(r, "Hello, World!Hello, 1!Hello, 2!Hello, 3!");
    r = run_with(curl, "-sS", "--data-binary", "@most", "-H",
                 "Expect: 100-continue", "--expect100-timeout", "60",
                 text("%s/echo", url));
    assert_exit(r, 0);
    assert_output_bytes(r, bytes, MOST_BODY);
    r = run_with(curl, "-sS", "--data-binary", "@most", "-H",
                 "Transfer-Encoding: chunked", text("%s/echo", url));
    assert_exit(r, 0);
    assert_output_bytes(r, bytes, MOST_BODY);
    r = run_with(curl, "-sS", "-o", "answer", "-w", "%{http_code}",
                 "--data-binary", "@too_much", text("%s/echo", url));
    assert_exit(r, 0);
    assert_output(r, "413");
    r = run_with(curl, "-sS", "--head", "--http1.0", text("%s/time", url));
    assert_exit(r, 0);
    assert_output_contains(r, "Content-Length: 29\r\n");
    server_end(server);
}
