#include "malformed.h"
#include "proxy_test.h"
#include "reverse_proxy.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Functions: tests 01 to 08. */

/* What becomes of a request from 192.0.2.7. The head that was parsed points
 * into bytes, so they stay. */
static const char *to_backend(const char *bytes)
{
    static struct http_head head;
    static char out[HEAD_ROOM + 1];
    head = (struct http_head){0};
    assert_int_equal(http_request(&head, bytes, strlen(bytes)), 1);
    ssize_t len = head_to_backend(&head, "192.0.2.7", out, HEAD_ROOM);
    assert_at_least(len, 1);
    out[len] = '\0';
    return out;
}

static const char *to_client(const char *bytes, bool to_head, int minor,
                             bool close)
{
    static struct http_head head;
    static char out[HEAD_ROOM + 1];
    head = (struct http_head){0};
    assert_int_equal(http_response(&head, bytes, strlen(bytes), to_head), 1);
    ssize_t len = head_to_client(&head, minor, close, out, HEAD_ROOM);
    assert_at_least(len, 1);
    out[len] = '\0';
    return out;
}

#define ADDED "X-Forwarded-For: 192.0.2.7\r\nVia: 1.1 proxy\r\n"

TEST(test_01_a_request_is_written_anew)
{
    assert_string_equal(to_backend("GET /a/b?c=d HTTP/1.1\r\n"
                                   "Accept:   text/plain,  */*  \r\n"
                                   "Host: example.org:8080\r\n"
                                   "cookie:a=b\r\n"
                                   "X-Empty:\r\n\r\n"),
                        "GET /a/b?c=d HTTP/1.1\r\n"
                        "Host: example.org:8080\r\n"
                        "Accept: text/plain,  */*\r\n"
                        "cookie: a=b\r\n"
                        "X-Empty: \r\n" ADDED "\r\n");
    /* What a client says to a proxy it knows of. */
    assert_string_equal(to_backend("GET http://example.org/a HTTP/1.1\r\n"
                                   "Host: other.example\r\n\r\n"),
                        "GET /a HTTP/1.1\r\nHost: example.org\r\n" ADDED
                        "\r\n");
    assert_string_equal(to_backend("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
                        "OPTIONS * HTTP/1.1\r\nHost: a\r\n" ADDED "\r\n");
    assert_string_equal(to_backend("GET / HTTP/1.0\r\nA: b\r\n\r\n"),
                        "GET / HTTP/1.1\r\nHost: \r\nA: b\r\n"
                        "X-Forwarded-For: 192.0.2.7\r\n"
                        "Via: 1.0 proxy\r\n\r\n");
}

TEST(test_02_fields_for_one_connection_do_not_go_on)
{
    assert_string_equal(to_backend("GET / HTTP/1.1\r\nHost: a\r\n"
                                   "Connection: keep-alive\r\n"
                                   "Keep-Alive: timeout=5\r\n"
                                   "Proxy-Connection: keep-alive\r\n"
                                   "TE: trailers\r\n"
                                   "Trailer: Expires\r\n"
                                   "UPGRADE: h2c\r\n"
                                   "Upgrade-Insecure-Requests: 1\r\n"
                                   "Proxy-Authorization: Basic YTpi\r\n"
                                   "Expect: 100-continue\r\n\r\n"),
                        "GET / HTTP/1.1\r\nHost: a\r\n"
                        "Upgrade-Insecure-Requests: 1\r\n"
                        "Proxy-Authorization: Basic YTpi\r\n"
                        "Expect: 100-continue\r\n" ADDED "\r\n");
    assert_string_equal(to_client("HTTP/1.1 200 OK\r\n"
                                  "keep-alive: timeout=5\r\n"
                                  "Server: a\r\n"
                                  "connection: close\r\n"
                                  "Trailer: A\r\n"
                                  "Upgrade: h2c\r\n"
                                  "Proxy-Authenticate: Basic\r\n"
                                  "Content-Length: 1\r\n\r\n",
                                  false, 1, false),
                        "HTTP/1.1 200 OK\r\nServer: a\r\n"
                        "Proxy-Authenticate: Basic\r\n" VIA
                        "Content-Length: 1\r\n\r\n");
}

TEST(test_03_what_connection_lists_does_not_go_on)
{
    assert_string_equal(to_backend("GET / HTTP/1.1\r\nHost: a\r\n"
                                   "X-Secret: 1\r\n"
                                   "X-Secrets: 2\r\n"
                                   "Connection: close ,  x-SECRET\r\n"
                                   "X-Other: 3\r\n"
                                   "X-Secret: 4\r\n"
                                   "Connection: ,X-Other\r\n"
                                   "X-Stays: 5\r\n\r\n"),
                        "GET / HTTP/1.1\r\nHost: a\r\n"
                        "X-Secrets: 2\r\nX-Stays: 5\r\n" ADDED "\r\n");
    assert_string_equal(to_client("HTTP/1.1 200 OK\r\nX-A: 1\r\n"
                                  "Connection: X-A\r\nX-B: 2\r\n"
                                  "Content-Length: 0\r\n\r\n",
                                  false, 1, false),
                        "HTTP/1.1 200 OK\r\nX-B: 2\r\n" VIA
                        "Content-Length: 0\r\n\r\n");
    /* What the proxy itself says cannot be taken away. */
    assert_string_equal(to_backend("POST / HTTP/1.1\r\nHost: a\r\n"
                                   "Content-Length: 5\r\n"
                                   "X-Forwarded-For: 198.51.100.1\r\n"
                                   "Connection: Host, Content-Length, Via, "
                                   "X-Forwarded-For\r\n\r\n"),
                        "POST / HTTP/1.1\r\nHost: a\r\n" ADDED
                        "Content-Length: 5\r\n\r\n");
}

TEST(test_04_the_client_is_added_to_those_before_it)
{
    assert_string_equal(to_backend("GET / HTTP/1.1\r\nHost: a\r\n"
                                   "X-Forwarded-For: 198.51.100.1\r\n"
                                   "Via: 1.0 fred\r\n"
                                   "X-Forwarded-For:\r\n"
                                   "x-forwarded-for: unknown, [2001:db8::1]\r\n"
                                   "A: b\r\n\r\n"),
                        "GET / HTTP/1.1\r\nHost: a\r\nVia: 1.0 fred\r\n"
                        "A: b\r\n"
                        "X-Forwarded-For: 198.51.100.1, unknown, "
                        "[2001:db8::1], 192.0.2.7\r\n" VIA "\r\n");
}

TEST(test_05_a_request_says_the_length_that_was_understood)
{
    assert_string_equal(to_backend("POST / HTTP/1.1\r\nHost: a\r\n"
                                   "content-length:  0012\r\nA: b\r\n\r\n"),
                        "POST / HTTP/1.1\r\nHost: a\r\nA: b\r\n" ADDED
                        "Content-Length: 12\r\n\r\n");
    assert_string_equal(to_backend("PUT / HTTP/1.1\r\nHost: a\r\n"
                                   "Content-Length: 18446744073709551615\r\n"
                                   "\r\n"),
                        "PUT / HTTP/1.1\r\nHost: a\r\n" ADDED
                        "Content-Length: 18446744073709551615\r\n\r\n");
    assert_string_equal(to_backend("POST / HTTP/1.1\r\nHost: a\r\n"
                                   "Content-Length: 0\r\n\r\n"),
                        "POST / HTTP/1.1\r\nHost: a\r\n" ADDED
                        "Content-Length: 0\r\n\r\n");
    assert_string_equal(to_backend("POST / HTTP/1.1\r\nHost: a\r\n"
                                   "TRANSFER-ENCODING: CHUNKED\r\n\r\n"),
                        "POST / HTTP/1.1\r\nHost: a\r\n" ADDED
                        "Transfer-Encoding: chunked\r\n\r\n");
}

TEST(test_06_a_response_says_how_it_ends)
{
#define OK_RESPONSE "HTTP/1.1 200 OK\r\n"
#define CLOSE "Connection: close\r\n"
    static const struct {
        const char *bytes;
        bool to_head;
        int minor;
        bool close;
        const char *expected;
    } cases[] = {
        {OK_RESPONSE "Content-Length: 007\r\n\r\n", false, 1, false,
         OK_RESPONSE VIA "Content-Length: 7\r\n\r\n"},
        {OK_RESPONSE "Content-Length: 7\r\n\r\n", false, 0, true,
         OK_RESPONSE VIA "Content-Length: 7\r\n" CLOSE "\r\n"},
        {OK_RESPONSE "Transfer-Encoding: Chunked\r\n\r\n", false, 1, false,
         OK_RESPONSE VIA "Transfer-Encoding: chunked\r\n\r\n"},
        {OK_RESPONSE "Transfer-Encoding: chunked\r\n\r\n", false, 0, true,
         OK_RESPONSE VIA CLOSE "\r\n"},
        {OK_RESPONSE "\r\n", false, 1, false,
         OK_RESPONSE VIA "Transfer-Encoding: chunked\r\n\r\n"},
        {"HTTP/1.0 200 OK\r\n\r\n", false, 0, true,
         OK_RESPONSE "Via: 1.0 proxy\r\n" CLOSE "\r\n"},
        {OK_RESPONSE "Content-Length: 00123\r\n\r\n", true, 1, false,
         OK_RESPONSE VIA "Content-Length: 00123\r\n\r\n"},
        {OK_RESPONSE "Transfer-Encoding: chunked\r\n\r\n", true, 1, true,
         OK_RESPONSE VIA CLOSE "\r\n"},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", false, 1,
         false,
         "HTTP/1.1 304 Not Modified\r\n" VIA "Content-Length: 9\r\n\r\n"},
        {"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", false, 1,
         false, "HTTP/1.1 204 No Content\r\n" VIA "\r\n"},
        {"HTTP/1.1 100 Continue\r\nContent-Length: 9\r\nA: b\r\n\r\n", false, 1,
         true, "HTTP/1.1 100 Continue\r\nA: b\r\n" VIA "\r\n"},
        {"HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n", false, 1, false,
         "HTTP/1.1 299 \r\n" VIA "Content-Length: 0\r\n\r\n"},
        {"HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", false, 1, false,
         "HTTP/1.1 404 \r\n" VIA "Content-Length: 0\r\n\r\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(to_client(cases[i].bytes, cases[i].to_head,
                                      cases[i].minor, cases[i].close),
                            cases[i].expected);
}

