/* The parser, as functions. The server's tests are in test_raw_http.c. */
#include "malformed.h"
#include "raw_http.h"
#include "test/test.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define assert_text(actual, expected)                                    \
    test_bytes(TEST_PLACE(#actual), (actual).at, (actual).len, expected, \
               strlen(expected))

enum { ROOM = 32 * 1024 }; /* for the bytes of a test */

/* A copy that ends where memory ends: reading on is a crash. The next copy
 * takes its place. */
static const char *at_edge(const char *bytes, size_t len)
{
    static char *memory;
    if (!memory) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        memory = mmap(NULL, ROOM + page, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED || ROOM % page != 0 ||
            mprotect(memory + ROOM, page, PROT_NONE) == -1)
            fail_msg("no memory for this test");
    }
    return memcpy(memory + ROOM - len, bytes, len);
}

static struct http_text text_of(const char *string)
{
    return (struct http_text){string, strlen(string)};
}

/* The head of a good request, read in one piece. */
static struct http_head read_request(const char *request)
{
    struct http_head head = {0};
    size_t len = strlen(request);
    int state = http_request(&head, at_edge(request, len), len);
    if (state != 1)
        fail_msg("%s\nexpected: 1\nactual:   %d, error %d", request, state,
                 head.error);
    return head;
}

/* The status of a request that must be refused. */
static int refusal(const char *request)
{
    struct http_head head = {0};
    size_t len = strlen(request);
    int state = http_request(&head, at_edge(request, len), len);
    if (state != -1)
        fail_msg("%s\nexpected: -1\nactual:   %d", request, state);
    return head.error;
}

TEST(test_01_texts_are_compared_and_found)
{
    struct http_text text = {"GET /", 3};
    assert_true(http_is(text, "GET"));
    assert_false(http_is(text, "get"));
    assert_false(http_is(text, "GE"));
    assert_false(http_is(text, "GET "));
    assert_true(http_same(text, "get"));
    assert_true(http_same(text_of("x-[Y]"), "X-[y]"));
    assert_false(http_same(text_of("@`"), "`@"));
    assert_false(http_same(text_of("[{"), "{["));
    assert_false(http_same(text, "ge"));
    assert_false(http_same(text, "gets"));
    assert_false(http_same((struct http_text){"a\0b", 3}, "a"));
    assert_true(http_is((struct http_text){"", 0}, ""));

    assert_true(http_list_has(text_of("close"), "close"));
    assert_true(http_list_has(text_of("a, \tCLOSE\t ,b"), "close"));
    assert_true(http_list_has(text_of(",,close"), "close"));
    assert_true(http_list_has(text_of("a,close"), "close"));
    assert_false(http_list_has(text_of("closed, unclose"), "close"));
    assert_false(http_list_has(text_of("a close"), "close"));
    assert_false(http_list_has(text_of(""), "close"));
    assert_false(http_list_has((struct http_text){"close", 4}, "close"));

    struct http_head head = {.num_fields = 3};
    head.fields[0] = (struct http_field){text_of("Host"), text_of("a")};
    head.fields[1] = (struct http_field){text_of("ACCEPT"), text_of("b")};
    head.fields[2] = (struct http_field){text_of("Accept"), text_of("c")};
    const struct http_field *field = http_find(&head, "accept");
    assert_ptr_equal(field, &head.fields[1]);
    assert_null(http_find(&head, "Accep"));
    head.num_fields = 1;
    assert_null(http_find(&head, "Accept"));
}

