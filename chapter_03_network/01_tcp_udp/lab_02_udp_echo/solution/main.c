/*
 * udp_echo - sends datagrams back; several threads on one socket.
 *
 * Each thread waits in recvfrom(2), counts what came and sends it back to
 * where it came from. The kernel wakes one of them for each datagram, so they
 * need nothing from each other but the counters and the set of clients.
 * main() waits for signals.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BUFFER = 64 * 1024, /* more than any datagram has */
    MOST_THREADS = 64,
    MOST_CLIENTS = 1024,
    SLOTS = 2 * MOST_CLIENTS, /* so a search soon finds a free one */
};

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

struct options {
    union address address;
    const char *host;
    int port;
    int threads;
};

/* Who sent it. It has no padding: clients are compared and hashed as bytes. */
struct client {
    unsigned char host[16];
    uint32_t zone;
    in_port_t port;
    uint16_t used; /* 0: the slot is free */
};

static int server; /* the socket */
static atomic_bool stopping;

static struct {
    atomic_ullong packets, bytes;
    atomic_uint clients;
    atomic_bool more_clients; /* than could be kept */
} statistics;

static struct {
    pthread_mutex_t lock;
    struct client slots[SLOTS];
} seen = {.lock = PTHREAD_MUTEX_INITIALIZER};

_Noreturn static void usage(void)
{
    fputs("usage: udp_echo [--host ADDRESS] [--port PORT] [--threads N]\n",
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

static void parse_host(struct options *options)
{
    union address *address = &options->address;
    uint16_t port = htons((uint16_t)options->port);
    memset(address, 0, sizeof(*address));
    if (inet_pton(AF_INET, options->host, &address->v4.sin_addr) == 1) {
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = port;
    } else if (inet_pton(AF_INET6, options->host, &address->v6.sin6_addr) ==
               1) {
        address->v6.sin6_family = AF_INET6;
        address->v6.sin6_port = port;
    } else {
        usage();
    }
}

static struct options parse_arguments(int argc, char **argv)
{
    static const struct option names[] = {
        {"host", required_argument, NULL, 'h'},
        {"port", required_argument, NULL, 'p'},
        {"threads", required_argument, NULL, 't'},
        {0}};
    struct options options = {.host = "127.0.0.1", .threads = 2};
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (option == 'h')
            options.host = optarg;
        else if (option == 'p')
            options.port = parse_number(optarg, 0, 65535);
        else if (option == 't')
            options.threads = parse_number(optarg, 1, MOST_THREADS);
        else
            usage();
    }
    if (optind != argc)
        usage();
    parse_host(&options);
    return options;
}

static socklen_t address_len(const union address *address)
{
    return address->any.sa_family == AF_INET ? sizeof(address->v4)
                                             : sizeof(address->v6);
}

/* No SO_REUSEADDR here: with UDP it would let a second server take the port,
 * and the datagrams, of one that runs. */
static int open_socket(const struct options *options)
{
    const union address *address = &options->address;
    int fd = socket(address->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd == -1 || bind(fd, &address->any, address_len(address)) == -1)
        err(1, address->any.sa_family == AF_INET ? "%s:%d" : "[%s]:%d",
            options->host, options->port);
    return fd;
}

/* One write for a line, and no error: a log that nobody reads stops no
 * server. */
static void print_address(void)
{
    union address address = {0};
    socklen_t len = sizeof(address);
    char host[INET6_ADDRSTRLEN];
    if (getsockname(server, &address.any, &len) == -1)
        err(1, "getsockname");
    if (address.any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &address.v4.sin_addr, host, sizeof(host));
        dprintf(STDOUT_FILENO, "Listening on %s:%d\n", host,
                ntohs(address.v4.sin_port));
    } else {
        inet_ntop(AF_INET6, &address.v6.sin6_addr, host, sizeof(host));
        dprintf(STDOUT_FILENO, "Listening on [%s]:%d\n", host,
                ntohs(address.v6.sin6_port));
    }
}

