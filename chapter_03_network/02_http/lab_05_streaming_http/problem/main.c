/*
 * Lab 5: streaming_http
 *
 * Goal: answers that go on while the client reads: a stream in chunks, and
 * server-sent events for many listeners, slow ones and lost ones included.
 *
 *     streaming_http [--host ADDRESS] [--port PORT] [--interval-ms MS]
 *                    [--retry-ms MS] [--beat-ms MS]
 *
 * Requirements (the README has them in full):
 * 1. GET /stream: ten pieces, each sent when it is made; GET /sse: events as
 *    text/event-stream; POST /events and a timer make events.
 * 2. The last 100 events are kept, once for all. Last-Event-ID says where a
 *    listener goes on; one that cannot go on is told of a gap.
 * 3. A client that leaves is noticed at once. One that is more than 100 events
 *    behind is dropped.
 * 4. Beats: a comment for idle listeners, the end for silent clients.
 * 5. One thread, which waits for no client alone and sleeps when there is
 *    nothing to do.
 *
 * Hints:
 * - parse_arguments, the listener, the signals and the way a connection ends
 *   are those of lab 3; the parser is given: common/http.h.
 * - A listener is a number: the id of the event that it gets next. Nothing is
 *   queued for it but the rest of what its socket did not take.
 * - One function, "send what there is for this client, as far as it takes it",
 *   serves a new listener, a new event and a socket that has room again.
 * - Giving an event to all may close any connection, also one for which an
 *   event of epoll is waiting in your array.
 * - Stuck? make hint
 *
 * Verification:
 *     make test
 *     make run ARGS="--port 7007"      and then: curl -N 127.0.0.1:7007/sse
 *                                      or a browser: http://127.0.0.1:7007/
 *
 * Acceptance criteria:
 * [ ] make test passes all tests
 * [ ] each piece and each event is on its way when it has been made, not later
 * [ ] a listener that comes back goes on where it stopped, or is told that it
 *     cannot
 * [ ] no text can forge an event
 * [ ] a client that leaves is noticed at once, and leaves nothing behind
 * [ ] a listener that does not read holds up nobody and costs bounded memory
 * [ ] curl and the EventSource of a browser get what they expect
 */
#include "events.h"
#include "page.h"
#include "timing.h"
#include "todo.h"

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

/* The structs and functions below are a suggestion. The tests see only the
 * program. */

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
    int fd;
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
    struct connection *connections;
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

/* Reads the command line; one that makes no sense ends in usage(). */
static struct options parse_arguments(int argc, char **argv)
{
    todo("parse_arguments");
    usage();
}

/* Returns a socket that listens, and keeps in server.address where; if there
 * is none to be had, ends the program with a message. */
static int open_listener(const struct options *options)
{
    todo("open_listener");
}

/* Returns a descriptor that is readable when SIGTERM or SIGINT has come. */
static int open_signals(void)
{
    todo("open_signals");
}

/* Returns a descriptor that becomes readable every so many milliseconds; 0:
 * never (timerfd_create(2)). */
static int open_timer(int ms)
{
    todo("open_timer");
}

/* Logs what has become of the connection if it is a stream, takes it off the
 * list, closes it and frees what it has. */
static void connection_close(struct connection *connection, enum fate fate)
{
    todo("connection_close");
}

/* Accepts one connection and watches it. */
static void accept_one(void)
{
    todo("accept_one");
}

/* Sends what there is for this client, as far as it takes it: what has gathered
 * in server.out and, to who is streaming, the events from next_id on. After
 * the last byte of an answer it shuts the sending side. */
static enum fate go_on(struct connection *connection)
{
    todo("go_on");
}

/* Sends more of what is held; goes on when all of it has gone. */
static enum fate send_held(struct connection *connection)
{
    todo("send_held");
}

/* Gives a new event to all that wait for it, and parts with who is too far
 * behind. */
static void spread(void)
{
    todo("spread");
}

/* Makes the answer to a request that has come, or its beginning, in
 * server.out. Returns false if the request is not complete. */
static bool serve(struct connection *connection)
{
    todo("serve");
}

/* The call could not be made now; that is no error. */
static bool would_wait(ssize_t n)
{
    return n == -1 && (errno == EAGAIN || errno == EINTR);
}

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

/* Throws away what a client says behind its request, and notices its end. */
static enum fate receive_rest(struct connection *connection)
{
    todo("receive_rest");
}

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

/* Looks after all connections when a beat has come. */
static void beat(void)
{
    todo("beat");
}

static void handle(struct connection *connection, uint32_t events)
{
    enum fate fate = STAYS;
    if (events & ~(uint32_t)EPOLLOUT)
        fate = connection->request ? receive_request(connection)
                                   : receive_rest(connection);
    if (fate == STAYS && events & EPOLLOUT && connection->held)
        fate = send_held(connection);
    if (fate != STAYS)
        connection_close(connection, fate);
}

/* What is missing: a pause when no descriptor is left (accept_one), and a
 * connection may be closed while an event is still about it. */
static void run(void)
{
    struct epoll_event events[EVENTS];
    for (;;) {
        int count = epoll_wait(server.epoll, events, EVENTS, -1);
        if (count == -1 && errno != EINTR)
            err(1, "epoll_wait");
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
    }
}

int main(int argc, char **argv)
{
    struct options options = parse_arguments(argc, argv);
    server.retry_ms = options.retry_ms;
    server.signals = open_signals();
    server.interval = open_timer(options.interval_ms);
    server.beat = open_timer(options.beat_ms);
    server.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (server.epoll == -1)
        err(1, "epoll_create1");
    server.listener = open_listener(&options);
    todo("watch the listener, the signals and the timers, then say where it "
         "listens");
    run();
    for (struct connection *c = server.connections, *next; c; c = next) {
        next = c->next;
        c->state = ENDING; /* of these nothing is logged */
        connection_close(c, LEFT);
    }
    close(server.listener);
    close(server.epoll);
    close(server.signals);
    close(server.interval);
    close(server.beat);
    return 0;
}