TEST(test_02_a_request_is_read)
{
    const char *request = "DELETE /a/b?c=d HTTP/1.1\r\n"
                          "Host: example.com:8080\r\n"
                          "User-Agent: test/1.0 (a; b)\r\n"
                          "\r\n"
                          "GET /next HTTP/1.1\r\n";
    struct http_head head = read_request(request);
    assert_text(head.method, "DELETE");
    assert_text(head.target, "/a/b?c=d");
    assert_text(head.path, "/a/b?c=d");
    assert_text(head.host, "example.com:8080");
    assert_int_equal(head.minor, 1);
    assert_int_equal(head.num_fields, 2);
    assert_text(head.fields[0].name, "Host");
    assert_text(head.fields[0].value, "example.com:8080");
    assert_text(head.fields[1].name, "User-Agent");
    assert_text(head.fields[1].value, "test/1.0 (a; b)");
    assert_int_equal(head.len, strstr(request, "GET") - request);
    assert_int_equal(head.error, 0);
    assert_int_equal(http_request(&head, request, strlen(request)), 1);

    /* In place: nothing is copied. */
    struct http_head again = {0};
    assert_int_equal(http_request(&again, request, strlen(request)), 1);
    assert_ptr_equal(again.target.at, request + strlen("DELETE "));

    head = read_request("\r\nget / HTTP/1.0\r\n\r\n");
    assert_text(head.method, "get");
    assert_int_equal(head.minor, 0);
    assert_int_equal(head.num_fields, 0);
    assert_text(head.host, "");
    assert_int_equal(head.len, 20);
    head = read_request("!#$%&'*+-.^_`|~09AZaz / HTTP/1.7\r\nHost:\r\n\r\n");
    assert_text(head.method, "!#$%&'*+-.^_`|~09AZaz");
    assert_int_equal(head.minor, 1);
    assert_text(head.host, "");
}

static void expect_target(const char *method, const char *target,
                          const char *path, const char *host)
{
    const char *request =
        text("%s %s HTTP/1.1\r\nHost: field\r\n\r\n", method, target);
    struct http_head head = {0};
    if (http_request(&head, request, strlen(request)) != 1)
        fail_msg("%s %s\nexpected: it is read\nactual:   error %d", method,
                 target, head.error);
    assert_text(head.target, target);
    assert_text(head.path, path);
    assert_text(head.host, host);
}

TEST(test_03_targets_have_four_forms)
{
    expect_target("GET", "/", "/", "field");
    expect_target("GET", "//a//?b?c/%zz", "//a//?b?c/%zz", "field");
    expect_target("GET", "/\"<>@[\\]^`{|}~", "/\"<>@[\\]^`{|}~", "field");
    expect_target("OPTIONS", "*", "*", "field");
    expect_target("OPTIONS", "/a", "/a", "field");
    expect_target("GET", "http://a.example/b?c", "/b?c", "a.example");
    expect_target("PUT", "HTTPS://[::1]:443/", "/", "[::1]:443");
    expect_target("GET", "http://a.example:80", "/", "a.example:80");
    expect_target("CONNECT", "a.example:443", "", "a.example:443");
    expect_target("CONNECT", "[::1]:1", "", "[::1]:1");
    expect_target("connect", "/a", "/a", "field");
    assert_int_equal(refusal("CONNECT http://a/ HTTP/1.1\r\n"), 400);
    assert_int_equal(refusal("CONNECT a: HTTP/1.1\r\n"), 400);
    assert_int_equal(refusal("CONNECT :80 HTTP/1.1\r\n"), 400);
    assert_int_equal(refusal("CONNECT a:80a HTTP/1.1\r\n"), 400);
    assert_int_equal(refusal("OPTIONS ** HTTP/1.1\r\n"), 400);
    assert_int_equal(refusal("options * HTTP/1.1\r\n"), 400);
    assert_int_equal(refusal("GET http:/a HTTP/1.1\r\n"), 400);
    assert_int_equal(refusal("GET http://a?b HTTP/1.1\r\n"), 400);
    assert_int_equal(refusal("GET http://a,b/ HTTP/1.1\r\n"), 400);
    assert_int_equal(refusal("GET xhttp://a/ HTTP/1.1\r\n"), 400);
}