static void print_statistics(void)
{
    dprintf(STDOUT_FILENO, "packets %llu, bytes %llu, clients %u%s\n",
            statistics.packets, statistics.bytes, statistics.clients,
            statistics.more_clients ? "+" : "");
}

static struct client client_of(const union address *peer)
{
    struct client client = {.used = 1};
    if (peer->any.sa_family == AF_INET) {
        memcpy(client.host, &peer->v4.sin_addr, sizeof(peer->v4.sin_addr));
        client.port = peer->v4.sin_port;
    } else {
        memcpy(client.host, &peer->v6.sin6_addr, sizeof(client.host));
        client.zone = peer->v6.sin6_scope_id;
        client.port = peer->v6.sin6_port;
    }
    return client;
}

/* FNV-1a: a few bits that differ end up in different slots. */
static size_t hash(const struct client *client)
{
    const unsigned char *bytes = (const unsigned char *)client;
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < sizeof(*client); i++)
        hash = (hash ^ bytes[i]) * 16777619u;
    return hash;
}

/* Returns the client's slot, or the free one where it belongs. At least half
 * of the slots are free: the search ends. Called with the lock held. */
static struct client *find(const struct client *client)
{
    size_t at = hash(client) % SLOTS;
    while (seen.slots[at].used &&
           memcmp(&seen.slots[at], client, sizeof(*client)) != 0)
        at = (at + 1) % SLOTS;
    return &seen.slots[at];
}

/* Anybody can write any sender on a datagram, so what is kept is bounded. */
static void count_client(const union address *peer)
{
    struct client client = client_of(peer);
    pthread_mutex_lock(&seen.lock);
    struct client *slot = find(&client);
    if (!slot->used && statistics.clients == MOST_CLIENTS) {
        statistics.more_clients = true;
    } else if (!slot->used) {
        *slot = client;
        statistics.clients++;
    }
    pthread_mutex_unlock(&seen.lock);
}

/* What cannot be sent is lost, as in any network; only an interrupted call is
 * made again. */
static void send_back(const char *bytes, size_t len, const union address *peer)
{
    ssize_t n;
    do
        n = sendto(server, bytes, len, 0, &peer->any, address_len(peer));
    while (n == -1 && errno == EINTR);
}

/* A receiving thread. 0 bytes are a datagram, and no error is the end: that
 * is only what main() says. */
static void *serve(void *argument)
{
    char buf[BUFFER];
    for (;;) {
        union address peer = {0};
        socklen_t peer_len = sizeof(peer);
        ssize_t len =
            recvfrom(server, buf, sizeof(buf), 0, &peer.any, &peer_len);
        if (stopping)
            return argument;
        if (len == -1)
            continue;
        statistics.packets++;
        statistics.bytes += (size_t)len;
        count_client(&peer);
        send_back(buf, (size_t)len, &peer);
    }
}

static void start_threads(pthread_t *threads, int count)
{
    for (int i = 0; i < count; i++) {
        errno = pthread_create(&threads[i], NULL, serve, NULL);
        if (errno != 0)
            err(1, "pthread_create");
    }
}

/* shutdown(2) fails with ENOTCONN, since there is no connection to shut down;
 * but it wakes all who wait in recvfrom, and nobody will wait there again. */
static void stop_threads(pthread_t *threads, int count)
{
    stopping = true;
    shutdown(server, SHUT_RD);
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
    struct options options = parse_arguments(argc, argv);
    pthread_t threads[MOST_THREADS] = {0};
    sigset_t set;
    int number;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL); /* in all threads to come, too */
    signal(SIGPIPE, SIG_IGN); /* a line that nobody reads is an error */

    server = open_socket(&options);
    start_threads(threads, options.threads);
    print_address();
    while (sigwait(&set, &number) == 0 && number == SIGUSR1)
        print_statistics();
    stop_threads(threads, options.threads);
    print_statistics();
    close(server);
    return 0;
}
