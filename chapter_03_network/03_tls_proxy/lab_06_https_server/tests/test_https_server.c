/*
 * The server is run with two certificates: one.pem for one.test and
 * *.one.test, two.pem, with an intermediate one, for two.test.
 */
#include "certificates.h"
#include "test/client.h"
#include "test/http.h"
#include "test/process.h"
#include "test/program.h"
#include "timing.h"
#include "tls.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BIG = 8 << 20,    /* bytes of /big */
    PATIENCE_MS = 60, /* of a server that has little */
    LATE_MS = PATIENCE_MS / 2,
};

/* The server under test. */
static struct program *server;
static pid_t pid;
static int port;

/* The system's own openssl.cnf may ask for more than OpenSSL does: without it
 * the learner's settings decide. */
static const char *const plain_openssl[] = {"OPENSSL_CONF=/dev/null", NULL};

static const char *const two_sites[] = {"--cert",  "one.pem", "--key",
                                        "one.key", "--cert",  "two.pem",
                                        "--key",   "two.key", NULL};

static void certificates(void)
{
    certificate("one", "DNS:one.test,DNS:*.one.test");
    certificate_with((struct certificate_options){.chain = true}, "two",
                     "DNS:two.test");
}

static void serve_with(struct run_options options, const char *const *args)
{
    options.env = plain_openssl;
    server = program_start(TEST_PLACE("start"), options, args);
    pid = program_pid(server);
    port = program_port(server);
}

static void serve(void)
{
    certificates();
    serve_with((struct run_options){0}, two_sites);
}

/* A client whose time for a handshake is short. */
static void serve_impatiently(void)
{
    certificates();
    serve_with((struct run_options){0},
               (const char *const[]){"--cert", "one.pem", "--key", "one.key",
                                     "--timeout-ms", text("%d", PATIENCE_MS),
                                     NULL});
}

static void serve_with_faults(const char *faults)
{
    certificates();
    serve_with((struct run_options){.faults = faults}, two_sites);
}

static void end(void)
{
    program_signal(server, SIGTERM);
    assert_exit(program_wait(server), 0);
}

static void expect_served(void)
{
    struct tls *tls = tls_connect(port, "one.test");
    expect_body(tls_get(tls, "/"), "Hello, TLS!\n");
    tls_close(tls);
}

/* Plain TCP. */

/* All that comes, until the connection ends, in whatever way. */
static size_t receive_rest(int fd, char *bytes, size_t size)
{
    size_t len = 0;
    ssize_t n;
    test_waiting(TEST_PLACE("waited for the server to end the connection"));
    while ((n = recv(fd, bytes + len, size - 1 - len, 0)) > 0)
        len += (size_t)n;
    test_waiting((struct test_place){0});
    bytes[len] = '\0';
    return len;
}

/* The program. */

TEST(test_01_it_says_where_it_listens)
{
    serve();
    assert_at_least(port, 1);
    expect_served();
    end();

    serve_with((struct run_options){0},
               (const char *const[]){"--port", "0", "--key", "one.key",
                                     "--cert", "one.pem", NULL});
    assert_at_least(port, 1);
    expect_served();
    end();
}

#define ONE "--cert", "one.pem", "--key", "one.key"
#define USAGE                                                           \
    "--cert FILE --key FILE [--cert FILE --key FILE]... [--port PORT] " \
    "[--timeout-ms N]\n"

TEST(test_02_a_wrong_command_line_is_a_usage_error)
{
    certificates();
    assert_usage(USAGE, "--port", "0");
    assert_usage(USAGE, "--cert", "one.pem");
    assert_usage(USAGE, ONE, "--cert", "two.pem");
    assert_usage(USAGE, ONE, "--port", "65536");
    assert_usage(USAGE, ONE, "--port", "80x");
    assert_usage(USAGE, ONE, "--port", "");
    assert_usage(USAGE, ONE, "--timeout-ms", "0");
    assert_usage(USAGE, ONE, "--timeout-ms");
    assert_usage(USAGE, ONE, "one.test");
    assert_usage(USAGE, ONE, "--host", "::1");
}

static void expect_no_start(const char *cert, const char *key,
                            const char *guilty)
{
    /* Should it ask for the passphrase, here it is. */
    struct run_options options = {.env = plain_openssl, .input = "secret\n"};
    struct program *program = program_start(
        TEST_PLACE("start"), options,
        (const char *const[]){"--cert", cert, "--key", key, NULL});
    if (program_line(program))
        fail_msg("--cert %s --key %s\nexpected: a message and status 1\n"
                 "actual:   the server begins",
                 cert, key);
    struct run r = program_wait(program);
    assert_exit(r, 1);
    assert_error_contains(r, text("https_server: %s: ", guilty));
}