TEST(test_04_fields_keep_what_was_sent)
{
    struct http_head head = read_request("GET / HTTP/1.1\r\n"
                                         "hOsT:a\r\n"
                                         "Empty:\r\n"
                                         "Blank: \t \r\n"
                                         "Inside: \t a \t b: c \t\r\n"
                                         "Twice: 1\r\n"
                                         "twice: 2\r\n"
                                         "Far: \x80\xff\r\n"
                                         "!#$%&'*+-.^_`|~09:::\r\n"
                                         "\r\n");
    assert_int_equal(head.num_fields, 8);
    assert_text(head.fields[0].name, "hOsT");
    assert_text(head.host, "a");
    assert_text(head.fields[1].name, "Empty");
    assert_text(head.fields[1].value, "");
    assert_text(head.fields[2].value, "");
    assert_text(head.fields[3].value, "a \t b: c");
    assert_text(head.fields[4].value, "1");
    assert_text(head.fields[5].value, "2");
    assert_text(head.fields[6].value, "\x80\xff");
    assert_text(head.fields[7].name, "!#$%&'*+-.^_`|~09");
    assert_text(head.fields[7].value, "::");
    assert_ptr_equal(http_find(&head, "TWICE"), &head.fields[4]);
}

/* A request with these field lines behind Host. */
static struct http_head with_fields(int minor, const char *fields)
{
    return read_request(
        text("POST / HTTP/1.%d\r\nHost: a\r\n%s\r\n", minor, fields));
}

static void expect_length(const char *digits, uint64_t length)
{
    struct http_head head =
        with_fields(1, text("content-LENGTH: %s\r\n", digits));
    assert_int_equal(head.body, HTTP_LENGTH);
    assert_int_equal(head.content_length, length);
}

TEST(test_05_fields_say_how_the_message_goes_on)
{
    struct http_head head = with_fields(1, "");
    assert_int_equal(head.body, HTTP_NO_BODY);
    assert_int_equal(head.content_length, 0);
    assert_false(head.expect_continue);
    expect_length("0", 0);
    expect_length("5", 5);
    expect_length("0000000000000000000000005 ", 5);
    expect_length("18446744073709551615", UINT64_MAX);
    head = with_fields(1, "Transfer-Encoding:\tCHUNKED \r\n");
    assert_int_equal(head.body, HTTP_CHUNKED);
    assert_int_equal(head.content_length, 0);

    assert_true(with_fields(1, "").keep_alive);
    assert_true(with_fields(1, "Connection: closed, x\r\n").keep_alive);
    assert_false(with_fields(1, "Connection: CLOSE\r\n").keep_alive);
    assert_false(with_fields(1, "Connection: a ,close\r\n").keep_alive);
    assert_false(with_fields(1, "Connection: keep-alive\r\n"
                                "Connection: close\r\n")
                     .keep_alive);
    assert_false(with_fields(1, "Connection: close\r\n"
                                "Connection: keep-alive\r\n")
                     .keep_alive);
    assert_true(with_fields(0, "Connection: keep-alive\r\n"
                               "Connection: x\r\n")
                    .keep_alive);
    assert_false(with_fields(0, "").keep_alive);
    assert_false(with_fields(0, "Connection: x\r\n").keep_alive);
    assert_true(with_fields(0, "Connection: Keep-Alive\r\n").keep_alive);
    assert_true(with_fields(0, "Connection: a\r\n"
                               "Connection: b,keep-alive\r\n")
                    .keep_alive);
    assert_false(
        with_fields(0, "Connection: close, keep-alive\r\n").keep_alive);

    assert_true(with_fields(1, "Expect: 100-Continue\r\n").expect_continue);
    assert_false(with_fields(0, "Expect: 100-continue\r\n").expect_continue);
    assert_false(with_fields(1, "Expect: 100\r\n").expect_continue);
}

static void same_text(struct test_place place, struct http_text actual,
                      struct http_text expected)
{
    test_bytes(place, actual.at, actual.len, expected.at, expected.len);
}

static void same_head(const struct http_head *cut, const struct http_head *head)
{
    same_text(TEST_PLACE("method"), cut->method, head->method);
    same_text(TEST_PLACE("target"), cut->target, head->target);
    same_text(TEST_PLACE("path"), cut->path, head->path);
    same_text(TEST_PLACE("host"), cut->host, head->host);
    assert_int_equal(cut->num_fields, head->num_fields);
    for (size_t i = 0; i < head->num_fields; i++) {
        same_text(TEST_PLACE("a field's name"), cut->fields[i].name,
                  head->fields[i].name);
        same_text(TEST_PLACE("a field's value"), cut->fields[i].value,
                  head->fields[i].value);
    }
    assert_int_equal(cut->body, head->body);
    assert_int_equal(cut->content_length, head->content_length);
    assert_true(cut->keep_alive == head->keep_alive);
    assert_true(cut->expect_continue == head->expect_continue);
    assert_int_equal(cut->len, head->len);
}

