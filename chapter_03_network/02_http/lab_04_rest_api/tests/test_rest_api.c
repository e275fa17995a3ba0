/* The program, from outside. The store's tests are in test_items.c. */
#include "test/http.h"
#include "test/process.h"
#include "test/program.h"

#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MOST_BODY = 8192,
    CLIENTS = 200,
    MOST_FAILURES = 5,
};

#define PEN "{\"name\": \"pen\", \"price\": 120}"
#define JSON "Content-Type: application/json\r\n"

struct server {
    struct program *program;
    int port;
};

static struct server server_start_with(const char *option, const char *value)
{
    struct server server = {.program = start(option, value)};
    server.port = program_port(server.program);
    return server;
}

static struct server server_start(void)
{
    return server_start_with("--port", "0");
}

/* Status 0 also says that nothing was leaked. */
static void server_end(struct server server)
{
    program_signal(server.program, SIGTERM);
    assert_exit(program_wait(server.program), 0);
}

/* Sends a request with these fields and this body (may be NULL), and reads the
 * answer. */
static struct http_reply ask_with(int fd, const char *method,
                                  const char *target, const char *fields,
                                  const char *body)
{
    const char *length =
        body ? text("Content-Length: %zu\r\n", strlen(body)) : "";
    client_send(fd, text("%s %s HTTP/1.1\r\nHost: test\r\n%s%s\r\n%s", method,
                         target, fields, length, body ? body : ""));
    return http_read_to(fd, method);
}

/* The same with the fields that a good client sends. */
static struct http_reply ask(int fd, const char *method, const char *target,
                             const char *body)
{
    return ask_with(fd, method, target, body ? JSON : "", body);
}

static void expect_json(struct http_reply r, int status, const char *expected)
{
    assert_status(r, status);
    assert_header(r, "Content-Type", "application/json");
    json_t *a = json_loads(r.body, JSON_REJECT_DUPLICATES, NULL);
    json_t *e = json_loads(expected, 0, NULL);
    bool same = json_equal(a, e);
    json_decref(a);
    json_decref(e);
    if (!same)
        fail_msg("expected: %s\nactual:   %s", expected, r.body);
}

/* A JSON error that blames this member, or none (NULL). */
static void expect_error(struct http_reply r, int status, const char *field)
{
    assert_status(r, status);
    assert_header(r, "Content-Type", "application/json");
    json_t *error = json_loads(r.body, JSON_REJECT_DUPLICATES, NULL);
    const char *reason = json_string_value(json_object_get(error, "error"));
    json_t *told = json_object_get(error, "field");
    bool good = reason && *reason &&
                (field ? json_is_string(told) &&
                             strcmp(json_string_value(told), field) == 0
                       : !told);
    json_decref(error);
    if (!good)
        fail_msg("expected: {\"error\": \"…\"%s}\nactual:   %s",
                 field ? text(", \"field\": \"%s\"", field) : "", r.body);
}

/* For tests of something else: item 1. */
static void add_pen(int fd)
{
    expect_json(ask(fd, "POST", "/items", PEN), 201,
                "{\"id\": 1, \"name\": \"pen\", \"price\": 120,"
                " \"quantity\": 0}");
}

/* A body of exactly so many bytes, which is good. */
static char *body_of(size_t len)
{
    return text("%*s", (int)len, PEN);
}

