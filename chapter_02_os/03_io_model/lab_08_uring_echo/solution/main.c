/*
 * uring_echo - sends back what it receives; one thread, io_uring.
 *
 * The kernel is not asked whether there is something to read. It is told to
 * read, and says when it has done so. Of a connection one operation is under
 * way at any time, a receive or a send. So its buffer belongs either to the
 * kernel or to us, nothing more is read from a client that does not read, and
 * when its end is read everything has gone back.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BUFFER = 16 * 1024,
    ENTRIES = 4096, /* operations handed over with one system call, at most */
    RETRY_MS = 100, /* without a free descriptor, look again after this */
};

struct options {
    const char *host;
    int port;
};

struct connection {
    int fd;
    struct sockaddr_in peer;
    bool sending; /* or receiving */
    size_t len, sent;
    struct connection *prev, *next;
    char buf[BUFFER];
};

/* What has completed: one of these, or what is under way of the connection
 * with this address. */
enum { ACCEPT = 1, RETRY, SIGNAL };

static struct {
    struct io_uring ring;
    int listener, signals;
    struct sockaddr_in peer; /* of the accept that is under way */
    socklen_t peer_len;
    bool accepting, stopping;
    struct connection *connections;
} server;

_Noreturn static void usage(void)
{
    fputs("usage: uring_echo [--host ADDRESS] [--port PORT]\n", stderr);
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

/* A line that cannot be written is lost: that stops no server. */
static void log_peer(const char *what, const struct sockaddr_in *peer)
{
    char host[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &peer->sin_addr, host, sizeof(host));
    printf("%s %s:%d\n", what, host, ntohs(peer->sin_port));
}

static int open_listener(const struct options *options)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)options->port)};
    inet_pton(AF_INET, options->host, &address.sin_addr);
    socklen_t len = sizeof(address);
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* Connections inherit TCP_NODELAY from here. */
    if (fd == -1 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == -1 ||
        bind(fd, (struct sockaddr *)&address, len) == -1 ||
        listen(fd, SOMAXCONN) == -1 ||
        getsockname(fd, (struct sockaddr *)&address, &len) == -1)
        err(1, "%s:%d", options->host, options->port);
    log_peer("Listening on", &address);
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
    int fd = signalfd(-1, &set, SFD_CLOEXEC);
    if (fd == -1)
        err(1, "signalfd");
    return fd;
}

/* Linux 6.1 runs faster when it need not interrupt us to complete something,
 * because we will come and ask. */
static void open_ring(void)
{
    int result = -EINVAL;
#ifdef IORING_SETUP_DEFER_TASKRUN /* since liburing 2.3 */
    result = io_uring_queue_init(ENTRIES, &server.ring,
                                 IORING_SETUP_SINGLE_ISSUER |
                                     IORING_SETUP_DEFER_TASKRUN);
#endif
    if (result == -EINVAL)
        result = io_uring_queue_init(ENTRIES, &server.ring, 0);
    if (result < 0)
        errx(1, "io_uring: %s", strerror(-result));
}

/* Hands over what is queued, and waits for so many completions. */
static void submit(unsigned wait_for)
{
    int result = io_uring_submit_and_wait(&server.ring, wait_for);
    if (result < 0 && result != -EINTR && result != -EAGAIN && result != -EBUSY)
        errx(1, "io_uring: %s", strerror(-result));
}

/* Room in the queue for one more operation. */
static struct io_uring_sqe *next_entry(void)
{
    struct io_uring_sqe *entry;
    while (!(entry = io_uring_get_sqe(&server.ring)))
        submit(0);
    return entry;
}

static void start_accept(void)
{
    struct io_uring_sqe *entry = next_entry();
    server.peer_len = sizeof(server.peer);
    io_uring_prep_accept(entry, server.listener,
                         (struct sockaddr *)&server.peer, &server.peer_len,
                         SOCK_CLOEXEC);
    entry->user_data = ACCEPT;
    server.accepting = true;
}

static void start_retry(void)
{
    static struct __kernel_timespec length = {.tv_nsec = RETRY_MS * 1000000};
    struct io_uring_sqe *entry = next_entry();
    io_uring_prep_timeout(entry, &length, 0, 0);
    entry->user_data = RETRY;
}

