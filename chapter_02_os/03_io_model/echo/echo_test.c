#include "echo_test.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MOST_SERVERS = 4,   /* in one test */
    MOST_LINES = 20000, /* of one server's log */
    BATCH = 100,        /* connections opened at once */
    NARROW = 64 * 1024, /* socket buffers of a client that does not read */
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

static int connect_with_buffers(struct echo *server, int size)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)server->port)};
    inet_pton(AF_INET, server->host, &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd == -1)
        fail_msg("socket: %s", strerror(errno));
    if (size > 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    }
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == -1)
        fail_msg("connecting to %s:%d: %s", server->host, server->port,
                 strerror(errno));
    return fd;
}

int echo_connect(struct echo *server)
{
    return connect_with_buffers(server, 0);
}

int echo_connect_narrow(struct echo *server)
{
    return connect_with_buffers(server, NARROW);
}

void echo_reset(int fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    close(fd);
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
    long before_kb = echo_memory_kb(server);
    test_waiting(TEST_PLACE("waited until the server stops reading"));
    while (looks < LOOKS && sent < FLOOD &&
           echo_memory_kb(server) - before_kb < HOARD_KB) {
        size_t now = send_pattern(fd, sent);
        looks = now == sent && echo_is_asleep(server) ? looks + 1 : 0;
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

/* What the kernel says. */

/* Calls visit with the path of each entry; returns how many there are. */
static int for_entries(const char *folder, void (*visit)(const char *, void *),
                       void *argument)
{
    int count = 0;
    DIR *directory = opendir(folder);
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        if (entry->d_name[0] == '.')
            continue;
        count++;
        if (visit) {
            char path[512];
            snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
            visit(path, argument);
        }
    }
    if (directory)
        closedir(directory);
    return count;
}

/* Reads a file of /proc that may vanish at any time. */
static void slurp(const char *folder, const char *file, char *buf, size_t size)
{
    char path[600];
    snprintf(path, sizeof(path), "%s/%s", folder, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd == -1 ? 0 : read(fd, buf, size - 1);
    buf[n > 0 ? n : 0] = '\0';
    if (fd != -1)
        close(fd);
}

static long number_after(const char *text, const char *label)
{
    const char *at = strstr(text, label);
    return at ? strtol(at + strlen(label), NULL, 10) : 0;
}

int echo_threads(struct echo *server)
{
    return for_entries(text("/proc/%d/task", (int)server->pid), NULL, NULL);
}

int echo_descriptors(struct echo *server)
{
    return for_entries(text("/proc/%d/fd", (int)server->pid), NULL, NULL);
}

long echo_memory_kb(struct echo *server)
{
    char status[4096];
    slurp(text("/proc/%d", (int)server->pid), "status", status, sizeof(status));
    return number_after(status, "VmRSS:");
}

static void add_switches(const char *thread, void *total)
{
    char status[4096];
    slurp(thread, "status", status, sizeof(status));
    *(long *)total += number_after(status, "\nvoluntary_ctxt_switches:") +
                      number_after(status, "nonvoluntary_ctxt_switches:");
}

long echo_switches(struct echo *server)
{
    long total = 0;
    for_entries(text("/proc/%d/task", (int)server->pid), add_switches, &total);
    return total;
}

/* A letter for all threads, as ps shows it, and whether all have it. */
struct states {
    char letter;
    bool all;
};

static void see_state(const char *thread, void *argument)
{
    struct states *states = argument;
    char stat[1024];
    slurp(thread, "stat", stat, sizeof(stat));
    const char *end = strrchr(stat, ')');
    if (end && end[1] == ' ' && end[2] != states->letter)
        states->all = false;
}

static bool all_threads_are(struct echo *server, char letter)
{
    struct states states = {.letter = letter, .all = true};
    for_entries(text("/proc/%d/task", (int)server->pid), see_state, &states);
    return states.all;
}

bool echo_is_asleep(struct echo *server)
{
    return all_threads_are(server, 'S');
}

void echo_pause(struct echo *server)
{
    program_signal(server->program, SIGSTOP);
    wait_until(all_threads_are(server, 'T'));
}

void echo_resume(struct echo *server)
{
    program_signal(server->program, SIGCONT);
}

void echo_expect_asleep(struct echo *server)
{
    int looks = 0;
    test_waiting(TEST_PLACE("waited until the server sleeps"));
    while (looks < LOOKS) {
        looks = echo_is_asleep(server) ? looks + 1 : 0;
        test_pause();
    }
    test_waiting((struct test_place){0});
}

static void note_number(const char *path, void *used)
{
    int fd = atoi(strrchr(path, '/') + 1);
    if (fd >= 0 && fd < FD_SETSIZE)
        ((bool *)used)[fd] = true;
}

void echo_limit_descriptors(struct echo *server, int more)
{
    bool used[FD_SETSIZE] = {0};
    for_entries(text("/proc/%d/fd", (int)server->pid), note_number, used);
    struct rlimit limit;
    if (prlimit(server->pid, RLIMIT_NOFILE, NULL, &limit) == -1)
        fail_msg("prlimit: %s", strerror(errno));
    limit.rlim_cur = 0;
    while (more > 0)
        more -= !used[limit.rlim_cur++];
    if (prlimit(server->pid, RLIMIT_NOFILE, &limit, NULL) == -1)
        fail_msg("prlimit: %s", strerror(errno));
}
