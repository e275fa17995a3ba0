#include "echo_test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MOST_SERVERS = 4,   /* in one test */
    MOST_LINES = 20000, /* of one server's log */
    BATCH = 100,        /* connections opened at once */
    PERIOD = 1000003,   /* of the pattern */
    FLOOD = 64 << 20,   /* most that echo_flood() sends */
    HOARD_KB = 8192,    /* a server that has taken this much is wrong */
    LOOKS = 5,          /* in a row, until a server counts as asleep */
    SPARE = 64,         /* descriptors for what is not a client */
};

/* Servers and what they have logged; lines that a test asked for are NULL. */
static struct record {
    struct echo echo;
    const char *lines[MOST_LINES];
    int count, first;
} records[MOST_SERVERS];
static int record_count;

static struct echo *begin(struct run_options options, const char *host,
                          int port)
{
    /* For files, libuv 1.45 to 1.48 has a thread of the kernel in each loop,
     * used or not: it would be counted. */
    static const char *const env[] = {"UV_USE_IO_URING=0", NULL};
    options.env = env;
    echo_need();
    if (record_count == MOST_SERVERS)
        fail_msg("this test starts too many servers");
    struct echo *server = &records[record_count++].echo;
    server->host = host;
    server->program =
        program_start(TEST_PLACE("start"), options,
                      (const char *const[]){"--host", host, "--port",
                                            text("%d", port), NULL});
    server->pid = program_pid(server->program);
    server->port = program_port(server->program);
    return server;
}

struct echo *echo_start(void)
{
    return begin((struct run_options){0}, "127.0.0.1", 0);
}

struct echo *echo_start_with_faults(const char *faults)
{
    return begin((struct run_options){.faults = faults}, "127.0.0.1", 0);
}

struct echo *echo_start_at(const char *host, int port)
{
    return begin((struct run_options){0}, host, port);
}

void echo_end(struct echo *server)
{
    program_signal(server->program, SIGTERM);
    struct run r = program_wait(server->program);
    if (r.status != 128 + SIGTERM)
        assert_exit(r, 0);
}

void echo_end_cleanly(struct echo *server, int signal)
{
    program_signal(server->program, signal);
    assert_exit(program_wait(server->program), 0);
}

int echo_connect(struct echo *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)server->port)};
    inet_pton(AF_INET, server->host, &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd == -1)
        fail_msg("socket: %s", strerror(errno));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == -1)
        fail_msg("connecting to %s:%d: %s", server->host, server->port,
                 strerror(errno));
    return fd;
}

void echo_round_trip(int fd, const char *message)
{
    client_send(fd, message);
    client_expect(fd, message);
}

bool echo_is_served(int fd)
{
    char answer;
    send(fd, "?", 1, MSG_NOSIGNAL);
    return recv(fd, &answer, 1, 0) == 1 && answer == '?';
}

void echo_connect_many(struct echo *server, int *fds, int count)
{
    for (int first = 0; first < count; first += BATCH) {
        int last = first + BATCH < count ? first + BATCH : count;
        for (int i = first; i < last; i++)
            fds[i] = echo_connect(server);
        for (int i = first; i < last; i++)
            echo_expect_opened(server, fds[i]);
    }
}

int echo_room_for(int wanted)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= (rlim_t)wanted + SPARE)
        return wanted;
    return (int)limit.rlim_cur - SPARE;
}

/* The log. */

const char *echo_name(int fd)
{
    struct sockaddr_in address = {0};
    socklen_t len = sizeof(address);
    char host[INET_ADDRSTRLEN];
    if (getsockname(fd, (struct sockaddr *)&address, &len) == -1)
        fail_msg("getsockname: %s", strerror(errno));
    inet_ntop(AF_INET, &address.sin_addr, host, sizeof(host));
    return text("%s:%d", host, ntohs(address.sin_port));
}

static bool take_line(struct record *record, const char *wanted)
{
    while (record->first < record->count && !record->lines[record->first])
        record->first++;
    for (int i = record->first; i < record->count; i++) {
        if (record->lines[i] && strcmp(record->lines[i], wanted) == 0) {
            record->lines[i] = NULL;
            return true;
        }
    }
    return false;
}

static void expect_line(struct echo *server, const char *wanted)
{
    struct record *record = (struct record *)server;
    while (!take_line(record, wanted)) {
        char *line = program_line(server->program);
        if (!line) {
            struct run r = program_wait(server->program);
            test_fail(TEST_PLACE("the log"),
                      "expected: a line \"%s\"\n"
                      "actual:   the server ended without one\n"
                      "its exit status: %d%s, its stderr: %s",
                      wanted, r.status,
                      r.status == 128 + SIGPIPE ? " (SIGPIPE)" : "",
                      r.err_len > 0 ? r.err : "empty");
        }
        if (record->count == MOST_LINES)
            fail_msg("the log has more than %d lines", MOST_LINES);
        record->lines[record->count++] = line;
    }
}

void echo_expect_opened(struct echo *server, int fd)
{
    expect_line(server, text("New connection from %s", echo_name(fd)));
}

void echo_expect_closed(struct echo *server, const char *name)
{
    expect_line(server, text("Connection closed: %s", name));
}

/* Much at once. */

