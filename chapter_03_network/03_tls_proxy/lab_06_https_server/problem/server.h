/*
 * server.h - what the parts of https_server share.
 *
 * main.c         command line, listener, signals, the event loop
 * sites.c        certificates: loading them, choosing one for a client
 * connection.c   a client's connection, from handshake to goodbye
 * answers.c      which request gets which answer
 */
#ifndef SERVER_H
#define SERVER_H

#include "http.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MAX_SITES = 16, /* pairs of certificate and key */
    RECORD = 16384, /* most that a TLS record holds (RFC 8446, 5.1) */
    BIG = 8 << 20,  /* bytes of /big */
    ALPHABET = 26,  /* after which they repeat */
};

struct site {
    const char *cert, *key; /* files */
    SSL_CTX *ctx;
};

/* What a step of a connection has come to. */
enum outcome {
    AGAIN, /* there is more to do */
    WAIT,  /* until what connection->wants says */
    END,   /* nothing more can come of this connection */
};

struct link {
    struct link *previous, *next;
};

struct connection {
    struct link link; /* first: a link is its connection */
    int fd;
    SSL *ssl;
    enum outcome (*step)(struct connection *);
    uint32_t wants, watched; /* epoll events */
    uint64_t deadline_ns;    /* while it is in server.hurried */
    bool last;               /* no request is answered after this one */

    struct http_head head;
    char in[RECORD];
    size_t in_len;
    char out[1024]; /* head of the answer, and its body if it is small */
    size_t out_len;
    size_t big;  /* bytes of /big that follow */
    size_t sent; /* of all these */
};

extern struct server {
    int port;
    uint64_t timeout_ns;          /* for a handshake, and for a goodbye */
    struct site sites[MAX_SITES]; /* the first is for unknown names */
    int num_sites;
    int epoll, listener, signals;
    bool accepting;    /* the listener is watched */
    uint64_t retry_at; /* if it is not: when it will be again, in ns */
    struct link unhurried;
    struct link hurried; /* those with a deadline, the earliest first */
} server;

/* main.c */

/* epoll_ctl(2): 0, or -1 and errno. */
int watch(int operation, int fd, uint32_t events, void *owner);
/* Watches the listener, if it is not watched. */
void start_accepting(void);

/* sites.c */

/* Loads the files of all sites, or changes nothing: 0, or -1 and a message
 * on standard error. */
int sites_load(void);
void sites_release(void);

/* connection.c */

/* Takes the descriptor over and begins the handshake. */
void connection_open(int fd);
/* Goes on with what can be done now. May close and free it. */
void connection_advance(struct connection *connection);
/* Closes those whose time is over. Returns when the next one's is (now_ns()),
 * UINT64_MAX if nobody is in a hurry. */
uint64_t connections_close_late(void);
void connections_close_all(void);

/* answers.c */

/* Puts the answer to connection->head into out and big. Sets last where no
 * other request follows. */
void answer_request(struct connection *connection);
/* The same for a head that http_request() has refused. */
void refuse_request(struct connection *connection);
/* RECORD bytes of /big, from byte number `at` on. */
const char *big_bytes(size_t at);

#endif
