/* The server, seen from outside. Events are made by POST /events, so a test
 * decides when; the timer is off unless a test is about it. */
#include "page.h"
#include "test/fault.h"
#include "test/http.h"
#include "test/process.h"
#include "test/program.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    KEPT = 100,
    MAX_TEXT = 16 * 1024,
    MOST_LINES = 1000, /* of the log */
};

struct server {
    struct program *program;
    pid_t pid;
    int port;
    const char *lines[MOST_LINES]; /* of the log; taken ones are NULL */
    int num_lines;
};

static struct server server;

static void begin(struct run_options options, const char *beat_ms)
{
    server = (struct server){0};
    server.program = start_with(options, "--interval-ms", "0", "--retry-ms",
                                "77", "--beat-ms", beat_ms);
    server.pid = program_pid(server.program);
    server.port = program_port(server.program);
}

static void begin_server(void)
{
    begin((struct run_options){0}, "3600000");
}

static void begin_with_faults(const char *faults)
{
    begin((struct run_options){.faults = faults}, "3600000");
}

static void end_server(void)
{
    program_signal(server.program, SIGTERM);
    assert_exit(program_wait(server.program), 0);
}

/* The log. */

/* The line is this, or ends like this if a blank is first. */
static bool is_line(const char *line, const char *wanted)
{
    size_t len = strlen(line), wanted_len = strlen(wanted);
    if (*wanted == ' ' && len > wanted_len)
        line += len - wanted_len;
    return strcmp(line, wanted) == 0;
}

static bool take_line(const char *wanted)
{
    for (int i = 0; i < server.num_lines; i++) {
        if (server.lines[i] && is_line(server.lines[i], wanted)) {
            server.lines[i] = NULL;
            return true;
        }
    }
    return false;
}

/* Waits for a line; others may come before it and are kept. */
static void expect_line(const char *wanted)
{
    while (!take_line(wanted)) {
        char *line = program_line(server.program);
        if (!line)
            fail_msg("expected: a line \"%s\" in the log\n"
                     "actual:   the server ended",
                     wanted);
        if (server.num_lines == MOST_LINES)
            fail_msg("the log has more than %d lines", MOST_LINES);
        server.lines[server.num_lines++] = line;
    }
}

/* "IP:PORT" of our side. */
static const char *name_of(int fd)
{
    struct sockaddr_in address = {0};
    socklen_t len = sizeof(address);
    getsockname(fd, (struct sockaddr *)&address, &len);
    return text("127.0.0.1:%d", ntohs(address.sin_port));
}

static void expect_log(const char *name, const char *what)
{
    expect_line(text("%s %s", name, what));
}

/* Clients. */

static int ask(const char *request)
{
    int fd = client_connect(server.port);
    client_send(fd, request);
    return fd;
}

#define GET(path, fields) \
    "GET " path " HTTP/1.1\r\nHost: test\r\n" fields "\r\n"

/* Whatever comes, until the connection ends. */
static void drain(int fd)
{
    char bytes[4096];
    ssize_t n;
    do {
        n = recv(fd, bytes, sizeof(bytes), 0);
    } while (n > 0);
}

/* Sends it as the content of POST /events; the answer follows on fd. */
static void send_event(int fd, const void *bytes, size_t len)
{
    client_send(fd, text("POST /events HTTP/1.1\r\nHost: test\r\n"
                         "Content-Length: %zu\r\n\r\n",
                         len));
    client_send_bytes(fd, bytes, len);
}

/* Makes an event and returns its id. When the answer is here, all listeners
 * have got what their sockets take. */
static int post_bytes(const void *bytes, size_t len)
{
    int fd = client_connect(server.port);
    send_event(fd, bytes, len);
    struct http_reply r = http_read(fd);
    assert_status(r, 200);
    client_reset(fd);
    return atoi(r.body);
}

static int post(const char *string)
{
    return post_bytes(string, strlen(string));
}

static void post_many(int count)
{
    for (int i = 0; i < count; i++)
        post("x");
}

/* An event of the greatest size; they differ. */
static const char *big_text(int number)
{
    static char bytes[MAX_TEXT];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)('a' + (i / 7 + (size_t)number) % 26);
    return bytes;
}

static void post_big(int first, int last)
{
    for (int number = first; number <= last; number++)
        assert_int_equal(post_bytes(big_text(number), MAX_TEXT), number);
}

/* A listener: what its chunks held and was not looked at yet. */
struct listener {
    int fd;
    const char *name;
    char *bytes;
    size_t len;
};

static struct listener listen_on(int fd, const char *fields)
{
    struct listener l = {.fd = fd, .name = name_of(fd)};
    client_send(fd, text("GET /sse HTTP/1.1\r\nHost: test\r\n%s\r\n", fields));
    struct http_reply r = http_read_head(fd);
    assert_status(r, 200);
    assert_header(r, "Transfer-Encoding", "chunked");
    return l;
}

