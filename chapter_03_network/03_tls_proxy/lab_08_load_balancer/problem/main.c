/*
 * Lab 8: load balancer
 *
 * Goal: a reverse proxy that chooses well: by turns, by weight, by who is
 * least busy, by chance, by client; that leaves sick backends alone, lets
 * those that return begin slowly, and ends without cutting anybody off.
 *
 * Requirements (load_balancer.h and README.md have them in full):
 * 1. The functions of load_balancer.h, in balancer.c. They know no clock, no
 *    socket and no randomness but what they are given.
 * 2. Here: the address and weight of a backend, GET /stats, and SIGTERM.
 *
 * The forwarding is that of lab 7, finished, and given: forward.c, heads.c,
 * body.c and upstream.c are links into its solution. checks.c (asks backends
 * how they are), simulate.c and backends.c are given, too. Leave them as they
 * are.
 *
 * Hints:
 * - Begin with balancer.c: tests 01 to 21 and 34 need nothing else.
 * - First find the candidates and their weights, then choose among them: so no
 *   strategy has to know why somebody is missing.
 * - Round robin is "weighted" with all weights equal.
 * - Compare (active + 1) / weight without dividing: a / b < c / d if a * d <
 *   c * b.
 * - Stuck? make hint
 *
 * Verification:
 *     make test
 *     make run ARGS="--simulate"
 *     make run ARGS="--port 8080 --backend 127.0.0.1:9001 --backend …"
 *
 * Acceptance criteria:
 * [ ] make test passes all tests
 * [ ] no function of balancer.c looks at a clock
 * [ ] a backend that leaves takes only its own clients along
 * [ ] a sick backend costs five requests, and a sick service no more than a
 *     fifth of retries
 * [ ] SIGTERM cuts nobody off, and has an end
 * [ ] make run ARGS=--simulate: you can explain each of the five rows
 */
#include "backends.h"
#include "checks.h"
#include "forward.h"
#include "load_balancer.h"
#include "simulate.h"
#include "timing.h"
#include "todo.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    EVENTS = 256,      /* taken from the kernel at once */
    RETRY_MS = 100,    /* without a free descriptor, look again after this */
    MOST_MS = 3600000, /* of every option */
    STATS_ROOM = 16 * 1024,
};

struct options {
    bool simulate, csv;
    int port, timeout_ms, drain_ms;
    int check_ms, check_timeout_ms;
    const char *check_path; /* NULL: no checks */
    struct balancer_options balancer;
};

static struct {
    int listener, signals;
    uint64_t stopped_ns; /* when accepting had to stop; 0: it goes on */
    uint64_t drained_ns; /* when draining ends at the latest; 0: it serves */
    struct worker worker;
    struct checks checks;
    struct balancer *balancer;
} server;

_Noreturn static void usage(void)
{
    fputs("usage: load_balancer [--port PORT] [--strategy NAME] "
          "[--timeout-ms MS]\n"
          "           [--drain-ms MS] [--check-path PATH] [--check-ms MS]\n"
          "           [--check-timeout-ms MS] --backend ADDRESS:PORT[*WEIGHT] "
          "...\n"
          "       load_balancer --simulate [--csv]\n",
          stderr);
    exit(2);
}

static int parse_number(const char *text, long least, long most)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno || number < least ||
        number > most)
        usage();
    return (int)number;
}

/* Adds ADDRESS:PORT or ADDRESS:PORT*WEIGHT to the options, or ends in usage().
 * text may be changed. */
static void parse_backend(char *text, struct balancer_options *options)
{
    todo("parse_backend");
}

static enum strategy parse_strategy(const char *name)
{
    for (enum strategy s = ROUND_ROBIN; s <= CONSISTENT_HASH; s++)
        if (strcmp(name, strategy_names[s]) == 0)
            return s;
    usage();
}