TEST(test_20_it_says_where_it_listens, .limit_ms = 2000)
{
    struct server server = server_start();
    int fd = client_connect(server.port);
    expect_json(ask(fd, "GET", "/items", NULL), 200, "[]");
    /* Killed with a connection open, which its port remembers. */
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

#define USAGE "[--port PORT] [--threads N] [--max-items N]\n"

TEST(test_21_a_wrong_command_line_is_a_usage_error, .limit_ms = 2000)
{
    assert_usage(USAGE, "--port", "80x");
    assert_usage(USAGE, "--port", "65536");
    assert_usage(USAGE, "--port");
    assert_usage(USAGE, "--threads", "0");
    assert_usage(USAGE, "--threads", "65");
    assert_usage(USAGE, "--max-items", "4294967297");
    assert_usage(USAGE, "--speed", "9");
    assert_usage(USAGE, "7");
}

TEST(test_22_the_life_of_an_item)
{
    struct server server = server_start();
    int fd = client_connect(server.port);
    struct http_reply r = ask(fd, "POST", "/items", PEN);
    assert_header(r, "Location", "/items/1");
    expect_json(r, 201,
                "{\"id\": 1, \"name\": \"pen\", \"price\": 120,"
                " \"quantity\": 0}");
    r = ask(fd, "POST", "/items?x=y", "{\"name\": \"ink\", \"price\": 0}");
    assert_header(r, "Location", "/items/2");
    r = ask(fd, "GET", http_header(r, "Location"), NULL);
    assert_header(r, "Location", NULL);
    expect_json(
        r, 200,
        "{\"id\": 2, \"name\": \"ink\", \"price\": 0, \"quantity\": 0}");
    expect_json(ask(fd, "PATCH", "/items/1", "{\"quantity\": 7}"), 200,
                "{\"id\": 1, \"name\": \"pen\", \"price\": 120,"
                " \"quantity\": 7}");
    expect_json(ask(fd, "GET", "/items?id=2", NULL), 200,
                "[{\"id\": 1, \"name\": \"pen\", \"price\": 120,"
                " \"quantity\": 7},"
                " {\"id\": 2, \"name\": \"ink\", \"price\": 0,"
                " \"quantity\": 0}]");
    expect_json(
        ask(fd, "PUT", "/items/1", "{\"name\": \"nib\", \"price\": 5}"), 200,
        "{\"id\": 1, \"name\": \"nib\", \"price\": 5, \"quantity\": 0}");
    r = ask(fd, "DELETE", "/items/1", NULL);
    assert_status(r, 204);
    assert_header(r, "Content-Length", NULL);
    expect_error(ask(fd, "DELETE", "/items/1", NULL), 404, NULL);
    expect_error(ask(fd, "GET", "/items/1", NULL), 404, NULL);
    expect_error(ask(fd, "PUT", "/items/1", PEN), 404, NULL);
    expect_error(ask(fd, "PATCH", "/items/1", "{}"), 404, NULL);
    r = ask(fd, "POST", "/items", PEN);
    assert_header(r, "Location", "/items/3");
    close(fd);
    server_end(server);
}

TEST(test_23_an_error_says_what_is_wrong)
{
    struct server server = server_start();
    int fd = client_connect(server.port);
    add_pen(fd);
    expect_error(ask(fd, "POST", "/items", "{\"name\": \"a\"}"), 400, "price");
    expect_error(ask(fd, "POST", "/items", "{\"nmae\": \"a\"}"), 400, "nmae");
    expect_error(ask(fd, "POST", "/items", "{\"name\""), 400, NULL);
    expect_error(ask(fd, "POST", "/items", ""), 400, NULL);
    expect_error(ask_with(fd, "POST", "/items", JSON, NULL), 400, NULL);
    expect_error(ask(fd, "PUT", "/items/1", "{\"price\": 1}"), 400, "name");
    expect_error(ask(fd, "PATCH", "/items/1", "{\"price\": \"1\"}"), 400,
                 "price");
    expect_error(ask(fd, "PATCH", "/items/1", "{\"name\": \"\xff\"}"), 400,
                 NULL);
    expect_json(ask(fd, "GET", "/items", NULL), 200,
                "[{\"id\": 1, \"name\": \"pen\", \"price\": 120,"
                " \"quantity\": 0}]");
    close(fd);
    server_end(server);
}

TEST(test_24_a_path_is_in_the_table_or_is_not_found)
{
    static const char *const nowhere[] = {"/",
                                          "/item",
                                          "/items/",
                                          "/Items",
                                          "/items/0",
                                          "/items/01",
                                          "/items/+1",
                                          "/items/-1",
                                          "/items/1x",
                                          "/items/x1",
                                          "/items/1/",
                                          "/items/1/name",
                                          "/items/1.0",
                                          "/items/%20",
                                          "/items/1%20",
                                          "/items//1",
                                          "/itemsx",
                                          "/items/0x1",
                                          "/items/18446744073709551617",
                                          "/items/1;a=b"};
    struct server server = server_start();
    int fd = client_connect(server.port);
    add_pen(fd);
    for (size_t i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++)
        expect_error(ask(fd, "GET", nowhere[i], NULL), 404, NULL);
    expect_error(ask(fd, "GET", "/items/4294967297", NULL), 404, NULL);
    expect_error(ask(fd, "BREW", "/items/", NULL), 404, NULL);
    expect_error(ask(fd, "POST", "/", "{}"), 404, NULL);
    /* libmicrohttpd decodes the path. */
    assert_status(ask(fd, "GET", "/%69tems/%31", NULL), 200);
    assert_status(ask(fd, "GET", "/items/1?a/b", NULL), 200);
    close(fd);
    server_end(server);
}

static void expect_not_allowed(int fd, const char *method, const char *target,
                               const char *allowed)
{
    struct http_reply r = ask(fd, method, target, NULL);
    expect_error(r, 405, NULL);
    assert_header(r, "Allow", allowed);
}

TEST(test_25_a_method_is_allowed_or_not)
{
    static const char all[] = "GET, HEAD, POST";
    static const char one[] = "GET, HEAD, PUT, PATCH, DELETE";
    struct server server = server_start();
    int fd = client_connect(server.port);
    expect_not_allowed(fd, "PUT", "/items", all);
    expect_not_allowed(fd, "PATCH", "/items", all);
    expect_not_allowed(fd, "DELETE", "/items", all);
    expect_not_allowed(fd, "OPTIONS", "/items?x", all);
    expect_not_allowed(fd, "get", "/items", all);
    expect_not_allowed(fd, "POST", "/items/1", one); /* there or not */
    expect_not_allowed(fd, "BREW", "/items/1", one);
    assert_status(ask(fd, "GET", "/items", NULL), 200);
    close(fd);
    server_end(server);
}

TEST(test_26_head_is_get_without_the_body)
{
    static const char *const targets[] = {"/items", "/items/1", "/items/2",
                                          "/nope"};
    struct server server = server_start();
    int fd = client_connect(server.port);
    add_pen(fd);
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        struct http_reply head = ask(fd, "HEAD", targets[i], NULL);
        struct http_reply got = ask(fd, "GET", targets[i], NULL);
        assert_status(head, got.status);
        assert_header(head, "Content-Type", "application/json");
        assert_header(head, "Content-Length",
                      http_header(got, "Content-Length"));
    }
    close(fd);
    server_end(server);
}