/* The next bytes of its events are these, however they are cut. */
#define expect_events(listener, expected) \
    expect_bytes(listener, expected, strlen(expected))
static void expect_bytes(struct listener *l, const char *expected, size_t len)
{
    for (size_t done = 0; done < len;) {
        if (l->len == 0)
            l->bytes = http_chunk(l->fd, &l->len);
        if (!l->bytes)
            fail_msg("expected: %s\nactual:   the last chunk", expected + done);
        size_t n = l->len < len - done ? l->len : len - done;
        if (memcmp(l->bytes, expected + done, n) != 0)
            assert_bytes_equal(l->bytes, n, expected + done, n);
        l->bytes += n;
        l->len -= n;
        done += n;
    }
}

/* A number and the line end behind it. */
static int expect_number(struct listener *l)
{
    char digits[24] = "";
    for (size_t len = 0; len + 1 < sizeof(digits);) {
        if (l->len == 0 && !(l->bytes = http_chunk(l->fd, &l->len)))
            fail_msg("expected: a number\nactual:   the last chunk");
        char byte = *l->bytes++;
        l->len--;
        if (byte == '\n')
            return atoi(digits);
        digits[len++] = byte;
    }
    fail_msg("expected: a number\nactual:   %s", digits);
}

#define RETRY "retry: 77\n\n"

/* A listener that has read the first block. */
static struct listener listen_from(const char *fields)
{
    struct listener l = listen_on(client_connect(server.port), fields);
    expect_log(l.name, "began /sse");
    expect_events(&l, RETRY);
    return l;
}

static struct listener listen_now(void)
{
    return listen_from("");
}

/* A listener whose socket takes little, so that the server soon sees that it
 * does not read. */
static struct listener listen_narrow(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)server.port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int size = 4096, segment = 536;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof(segment));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == -1)
        fail_msg("connect: %s", strerror(errno));
    struct listener l = listen_on(fd, "");
    expect_events(&l, RETRY);
    return l;
}

static void expect_big(struct listener *l, int first, int last)
{
    for (int number = first; number <= last; number++) {
        expect_events(l, text("id: %d\ndata: ", number));
        expect_bytes(l, big_text(number), MAX_TEXT);
        expect_events(l, "\n\n");
    }
}

/* Command line, start and end. */

TEST(test_01_it_says_where_it_listens_and_ends_on_a_signal)
{
    static const int signals[] = {SIGTERM, SIGINT};
    for (int i = 0; i < 2; i++) {
        begin_server();
        struct listener l = listen_now();
        int stream = ask(GET("/stream", ""));
        http_read_head(stream);
        int idle = client_connect(server.port);
        program_signal(server.program, signals[i]);
        assert_exit(program_wait(server.program), 0);
        close(idle);
        close(stream);
        close(l.fd);
    }
}

#define USAGE                                                            \
    "[--host ADDRESS] [--port PORT] [--interval-ms MS] [--retry-ms MS] " \
    "[--beat-ms MS]\n"

TEST(test_02_a_wrong_command_line_is_a_usage_error)
{
    assert_usage(USAGE, "--port", "80x");
    assert_usage(USAGE, "--port", "65536");
    assert_usage(USAGE, "--interval-ms", "-1");
    assert_usage(USAGE, "--interval-ms", "");
    assert_usage(USAGE, "--interval-ms", "3600001");
    assert_usage(USAGE, "--retry-ms", "0");
    assert_usage(USAGE, "--beat-ms", "0");
    assert_usage(USAGE, "--beat-ms");
    assert_usage(USAGE, "--host", "localhost");
    assert_usage(USAGE, "7");
}

TEST(test_03_an_address_that_cannot_be_had_is_reported)
{
    begin_server();
    const char *port = text("%d", server.port);
    assert_no_start(text("127.0.0.1:%s: %s\n", port, strerror(EADDRINUSE)),
                    "--port", port);
    end_server();
}

/* Answers that are complete. */

TEST(test_04_the_page_is_served)
{
    begin_server();
    struct http_reply r = http_get(server.port, "/");
    assert_status(r, 200);
    assert_header(r, "Content-Type", "text/html; charset=utf-8");
    assert_header(r, "Connection", "close");
    assert_non_null(http_header(r, "Date"));
    assert_header(r, "Content-Length", text("%zu", strlen(page)));
    assert_body(r, page);
    r = http_get(server.port, "/?from=a/mail");
    assert_status(r, 200);

    int fd = ask("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n");
    r = http_read_to(fd, "HEAD");
    assert_status(r, 200);
    assert_header(r, "Content-Length", text("%zu", strlen(page)));
    client_expect_end(fd);
    close(fd);

    /* Cut at every byte, and half-closed. */
    fd = client_connect(server.port);
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    client_send(fd, "G");
    process_expect_asleep(
        server.pid); /* it has seen that, and that there is no more */
    for (const char *at = &GET("/", "")[1]; *at; at++)
        client_send_bytes(fd, at, 1);
    shutdown(fd, SHUT_WR);
    r = http_read(fd);
    assert_body(r, page);
    client_expect_end(fd);
    close(fd);
    end_server();
}

