/*
 * raw_http - an HTTP/1.1 server on nothing but sockets; one thread, epoll.
 *
 * A connection has one request at a time. Its head stays at in[start] until it
 * has been answered; the bytes of its body are taken out from behind it as
 * they come. Requests that came together are answered together: the answers
 * gather in server.out and leave with one write(2). What the client does not
 * take is held, and until it is gone nothing more is read from this client.
 */
#include "raw_http.h"
#include "timing.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    INPUT = 2 * HTTP_MAX_HEAD, /* a head, and room for bytes behind it */
    OUTPUT = 2 * MAX_BODY,     /* answers that leave together */
    EVENTS = 256,              /* taken from the kernel at once */
    MS = 1000000,              /* nanoseconds */
    RETRY_MS = 100,            /* without a descriptor, look again then */
    TIMEOUT_MS = 10000,        /* unless the command line says else */
    MAX_TIMEOUT_MS = 3600000,
};

struct options {
    const char *host;
    int port, timeout_ms;
};

enum state {
    READING_HEAD,
    READING_BODY,
    ENDING, /* the last answer has been made; what comes is thrown away */
};

struct connection {
    int fd;
    enum state state;
    uint64_t deadline_ns;
    struct connection *before, *behind; /* by deadline, the next one first */

    struct http_head head;
    struct http_chunked chunked;
    char *body; /* content of the request, if it is wanted, or NULL */
    size_t body_len;

    char *held; /* answers that wait to be sent, or NULL */
    size_t held_len, held_sent;

    /* What has been read: the request begins at start, and next is what has
     * not been taken of its body. */
    size_t start, next, end;
    char in[INPUT];
};

static struct {
    int epoll, listener, signals;
    struct sockaddr_in address; /* where it listens */
    bool accepting;             /* the listener is watched */
    uint64_t retry_ns;          /* or when it will be again */
    uint64_t now_ns, timeout_ns;
    struct connection connections; /* the ring's anchor, itself none */
    char out[OUTPUT];
    size_t out_len;
} server;

_Noreturn static void usage(void)
{
    fputs("usage: raw_http [--host ADDRESS] [--port PORT] [--timeout-ms MS]\n",
          stderr);
    exit(2);
}

static int parse_number(const char *text, long min, long max)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno || number < min ||
        number > max)
        usage();
    return (int)number;
}

static struct options parse_arguments(int argc, char **argv)
{
    static const struct option names[] = {
        {"host", required_argument, NULL, 'h'},
        {"port", required_argument, NULL, 'p'},
        {"timeout-ms", required_argument, NULL, 't'},
        {0}};
    struct options options = {.host = "127.0.0.1", .timeout_ms = TIMEOUT_MS};
    struct in_addr address;
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (option == 'h')
            options.host = optarg;
        else if (option == 'p')
            options.port = parse_number(optarg, 0, 65535);
        else if (option == 't')
            options.timeout_ms = parse_number(optarg, 1, MAX_TIMEOUT_MS);
        else
            usage();
    }
    if (optind != argc || inet_pton(AF_INET, options.host, &address) != 1)
        usage();
    return options;
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
    server.retry_ns = server.now_ns + RETRY_MS * MS;
}

static void start_accepting(void)
{
    if (!server.accepting &&
        watch(EPOLL_CTL_ADD, server.listener, EPOLLIN, &server.listener) == 0)
        server.accepting = true;
}

/* Connections and their time. */

static void ring_remove(struct connection *connection)
{
    connection->before->behind = connection->behind;
    connection->behind->before = connection->before;
}

/* All have the same limit: who begins last is due last. */
static void ring_append(struct connection *connection)
{
    connection->deadline_ns = server.now_ns + server.timeout_ns;
    connection->before = server.connections.before;
    connection->behind = &server.connections;
    connection->before->behind = connection->behind->before = connection;
}

/* Gives the connection its full time again. */
static void renew(struct connection *connection)
{
    ring_remove(connection);
    ring_append(connection);
}

