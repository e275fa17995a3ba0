#include "tls.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MAX_HEAD = 8192,
    MAX_BODY = 16 << 20,
};

static SSL_CTX *context(void)
{
    static SSL_CTX *ctx;
    if (ctx)
        return ctx;
    ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx || !SSL_CTX_load_verify_locations(ctx, "root.pem", NULL))
        fail_msg("the client's TLS cannot be set up");
    signal(SIGPIPE, SIG_IGN);
    return ctx;
}

/* At security level 0 the client would take all there is; what is refused,
 * the server refuses. */
static SSL *new_client(struct tls_options options)
{
    SSL *ssl = SSL_new(context());
    SSL_set_security_level(ssl, 0);
    int least = options.version ? options.version : TLS1_2_VERSION;
    if (!SSL_set_min_proto_version(ssl, least) ||
        !SSL_set_max_proto_version(ssl, options.version))
        test_skip("this OpenSSL speaks no version %x", (unsigned)least);
    SSL_set_verify(ssl, options.trusting ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
                   NULL);
    if (options.suites && strncmp(options.suites, "TLS_", 4) == 0)
        SSL_set_ciphersuites(ssl, options.suites);
    else if (!SSL_set_cipher_list(ssl, options.suites ? options.suites : "ALL"))
        fail_msg("no suites are called %s", options.suites);
    if (options.name) {
        SSL_set_tlsext_host_name(ssl, options.name);
        SSL_set1_host(ssl, options.name);
    }
    if (options.alpn)
        SSL_set_alpn_protos(ssl, (const unsigned char *)options.alpn,
                            (unsigned)strlen(options.alpn));
    if (options.session)
        SSL_set_session(ssl, options.session);
    SSL_set_connect_state(ssl);
    return ssl;
}

struct tls *tls_begin(int fd, struct tls_options options,
                      struct tls_failure *failure)
{
    struct tls *tls = malloc(sizeof(*tls));
    *tls = (struct tls){.ssl = new_client(options), .fd = fd};
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    SSL_set_fd(tls->ssl, fd);
    test_waiting(TEST_PLACE("waited for the TLS handshake"));
    ERR_clear_error();
    bool done = SSL_connect(tls->ssl) == 1;
    test_waiting((struct test_place){0});
    if (done)
        return tls;
    int reason = ERR_GET_REASON(ERR_peek_error());
    if (failure) {
        failure->alert = reason >= SSL_AD_REASON_OFFSET &&
                                 reason < SSL_AD_REASON_OFFSET + 256
                             ? reason - SSL_AD_REASON_OFFSET
                             : -1;
        failure->verify = SSL_get_verify_result(tls->ssl);
    }
    tls_drop(tls);
    return NULL;
}

struct tls *tls_try(int port, struct tls_options options,
                    struct tls_failure *failure)
{
    int fd =
        options.narrow ? client_connect_narrow(port) : client_connect(port);
    return tls_begin(fd, options, failure);
}

struct tls_options tls_named(const char *name)
{
    return (struct tls_options){.name = name};
}

struct tls *tls_connect_at(struct test_place place, int port,
                           struct tls_options options)
{
    struct tls_failure failure;
    struct tls *tls = tls_try(port, options, &failure);
    if (tls)
        return tls;
    if (failure.alert != -1)
        test_fail(place,
                  "expected: a handshake\nactual:   the server sent the "
                  "alert \"%s\" (%d)",
                  SSL_alert_desc_string_long(failure.alert), failure.alert);
    if (failure.verify != X509_V_OK)
        test_fail(place,
                  "expected: a handshake\nactual:   the client refuses the "
                  "server's certificate: %s",
                  X509_verify_cert_error_string(failure.verify));
    test_fail(place, "expected: a handshake\n"
                     "actual:   the connection ended before it was done");
}

size_t tls_hello(struct tls_options options, char *bytes, size_t size)
{
    SSL *ssl = new_client(options);
    BIO *out = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), out);
    SSL_connect(ssl);
    int len = BIO_read(out, bytes, (int)size);
    SSL_free(ssl);
    ERR_clear_error();
    return (size_t)len;
}

void tls_send_bytes(struct tls *tls, const void *bytes, size_t len)
{
    size_t done;
    test_waiting(TEST_PLACE("sending to the server"));
    if (SSL_write_ex(tls->ssl, bytes, len, &done) != 1 || done != len)
        fail_msg("the server took no more bytes");
    test_waiting((struct test_place){0});
}