TEST(test_07_a_head_that_has_no_room_is_an_error)
{
    const char *bytes = "GET / HTTP/1.1\r\nHost: test\r\nConnection: B\r\n"
                        "A: b\r\nContent-Length: 10\r\n\r\n";
    struct http_head head = {0};
    assert_int_equal(http_request(&head, bytes, strlen(bytes)), 1);
    size_t needed = strlen(to_backend(bytes));
    for (size_t size = 0; size < needed; size++) {
        char *out = malloc(size + 1);
        out[size] = 'x';
        assert_fails(head_to_backend(&head, "192.0.2.7", out, size), ENOBUFS);
        assert_int_equal(out[size], 'x');
        free(out);
    }
    char *out = malloc(needed + 1);
    assert_int_equal(head_to_backend(&head, "192.0.2.7", out, needed), needed);
    free(out);

    const char *answer = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
    head = (struct http_head){0};
    assert_int_equal(http_response(&head, answer, strlen(answer), false), 1);
    needed = strlen(to_client(answer, false, 1, true));
    for (size_t size = 0; size < needed; size++) {
        out = malloc(size + 1);
        assert_fails(head_to_client(&head, 1, true, out, size), ENOBUFS);
        free(out);
    }

    /* The longest head, of the most fields, with nothing that could go. */
    static char most[HTTP_MAX_HEAD + 1];
    size_t len = (size_t)sprintf(most, "GET / HTTP/1.0\r\n");
    for (int i = 0; i < HTTP_MAX_FIELDS - 1; i++)
        len += (size_t)sprintf(most + len, "A:b\r\n");
    len += (size_t)sprintf(most + len, "X-Forwarded-For:");
    memset(most + len, 'x', sizeof(most) - 5 - len);
    memcpy(most + sizeof(most) - 5, "\r\n\r\n", 5);
    assert_contains(to_backend(most), "xxx, 192.0.2.7\r\n");
}

/* Who is chosen. */

static struct backends *three_backends(void)
{
    struct sockaddr_in addresses[3];
    for (int i = 0; i < 3; i++) {
        addresses[i] = (struct sockaddr_in){
            .sin_family = AF_INET, .sin_port = htons((uint16_t)(9001 + i))};
        addresses[i].sin_addr.s_addr = htonl(0xc0000201u); /* 192.0.2.1 */
    }
    struct backends *backends = backends_new(addresses, 3);
    assert_non_null(backends);
    memset(addresses, 0, sizeof(addresses));
    return backends;
}

#define choose(tried) backends_choose(backends, NULL, NULL, tried)

TEST(test_08_round_robin_passes_over_those_tried)
{
    struct backends *backends = three_backends();
    assert_int_equal(ntohs(backends_address(backends, 2)->sin_port), 9003);
    for (int i = 0; i < 7; i++)
        assert_int_equal(choose(0), i % 3);
    /* The counter stands at 1. */
    assert_int_equal(choose(1 << 1), 2);
    assert_int_equal(choose(1 << 2), 0);
    assert_int_equal(choose(1 << 0), 1);
    assert_int_equal(choose(1 << 1 | 1 << 2), 0);
    assert_int_equal(choose(1 << 0 | 1 << 1 | 1 << 2), -1);
    assert_int_equal(choose(0), 0);
    backends_free(backends);
    backends_free(NULL);

    /* As many as there can be, and the last of them left. */
    static struct sockaddr_in many[MAX_BACKENDS];
    backends = backends_new(many, MAX_BACKENDS);
    assert_int_equal(choose(UINT64_MAX >> 1), MAX_BACKENDS - 1);
    assert_int_equal(choose(UINT64_MAX), -1);
    backends_free(backends);
}

enum { CALLS = 3000 };

/* Each thread calls CALLS times and notes how often each was chosen. */
struct caller {
    struct backends *backends;
    int chosen[3];
};

static void *call_often(void *argument)
{
    struct caller *caller = argument;
    for (int i = 0; i < CALLS; i++) {
        int backend = backends_choose(caller->backends, NULL, NULL, 0);
        caller->chosen[backend]++;
        backends_started(caller->backends, backend);
        backends_finished(caller->backends, backend, i % 2 ? ANSWERED : BROKEN,
                          200, 1);
    }
    return NULL;
}

