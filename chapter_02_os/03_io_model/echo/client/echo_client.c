/*
 * echo_client - opens many connections to an echo server at once and keeps a
 * message going on each.
 *
 *     echo_client --port PORT [--host ADDRESS] [--connections N] [--size BYTES]
 *                 [--seconds S] [--pid PID]
 *
 * On each connection a message goes out, comes back, is compared, and goes out
 * again. Printed are messages per second and how long one of them took. With
 * --pid it looks at the server, too: CPU time for each message, memory for
 * each connection that has said one thing and is idle, threads.
 *
 * Results are lines of "name value", for people and for awk.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    MOST_SIZE = 1 << 20,
    AT_ONCE = 256, /* connections being opened; a listen queue has room */
    EVENTS = 256,  /* taken from the kernel at once */
    STEPS = 32,    /* of the histogram, in each power of two */
    BUCKETS = 40 * STEPS,
};

struct options {
    const char *host;
    int port, connections, size, pid;
    double seconds;
};

struct connection {
    int fd;
    int sent, got; /* bytes of the message in flight */
    uint64_t start_ns;
};

static struct options options = {
    .host = "127.0.0.1", .connections = 1, .size = 64, .seconds = 1};
static struct connection *connections;
static int epoll;
static char message[MOST_SIZE];
static long histogram[BUCKETS];
static long messages;

_Noreturn static void usage(void)
{
    fputs("usage: echo_client --port PORT [--host ADDRESS] [--connections N]\n"
          "                   [--size BYTES] [--seconds S] [--pid PID]\n",
          stderr);
    exit(2);
}

static int number(const char *text, int least, int most)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (end == text || *end != '\0' || errno || value < least || value > most)
        usage();
    return (int)value;
}

static void parse_arguments(int argc, char **argv)
{
    static const struct option names[] = {
        {"host", required_argument, NULL, 'h'},
        {"port", required_argument, NULL, 'p'},
        {"connections", required_argument, NULL, 'c'},
        {"size", required_argument, NULL, 's'},
        {"seconds", required_argument, NULL, 't'},
        {"pid", required_argument, NULL, 'i'},
        {0}};
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (option) {
        case 'h':
            options.host = optarg;
            break;
        case 'p':
            options.port = number(optarg, 1, 65535);
            break;
        case 'c':
            options.connections = number(optarg, 1, 1000000);
            break;
        case 's':
            options.size = number(optarg, 1, MOST_SIZE);
            break;
        case 't':
            options.seconds = atof(optarg);
            break;
        case 'i':
            options.pid = number(optarg, 1, 1 << 30);
            break;
        default:
            usage();
        }
    }
    if (optind != argc || options.port == 0 || options.seconds <= 0)
        usage();
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The latency histogram: STEPS buckets for each power of two. */

static int bucket(uint64_t ns)
{
    if (ns < STEPS)
        return (int)ns;
    int power = 63 - __builtin_clzll(ns), shift = power - 5;
    int index = (shift + 1) * STEPS + (int)(ns >> shift) - STEPS;
    return index < BUCKETS ? index : BUCKETS - 1;
}

static double bucket_us(int index)
{
    if (index < STEPS)
        return index / 1e3;
    int shift = index / STEPS - 1;
    return (double)((uint64_t)(index % STEPS + STEPS) << shift) / 1e3;
}

static double percentile_us(double share)
{
    long wanted = (long)(share * (double)messages), seen = 0;
    int i = 0;
    while (i < BUCKETS - 1 && (seen += histogram[i]) <= wanted)
        i++;
    return bucket_us(i);
}

/* What the kernel says of the server. */

struct server_state {
    long rss_kb, threads;
    double cpu_us;
};

static long status_number(const char *status, const char *label)
{
    const char *at = strstr(status, label);
    return at ? strtol(at + strlen(label), NULL, 10) : 0;
}

static size_t read_proc(const char *file, char *buf, size_t size)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/%s", options.pid, file);
    FILE *stream = fopen(path, "re");
    if (!stream)
        err(1, "%s", path);
    size_t len = fread(buf, 1, size - 1, stream);
    fclose(stream);
    buf[len] = '\0';
    return len;
}

static struct server_state look_at_server(void)
{
    struct server_state state = {0};
    char text[8192];
    if (options.pid == 0)
        return state;
    read_proc("status", text, sizeof(text));
    state.rss_kb = status_number(text, "VmRSS:");
    state.threads = status_number(text, "Threads:");
    read_proc("stat", text, sizeof(text));
    unsigned long user, system; /* fields 14 and 15; 3 is behind the name */
    const char *name_end = strrchr(text, ')');
    if (!name_end ||
        sscanf(name_end + 1,
               " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
               &system) != 2)
        errx(1, "cannot read /proc/%d/stat", options.pid);
    state.cpu_us = (double)(user + system) * 1e6 / (double)sysconf(_SC_CLK_TCK);
    return state;
}

/* Connections. */

static void allow_descriptors(int wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
        err(1, "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) == -1)
        err(1, "setrlimit");
    if (limit.rlim_cur < (rlim_t)wanted + 16)
        errx(1, "%d connections need a higher limit of descriptors: ulimit -n",
             wanted);
}

static void watch(int operation, struct connection *c, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(epoll, operation, c->fd, &event) == -1)
        err(1, "epoll_ctl");
}