TEST(test_27_the_body_has_to_be_json_by_name)
{
    static const char *const good[] = {
        "application/json", "Application/JSON", "application/json;charset=x",
        "application/json ; a=b", "application/json\t;"};
    static const char *const bad[] = {"text/json",
                                      "application/jsonx",
                                      "application/json-patch+json",
                                      "application/jso",
                                      "json",
                                      "application/json, a/b",
                                      "text/plain; application/json",
                                      "application/x-www-form-urlencoded"};
    struct server server = server_start();
    int fd = client_connect(server.port);
    add_pen(fd);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_status(ask_with(fd, "PATCH", "/items/1",
                               text("Content-Type: %s\r\n", good[i]), "{}"),
                      200);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        expect_error(ask_with(fd, "PATCH", "/items/1",
                              text("content-type: %s\r\n", bad[i]), "{}"),
                     415, NULL);
    expect_error(ask_with(fd, "POST", "/items", "", PEN), 415, NULL);
    expect_error(ask_with(fd, "PUT", "/items/1", "", PEN), 415, NULL);
    /* Where no body is wanted, none is looked at; and nobody has to accept. */
    assert_status(ask_with(fd, "GET", "/items/1", "Accept: text/html\r\n", "x"),
                  200);
    assert_status(ask_with(fd, "DELETE", "/items/1", "", "x"), 204);
    close(fd);
    server_end(server);
}