static void start_signal(void)
{
    struct io_uring_sqe *entry = next_entry();
    io_uring_prep_poll_add(entry, server.signals, POLLIN);
    entry->user_data = SIGNAL;
}

static void start_receive(struct connection *connection)
{
    struct io_uring_sqe *entry = next_entry();
    io_uring_prep_recv(entry, connection->fd, connection->buf, BUFFER, 0);
    io_uring_sqe_set_data(entry, connection);
    connection->sending = false;
}

static void start_send(struct connection *connection)
{
    struct io_uring_sqe *entry = next_entry();
    io_uring_prep_send(entry, connection->fd,
                       connection->buf + connection->sent,
                       connection->len - connection->sent, 0);
    io_uring_sqe_set_data(entry, connection);
    connection->sending = true;
}

static void connection_open(int fd)
{
    struct connection *connection = malloc(sizeof(*connection));
    if (!connection || server.stopping) {
        free(connection);
        close(fd);
        return;
    }
    connection->fd = fd;
    connection->peer = server.peer;
    connection->prev = NULL;
    connection->next = server.connections;
    if (connection->next)
        connection->next->prev = connection;
    server.connections = connection;
    log_peer("New connection from", &connection->peer);
    start_receive(connection);
}

static void connection_close(struct connection *connection)
{
    if (connection->prev)
        connection->prev->next = connection->next;
    else
        server.connections = connection->next;
    if (connection->next)
        connection->next->prev = connection->prev;
    close(connection->fd);
    log_peer("Connection closed:", &connection->peer);
    free(connection);
}

/* An accept that found no descriptor would fail again at once. */
static void on_accept(int result)
{
    server.accepting = false;
    if (result >= 0)
        connection_open(result);
    if (result == -EMFILE || result == -ENFILE || result == -ENOMEM ||
        result == -ENOBUFS)
        start_retry();
    else if (!server.stopping)
        start_accept();
}

static void on_received(struct connection *connection, int result)
{
    connection->len = result > 0 ? (size_t)result : 0;
    connection->sent = 0;
    if (connection->len > 0)
        start_send(connection);
    else if (result == -EINTR)
        start_receive(connection);
    else
        connection_close(connection);
}

static void on_sent(struct connection *connection, int result)
{
    if (result > 0)
        connection->sent += (size_t)result;
    if (result < 0 && result != -EINTR)
        connection_close(connection);
    else if (connection->sent < connection->len)
        start_send(connection);
    else
        start_receive(connection);
}

/* An operation under way holds its descriptor and its buffer. Shutting the
 * socket down ends it, and then the connection is closed as always. */
static void on_signal(void)
{
    server.stopping = true;
    shutdown(server.listener, SHUT_RDWR);
    for (struct connection *c = server.connections; c; c = c->next)
        shutdown(c->fd, SHUT_RDWR);
}

static void on_completion(uint64_t what, int result)
{
    struct connection *connection = (struct connection *)(uintptr_t)what;
    if (what == ACCEPT)
        on_accept(result);
    else if (what == RETRY)
        start_accept();
    else if (what == SIGNAL)
        on_signal();
    else if (connection->sending)
        on_sent(connection, result);
    else
        on_received(connection, result);
}

static void run(void)
{
    start_accept();
    start_signal();
    while (!server.stopping || server.accepting || server.connections) {
        submit(1);
        struct io_uring_cqe *completion;
        while (io_uring_peek_cqe(&server.ring, &completion) == 0) {
            uint64_t what = completion->user_data;
            int result = completion->res;
            io_uring_cqe_seen(&server.ring, completion);
            on_completion(what, result);
        }
    }
}

int main(int argc, char **argv)
{
    struct options options = parse_arguments(argc, argv);
    setvbuf(stdout, NULL, _IOLBF, 0); /* each line is flushed */
    open_ring();
    server.signals = open_signals();
    server.listener = open_listener(&options);
    run();
    io_uring_queue_exit(&server.ring);
    close(server.listener);
    close(server.signals);
    return 0;
}
