/*
 * echo_test.h - what the tests of the four echo servers share.
 *
 *     struct echo *server = echo_start();
 *     int fd = echo_connect(server);
 *     client_send(fd, "hello");
 *     client_expect(fd, "hello");
 *     echo_expect_opened(server, fd);
 *     close(fd);
 *     echo_end(server);
 *
 * Every call waits as long as the test may last and fails the test on error.
 * A struct echo lives until the test ends; descriptors are the caller's.
 */
#ifndef ECHO_TEST_H
#define ECHO_TEST_H

#include "test/client.h"
#include "test/process.h"
#include "test/program.h"

struct echo {
    struct program *program;
    pid_t pid;
    const char *host;
    int port;
};

/* Skips the test where this machine lacks what the server stands on. Each lab's
 * own test file defines it; whatever runs the server calls it first. */
void echo_need(void);

/* Starts the lab's server, on a free port of 127.0.0.1, and waits until it
 * listens. */
struct echo *echo_start(void);
/* The same with these faults (fault.h) in the server's own calls. */
struct echo *echo_start_with_faults(const char *faults);
/* The same at this address and port. */
struct echo *echo_start_at(const char *host, int port);

/* Stops it with SIGTERM, for tests of something else: it may handle the signal
 * and exit with 0, or die of it. Sanitizers must have found nothing. */
void echo_end(struct echo *server);
/* Stops it with this signal; the exit status has to be 0. */
void echo_end_cleanly(struct echo *server, int signal);

/* A connection to the server. */
int echo_connect(struct echo *server);
/* Sends it and expects it back. */
void echo_round_trip(int fd, const char *message);

/* Sends a byte; true if it comes back, false if the connection was closed. */
bool echo_is_served(int fd);

/* Opens `count` connections, a hundred at a time, each batch logged by the
 * server before the next begins (a listen queue is not endless). */
void echo_connect_many(struct echo *server, int *fds, int count);
/* Raises our limit of descriptors, and so that of programs started later, as
 * far as the hard limit goes. Returns how many clients fit: `wanted`, or fewer
 * where the hard limit is lower, leaving room for what else is open. */
int echo_room_for(int wanted);

/* Wait for the line "New connection from IP:PORT" or "Connection closed:
 * IP:PORT" of this connection. Lines of others may come before and are kept.
 * The second knows a closed connection by its name, taken while it was open. */
void echo_expect_opened(struct echo *server, int fd);
void echo_expect_closed(struct echo *server, const char *name);
/* "IP:PORT" of our side, as the server logs it. */
const char *echo_name(int fd);

/* What stands at `from` in an endless pattern; ECHO_CHUNK bytes of it. It
 * repeats after 1,000,003 bytes: what is lost or comes twice shows. */
enum { ECHO_CHUNK = 64 * 1024 };
const unsigned char *echo_pattern(size_t from);
/* Sends the pattern and reads nothing, until the server takes no more, has
 * closed the connection or hoarded 8 MiB, or 64 MiB are gone. Returns how many
 * bytes went out.
 */
size_t echo_flood(struct echo *server, int fd);
/* Reads this much of the pattern, from its start, and compares. */
void echo_expect_pattern(int fd, size_t len);

/* What some of the labs test alike. */

void echo_expect_one_thread(void);
/* Calls that are short or interrupted lose nothing; `more` are faults besides,
 * ",call:error=…", or "". */
void echo_expect_nothing_lost(const char *more);
/* Connects clients one by one; at most one of them may find its connection
 * closed. */
void echo_expect_served_but_one(struct echo *server);
/* A server that ran out of descriptors serves who waits when there are more,
 * although no connection ends: they become free elsewhere. */
void echo_expect_shortage_to_end(void);
/* The server, where `strace` is what was started. */
pid_t echo_traced(struct program *strace);

#endif
