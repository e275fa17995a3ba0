/*
 * streaming_http - answers that go on: a stream in chunks, and server-sent
 * events; one thread, epoll.
 *
 * Events are kept once, in events.c, and nothing is queued for a listener. It
 * has a place among the events, next_id: whenever its socket takes bytes, the
 * event at that place is written and the place moves on. Who is so slow that
 * its event is not kept any more has to go.
 *
 * A connection has one request. Its answer is gathered in server.out and
 * leaves with one write(2); what the client does not take is held, and until
 * it is gone nothing more is written for this client.
 */
#include "events.h"
#include "page.h"
#include "timing.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
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
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
    INPUT = HTTP_MAX_HEAD + MAX_TEXT, /* a request with its content */
    MAX_CHUNK = MAX_EVENT + 32,       /* an event, its size, the last chunk */
    OUTPUT = 2 * MAX_CHUNK,           /* bytes that leave together, or are held:
                                         less than 256 KiB */
    EVENTS = 256,                     /* taken from the kernel at once */
    RETRY_NS = 100000000, /* without a descriptor, look again after this */
    PATIENCE = 2,         /* beats that a client may keep us waiting */
    MAX_MS = 3600000,
};

#define PLAIN "Content-Type: text/plain; charset=utf-8\r\n"
#define HTML "Content-Type: text/html; charset=utf-8\r\n"
#define EVENT_STREAM "Content-Type: text/event-stream\r\n"
#define NO_STORE "Cache-Control: no-store\r\n"

struct options {
    const char *host;
    int port, interval_ms, retry_ms, beat_ms;
};

/* A request on its way in. */
struct request {
    struct http_head head;
    size_t len;
    char bytes[INPUT];
};

enum state {
    READING,   /* the request */
    LISTENING, /* to /sse */
    STREAMING, /* /stream */
    ENDING,    /* the answer has been made; what comes is thrown away */
};

struct connection {
    int fd; /* -1: closed, to be freed */
    struct sockaddr_in peer;
    enum state state;
    struct request *request; /* while it is read, or NULL */
    bool chunked;            /* the answer is */
    uint64_t next_id;        /* the event that it gets next */
    int pieces;              /* of a stream, so far */
    int beats;               /* since it has kept us waiting */
    bool half_closed;        /* the client sends nothing more */
    char *held;              /* bytes that wait to be sent, or NULL */
    size_t held_len, held_sent;
    struct connection *next, **link; /* link points here */
};

/* What becomes of a connection. */
enum fate {
    STAYS,
    LEFT,    /* the client has gone */
    DROPPED, /* the server has given it up */
};

static struct {
    int epoll, listener, signals;
    int interval, beat;         /* timers */
    int retry_ms;               /* what listeners are told */
    struct sockaddr_in address; /* where it listens */
    bool accepting;             /* the listener is watched */
    uint64_t retry_at;          /* if it is not: when it will be again, in ns */
    struct connection *connections, *closed;
    char out[OUTPUT];
    size_t out_len;
} server;

