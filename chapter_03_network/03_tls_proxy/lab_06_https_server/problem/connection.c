/*
 * connection.c - a client's connection, from handshake to goodbye.
 *
 * A connection has a step, the function that takes it on from where it is:
 * shake_hands leads to serve, serve to say_goodbye, and that to drain. A
 * handshake that fails leads to drain, too; other errors are the END.
 */
#include "server.h"
#include "timing.h"
#include "todo.h"

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
    todo("blocked");
}

/* Closing a socket with unread bytes in it resets the connection, and the
 * client may lose what it has not yet read. So its end is waited for. */
static enum outcome drain(struct connection *connection)
{
    todo("drain");
}

static enum outcome say_goodbye(struct connection *connection)
{
    todo("say_goodbye");
    connection->step = drain;
    return AGAIN;
}

/* The same bytes again if OpenSSL has to wait: it insists on that. */
static enum outcome send_answer(struct connection *connection)
{
    todo("send_answer");
}

static enum outcome receive(struct connection *connection)
{
    todo("receive");
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
    todo("serve: the next request, or more bytes of it");
    return receive(connection);
}

static enum outcome shake_hands(struct connection *connection)
{
    int returned = SSL_accept(connection->ssl);
    if (returned == 1) {
        link_move(&server.unhurried, &connection->link);
        connection->step = serve;
        return AGAIN;
    }
    todo("shake_hands: wait if it is not done yet, else drain");
    return blocked(connection, returned);
}

/* Takes a connection as far as it goes, but not for ever: others wait. */
void connection_advance(struct connection *connection)
{
    todo("connection_advance");
    connection_close(connection);
}

void connection_open(int fd)
{
    todo("connection_open");
    struct connection *connection = calloc(1, sizeof(*connection));
    connection->step = shake_hands;
    link_append(&server.hurried, &connection->link);
    hurry(connection);
}

uint64_t connections_close_late(void)
{
    todo("connections_close_late");
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
