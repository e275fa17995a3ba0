/*
 * tls.h - a TLS client for tests of servers.
 *
 *     struct tls *tls = tls_connect(port, "one.test");
 *     tls_send(tls, "GET / HTTP/1.1\r\nHost: one.test\r\n\r\n");
 *     expect_body(tls_read(tls), "Hello, TLS!\n");
 *     tls_close(tls);
 *
 * It trusts root.pem of the working directory. Every call waits as long as
 * the test may last; all but tls_try() fail the test on error.
 */
#ifndef TLS_H
#define TLS_H

#include "test/http.h"
#include <openssl/ssl.h>

struct tls_options {
    const char *name;   /* asked for (SNI), and to be in the certificate */
    bool trusting;      /* takes any certificate */
    int version;        /* TLS1_2_VERSION: this one alone; default: any */
    const char *suites; /* of TLS 1.2 and below; TLS 1.3: one of them */
    const char *alpn;   /* each with its length: "\x02h2\x08http/1.1" */
    SSL_SESSION *session;
    bool narrow; /* small socket buffers */
};

struct tls {
    SSL *ssl;
    int fd;
};

/* What became of a handshake that failed. */
struct tls_failure {
    int alert;   /* that the server sent, -1 if it sent none */
    long verify; /* X509_V_OK, or why the client refused the certificate */
};

#define tls_connect(port, name) tls_connect_with(port, tls_named(name))
#define tls_connect_with(port, options) \
    tls_connect_at(TEST_PLACE("the TLS handshake"), port, options)
struct tls_options tls_named(const char *name);
struct tls *tls_connect_at(struct test_place place, int port,
                           struct tls_options options);
/* NULL, and *failure (may be NULL), if the handshake fails. */
struct tls *tls_try(int port, struct tls_options options,
                    struct tls_failure *failure);
/* The same on a connection that there is; it is taken over. */
struct tls *tls_begin(int fd, struct tls_options options,
                      struct tls_failure *failure);
/* The first message of a handshake; returns its length. */
size_t tls_hello(struct tls_options options, char *bytes, size_t size);

#define tls_send(tls, text) tls_send_bytes(tls, text, strlen(text))
/* One record, if len is at most 16,384. */
void tls_send_bytes(struct tls *tls, const void *bytes, size_t len);

/* One response with its body. */
#define tls_read(tls) tls_read_at(TEST_PLACE("the response"), tls, true)
/* Its head alone. */
#define tls_read_head(tls) \
    tls_read_at(TEST_PLACE("the head of the response"), tls, false)
struct http_reply tls_read_at(struct test_place place, struct tls *tls,
                              bool body);
/* So many bytes. */
#define tls_read_bytes(tls, bytes, len) \
    tls_read_bytes_at(TEST_PLACE("the body of the response"), tls, bytes, len)
void tls_read_bytes_at(struct test_place place, struct tls *tls, char *bytes,
                       size_t len);
/* GET target, and the response. */
#define tls_get(tls, target) tls_get_at(TEST_PLACE("GET " #target), tls, target)
struct http_reply tls_get_at(struct test_place place, struct tls *tls,
                             const char *target);
/* Both may be given a call, which is made once. */
#define expect_body(reply, expected) \
    expect_body_at(TEST_PLACE(#reply), reply, expected)
#define expect_in_body(reply, part) \
    expect_in_body_at(TEST_PLACE(#reply), reply, part)
void expect_body_at(struct test_place place, struct http_reply reply,
                    const char *expected);
void expect_in_body_at(struct test_place place, struct http_reply reply,
                       const char *part);

/* GET /, true if its answer comes. */
bool tls_is_served(struct tls *tls);

/* The server announces the end (close_notify), then ends the connection. */
#define tls_expect_end(tls) \
    tls_expect_end_at(TEST_PLACE("the end of the connection"), tls)
void tls_expect_end_at(struct test_place place, struct tls *tls);

/* The serial number of the server's certificate. */
long tls_serial(struct tls *tls);

/* Three ways to go: announced, without a word, with a reset. */
void tls_close(struct tls *tls);
void tls_drop(struct tls *tls);
void tls_reset(struct tls *tls);

#endif
