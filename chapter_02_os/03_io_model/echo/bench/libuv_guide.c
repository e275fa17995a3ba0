/*
 * libuv_guide - an echo server as libuv's own guide writes it: memory for each
 * read, uv_write() for each answer, both given back in the callback. What most
 * programs on libuv do. A peer for the bench, not for use: it ends with any
 * error but that of a client.
 */
#include <err.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

struct answer {
    uv_write_t write;
    uv_buf_t buf;
};

static void give_buffer(uv_handle_t *client, size_t suggested, uv_buf_t *buf)
{
    (void)client;
    buf->base = malloc(suggested);
    buf->len = buf->base ? suggested : 0;
}

static void on_closed(uv_handle_t *client)
{
    free(client);
}

static void on_written(uv_write_t *write, int status)
{
    (void)status;
    struct answer *answer = (struct answer *)write;
    free(answer->buf.base);
    free(answer);
}

static void on_read(uv_stream_t *client, ssize_t len, const uv_buf_t *buf)
{
    struct answer *answer = len > 0 ? malloc(sizeof(*answer)) : NULL;
    if (answer) {
        answer->buf = uv_buf_init(buf->base, (unsigned)len);
        uv_write(&answer->write, client, &answer->buf, 1, on_written);
        return;
    }
    free(buf->base);
    if (len != 0)
        uv_close((uv_handle_t *)client, on_closed);
}

static void on_connection(uv_stream_t *listener, int status)
{
    uv_tcp_t *client = malloc(sizeof(*client));
    if (status < 0 || !client || uv_tcp_init(listener->loop, client) < 0)
        errx(1, "a connection: %s", uv_strerror(status));
    if (uv_accept(listener, (uv_stream_t *)client) < 0)
        errx(1, "uv_accept");
    uv_tcp_nodelay(client, 1);
    uv_read_start((uv_stream_t *)client, give_buffer, on_read);
}

int main(void)
{
    uv_tcp_t listener;
    struct sockaddr_in address;
    int len = sizeof(address);
    signal(SIGPIPE, SIG_IGN);
    if (uv_tcp_init(uv_default_loop(), &listener) < 0 ||
        uv_ip4_addr("127.0.0.1", 0, &address) < 0 ||
        uv_tcp_bind(&listener, (const struct sockaddr *)&address, 0) < 0 ||
        uv_listen((uv_stream_t *)&listener, SOMAXCONN, on_connection) < 0 ||
        uv_tcp_getsockname(&listener, (struct sockaddr *)&address, &len) < 0)
        errx(1, "cannot listen");
    printf("Listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