TEST(test_03_files_that_cannot_be_used_are_told)
{
    certificates();
    certificate_with((struct certificate_options){.passphrase = "secret"},
                     "locked", "DNS:one.test");
    certificate_with((struct certificate_options){.key_type = "ED25519"},
                     "edwards", "DNS:one.test");
    write_text("empty.pem", "%s", "");
    expect_no_start("nosuch.pem", "one.key", "nosuch.pem");
    expect_no_start("one.pem", "nosuch.key", "nosuch.key");
    expect_no_start("empty.pem", "one.key", "empty.pem");
    expect_no_start("one.pem", "one.pem", "one.pem");
    expect_no_start("one.pem", "two.key", "two.key");
    expect_no_start("one.pem", "edwards.key", "edwards.key");
    expect_no_start("locked.pem", "locked.key", "locked.key");
}

TEST(test_04_a_port_that_is_taken_is_told)
{
    serve();
    assert_no_start(text("127.0.0.1:%d: %s\n", port, strerror(EADDRINUSE)), ONE,
                    "--port", text("%d", port));
    expect_served();
    end();
}

/* HTTP. */

TEST(test_05_whoami_tells_what_was_agreed)
{
    serve();
    struct tls *tls = tls_connect_with(
        port, ((struct tls_options){.name = "one.test",
                                    .version = TLS1_3_VERSION,
                                    .suites = "TLS_AES_128_GCM_SHA256",
                                    .alpn = "\x08http/1.1"}));
    expect_body(tls_get(tls, "/whoami"), "version: TLSv1.3\n"
                                         "cipher: TLS_AES_128_GCM_SHA256\n"
                                         "name: one.test\n"
                                         "alpn: http/1.1\n"
                                         "resumed: no\n");
    tls_close(tls);
    tls = tls_connect_with(
        port,
        ((struct tls_options){.trusting = true,
                              .version = TLS1_2_VERSION,
                              .suites = "ECDHE-ECDSA-CHACHA20-POLY1305"}));
    expect_body(tls_get(tls, "/whoami"),
                "version: TLSv1.2\n"
                "cipher: ECDHE-ECDSA-CHACHA20-POLY1305\n"
                "name: -\n"
                "alpn: -\n"
                "resumed: no\n");
    tls_close(tls);
    end();
}

/* Sends it on a connection of its own, which ends then if `ends`. */
static struct http_reply ask(const char *request, bool ends)
{
    struct tls *tls = tls_connect(port, "one.test");
    tls_send(tls, request);
    struct http_reply reply =
        strncmp(request, "HEAD", 4) == 0 ? tls_read_head(tls) : tls_read(tls);
    assert_header(reply, "Connection", ends ? "close" : "keep-alive");
    assert_header(reply, "Content-Type", "text/plain");
    if (ends)
        tls_expect_end(tls);
    else
        expect_body(tls_get(tls, "/"), "Hello, TLS!\n");
    tls_close(tls);
    return reply;
}

TEST(test_06_each_request_gets_its_answer)
{
    serve();
    struct http_reply r = ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n", false);
    assert_status(r, 200);
    expect_body(r, "Hello, TLS!\n");
    r = ask("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", false);
    assert_status(r, 200);
    assert_header(r, "Content-Length", "12");
    r = ask("HEAD /big HTTP/1.1\r\nHost: a\r\n\r\n", false);
    assert_header(r, "Content-Length", "8388608");
    r = ask("GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", false);
    assert_status(r, 404);
    r = ask("DELETE /nothing HTTP/1.1\r\nHost: a\r\n\r\n", false);
    assert_status(r, 404);
    r = ask("DELETE /whoami HTTP/1.1\r\nHost: a\r\n\r\n", false);
    assert_status(r, 405);
    assert_header(r, "Allow", "GET, HEAD");
    r = ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", true);
    assert_status(r, 200);
    r = ask("GET / HTTP/1.0\r\n\r\n", true);
    assert_status(r, 200);
    r = ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", true);
    assert_status(r, 413);
    r = ask("GET / HTTP/1.1\r\n\r\n", true);
    assert_status(r, 400);
    r = ask(text("GET / HTTP/1.1\r\nHost: a\r\nx: %09000d\r\n\r\n", 0), true);
    assert_status(r, 431);
    end();
}

TEST(test_07_many_requests_may_come_in_one_record)
{
    enum { REQUESTS = 500 };
    static char bytes[16384];
    size_t len = 0;
    for (int i = 0; i < REQUESTS; i++)
        len += (size_t)snprintf(bytes + len, sizeof(bytes) - len,
                                "GET / HTTP/1.1\r\nHost: %d\r\n\r\n", i % 10);
    serve();
    struct tls *tls = tls_connect(port, "one.test");
    tls_send_bytes(tls, bytes, len);
    for (int i = 0; i < REQUESTS; i++)
        expect_body(tls_read(tls), "Hello, TLS!\n");
    tls_close(tls);
    end();
}

