/*
 * chat_server - what one client says, all others read; one thread, poll.
 *
 * Nothing is sent where it arises. It is queued for each client, and at the
 * end of a turn of the loop each client gets its queue in one send: a thousand
 * arrivals are a thousand lines for everybody, and not a thousand calls. The
 * same queue keeps what a slow client does not take yet, up to a bound.
 *
 * A client that has to go is only marked. It is taken off the list, and its
 * departure announced, between two turns: so no loop over the clients has one
 * vanish under it.
 */
#include "chat_server.h"
#include "timing.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BUFFER = 16 * 1024,        /* read from one client before the next */
    MOST_WAITING = 256 * 1024, /* bytes that wait for one client */
    MOST_ACCEPTED = 64,        /* connections accepted in one turn */
    RETRY_MS = 100,            /* without a descriptor, look again after this */
    IDLE_S = 30,               /* a client silent for so long is asked, */
    PROBE_S = 10,              /* and then every so many seconds, */
    PROBES = 3,                /* so often, whether it is still there */
    TIMEOUT_MS = 1000 * (IDLE_S + PROBE_S * PROBES),
};

/* Places in the array for poll. */
enum { LISTENER, SIGNALS, CLIENTS };

struct client {
    int fd;
    bool gone; /* to be taken off the list */
    bool full; /* its socket took no more; poll says when it does */
    char name[sizeof("user18446744073709551615")];
    struct framer framer;
    char *queue; /* bytes that wait to be sent, or NULL */
    size_t queue_len, queue_size;
    struct client *next;
};

static struct {
    int listener, signals;
    int port;          /* where it listens */
    uint64_t retry_ns; /* accept nobody before: there was no descriptor */
    unsigned long long last_id;
    struct client *clients;
    size_t count;
    struct pollfd *polled; /* LISTENER, SIGNALS, and the clients in order */
    size_t room;           /* for so many clients in polled */
} server;

/* Lines to clients. */

/* Sends what the socket takes now. */
static void flush(struct client *client)
{
    ssize_t sent =
        send(client->fd, client->queue, client->queue_len, MSG_NOSIGNAL);
    if (sent == -1) {
        client->full = errno == EAGAIN;
        client->gone = errno != EAGAIN && errno != EINTR;
        return;
    }
    client->queue_len -= (size_t)sent;
    client->full = client->queue_len > 0;
    if (client->full) {
        memmove(client->queue, client->queue + sent, client->queue_len);
        return;
    }
    free(client->queue); /* a client that keeps up costs no buffer */
    client->queue = NULL;
    client->queue_size = 0;
}

static void flush_all(void)
{
    for (struct client *client = server.clients; client; client = client->next)
        if (client->queue_len > 0 && !client->full && !client->gone)
            flush(client);
}

/* A client for whom this is too much, or for whom there is no memory, goes. */
static void queue(struct client *client, const char *line, size_t len)
{
    if (!client->gone && client->queue_len + len > MOST_WAITING) {
        flush(client);
        if (client->queue_len + len > MOST_WAITING)
            client->gone = true;
    }
    if (client->gone)
        return;
    if (client->queue_len + len > client->queue_size) {
        size_t size = 2 * client->queue_size + 128;
        if (size < client->queue_len + len)
            size = client->queue_len + len;
        char *larger = realloc(client->queue, size);
        if (!larger) {
            client->gone = true;
            return;
        }
        client->queue = larger;
        client->queue_size = size;
    }
    memcpy(client->queue + client->queue_len, line, len);
    client->queue_len += len;
}

/* A line to this client alone. */
static void tell(struct client *client, const char *line)
{
    queue(client, line, strlen(line));
}

/* A line to all clients but this one, or to all. */
__attribute__((format(printf, 2, 3))) static void tell_all(
    const struct client *but, const char *format, ...)
{
    char line[FRAMER_MOST + 64];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    for (struct client *client = server.clients; client; client = client->next)
        if (client != but)
            queue(client, line, (size_t)len);
}

/* Clients come, speak and go. */

static bool name_is_taken(const char *name)
{
    for (struct client *client = server.clients; client; client = client->next)
        if (strcmp(client->name, name) == 0)
            return true;
    return false;
}

static void change_nick(struct client *client, const char *nick)
{
    if (!nick_allowed(nick) || name_is_taken(nick)) {
        tell(client, "* this nick cannot be had\n");
        return;
    }
    tell_all(NULL, "* %s is now %s\n", client->name, nick);
    snprintf(client->name, sizeof(client->name), "%s", nick);
}

static void handle_line(struct client *client, const char *line)
{
    static const char command[] = "/nick ";
    if (strncmp(line, command, strlen(command)) == 0)
        change_nick(client, line + strlen(command));
    else
        tell_all(client, "[%s]: %s\n", client->name, line);
}

/* Reads once, and leaves the rest for the next turn: there are others. */
static void listen_to(struct client *client)
{
    char buf[BUFFER];
    ssize_t len = recv(client->fd, buf, sizeof(buf), 0);
    if (len == -1 && (errno == EAGAIN || errno == EINTR))
        return;
    if (len <= 0) {
        client->gone = true;
        return;
    }
    const char *bytes = buf;
    size_t left = (size_t)len;
    enum framer_event event;
    while ((event = framer_next(&client->framer, &bytes, &left)) !=
           FRAMER_MORE) {
        if (event == FRAMER_LINE)
            handle_line(client, client->framer.line);
        else
            tell(client, "* your line is too long\n");
    }
}