static bool read_some(struct tls *tls, char *bytes, size_t len)
{
    size_t done = 0, n;
    ERR_clear_error();
    while (done < len && SSL_read_ex(tls->ssl, bytes + done, len - done, &n))
        done += n;
    return done == len;
}

void tls_read_bytes_at(struct test_place place, struct tls *tls, char *bytes,
                       size_t len)
{
    test_waiting(place);
    if (!read_some(tls, bytes, len))
        test_fail(place,
                  "expected: %zu more bytes\n"
                  "actual:   the connection ended before",
                  len);
    test_waiting((struct test_place){0});
}

struct http_reply tls_read_at(struct test_place place, struct tls *tls,
                              bool body)
{
    char head[MAX_HEAD + 1] = "";
    size_t len = 0;
    while (len < 4 || memcmp(head + len - 4, "\r\n\r\n", 4) != 0) {
        if (len == MAX_HEAD)
            test_fail(place, "more than %d bytes of header", MAX_HEAD);
        tls_read_bytes_at(place, tls, head + len++, 1);
    }
    if (strncmp(head, "HTTP/1.1 ", 9) != 0)
        test_fail(place, "not the head of a response:\n%s", head);
    struct http_reply reply = {
        .status = atoi(head + 9), .head = text("%s", head), .body = ""};
    const char *length = http_header(reply, "Content-Length");
    if (!length || strspn(length, "0123456789") != strlen(length) ||
        strtoul(length, NULL, 10) > MAX_BODY)
        test_fail(place, "a head without a Content-Length:\n%s", head);
    if (body) {
        reply.body_len = strtoul(length, NULL, 10);
        char *bytes = text("%*s", (int)reply.body_len, "");
        tls_read_bytes_at(place, tls, bytes, reply.body_len);
        reply.body = bytes;
    }
    return reply;
}

struct http_reply tls_get_at(struct test_place place, struct tls *tls,
                             const char *target)
{
    tls_send(tls, text("GET %s HTTP/1.1\r\nHost: test\r\n\r\n", target));
    return tls_read_at(place, tls, true);
}

void expect_body_at(struct test_place place, struct http_reply reply,
                    const char *expected)
{
    test_bytes(place, reply.body, reply.body_len, expected, strlen(expected));
}

void expect_in_body_at(struct test_place place, struct http_reply reply,
                       const char *part)
{
    test_contains(place, reply.body, reply.body_len, part, true);
}

bool tls_is_served(struct tls *tls)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";
    char status[12];
    size_t done;
    if (!SSL_write_ex(tls->ssl, request, strlen(request), &done) ||
        !read_some(tls, status, sizeof(status)) ||
        memcmp(status, "HTTP/1.1 200", sizeof(status)) != 0)
        return false;
    char rest[4] = "";
    while (memcmp(rest, "\r\n\r\n", 4) != 0) {
        memmove(rest, rest + 1, 3);
        if (!read_some(tls, rest + 3, 1))
            return false;
    }
    char body[12];
    return read_some(tls, body, sizeof(body));
}

void tls_expect_end_at(struct test_place place, struct tls *tls)
{
    char byte;
    test_waiting(place);
    ERR_clear_error();
    int n = SSL_read(tls->ssl, &byte, 1);
    if (n == 1)
        test_fail(place, "expected: the end\nactual:   a byte ('%c')", byte);
    if (SSL_get_error(tls->ssl, n) != SSL_ERROR_ZERO_RETURN)
        test_fail(place,
                  "expected: close_notify, then the end of the connection\n"
                  "actual:   the connection ended without close_notify");
    if (recv(tls->fd, &byte, 1, 0) != 0)
        test_fail(place,
                  "expected: the end of the connection behind "
                  "close_notify\nactual:   %s",
                  errno ? strerror(errno) : "more bytes");
    test_waiting((struct test_place){0});
}

long tls_serial(struct tls *tls)
{
    X509 *cert = SSL_get0_peer_certificate(tls->ssl);
    return ASN1_INTEGER_get(X509_get0_serialNumber(cert));
}

void tls_drop(struct tls *tls)
{
    SSL_free(tls->ssl);
    close(tls->fd);
    free(tls);
}

void tls_close(struct tls *tls)
{
    SSL_shutdown(tls->ssl);
    tls_drop(tls);
}

void tls_reset(struct tls *tls)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(tls->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    tls_drop(tls);
}