TEST(test_08_a_request_may_come_byte_by_byte)
{
    serve();
    struct tls *tls = tls_connect(port, "one.test");
    for (const char *at = "GET / HTTP/1.1\r\nHost: one.test\r\n\r\n"; *at; at++)
        tls_send_bytes(tls, at, 1);
    expect_body(tls_read(tls), "Hello, TLS!\n");
    tls_close(tls);
    end();
}

/* The handshake. */

static void expect_alert(struct tls_options options, int alert)
{
    struct tls_failure failure;
    struct tls *tls = tls_try(port, options, &failure);
    if (tls)
        fail_msg("expected: the alert \"%s\" (%d)\n"
                 "actual:   a handshake: %s, %s",
                 SSL_alert_desc_string_long(alert), alert,
                 SSL_get_version(tls->ssl), SSL_get_cipher_name(tls->ssl));
    if (failure.alert == -1)
        fail_msg("expected: the alert \"%s\" (%d)\nactual:   none",
                 SSL_alert_desc_string_long(alert), alert);
    assert_int_equal(failure.alert, alert);
}

TEST(test_09_tls_1_1_is_refused)
{
    serve();
    expect_alert(
        (struct tls_options){.name = "one.test", .version = TLS1_1_VERSION},
        SSL_AD_PROTOCOL_VERSION);
    expect_alert((struct tls_options){.version = TLS1_VERSION},
                 SSL_AD_PROTOCOL_VERSION);
    expect_served();
    end();
}

TEST(test_10_weak_suites_are_refused)
{
    static const char *const weak[] = {
        "ECDHE-ECDSA-AES128-SHA",    /* CBC, SHA-1 */
        "ECDHE-ECDSA-AES256-SHA384", /* CBC */
        "AES128-GCM-SHA256",         /* no keys of its own */
        "ECDHE-ECDSA-NULL-SHA",      /* nothing is encrypted */
        "AECDH-AES128-SHA",          /* nobody is authenticated */
    };
    serve();
    for (size_t i = 0; i < sizeof(weak) / sizeof(*weak); i++)
        expect_alert((struct tls_options){.name = "one.test",
                                          .version = TLS1_2_VERSION,
                                          .suites = weak[i]},
                     SSL_AD_HANDSHAKE_FAILURE);
    struct tls *tls = tls_connect_with(
        port, ((struct tls_options){.name = "one.test",
                                    .version = TLS1_2_VERSION,
                                    .suites = "ECDHE-ECDSA-AES128-GCM-SHA256:"
                                              "ECDHE-ECDSA-AES128-SHA"}));
    assert_string_equal(SSL_get_cipher_name(tls->ssl),
                        "ECDHE-ECDSA-AES128-GCM-SHA256");
    tls_close(tls);
    end();
}

/* The client checks the chain and the name. */
static void expect_certificate_for(const char *name)
{
    struct tls *tls = tls_connect(port, name);
    expect_body(tls_get(tls, "/"), "Hello, TLS!\n");
    tls_close(tls);
}

TEST(test_11_the_name_chooses_the_certificate)
{
    serve();
    expect_certificate_for("one.test");
    expect_certificate_for("two.test");
    expect_certificate_for("TWO.Test");
    expect_certificate_for("www.one.test");
    struct tls *tls = tls_connect_with(
        port,
        ((struct tls_options){.name = "two.test", .version = TLS1_2_VERSION}));
    expect_in_body(tls_get(tls, "/whoami"), "name: two.test\n");
    tls_close(tls);
    end();
}

TEST(test_12_an_unknown_name_gets_the_first_certificate)
{
    certificate("one", "DNS:one.test");
    long first = certificate("first", "DNS:first.test");
    serve_with((struct run_options){0},
               (const char *const[]){"--cert", "first.pem", "--key",
                                     "first.key", "--cert", "one.pem", "--key",
                                     "one.key", NULL});
    static const char *const names[] = {"other.test", "www.one.test", NULL};
    for (int i = 0; i < 3; i++) {
        struct tls *tls = tls_connect_with(
            port, ((struct tls_options){.name = names[i], .trusting = true}));
        assert_int_equal(tls_serial(tls), first);
        expect_in_body(tls_get(tls, "/whoami"),
                       text("name: %s\n", names[i] ? names[i] : "-"));
        tls_close(tls);
    }
    expect_served();
    end();
}

static void expect_protocol(const char *offered)
{
    struct tls *tls = tls_connect_with(
        port, ((struct tls_options){.name = "two.test", .alpn = offered}));
    const unsigned char *chosen;
    unsigned len;
    SSL_get0_alpn_selected(tls->ssl, &chosen, &len);
    if (!offered)
        assert_int_equal(len, 0);
    else
        assert_bytes_equal(chosen, len, "http/1.1", 8);
    expect_in_body(tls_get(tls, "/whoami"),
                   offered ? "alpn: http/1.1\n" : "alpn: -\n");
    tls_close(tls);
}