static void connection_open(int fd)
{
    int on = 1;
    struct connection *connection = calloc(1, sizeof(*connection));
    if (!connection || watch(EPOLL_CTL_ADD, fd, EPOLLIN, connection) == -1) {
        warn("a connection is refused");
        free(connection);
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    connection->fd = fd;
    ring_append(connection);
}

static void connection_close(struct connection *connection)
{
    ring_remove(connection);
    close(connection->fd); /* epoll forgets it, too */
    free(connection->body);
    free(connection->held);
    free(connection);
    start_accepting(); /* a descriptor is free */
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

/* Sending. */

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

/* Sends the answers that have gathered. Returns false if the connection has to
 * be closed. */
static bool flush(struct connection *connection)
{
    size_t len = server.out_len;
    server.out_len = 0;
    if (len == 0)
        return true;
    ssize_t sent = write(connection->fd, server.out, len);
    if (would_wait(sent))
        sent = 0;
    if (sent == -1)
        return false;
    return (size_t)sent == len ||
           hold(connection, server.out + sent, len - (size_t)sent);
}

/* Requests. */

static void put_answer(const struct connection *connection,
                       const struct answer *answer, bool last)
{
    server.out_len += answer_write(answer, &connection->head, last,
                                   server.out + server.out_len);
}

/* After this nobody knows where the next request would begin. */
static void refuse(struct connection *connection, int status)
{
    struct answer answer = answer_error(status);
    put_answer(connection, &answer, true);
    connection->state = ENDING;
    renew(connection); /* time for the end */
}

/* What a step has come to. */
enum step { DONE, NEEDS_MORE, FAILED };

static enum step read_head(struct connection *connection)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct http_head *head = &connection->head;
    if (connection->start == connection->end)
        return NEEDS_MORE;
    int got = http_request(head, connection->in + connection->start,
                           connection->end - connection->start);
    if (got == 0)
        return NEEDS_MORE;
    if (got == -1) {
        refuse(connection, head->error);
        return DONE;
    }
    if (head->content_length > MAX_BODY) {
        refuse(connection, 413);
        return DONE;
    }
    connection->next = connection->start + head->len;
    connection->state = READING_BODY;
    bool has_body = head->content_length > 0 || head->body == HTTP_CHUNKED;
    if (has_body && resource_wants_body(head)) {
        connection->body = malloc(MAX_BODY);
        if (!connection->body)
            return FAILED;
    }
    if (has_body && head->expect_continue &&
        connection->next == connection->end) {
        memcpy(server.out + server.out_len, go_on, strlen(go_on));
        server.out_len += strlen(go_on);
    }
    return DONE;
}

/* Takes content of the request, which only echo wants to have. */
static bool take(struct connection *connection, struct http_text data)
{
    if (data.len > MAX_BODY - connection->body_len)
        return false;
    if (connection->body && data.len > 0)
        memcpy(connection->body + connection->body_len, data.at, data.len);
    connection->body_len += data.len;
    return true;
}

/* For the next message. The fields, most of the struct, may stay. */
static void clear(struct http_head *head)
{
    memset(head, 0, offsetof(struct http_head, fields));
}

/* Answers the request and makes room for the next one. */
static void finish(struct connection *connection)
{
    struct answer answer = resource_answer(&connection->head, connection->body,
                                           connection->body_len);
    bool last = !connection->head.keep_alive;
    put_answer(connection, &answer, last);
    free(connection->body);
    connection->body = NULL;
    connection->body_len = 0;
    clear(&connection->head);
    connection->chunked = (struct http_chunked){0};
    connection->start = connection->next;
    connection->state = last ? ENDING : READING_HEAD;
    renew(connection); /* the next request, or the end, has its full time */
}

/* Takes what has come of the body. */
static enum step read_body(struct connection *connection)
{
    const struct http_head *head = &connection->head;
    bool chunked = head->body == HTTP_CHUNKED, done = false;
    while (!done) {
        const char *bytes = connection->in + connection->next;
        size_t len = connection->end - connection->next;
        size_t left = head->content_length - connection->body_len;
        struct http_text data = {bytes, len < left ? len : left};
        ssize_t taken = (ssize_t)data.len;
        if (chunked)
            taken = http_chunked(&connection->chunked, bytes, len, &data);
        if (taken == -1 || !take(connection, data)) {
            refuse(connection, taken == -1 ? 400 : 413);
            return DONE;
        }
        connection->next += (size_t)taken;
        done = chunked ? connection->chunked.done : data.len == left;
        if (!done && connection->next == connection->end)
            return NEEDS_MORE;
    }
    finish(connection);
    return DONE;
}

/* Moves a request that is not complete to the front, so that there is room
 * behind it. Its texts have moved then: its head is read again. Of its body
 * nothing has to be kept. */
static void make_room(struct connection *connection)
{
    struct http_head *head = &connection->head;
    size_t keep = connection->end - connection->start;
    if (connection->state == READING_BODY)
        keep = head->len;
    if (connection->start > 0 && keep > 0) {
        memmove(connection->in, connection->in + connection->start, keep);
        clear(head);
        if (connection->state == READING_BODY)
            http_request(head, connection->in, keep);
    }
    connection->start = 0;
    connection->next = connection->end = keep;
}

/* Answers all requests that have come. Returns false if the connection has to
 * be closed. */
static bool serve(struct connection *connection)
{
    enum step step = DONE;
    while (step == DONE && connection->state != ENDING && !connection->held) {
        step = connection->state == READING_HEAD ? read_head(connection)
                                                 : read_body(connection);
        if (OUTPUT - server.out_len < MAX_ANSWER && !flush(connection))
            return false;
    }
    if (step == NEEDS_MORE)
        make_room(connection);
    return step != FAILED;
}

/* Sends what serve() has made. After the last answer the client is told that
 * there is no other; what it still sends is read, for a while. If it were not,
 * close(2) would be a reset, which can overtake the answer. */
static bool send_answers(struct connection *connection)
{
    if (!flush(connection))
        return false;
    if (connection->state == ENDING && !connection->held)
        shutdown(connection->fd, SHUT_WR);
    return true;
}

static bool receive(struct connection *connection)
{
    bool idle = connection->start == connection->end;
    if (connection->state == ENDING)
        connection->end = 0; /* nothing of it is kept */
    ssize_t len = read(connection->fd, connection->in + connection->end,
                       INPUT - connection->end);
    if (len <= 0)
        return would_wait(len);
    if (connection->state == ENDING)
        return true;
    if (idle)
        renew(connection); /* a request begins */
    connection->end += (size_t)len;
    bool fine = serve(connection);
    return send_answers(connection) && fine;
}

static bool send_held(struct connection *connection)
{
    ssize_t sent =
        write(connection->fd, connection->held + connection->held_sent,
              connection->held_len - connection->held_sent);
    if (sent == -1)
        return would_wait(sent);
    renew(connection);
    connection->held_sent += (size_t)sent;
    if (connection->held_sent < connection->held_len)
        return true;
    free(connection->held);
    connection->held = NULL;
    if (watch(EPOLL_CTL_MOD, connection->fd, EPOLLIN, connection) == -1)
        return false;
    bool fine = serve(connection); /* requests that had to wait */
    return send_answers(connection) && fine;
}

/* Its time is over. Who is in the middle of a request is told so. */
static bool time_out(struct connection *connection)
{
    if (connection->held || connection->state == ENDING ||
        connection->start == connection->end)
        return false;
    refuse(connection, 408);
    return send_answers(connection);
}

/* How long to wait for events: until something has to be done anyway. */
static int wait_ms(void)
{
    const struct connection *first = server.connections.behind;
    uint64_t until = UINT64_MAX;
    if (first != &server.connections)
        until = first->deadline_ns;
    if (!server.accepting && server.retry_ns < until)
        until = server.retry_ns;
    if (until == UINT64_MAX)
        return -1;
    if (until <= server.now_ns)
        return 0;
    return (int)((until - server.now_ns) / MS) + 1;
}

static void expire(void)
{
    for (;;) {
        struct connection *first = server.connections.behind;
        if (first == &server.connections || first->deadline_ns > server.now_ns)
            return;
        if (!time_out(first))
            connection_close(first);
    }
}

static void run(void)
{
    struct epoll_event events[EVENTS];
    for (;;) {
        int count = epoll_wait(server.epoll, events, EVENTS, wait_ms());
        if (count == -1 && errno != EINTR)
            err(1, "epoll_wait");
        server.now_ns = now_ns();
        if (!server.accepting && server.retry_ns <= server.now_ns)
            start_accepting();
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (events[i].data.ptr == &server.signals)
                return;
            if (events[i].data.ptr == &server.listener)
                accept_one();
            else if (!(connection->held ? send_held : receive)(connection))
                connection_close(connection);
        }
        expire();
    }
}

int main(int argc, char **argv)
{
    struct options options = parse_arguments(argc, argv);
    char host[INET_ADDRSTRLEN];
    server.now_ns = now_ns();
    server.timeout_ns = (uint64_t)options.timeout_ms * MS;
    server.connections.before = server.connections.behind = &server.connections;
    server.signals = open_signals();
    server.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (server.epoll == -1)
        err(1, "epoll_create1");
    server.listener = open_listener(&options);
    start_accepting();
    if (!server.accepting ||
        watch(EPOLL_CTL_ADD, server.signals, EPOLLIN, &server.signals) == -1)
        err(1, "epoll_ctl");
    inet_ntop(AF_INET, &server.address.sin_addr, host, sizeof(host));
    dprintf(STDOUT_FILENO, "Listening on %s:%d\n", host,
            ntohs(server.address.sin_port));
    run();
    struct connection *connection = server.connections.behind, *next;
    for (; connection != &server.connections; connection = next) {
        next = connection->behind;
        connection_close(connection);
    }
    close(server.listener);
    close(server.epoll);
    close(server.signals);
    return 0;
}