TEST(test_06_a_head_may_come_in_any_pieces)
{
    static const char request[] = "\r\nPOST http://h/a?b HTTP/1.1\r\n"
                                  "Host: x\r\nAccept: \t*/*  \r\nX:\r\n"
                                  "Content-Length: 12\r\n"
                                  "Connection: keep-alive, close\r\n"
                                  "Expect: 100-continue\r\n\r\n";
    size_t len = strlen(request);
    struct http_head whole = {0};
    assert_int_equal(http_request(&whole, request, len), 1);
    static char bytes[sizeof(request)];

    /* Nothing is read that has not come: LF stands there. */
    for (size_t step = 1; step < 20; step++) {
        struct http_head head = {0};
        memset(bytes, '\n', sizeof(bytes));
        size_t come = 0;
        int state = 0;
        while (come < len) {
            assert_int_equal(state, 0);
            size_t more = come + step < len ? step : len - come;
            memcpy(bytes + come, request + come, more);
            come += more;
            state = http_request(&head, bytes, come);
        }
        assert_int_equal(state, 1);
        same_head(&head, &whole);
        assert_int_equal(http_request(&head, bytes, come), 1);
    }
    /* In two pieces, cut everywhere. The first is given twice. */
    for (size_t cut = 0; cut < len; cut++) {
        struct http_head head = {0};
        assert_int_equal(http_request(&head, at_edge(request, cut), cut), 0);
        head = (struct http_head){0};
        memcpy(bytes, request, sizeof(bytes));
        assert_int_equal(http_request(&head, bytes, cut), 0);
        assert_int_equal(http_request(&head, bytes, cut), 0);
        assert_int_equal(http_request(&head, bytes, len), 1);
        same_head(&head, &whole);
    }
}

/* What answers this request, when it comes in pieces of `step` bytes: 0 if it
 * is not refused. */
static int status_of(const struct malformed *request, size_t step)
{
    static char bytes[ROOM];
    struct http_head head = {0};
    size_t come = 0;
    int state = 0;
    memset(bytes, '\n', sizeof(bytes));
    while (state == 0 && come < request->len) {
        size_t left = request->len - come;
        size_t more = left < step ? left : step;
        memcpy(bytes + come, request->bytes + come, more);
        come += more;
        state = http_request(&head, bytes, come);
    }
    if (state == -1 && http_request(&head, bytes, come) != -1)
        fail_msg("%s: asked again, it is refused no more", request->name);
    if (state == -1)
        return head.error;
    if (state == 0 || head.body != HTTP_CHUNKED)
        return 0;

    struct http_chunked chunked = {0};
    struct http_text data;
    for (size_t at = head.len; at < request->len && !chunked.done;) {
        size_t left = request->len - at;
        ssize_t n = http_chunked(&chunked, request->bytes + at,
                                 left < step ? left : step, &data);
        if (n == -1) {
            if (http_chunked(&chunked, "0", 1, &data) != -1)
                fail_msg("%s: asked again, it is refused no more",
                         request->name);
            return 400;
        }
        if (n == 0)
            fail_msg("%s: no byte was taken", request->name);
        at += (size_t)n;
    }
    return 0;
}

TEST(test_07_every_malformed_request_gets_its_status)
{
    static const size_t steps[] = {ROOM, 1, 7, 1000};
    for (int i = 0; i < NUM_MALFORMED; i++) {
        const struct malformed *request = &malformed[i];
        for (size_t j = 0; j < sizeof(steps) / sizeof(steps[0]); j++) {
            if (steps[j] < 10 && request->len > 1000)
                continue;
            int status = status_of(request, steps[j]);
            if (status != request->status)
                test_fail(TEST_PLACE("http_request()"),
                          "%s, in pieces of %zu bytes\n"
                          "expected: %d\nactual:   %d\n%.200s",
                          request->name, steps[j], request->status, status,
                          request->bytes);
        }
    }
}

