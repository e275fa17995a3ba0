/*
 * Lab 6: https_server
 *
 * Goal: HTTP over TLS, in one thread that waits for nobody: handshakes,
 * certificates chosen by name and reloaded, resumption, a proper end.
 *
 *     https_server --cert FILE --key FILE [--cert FILE --key FILE]...
 *                  [--port PORT] [--timeout-ms N]
 *
 * Requirements (the lab's README has them in full):
 * 1. TLS 1.2 and 1.3; of 1.2 only suites with ECDHE and AES-GCM or ChaCha20.
 * 2. The name that the client asks for chooses the certificate (SNI); of the
 *    protocols it offers http/1.1 is taken (ALPN), or the handshake fails.
 * 3. A handshake that stalls holds nobody, and ends when its time is over.
 * 4. Sessions are resumed. SIGHUP loads the certificates anew, all or none.
 * 5. Every end is announced (close_notify), and cuts no answer.
 *
 * Hints:
 * - answers.c is given: what HTTP says is not the subject here. Nor is the
 *   parser (http.h).
 * - Begin with one certificate, shake_hands and serve. Everything that
 *   OpenSSL cannot do now, it says through SSL_get_error.
 * - Names, protocols, versions and suites are settings of an SSL_CTX:
 *   sites.c. Few lines each; which ones is the question.
 * - Stuck? make hint
 *
 * Verification:
 *     make test
 *     make run ARGS="--cert one.pem --key one.key --port 8443"
 *     curl --insecure https://127.0.0.1:8443/whoami
 *
 * Acceptance criteria:
 * [ ] make test passes all tests
 * [ ] one thread serves all, and no client can hold it up
 * [ ] curl and openssl s_client agree with what /whoami says
 * [ ] the second connection of a client is resumed
 * [ ] certificates are renewed while connections are open
 */
#include "server.h"
#include "timing.h"
#include "todo.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    EVENTS = 256,         /* taken from the kernel at once */
    RETRY_NS = 100000000, /* without a descriptor, look again after this */
    TIMEOUT_MS = 10000,   /* unless --timeout-ms says else */
};

struct server server;

_Noreturn static void usage(void)
{
    fputs("usage: https_server --cert FILE --key FILE "
          "[--cert FILE --key FILE]... [--port PORT] [--timeout-ms N]\n",
          stderr);
    exit(2);
}

/* Reads the command line into server; one that makes no sense ends in
 * usage(). */
static void parse_arguments(int argc, char **argv)
{
    todo("parse_arguments");
    usage();
}

static int open_listener(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)server.port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof(address);
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
        bind(fd, (struct sockaddr *)&address, len) == -1 ||
        listen(fd, SOMAXCONN) == -1 ||
        getsockname(fd, (struct sockaddr *)&address, &len) == -1)
        err(1, "127.0.0.1:%d", server.port);
    server.port = ntohs(address.sin_port);
    return fd;
}

static int open_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd == -1)
        err(1, "signalfd");
    return fd;
}

int watch(int operation, int fd, uint32_t events, void *owner)
{
    struct epoll_event event = {.events = events, .data.ptr = owner};
    return epoll_ctl(server.epoll, operation, fd, &event);
}

static void stop_accepting(void)
{
    if (watch(EPOLL_CTL_DEL, server.listener, 0, NULL) == 0)
        server.accepting = false;
    server.retry_at = now_ns() + RETRY_NS;
}

void start_accepting(void)
{
    if (server.accepting)
        return;
    server.accepting =
        watch(EPOLL_CTL_ADD, server.listener, EPOLLIN, &server.listener) == 0;
    server.retry_at = now_ns() + RETRY_NS; /* if that has failed */
}

/* One connection a turn: there are others to serve. */
static void accept_one(void)
{
    int fd = accept4(server.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd != -1)
        connection_open(fd);
    else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
             errno == ENOBUFS)
        stop_accepting(); /* or epoll_wait would return at once, for ever */
}

/* Reads what open_signals() opened. Returns false when the server has to
 * end. */
static bool take_signal(void)
{
    todo("take_signal");
}

/* How long epoll_wait may sleep: until the first deadline. */
static int timeout_ms(void)
{
    uint64_t next = connections_close_late(), now = now_ns();
    if (!server.accepting && server.retry_at < next)
        next = server.retry_at;
    if (next == UINT64_MAX)
        return -1;
    return next > now ? 1 + (int)((next - now) / 1000000) : 0;
}

static void run(void)
{
    struct epoll_event events[EVENTS];
    for (;;) {
        int count = epoll_wait(server.epoll, events, EVENTS, timeout_ms());
        if (count == -1 && errno != EINTR)
            err(1, "epoll_wait");
        if (!server.accepting && now_ns() >= server.retry_at)
            start_accepting();
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == &server.listener)
                accept_one();
            else if (events[i].data.ptr != &server.signals)
                connection_advance(events[i].data.ptr);
            else if (!take_signal())
                return;
        }
    }
}

int main(int argc, char **argv)
{
    parse_arguments(argc, argv);
    server.hurried.next = server.hurried.previous = &server.hurried;
    server.unhurried.next = server.unhurried.previous = &server.unhurried;
    server.signals = open_signals();
    if (sites_load() == -1)
        return 1;
    server.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (server.epoll == -1)
        err(1, "epoll_create1");
    server.listener = open_listener();
    start_accepting();
    if (!server.accepting ||
        watch(EPOLL_CTL_ADD, server.signals, EPOLLIN, &server.signals) == -1)
        err(1, "epoll_ctl");
    dprintf(STDOUT_FILENO, "Listening on 127.0.0.1:%d\n", server.port);
    run();
    connections_close_all();
    sites_release();
    close(server.listener);
    close(server.epoll);
    close(server.signals);
    return 0;
}
