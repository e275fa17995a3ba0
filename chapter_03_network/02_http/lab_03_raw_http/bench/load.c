/*
 * load.c - sends the same request again and again and does little else, so
 * that the server is what limits. wrk parses each answer; this client reads
 * the first one with the parser of the course and takes the others to be as
 * long.
 *
 *     load --port PORT [--connections N] [--depth N] [--seconds S] [--pid PID]
 *
 * On each connection `depth` requests are under way at any time. Printed are
 * requests per second, how long one took, and with --pid the server's CPU time
 * for each. Results are lines of "name value", for people and for awk.
 */
#include "http.h"
#include "timing.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MOST_DEPTH = 64,
    EVENTS = 256,
    BUFFER = 64 * 1024,
    STEPS = 32, /* of the histogram, in each power of two */
    BUCKETS = 40 * STEPS,
};

static const char request[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

static struct {
    int port, connections, depth, pid;
    double seconds;
} options = {.connections = 50, .depth = 1, .seconds = 1};

/* The oldest batch is under way since start_ns; of it `got` bytes have come. */
struct connection {
    int fd;
    size_t got;
    uint64_t start_ns;
};

static char batch[MOST_DEPTH * sizeof(request)];
static size_t batch_len, answer_len;
static long histogram[BUCKETS], batches;

static void parse_arguments(int argc, char **argv)
{
    static const struct option names[] = {
        {"port", required_argument, NULL, 'p'},
        {"connections", required_argument, NULL, 'c'},
        {"depth", required_argument, NULL, 'd'},
        {"seconds", required_argument, NULL, 's'},
        {"pid", required_argument, NULL, 'i'},
        {0}};
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (option == '?')
            exit(2);
        if (option == 's')
            options.seconds = strtod(optarg, NULL);
        else
            *(option == 'p'   ? &options.port
              : option == 'c' ? &options.connections
              : option == 'd' ? &options.depth
                              : &options.pid) = (int)strtol(optarg, NULL, 10);
    }
    if (options.port <= 0 || options.connections <= 0 || options.depth <= 0 ||
        options.depth > MOST_DEPTH || options.seconds <= 0) {
        fputs("usage: load --port PORT [--connections N] [--depth N] "
              "[--seconds S] [--pid PID]\n",
              stderr);
        exit(2);
    }
}

static int connect_to_server(void)
{
    int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)options.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd == -1 ||
        connect(fd, (struct sockaddr *)&address, sizeof(address)) == -1)
        err(1, "port %d", options.port);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