/* Whether a request is accepted that has this byte between two parts. */
static bool accepts(const char *before, int byte, const char *behind)
{
    char bytes[200];
    struct http_head head = {0};
    size_t len = (size_t)snprintf(bytes, sizeof(bytes), "%s", before);
    bytes[len++] = (char)byte;
    len += (size_t)snprintf(bytes + len, sizeof(bytes) - len, "%s", behind);
    return http_request(&head, at_edge(bytes, len), len) == 1;
}

static bool one_of(int byte, const char *bytes)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= 'a' && byte <= 'z') || (byte && strchr(bytes, byte));
}

static void expect_byte(const char *where, int byte, bool actual, bool expected)
{
    if (actual != expected)
        test_fail(TEST_PLACE("http_request()"),
                  "the byte 0x%02x in %s\nexpected: it is %s\nactual:   it "
                  "is %s",
                  (unsigned)byte, where, expected ? "accepted" : "refused",
                  actual ? "accepted" : "refused");
}

TEST(test_08_each_byte_has_its_places)
{
    for (int byte = 0; byte < 256; byte++) {
        bool is_token = one_of(byte, "!#$%&'*+-.^_`|~");
        bool is_host = one_of(byte, "-._~:[]%!$&'()*+;=");
        bool is_target = byte > ' ' && byte < 127 && byte != '#';
        bool is_value = byte == '\t' || (byte >= ' ' && byte != 127);
        expect_byte("a method", byte,
                    accepts("G", byte, "T / HTTP/1.0\r\n\r\n"), is_token);
        expect_byte("a target", byte,
                    accepts("GET /", byte, "a HTTP/1.0\r\n\r\n"), is_target);
        expect_byte("a field's name", byte,
                    accepts("GET / HTTP/1.0\r\nA", byte, "b: c\r\n\r\n"),
                    is_token || byte == ':');
        expect_byte("a field's value", byte,
                    accepts("GET / HTTP/1.0\r\nA: b", byte, "c\r\n\r\n"),
                    is_value);
        expect_byte("a Host", byte,
                    accepts("GET / HTTP/1.0\r\nHost: a", byte, "b\r\n\r\n"),
                    is_host);
        expect_byte("an absolute target's host", byte,
                    accepts("GET http://a", byte, "b/ HTTP/1.0\r\n\r\n"),
                    is_host || byte == '/');
    }
}

/* A request of which one part has this length. */
static const char *of_size(const char *before, size_t len, const char *behind)
{
    static char bytes[ROOM];
    len -= strlen(before) + strlen(behind);
    char *end = stpcpy(bytes, before);
    memset(end, 'a', len);
    stpcpy(end + len, behind);
    return bytes;
}

static int state_after(const char *bytes, size_t len, int *error)
{
    struct http_head head = {0};
    int state = http_request(&head, at_edge(bytes, len), len);
    *error = head.error;
    return state;
}