TEST(test_13_http_1_1_is_chosen)
{
    serve();
    expect_protocol("\x08http/1.1");
    expect_protocol("\x02h2\x08http/1.1");
    expect_protocol("\x08http/1.1\x02h2\x08http/1.0");
    expect_protocol(NULL);
    end();
}

TEST(test_14_no_common_protocol_ends_the_handshake)
{
    serve();
    expect_alert((struct tls_options){.name = "one.test", .alpn = "\x02h2"},
                 SSL_AD_NO_APPLICATION_PROTOCOL);
    expect_alert((struct tls_options){.name = "two.test",
                                      .alpn = "\x08http/1.0\x08HTTP/1.1",
                                      .version = TLS1_2_VERSION},
                 SSL_AD_NO_APPLICATION_PROTOCOL);
    expect_served();
    end();
}

static void expect_refused(const char *name, int version, long reason)
{
    struct tls_failure failure;
    if (tls_try(port, (struct tls_options){.name = name, .version = version},
                &failure))
        fail_msg("the client takes the certificate for %s", name);
    assert_int_equal(failure.verify, reason);
}

TEST(test_15_a_client_that_refuses_the_certificate_ends_nobody)
{
    certificate("one", "DNS:one.test");
    certificate_with((struct certificate_options){.expired = true}, "old",
                     "DNS:old.test");
    serve_with((struct run_options){0},
               (const char *const[]){"--cert", "one.pem", "--key", "one.key",
                                     "--cert", "old.pem", "--key", "old.key",
                                     NULL});
    struct tls *other = tls_connect(port, "one.test");
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        expect_refused("old.test", version, X509_V_ERR_CERT_HAS_EXPIRED);
        expect_refused("wrong.test", version, X509_V_ERR_HOSTNAME_MISMATCH);
    }
    expect_body(tls_get(other, "/"), "Hello, TLS!\n");
    expect_served();
    tls_close(other);
    end();
}

TEST(test_16_a_stalled_handshake_holds_nobody)
{
    char hello[4096];
    serve();
    struct tls_options options = {.name = "one.test"};
    size_t len = tls_hello(options, hello, sizeof(hello));
    int silent = client_connect(port);
    int halfway = client_connect(port);
    client_send_bytes(halfway, hello, len / 2);
    int unfinished = client_connect(port);
    client_send_bytes(unfinished, hello, len);
    char byte;
    assert_int_equal(recv(unfinished, &byte, 1, 0), 1); /* the server's turn
                                                           has been */
    expect_served();
    /* It was slow, not dead. */
    struct tls *tls = tls_begin(silent, options, NULL);
    assert_non_null(tls);
    expect_body(tls_get(tls, "/"), "Hello, TLS!\n");
    tls_close(tls);
    close(halfway);
    close(unfinished);
    end();
}

/* Sends a byte every 10 ms until the server ends the connection. Returns false
 * if that proves nothing: where the machine was so busy that a byte came late,
 * a server that counts from the last byte ends it, too. */
static bool drip(int fd, const char *bytes, size_t len)
{
    struct pollfd news = {.fd = fd, .events = POLLIN};
    uint64_t sent_ns = now_ns();
    for (size_t i = 0; poll(&news, 1, 10) == 0; i++) {
        if (i == len)
            fail_msg("after %zu bytes, one every 10 ms, the connection is "
                     "still open",
                     len);
        send(fd, bytes + i, 1, MSG_NOSIGNAL);
        if (now_ns() - sent_ns > LATE_MS * 1000000ULL)
            return false;
        sent_ns = now_ns();
    }
    return now_ns() - sent_ns <= LATE_MS * 1000000ULL;
}

TEST(test_17_a_handshake_has_to_end_in_time)
{
    char hello[4096];
    serve_impatiently();
    int before = process_descriptors(pid);
    struct tls_options options = {.name = "one.test"};
    size_t len = tls_hello(options, hello, sizeof(hello));
    /* On a machine that is busy enough ours may come too late as well. */
    struct tls *patient = NULL;
    while (!patient || !tls_is_served(patient)) {
        if (patient)
            tls_drop(patient);
        patient = tls_try(port, options, NULL);
    }
    int silent = client_connect(port);
    int slow = client_connect(port);
    while (!drip(slow, hello, len - 1)) {
        close(slow);
        slow = client_connect(port);
    }
    char answer[100];
    assert_int_equal(receive_rest(slow, answer, sizeof(answer)), 0);
    client_expect_end(silent);
    close(silent);
    close(slow);

    /* Its handshake is older than theirs, but done. */
    expect_body(tls_get(patient, "/"), "Hello, TLS!\n");

    /* A goodbye has its time as well. */
    tls_send(patient, "GET / HTTP/1.0\r\n\r\n");
    tls_read(patient);
    tls_expect_end(patient);
    wait_until(process_descriptors(pid) == before);
    tls_drop(patient);
    end();
}