static void send_all(int fd, const char *bytes, size_t len)
{
    if (send(fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len)
        err(1, "send");
}

/* How long an answer is. */
static size_t measure_answer(void)
{
    char bytes[BUFFER];
    size_t len = 0;
    struct http_head head = {0};
    int fd = connect_to_server(), state = 0;
    send_all(fd, request, strlen(request));
    while (state == 0 || len < head.len + head.content_length) {
        ssize_t n = recv(fd, bytes + len, sizeof(bytes) - len, 0);
        if (n <= 0)
            errx(1, "the first answer does not come");
        len += (size_t)n;
        state = http_response(&head, bytes, len, false);
        if (state == -1 ||
            (state == 1 && (head.status != 200 || head.body != HTTP_LENGTH)))
            errx(1, "the first answer is not 200 with a Content-Length");
    }
    close(fd);
    return len;
}

static int bucket_of(uint64_t ns)
{
    if (ns < STEPS)
        return (int)ns;
    int power = 63 - __builtin_clzll(ns);
    int step = (int)(ns >> (power - 5)) & (STEPS - 1);
    int bucket = (power - 4) * STEPS + step;
    return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

static double ns_of(int bucket)
{
    if (bucket < STEPS)
        return bucket;
    int power = bucket / STEPS + 4;
    return (double)((uint64_t)(STEPS + bucket % STEPS) << (power - 5));
}

static double percentile_us(double share)
{
    long wanted = (long)((double)batches * share), seen = 0;
    int bucket = 0;
    while (bucket < BUCKETS - 1 && (seen += histogram[bucket]) <= wanted)
        bucket++;
    return ns_of(bucket) / 1000;
}

static void begin(struct connection *connection, uint64_t now)
{
    connection->got = 0;
    connection->start_ns = now;
    send_all(connection->fd, batch, batch_len);
}

static void receive(struct connection *connection)
{
    static char bytes[BUFFER];
    size_t wanted = answer_len * (size_t)options.depth;
    ssize_t n = recv(connection->fd, bytes, sizeof(bytes), 0);
    if (n <= 0)
        errx(1, "a connection ended: %s", n == 0 ? "closed" : strerror(errno));
    if (connection->got == 0 && memcmp(bytes, "HTTP/1.1 200", 12) != 0)
        errx(1, "an answer begins otherwise than the first one");
    connection->got += (size_t)n;
    if (connection->got > wanted)
        errx(1, "answers are longer than the first one");
    if (connection->got < wanted)
        return;
    uint64_t now = now_ns();
    histogram[bucket_of(now - connection->start_ns)]++;
    batches++;
    begin(connection, now);
}

/* CPU time that the server has used, in ticks. */
static long server_ticks(void)
{
    char path[64], stat[1024];
    long user = 0, system = 0;
    snprintf(path, sizeof(path), "/proc/%d/stat", options.pid);
    FILE *file = options.pid ? fopen(path, "re") : NULL;
    size_t n = file ? fread(stat, 1, sizeof(stat) - 1, file) : 0;
    if (file)
        fclose(file);
    stat[n] = '\0';
    char *at = strrchr(stat, ')');
    for (int field = 0; at && field < 12; field++)
        at = strchr(at + 1, ' ');
    if (at) {
        user = strtol(at, &at, 10);
        system = strtol(at, NULL, 10);
    }
    return user + system;
}

int main(int argc, char **argv)
{
    parse_arguments(argc, argv);
    answer_len = measure_answer();
    if (answer_len * (size_t)options.depth > BUFFER)
        errx(1, "answers of %zu bytes are too long for this", answer_len);
    char *behind = batch;
    for (int i = 0; i < options.depth; i++)
        behind = stpcpy(behind, request);
    batch_len = (size_t)(behind - batch);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct connection *connections =
        calloc((size_t)options.connections, sizeof(*connections));
    if (epoll == -1 || !connections)
        err(1, "epoll_create1");
    for (int i = 0; i < options.connections; i++) {
        struct epoll_event event = {.events = EPOLLIN,
                                    .data.ptr = &connections[i]};
        connections[i].fd = connect_to_server();
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, connections[i].fd, &event) == -1)
            err(1, "epoll_ctl");
    }

    long ticks = server_ticks();
    uint64_t start = now_ns(), now = start;
    uint64_t end = start + (uint64_t)(options.seconds * 1e9);
    for (int i = 0; i < options.connections; i++)
        begin(&connections[i], now);
    while ((now = now_ns()) < end) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(epoll, events, EVENTS, 1000);
        if (count == 0 || (count == -1 && errno != EINTR))
            errx(1, "no answer within a second");
        for (int i = 0; i < count; i++)
            receive(events[i].data.ptr);
    }
    double requests = (double)batches * options.depth;
    double cpu_us =
        (double)(server_ticks() - ticks) * 1e6 / (double)sysconf(_SC_CLK_TCK);
    printf("requests_per_s %.0f\n", requests / ((double)(now - start) / 1e9));
    printf("p50_us %.1f\n", percentile_us(0.50));
    printf("p99_us %.1f\n", percentile_us(0.99));
    if (options.pid)
        printf("cpu_us_per_request %.3f\n", cpu_us / requests);
    printf("answer_bytes %zu\n", answer_len);
    for (int i = 0; i < options.connections; i++)
        close(connections[i].fd);
    free(connections);
    close(epoll);
    return 0;
}