static void expect_refusal(const char *request, int status, const char *allow)
{
    int fd = ask(request);
    struct http_reply r = http_read(fd);
    if (r.status != status)
        fail_msg("%.200s\nexpected: status %d\nactual:   status %d", request,
                 status, r.status);
    assert_header(r, "Allow", allow);
    assert_header(r, "Connection", "close");
    assert_header(r, "Content-Type", "text/plain; charset=utf-8");
    client_expect_end(fd);
    close(fd);
}

TEST(test_05_what_cannot_be_answered_is_refused)
{
    begin_server();
    expect_refusal(GET("/nothing", ""), 404, NULL);
    expect_refusal(GET("/sse/", ""), 404, NULL);
    expect_refusal(GET("/str%65am", ""), 404, NULL);
    expect_refusal("POST /nothing HTTP/1.1\r\nHost: test\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n",
                   404, NULL);
    expect_refusal("POST /sse HTTP/1.1\r\nHost: test\r\n\r\n", 405,
                   "GET, HEAD");
    expect_refusal("get /stream HTTP/1.1\r\nHost: test\r\n\r\n", 405,
                   "GET, HEAD");
    expect_refusal(GET("/events", ""), 405, "POST");
    expect_refusal("PUT /events HTTP/1.1\r\nHost: test\r\n"
                   "Content-Length: 99999\r\n\r\n",
                   405, "POST");
    expect_refusal("GET /sse HTTP/1.1\r\n\r\n", 400, NULL);
    expect_refusal("GET /sse HTTP/1.1\nHost: test\n\n", 400, NULL);
    expect_refusal("GET /sse HTTP/2.0\r\nHost: test\r\n\r\n", 505, NULL);
    end_server();
}

TEST(test_06_an_event_is_posted)
{
    begin_server();
    assert_int_equal(post("hello"), 1);
    int fd = ask("POST /events HTTP/1.1\r\nHost: test\r\n\r\n");
    struct http_reply r = http_read(fd);
    assert_status(r, 200);
    assert_header(r, "Content-Type", "text/plain; charset=utf-8");
    assert_header(r, "Cache-Control", "no-store");
    assert_body(r, "2");
    client_expect_end(fd);
    close(fd);

    /* Its content comes late, in two pieces. */
    fd = ask("POST /events?a=b HTTP/1.0\r\nContent-Length: 6\r\n\r\n");
    process_expect_asleep(server.pid);
    client_send(fd, "one");
    process_expect_asleep(server.pid);
    client_send(fd, "two and what is too much");
    r = http_read(fd);
    assert_body(r, "3");
    client_expect_end(fd);
    close(fd);

    assert_int_equal(post_bytes(big_text(4), MAX_TEXT), 4);
    expect_refusal("POST /events HTTP/1.1\r\nHost: test\r\n"
                   "Content-Length: 16385\r\n\r\n",
                   413, NULL);
    expect_refusal("POST /events HTTP/1.1\r\nHost: test\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n",
                   411, NULL);
    assert_int_equal(post("the refused ones had no id"), 5);

    /* One that ends too early makes none. */
    fd = ask("POST /events HTTP/1.1\r\nHost: test\r\nContent-Length: 6\r\n\r\n"
             "early");
    shutdown(fd, SHUT_WR);
    client_expect_end(fd);
    close(fd);
    assert_int_equal(post("6"), 6);
    struct listener all = listen_from("Last-Event-ID: 0\r\n");
    expect_events(&all, "id: 1\ndata: hello\n\n"
                        "id: 2\ndata: \n\n"
                        "id: 3\ndata: onetwo\n\n");
    expect_big(&all, 4, 4);
    expect_events(&all, "id: 5\ndata: the refused ones had no id\n\n"
                        "id: 6\ndata: 6\n\n");
    close(all.fd);
    end_server();
}

/* /stream */

static const char *piece(int number, int id)
{
    return text("piece %d of 10: event %d\n", number, id);
}