/* An alert may come, whole: no reset drops it. */
static void expect_no_http(const char *bytes, size_t len)
{
    char answer[4096];
    int fd = client_connect(port);
    client_send_bytes(fd, bytes, len);
    errno = 0;
    size_t got = receive_rest(fd, answer, sizeof(answer));
    if (errno == ECONNRESET)
        fail_msg("after \"%.10s...\"\n"
                 "expected: the end of the connection\n"
                 "actual:   a reset, which may drop the alert before it",
                 bytes);
    for (size_t i = 0; i + 4 < got; i++) {
        if (memcmp(answer + i, "HTTP", 4) == 0)
            fail_msg("expected: no answer that can be read\n"
                     "actual:   %.200s",
                     answer + i);
    }
    close(fd);
}

TEST(test_18_what_is_not_tls_is_refused)
{
    serve();
    int before = process_descriptors(pid);
    struct tls *other = tls_connect(port, "one.test");
    static const char plain[] = "GET / HTTP/1.1\r\nHost: one.test\r\n\r\n";
    static const char ssh[] = "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u7\r\n";
    static const char huge[] = "\x16\x03\x01\xff\xff\x01\x00\x00\x00\x03\x03";
    static char zeros[2000];
    expect_no_http(plain, strlen(plain));
    expect_no_http(ssh, strlen(ssh));
    expect_no_http(huge, sizeof(huge));
    expect_no_http(zeros, sizeof(zeros));
    expect_body(tls_get(other, "/"), "Hello, TLS!\n");
    tls_close(other);
    wait_until(process_descriptors(pid) == before);
    end();
}

TEST(test_19_a_handshake_may_be_cut_anywhere)
{
    char hello[4096];
    serve();
    int before = process_descriptors(pid);
    size_t len = tls_hello((struct tls_options){.name = "one.test"}, hello,
                           sizeof(hello));
    const size_t cuts[] = {0, 1, 5, 6, len / 2, len - 1, len};
    for (size_t i = 0; i < sizeof(cuts) / sizeof(*cuts); i++) {
        int polite = client_connect(port), rude = client_connect(port);
        client_send_bytes(polite, hello, cuts[i]);
        client_send_bytes(rude, hello, cuts[i]);
        close(polite);
        client_reset(rude);
    }
    expect_served();
    wait_until(process_descriptors(pid) == before);
    end();
}

/* Reads so much of /big, from byte number `from` on, and compares. */
static void read_big(struct tls *tls, size_t from, size_t to)
{
    static char bytes[16384];
    while (from < to) {
        size_t len = to - from < sizeof(bytes) ? to - from : sizeof(bytes);
        tls_read_bytes(tls, bytes, len);
        for (size_t i = 0; i < len; i++) {
            if (bytes[i] != (char)('a' + (from + i) % 26))
                fail_msg("byte %zu of /big\nexpected: '%c'\nactual:   '%c'",
                         from + i, (int)('a' + (from + i) % 26), bytes[i]);
        }
        from += len;
    }
}

static struct tls *connect_narrow(void)
{
    return tls_connect_with(
        port, ((struct tls_options){.name = "one.test", .narrow = true}));
}

