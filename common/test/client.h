/*
 * client.h - a plain TCP client for tests of servers; http.h speaks HTTP on it.
 *
 *     int fd = client_connect(port);
 *     client_send(fd, "PING\r\n");
 *     client_expect(fd, "PONG\r\n");
 *     client_expect_end(fd);
 *     close(fd);
 *
 * Every call waits as long as the test may last and fails the test on error.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include "test/test.h"

/* A connection to 127.0.0.1:port. The caller closes it. */
#define client_connect(port) \
    client_connect_at(TEST_PLACE("connecting to the server"), port)
int client_connect_at(struct test_place place, int port);

/* The same with socket buffers of 64 KiB on our side, so that a server soon
 * sees that this client does not read. */
#define client_connect_narrow(port) \
    client_connect_narrow_at(TEST_PLACE("connecting to the server"), port)
int client_connect_narrow_at(struct test_place place, int port);

/* Sends all of it, however often that takes. */
#define client_send(fd, text) client_send_bytes(fd, text, strlen(text))
#define client_send_bytes(fd, bytes, len) \
    client_send_at(TEST_PLACE("sending to the server"), fd, bytes, len)
void client_send_at(struct test_place place, int fd, const void *bytes,
                    size_t len);

/* Reads exactly as many bytes as expected and compares. */
#define client_expect(fd, expected)                                    \
    client_expect_at(TEST_PLACE("what the server sent"), fd, expected, \
                     strlen(expected))
#define client_expect_bytes(fd, expected, len) \
    client_expect_at(TEST_PLACE("what the server sent"), fd, expected, len)
void client_expect_at(struct test_place place, int fd, const void *expected,
                      size_t len);

/* Reads up to len bytes, and returns how many: fewer only at the end of the
 * connection. */
size_t client_receive_at(struct test_place place, int fd, void *bytes,
                         size_t len);

/* The server closes the connection, sending nothing more. */
#define client_expect_end(fd) \
    client_expect_end_at(TEST_PLACE("the end of the connection"), fd)
void client_expect_end_at(struct test_place place, int fd);

/* Closes our side with a reset. No TIME_WAIT is left either: for clients that
 * vanish, and for what opens connections by the hundred. */
void client_reset(int fd);

/* For tests that play the server behind the learner's program: a socket that
 * listens on 127.0.0.1, at a port that was free. The caller closes it. */
#define client_listen(port) \
    client_listen_at(TEST_PLACE("listening for the program"), port)
int client_listen_at(struct test_place place, int *port);
/* The next connection that the program makes. The caller closes it. */
#define client_accept(fd) \
    client_accept_at(TEST_PLACE("waiting for the program to connect"), fd)
int client_accept_at(struct test_place place, int fd);

#endif
