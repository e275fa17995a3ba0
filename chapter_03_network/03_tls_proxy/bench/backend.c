/*
 * backend.c - a lean HTTP backend, for looking at proxies and for benches.
 *
 *     backend [--port PORT] [--name NAME] [--size BYTES] [--delay-ms MS]
 *             [--addresses N]
 *
 * GET /head answers with the head of the request as it came; every other
 * request gets "hello from NAME" (by default its port), or BYTES zeros. With
 * --delay-ms it sleeps before each answer, one client after the other: a
 * backend that is slow for all. It is not strict: it finds the end of a head,
 * and takes bodies of up to 64 KiB with Content-Length. One thread, epoll. It
 * listens on 127.0.0.1 to 127.0.0.N, at the same port: to a proxy those are N
 * backends.
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FDS = 65536, BUFFER = 96 * 1024, EVENTS = 256 };

struct client {
    size_t len;
    char bytes[BUFFER];
};

static struct client *clients[MAX_FDS];
static char answer[BUFFER]; /* its head, and its body or the begin of it */
static size_t answer_len;
static long long answer_rest; /* bytes of the body that are not in there */
static long delay_ms;
static int last_listener; /* those of clients have higher numbers */

static void drop(int fd)
{
    free(clients[fd]);
    clients[fd] = NULL;
    close(fd);
}

static bool send_all(int fd, const char *bytes, size_t len)
{
    for (ssize_t n; len > 0; bytes += n, len -= (size_t)n) {
        n = send(fd, bytes, len, MSG_NOSIGNAL);
        if (n == -1)
            return false;
    }
    return true;
}

static void send_answer(int fd)
{
    static char rest[BUFFER];
    if (!send_all(fd, answer, answer_len))
        return;
    for (long long left = answer_rest; left > 0; left -= BUFFER)
        if (!send_all(fd, rest, left < BUFFER ? (size_t)left : BUFFER))
            return;
}

/* Answers the request at the front. Returns its length, 0 if it is not there
 * yet. */
static size_t serve(int fd, const char *bytes, size_t len)
{
    const char *end = memmem(bytes, len, "\r\n\r\n", 4);
    if (!end)
        return 0;
    size_t head = (size_t)(end - bytes) + 4, body = 0;
    for (const char *line = bytes; line < end;) {
        if (strncasecmp(line, "Content-Length:", 15) == 0)
            body = strtoul(line + 15, NULL, 10);
        line = (const char *)memchr(line, '\n', (size_t)(end + 2 - line)) + 1;
    }
    if (len < head + body)
        return 0;
    if (delay_ms > 0)
        nanosleep(
            &(struct timespec){delay_ms / 1000, delay_ms % 1000 * 1000000},
            NULL);
    if (strncmp(bytes, "GET /head ", 10) == 0) {
        char line[64];
        int n =
            snprintf(line, sizeof(line),
                     "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", head);
        send_all(fd, line, (size_t)n);
        send_all(fd, bytes, head);
    } else {
        send_answer(fd);
    }
    return head + body;
}

static void read_some(int fd)
{
    struct client *client = clients[fd];
    ssize_t n = recv(fd, client->bytes + client->len,
                     sizeof(client->bytes) - client->len, 0);
    if (n <= 0) {
        drop(fd);
        return;
    }
    client->len += (size_t)n;
    size_t done = 0, one;
    while ((one = serve(fd, client->bytes + done, client->len - done)) > 0)
        done += one;
    client->len -= done;
    memmove(client->bytes, client->bytes + done, client->len);
}

/* Returns its port. */
static int open_listener(int epoll, int last_byte, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port)};
    socklen_t len = sizeof(address);
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    address.sin_addr.s_addr = htonl((127U << 24) + (unsigned)last_byte);
    if (fd == -1 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
        bind(fd, (struct sockaddr *)&address, len) == -1 ||
        listen(fd, SOMAXCONN) == -1 ||
        getsockname(fd, (struct sockaddr *)&address, &len) == -1 ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == -1)
        err(1, "127.0.0.%d:%d", last_byte, port);
    if (fd > last_listener)
        last_listener = fd;
    port = ntohs(address.sin_port);
    printf("Listening on 127.0.0.%d:%d\n", last_byte, port);
    fflush(stdout);
    return port;
}

static void make_answer(const char *name, long long size, int port)
{
    char body[256];
    int len = *name ? snprintf(body, sizeof(body), "hello from %s\n", name)
                    : snprintf(body, sizeof(body), "hello from %d\n", port);
    int head = snprintf(answer, sizeof(answer),
                        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                        "Content-Length: %lld\r\n\r\n%s",
                        size > 0 ? size : len, size > 0 ? "" : body);
    answer_len = (size_t)head;
    if (size > 0) {
        long long room = (long long)sizeof(answer) - head;
        answer_rest = size > room ? size - room : 0;
        answer_len += (size_t)(size - answer_rest);
    }
}

int main(int argc, char **argv)
{
    const char *name = "";
    int port = 0, addresses = 1;
    long long size = 0;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--port") == 0)
            port = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--name") == 0)
            name = argv[i + 1];
        else if (strcmp(argv[i], "--size") == 0)
            size = atoll(argv[i + 1]);
        else if (strcmp(argv[i], "--delay-ms") == 0)
            delay_ms = atol(argv[i + 1]);
        else if (strcmp(argv[i], "--addresses") == 0)
            addresses = atoi(argv[i + 1]);
        else
            errx(2, "what is %s?", argv[i]);
    }
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int last_byte = 1; last_byte <= addresses; last_byte++)
        port = open_listener(epoll, last_byte, port);
    make_answer(name, size, port);
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd, on = 1;
            if (fd > last_listener) {
                read_some(fd);
                continue;
            }
            fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
            if (fd == -1)
                continue;
            if (fd >= MAX_FDS || !(clients[fd] = malloc(sizeof(*clients[0])))) {
                close(fd);
                continue;
            }
            clients[fd]->len = 0;
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
            struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
            epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
        }
    }
}