TEST(test_28_a_body_may_have_8192_bytes)
{
    struct server server = server_start();
    int fd = client_connect(server.port);
    const char *most = body_of(MOST_BODY);
    assert_status(ask(fd, "POST", "/items", most), 201);
    client_send(fd, "POST /items HTTP/1.1\r\nHost: a\r\n" JSON
                    "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < MOST_BODY; i += 1024)
        client_send(fd, text("400\r\n%.1024s\r\n", most + i));
    client_send(fd, "0\r\n\r\n");
    assert_status(http_read(fd), 201);
    /* One more, in a chunk of its own: it is read to its end, and refused. */
    client_send(fd, "POST /items HTTP/1.1\r\nHost: a\r\n" JSON
                    "Transfer-Encoding: chunked\r\n\r\n");
    client_send(fd, text("1\r\n \r\n2000\r\n%s\r\n0\r\n\r\n", most));
    expect_error(http_read(fd), 413, NULL);
    close(fd);

    /* Much more. */
    fd = client_connect(server.port);
    client_send(fd, "PUT /items/1 HTTP/1.1\r\nHost: a\r\n" JSON
                    "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 64; i++)
        client_send(fd, text("2000\r\n%s\r\n", most));
    client_send(fd, "0\r\n\r\n");
    expect_error(http_read(fd), 413, NULL);
    close(fd);
    fd = client_connect(server.port);
    expect_json(ask(fd, "GET", "/items/1", NULL), 200,
                "{\"id\": 1, \"name\": \"pen\", \"price\": 120,"
                " \"quantity\": 0}");
    assert_status(ask(fd, "GET", "/items/3", NULL), 404);
    close(fd);
    server_end(server);
}

/* The client has sent nothing but the head, and waits. */
static void expect_too_large(struct server server, const char *fields)
{
    int fd = client_connect(server.port);
    client_send(fd, text("POST /items HTTP/1.1\r\nHost: a\r\n%s\r\n", fields));
    expect_error(http_read(fd), 413, NULL);
    client_expect_end(fd);
    close(fd);
}

TEST(test_29_what_is_announced_as_too_large_is_not_waited_for)
{
    struct server server = server_start();
    expect_too_large(server, JSON "Content-Length: 8193\r\n");
    expect_too_large(server, "Content-Length: 4294967297\r\n");
    expect_too_large(server, JSON "Expect: 100-continue\r\n"
                                  "Content-Length: 8193\r\n");
    int fd = client_connect(server.port);
    client_send(fd, "POST /items HTTP/1.1\r\nHost: a\r\n" JSON
                    "Expect: 100-continue\r\nContent-Length: 8192\r\n\r\n");
    client_expect(fd, "HTTP/1.1 100 Continue\r\n\r\n");
    client_send(fd, body_of(MOST_BODY));
    assert_status(http_read(fd), 201);
    close(fd);
    server_end(server);
}

TEST(test_30_what_the_head_tells_goes_first)
{
    struct server server = server_start();
    int fd = client_connect(server.port);
    static const char xml[] = "Content-Type: text/xml\r\n";
    expect_error(ask_with(fd, "BREW", "/nope", xml, "<"), 404, NULL);
    expect_error(ask_with(fd, "PUT", "/items", xml, "<"), 405, NULL);
    expect_error(ask_with(fd, "POST", "/items/1", xml, "<"), 405, NULL);
    expect_error(ask_with(fd, "PUT", "/items/1", xml, "<"), 415, NULL);
    expect_error(ask(fd, "PUT", "/items/1", "<"), 400, NULL);
    expect_error(ask(fd, "PUT", "/items/1", "{\"name\": 1}"), 400, "name");
    expect_error(ask(fd, "PUT", "/items/1", PEN), 404, NULL);
    client_send(fd, text("BREW /nope HTTP/1.1\r\nHost: a\r\n%s"
                         "Transfer-Encoding: chunked\r\n\r\n"
                         "2001\r\n%8193d\r\n0\r\n\r\n",
                         xml, 0));
    expect_error(http_read(fd), 413, NULL);
    close(fd);
    server_end(server);
}

/* A body that would be a request of its own. */
#define SMUGGLED "DELETE /items/1 HTTP/1.1\r\nHost: a\r\n\r\n"

static void expect_refused(struct server server, const char *request)
{
    struct test_place place = TEST_PLACE(text("the answer to %s", request));
    int fd = client_connect(server.port);
    client_send(fd, request);
    shutdown(fd, SHUT_WR);
    struct http_reply r = http_read_at(place, fd, "POST");
    if (r.status != 400 && r.status != 501)
        test_fail(place, "expected: status 400 (or 501)\nactual:   status %d",
                  r.status);
    assert_header(r, "Connection", "close");
    client_expect_end_at(place, fd);
    close(fd);
}

TEST(test_31_whoever_reads_it_a_request_ends_in_one_place)
{
    static const char *const fields[] = {
        "Content-Length: 44\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 44\r\n",
        "Content-Length: 0\r\nContent-Length: 44\r\n",
        "Content-Length: 44\r\ncontent-length: 0\r\n",
        "Content-Length: 44\r\nContent-Length: 44\r\n",
        "Content-Length : 44\r\n",
        "Content-Length\t: 44\r\n",
        "A(b): c\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Host: b\r\n",
        "host: a\r\n",
    };
    struct server server = server_start();
    int fd = client_connect(server.port);
    add_pen(fd);
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        expect_refused(server, text("POST /items HTTP/1.1\r\nHost: a\r\n" JSON
                                    "%s\r\n0\r\n\r\n" SMUGGLED,
                                    fields[i]));
    /* The empty name; in another place 0.9.75 glues it to the line before. */
    expect_refused(server, "POST /items HTTP/1.1\r\n: b\r\nHost: a\r\n" JSON
                           "Content-Length: 2\r\n\r\n{}");
    /* No Host: of the answer only the head is looked at, because libmicrohttpd
     * 0.9.75 makes a mess of it if it is told to be strict. */
    int hostless = client_connect(server.port);
    client_send(hostless, "GET /items HTTP/1.1\r\n\r\n");
    assert_status(http_read_head(hostless), 400);
    close(hostless);
    assert_status(ask(fd, "GET", "/items/1", NULL), 200);
    /* The same in a good way. */
    client_send(fd, "PATCH /items/1 HTTP/1.1\r\nHost: a\r\n" JSON
                    "X-!#$%&'*+-.^_`|~9: 1\r\nX: 1\r\nX: 2\r\n"
                    "Transfer-Encoding: Chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n");
    assert_status(http_read(fd), 200);
    close(fd);
    server_end(server);
}

TEST(test_32_requests_may_come_in_pieces_and_together)
{
    struct server server = server_start();
    int one = client_connect(server.port), other = client_connect(server.port);
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    static const char head[] =
        "POST /items HTTP/1.1\r\nHost: a\r\n" JSON "Content-Length: 29\r\n\r\n";
    static const char first[] =
        "POST /items HTTP/1.1\r\nHost: a\r\n" JSON "Expect: 100-continue\r\n"
        "Content-Length: 29\r\n\r\n";
    static const char pen[] = "{\"name\": \"pen\", \"price\": 120}";
    static const char ink[] = "{\"name\": \"ink\", \"price\": 340}";
    /* Byte by byte; and when the bodies come, both requests have begun. */
    for (const char *p = first; *p; p++) {
        client_send_bytes(one, p, 1);
        client_send_bytes(other, p, 1);
    }
    client_expect(one, go_on);
    client_expect(other, go_on);
    for (size_t i = 0; i < strlen(pen); i++)
        client_send_bytes(one, pen + i, 1);
    struct http_reply r = http_read(one);
    assert_status(r, 201);
    assert_contains(r.body, "pen");
    for (size_t i = 0; i < strlen(ink); i++)
        client_send_bytes(other, ink + i, 1);
    r = http_read(other);
    assert_status(r, 201);
    assert_contains(r.body, "ink");
    /* Three in one go. */
    client_send(one, text("%s%s%s%sGET /items/3 HTTP/1.1\r\nHost: a\r\n\r\n",
                          head, ink, head, pen));
    r = http_read(one);
    assert_header(r, "Location", "/items/3");
    r = http_read(one);
    assert_header(r, "Location", "/items/4");
    expect_json(http_read(one), 200,
                "{\"id\": 3, \"name\": \"ink\", \"price\": 340,"
                " \"quantity\": 0}");
    close(one);
    close(other);
    server_end(server);
}

TEST(test_33_a_full_store_says_so)
{
    struct server server = server_start_with("--max-items", "2");
    int fd = client_connect(server.port);
    assert_status(ask(fd, "POST", "/items", PEN), 201);
    assert_status(ask(fd, "POST", "/items", PEN), 201);
    expect_error(ask(fd, "POST", "/items", PEN), 507, NULL);
    expect_error(ask(fd, "POST", "/items", "{}"), 400, "name");
    assert_status(ask(fd, "PUT", "/items/2", PEN), 200);
    assert_status(ask(fd, "DELETE", "/items/2", NULL), 204);
    struct http_reply r = ask(fd, "POST", "/items", PEN);
    assert_header(r, "Location", "/items/3");
    close(fd);
    server_end(server);
}

TEST(test_34_threads_serve_many_clients, .limit_ms = 3000)
{
    struct server server = server_start_with("--threads", "3");
    assert_at_least(process_threads(program_pid(server.program)), 3 + 1);
    int fds[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = client_connect(server.port);
    for (int i = 0; i < CLIENTS; i++)
        client_send(fds[i], text("POST /items HTTP/1.1\r\nHost: a\r\n" JSON
                                 "Content-Length: 29\r\n\r\n%s",
                                 PEN));
    bool seen[CLIENTS + 1] = {false};
    for (int i = 0; i < CLIENTS; i++) {
        struct http_reply r = http_read(fds[i]);
        assert_status(r, 201);
        int id = atoi(http_header(r, "Location") + strlen("/items/"));
        assert_at_least(id, 1);
        assert_at_most(id, CLIENTS);
        assert_false(seen[id]);
        seen[id] = true;
        close(fds[i]);
    }
    server_end(server);
}

TEST(test_35_clients_may_go_at_any_time)
{
    static const char *const begins[] = {
        "",
        "POST /it",
        "POST /items HTTP/1.1\r\nHost: a\r\n" JSON "Content-Length: 9\r\n\r\n",
        "POST /items HTTP/1.1\r\nHost: a\r\n" JSON
        "Content-Length: 900\r\n\r\n{\"name\": \"",
        "POST /items HTTP/1.1\r\nHost: a\r\n" JSON
        "Transfer-Encoding: chunked\r\n\r\n3\r\n{\"n\r\n",
    };
    struct server server = server_start();
    int other = client_connect(server.port);
    assert_status(ask(other, "GET", "/items", NULL), 200);
    for (int i = 0; i < 20; i++) {
        int fd = client_connect(server.port);
        client_send(fd, begins[i % 5]);
        if (i % 2)
            client_reset(fd);
        else
            close(fd);
    }
    expect_json(ask(other, "GET", "/items", NULL), 200, "[]");
    close(other);
    server_end(server);
}

/* What answers one good request; 0 if the connection just ends. */
static int status_of_create(int port)
{
    char first;
    int fd = client_connect(port), status = 0;
    client_send(fd, "POST /items HTTP/1.1\r\nHost: a\r\n" JSON
                    "Content-Length: 29\r\n\r\n" PEN);
    if (recv(fd, &first, 1, MSG_PEEK) == 1)
        status = http_read(fd).status;
    close(fd);
    return status;
}

TEST(test_36_without_memory_one_request_fails, .limit_ms = 3000)
{
    for (int when = 1; when <= MOST_FAILURES; when++) {
        struct run_options options = {
            .faults = text("malloc:error=ENOMEM:when=%d,"
                           "calloc:error=ENOMEM:when=%d,"
                           "realloc:error=ENOMEM:when=%d,"
                           "reallocarray:error=ENOMEM:when=%d",
                           when, when, when, when)};
        struct server server = {.program = start_with(options, "--port", "0")};
        char *line = program_line(server.program);
        if (!line) {
            assert_exit(program_wait(server.program), 1);
            continue;
        }
        server.port = atoi(strrchr(line, ':') + 1);
        int created = 0;
        for (int i = 0; i < 10; i++) {
            int status = status_of_create(server.port);
            if (status != 0 && status != 500)
                assert_int_equal(status, 201);
            created += status == 201;
        }
        /* One failure of each of the four functions. */
        assert_at_least(created, 6);
        int fd = client_connect(server.port);
        struct http_reply r = ask(fd, "GET", "/items", NULL);
        if (r.status == 200) {
            json_t *list = json_loads(r.body, 0, NULL);
            size_t count = json_array_size(list);
            json_decref(list);
            assert_at_least(count, created);
        }
        close(fd);
        server_end(server);
    }
}

static void stop_busy(int signal)
{
    struct server server = server_start();
    int fds[4];
    for (int i = 0; i < 4; i++)
        fds[i] = client_connect(server.port);
    assert_status(ask(fds[0], "POST", "/items", PEN), 201);
    client_send(fds[1], "POST /items HTTP/1.1\r\nHo");
    client_send(fds[2], "POST /items HTTP/1.1\r\nHost: a\r\n" JSON
                        "Expect: 100-continue\r\nContent-Length: 29\r\n\r\n");
    client_expect(fds[2], "HTTP/1.1 100 Continue\r\n\r\n");
    client_send(fds[2], "{");
    program_signal(server.program, signal);
    assert_exit(program_wait(server.program), 0);
    for (int i = 0; i < 4; i++)
        close(fds[i]);
}

TEST(test_37_sigterm_and_sigint_end_it_cleanly, .limit_ms = 2000)
{
    stop_busy(SIGTERM);
    stop_busy(SIGINT);
}

TEST(test_38_curl_gets_what_it_expects, .limit_ms = 3000)
{
    test_need("curl");
    struct run_options curl = {.program = "curl"};
    struct server server = server_start();
    const char *url = text("http://127.0.0.1:%d/items", server.port);
    static const char type[] = "Content-Type: application/json";
    struct run r = run_with(curl, "-sS", "--fail", "-w", " %{http_code}", "-o",
                            "/dev/null", "-H", type, "-d", PEN, url);
    assert_exit(r, 0);
    assert_output(r, " 201");
    r = run_with(curl, "-sS", "-w", "%{http_code}", "-o", "error", "-d", PEN,
                 url);
    assert_output(r, "415");
    write_bytes("large", body_of(MOST_BODY + 1), MOST_BODY + 1);
    r = run_with(curl, "-sS", "-w", "%{http_code}", "-o", "error", "-H", type,
                 "-H", "Expect: 100-continue", "--expect100-timeout", "60",
                 "--data-binary", "@large", url);
    assert_output(r, "413");
    r = run_with(curl, "-sS", "--fail", "-X", "PATCH", "-H", type, "-H",
                 "Transfer-Encoding: chunked", "-d", "{\"price\": 1}",
                 text("%s/1", url));
    assert_exit(r, 0);
    r = run_with(curl, "-sS", "--fail", "--head", text("%s/1", url));
    assert_exit(r, 0);
    assert_output_contains(r, "Content-Type: application/json\r\n");
    r = run_with(curl, "-sS", "-w", "%{http_code}", "-X", "DELETE",
                 text("%s/1", url));
    assert_output(r, "204");
    server_end(server);
}