const unsigned char *echo_pattern(size_t from)
{
    static unsigned char bytes[PERIOD + ECHO_CHUNK];
    static bool made;
    uint32_t random = 2463534242u;
    for (size_t i = 0; !made && i < PERIOD; i++) {
        random ^= random << 13; /* xorshift */
        random ^= random >> 17;
        random ^= random << 5;
        bytes[i] = (unsigned char)random;
    }
    if (!made)
        memcpy(bytes + PERIOD, bytes, ECHO_CHUNK);
    made = true;
    return bytes + from % PERIOD;
}

/* Sends until the socket takes no more; returns how far it came. */
static size_t send_pattern(int fd, size_t sent)
{
    ssize_t n = 0;
    while (n != -1 && sent < FLOOD) {
        n = send(fd, echo_pattern(sent), ECHO_CHUNK,
                 MSG_NOSIGNAL | MSG_DONTWAIT);
        sent += n > 0 ? (size_t)n : 0;
    }
    return sent;
}

size_t echo_flood(struct echo *server, int fd)
{
    size_t sent = 0;
    int looks = 0;
    long before_kb = process_resident_kb(server->pid);
    test_waiting(TEST_PLACE("waited until the server stops reading"));
    while (looks < LOOKS && sent < FLOOD &&
           process_resident_kb(server->pid) - before_kb < HOARD_KB) {
        size_t now = send_pattern(fd, sent);
        looks = now == sent && process_is_asleep(server->pid) ? looks + 1 : 0;
        if (now == sent)
            test_pause();
        sent = now;
    }
    test_waiting((struct test_place){0});
    return sent;
}

void echo_expect_pattern(int fd, size_t len)
{
    static unsigned char bytes[ECHO_CHUNK];
    test_waiting(TEST_PLACE("waited for all that was sent to come back"));
    for (size_t done = 0; done < len;) {
        size_t most = len - done < ECHO_CHUNK ? len - done : ECHO_CHUNK;
        ssize_t n = recv(fd, bytes, most, 0);
        if (n <= 0)
            fail_msg("after %zu of %zu bytes: %s", done, len,
                     n == 0 ? "the end of the connection" : strerror(errno));
        if (memcmp(bytes, echo_pattern(done), (size_t)n) != 0)
            assert_bytes_equal(bytes, (size_t)n, echo_pattern(done), (size_t)n);
        done += (size_t)n;
    }
    test_waiting((struct test_place){0});
}

/* What some of the labs test alike. */

void echo_expect_one_thread(void)
{
    enum { CLIENTS = 50 };
    int fds[CLIENTS];
    struct echo *server = echo_start();
    echo_connect_many(server, fds, CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        echo_round_trip(fds[i], "hello");
    assert_int_equal(process_threads(server->pid), 1);
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
    echo_end(server);
}

/* From the 41st on a write takes what was read, so that one which is
 * interrupted comes right behind its read, also where the first of them meet
 * the log. Then the faults stop: what a server writes to itself is not meant.
 */
void echo_expect_nothing_lost(const char *more)
{
    struct echo *server = echo_start_with_faults(
        text("read:short=3:when=1..45,recv:short=3:when=1..45,"
             "read:error=EINTR:when=2..3,recv:error=EINTR:when=2..3,"
             "write:short=1:when=1..40,send:short=1:when=1..40,"
             "write:error=EINTR:when=1..2,send:error=EINTR:when=1..2,"
             "write:error=EINTR:when=50..51,send:error=EINTR:when=50..51,"
             "write:error=EINTR:when=60..62,send:error=EINTR:when=60..62%s",
             more));
    int fd = echo_connect(server);
    echo_round_trip(fd, "Nothing of this sentence is lost, and nothing of it "
                        "comes twice. It is long enough for all the faults, "
                        "also where the first of them meet the log.");
    shutdown(fd, SHUT_WR);
    client_expect_end(fd);
    close(fd);
    echo_end(server);
}

void echo_expect_served_but_one(struct echo *server)
{
    enum { CLIENTS = 8 };
    int fds[CLIENTS], refused = 0;
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = echo_connect(server);
        refused += !echo_is_served(fds[i]);
    }
    assert_at_most(refused, 1);
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
}

/* Meanwhile a client talks, so that the server is never long without an
 * event. */
void echo_expect_shortage_to_end(void)
{
    struct echo *server = echo_start();
    process_limit_descriptors(server->pid, 1);
    int talking = echo_connect(server);
    echo_round_trip(talking, "hello");
    int late = echo_connect(server); /* in the queue of the listener */
    client_send(late, "and I?");
    process_expect_asleep(server->pid);
    echo_round_trip(talking, "those that are open go on");
    process_limit_descriptors(server->pid, 20);
    struct pollfd answer = {.fd = late, .events = POLLIN};
    while (poll(&answer, 1, 0) == 0)
        echo_round_trip(talking, "still talking");
    int new = echo_connect(server);
    echo_round_trip(new, "and I, too?");
    close(new);
    close(late);
    close(talking);
    echo_end(server);
}

pid_t echo_traced(struct program *strace)
{
    int pid = (int)program_pid(strace);
    const char *path = text("/proc/%d/task/%d/children", pid, pid);
    FILE *file = fopen(path, "r");
    int child = 0;
    if (!file || fscanf(file, "%d", &child) != 1)
        fail_msg("%s has no child", path);
    fclose(file);
    return child;
}
