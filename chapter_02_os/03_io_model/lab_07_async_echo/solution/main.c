/*
 * async_echo - sends back what it receives; one thread, libuv.
 *
 * libuv's loop waits for all descriptors at once and calls us when something
 * has happened. What is read is written at once. What the client does not take
 * yet is copied and queued, and until it is gone nothing more is read from that
 * client: so a connection never holds more than one buffer, and when its end
 * is read everything has gone back.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

enum {
    BACKLOG = 4096,
    BUFFER = 64 * 1024,
};

struct options {
    const char *host;
    int port;
};

struct connection {
    uv_tcp_t tcp;
    struct sockaddr_in peer;
    char *held; /* bytes that wait to go back, or NULL */
    uv_write_t write;
};

static struct {
    uv_loop_t loop;
    uv_tcp_t listener;
    uv_tcp_t refused; /* takes connections that there is no memory for */
    uv_signal_t interrupt, terminate;
} server;

_Noreturn static void usage(void)
{
    fputs("usage: async_echo [--host ADDRESS] [--port PORT]\n", stderr);
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

/* The names that libuv takes its handles by. */
static uv_stream_t *stream_of(uv_tcp_t *tcp)
{
    return (uv_stream_t *)tcp;
}

static uv_handle_t *handle_of(uv_tcp_t *tcp)
{
    return (uv_handle_t *)tcp;
}

/* The loop lets go of a handle only now. */
static void on_closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;
    if (connection->peer.sin_port != 0)
        log_peer("Connection closed:", &connection->peer);
    free(connection->held);
    free(connection);
}

static void connection_close(struct connection *connection)
{
    if (!uv_is_closing(handle_of(&connection->tcp)))
        uv_close(handle_of(&connection->tcp), on_closed);
}

/* One buffer serves all clients: nothing stays in it when on_read() returns. */
static void give_buffer(uv_handle_t *handle, size_t wanted, uv_buf_t *buf)
{
    (void)handle;
    (void)wanted;
    static char bytes[BUFFER];
    *buf = uv_buf_init(bytes, sizeof(bytes));
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf);

static void on_written(uv_write_t *write, int status)
{
    struct connection *connection = write->data;
    free(connection->held);
    connection->held = NULL;
    if (status < 0 ||
        uv_read_start(stream_of(&connection->tcp), give_buffer, on_read) < 0)
        connection_close(connection);
}

/* Keeps what the client does not take yet, and reads no more until it does. */
static int hold(struct connection *connection, const char *bytes, size_t len)
{
    connection->held = malloc(len);
    if (!connection->held)
        return UV_ENOMEM;
    memcpy(connection->held, bytes, len);
    uv_read_stop(stream_of(&connection->tcp));
    uv_buf_t buf = uv_buf_init(connection->held, (unsigned)len);
    connection->write.data = connection;
    return uv_write(&connection->write, stream_of(&connection->tcp), &buf, 1,
                    on_written);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
    struct connection *connection = stream->data;
    if (len == 0)
        return; /* there was nothing to read after all */
    if (len < 0) {
        connection_close(connection);
        return;
    }
    uv_buf_t bytes = uv_buf_init(buf->base, (unsigned)len);
    int result = uv_try_write(stream, &bytes, 1);
    if (result == UV_EAGAIN)
        result = 0;
    if (result >= 0 && result < len)
        result = hold(connection, buf->base + result, (size_t)(len - result));
    if (result < 0)
        connection_close(connection);
}

static void on_refused(uv_handle_t *handle);

/* libuv accepts nothing more until what it has accepted is taken. Where there
 * is no memory to do so, this handle takes it, and closes it. */
static void refuse(void)
{
    if (!uv_is_closing(handle_of(&server.refused)) &&
        uv_accept(stream_of(&server.listener), stream_of(&server.refused)) == 0)
        uv_close(handle_of(&server.refused), on_refused);
}

static void on_refused(uv_handle_t *handle)
{
    uv_tcp_init(handle->loop, &server.refused);
    refuse();
}

/* Where no descriptor is left, libuv itself closes those who wait. */
static void on_connection(uv_stream_t *listener, int status)
{
    if (status < 0)
        return;
    struct connection *connection = calloc(1, sizeof(*connection));
    if (!connection) {
        refuse();
        return;
    }
    uv_tcp_t *tcp = &connection->tcp;
    struct sockaddr *peer = (struct sockaddr *)&connection->peer;
    int len = sizeof(connection->peer);
    uv_tcp_init(&server.loop, tcp);
    tcp->data = connection;
    if (uv_accept(listener, stream_of(tcp)) < 0 ||
        uv_tcp_getpeername(tcp, peer, &len) < 0) {
        connection_close(connection);
        return;
    }
    log_peer("New connection from", &connection->peer);
    uv_tcp_nodelay(tcp, 1);
    if (uv_read_start(stream_of(tcp), give_buffer, on_read) < 0)
        connection_close(connection);
}

/* libuv's errors are those of errno, negative. */
static void need(int result, const char *what)
{
    if (result < 0)
        errx(1, "%s: %s", what, strerror(-result));
}

static void listen_at(const struct options *options)
{
    char name[INET_ADDRSTRLEN + sizeof(":65535")];
    snprintf(name, sizeof(name), "%s:%d", options->host, options->port);
    struct sockaddr_in address;
    struct sockaddr *bound = (struct sockaddr *)&address;
    int len = sizeof(address);
    uv_ip4_addr(options->host, options->port, &address);
    need(uv_tcp_init(&server.loop, &server.listener), name);
    need(uv_tcp_bind(&server.listener, bound, 0), name);
    need(uv_listen(stream_of(&server.listener), BACKLOG, on_connection), name);
    need(uv_tcp_getsockname(&server.listener, bound, &len), name);
    log_peer("Listening on", &address);
}

static void close_any(uv_handle_t *handle, void *unused)
{
    (void)unused;
    if (handle->data)
        connection_close(handle->data);
    else if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

/* A loop without handles has nothing to wait for, and uv_run() returns. */
static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    uv_walk(handle->loop, close_any, NULL);
}

int main(int argc, char **argv)
{
    struct options options = parse_arguments(argc, argv);
    setvbuf(stdout, NULL, _IOLBF, 0); /* each line is flushed */
    signal(SIGPIPE, SIG_IGN); /* a client that is gone is an error of write */
    need(uv_loop_init(&server.loop), "uv_loop_init");
    need(uv_signal_init(&server.loop, &server.interrupt), "uv_signal_init");
    need(uv_signal_init(&server.loop, &server.terminate), "uv_signal_init");
    need(uv_signal_start(&server.interrupt, on_signal, SIGINT), "SIGINT");
    need(uv_signal_start(&server.terminate, on_signal, SIGTERM), "SIGTERM");
    uv_tcp_init(&server.loop, &server.refused);
    listen_at(&options);
    uv_run(&server.loop, UV_RUN_DEFAULT);
    uv_loop_close(&server.loop);
    return 0;
}