TEST(test_07_a_piece_arrives_when_it_is_made)
{
    begin_server();
    assert_int_equal(post("before the request"), 1);
    int fd = ask(GET("/stream", ""));
    const char *name = name_of(fd);
    struct http_reply r = http_read_head(fd); /* before the first piece */
    assert_status(r, 200);
    assert_header(r, "Transfer-Encoding", "chunked");
    assert_header(r, "Content-Length", NULL);
    assert_header(r, "Content-Type", "text/plain; charset=utf-8");
    assert_header(r, "Cache-Control", "no-store");
    assert_header(r, "Connection", "close");
    expect_log(name, "began /stream");
    for (int number = 1; number <= 10; number++) {
        assert_int_equal(post("next"), number + 1);
        assert_string_equal(http_chunk(fd, NULL), piece(number, number + 1));
    }
    assert_null(http_chunk(fd, NULL));
    expect_log(name, "finished /stream");
    client_expect_end(fd);
    close(fd);
    end_server();
}

TEST(test_08_http_1_0_gets_the_same_without_chunks)
{
    begin_server();
    int stream = ask("GET /stream HTTP/1.0\r\n\r\n");
    int sse = ask("GET /sse HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    struct http_reply r = http_read_head(sse);
    assert_header(r, "Transfer-Encoding", NULL);
    assert_header(r, "Content-Length", NULL);
    assert_header(r, "Connection", "close");
    client_expect(sse, RETRY);
    r = http_read_head(stream);
    assert_header(r, "Transfer-Encoding", NULL);
    assert_header(r, "Content-Length", NULL);
    for (int number = 1; number <= 10; number++) {
        post("x");
        client_expect(stream, piece(number, number));
        client_expect(sse, text("id: %d\ndata: x\n\n", number));
    }
    client_expect_end(stream);
    close(stream);
    close(sse);
    end_server();
}

static void expect_head_only(const char *path, const char *type)
{
    int fd = ask(text("HEAD %s HTTP/1.1\r\nHost: test\r\n\r\n", path));
    struct http_reply r = http_read_to(fd, "HEAD");
    assert_status(r, 200);
    assert_header(r, "Content-Type", type);
    assert_header(r, "Cache-Control", "no-store");
    assert_header(r, "Transfer-Encoding", "chunked");
    assert_header(r, "Content-Length", NULL);
    client_expect_end(fd);
    close(fd);
}

TEST(test_09_head_gets_the_head_and_the_end)
{
    begin_server();
    expect_head_only("/stream", "text/plain; charset=utf-8");
    expect_head_only("/sse", "text/event-stream");
    post("x"); /* for nobody */
    program_signal(server.program, SIGTERM);
    struct run r = program_wait(server.program);
    assert_exit(r, 0);
    assert_output(r, text("Listening on 127.0.0.1:%d\n", server.port));
}

TEST(test_10_the_timer_makes_events)
{
    server = (struct server){0};
    server.program = start("--interval-ms", "3");
    server.pid = program_pid(server.program);
    server.port = program_port(server.program);
    int fd = ask(GET("/stream", ""));
    struct http_reply r = http_read(fd);
    int first = 0;
    sscanf(r.body, "piece 1 of 10: event %d\n", &first);
    const char *all = "";
    for (int number = 1; number <= 10; number++)
        all = text("%s%s", all, piece(number, first + number - 1));
    assert_body(r, all);
    client_expect_end(fd);
    close(fd);

    struct listener l = listen_on(client_connect(server.port), "");
    expect_events(&l, "retry: 1000\n\nid: ");
    int id = expect_number(&l);
    assert_at_least(id, first + 10);
    expect_events(&l, text("data: tick %d\n\n", id));
    expect_events(&l, text("id: %d\ndata: tick %d\n\n", id + 1, id + 1));
    close(l.fd);
    end_server();
}

/* /sse: the format */

TEST(test_11_an_event_arrives_when_it_is_made)
{
    begin_server();
    post("before the request");
    int fd = ask(GET("/sse", ""));
    struct listener l = {.fd = fd, .name = name_of(fd)};
    struct http_reply r = http_read_head(fd);
    assert_status(r, 200);
    assert_header(r, "Content-Type", "text/event-stream");
    assert_header(r, "Transfer-Encoding", "chunked");
    assert_header(r, "Content-Length", NULL);
    assert_header(r, "Cache-Control", "no-store");
    assert_header(r, "Connection", "close");
    assert_non_null(http_header(r, "Date"));
    expect_events(&l, RETRY);
    expect_log(l.name, "began /sse");
    for (int id = 2; id < 15; id++) {
        assert_int_equal(post(text("event number %d", id)), id);
        expect_events(&l, text("id: %d\ndata: event number %d\n\n", id, id));
    }
    close(fd);
    expect_log(l.name, "left /sse");
    end_server();
}

TEST(test_12_every_line_of_a_text_is_a_line_of_data)
{
    static const struct {
        const char *text, *data;
    } cases[] = {
        {"one", "data: one\n"},
        {"one\ntwo", "data: one\ndata: two\n"},
        {"one\rtwo", "data: one\ndata: two\n"},
        {"one\r\ntwo", "data: one\ndata: two\n"},
        {"one\n\rtwo", "data: one\ndata: \ndata: two\n"},
        {"one\r\rtwo\n\nthree",
         "data: one\ndata: \ndata: two\ndata: \ndata: three\n"},
        {"one\n", "data: one\ndata: \n"},
        {"one\r\n", "data: one\ndata: \n"},
        {"\n", "data: \ndata: \n"},
        {"\r", "data: \ndata: \n"},
        {"", "data: \n"},
        {" a blank: two in a row", "data:  a blank: two in a row\n"},
        {"x\n\nid: 99\nevent: forged\ndata: y",
         "data: x\ndata: \ndata: id: 99\ndata: event: forged\ndata: data: y\n"},
        {"x\r\rretry: 1", "data: x\ndata: \ndata: retry: 1\n"},
        {":", "data: :\n"},
    };
    begin_server();
    struct listener l = listen_now();
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        int id = post(cases[i].text);
        expect_events(&l, text("id: %d\n%s\n", id, cases[i].data));
    }
    close(l.fd);
    end_server();
}