TEST(test_09_too_much_is_refused_at_once)
{
    static const char rest[] = "A: b\r\n\r\n";
    char whole[ROOM];
    int error;

    snprintf(whole, sizeof(whole), "%s%s",
             of_size("GET /", HTTP_MAX_LINE, " HTTP/1.0\r\n"), rest);
    read_request(whole);
    const char *line = of_size("GET /", HTTP_MAX_LINE + 1, " HTTP/1.0\r\n");
    assert_int_equal(refusal(line), 414);
    assert_int_equal(state_after(line, HTTP_MAX_LINE - 1, &error), 0);
    line = of_size("GET /", HTTP_MAX_LINE + 1, "");
    assert_int_equal(state_after(line, HTTP_MAX_LINE + 1, &error), -1);
    assert_int_equal(error, 414);

    struct http_head head = read_request(
        of_size("GET / HTTP/1.0\r\nA: ", HTTP_MAX_HEAD, "\r\n\r\n"));
    assert_int_equal(head.len, HTTP_MAX_HEAD);
    const char *field = "GET / HTTP/1.0\r\nA: ";
    assert_int_equal(refusal(of_size(field, HTTP_MAX_HEAD + 1, "\r\n\r\n")),
                     431);
    const char *open = of_size(field, HTTP_MAX_HEAD + 1, "");
    assert_int_equal(state_after(open, HTTP_MAX_HEAD - 1, &error), 0);
    assert_int_equal(state_after(open, HTTP_MAX_HEAD + 1, &error), -1);
    assert_int_equal(error, 431);

    char *end = stpcpy(whole, "GET / HTTP/1.0\r\n");
    for (int i = 0; i < HTTP_MAX_FIELDS; i++)
        end = stpcpy(end, "A:\r\n");
    stpcpy(end, "\r\n");
    assert_int_equal(read_request(whole).num_fields, HTTP_MAX_FIELDS);
    stpcpy(end, "A:\r\n");
    assert_int_equal(refusal(whole), 431);
}

TEST(test_10_the_first_fault_wins)
{
    /* Told at the end of its line, without the lines behind it. */
    assert_int_equal(refusal("GET / HTTP/2.0\r\n"), 505);
    assert_int_equal(refusal("GET / HTTP/2.0\r\nA : b\r\n\r\n"), 505);
    assert_int_equal(refusal("GET / HTTP/1.1\r\nA : b\r\n"), 400);
    assert_int_equal(refusal("GET / HTTP/1.1\r\n"
                             "Transfer-Encoding: gzip\r\n"
                             "A : b\r\n"),
                     400);
    /* At the end of the head 400 goes first. */
    assert_int_equal(refusal("GET / HTTP/1.1\r\n"
                             "Transfer-Encoding: gzip\r\n\r\n"),
                     400);
    assert_int_equal(refusal("GET / HTTP/1.1\r\n"
                             "Content-Length: 99999999999999999999\r\n\r\n"),
                     400);
    assert_int_equal(refusal("GET / HTTP/1.1\r\nHost: a\r\n"
                             "Content-Length: 99999999999999999999\r\n"
                             "Transfer-Encoding: gzip\r\n\r\n"),
                     400);
    assert_int_equal(refusal("GET / HTTP/1.1\r\nHost: a\r\n"
                             "Content-Length: 99999999999999999999x\r\n\r\n"),
                     400);
    assert_int_equal(refusal("GET / HTTP/1.0\r\n"
                             "Transfer-Encoding: gzip\r\n\r\n"),
                     400);
}

/* A chunked body, read in pieces of at most `step` bytes. */
struct body {
    char content[ROOM];
    size_t len, taken;
    bool done, refused;
};

static struct body *read_body(const char *bytes, size_t len, size_t step)
{
    static struct body body;
    struct http_chunked chunked = {0};
    struct http_text data = {0};
    body = (struct body){.len = 0};
    while (body.taken < len && !body.done) {
        size_t left = len - body.taken;
        size_t size = left < step ? left : step;
        const char *piece = at_edge(bytes + body.taken, size);
        ssize_t n = http_chunked(&chunked, piece, size, &data);
        if (n == -1) {
            body.refused = true;
            return &body;
        }
        assert_at_least(n, 1);
        assert_at_most(n, size);
        if (data.len > 0 && (data.at < piece || data.at + data.len > piece + n))
            fail_msg("the content is not among the bytes that were taken");
        if (data.len > 0)
            memcpy(body.content + body.len, data.at, data.len);
        body.len += data.len;
        body.taken += (size_t)n;
        body.done = chunked.done;
    }
    if (body.done) {
        assert_int_equal(http_chunked(&chunked, "5", 1, &data), 0);
        assert_int_equal(data.len, 0);
        assert_true(chunked.done);
    }
    return &body;
}