TEST(test_09_threads_share_the_choice_and_the_counters)
{
    enum { THREADS = 4 };
    struct caller callers[THREADS];
    pthread_t threads[THREADS];
    int chosen[3] = {0};
    struct backends *backends = three_backends();
    for (int i = 0; i < THREADS; i++) {
        callers[i] = (struct caller){.backends = backends};
        pthread_create(&threads[i], NULL, call_often, &callers[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        for (int j = 0; j < 3; j++)
            chosen[j] += callers[i].chosen[j];
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(chosen[i], THREADS * CALLS / 3);

    backends_finished(backends, 0, REFUSED, 0, 1);
    backends_finished(backends, 0, TIMED_OUT, 0, 1);
    backends_finished(backends, 0, ABANDONED, 200, 1);
    char *printed, line[64];
    size_t len;
    int answered = 0, failed = 0;
    FILE *file = open_memstream(&printed, &len);
    backends_print(backends, file);
    fclose(file);
    FILE *lines = fmemopen(printed, len, "r");
    for (int i = 0; i < 3; i++) {
        int port, a, b;
        assert_non_null(fgets(line, sizeof(line), lines));
        if (sscanf(line, "192.0.2.1:%d answered %d, failed %d", &port, &a,
                   &b) != 3)
            fail_msg("not such a line: %s", line);
        assert_string_equal(line, text("192.0.2.1:%d answered %d, failed %d\n",
                                       9001 + i, a, b));
        answered += a;
        failed += b;
    }
    assert_null(fgets(line, sizeof(line), lines));
    fclose(lines);
    free(printed);
    assert_int_equal(answered, THREADS * CALLS / 2);
    assert_int_equal(failed, THREADS * CALLS / 2 + 2);
    backends_free(backends);
}

/* The program: tests from 10 on. */

static void expect_usage(const char *const args[])
{
    struct program *program =
        program_start(TEST_PLACE("start"), (struct run_options){0}, args);
    char *line = program_line(program);
    if (line)
        fail_msg("expected: the usage line on standard error\n"
                 "actual:   \"%s\" on standard output",
                 line);
    struct run r = program_wait(program);
    assert_exit(r, 2);
    assert_error_contains(r, "usage: reverse_proxy [--port PORT] [--threads N]"
                             " [--timeout-ms MS] --backend ADDRESS:PORT ...\n");
}

TEST(test_10_the_command_line)
{
#define WRONG(...) expect_usage((const char *const[]){__VA_ARGS__, NULL})
#define GOOD "--backend", "127.0.0.1:80"
    expect_usage((const char *const[]){NULL});
    WRONG("--backend", "127.0.0.1");
    WRONG("--backend", "localhost:80");
    WRONG("--backend", "127.0.0.1:0");
    WRONG("--backend", "127.0.0.1:65536");
    WRONG("--backend", ":80");
    WRONG(GOOD, "--port", "80x");
    WRONG(GOOD, "--threads", "0");
    WRONG(GOOD, "--timeout-ms", "0");
    WRONG(GOOD, "127.0.0.1:81");
    WRONG(GOOD, "--speed", "9");
    const char *many[2 * MAX_BACKENDS + 3] = {0};
    for (int i = 0; i <= MAX_BACKENDS; i++) {
        many[2 * i] = "--backend";
        many[2 * i + 1] = "127.0.0.1:80";
    }
    expect_usage(many);

    /* A port that is taken. */
    struct backend taken = backend_open();
    struct run r = run(GOOD, "--port", text("%d", taken.port));
    assert_exit(r, 1);
    assert_output(r, "");
    assert_error_contains(r, text("reverse_proxy: 127.0.0.1:%d: %s\n",
                                  taken.port, strerror(EADDRINUSE)));
    backend_close(taken);
}

static void expect_body(int client, const char *expected)
{
    struct http_reply r = http_read(client);
    assert_body(r, expected);
}

TEST(test_11_requests_go_round_the_backends)
{
    enum { BACKENDS = 3, REQUESTS = 7 };
    struct backend b[BACKENDS];
    for (int i = 0; i < BACKENDS; i++)
        b[i] = backend_open();
    struct proxy *proxy = proxy_start(NULL, b[0].port, b[1].port, b[2].port);
    for (int i = 0; i < REQUESTS; i++) {
        int client = client_connect(proxy->port);
        client_send(client, REQUEST("POST /") "Content-Length: 0\r\n\r\n");
        int fd = client_accept(b[i % BACKENDS].listener);
        client_send(fd, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
        assert_status(http_read(client), 204);
        close(client);
        close(fd);
    }
    struct run r = proxy_end(proxy);
    assert_output(r, text("Listening on 127.0.0.1:%d\n"
                          "127.0.0.1:%d answered 3, failed 0\n"
                          "127.0.0.1:%d answered 2, failed 0\n"
                          "127.0.0.1:%d answered 2, failed 0\n",
                          proxy->port, b[0].port, b[1].port, b[2].port));
    for (int i = 0; i < BACKENDS; i++)
        backend_close(b[i]);
}

TEST(test_12_both_connections_are_kept)
{
    struct backend b = backend_open();
    struct proxy *proxy = proxy_start(NULL, b.port);
    int client = client_connect(proxy->port);
    client_send(client, "GET /one HTTP/1.1\r\nHost: test\r\nTE: trailers\r\n"
                        "X-Forwarded-For: 192.0.2.9\r\n\r\n");
    int fd = client_accept(b.listener);
    client_expect(fd, "GET /one HTTP/1.1\r\nHost: test\r\n"
                      "X-Forwarded-For: 192.0.2.9, 127.0.0.1\r\n" VIA "\r\n");
    client_send(fd, "HTTP/1.1 200 OK\r\nServer: b\r\nContent-Length: 3\r\n\r\n"
                    "one");
    client_expect(client, "HTTP/1.1 200 OK\r\nServer: b\r\n" VIA
                          "Content-Length: 3\r\n\r\none");
    for (int i = 0; i < 5; i++) {
        client_send(client, REQUEST("GET /more") "\r\n");
        client_expect(fd, FORWARDED("GET /more", "") "\r\n");
        client_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmore");
        client_expect(client, "HTTP/1.1 200 OK\r\n" VIA
                              "Content-Length: 4\r\n\r\nmore");
    }
    /* Another client's request, over the same connection to the backend. */
    int other = client_connect(proxy->port);
    client_send(other, REQUEST("GET /") "Connection: close\r\n\r\n");
    client_expect(fd, FORWARDED("GET /", "") "\r\n");
    client_send(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    client_expect(other, "HTTP/1.1 404 Not Found\r\n" VIA
                         "Content-Length: 0\r\nConnection: close\r\n\r\n");
    client_expect_end(other);
    backend_expect_unasked(b);
    close(other);
    close(client);
    close(fd);
    proxy_end(proxy);
    backend_close(b);
}

TEST(test_13_responses_end_where_they_say)
{
    struct backend b = backend_open();
    struct proxy *proxy = proxy_start(NULL, b.port);
    int client = client_connect(proxy->port);
    int fd = round_trip(client, b);
    /* No body, whatever the head says, and the next response is in order. */
    client_send(client, REQUEST("HEAD /") "\r\n");
    client_expect(fd, FORWARDED("HEAD /", "") "\r\n");
    client_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    client_expect(client,
                  "HTTP/1.1 200 OK\r\n" VIA "Content-Length: 1000\r\n\r\n");
    client_send(client, REQUEST("GET /304") "\r\n");
    client_expect(fd, FORWARDED("GET /304", "") "\r\n");
    client_send(fd, "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n");
    client_expect(client,
                  "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n" VIA "\r\n");
    client_send(client, REQUEST("GET /204") "\r\n");
    client_expect(fd, FORWARDED("GET /204", "") "\r\n");
    client_send(fd, "HTTP/1.1 204 No Content\r\n\r\n");
    client_expect(client, "HTTP/1.1 204 No Content\r\n" VIA "\r\n");
    client_send(client, REQUEST("GET /chunks") "\r\n");
    client_expect(fd, FORWARDED("GET /chunks", "") "\r\n");
    client_send(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "3;x=y\r\nabc\r\n0A\r\n0123456789\r\n0\r\nT: 1\r\n\r\n");
    struct http_reply r = http_read(client);
    assert_true(r.chunked);
    assert_body(r, "abc0123456789");
    /* The backend ends it by closing; the client's connection goes on. */
    client_send(client, REQUEST("GET /close") "\r\n");
    client_expect(fd, FORWARDED("GET /close", "") "\r\n");
    client_send(fd, "HTTP/1.0 200 OK\r\n\r\nuntil the end");
    close(fd);
    r = http_read(client);
    assert_true(r.chunked);
    assert_body(r, "until the end");
    fd = round_trip(client, b);
    close(client);
    close(fd);

    /* HTTP/1.0 knows no chunks, and gets the same bytes until the end. */
    client = client_connect(proxy->port);
    client_send(client, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    fd = client_accept(b.listener);
    client_expect(fd, "GET / HTTP/1.1\r\nHost: \r\n"
                      "X-Forwarded-For: 127.0.0.1\r\nVia: 1.0 proxy\r\n\r\n");
    client_send(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    client_expect(client,
                  "HTTP/1.1 200 OK\r\n" VIA "Connection: close\r\n\r\nabcde");
    client_expect_end(client);
    close(client);
    close(fd);
    proxy_end(proxy);
    backend_close(b);
}

/* Chunks with this content, however they are cut. */
static void expect_content(int fd, const char *expected)
{
    size_t len = 0, more;
    while (len < strlen(expected)) {
        const char *chunk = http_chunk(fd, &more);
        assert_non_null(chunk);
        assert_at_most(more, strlen(expected) - len);
        assert_memory_equal(chunk, expected + len, more);
        len += more;
    }
}

TEST(test_14_bodies_go_on_as_they_come)
{
    struct backend b = backend_open();
    struct proxy *proxy = proxy_start(NULL, b.port);
    int client = client_connect(proxy->port);
    client_send(client, REQUEST("POST /") "Content-Length: 10\r\n\r\n");
    int fd = client_accept(b.listener);
    client_expect(fd, FORWARDED("POST /", "") "Content-Length: 10\r\n\r\n");
    client_send(client, "01234");
    client_expect(fd, "01234");
    client_send(client, "56789");
    client_expect(fd, "56789");
    client_send(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_status(http_read_head(client), 200);
    client_send(fd, "5\r\nfirst\r\n");
    assert_string_equal(http_chunk(client, NULL), "first");
    client_send(fd, "6\r\nsecond\r\n");
    assert_string_equal(http_chunk(client, NULL), "second");
    client_send(fd, "0\r\n\r\n");
    assert_null(http_chunk(client, NULL));

    /* Chunks of a client, cut anywhere. */
    client_send(client, REQUEST("PUT /") "Transfer-Encoding: chunked\r\n\r\n"
                                         "5\r\nfir");
    close(fd);
    fd = client_accept(b.listener);
    client_expect(fd,
                  FORWARDED("PUT /", "") "Transfer-Encoding: chunked\r\n\r\n");
    /* In one chunk or in several: their content counts. */
    expect_content(fd, "fir");
    client_send(client, "st\r\n0000000000000006;a=\"b\"\r\nsecond");
    expect_content(fd, "stsecond");
    client_send(client, "\r\n0\r\nTrailer: dropped\r\n\r\n");
    assert_null(http_chunk(fd, NULL));
    client_send(fd, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    assert_status(http_read(client), 201);
    close(client);
    close(fd);
    proxy_end(proxy);
    backend_close(b);
}

TEST(test_15_interim_responses_go_on)
{
    struct backend b = backend_open();
    struct proxy *proxy = proxy_start(NULL, b.port);
    int client = client_connect(proxy->port);
    client_send(client, REQUEST("PUT /") "Expect: 100-continue\r\n"
                                         "Content-Length: 4\r\n\r\n");
    int fd = client_accept(b.listener);
    client_expect(
        fd, FORWARDED("PUT /",
                      "Expect: 100-continue\r\n") "Content-Length: 4\r\n\r\n");
    client_send(fd, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
                    "HTTP/1.1 100 Continue\r\n\r\n");
    client_expect(client, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n" VIA
                          "\r\nHTTP/1.1 100 Continue\r\n" VIA "\r\n");
    client_send(client, "body");
    client_expect(fd, "body");
    client_send(fd, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    client_expect(client,
                  "HTTP/1.1 201 Created\r\n" VIA "Content-Length: 0\r\n\r\n");
    close(fd);
    fd = round_trip(client, b);
    close(client);
    close(fd);

    /* HTTP/1.0 has no interim responses. */
    client = client_connect(proxy->port);
    client_send(client, "GET / HTTP/1.0\r\n\r\n");
    fd = client_accept(b.listener);
    client_send(fd, "HTTP/1.1 100 Continue\r\n\r\n"
                    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    client_expect(client, "HTTP/1.1 200 OK\r\n" VIA "Content-Length: 2\r\n"
                          "Connection: close\r\n\r\nok");
    client_expect_end(client);
    close(client);
    close(fd);
    proxy_end(proxy);
    backend_close(b);
}

TEST(test_16_pipelined_requests_are_answered_in_order)
{
    enum { REQUESTS = 5 };
    struct backend b = backend_open();
    struct proxy *proxy = proxy_start(NULL, b.port);
    int client = client_connect(proxy->port);
    for (int i = 0; i < REQUESTS; i++)
        client_send(client, i % 2 ? REQUEST("GET /") "\r\n"
                                  : REQUEST("GET /") "Content-Length: 4\r\n\r\n"
                                                     "body");
    shutdown(client, SHUT_WR); /* that is all, and it waits for the answers */
    for (int i = 0; i < REQUESTS; i++) {
        int fd = client_accept(b.listener);
        client_expect(fd, FORWARDED("GET /", ""));
        client_expect(fd, i % 2 ? "\r\n" : "Content-Length: 4\r\n\r\nbody");
        client_send(fd, text("HTTP/1.1 200 OK\r\nConnection: close\r\n"
                             "Content-Length: 1\r\n\r\n%d",
                             i));
        client_expect_end(fd);
        close(fd);
    }
    for (int i = 0; i < REQUESTS; i++)
        expect_body(client, text("%d", i));
    client_expect_end(client);
    close(client);
    proxy_end(proxy);
    backend_close(b);
}

enum { MOST_MORE_KB = 4096 };

/* More than the socket buffers between the test's two ends can hold. */
static size_t much(void)
{
    size_t sum = 2 << 20;
    static const char *const files[] = {"/proc/sys/net/ipv4/tcp_rmem",
                                        "/proc/sys/net/ipv4/tcp_wmem"};
    for (int i = 0; i < 2; i++) {
        size_t least, usual, most;
        FILE *file = fopen(files[i], "r");
        if (!file || fscanf(file, "%zu %zu %zu", &least, &usual, &most) != 3)
            most = 8 << 20;
        if (file)
            fclose(file);
        sum += most;
    }
    return sum;
}

TEST(test_17_a_body_may_be_larger_than_memory, .limit_ms = 4000)
{
    size_t len = much();
    struct backend b = backend_open();
    narrow(b.listener);
    struct proxy *proxy = proxy_start(NULL, b.port);
    int client = client_connect(proxy->port);
    int fd = round_trip(client, b);
    long before_kb = proxy_memory_kb(proxy);

    /* The backend takes nothing, until the client can send no more. */
    narrow(client);
    client_send(client,
                text(REQUEST("POST /") "Content-Length: %zu\r\n\r\n", len));
    int slow = client_accept(b.listener);
    narrow(slow);
    size_t sent = flood(proxy, client, 0, len);
    assert_at_most(sent, len - 1);
    assert_at_most(proxy_memory_kb(proxy) - before_kb, MOST_MORE_KB);
    proxy_expect_idle(proxy);
    client_expect(slow, text(FORWARDED("POST /", "") "Content-Length: %zu\r\n"
                                                     "\r\n",
                             len));
    transfer(client, slow, sent, len);

    /* And the same the other way. */
    client_send(slow,
                text("HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", len));
    sent = flood(proxy, slow, 0, len);
    assert_at_most(sent, len - 1);
    assert_at_most(proxy_memory_kb(proxy) - before_kb, MOST_MORE_KB);
    proxy_expect_idle(proxy);

    /* Nobody else has to wait for them. */
    int other = client_connect(proxy->port);
    client_send(other, REQUEST("GET /other") "\r\n");
    client_expect(fd, FORWARDED("GET /other", "") "\r\n");
    client_send(fd, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_status(http_read(other), 204);

    assert_status(http_read_head(client), 200);
    transfer(slow, client, sent, len);
    close(other);
    close(client);
    close(slow);
    close(fd);
    proxy_end(proxy);
    backend_close(b);
}

/* What goes wrong. */

TEST(test_18_a_dead_backend_is_tried_around)
{
    static const char *const idempotent[] = {"GET",   "HEAD", "OPTIONS",
                                             "TRACE", "PUT",  "DELETE"};
    struct backend dead = backend_dead(), b = backend_open();
    struct proxy *proxy = proxy_start(NULL, dead.port, b.port);
    for (int i = 0; i < 6; i++) {
        int client = client_connect(proxy->port);
        client_send(client, text(REQUEST("%s /") "Content-Length: 4\r\n\r\n"
                                                 "body",
                                 idempotent[i]));
        int fd = client_accept(b.listener);
        client_expect(fd, text(FORWARDED("%s /", "") "Content-Length: 4\r\n"
                                                     "\r\nbody",
                               idempotent[i]));
        client_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
                        "Connection: close\r\n\r\n");
        assert_status(http_read_to(client, idempotent[i]), 200);
        close(client);
        close(fd);
    }
    /* Round robin: the dead one was first each time. */
    struct run r = proxy_end(proxy);
    assert_counts(r, dead, 0, 6);
    assert_counts(r, b, 6, 0);
    backend_close(dead);
    backend_close(b);
}

/* Sends a request, and expects an answer of the proxy's own, after which the
 * connection ends. */
static void expect_own_answer(int client, const char *request, int status,
                              const char *reason)
{
    if (request)
        client_send(client, request);
    client_expect(client, text("HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\n"
                               "Content-Length: %zu\r\nConnection: close\r\n"
                               "\r\n%s\n",
                               status, reason, strlen(reason) + 1, reason));
    client_expect_end(client);
    close(client);
}

TEST(test_19_other_methods_are_not_repeated)
{
    struct backend dead = backend_dead(), b = backend_open();
    struct proxy *proxy = proxy_start(NULL, dead.port, b.port);
    expect_own_answer(client_connect(proxy->port),
                      REQUEST("POST /") "Content-Length: 0\r\n\r\n", 502,
                      "Bad Gateway");
    backend_expect_unasked(b);
    /* The backend takes the request and closes. */
    int client = client_connect(proxy->port);
    client_send(client, REQUEST("PATCH /") "\r\n");
    int fd = client_accept(b.listener);
    client_expect(fd, FORWARDED("PATCH /", "") "\r\n");
    close(fd);
    expect_own_answer(client, NULL, 502, "Bad Gateway");
    /* Methods are in capital letters (RFC 9110, section 9.1). */
    expect_own_answer(client_connect(proxy->port), REQUEST("get /") "\r\n", 502,
                      "Bad Gateway");
    struct run r = proxy_end(proxy);
    assert_counts(r, dead, 0, 2);
    assert_counts(r, b, 0, 1);
    backend_close(dead);
    backend_close(b);
}

TEST(test_20_without_a_backend_it_is_a_bad_gateway)
{
    struct backend one = backend_dead(), two = backend_dead();
    struct proxy *proxy = proxy_start(NULL, one.port, two.port);
    for (int i = 0; i < 3; i++)
        expect_own_answer(client_connect(proxy->port), REQUEST("GET /") "\r\n",
                          502, "Bad Gateway");
    int client = client_connect(proxy->port);
    client_send(client, REQUEST("HEAD /") "\r\n");
    client_expect(client, "HTTP/1.1 502 Bad Gateway\r\n"
                          "Content-Type: text/plain\r\nContent-Length: 12\r\n"
                          "Connection: close\r\n\r\n");
    client_expect_end(client);
    close(client);
    struct run r = proxy_end(proxy);
    assert_counts(r, one, 0, 4);
    assert_counts(r, two, 0, 4);
    backend_close(one);
    backend_close(two);
}

TEST(test_21_a_kept_connection_that_was_closed_is_no_failure)
{
    struct backend b = backend_open();
    struct proxy *proxy = proxy_start(NULL, b.port);
    int client = client_connect(proxy->port);
    int fd = round_trip(client, b);
    /* It is closed while the next request is on its way. */
    client_send(client, REQUEST("GET /again") "\r\n");
    client_expect(fd, FORWARDED("GET /again", "") "\r\n");
    close(fd);
    fd = client_accept(b.listener);
    client_expect(fd, FORWARDED("GET /again", "") "\r\n");
    client_send(fd, "HTTP/1.1 204 No Content\r\n\r\n");
    client_expect(client, "HTTP/1.1 204 No Content\r\n" VIA "\r\n");
    /* A reset is the same. */
    client_send(client, REQUEST("GET /reset") "\r\n");
    client_expect(fd, FORWARDED("GET /reset", ""));
    reset(fd); /* with bytes unread */
    fd = client_accept(b.listener);
    client_expect(fd, FORWARDED("GET /reset", "") "\r\n");
    /* Once, since this one is new. */
    close(fd);
    expect_own_answer(client, NULL, 502, "Bad Gateway");
    backend_expect_unasked(b);
    struct run r = proxy_end(proxy);
    assert_counts(r, b, 2, 1);
    backend_close(b);
}

TEST(test_22_what_cannot_be_repeated_gets_a_new_connection)
{
    struct backend b = backend_open();
    struct proxy *proxy = proxy_start(NULL, b.port);
    int client = client_connect(proxy->port);
    int kept = round_trip(client, b);
    client_send(client, REQUEST("POST /") "\r\n");
    int fd = client_accept(b.listener);
    client_expect(fd, FORWARDED("POST /", "") "\r\n");
    client_send(fd, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    assert_status(http_read(client), 204);
    close(fd);
    client_send(client, REQUEST("PUT /") "Content-Length: 1\r\n\r\nx");
    fd = client_accept(b.listener);
    client_expect(fd, FORWARDED("PUT /", "") "Content-Length: 1\r\n\r\nx");
    client_send(fd, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    assert_status(http_read(client), 204);
    close(fd);
    client_send(client, REQUEST("DELETE /") "\r\n");
    client_expect(kept, FORWARDED("DELETE /", "") "\r\n");
    client_send(kept, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_status(http_read(client), 204);
    close(client);
    close(kept);
    proxy_end(proxy);
    backend_close(b);
}

TEST(test_23_responses_that_are_none_are_a_bad_gateway)
{
    static const char *const broken[] = {
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: "
        "6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    };
    enum { CASES = sizeof(broken) / sizeof(broken[0]) };
    struct backend b = backend_open(), other = backend_open();
    struct proxy *proxy = proxy_start(NULL, b.port, other.port);
    for (int i = 0; i < CASES; i++) {
        int client = client_connect(proxy->port);
        client_send(client, REQUEST("GET /") "\r\n");
        int fd = client_accept(i % 2 ? other.listener : b.listener);
        client_expect(fd, FORWARDED("GET /", "") "\r\n");
        client_send(fd, broken[i]);
        shutdown(fd, SHUT_WR);
        expect_own_answer(client, NULL, 502, "Bad Gateway");
        close(fd);
    }
    /* Not a byte came: nobody is the worse for asking another one. */
    int client = client_connect(proxy->port);
    client_send(client, REQUEST("GET /") "\r\n");
    int fd = client_accept(other.listener);
    client_expect(fd, FORWARDED("GET /", "") "\r\n");
    close(fd);
    fd = client_accept(b.listener);
    client_expect(fd, FORWARDED("GET /", "") "\r\n");
    client_send(fd, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_status(http_read(client), 204);
    close(fd);
    close(client);
    struct run r = proxy_end(proxy);
    assert_counts(r, b, 1, 4);
    assert_counts(r, other, 0, 4);
    backend_close(b);
    backend_close(other);
}

/* What reaches the client of a response whose rest never comes. */
static char *cut_response(struct proxy *proxy, struct backend b,
                          const char *request, const char *response,
                          bool by_reset, bool *was_reset)
{
    size_t len;
    int client = client_connect(proxy->port);
    client_send(client, request);
    int fd = client_accept(b.listener);
    client_expect(fd, "GET / HTTP/1.1\r\n");
    client_send(fd, response);
    char first[5] = "";
    assert_int_equal(recv(client, first, 4, MSG_WAITALL), 4);
    assert_string_equal(first, "HTTP");
    if (by_reset)
        reset(fd);
    else
        close(fd); /* with bytes unread: a reset, too, where it matters not */
    char *rest = read_to_end(client, &len, was_reset);
    close(client);
    return rest;
}

TEST(test_24_a_client_can_see_that_a_response_was_cut)
{
    bool was_reset;
    struct backend b = backend_open();
    struct proxy *proxy = proxy_start(NULL, b.port);
    char *rest = cut_response(
        proxy, b, REQUEST("GET /") "\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345", true, &was_reset);
    assert_contains(rest, "Content-Length: 10\r\n");
    rest = strstr(rest, "\r\n\r\n") + 4;
    assert_at_most(strlen(rest), 5);

    rest = cut_response(proxy, b, REQUEST("GET /") "\r\n",
                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "5\r\nhello\r\n",
                        true, &was_reset);
    assert_contains(rest, "Transfer-Encoding: chunked\r\n");
    assert_not_contains(rest, "0\r\n\r\n");

    /* Chunks that are none. */
    rest = cut_response(proxy, b, REQUEST("GET /") "\r\n",
                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "5\r\nhello\r\nx\r\n",
                        true, &was_reset);
    assert_not_contains(rest, "0\r\n\r\n");

    /* Its length is where the connection ends: a reset is not that. */
    rest = cut_response(proxy, b, REQUEST("GET /") "\r\n",
                        "HTTP/1.1 200 OK\r\n\r\nhello", true, &was_reset);
    assert_contains(rest, "Transfer-Encoding: chunked\r\n");
    assert_not_contains(rest, "0\r\n\r\n");

    /* HTTP/1.0 has only that end: without a reset it would look complete. */
    cut_response(proxy, b, "GET / HTTP/1.0\r\n\r\n",
                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "5\r\nhello\r\n",
                 true, &was_reset);
    assert_true(was_reset);

    /* It is send(2) that learns of this reset, since there is still a body to
     * send: all happens before the proxy can look. */
    size_t len;
    int client = client_connect(proxy->port);
    client_send(client, REQUEST("POST /") "Content-Length: 9\r\n\r\nhalf");
    int fd = client_accept(b.listener);
    client_expect(fd, FORWARDED("POST /", "") "Content-Length: 9\r\n\r\nhalf");
    proxy_stop(proxy);
    client_send(client, " and ");
    client_send(fd, "HTTP/1.1 200 OK\r\n\r\nhello");
    reset(fd);
    proxy_continue(proxy);
    rest = read_to_end(client, &len, NULL);
    assert_contains(rest, "Transfer-Encoding: chunked\r\n");
    assert_not_contains(rest, "0\r\n\r\n");
    close(client);
    struct run r = proxy_end(proxy);
    assert_counts(r, b, 0, 6);
    backend_close(b);
}

TEST(test_25_bytes_behind_a_response_are_no_response)
{
    struct backend b = backend_open();
    struct proxy *proxy = proxy_start(NULL, b.port);
    int client = client_connect(proxy->port);
    client_send(client, REQUEST("GET /") "\r\n");
    int fd = client_accept(b.listener);
    client_expect(fd, FORWARDED("GET /", "") "\r\n");
    client_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
                    "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    expect_body(client, "ok");
    int next = round_trip(client, b); /* over a new connection */
    /* Nobody has asked when these come. */
    client_send(next, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    bool was_reset;
    size_t len;
    read_to_end(next, &len, &was_reset);
    assert_int_equal(len, 0);
    int last = round_trip(client, b);
    close(client);
    close(fd);
    close(next);
    close(last);
    proxy_end(proxy);
    backend_close(b);
}

TEST(test_26_who_is_late_is_told_or_left)
{
    struct backend b = backend_open();
    struct proxy_options options = {.timeout_ms = "40"};
    struct proxy *proxy = proxy_start(&options, b.port);
    /* All of them wait at the same time. */
    int silent = client_connect(proxy->port);
    int half = client_connect(proxy->port);
    client_send(half, "GET / HTTP/1.1\r\nHo");
    int asking = client_connect(proxy->port);
    client_send(asking, REQUEST("GET /") "\r\n");
    int fd = client_accept(b.listener);
    int sending = client_connect(proxy->port);
    client_send(sending, REQUEST("POST /") "Content-Length: 9\r\n\r\nhalf");
    int other_fd = client_accept(b.listener);
    expect_own_answer(asking, NULL, 504, "Gateway Timeout");
    expect_own_answer(half, NULL, 408, "Request Timeout");
    expect_own_answer(sending, NULL, 408, "Request Timeout");
    client_expect_end(silent);
    close(silent);
    close(fd);
    close(other_fd);

    struct run r = proxy_end(proxy);
    assert_counts(r, b, 0, 1);
    backend_close(b);
}

/* Whether the response had begun when the proxy gave up. The other may happen,
 * on a machine that is slower than the timeout. */
static bool stop_within_body(struct proxy *proxy, struct backend b)
{
    size_t len;
    int client = client_connect(proxy->port);
    client_send(client, REQUEST("GET /") "\r\n");
    int fd = client_accept(b.listener);
    client_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
    char *answer = read_to_end(client, &len, NULL);
    close(client);
    close(fd);
    if (strncmp(answer, "HTTP/1.1 504", 12) == 0)
        return false;
    assert_string_equal(answer, "HTTP/1.1 200 OK\r\n" VIA
                                "Content-Length: 9\r\n\r\nhalf");
    return true;
}

TEST(test_27_in_the_middle_of_a_body_a_timeout_cuts)
{
    int failed = 1;
    struct backend b = backend_open();
    struct proxy_options options = {.timeout_ms = "40"};
    struct proxy *proxy = proxy_start(&options, b.port);
    while (!stop_within_body(proxy, b))
        failed++;
    struct run r = proxy_end(proxy);
    assert_counts(r, b, 0, failed);
    backend_close(b);
}

TEST(test_28_smuggling_stops_here)
{
    struct backend b = backend_open();
    struct proxy *proxy = proxy_start(NULL, b.port);
    bool chunks = false;
    for (int i = 0; i < NUM_MALFORMED; i++) {
        const struct malformed *m = &malformed[i];
        if (!chunks && strncmp(m->bytes, "POST /echo", 10) == 0) {
            chunks = true; /* from here on the head is good */
            backend_expect_unasked(b);
        }
        int client = client_connect(proxy->port);
        client_send_bytes(client, m->bytes, m->len);
        struct http_reply r = http_read(client);
        if (r.status != m->status)
            fail_msg("%s\nexpected: status %d\nactual:   %d", m->name,
                     m->status, r.status);
        assert_header(r, "Connection", "close");
        client_expect_end(client);
        close(client);
    }
    assert_true(chunks);
    proxy_end(proxy);
    /* A backend may have seen the head and good chunks, but no end. */
    struct pollfd ready = {.fd = b.listener, .events = POLLIN};
    while (poll(&ready, 1, 0) == 1) {
        size_t len;
        int fd = client_accept(b.listener);
        char *seen = read_to_end(fd, &len, NULL);
        assert_not_contains(seen, "0\r\n\r\n");
        close(fd);
    }
    backend_close(b);
}

TEST(test_29_a_body_that_breaks_on_its_way_ends_both_connections)
{
    struct backend b = backend_open();
    struct proxy *proxy = proxy_start(NULL, b.port);
    /* Malformed after a good beginning. */
    int client = client_connect(proxy->port);
    client_send(client, REQUEST("POST /") "Transfer-Encoding: chunked\r\n\r\n"
                                          "5\r\nhello\r\n");
    int fd = client_accept(b.listener);
    client_expect(fd,
                  FORWARDED("POST /", "") "Transfer-Encoding: chunked\r\n\r\n");
    assert_string_equal(http_chunk(fd, NULL), "hello");
    client_send(client, "5\nhello\r\n0\r\n\r\n");
    expect_own_answer(client, NULL, 400, "Bad Request");
    client_expect_end(fd);
    close(fd);
    /* Its sender stops, half way. */
    client = client_connect(proxy->port);
    client_send(client, REQUEST("POST /") "Content-Length: 10\r\n\r\nhalf");
    fd = client_accept(b.listener);
    client_expect(fd, FORWARDED("POST /", "") "Content-Length: 10\r\n\r\nhalf");
    shutdown(client, SHUT_WR);
    expect_own_answer(client, NULL, 400, "Bad Request");
    client_expect_end(fd);
    close(fd);
    /* CONNECT is not for this kind of proxy. */
    expect_own_answer(client_connect(proxy->port),
                      "CONNECT test:80 HTTP/1.1\r\nHost: test:80\r\n\r\n", 501,
                      "Not Implemented");
    struct run r = proxy_end(proxy);
    assert_counts(r, b, 0, 0);
    backend_close(b);
}

TEST(test_30_an_early_answer_arrives)
{
    struct backend b = backend_open();
    struct proxy *proxy = proxy_start(NULL, b.port);
    int client = client_connect(proxy->port);
    narrow(client);
    client_send(client, REQUEST("POST /") "Content-Length: 10000\r\n\r\n");
    int fd = client_accept(b.listener);
    client_send(fd, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    close(fd); /* with bytes unread, perhaps: a reset */
    client_expect(client, "HTTP/1.1 403 Forbidden\r\n" VIA
                          "Content-Length: 2\r\nConnection: close\r\n\r\nno");
    client_expect_end(client);
    /* What it is still sending does no harm. */
    for (int i = 0; i < 10; i++)
        client_send(client, "a body nobody wants");
    close(client);

    /* The backend answers while it still reads. */
    client = client_connect(proxy->port);
    client_send(client, REQUEST("POST /") "Content-Length: 8\r\n\r\nping");
    fd = client_accept(b.listener);
    client_expect(fd, FORWARDED("POST /", "") "Content-Length: 8\r\n\r\nping");
    client_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nping");
    client_expect(client, "HTTP/1.1 200 OK\r\n" VIA "Content-Length: 8\r\n"
                          "Connection: close\r\n\r\nping");
    client_send(client, "pong");
    client_expect(fd, "pong");
    client_send(fd, "pong");
    client_expect(client, "pong");
    client_expect_end(client);
    close(client);
    close(fd);
    proxy_end(proxy);
    backend_close(b);
}

TEST(test_31_a_client_that_goes_takes_its_request_along)
{
    struct backend b = backend_open();
    struct proxy *proxy = proxy_start(NULL, b.port);
    int other = client_connect(proxy->port);
    int kept = round_trip(other, b);
    int client = client_connect(proxy->port);
    client_send(client, REQUEST("POST /") "Content-Length: 10\r\n\r\nhalf");
    int fd = client_accept(b.listener);
    client_expect(fd, FORWARDED("POST /", "") "Content-Length: 10\r\n\r\nhalf");
    reset(client);
    client_expect_end(fd);
    close(fd);
    /* While the response comes. */
    client = client_connect(proxy->port);
    client_send(client, REQUEST("POST /") "Content-Length: 0\r\n\r\n");
    fd = client_accept(b.listener);
    client_expect(fd, FORWARDED("POST /", "") "Content-Length: 0\r\n\r\n");
    client_send(fd, "HTTP/1.1 200 OK\r\n\r\nendless");
    client_expect(client, "HTTP/1.1 200 OK\r\n");
    reset(client);
    client_expect_end(fd);
    close(fd);
    client_send(other, REQUEST("GET /") "\r\n");
    client_expect(kept, FORWARDED("GET /", "") "\r\n");
    client_send(kept, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_status(http_read(other), 204);
    close(other);
    close(kept);
    struct run r = proxy_end(proxy);
    assert_counts(r, b, 2, 0);
    backend_close(b);
}

TEST(test_32_running_out_of_descriptors_is_survived)
{
    struct backend b = backend_open();
    struct proxy *proxy = proxy_start(NULL, b.port);
    int first = client_connect(proxy->port);
    int kept = round_trip(first, b);
    /* One more: for a client, and then there is none for its backend. */
    proxy_limit_descriptors(proxy, 1);
    int second = client_connect(proxy->port);
    client_send(second, REQUEST("POST /") "Content-Length: 0\r\n\r\n");
    client_expect(second, "HTTP/1.1 503 Service Unavailable\r\n");
    int late = client_connect(proxy->port); /* in the listener's queue */
    client_send(late, REQUEST("GET /late") "\r\n");
    proxy_expect_asleep(proxy);
    client_send(first, REQUEST("GET /first") "\r\n");
    client_expect(kept, FORWARDED("GET /first", "") "\r\n");
    client_send(kept, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_status(http_read(first), 204);
    close(second);
    client_expect(kept, FORWARDED("GET /late", "") "\r\n");
    client_send(kept, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_status(http_read(late), 204);
    close(late);
    close(first);
    close(kept);
    struct run r = proxy_end(proxy);
    assert_counts(r, b, 3, 0);
    backend_close(b);
}

TEST(test_33_interrupted_and_short_calls_lose_nothing)
{
    struct backend b = backend_open();
    struct proxy_options options = {
        .faults = "read:short=7:when=1..20,recv:short=7:when=1..20,"
                  "write:short=5:when=1..30,send:short=5:when=1..30,"
                  "read:error=EINTR:when=2..3,recv:error=EINTR:when=2..3,"
                  "write:error=EINTR:when=1..2,send:error=EINTR:when=1..2,"
                  "write:error=EAGAIN:when=6,send:error=EAGAIN:when=6,"
                  "epoll_wait:error=EINTR:when=2..3,"
                  "accept:error=ECONNABORTED:when=1,"
                  "accept4:error=ECONNABORTED:when=1,"
                  "accept:error=EINTR:when=2,accept4:error=EINTR:when=2"};
    struct proxy *proxy = proxy_start(&options, b.port);
    int client = client_connect(proxy->port);
    client_send(client, REQUEST("PUT /") "Transfer-Encoding: chunked\r\n\r\n"
                                         "5\r\nfirst\r\n6\r\nsecond\r\n"
                                         "0\r\n\r\n");
    int fd = client_accept(b.listener);
    client_expect(fd,
                  FORWARDED("PUT /", "") "Transfer-Encoding: chunked\r\n\r\n");
    expect_content(fd, "firstsecond");
    assert_null(http_chunk(fd, NULL));
    client_send(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "10\r\nsixteen letters!\r\n0\r\n\r\n");
    expect_body(client, "sixteen letters!");
    close(client);
    close(fd);
    proxy_end(proxy);
    backend_close(b);
}

TEST(test_34_what_has_ended_leaves_nothing)
{
    struct backend b = backend_open();
    struct proxy *proxy = proxy_start(NULL, b.port);
    int before = proxy_descriptors(proxy);
    for (int i = 0; i < 20; i++) {
        int client = client_connect(proxy->port);
        if (i % 4 == 0) {
            close(client);
            continue;
        }
        client_send(client, REQUEST("POST /") "Content-Length: 5\r\n\r\nhello");
        int fd = client_accept(b.listener);
        if (i % 4 == 1)
            client_send(fd, "nonsense\r\n\r\n");
        if (i % 4 == 2)
            client_send(fd, "HTTP/1.1 204 No Content\r\n\r\n");
        if (i % 4 == 3)
            reset(client);
        else
            http_read(client);
        if (i % 4 != 3)
            close(client);
        close(fd);
    }
    wait_until(proxy_descriptors(proxy) == before);

    /* A connection that is kept, and then closed by the backend. */
    int client = client_connect(proxy->port);
    int fd = round_trip(client, b);
    int both = proxy_descriptors(proxy);
    close(fd);
    wait_until(proxy_descriptors(proxy) < both);
    proxy_expect_idle(proxy);
    close(client);
    wait_until(proxy_descriptors(proxy) == before);
    proxy_end(proxy);
    backend_close(b);
}

/* A client that the proxy cannot serve is refused or closed. A connection to
 * the backend may come to nothing, too. */
static bool is_served(struct proxy *proxy, struct backend b)
{
    size_t len;
    char first;
    int client = client_connect(proxy->port);
    client_send(client, REQUEST("GET /") "Connection: close\r\n\r\n");
    struct pollfd ready[] = {{client, POLLIN, 0}, {b.listener, POLLIN, 0}};
    while (poll(ready, 2, -1) > 0 && !ready[0].revents) {
        int fd = client_accept(b.listener);
        if (recv(fd, &first, 1, 0) == 1)
            client_send(fd, "HTTP/1.1 204 No Content\r\n"
                            "Connection: close\r\n\r\n");
        close(fd);
    }
    char *answer = read_to_end(client, &len, NULL);
    close(client);
    return strncmp(answer, "HTTP/1.1 204", 12) == 0;
}

TEST(test_35_memory_that_runs_out_costs_one_connection)
{
    struct backend b = backend_open();
    /* Some allocation of those that clients cause fails; which, is up to how
     * the proxy is written. */
    struct proxy_options options = {
        .faults = "malloc:error=ENOMEM:when=4..5,calloc:error=ENOMEM:when=4..5,"
                  "epoll_ctl:error=ENOSPC:when=12..13"};
    struct proxy *proxy = proxy_start(&options, b.port);
    int served = 0;
    for (int i = 0; i < 16; i++)
        served += is_served(proxy, b);
    /* Six calls fail, and each may cost a connection. */
    assert_at_least(served, 16 - 6);
    proxy_end(proxy);
    backend_close(b);
}

TEST(test_36_threads_share_the_work)
{
    enum { CLIENTS = 8 };
    struct backend one = backend_open(), two = backend_open();
    struct proxy_options options = {.threads = "3"};
    struct proxy *proxy = proxy_start(&options, one.port, two.port);
    int clients[CLIENTS], fds[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = client_connect(proxy->port);
        client_send(clients[i], REQUEST("POST /") "\r\n");
    }
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = client_accept(i % 2 ? two.listener : one.listener);
    /* Sanitizers have threads of their own. */
    assert_at_least(proxy_threads(proxy), 3);
    for (int i = 0; i < CLIENTS; i++)
        client_send(fds[i], "HTTP/1.1 204 No Content\r\n\r\n");
    for (int i = 0; i < CLIENTS; i++) {
        assert_status(http_read(clients[i]), 204);
        close(clients[i]);
        close(fds[i]);
    }
    struct run r = proxy_end(proxy);
    assert_counts(r, one, CLIENTS / 2, 0);
    assert_counts(r, two, CLIENTS / 2, 0);
    backend_close(one);
    backend_close(two);
}

/* Clients in every state there is. */
static void stop_busy(int signal, const char *threads)
{
    struct backend b = backend_open();
    struct proxy_options options = {.threads = threads};
    struct proxy *proxy = proxy_start(&options, b.port);
    int idle = client_connect(proxy->port);
    int kept = round_trip(idle, b);
    int half = client_connect(proxy->port);
    client_send(half, "GET / HT");
    int asking = client_connect(proxy->port);
    client_send(asking, REQUEST("POST /") "Content-Length: 5\r\n\r\n");
    int fd = client_accept(b.listener);
    int reading = client_connect(proxy->port);
    client_send(reading, REQUEST("POST /") "Content-Length: 0\r\n\r\n");
    int other_fd = client_accept(b.listener);
    client_send(other_fd, "HTTP/1.1 200 OK\r\n\r\nendless");
    client_expect(reading, "HTTP/1.1 200 OK\r\n");
    program_signal(proxy->program, signal);
    assert_exit(program_wait(proxy->program), 0);
    int all[] = {idle, kept, half, asking, fd, reading, other_fd};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        close(all[i]);
    backend_close(b);
}

TEST(test_37_sigterm_and_sigint_end_it_cleanly)
{
    stop_busy(SIGTERM, "1");
    stop_busy(SIGINT, "2");
}

/* Other programs, as clients and as backends. */

TEST(test_38_curl_is_content)
{
    test_need("curl");
    struct backend b = backend_open();
    struct proxy *proxy = proxy_start(NULL, b.port);
    write_text("body.txt", "what curl sends");
    struct run_options options = {.program = "curl"};
    struct program *curl =
        start_with(options, "-sS", "--expect100-timeout", "60", "-H",
                   "Expect: 100-continue", "-H", "Transfer-Encoding: chunked",
                   "-T", "body.txt", "-w", " %{http_code}",
                   text("http://127.0.0.1:%d/put", proxy->port));
    int fd = client_accept(b.listener);
    client_expect(
        fd, text("PUT /put HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n", proxy->port));
    client_send(fd, "HTTP/1.1 100 Continue\r\n\r\n");
    char head[4096] = "";
    for (size_t len = 0; !strstr(head, "\r\n\r\n"); len++)
        assert_int_equal(recv(fd, head + len, 1, 0), 1);
    assert_contains(head, "Transfer-Encoding: chunked\r\n");
    assert_contains(head, "Expect: 100-continue\r\n");
    expect_content(fd, "what curl sends");
    assert_null(http_chunk(fd, NULL));
    client_send(fd, "HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nthere");
    struct run r = program_wait(curl);
    assert_exit(r, 0);
    assert_output(r, "there 201");
    close(fd);
    proxy_end(proxy);
    backend_close(b);
}

static bool can_connect(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int result = connect(fd, (struct sockaddr *)&address, sizeof(address));
    close(fd);
    return result == 0;
}

TEST(test_39_nginx_is_a_backend, .limit_ms = 3000)
{
    test_need("nginx");
    test_need("curl");
    /* The port is ours until nginx has it. */
    struct backend b = backend_dead();
    write_text("nginx.conf",
               "daemon off; master_process off; pid nginx.pid;\n"
               "error_log stderr crit; events { }\n"
               "http { access_log off; client_body_temp_path body;\n"
               "proxy_temp_path proxy; fastcgi_temp_path fastcgi;\n"
               "uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n"
               "server { listen 127.0.0.1:%d reuseport;\n"
               "location / { root .; }\n"
               "location /who { return 200 \"$http_host $remote_port "
               "$http_x_forwarded_for $http_via\"; }\n"
               "} }\n",
               b.port);
    char *big = text("%0300000d", 7);
    write_text("big.txt", "%s", big);
    struct run_options options = {.program = "nginx"};
    struct program *nginx = start_with(options, "-p", ".", "-c", "nginx.conf");
    wait_until(can_connect(b.port));
    struct proxy *proxy = proxy_start(NULL, b.port);
    options.program = "curl";
    struct run r = run_with(options, "-sS", "-H", "Host: example.org",
                            text("http://127.0.0.1:%d/who", proxy->port));
    assert_exit(r, 0);
    assert_output_contains(r, "example.org ");
    assert_output_contains(r, " 127.0.0.1 1.1 proxy");
    /* Many requests over one connection, some of them without a body. */
    const char *url = text("http://127.0.0.1:%d/big.txt", proxy->port);
    r = run_with(options, "-sS", "-o", "one", url, "-o", "two", url, "-w",
                 "%{http_code} %{size_download} %{num_connects}\n");
    assert_exit(r, 0);
    assert_output(r, "200 300000 1\n200 300000 0\n");
    size_t len;
    assert_string_equal(read_bytes("one", &len), big);
    assert_string_equal(read_bytes("two", &len), big);
    r = run_with(options, "-sSI", url, url, "-w", "%{http_code}\n");
    assert_exit(r, 0);
    assert_output_contains(r, "Content-Length: 300000\r\n");
    r = proxy_end(proxy);
    assert_counts(r, b, 5, 0);
    program_signal(nginx, SIGTERM);
    program_wait(nginx);
    backend_close(b);
}