static void begin_connecting(struct connection *c)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)options.port)};
    if (inet_pton(AF_INET, options.host, &address.sin_addr) != 1)
        usage();
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd == -1)
        err(1, "socket");
    if (connect(c->fd, (struct sockaddr *)&address, sizeof(address)) == -1 &&
        errno != EINPROGRESS)
        err(1, "%s:%d", options.host, options.port);
    watch(EPOLL_CTL_ADD, c, EPOLLOUT);
}

static void connected(struct connection *c)
{
    int error, on = 1;
    socklen_t len = sizeof(error);
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
        err(1, "getsockopt");
    if (error != 0) {
        errno = error;
        err(1, "%s:%d", options.host, options.port);
    }
    /* Closing with a reset leaves no TIME_WAIT: ports are few. */
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    watch(EPOLL_CTL_MOD, c, EPOLLIN);
}

static int wait_for_events(struct epoll_event *events)
{
    int count;
    do
        count = epoll_wait(epoll, events, EVENTS, -1);
    while (count == -1 && errno == EINTR);
    if (count == -1)
        err(1, "epoll_wait");
    return count;
}

static void connect_all(void)
{
    struct epoll_event events[EVENTS];
    int begun = 0, done = 0;
    while (done < options.connections) {
        while (begun < options.connections && begun - done < AT_ONCE)
            begin_connecting(&connections[begun++]);
        int count = wait_for_events(events);
        for (int i = 0; i < count; i++)
            connected(events[i].data.ptr);
        done += count;
    }
}

/* Messages. */

static void send_more(struct connection *c)
{
    ssize_t n = send(c->fd, message + c->sent, (size_t)(options.size - c->sent),
                     MSG_NOSIGNAL);
    if (n == -1 && errno != EAGAIN && errno != EINTR)
        err(1, "send");
    c->sent += n > 0 ? (int)n : 0;
    if (c->sent < options.size)
        watch(EPOLL_CTL_MOD, c, EPOLLIN | EPOLLOUT);
}

static void begin_message(struct connection *c)
{
    c->sent = c->got = 0;
    c->start_ns = now_ns();
    send_more(c);
}

/* Returns whether the message is back. */
static bool receive(struct connection *c)
{
    static char buf[MOST_SIZE];
    ssize_t n = recv(c->fd, buf, (size_t)(options.size - c->got), 0);
    if (n == -1 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n == -1)
        err(1, "recv");
    if (n == 0)
        errx(1, "the server has closed a connection");
    if (memcmp(buf, message + c->got, (size_t)n) != 0)
        errx(1, "other bytes came back than were sent");
    c->got += (int)n;
    return c->got == options.size;
}

static bool handle(const struct epoll_event *event)
{
    struct connection *c = event->data.ptr;
    if (event->events & EPOLLOUT) {
        watch(EPOLL_CTL_MOD, c, EPOLLIN);
        send_more(c);
    }
    return event->events & ~(uint32_t)EPOLLOUT && receive(c);
}

/* Every connection says one thing and hears it. */
static void greet(void)
{
    struct epoll_event events[EVENTS];
    int back = 0;
    for (int i = 0; i < options.connections; i++)
        begin_message(&connections[i]);
    while (back < options.connections) {
        int count = wait_for_events(events);
        for (int i = 0; i < count; i++)
            back += handle(&events[i]);
    }
}

/* Keeps a message going on each connection until then. */
static void talk(uint64_t end_ns)
{
    struct epoll_event events[EVENTS];
    uint64_t now = now_ns();
    while (now < end_ns) {
        int count = wait_for_events(events);
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (!handle(&events[i]))
                continue;
            now = now_ns();
            histogram[bucket(now - c->start_ns)]++;
            messages++;
            begin_message(c);
        }
    }
}

int main(int argc, char **argv)
{
    enum { WARM_UP_NS = 200000000 };
    parse_arguments(argc, argv);
    allow_descriptors(options.connections);
    for (int i = 0; i < options.size; i++)
        message[i] = (char)('a' + i % 26);
    connections = calloc((size_t)options.connections, sizeof(*connections));
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!connections || epoll == -1)
        err(1, "no memory for %d connections", options.connections);

    struct server_state empty = look_at_server();
    connect_all();
    greet();
    struct server_state idle = look_at_server();
    for (int i = 0; i < options.connections; i++)
        begin_message(&connections[i]);
    talk(now_ns() + WARM_UP_NS);

    messages = 0;
    memset(histogram, 0, sizeof(histogram));
    struct server_state before = look_at_server();
    uint64_t start_ns = now_ns();
    talk(start_ns + (uint64_t)(options.seconds * 1e9));
    double seconds = (double)(now_ns() - start_ns) / 1e9;
    struct server_state after = look_at_server();

    printf("connections %d\n", options.connections);
    printf("messages_per_s %.0f\n", (double)messages / seconds);
    printf("p50_us %.1f\np99_us %.1f\np999_us %.1f\n", percentile_us(0.5),
           percentile_us(0.99), percentile_us(0.999));
    if (options.pid != 0) {
        printf("cpu_us_per_message %.2f\n",
               (after.cpu_us - before.cpu_us) / (double)messages);
        printf("kb_per_connection %.2f\n",
               (double)(idle.rss_kb - empty.rss_kb) / options.connections);
        printf("rss_kb %ld\nthreads %ld\n", after.rss_kb, after.threads);
    }
    return 0;
}