TEST(test_13_a_text_may_have_any_bytes_and_be_large)
{
    char bytes[254];
    size_t len = 0;
    begin_server();
    struct listener l = listen_now();
    for (int byte = 0; byte < 256; byte++) {
        if (byte != '\n' && byte != '\r')
            bytes[len++] = (char)byte;
    }
    assert_int_equal(post_bytes(bytes, len), 1);
    expect_events(&l, "id: 1\ndata: ");
    expect_bytes(&l, bytes, len);
    expect_events(&l, "\n\n");
    post_big(2, 4);
    expect_big(&l, 2, 4);

    /* As many lines as there can be. */
    static char lines[MAX_TEXT];
    memset(lines, '\n', sizeof(lines));
    assert_int_equal(post_bytes(lines, sizeof(lines)), 5);
    expect_events(&l, "id: 5\n");
    for (int i = 0; i < MAX_TEXT + 1; i++)
        expect_events(&l, "data: \n");
    expect_events(&l, "\n");
    close(l.fd);
    end_server();
}

/* /sse: where it begins */

static void expect_xs(struct listener *l, int first, int last)
{
    for (int id = first; id <= last; id++)
        expect_events(l, text("id: %d\ndata: x\n\n", id));
}

static void expect_resumption(const char *last_id, int first, int newest)
{
    struct listener l = listen_from(text("Last-Event-ID: %s\r\n", last_id));
    expect_xs(&l, first, newest);
    client_reset(l.fd);
}

TEST(test_14_a_listener_goes_on_where_it_stopped)
{
    begin_server();
    struct listener first = listen_from("Last-Event-ID: 0\r\n");
    post_many(3);
    expect_xs(&first, 1, 3);
    close(first.fd);
    post_many(2); /* while nobody listens */
    struct listener again = listen_from("last-event-id:3\r\n");
    expect_xs(&again, 4, 5);
    struct listener all = listen_from("Last-Event-ID: 000\r\n");
    expect_xs(&all, 1, 5);
    struct listener none = listen_from("Last-Event-ID: 5\r\n");
    post_many(1);
    expect_xs(&again, 6, 6);
    expect_xs(&all, 6, 6);
    expect_xs(&none, 6, 6);
    client_reset(again.fd);
    client_reset(all.fd);
    client_reset(none.fd);

    /* Without the field nothing comes again. */
    struct listener fresh = listen_now();
    post_many(1);
    expect_xs(&fresh, 7, 7);
    close(fresh.fd);

    /* 108 have been made, 9 to 108 are kept. */
    post_many(KEPT + 1);
    expect_resumption("8", 9, 108);
    expect_resumption("107", 108, 108);
    end_server();
}

static void expect_gap(const char *last_id, int first, int newest)
{
    struct listener l = listen_from(text("Last-Event-ID: %s\r\n", last_id));
    expect_events(&l, text("event: gap\ndata: %d\n\n", first));
    expect_xs(&l, first, newest);
    client_reset(l.fd);
}

TEST(test_15_a_listener_that_cannot_go_on_is_told)
{
    static const char *const malformed[] = {
        "",        "abc", "-1",  "+1", "1.0",
        "0x1",     "1 1", "1,1", "1a", "18446744073709551617",
        "\xc3\xa4"};
    begin_server();
    expect_gap("7", 1, 0); /* it is from an earlier life of the server */
    struct listener l = listen_from("Last-Event-ID: 7\r\n");
    expect_events(&l, "event: gap\ndata: 1\n\n");
    post_many(3);
    expect_xs(&l, 1, 3);
    close(l.fd);
    expect_gap("4", 1, 3);
    expect_gap("999999999999999999", 1, 3);
    for (size_t i = 0; i < sizeof(malformed) / sizeof(*malformed); i++)
        expect_gap(malformed[i], 1, 3);

    post_many(KEPT); /* 4 to 103 are kept */
    expect_gap("2", 4, 103);
    expect_gap("0", 4, 103);
    expect_gap("104", 4, 103);
    expect_resumption("3", 4, 103);
    end_server();
}

