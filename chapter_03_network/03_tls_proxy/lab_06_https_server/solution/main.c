/*
 * https_server - HTTP over TLS; one thread, epoll, OpenSSL.
 *
 * OpenSSL reads and writes the sockets. They are non-blocking, so each of its
 * calls may say that it has to wait for input or for room, and that becomes
 * what epoll watches.
 */
#include "server.h"
#include "timing.h"

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

static long parse_number(const char *text, long least, long most)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno || number < least ||
        number > most)
        usage();
    return number;
}

static void parse_arguments(int argc, char **argv)
{
    static const struct option names[] = {
        {"cert", required_argument, NULL, 'c'},
        {"key", required_argument, NULL, 'k'},
        {"port", required_argument, NULL, 'p'},
        {"timeout-ms", required_argument, NULL, 't'},
        {0}};
    long most_ms = TIMEOUT_MS;
    int num_keys = 0, option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (option == 'c' && server.num_sites < MAX_SITES)
            server.sites[server.num_sites++].cert = optarg;
        else if (option == 'k' && num_keys < MAX_SITES)
            server.sites[num_keys++].key = optarg;
        else if (option == 'p')
            server.port = (int)parse_number(optarg, 0, 65535);
        else if (option == 't')
            most_ms = parse_number(optarg, 1, 3600000);
        else
            usage();
    }
    if (optind != argc || num_keys == 0 || num_keys != server.num_sites)
        usage();
    server.timeout_ns = (uint64_t)most_ms * 1000000;
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

/* Returns false when the server has to end. */
static bool take_signal(void)
{
    struct signalfd_siginfo info;
    if (read(server.signals, &info, sizeof(info)) != sizeof(info))
        return true;
    if (info.ssi_signo != SIGHUP)
        return false;
    dprintf(STDOUT_FILENO, "Certificates %s\n",
            sites_load() == 0 ? "reloaded" : "kept");
    return true;
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