/* What may stand in the first line of a request. */
static const char *parse_path(const char *text)
{
    size_t len = strlen(text);
    if (*text != '/' || len > 1000)
        usage();
    for (size_t i = 0; i < len; i++)
        if (text[i] <= ' ' || text[i] > '~' || text[i] == '#')
            usage();
    return text;
}

static struct options parse_arguments(int argc, char **argv)
{
    static const struct option names[] = {
        {"port", required_argument, NULL, 'p'},
        {"strategy", required_argument, NULL, 's'},
        {"timeout-ms", required_argument, NULL, 't'},
        {"drain-ms", required_argument, NULL, 'd'},
        {"check-path", required_argument, NULL, 'c'},
        {"check-ms", required_argument, NULL, 'm'},
        {"check-timeout-ms", required_argument, NULL, 'l'},
        {"backend", required_argument, NULL, 'b'},
        {"simulate", no_argument, NULL, 'S'},
        {"csv", no_argument, NULL, 'C'},
        {0}};
    struct options options = {.timeout_ms = 30000,
                              .drain_ms = 10000,
                              .check_ms = 2000,
                              .check_timeout_ms = 1000};
    int option, serving = 0;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        serving += option != 'S' && option != 'C';
        if (option == 'p')
            options.port = parse_number(optarg, 0, 65535);
        else if (option == 's')
            options.balancer.strategy = parse_strategy(optarg);
        else if (option == 't')
            options.timeout_ms = parse_number(optarg, 1, MOST_MS);
        else if (option == 'd')
            options.drain_ms = parse_number(optarg, 0, MOST_MS);
        else if (option == 'c')
            options.check_path = parse_path(optarg);
        else if (option == 'm')
            options.check_ms = parse_number(optarg, 1, MOST_MS);
        else if (option == 'l')
            options.check_timeout_ms = parse_number(optarg, 1, MOST_MS);
        else if (option == 'b')
            parse_backend(optarg, &options.balancer);
        else if (option == 'S')
            options.simulate = true;
        else if (option == 'C')
            options.csv = true;
        else
            usage();
    }
    if (optind != argc || (options.csv && !options.simulate) ||
        (options.simulate ? serving > 0 : options.balancer.count == 0))
        usage();
    if (options.check_path)
        options.balancer.check_ns = (uint64_t)options.check_ms * 1000000;
    options.balancer.seed = now_ns(); /* another one than our neighbours' */
    return options;
}

/* The whole response to GET and HEAD for /stats, and its length; 0 for all
 * other requests: they are for backends (worker.answer in forward.h). There is
 * room for 32 KiB. */
static size_t answer_stats(const struct http_head *request, char *out,
                           size_t size)
{
    todo("answer_stats");
}

/* Returns a socket that listens, and in *port where. */
static int open_listener(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)*port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof(address);
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
        bind(fd, (struct sockaddr *)&address, len) == -1 ||
        listen(fd, SOMAXCONN) == -1 ||
        getsockname(fd, (struct sockaddr *)&address, &len) == -1)
        err(1, "127.0.0.1:%d", *port);
    *port = ntohs(address.sin_port);
    return fd;
}

/* SIGTERM and SIGINT become readable on a descriptor. */
static int open_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd == -1)
        err(1, "signalfd");
    return fd;
}

