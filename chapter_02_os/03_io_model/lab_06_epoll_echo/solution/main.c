/*
 * epoll_echo - sends back what it receives; one thread, epoll.
 *
 * All descriptors are non-blocking, and the thread sleeps in one place only:
 * epoll_wait(2). What is read goes back at once. Bytes that the client does
 * not take yet are held, and until they are gone nothing more is read from
 * it: so a connection never holds more than one buffer, and when its end is
 * read everything has gone back.
 */
#include "timing.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BUFFER = 64 * 1024,
    EVENTS = 256,         /* taken from the kernel at once */
    RETRY_NS = 100000000, /* without a descriptor, look again after this */
};

struct options {
    const char *host;
    int port;
};

struct connection {
    int fd;
    struct sockaddr_in peer;
    char *held; /* bytes that wait to go back, or NULL */
    size_t held_len, held_sent;
    struct connection *next, **link; /* link points here */
};

static struct {
    int epoll, listener, signals;
    struct sockaddr_in address; /* where it listens */
    bool accepting;             /* the listener is watched */
    uint64_t retry_at;          /* if it is not: when it will be again, in ns */
    struct connection *connections;
} server;

_Noreturn static void usage(void)
{
    fputs("usage: epoll_echo [--host ADDRESS] [--port PORT]\n", stderr);
    exit(2);
}

static int parse_port(const char *text)
{
    char *end;
    errno = 0;
    long port = strtol(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno || port > 65535)
        usage();
    return (int)port;
}

static struct options parse_arguments(int argc, char **argv)
{
    static const struct option names[] = {
        {"host", required_argument, NULL, 'h'},
        {"port", required_argument, NULL, 'p'},
        {0}};
    struct options options = {.host = "127.0.0.1"};
    struct in_addr address;
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (option == 'h')
            options.host = optarg;
        else if (option == 'p')
            options.port = parse_port(optarg);
        else
            usage();
    }
    if (optind != argc || inet_pton(AF_INET, options.host, &address) != 1)
        usage();
    return options;
}

/* One write for a line, and no error: a log that nobody reads stops no
 * server. */
static void log_peer(const char *what, const struct sockaddr_in *peer)
{
    char host[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &peer->sin_addr, host, sizeof(host));
    dprintf(STDOUT_FILENO, "%s %s:%d\n", what, host, ntohs(peer->sin_port));
}

static int open_listener(const struct options *options)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)options->port)};
    inet_pton(AF_INET, options->host, &address.sin_addr);
    socklen_t len = sizeof(address);
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
        bind(fd, (struct sockaddr *)&address, len) == -1 ||
        listen(fd, SOMAXCONN) == -1 ||
        getsockname(fd, (struct sockaddr *)&address, &len) == -1)
        err(1, "%s:%d", options->host, options->port);
    server.address = address;
    return fd;
}

/* SIGTERM and SIGINT become readable on a descriptor, like all else. */
static int open_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN); /* a client that is gone is an error of write */
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd == -1)
        err(1, "signalfd");
    return fd;
}

static int watch(int operation, int fd, uint32_t events, void *owner)
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

static void start_accepting(void)
{
    if (server.accepting)
        return;
    server.accepting =
        watch(EPOLL_CTL_ADD, server.listener, EPOLLIN, &server.listener) == 0;
    server.retry_at = now_ns() + RETRY_NS; /* if that has failed */
}

/* How long epoll_wait may sleep. Every event ends its sleep, so what is left
 * until retry_at is reckoned anew each time. */
static int timeout_ms(void)
{
    if (server.accepting)
        return -1;
    int64_t left = (int64_t)(server.retry_at - now_ns());
    return left > 0 ? 1 + (int)(left / 1000000) : 0;
}

static void connection_close(struct connection *connection)
{
    *connection->link = connection->next;
    if (connection->next)
        connection->next->link = connection->link;
    close(connection->fd); /* epoll forgets it, too */
    log_peer("Connection closed:", &connection->peer);
    free(connection->held);
    free(connection);
    start_accepting(); /* a descriptor is free */
}

static void connection_open(int fd, const struct sockaddr_in *peer)
{
    int on = 1;
    struct connection *connection = malloc(sizeof(*connection));
    if (!connection || watch(EPOLL_CTL_ADD, fd, EPOLLIN, connection) == -1) {
        warn("a connection is refused");
        free(connection);
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    *connection = (struct connection){.fd = fd,
                                      .peer = *peer,
                                      .next = server.connections,
                                      .link = &server.connections};
    if (connection->next)
        connection->next->link = &connection->next;
    server.connections = connection;
    log_peer("New connection from", peer);
}

/* One connection a turn: there are others to serve. */
static void accept_one(void)
{
    struct sockaddr_in peer = {0};
    socklen_t len = sizeof(peer);
    int fd = accept4(server.listener, (struct sockaddr *)&peer, &len,
                     SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd != -1)
        connection_open(fd, &peer);
    else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
             errno == ENOBUFS)
        stop_accepting(); /* or epoll_wait would return at once, for ever */
}

/* The call could not be made now; that is no error. */
static bool would_wait(ssize_t n)
{
    return n == -1 && (errno == EAGAIN || errno == EINTR);
}

/* Keeps what the client does not take yet, and reads no more until it does. */
static bool hold(struct connection *connection, const char *bytes, size_t len)
{
    connection->held = malloc(len);
    if (!connection->held)
        return false;
    memcpy(connection->held, bytes, len);
    connection->held_len = len;
    connection->held_sent = 0;
    return watch(EPOLL_CTL_MOD, connection->fd, EPOLLOUT, connection) == 0;
}

/* Returns false when the connection is at its end, here and below. */
static bool echo(struct connection *connection)
{
    static char buf[BUFFER];
    ssize_t len = read(connection->fd, buf, sizeof(buf));
    if (len <= 0)
        return would_wait(len);
    ssize_t sent = write(connection->fd, buf, (size_t)len);
    if (sent == len)
        return true;
    if (would_wait(sent))
        sent = 0;
    return sent >= 0 && hold(connection, buf + sent, (size_t)(len - sent));
}

static bool send_held(struct connection *connection)
{
    ssize_t sent =
        write(connection->fd, connection->held + connection->held_sent,
              connection->held_len - connection->held_sent);
    if (sent == -1)
        return would_wait(sent);
    connection->held_sent += (size_t)sent;
    if (connection->held_sent < connection->held_len)
        return true;
    free(connection->held);
    connection->held = NULL;
    return watch(EPOLL_CTL_MOD, connection->fd, EPOLLIN, connection) == 0;
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
            struct connection *connection = events[i].data.ptr;
            if (events[i].data.ptr == &server.signals)
                return;
            if (events[i].data.ptr == &server.listener)
                accept_one();
            else if (!(connection->held ? send_held : echo)(connection))
                connection_close(connection);
        }
    }
}

int main(int argc, char **argv)
{
    struct options options = parse_arguments(argc, argv);
    server.signals = open_signals();
    server.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (server.epoll == -1)
        err(1, "epoll_create1");
    server.listener = open_listener(&options);
    start_accepting();
    if (!server.accepting ||
        watch(EPOLL_CTL_ADD, server.signals, EPOLLIN, &server.signals) == -1)
        err(1, "epoll_ctl");
    log_peer("Listening on", &server.address); /* nothing can fail any more */
    run();
    for (struct connection *c = server.connections, *next; c; c = next) {
        next = c->next;
        connection_close(c);
    }
    close(server.listener);
    close(server.epoll);
    close(server.signals);
    return 0;
}
