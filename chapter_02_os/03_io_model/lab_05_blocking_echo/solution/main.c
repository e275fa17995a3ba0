/*
 * blocking_echo - sends back what it receives; a thread for each connection.
 *
 * Whatever waits has a thread of its own: main() waits for a signal, the
 * acceptor for connections, and for each client a thread reads and writes. So
 * every call may block, and no thread needs to know of the others. What they
 * share is the list of connections, which main() needs to end them all.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    BUFFER = 64 * 1024,
    RETRY_MS = 100, /* without a free descriptor, look again after this */
};

struct options {
    const char *host;
    int port;
};

struct connection {
    int fd;
    struct sockaddr_in peer;
    struct connection *next, **link; /* link points here */
};

/* The lock guards everything but the listener and its address. */
static struct {
    int listener;
    struct sockaddr_in address; /* where it listens */
    pthread_mutex_t lock;
    pthread_cond_t ended; /* a connection is gone */
    struct connection *connections;
    bool stopping;
} server = {.lock = PTHREAD_MUTEX_INITIALIZER,
            .ended = PTHREAD_COND_INITIALIZER};

_Noreturn static void usage(void)
{
    fputs("usage: blocking_echo [--host ADDRESS] [--port PORT]\n", stderr);
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

/* One write for a line, and no error: a log that nobody reads stops no
 * server. */
static void log_peer(const char *what, const struct sockaddr_in *peer)
{
    char host[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &peer->sin_addr, host, sizeof(host));
    dprintf(STDOUT_FILENO, "%s %s:%d\n", what, host, ntohs(peer->sin_port));
}

static int open_listener(const struct options *options)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)options->port)};
    inet_pton(AF_INET, options->host, &address.sin_addr);
    socklen_t len = sizeof(address);
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd == -1 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
        bind(fd, (struct sockaddr *)&address, len) == -1 ||
        listen(fd, SOMAXCONN) == -1 ||
        getsockname(fd, (struct sockaddr *)&address, &len) == -1)
        err(1, "%s:%d", options->host, options->port);
    server.address = address;
    return fd;
}

/* Returns how many bytes came; 0 or -1 is the end of the connection. */
static ssize_t read_some(int fd, char *buf, size_t size)
{
    ssize_t n;
    do
        n = read(fd, buf, size);
    while (n == -1 && errno == EINTR);
    return n;
}

static bool write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n == -1 && errno != EINTR)
            return false;
        if (n == -1)
            continue;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

/* Called with the lock held. */
static void add(struct connection *connection)
{
    connection->next = server.connections;
    connection->link = &server.connections;
    if (connection->next)
        connection->next->link = &connection->next;
    server.connections = connection;
}

static void drop(struct connection *connection)
{
    *connection->link = connection->next;
    if (connection->next)
        connection->next->link = connection->link;
}

/* All of it under the lock: once the list is empty, nothing is left of any
 * connection. */
static void connection_close(struct connection *connection)
{
    pthread_mutex_lock(&server.lock);
    drop(connection);
    close(connection->fd);
    log_peer("Connection closed:", &connection->peer);
    free(connection);
    pthread_cond_broadcast(&server.ended);
    pthread_mutex_unlock(&server.lock);
}

/* The thread of a connection. */
static void *serve(void *argument)
{
    struct connection *connection = argument;
    char buf[BUFFER];
    ssize_t n;
    while ((n = read_some(connection->fd, buf, sizeof(buf))) > 0 &&
           write_all(connection->fd, buf, (size_t)n))
        ;
    connection_close(connection);
    return NULL;
}

static int start_thread(void *(*run)(void *), void *argument)
{
    pthread_t thread;
    int error = pthread_create(&thread, NULL, run, argument);
    if (error == 0)
        pthread_detach(thread);
    return error;
}

static void connection_open(int fd, const struct sockaddr_in *peer)
{
    int on = 1;
    struct connection *connection = malloc(sizeof(*connection));
    pthread_mutex_lock(&server.lock);
    if (!connection || server.stopping) {
        pthread_mutex_unlock(&server.lock);
        if (!connection)
            warnx("a connection is refused: no memory");
        free(connection);
        close(fd);
        return;
    }
    *connection = (struct connection){.fd = fd, .peer = *peer};
    add(connection);
    pthread_mutex_unlock(&server.lock);

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    log_peer("New connection from", peer);
    int error = start_thread(serve, connection);
    if (error != 0) {
        warnx("a connection is refused: %s", strerror(error));
        connection_close(connection);
    }
}

/* A connection that ends frees a descriptor. */
static void wait_for_room(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += RETRY_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&server.lock);
    if (!server.stopping)
        pthread_cond_timedwait(&server.ended, &server.lock, &until);
    pthread_mutex_unlock(&server.lock);
}

static bool is_stopping(void)
{
    pthread_mutex_lock(&server.lock);
    bool stopping = server.stopping;
    pthread_mutex_unlock(&server.lock);
    return stopping;
}

/* The first line is written here: before it nothing may fail any more, and no
 * connection may be logged. */
static void *accept_all(void *argument)
{
    log_peer("Listening on", &server.address);
    while (!is_stopping()) {
        struct sockaddr_in peer = {0};
        socklen_t len = sizeof(peer);
        int fd = accept4(server.listener, (struct sockaddr *)&peer, &len,
                         SOCK_CLOEXEC);
        if (fd != -1)
            connection_open(fd, &peer);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
                 errno == ENOBUFS)
            wait_for_room(); /* or accept would fail at once, for ever */
    }
    return argument;
}

/* Calls that block are woken by shutdown(2): reads come to an end, writes
 * fail, and so does accept. */
static void stop(pthread_t acceptor)
{
    pthread_mutex_lock(&server.lock);
    server.stopping = true;
    shutdown(server.listener, SHUT_RDWR);
    for (struct connection *c = server.connections; c; c = c->next)
        shutdown(c->fd, SHUT_RDWR);
    pthread_cond_broadcast(&server.ended);
    pthread_mutex_unlock(&server.lock);

    pthread_join(acceptor, NULL);
    pthread_mutex_lock(&server.lock);
    while (server.connections)
        pthread_cond_wait(&server.ended, &server.lock);
    pthread_mutex_unlock(&server.lock);
    close(server.listener);
}

int main(int argc, char **argv)
{
    struct options options = parse_arguments(argc, argv);
    sigset_t set;
    int number;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL); /* in all threads to come, too */
    signal(SIGPIPE, SIG_IGN); /* a client that is gone is an error of write */

    server.listener = open_listener(&options);
    pthread_t acceptor;
    errno = pthread_create(&acceptor, NULL, accept_all, NULL);
    if (errno != 0)
        err(1, "pthread_create");
    sigwait(&set, &number);
    stop(acceptor);
    return 0;
}