/* Many, and those who leave */

TEST(test_16_two_hundred_listeners_get_each_event)
{
    enum { LISTENERS = 200 };
    struct listener *all = calloc(LISTENERS, sizeof(*all));
    begin_server();
    for (int i = 0; i < LISTENERS; i++)
        all[i] = listen_now();
    for (int id = 1; id <= 3; id++) {
        assert_int_equal(post("x"), id);
        for (int i = LISTENERS - 1; i >= 0; i--)
            expect_xs(&all[i], id, id);
    }
    assert_int_equal(process_threads(server.pid), 1);
    for (int i = 0; i < LISTENERS; i++)
        client_reset(all[i].fd);
    free(all);
    end_server();
}

TEST(test_17_who_leaves_early_is_noticed)
{
    begin_server();
    int before = process_descriptors(server.pid);
    struct listener l = listen_now();
    close(l.fd);
    expect_log(l.name, "left /sse");
    wait_until(process_descriptors(server.pid) == before);

    l = listen_now();
    client_reset(l.fd);
    expect_log(l.name, "left /sse");

    l = listen_now();
    shutdown(l.fd, SHUT_WR); /* looks the same */
    expect_log(l.name, "left /sse");
    client_expect_end(l.fd);
    close(l.fd);

    int fd = ask(GET("/stream?a=b", ""));
    const char *name = name_of(fd);
    http_read_head(fd);
    post("x");
    assert_string_equal(http_chunk(fd, NULL), piece(1, 1));
    close(fd);
    expect_log(name, "left /stream");
    wait_until(process_descriptors(server.pid) == before);
    end_server();
}

/* The server finds the post first, and then listeners that have gone: it
 * writes to them before it has seen that. Where an end came before the reset,
 * that write raises SIGPIPE. */
TEST(test_18_a_listener_that_is_gone_ends_nobody_else)
{
    enum { GONE = 20 };
    struct listener gone[GONE];
    begin_server();
    struct listener stays = listen_now();
    for (int i = 0; i < GONE; i++)
        gone[i] = listen_now();
    int fd = client_connect(server.port);
    client_send(fd, "POST /events HTTP/1.1\r\nHost: test\r\n"
                    "Content-Length: 1\r\n\r\n");
    process_expect_asleep(server.pid);
    process_stop(server.pid);
    client_send(fd, "x");
    for (int i = 0; i < GONE; i++) {
        if (i % 2 == 0)
            shutdown(gone[i].fd, SHUT_WR);
        client_reset(gone[i].fd);
    }
    process_continue(server.pid);
    struct http_reply r = http_read(fd);
    assert_body(r, "1");
    close(fd);
    for (int i = 0; i < GONE; i++)
        expect_log(gone[i].name, "left /sse");
    expect_xs(&stays, 1, 1);
    post("x");
    expect_xs(&stays, 2, 2);
    close(stays.fd);
    end_server();
}

TEST(test_19_a_slow_listener_gets_all_when_it_reads)
{
    begin_server();
    struct listener slow = listen_narrow();
    post_big(1, KEPT);
    expect_big(&slow, 1, KEPT);
    post("x");
    expect_xs(&slow, KEPT + 1, KEPT + 1);
    process_expect_asleep(
        server.pid); /* it does not ask any more whether it may write */
    close(slow.fd);
    end_server();
}

TEST(test_20_a_listener_that_does_not_read_is_dropped)
{
    enum { MANY = KEPT + 70 }; /* sockets take some as well */
    begin_server();
    struct listener fast = listen_now(), slow = listen_narrow();
    for (int number = 1; number <= MANY; number++) {
        assert_int_equal(post_bytes(big_text(number), MAX_TEXT), number);
        expect_big(&fast, number, number);
    }
    expect_log(slow.name, "dropped /sse");
    post("x");
    expect_xs(&fast, MANY + 1, MANY + 1);
    close(slow.fd);
    close(fast.fd);
    end_server();
}

TEST(test_21_what_slow_listeners_have_to_get_is_kept_once)
{
    enum { SLOW = 12, ALL_KB = SLOW * 256 + 2048 };
    struct listener slow[SLOW];
    begin_server();
    post_big(1, KEPT); /* now the server has all that it keeps */
    long before = process_resident_kb(server.pid);
    for (int i = 0; i < SLOW; i++)
        slow[i] = listen_narrow();
    for (int number = KEPT + 1; number < 2 * KEPT; number++)
        post_bytes(big_text(number), MAX_TEXT);
    assert_at_most(process_resident_kb(server.pid) - before, ALL_KB);
    expect_big(&slow[0], KEPT + 1, 2 * KEPT - 1);
    for (int i = 0; i < SLOW; i++)
        client_reset(slow[i].fd);
    end_server();
}