static void expect_body(const char *bytes, size_t step, const char *content)
{
    struct body *body = read_body(bytes, strlen(bytes), step);
    assert_false(body->refused);
    assert_true(body->done);
    test_bytes(TEST_PLACE("the content"), body->content, body->len, content,
               strlen(content));
    const char *next = strstr(bytes, "GET");
    assert_int_equal(body->taken,
                     next ? (size_t)(next - bytes) : strlen(bytes));
}

static const char chunks[] = "5\r\nhello\r\n"
                             "0001;a=b;c=\"d\"\r\n,\r\n"
                             "A\r\n\r\n wor\r\nld\r\n"
                             "0000000000000001;\r\n!\r\n"
                             "000;\t\x80\r\n"
                             "A: b\r\nnot looked at\r\n\r\n"
                             "GET / HTTP/1.1\r\n";
static const char content[] = "hello,\r\n wor\r\nld!";

TEST(test_11_a_chunked_body_is_read)
{
    expect_body("5\r\nhello\r\n0\r\n\r\n", ROOM, "hello");
    expect_body("0\r\n\r\nGET", ROOM, "");
    expect_body("0\r\nA: b\r\n\r\n", ROOM, "");
    expect_body("1a\r\nabcdefghijklmnopqrstuvwxyz\r\n00\r\n\r\n", ROOM,
                "abcdefghijklmnopqrstuvwxyz");
    expect_body("A\r\n0\r\n\r\n5\r\n\r\n\r\n0\r\n\r\nGET", ROOM,
                "0\r\n\r\n5\r\n\r\n");
    expect_body(chunks, ROOM, content);
    expect_body(of_size("1;", 4000, "\r\n!\r\n0\r\n\r\n"), ROOM, "!");
    expect_body(of_size("0\r\nA: ", 4000, "\r\n\r\n"), ROOM, "");
}

TEST(test_12_chunks_may_come_in_any_pieces)
{
    for (size_t step = 1; step < 20; step++)
        expect_body(chunks, step, content);
    for (size_t cut = 0; cut < strlen(chunks) - strlen("GET / HTTP/1.1\r\n");
         cut++) {
        struct body *body = read_body(chunks, cut, cut);
        assert_false(body->done || body->refused);
        assert_int_equal(body->taken, cut);
    }
    /* A chunk as large as can be, of which not all comes. */
    struct body *body = read_body("FFFFffffFFFFffff\r\nhello", 23, 20);
    assert_false(body->done || body->refused);
    assert_bytes_equal(body->content, body->len, "hello", 5);
}

/* Good up to its last byte, and not with it. */
static void expect_refused(const char *bytes, size_t len)
{
    for (size_t step = 1; step <= len; step += len - 1) {
        struct body *body = read_body(bytes, len - 1, step);
        if (body->refused)
            fail_msg("%.*s\nexpected: more bytes are needed\nactual:   -1",
                     (int)len - 1, bytes);
        body = read_body(bytes, len, step);
        if (!body->refused)
            fail_msg("%.*s\nexpected: -1\nactual:   it is accepted", (int)len,
                     bytes);
    }
}

TEST(test_13_a_bad_chunk_is_refused_at_its_byte)
{
    static const char *const bad[] = {
        "5x",           "5 ",           "5\n",           "5\rx",
        "5;a\n",        "5;a\rb",       "5;\x7f",        "00000000000000000",
        "5\r\nhellox",  "5\r\nhello\n", "5\r\nhello\rx", "5\r\nhello\r\n\r",
        "0\r\n\n",      "0\r\n\rx",     "0\r\nA\n",      "0\r\nA\rx",
        "0\r\nA: \x1f", "1\r\na\r\n-",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        expect_refused(bad[i], strlen(bad[i]));
    expect_refused("5;\0", 3);
    expect_refused("0\r\nA\0", 5);

    const char *much = of_size("5;", 5000, "");
    assert_true(read_body(much, 5000, ROOM)->refused);
    much = of_size("0\r\nA", 5000, "");
    assert_true(read_body(much, 5000, ROOM)->refused);
    char lines[6000] = "0\r\n";
    for (char *end = lines + 3; end < lines + 5990;)
        end = stpcpy(end, "A: b\r\n");
    assert_true(read_body(lines, strlen(lines), ROOM)->refused);
}