/* OpenSSL keeps errors in one queue for the whole thread. */
TEST(test_20_an_error_stays_with_its_connection)
{
    serve();
    struct tls *tls = tls_connect(port, "one.test");
    expect_body(tls_get(tls, "/"), "Hello, TLS!\n");
    for (int i = 0; i < 3; i++) {
        static const char plain[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        expect_no_http(plain, strlen(plain));
        expect_alert((struct tls_options){.alpn = "\x02h2"},
                     SSL_AD_NO_APPLICATION_PROTOCOL);
        tls_send(tls, "GET / HTTP/1.1\r\n");
        process_expect_asleep(pid); /* it has read the half, and waits */
        tls_send(tls, "Host: one.test\r\n\r\n");
        expect_body(tls_read(tls), "Hello, TLS!\n");
    }
    tls_close(tls);

    /* The next call may be an SSL_write that has to wait. */
    tls = connect_narrow();
    tls_send(tls, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_status(tls_read_head(tls), 200);
    process_expect_asleep(pid); /* it waits for room */
    expect_no_http("rubbish", 7);
    read_big(tls, 0, BIG);
    tls_close(tls);
    end();
}

/* The end. */

TEST(test_21_an_end_without_a_word_ends_one_connection)
{
    serve();
    int before = process_descriptors(pid);
    struct tls *other = tls_connect(port, "one.test");
    static const char *const said[] = {"", "GET / HT",
                                       "GET / HTTP/1.1\r\nHost: a\r\n\r\n"};
    for (int i = 0; i < 3; i++) {
        struct tls *dropped = tls_connect(port, "one.test");
        struct tls *reset = tls_connect(port, "two.test");
        if (i > 0) {
            tls_send(dropped, said[i]);
            tls_send(reset, said[i]);
        }
        tls_drop(dropped);
        tls_reset(reset);
    }
    wait_until(process_descriptors(pid) == before + 1);
    expect_body(tls_get(other, "/"), "Hello, TLS!\n");
    tls_close(other);
    end();
}

TEST(test_22_the_end_is_announced)
{
    serve();
    int before = process_descriptors(pid);
    /* By the server, */
    struct tls *tls = tls_connect(port, "one.test");
    tls_send(tls, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    expect_body(tls_read(tls), "Hello, TLS!\n");
    tls_expect_end(tls);
    tls_close(tls);
    /* and by the client, who wants its answers nevertheless. */
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        tls = tls_connect_with(
            port,
            ((struct tls_options){.name = "one.test", .version = version}));
        tls_send(tls, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
                      "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_int_equal(SSL_shutdown(tls->ssl), 0);
        assert_status(tls_read(tls), 200);
        assert_status(tls_read(tls), 404);
        tls_expect_end(tls);
        tls_drop(tls);
    }
    wait_until(process_descriptors(pid) == before);
    end();
}

/* A socket that is closed with unread bytes in it resets its connection, and
 * drops what has not been sent. */
TEST(test_23_bytes_after_the_last_request_do_not_cut_the_answer)
{
    enum { LAST = 100000 };
    static char more[16000];
    serve();
    struct tls *tls = connect_narrow();
    tls_send(tls, "GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    tls_send_bytes(tls, more, sizeof(more));
    tls_send_bytes(tls, more, sizeof(more));
    assert_status(tls_read_head(tls), 200);
    read_big(tls, 0, BIG - LAST);
    process_expect_asleep(pid); /* it has sent what it could */
    read_big(tls, BIG - LAST, BIG);
    tls_expect_end(tls);
    tls_close(tls);
    end();
}

TEST(test_24_a_big_answer_comes_whole_and_holds_nobody)
{
    serve();
    struct tls *slow = connect_narrow();
    tls_send(slow, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n"
                   "GET /whoami HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_status(tls_read_head(slow), 200);
    process_expect_asleep(pid); /* nobody reads */
    expect_served();
    read_big(slow, 0, BIG);
    expect_in_body(tls_read(slow), "name: one.test\n");
    tls_close(slow);
    end();
}

TEST(test_25_a_client_that_goes_meanwhile_ends_nobody)
{
    serve();
    int before = process_descriptors(pid);
    struct tls *other = tls_connect(port, "one.test");
    struct tls *slow = connect_narrow();
    tls_send(slow, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    tls_read_head(slow);
    process_expect_asleep(pid);
    tls_reset(slow);

    /* Half-closed, then gone, before the server has read the request: what
     * it sends then raises SIGPIPE. */
    struct tls *gone = tls_connect(port, "one.test");
    expect_body(tls_get(gone, "/"), "Hello, TLS!\n");
    process_stop(pid);
    tls_send(gone, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    shutdown(gone->fd, SHUT_WR);
    tls_reset(gone);
    process_continue(pid);
    expect_body(tls_get(other, "/"), "Hello, TLS!\n");
    tls_close(other);
    wait_until(process_descriptors(pid) == before);
    end();
}

/* Resumption. */

static void expect_resumption(int version, const char *name)
{
    struct tls_options options = {.name = name, .version = version};
    SSL_SESSION *sessions[3] = {NULL};
    for (int i = 0; i < 3; i++) {
        options.session = i == 0 ? NULL : sessions[i - 1];
        struct tls *tls = tls_connect_with(port, options);
        /* The ticket of TLS 1.3 comes before the first answer. */
        expect_in_body(tls_get(tls, "/whoami"),
                       i == 0 ? "resumed: no\n" : "resumed: yes\n");
        assert_int_equal(SSL_session_reused(tls->ssl), i == 0 ? 0 : 1);
        sessions[i] = SSL_get1_session(tls->ssl);
        tls_close(tls);
    }
    for (int i = 0; i < 3; i++)
        SSL_SESSION_free(sessions[i]);
}

TEST(test_26_tls_1_3_sessions_are_resumed)
{
    serve();
    expect_resumption(TLS1_3_VERSION, "one.test");
    expect_resumption(TLS1_3_VERSION, "two.test");
    end();
}

TEST(test_27_tls_1_2_sessions_are_resumed)
{
    serve();
    expect_resumption(TLS1_2_VERSION, "one.test");
    expect_resumption(TLS1_2_VERSION, "two.test");
    end();
}

/* SIGHUP. */

static void expect_line(const char *expected)
{
    assert_string_equal(program_line(server), expected);
}

static void expect_serial(const char *name, long serial)
{
    struct tls *tls = tls_connect(port, name);
    assert_int_equal(tls_serial(tls), serial);
    tls_close(tls);
}

TEST(test_28_sighup_brings_new_certificates)
{
    serve();
    struct tls *open = tls_connect(port, "one.test");
    struct tls *slow = connect_narrow();
    tls_send(slow, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    tls_read_head(slow);
    int stalled = client_connect(port);
    for (int i = 0; i < 2; i++) {
        long one = certificate("one", "DNS:one.test");
        long two = certificate("two", "DNS:two.test");
        program_signal(server, SIGHUP);
        expect_line("Certificates reloaded");
        expect_serial("one.test", one);
        expect_serial("two.test", two);
        expect_body(tls_get(open, "/"), "Hello, TLS!\n");
    }
    read_big(slow, 0, BIG);
    struct tls *late =
        tls_begin(stalled, (struct tls_options){.name = "one.test"}, NULL);
    assert_non_null(late);
    expect_body(tls_get(late, "/"), "Hello, TLS!\n");
    tls_close(late);
    tls_close(slow);
    tls_close(open);
    end();
}

TEST(test_29_a_broken_certificate_changes_nothing)
{
    long one = certificate("one", "DNS:one.test");
    long two = certificate("two", "DNS:two.test");
    serve_with((struct run_options){0}, two_sites);
    struct tls *open = tls_connect(port, "one.test");
    certificate("one", "DNS:one.test");
    write_text("two.pem", "-----BEGIN CERTIFICATE-----\n");
    program_signal(server, SIGHUP);
    expect_line("Certificates kept");
    expect_serial("one.test", one);
    expect_serial("two.test", two);
    expect_body(tls_get(open, "/"), "Hello, TLS!\n");

    two = certificate("two", "DNS:two.test");
    program_signal(server, SIGHUP);
    expect_line("Certificates reloaded");
    expect_serial("two.test", two);
    tls_close(open);
    program_signal(server, SIGTERM);
    struct run r = program_wait(server);
    assert_exit(r, 0);
    assert_error_contains(r, "https_server: two.pem: ");
}

/* Many, and little of everything. */

TEST(test_30_one_thread_serves_fifty_at_once)
{
    enum { CLIENTS = 50 };
    struct tls *clients[CLIENTS];
    serve();
    int before = process_descriptors(pid);
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = tls_connect(port, i % 2 ? "one.test" : "two.test");
    for (int i = 0; i < CLIENTS; i++)
        tls_send(clients[i], "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    for (int i = CLIENTS - 1; i >= 0; i--)
        expect_body(tls_read(clients[i]), "Hello, TLS!\n");
    assert_int_equal(process_threads(pid), 1);
    for (int i = 0; i < CLIENTS; i++)
        tls_close(clients[i]);
    wait_until(process_descriptors(pid) == before);
    end();
}

TEST(test_31_running_out_of_descriptors_is_survived)
{
    serve();
    struct tls *old = tls_connect(port, "one.test");
    assert_true(tls_is_served(old));
    int before = process_descriptors(pid);
    process_limit_descriptors(pid, 2);
    struct tls *first = tls_connect(port, "one.test");
    struct tls *second = tls_connect(port, "two.test");
    assert_true(tls_is_served(first));
    assert_true(tls_is_served(second));

    int late = client_connect(port); /* in the queue of the listener */
    assert_true(tls_is_served(old));
    assert_true(tls_is_served(first));
    process_expect_asleep(pid);

    tls_reset(first);
    tls_reset(second);
    /* late may get one of their descriptors; the other is free then. */
    wait_until(process_descriptors(pid) <= before + 1);
    expect_served();
    assert_true(tls_is_served(old));
    process_limit_descriptors(pid, 20);
    client_reset(late);
    tls_close(old);
    end();
}

/* Connects clients one by one; at most one of them may find its connection
 * closed. */
static void expect_served_but_one(void)
{
    int refused = 0;
    for (int i = 0; i < 8; i++) {
        struct tls *tls =
            tls_try(port, (struct tls_options){.name = "one.test"}, NULL);
        refused += !tls || !tls_is_served(tls);
        if (tls)
            tls_close(tls);
    }
    assert_at_most(refused, 1);
    end();
}

TEST(test_32_calls_that_fail_are_survived)
{
    serve_with_faults(
        "accept:error=ECONNABORTED:when=1,accept4:error=ECONNABORTED:when=1,"
        "accept:error=EINTR:when=2,accept4:error=EINTR:when=2,"
        "accept:error=EMFILE:when=3,accept4:error=EMFILE:when=3,"
        "epoll_wait:error=EINTR:when=2,poll:error=EINTR:when=2,"
        "read:error=EINTR:when=1,recv:error=EINTR:when=1,"
        "recv:short=3:when=2..20,send:short=1:when=1..20");
    expect_served_but_one();
    serve_with_faults("epoll_ctl:error=ENOSPC:when=6");
    expect_served_but_one();
    serve_with_faults("malloc:error=ENOMEM:when=4,calloc:error=ENOMEM:when=4,"
                      "realloc:error=ENOMEM:when=4");
    expect_served_but_one();
}

TEST(test_33_it_sleeps_while_there_is_nothing_to_do)
{
    serve();
    struct tls *tls = tls_connect(port, "one.test");
    expect_body(tls_get(tls, "/"), "Hello, TLS!\n");
    int stalled = client_connect(port);
    struct tls *slow = connect_narrow();
    tls_send(slow, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    process_expect_idle(pid);
    close(stalled);
    tls_reset(slow);
    tls_close(tls);
    end();
}

TEST(test_34_sigterm_and_sigint_end_it_cleanly)
{
    static const int signals[] = {SIGTERM, SIGINT};
    for (int i = 0; i < 2; i++) {
        serve();
        int stalled = client_connect(port);
        struct tls *idle = tls_connect(port, "one.test");
        struct tls *slow = connect_narrow();
        tls_send(slow, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
        tls_read_head(slow);
        program_signal(server, signals[i]);
        assert_exit(program_wait(server), 0);
        close(stalled);
        tls_drop(idle);
        tls_drop(slow);
    }

    /* A client that has asked for much does not hold it up. */
    static const char request[] = "GET / HTTP/1.1\r\nHost:a\r\n\r\n";
    enum { LEN = sizeof(request) - 1, RECORDS = 3, EACH = 16384 / LEN };
    static char bytes[EACH * LEN], answers[1 << 20];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = request[i % LEN];
    serve();
    struct tls *busy = tls_connect(port, "one.test");
    struct http_reply answer = tls_get(busy, "/");
    size_t least = strlen(answer.head) + answer.body_len; /* TLS adds to it */
    process_stop(pid);
    for (int i = 0; i < RECORDS; i++)
        tls_send_bytes(busy, bytes, sizeof(bytes));
    program_signal(server, SIGTERM);
    process_continue(pid);
    assert_exit(program_wait(server), 0);
    if (receive_rest(busy->fd, answers, sizeof(answers)) >=
        least * EACH * RECORDS)
        fail_msg("%d requests, then SIGTERM\n"
                 "expected: it ends between two answers\n"
                 "actual:   it gives all answers before it ends",
                 EACH * RECORDS);
    tls_drop(busy);
}

/* Other people's clients. */

TEST(test_35_curl_agrees)
{
    test_need("curl");
    certificate_with((struct certificate_options){.expired = true}, "old",
                     "DNS:old.test");
    certificates();
    serve_with((struct run_options){0},
               (const char *const[]){"--cert", "one.pem", "--key", "one.key",
                                     "--cert", "two.pem", "--key", "two.key",
                                     "--cert", "old.pem", "--key", "old.key",
                                     NULL});
    struct run_options curl = {.program = "curl"};
    struct run r = run_with(
        curl, "--silent", "--cacert", "root.pem", "--http1.1", "--resolve",
        text("two.test:%d:127.0.0.1", port), text("https://two.test:%d/", port),
        text("https://two.test:%d/whoami", port));
    assert_exit(r, 0);
    assert_output_contains(r, "Hello, TLS!\n");
    assert_output_contains(r, "name: two.test\nalpn: http/1.1\n");

    enum { CONNECT_ERROR = 35, BAD_CERTIFICATE = 60 };
    r = run_with(curl, "--silent", "--cacert", "root.pem", "--resolve",
                 text("old.test:%d:127.0.0.1", port),
                 text("https://old.test:%d/", port));
    assert_exit(r, BAD_CERTIFICATE);
    r = run_with(curl, "--silent", "--cacert", "root.pem", "--resolve",
                 text("wrong.test:%d:127.0.0.1", port),
                 text("https://wrong.test:%d/", port));
    assert_exit(r, BAD_CERTIFICATE);
    r = run_with(curl, "--silent", "--insecure", "--ciphers",
                 "ECDHE-ECDSA-AES128-SHA", "--tls-max", "1.2",
                 text("https://127.0.0.1:%d/", port));
    assert_exit(r, CONNECT_ERROR);
    expect_served();
    end();
}

TEST(test_36_openssl_s_client_agrees)
{
    test_need("openssl");
    serve();
    struct run_options client = {
        .program = "openssl",
        .input = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"};
    struct run r =
        run_with(client, "s_client", "-connect", text("127.0.0.1:%d", port),
                 "-servername", "two.test", "-verify_hostname", "two.test",
                 "-CAfile", "root.pem", "-alpn", "h2,http/1.1", "-ign_eof");
    assert_exit(r, 0);
    assert_output_contains(r, "Verify return code: 0 (ok)");
    assert_output_contains(r, "ALPN protocol: http/1.1");
    assert_output_contains(r, "\r\n\r\nHello, TLS!\n");
    r = run_with(client, "s_client", "-connect", text("127.0.0.1:%d", port),
                 "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0", "-ign_eof");
    assert_exit(r, 1);
    end();
}
