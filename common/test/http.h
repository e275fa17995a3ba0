/*
 * http.h - a plain HTTP/1.1 client for tests of servers.
 *
 *     int fd = client_connect(port);
 *     client_send(fd, "GET / HTTP/1.1\r\nHost: test\r\n\r\n");
 *     struct http_reply r = http_read(fd);
 *     assert_status(r, 200);
 *     assert_header(r, "Content-Type", "text/plain");
 *     assert_body(r, "Hello, World!");
 *     close(fd);
 *
 * It takes from the connection just the bytes of one response, so several can
 * be read one after the other, and it is strict: a response that breaks the
 * rules of RFC 9112 (a line without CR, a body whose length cannot be told, two
 * lengths) fails the test and is shown. Every call waits as long as the test
 * may last.
 */
#ifndef TEST_HTTP_H
#define TEST_HTTP_H

#include "test/client.h"

struct http_reply {
    int status;
    const char *head; /* all its lines as they came, the empty one included */
    const char *body; /* a NUL stands behind it */
    size_t body_len;
    bool chunked;     /* body is what its chunks held */
    bool until_close; /* the end of the connection was the body's end */
};

/* Reads one response with its body. */
#define http_read(fd) http_read_at(TEST_PLACE("the response"), fd, "GET")
/* The request had this method: after HEAD there is no body. */
#define http_read_to(fd, method) \
    http_read_at(TEST_PLACE("the response"), fd, method)
struct http_reply http_read_at(struct test_place place, int fd,
                               const char *method);

/* Reads the head alone; the body follows in pieces. */
#define http_read_head(fd) \
    http_read_head_at(TEST_PLACE("the head of the response"), fd)
struct http_reply http_read_head_at(struct test_place place, int fd);
/* The next chunk of a chunked body, *len (may be NULL) bytes; NULL after the
 * last. */
#define http_chunk(fd, len) http_chunk_at(TEST_PLACE("the next chunk"), fd, len)
char *http_chunk_at(struct test_place place, int fd, size_t *len);

/* One request on a connection of its own, which the server must close then:
 * http_get(port, "/time"). */
#define http_get(port, target) \
    http_get_at(TEST_PLACE("GET " #target), port, target)
struct http_reply http_get_at(struct test_place place, int port,
                              const char *target);

/* The value of a header, in any case; NULL if it is not there. One that is
 * there twice fails the test. */
const char *http_header(struct http_reply reply, const char *name);

#define assert_status(reply, expected) \
    test_status(TEST_PLACE(#reply), reply, expected)
#define assert_body(reply, expected) \
    test_body(TEST_PLACE(#reply ".body"), reply, expected)
/* NULL: the header must not be there. */
#define assert_header(reply, name, expected) \
    test_header(TEST_PLACE(#reply ": " name), reply, name, expected)

void test_status(struct test_place place, struct http_reply reply,
                 int expected);
void test_body(struct test_place place, struct http_reply reply,
               const char *expected);
void test_header(struct test_place place, struct http_reply reply,
                 const char *name, const char *expected);

#endif