/* Beats */

/* Beats are short here: on a busy machine the second one may come before the
 * request. Asks until there is an answer. */
static int ask_in_time(const char *request)
{
    for (;;) {
        char byte;
        int fd = client_connect(server.port);
        send(fd, request, strlen(request), MSG_NOSIGNAL);
        if (recv(fd, &byte, 1, MSG_PEEK) == 1)
            return fd;
        close(fd);
    }
}

TEST(test_22_an_idle_listener_gets_a_comment)
{
    begin((struct run_options){0}, "20");
    struct listener l = {.fd = ask_in_time(GET("/sse", ""))};
    assert_status(http_read_head(l.fd), 200);
    expect_events(&l, RETRY ":\n\n:\n\n:\n\n");
    l.name = name_of(l.fd);
    close(l.fd);
    expect_log(l.name, "left /sse");
    end_server();
}

TEST(test_23_who_says_nothing_is_closed_at_the_second_beat)
{
    begin((struct run_options){0}, "20");
    int before = process_descriptors(server.pid);
    int silent = client_connect(server.port);
    int half = client_connect(server.port);
    send(half, "GET / HT", 8, MSG_NOSIGNAL);
    client_expect_end(silent);
    drain(half);
    close(silent);
    close(half);

    /* Its answer is complete, and it does not close. */
    int fd = ask_in_time(GET("/nothing", ""));
    assert_status(http_read(fd), 404);
    wait_until(process_descriptors(server.pid) == before);
    close(fd);
    end_server();
}

/* The world */

TEST(test_24_a_client_that_is_busy_sending_gets_its_answer)
{
    enum { MUCH = 1 << 20 };
    begin_server();
    int fd = ask(text("POST /events HTTP/1.1\r\nHost: test\r\n"
                      "Content-Length: %d\r\n\r\n",
                      MUCH));
    for (int sent = 0; sent < MUCH; sent += MAX_TEXT)
        client_send_bytes(fd, big_text(0), MAX_TEXT);
    struct http_reply r = http_read(fd);
    assert_status(r, 413);
    client_expect_end(fd);
    close(fd);

    /* So does one that says more than it was asked for, and more than fits
     * between the two. */
    fd = ask(GET("/stream", ""));
    http_read_head(fd);
    for (int sent = 0; sent < 8 * MUCH; sent += MAX_TEXT)
        client_send_bytes(fd, big_text(0), MAX_TEXT);
    for (int number = 1; number <= 10; number++) {
        post("x");
        assert_string_equal(http_chunk(fd, NULL), piece(number, number));
    }
    assert_null(http_chunk(fd, NULL));
    client_expect_end(fd);
    close(fd);
    end_server();
}

/* No connection ends: the descriptors become free elsewhere. Meanwhile events
 * are made, so that the server is never long without something to do. */
TEST(test_25_running_out_of_descriptors_is_survived)
{
    begin_server();
    struct listener l = listen_now();
    int poster = client_connect(server.port);
    client_send(poster, "POST /events HTTP/1.1\r\nHost: test\r\n");
    process_expect_asleep(server.pid);
    process_limit_descriptors(server.pid, 0);
    int late = ask(GET("/", "")); /* in the queue of the listener */
    process_expect_asleep(server.pid);
    client_send(poster, "Content-Length: 1\r\n\r\nx");
    struct http_reply r = http_read(poster);
    assert_status(r, 200);
    expect_xs(&l, 1, 1);
    process_expect_asleep(server.pid);
    process_limit_descriptors(server.pid, 20);
    struct pollfd answer = {.fd = late, .events = POLLIN};
    while (poll(&answer, 1, 0) == 0)
        client_send(l.fd, "still here");
    r = http_read(late);
    assert_body(r, page);
    close(late);
    close(poster);
    close(l.fd);
    end_server();
}