/* An event of fd comes with this pointer. */
static bool watch(int fd, void *pointer)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = pointer};
    return epoll_ctl(server.worker.epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* Accepts one client. Without a descriptor or memory the listener is left
 * alone for a while. */
static void accept_one(void)
{
    struct sockaddr_in peer = {0};
    socklen_t len = sizeof(peer);
    int fd = accept4(server.listener, (struct sockaddr *)&peer, &len,
                     SOCK_NONBLOCK | SOCK_CLOEXEC);
    bool pause = fd != -1 ? !forward_open(&server.worker, fd, &peer)
                          : errno == EMFILE || errno == ENFILE ||
                                errno == ENOMEM || errno == ENOBUFS;
    if (pause && epoll_ctl(server.worker.epoll, EPOLL_CTL_DEL, server.listener,
                           NULL) == 0)
        server.stopped_ns = server.worker.now_ns;
}

/* A signal has come: read it from server.signals. run() ends when drained_ns is
 * set, and has passed or all clients have gone. A listener that is closed is
 * set to -1. */
static void handle_signal(int drain_ms)
{
    todo("handle_signal");
}

static int earlier(int one_ms, int other_ms)
{
    if (one_ms == -1 || other_ms == -1)
        return one_ms == -1 ? other_ms : one_ms;
    return one_ms < other_ms ? one_ms : other_ms;
}

/* Does what is due by the clock. Returns the milliseconds until something
 * will be, -1 for never. */
static int run_timers(void)
{
    uint64_t now = now_ns();
    int next_ms = forward_expire(&server.worker, now);
    next_ms = earlier(next_ms, checks_run(&server.checks, now));
    if (server.drained_ns) {
        uint64_t left = server.drained_ns > now ? server.drained_ns - now : 0;
        return earlier(next_ms, (int)((left + 999999) / 1000000));
    }
    if (server.stopped_ns && now - server.stopped_ns >= RETRY_MS * 1000000 &&
        watch(server.listener, &server.listener))
        server.stopped_ns = 0;
    return server.stopped_ns ? earlier(next_ms, RETRY_MS) : next_ms;
}

static bool is_over(void)
{
    return server.drained_ns &&
           (server.worker.num_clients == 0 || now_ns() >= server.drained_ns);
}

static void run(const struct options *options)
{
    struct epoll_event events[EVENTS];
    struct worker *worker = &server.worker;
    while (!is_over()) {
        int count = epoll_wait(worker->epoll, events, EVENTS, run_timers());
        if (count == -1 && errno != EINTR)
            err(1, "epoll_wait");
        worker->now_ns = now_ns();
        for (int i = 0; i < count; i++) {
            void *what = events[i].data.ptr;
            if (what == &server.signals)
                handle_signal(options->drain_ms);
            else if (what == &server.listener && server.listener != -1)
                accept_one();
            else if (what != &server.listener &&
                     !checks_event(&server.checks, what, worker->now_ns))
                forward_event(worker, what);
        }
        forward_sweep(worker);
    }
}

static void serve(struct options *options)
{
    struct backends backends = {balancer_new(&options->balancer, now_ns())};
    if (!backends.balancer)
        err(1, "balancer");
    server.balancer = backends.balancer;
    server.signals = open_signals();
    server.listener = open_listener(&options->port);
    server.worker = (struct worker){.epoll = epoll_create1(EPOLL_CLOEXEC),
                                    .backends = &backends,
                                    .timeout_ms = options->timeout_ms,
                                    .answer = answer_stats};
    checks_open(&server.checks, &server.worker, server.balancer,
                options->check_path, options->check_timeout_ms);
    if (server.worker.epoll == -1 || !watch(server.signals, &server.signals) ||
        !watch(server.listener, &server.listener))
        err(1, "epoll");
    printf("Listening on 127.0.0.1:%d\n", options->port);
    fflush(stdout); /* nothing can fail any more */

    run(options);

    forward_close_all(&server.worker);
    checks_close(&server.checks);
    char stats[STATS_ROOM];
    ssize_t len =
        balancer_stats(server.balancer, now_ns(), stats, sizeof(stats));
    fwrite(stats, 1, len > 0 ? (size_t)len : 0, stdout);
    balancer_free(server.balancer);
    if (server.listener != -1)
        close(server.listener);
    close(server.signals);
    close(server.worker.epoll);
}

int main(int argc, char **argv)
{
    struct options options = parse_arguments(argc, argv);
    if (!options.simulate)
        serve(&options);
    else if (simulate(options.csv) == -1)
        err(1, "simulate");
    return 0;
}