_Noreturn static void usage(void)
{
    fputs("usage: streaming_http [--host ADDRESS] [--port PORT] "
          "[--interval-ms MS] [--retry-ms MS] [--beat-ms MS]\n",
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
        {"interval-ms", required_argument, NULL, 'i'},
        {"retry-ms", required_argument, NULL, 'r'},
        {"beat-ms", required_argument, NULL, 'b'},
        {0}};
    struct options options = {.host = "127.0.0.1",
                              .interval_ms = 1000,
                              .retry_ms = 1000,
                              .beat_ms = 15000};
    struct in_addr address;
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (option == 'h')
            options.host = optarg;
        else if (option == 'p')
            options.port = parse_number(optarg, 0, 65535);
        else if (option == 'i')
            options.interval_ms = parse_number(optarg, 0, MAX_MS);
        else if (option == 'r')
            options.retry_ms = parse_number(optarg, 1, MAX_MS);
        else if (option == 'b')
            options.beat_ms = parse_number(optarg, 1, MAX_MS);
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

/* Becomes readable every so many milliseconds; 0: never. */
static int open_timer(int ms)
{
    struct timespec every = {.tv_sec = ms / 1000,
                             .tv_nsec = ms % 1000 * 1000000L};
    struct itimerspec times = {.it_interval = every, .it_value = every};
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (fd == -1 || timerfd_settime(fd, 0, &times, NULL) == -1)
        err(1, "timerfd");
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

/* Connections. */

static bool is_streaming(const struct connection *connection)
{
    return connection->state == LISTENING || connection->state == STREAMING;
}

static void log_stream(const struct connection *connection, const char *what)
{
    char host[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &connection->peer.sin_addr, host, sizeof(host));
    dprintf(STDOUT_FILENO, "%s:%d %s %s\n", host,
            ntohs(connection->peer.sin_port), what,
            connection->state == LISTENING ? "/sse" : "/stream");
}

static void connection_open(int fd, const struct sockaddr_in *peer)
{
    int on = 1;
    struct connection *connection = calloc(1, sizeof(*connection));
    struct request *request = calloc(1, sizeof(*request));
    if (!connection || !request ||
        watch(EPOLL_CTL_ADD, fd, EPOLLIN, connection) == -1) {
        warn("a connection is refused");
        free(connection);
        free(request);
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    *connection = (struct connection){.fd = fd,
                                      .peer = *peer,
                                      .request = request,
                                      .next = server.connections,
                                      .link = &server.connections};
    if (connection->next)
        connection->next->link = &connection->next;
    server.connections = connection;
}

/* The struct itself stays until all events have been handled: one of them may
 * be about this connection. */
static void connection_close(struct connection *connection, enum fate fate)
{
    if (is_streaming(connection))
        log_stream(connection, fate == LEFT ? "left" : "dropped");
    *connection->link = connection->next;
    if (connection->next)
        connection->next->link = connection->link;
    close(connection->fd); /* epoll forgets it, too */
    connection->fd = -1;
    free(connection->request);
    free(connection->held);
    connection->next = server.closed;
    server.closed = connection;
    start_accepting(); /* a descriptor is free */
}

static void free_closed(void)
{
    while (server.closed) {
        struct connection *connection = server.closed;
        server.closed = connection->next;
        free(connection);
    }
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

/* Sending. */

/* The call could not be made now; that is no error. */
static bool would_wait(ssize_t n)
{
    return n == -1 && (errno == EAGAIN || errno == EINTR);
}

/* Keeps what the client does not take yet. The client is still watched for its
 * end: it may leave before it has taken all. */
static enum fate hold(struct connection *connection, const char *bytes,
                      size_t len)
{
    connection->held = malloc(len);
    if (!connection->held ||
        watch(EPOLL_CTL_MOD, connection->fd, EPOLLIN | EPOLLOUT, connection))
        return DROPPED;
    memcpy(connection->held, bytes, len);
    connection->held_len = len;
    connection->held_sent = 0;
    return STAYS;
}

/* Sends what has gathered in server.out. */
static enum fate flush(struct connection *connection)
{
    size_t len = server.out_len;
    server.out_len = 0;
    if (len == 0)
        return STAYS;
    ssize_t sent = write(connection->fd, server.out, len);
    if (would_wait(sent))
        sent = 0;
    if (sent == -1)
        return LEFT;
    if ((size_t)sent == len)
        return STAYS;
    return hold(connection, server.out + sent, len - (size_t)sent);
}

static void put(const char *bytes, size_t len)
{
    memcpy(server.out + server.out_len, bytes, len);
    server.out_len += len;
}

/* Bytes of a body: a chunk, or as they are. */
static void put_body(const struct connection *connection, const char *bytes,
                     size_t len)
{
    char size[20];
    int size_len = sprintf(size, "%zx\r\n", len);
    if (connection->chunked)
        put(size, (size_t)size_len);
    put(bytes, len);
    if (connection->chunked)
        put("\r\n", 2);
}

static void put_event(struct connection *connection)
{
    static char event[MAX_EVENT];
    put_body(connection, event, event_write(connection->next_id, event));
    connection->next_id++;
}

static void put_piece(struct connection *connection)
{
    char piece[MAX_PIECE];
    connection->pieces++;
    put_body(connection, piece,
             piece_write(connection->pieces, connection->next_id, piece));
    connection->next_id++;
    if (connection->pieces < PIECES)
        return;
    if (connection->chunked)
        put("0\r\n\r\n", 5);
    log_stream(connection, "finished");
    connection->state = ENDING;
}

/* Sends what there is for this client, as far as it takes it. After the last
 * byte the client is told that there is no other; what it still sends is read,
 * for a while. If it were not, close(2) would be a reset, which can overtake
 * the answer. */
static enum fate go_on(struct connection *connection)
{
    enum fate fate = STAYS;
    while (is_streaming(connection) && !connection->held && fate == STAYS &&
           connection->next_id <= event_newest()) {
        if (connection->state == LISTENING)
            put_event(connection);
        else
            put_piece(connection);
        if (OUTPUT - server.out_len < MAX_CHUNK)
            fate = flush(connection);
    }
    if (fate == STAYS)
        fate = flush(connection);
    if (fate != STAYS || connection->held || connection->state != ENDING)
        return fate;
    if (connection->half_closed)
        return LEFT;
    shutdown(connection->fd, SHUT_WR);
    return STAYS;
}

static enum fate send_held(struct connection *connection)
{
    ssize_t sent =
        write(connection->fd, connection->held + connection->held_sent,
              connection->held_len - connection->held_sent);
    if (sent == -1)
        return would_wait(sent) ? STAYS : LEFT;
    connection->held_sent += (size_t)sent;
    if (connection->held_sent < connection->held_len)
        return STAYS;
    free(connection->held);
    connection->held = NULL;
    if (watch(EPOLL_CTL_MOD, connection->fd, EPOLLIN, connection) == -1)
        return DROPPED;
    return go_on(connection);
}

/* Gives a new event to all that wait for it, and parts with who is so far
 * behind that the event before it is lost to him. */
static void spread(void)
{
    struct connection *next;
    for (struct connection *c = server.connections; c; c = next) {
        enum fate fate = STAYS;
        next = c->next;
        if (!is_streaming(c))
            continue;
        if (c->next_id < event_oldest())
            fate = DROPPED;
        else if (!c->held)
            fate = go_on(c);
        if (fate != STAYS)
            connection_close(c, fate);
    }
}

/* Answers. */

static void put_head(const char *status, const char *fields)
{
    struct tm utc;
    time_t now = time(NULL);
    char date[32];
    gmtime_r(&now, &utc);
    strftime(date, sizeof(date), "%a, %d %b %Y %T GMT", &utc);
    server.out_len +=
        (size_t)sprintf(server.out + server.out_len,
                        "HTTP/1.1 %s\r\nDate: %s\r\nConnection: close\r\n"
                        "%s\r\n",
                        status, date, fields);
}

/* An answer whose length is known. */
static void answer(struct connection *connection, const char *status,
                   const char *fields, const char *body)
{
    char all[256];
    snprintf(all, sizeof(all), "Content-Length: %zu\r\n%s", strlen(body),
             fields);
    put_head(status, all);
    if (!http_is(connection->request->head.method, "HEAD"))
        put(body, strlen(body));
    connection->state = ENDING;
}

static const char *status_line(int status)
{
    switch (status) {
    case 404:
        return "404 Not Found";
    case 411:
        return "411 Length Required";
    case 413:
        return "413 Content Too Large";
    case 414:
        return "414 URI Too Long";
    case 431:
        return "431 Request Header Fields Too Large";
    case 501:
        return "501 Not Implemented";
    case 505:
        return "505 HTTP Version Not Supported";
    default:
        return "400 Bad Request";
    }
}

static void refuse(struct connection *connection, int status)
{
    const char *line = status_line(status);
    answer(connection, line, PLAIN, line);
}

/* The head of an answer that goes on; HEAD gets no more than this. */
static void begin(struct connection *connection, enum state state,
                  const char *fields)
{
    const struct http_head *head = &connection->request->head;
    char all[256];
    connection->chunked = head->minor > 0;
    snprintf(all, sizeof(all), "%s%s" NO_STORE,
             connection->chunked ? "Transfer-Encoding: chunked\r\n" : "",
             fields);
    put_head("200 OK", all);
    connection->state = http_is(head->method, "HEAD") ? ENDING : state;
    if (is_streaming(connection))
        log_stream(connection, "began");
}

static void answer_page(struct connection *connection)
{
    answer(connection, "200 OK", HTML, page);
}

static void answer_stream(struct connection *connection)
{
    begin(connection, STREAMING, PLAIN);
    connection->next_id = event_newest() + 1;
}

static void answer_sse(struct connection *connection)
{
    char first[128];
    bool gap;
    begin(connection, LISTENING, EVENT_STREAM);
    if (connection->state != LISTENING)
        return;
    connection->next_id = event_after(
        http_find(&connection->request->head, "Last-Event-ID"), &gap);
    size_t len = (size_t)sprintf(first, "retry: %d\n\n", server.retry_ms);
    if (gap)
        len += event_write_gap(connection->next_id, first + len);
    put_body(connection, first, len);
}

static void answer_events(struct connection *connection)
{
    const struct request *request = connection->request;
    char id[24];
    if (request->head.body == HTTP_CHUNKED) {
        refuse(connection, 411);
        return;
    }
    if (request->head.content_length > MAX_TEXT) {
        refuse(connection, 413);
        return;
    }
    sprintf(id, "%" PRIu64,
            event_make(request->bytes + request->head.len,
                       request->head.content_length));
    spread();
    answer(connection, "200 OK", PLAIN NO_STORE, id);
}

static const struct resource {
    const char *path, *allow;
    void (*answer)(struct connection *connection);
} resources[] = {
    {"/", "GET, HEAD", answer_page},
    {"/stream", "GET, HEAD", answer_stream},
    {"/sse", "GET, HEAD", answer_sse},
    {"/events", "POST", answer_events},
};

/* The resource of this path, whatever its query; NULL if there is none. */
static const struct resource *find_resource(struct http_text path)
{
    const char *query = path.len > 0 ? memchr(path.at, '?', path.len) : NULL;
    if (query)
        path.len = (size_t)(query - path.at);
    for (size_t i = 0; i < sizeof(resources) / sizeof(*resources); i++) {
        if (http_is(path, resources[i].path))
            return &resources[i];
    }
    return NULL;
}

static bool is_allowed(const struct resource *resource, struct http_text method)
{
    if (strcmp(resource->allow, "POST") == 0)
        return http_is(method, "POST");
    return http_is(method, "GET") || http_is(method, "HEAD");
}

static void answer_not_allowed(struct connection *connection,
                               const struct resource *resource)
{
    char fields[128];
    snprintf(fields, sizeof(fields), PLAIN "Allow: %s\r\n", resource->allow);
    answer(connection, "405 Method Not Allowed", fields,
           "405 Method Not Allowed");
}

/* Only the text of an event is waited for. All other bodies are thrown away
 * after the answer. */
static bool is_complete(const struct request *request)
{
    const struct http_head *head = &request->head;
    return !http_is(head->method, "POST") || head->content_length > MAX_TEXT ||
           request->len - head->len >= head->content_length;
}

/* Makes the answer, or its beginning, when the request has come. Returns false
 * until then. */
static bool serve(struct connection *connection)
{
    struct request *request = connection->request;
    struct http_head *head = &request->head;
    if (head->len == 0) {
        int got = http_request(head, request->bytes, request->len);
        if (got == 0)
            return false;
        if (got == -1) {
            refuse(connection, head->error);
            return true;
        }
    }
    const struct resource *resource = find_resource(head->path);
    if (!resource)
        refuse(connection, 404);
    else if (!is_allowed(resource, head->method))
        answer_not_allowed(connection, resource);
    else if (is_complete(request))
        resource->answer(connection);
    else
        return false;
    return true;
}

/* Receiving. */

static enum fate receive_request(struct connection *connection)
{
    struct request *request = connection->request;
    ssize_t len = read(connection->fd, request->bytes + request->len,
                       INPUT - request->len);
    if (len <= 0)
        return would_wait(len) ? STAYS : LEFT;
    request->len += (size_t)len;
    if (!serve(connection))
        return STAYS;
    free(request);
    connection->request = NULL;
    return go_on(connection);
}

/* Nothing that a client says behind its request matters, but its end does: a
 * listener has left then. One whose answer is complete may still want it. */
static enum fate receive_rest(struct connection *connection)
{
    char rest[4096];
    ssize_t len = read(connection->fd, rest, sizeof(rest));
    if (len > 0 || would_wait(len))
        return STAYS;
    if (len == -1 || is_streaming(connection) || !connection->held)
        return LEFT;
    connection->half_closed = true;
    return watch(EPOLL_CTL_MOD, connection->fd, EPOLLOUT, connection) == -1
               ? DROPPED
               : STAYS;
}

/* Timers. */

static bool has_expired(int timer)
{
    uint64_t times;
    return read(timer, &times, sizeof(times)) == sizeof(times);
}

/* An event of our own. Those that could not be made in time are not made up
 * for. */
static void tick(void)
{
    char text[32];
    if (!has_expired(server.interval))
        return;
    int len = sprintf(text, "tick %" PRIu64, event_newest() + 1);
    event_make(text, (size_t)len);
    spread();
}

/* A comment for listeners to whom nothing else has to be sent: whatever stands
 * between us sees that the connection is in use, and a client that vanished
 * without a word is found out. All others have a few beats' time. */
static void beat(void)
{
    struct connection *next;
    if (!has_expired(server.beat))
        return;
    for (struct connection *c = server.connections; c; c = next) {
        enum fate fate = STAYS;
        next = c->next;
        if (c->state == LISTENING && !c->held) {
            put_body(c, ":\n\n", 3);
            fate = flush(c);
        } else if (!is_streaming(c) && ++c->beats >= PATIENCE) {
            fate = DROPPED;
        }
        if (fate != STAYS)
            connection_close(c, fate);
    }
}

static void handle(struct connection *connection, uint32_t events)
{
    enum fate fate = STAYS;
    if (connection->fd == -1)
        return;
    if (events & ~(uint32_t)EPOLLOUT)
        fate = connection->request ? receive_request(connection)
                                   : receive_rest(connection);
    if (fate == STAYS && events & EPOLLOUT && connection->held)
        fate = send_held(connection);
    if (fate != STAYS)
        connection_close(connection, fate);
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
            void *owner = events[i].data.ptr;
            if (owner == &server.signals)
                return;
            if (owner == &server.listener)
                accept_one();
            else if (owner == &server.interval)
                tick();
            else if (owner == &server.beat)
                beat();
            else
                handle(owner, events[i].events);
        }
        free_closed();
    }
}

int main(int argc, char **argv)
{
    struct options options = parse_arguments(argc, argv);
    char host[INET_ADDRSTRLEN];
    server.retry_ms = options.retry_ms;
    server.signals = open_signals();
    server.interval = open_timer(options.interval_ms);
    server.beat = open_timer(options.beat_ms);
    server.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (server.epoll == -1)
        err(1, "epoll_create1");
    server.listener = open_listener(&options);
    start_accepting();
    if (!server.accepting ||
        watch(EPOLL_CTL_ADD, server.signals, EPOLLIN, &server.signals) == -1 ||
        watch(EPOLL_CTL_ADD, server.interval, EPOLLIN, &server.interval) ==
            -1 ||
        watch(EPOLL_CTL_ADD, server.beat, EPOLLIN, &server.beat) == -1)
        err(1, "epoll_ctl");
    inet_ntop(AF_INET, &server.address.sin_addr, host, sizeof(host));
    dprintf(STDOUT_FILENO, "Listening on %s:%d\n", host,
            ntohs(server.address.sin_port));
    run();
    for (struct connection *c = server.connections, *next; c; c = next) {
        next = c->next;
        c->state = ENDING; /* of these nothing is logged */
        connection_close(c, LEFT);
    }
    free_closed();
    close(server.listener);
    close(server.epoll);
    close(server.signals);
    close(server.interval);
    close(server.beat);
    return 0;
}