TEST(test_26_short_and_interrupted_calls_lose_nothing)
{
    begin_with_faults(
        "read:short=3:when=1..60,recv:short=3:when=1..60,"
        "read:error=EINTR:when=2..3,recv:error=EINTR:when=2..3,"
        "write:short=7:when=1..90,send:short=7:when=1..90,"
        "write:error=EINTR:when=2,send:error=EINTR:when=2,"
        "write:error=EAGAIN:when=93,send:error=EAGAIN:when=93,"
        "epoll_wait:error=EINTR:when=2..3,poll:error=EINTR:when=2..3");
    struct listener l = listen_now();
    int fd = ask(GET("/stream", ""));
    http_read_head(fd);
    for (int number = 1; number <= 10; number++) {
        const char *said = text("event %d, in pieces", number);
        post(said);
        expect_events(&l, text("id: %d\ndata: %s\n\n", number, said));
        assert_string_equal(http_chunk(fd, NULL), piece(number, number));
    }
    assert_null(http_chunk(fd, NULL));
    client_expect_end(fd);
    close(fd);
    close(l.fd);
    end_server();

    /* Now some do nothing that would have taken all. */
    begin_with_faults("write:error=EAGAIN:when=4,send:error=EAGAIN:when=4,"
                      "write:error=EAGAIN:when=6,send:error=EAGAIN:when=6,"
                      "write:error=EINTR:when=8,send:error=EINTR:when=8,"
                      "write:error=EINTR:when=12,send:error=EINTR:when=12");
    l = listen_on(client_connect(server.port), "");
    expect_events(&l, RETRY);
    for (int id = 1; id <= 8; id++) {
        post("x");
        expect_xs(&l, id, id);
    }
    close(l.fd);
    end_server();
}

/* Of eight clients one at most may find its connection closed. */
static void expect_served_but_one(void)
{
    int served = 0;
    for (int i = 0; i < 8; i++) {
        int fd = client_connect(server.port);
        char byte;
        send(fd, GET("/", ""), strlen(GET("/", "")), MSG_NOSIGNAL);
        served += recv(fd, &byte, 1, 0) == 1;
        client_reset(fd);
    }
    assert_at_least(served, 7);
}

TEST(test_27_calls_that_fail_cost_one_connection)
{
    begin_with_faults(
        "accept:error=ECONNABORTED:when=1,accept4:error=ECONNABORTED:when=1,"
        "accept:error=EINTR:when=2,accept4:error=EINTR:when=2,"
        "accept:error=EMFILE:when=3,accept4:error=EMFILE:when=3,"
        "accept:error=EAGAIN:when=5,accept4:error=EAGAIN:when=5");
    expect_served_but_one();
    end_server();
    begin_with_faults("epoll_ctl:error=ENOSPC:when=8");
    expect_served_but_one();
    end_server();
    begin_with_faults("malloc:error=ENOMEM:when=4,calloc:error=ENOMEM:when=4");
    expect_served_but_one();
    end_server();
}

/* What clients do not take cannot be held any more, and later there is none
 * for new clients either. They may be answered, or find their connection
 * closed. */
TEST(test_28_memory_that_runs_out_ends_no_server)
{
    begin_with_faults("write:short=20:when=2+,send:short=20:when=2+,"
                      "malloc:error=ENOMEM:when=3+,calloc:error=ENOMEM:when=9+,"
                      "realloc:error=ENOMEM:when=3+");
    int listener = ask(GET("/sse", ""));
    for (int i = 0; i < 6; i++) {
        int fd = client_connect(server.port);
        const char *request = "POST /events HTTP/1.1\r\nHost: test\r\n"
                              "Content-Length: 1\r\n\r\nx";
        send(fd, request, strlen(request), MSG_NOSIGNAL);
        drain(fd);
        client_reset(fd);
    }
    client_reset(listener);
    end_server();
}

TEST(test_29_it_sleeps_while_there_is_nothing_to_do)
{
    begin_server();
    struct listener l = listen_now();
    int stream = ask(GET("/stream", ""));
    http_read_head(stream);
    int half = ask("GET /sse HT");
    int done = ask(GET("/", ""));
    http_read(done);
    post("x");
    process_expect_idle(server.pid);
    close(l.fd);
    close(stream);
    close(half);
    close(done);
    end_server();
}

/* What others say */

TEST(test_30_curl_gets_pieces_when_they_are_made, .limit_ms = 3000)
{
    test_need("curl");
    begin_server();
    const char *url = text("http://127.0.0.1:%d", server.port);
    struct run_options options = {.program = "curl"};
    struct program *curl = start_with(options, "-sN", "-H", "Last-Event-ID: 0",
                                      text("%s/sse", url));
    assert_string_equal(program_line(curl), "retry: 77");
    assert_string_equal(program_line(curl), "");
    for (int id = 1; id <= 3; id++) {
        struct run r =
            run_with(options, "-s", "-d", "hello", text("%s/events", url));
        assert_output(r, text("%d", id));
        assert_string_equal(program_line(curl), text("id: %d", id));
        assert_string_equal(program_line(curl), "data: hello");
        assert_string_equal(program_line(curl), "");
    }
    program_signal(curl, SIGTERM);
    program_wait(curl);

    curl = start_with(options, "-sfN", text("%s/stream", url));
    expect_line(" began /stream");
    for (int number = 1; number <= 10; number++) {
        post("x");
        const char *line = program_line(curl);
        assert_string_equal(text("%s\n", line), piece(number, number + 3));
    }
    assert_exit(program_wait(curl), 0);
    end_server();
}
