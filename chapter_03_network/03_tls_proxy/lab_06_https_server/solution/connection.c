/*
 * connection.c - a client's connection, from handshake to goodbye.
 *
 * A connection has a step, the function that takes it on from where it is:
 * shake_hands leads to serve, serve to say_goodbye, and that to drain. A
 * handshake that fails leads to drain, too; other errors are the END.
 */
#include "server.h"
#include "timing.h"

#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STEPS = 8 }; /* of one connection, before the next one's turn */

static void link_append(struct link *list, struct link *link)
{
    link->previous = list->previous;
    link->next = list;
    list->previous->next = link;
    list->previous = link;
}

static void link_remove(struct link *link)
{
    link->previous->next = link->next;
    link->next->previous = link->previous;
}

static void link_move(struct link *list, struct link *link)
{
    link_remove(link);
    link_append(list, link);
}

/* All have the same time, so the last to begin is the last to be due. */
static void hurry(struct connection *connection)
{
    connection->deadline_ns = now_ns() + server.timeout_ns;
    link_move(&server.hurried, &connection->link);
}

static void connection_close(struct connection *connection)
{
    link_remove(&connection->link);
    SSL_free(connection->ssl);
    close(connection->fd); /* epoll forgets it, too */
    free(connection);
    start_accepting(); /* a descriptor is free */
}

/* What OpenSSL says of a call that did not succeed. */
static enum outcome blocked(struct connection *connection, int returned)
{
    int error = SSL_get_error(connection->ssl, returned);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
        return END;
    connection->wants = error == SSL_ERROR_WANT_READ ? EPOLLIN : EPOLLOUT;
    return WAIT;
}

/* Closing a socket with unread bytes in it resets the connection, and the
 * client may lose what it has not yet read. So its end is waited for. */
static enum outcome drain(struct connection *connection)
{
    static char nowhere[RECORD];
    ssize_t n = read(connection->fd, nowhere, sizeof(nowhere));
    if (n > 0 || (n == -1 && errno == EINTR))
        return AGAIN;
    connection->wants = EPOLLIN;
    return n == -1 && errno == EAGAIN ? WAIT : END;
}

static enum outcome say_goodbye(struct connection *connection)
{
    int returned = SSL_shutdown(connection->ssl);
    if (returned < 0)
        return blocked(connection, returned);
    shutdown(connection->fd, SHUT_WR);
    connection->step = drain;
    return AGAIN;
}

/* The same bytes again if OpenSSL has to wait: it insists on that. */
static enum outcome send_answer(struct connection *connection)
{
    const char *bytes;
    size_t len;
    if (connection->sent < connection->out_len) {
        bytes = connection->out + connection->sent;
        len = connection->out_len - connection->sent;
    } else {
        size_t at = connection->sent - connection->out_len;
        bytes = big_bytes(at);
        len = connection->big - at < RECORD ? connection->big - at : RECORD;
    }
    size_t done;
    int returned = SSL_write_ex(connection->ssl, bytes, len, &done);
    if (returned != 1)
        return blocked(connection, returned);
    connection->sent += done;
    return AGAIN;
}

static enum outcome receive(struct connection *connection)
{
    size_t done;
    int returned =
        SSL_read_ex(connection->ssl, connection->in + connection->in_len,
                    sizeof(connection->in) - connection->in_len, &done);
    if (returned == 1)
        connection->in_len += done;
    else if (SSL_get_error(connection->ssl, returned) == SSL_ERROR_ZERO_RETURN)
        connection->last = true; /* the client's close_notify */
    else
        return blocked(connection, returned);
    return AGAIN;
}

/* Nothing is read while an answer is on its way, so a client that reads
 * slowly costs no memory. */
static enum outcome serve(struct connection *connection)
{
    if (connection->sent < connection->out_len + connection->big)
        return send_answer(connection);
    if (connection->last) {
        connection->step = say_goodbye;
        hurry(connection);
        return AGAIN;
    }
    int state =
        http_request(&connection->head, connection->in, connection->in_len);
    if (state == 0)
        return receive(connection);
    if (state == -1) {
        refuse_request(connection);
        return AGAIN;
    }
    answer_request(connection);
    connection->in_len -= connection->head.len;
    memmove(connection->in, connection->in + connection->head.len,
            connection->in_len);
    connection->head = (struct http_head){0};
    return AGAIN;
}

static enum outcome shake_hands(struct connection *connection)
{
    int returned = SSL_accept(connection->ssl);
    if (returned == 1) {
        link_move(&server.unhurried, &connection->link);
        connection->step = serve;
        return AGAIN;
    }
    enum outcome outcome = blocked(connection, returned);
    if (outcome != END)
        return outcome;
    shutdown(connection->fd, SHUT_WR); /* behind the alert */
    connection->step = drain;
    return AGAIN;
}

/* Takes a connection as far as it goes, but not for ever: others wait. */
void connection_advance(struct connection *connection)
{
    enum outcome outcome = AGAIN;
    for (int i = 0; i < STEPS && outcome == AGAIN; i++) {
        /* What another connection left there would be taken for ours. */
        ERR_clear_error();
        outcome = connection->step(connection);
    }
    /* Requests may wait inside of OpenSSL, where epoll does not see them. */
    if (outcome == AGAIN)
        connection->wants = EPOLLIN | EPOLLOUT;
    if (outcome != END && connection->wants != connection->watched) {
        if (watch(EPOLL_CTL_MOD, connection->fd, connection->wants,
                  connection) == -1)
            outcome = END;
        connection->watched = connection->wants;
    }
    if (outcome == END)
        connection_close(connection);
}

void connection_open(int fd)
{
    int on = 1;
    struct connection *connection = calloc(1, sizeof(*connection));
    SSL *ssl = SSL_new(server.sites[0].ctx);
    if (!connection || !ssl || !SSL_set_fd(ssl, fd) ||
        watch(EPOLL_CTL_ADD, fd, EPOLLIN, connection) == -1) {
        warnx("a connection is refused: no memory");
        SSL_free(ssl);
        free(connection);
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    connection->fd = fd;
    connection->ssl = ssl;
    connection->step = shake_hands;
    connection->watched = EPOLLIN;
    link_append(&server.hurried, &connection->link);
    hurry(connection);
}

uint64_t connections_close_late(void)
{
    while (server.hurried.next != &server.hurried) {
        struct connection *first = (struct connection *)server.hurried.next;
        if (first->deadline_ns > now_ns())
            return first->deadline_ns;
        connection_close(first);
    }
    return UINT64_MAX;
}

static void close_all(struct link *list)
{
    while (list->next != list)
        connection_close((struct connection *)list->next);
}

void connections_close_all(void)
{
    close_all(&server.hurried);
    close_all(&server.unhurried);
}