static bool set_options(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, IDLE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, PROBE_S},
        {IPPROTO_TCP, TCP_KEEPCNT, PROBES},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, TIMEOUT_MS},
        {IPPROTO_TCP, TCP_NODELAY, 1}, /* a turn's lines go out together */
    };
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        if (setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                       sizeof(int)) == -1)
            return false;
    return true;
}

/* Makes room for one client more; false: there is no memory. */
static bool grow(void)
{
    if (server.count < server.room)
        return true;
    size_t room = 2 * server.room + 16;
    struct pollfd *polled =
        realloc(server.polled, (CLIENTS + room) * sizeof(*polled));
    if (!polled)
        return false;
    server.polled = polled;
    server.room = room;
    return true;
}

static void add_client(int fd)
{
    struct client *client = calloc(1, sizeof(*client));
    if (!client || !grow() || !set_options(fd)) {
        warn("a connection is refused");
        free(client);
        close(fd);
        return;
    }
    client->fd = fd;
    framer_init(&client->framer);
    char greeting[64];
    snprintf(client->name, sizeof(client->name), "user%llu", ++server.last_id);
    client->next = server.clients;
    server.clients = client;
    server.count++;
    snprintf(greeting, sizeof(greeting), "* you are %s\n", client->name);
    tell(client, greeting);
    tell_all(client, "* %s has joined\n", client->name);
}

static void accept_some(void)
{
    for (int i = 0; i < MOST_ACCEPTED; i++) {
        int fd =
            accept4(server.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd != -1) {
            add_client(fd);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
            errno == ENOMEM)
            server.retry_ns = now_ns() + RETRY_MS * 1000000ull;
        return;
    }
}

static void release(struct client *client)
{
    close(client->fd);
    free(client->queue);
    free(client);
}

/* Takes those off the list who are gone, and says so to the others; for some of
 * them that may be one line too much. Returns whether there were any. */
static bool remove_gone(void)
{
    bool any = false;
    for (struct client **at = &server.clients; *at;) {
        struct client *client = *at;
        if (!client->gone) {
            at = &client->next;
            continue;
        }
        *at = client->next;
        server.count--;
        tell_all(NULL, "* %s has left\n", client->name);
        release(client);
        server.retry_ns = 0; /* a descriptor is free */
        any = true;
    }
    return any;
}

/* The loop. */

static int wait_for_events(void)
{
    bool accepting = now_ns() >= server.retry_ns;
    server.polled[LISTENER] = (struct pollfd){
        .fd = accepting ? server.listener : -1, .events = POLLIN};
    server.polled[SIGNALS] =
        (struct pollfd){.fd = server.signals, .events = POLLIN};
    struct pollfd *place = server.polled + CLIENTS;
    for (struct client *client = server.clients; client; client = client->next)
        *place++ = (struct pollfd){
            .fd = client->fd,
            .events = client->queue_len > 0 ? POLLIN | POLLOUT : POLLIN};
    return poll(server.polled, CLIENTS + server.count,
                accepting ? -1 : RETRY_MS);
}

static void run(void)
{
    for (;;) {
        int ready = wait_for_events();
        if (ready == -1 && errno != EINTR)
            err(1, "poll");
        if (ready == -1)
            continue;
        if (server.polled[SIGNALS].revents)
            return;
        struct pollfd *place = server.polled + CLIENTS;
        for (struct client *client = server.clients; client;
             client = client->next, place++) {
            if (place->revents & POLLOUT)
                client->full = false;
            if (place->revents & ~POLLOUT && !client->gone)
                listen_to(client);
        }
        if (server.polled[LISTENER].revents)
            accept_some();
        do
            flush_all();
        while (remove_gone());
    }
}

_Noreturn static void usage(void)
{
    fputs("usage: chat_server [--port PORT]\n", stderr);
    exit(2);
}

/* Reads the command line; returns the port. */
static int parse_arguments(int argc, char **argv)
{
    static const struct option names[] = {
        {"port", required_argument, NULL, 'p'}, {0}};
    long port = 0;
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (option != 'p')
            usage();
        char *end;
        errno = 0;
        port = strtol(optarg, &end, 10);
        if (*optarg < '0' || *optarg > '9' || *end != '\0' || errno ||
            port > 65535)
            usage();
    }
    if (optind != argc)
        usage();
    return (int)port;
}

static int open_listener(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof(address);
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
        bind(fd, (struct sockaddr *)&address, len) == -1 ||
        listen(fd, SOMAXCONN) == -1 ||
        getsockname(fd, (struct sockaddr *)&address, &len) == -1)
        err(1, "127.0.0.1:%d", port);
    server.port = ntohs(address.sin_port);
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
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd == -1)
        err(1, "signalfd");
    return fd;
}

int main(int argc, char **argv)
{
    int port = parse_arguments(argc, argv);
    server.signals = open_signals();
    server.listener = open_listener(port);
    if (!grow())
        err(1, "clients");
    printf("Listening on 127.0.0.1:%d\n", server.port);
    fflush(stdout);
    run();
    for (struct client *client = server.clients, *next; client; client = next) {
        next = client->next;
        release(client);
    }
    free(server.polled);
    close(server.listener);
    close(server.signals);
    return 0;
}
