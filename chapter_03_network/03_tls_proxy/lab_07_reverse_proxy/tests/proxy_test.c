#include "proxy_test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    NARROW = 128 * 1024,
    PERIOD = 65521, /* of the pattern; a prime: what is lost shows */
    LOOKS = 20,
};

struct backend backend_open(void)
{
    struct backend backend;
    backend.listener = client_listen(&backend.port);
    return backend;
}

struct backend backend_dead(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct backend backend = {socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
                              0};
    int on = 1; /* so that another one may take the port in its place */
    setsockopt(backend.listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    if (bind(backend.listener, (struct sockaddr *)&address, len) == -1 ||
        getsockname(backend.listener, (struct sockaddr *)&address, &len) == -1)
        fail_msg("bind: %s", strerror(errno));
    backend.port = ntohs(address.sin_port);
    return backend;
}

void backend_close(struct backend backend)
{
    close(backend.listener);
}

void backend_expect_unasked(struct backend backend)
{
    struct pollfd ready = {.fd = backend.listener, .events = POLLIN};
    if (poll(&ready, 1, 0) != 0)
        fail_msg("expected: no connection to the backend\nactual:   one");
}

struct proxy *proxy_start_at(struct test_place place,
                             const struct proxy_options *options,
                             const int *ports)
{
    static struct proxy proxies[4];
    static int count;
    const char *args[32];
    int n = 0;
    struct run_options run = {0};
    if (options && options->timeout_ms) {
        args[n++] = "--timeout-ms";
        args[n++] = options->timeout_ms;
    }
    if (options && options->threads) {
        args[n++] = "--threads";
        args[n++] = options->threads;
    }
    if (options)
        run.faults = options->faults;
    for (int i = 0; ports[i]; i++) {
        args[n++] = "--backend";
        args[n++] = text("127.0.0.1:%d", ports[i]);
    }
    args[n] = NULL;
    struct proxy *proxy = &proxies[count++];
    proxy->program = program_start(place, run, args);
    proxy->port = program_port(proxy->program);
    proxy->pid = program_pid(proxy->program);
    return proxy;
}

struct run proxy_end(struct proxy *proxy)
{
    program_signal(proxy->program, SIGTERM);
    struct run r = program_wait(proxy->program);
    assert_exit(r, 0);
    return r;
}

void assert_counts(struct run r, struct backend backend, int answered,
                   int failed)
{
    assert_output_contains(r, text("127.0.0.1:%d answered %d, failed %d\n",
                                   backend.port, answered, failed));
}

char *read_to_end(int fd, size_t *len, bool *was_reset)
{
    static char bytes[1 << 16];
    ssize_t n;
    *len = 0;
    test_waiting(TEST_PLACE("reading to the end of the connection"));
    while ((n = recv(fd, bytes + *len, sizeof(bytes) - 1 - *len, 0)) > 0)
        *len += (size_t)n;
    test_waiting((struct test_place){0});
    if (was_reset)
        *was_reset = n == -1;
    bytes[*len] = '\0';
    return text("%s", bytes);
}

int round_trip(int client, struct backend backend)
{
    client_send(client, REQUEST("GET /") "\r\n");
    int fd = client_accept(backend.listener);
    client_expect(fd, FORWARDED("GET /", "") "\r\n");
    client_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    struct http_reply r = http_read(client);
    assert_status(r, 200);
    assert_body(r, "hello");
    return fd;
}

bool can_connect(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int result = connect(fd, (struct sockaddr *)&address, sizeof(address));
    close(fd);
    return result == 0;
}

struct program *nginx_start(int port, const char *locations)
{
    write_text("nginx.conf",
               "daemon off; master_process off; pid nginx.pid;\n"
               "error_log stderr crit; events { }\n"
               "http { access_log off; client_body_temp_path body;\n"
               "proxy_temp_path proxy; fastcgi_temp_path fastcgi;\n"
               "uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n"
               "server { listen 127.0.0.1:%d reuseport;\n"
               "%s } }\n",
               port, locations);
    return start_with((struct run_options){.program = "nginx"}, "-p", ".", "-c",
                      "nginx.conf");
}

/* Much at once. */

static const unsigned char *pattern(size_t from)
{
    static unsigned char bytes[2 * PERIOD];
    static bool made;
    uint32_t random = 2463534242u;
    for (size_t i = 0; !made && i < PERIOD; i++) {
        random ^= random << 13; /* xorshift */
        random ^= random >> 17;
        random ^= random << 5;
        bytes[i] = bytes[PERIOD + i] = (unsigned char)random;
    }
    made = true;
    return bytes + from % PERIOD;
}

void narrow(int fd)
{
    int size = NARROW;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
}

static size_t send_some(int fd, size_t sent, size_t len)
{
    size_t most = len - sent < PERIOD ? len - sent : PERIOD;
    ssize_t n =
        most == 0 ? 0
                  : send(fd, pattern(sent), most, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent + (n > 0 ? (size_t)n : 0);
}

size_t flood(struct proxy *proxy, int fd, size_t sent, size_t most)
{
    int looks = 0;
    test_waiting(TEST_PLACE("waited until the proxy stops reading"));
    while (looks < LOOKS && sent < most) {
        size_t now = send_some(fd, sent, most);
        looks = now == sent && process_is_asleep(proxy->pid) ? looks + 1 : 0;
        if (now == sent)
            test_pause();
        sent = now;
    }
    test_waiting((struct test_place){0});
    return sent;
}

void transfer(int from, int to, size_t sent, size_t len)
{
    static unsigned char bytes[PERIOD];
    size_t got = 0;
    test_waiting(TEST_PLACE("waited for all that was sent to arrive"));
    while (got < len) {
        struct pollfd ready[] = {{from, sent < len ? POLLOUT : 0, 0},
                                 {to, POLLIN, 0}};
        poll(ready, 2, -1);
        if (ready[0].revents & POLLOUT)
            sent = send_some(from, sent, len);
        if (ready[0].revents & (POLLERR | POLLHUP))
            fail_msg("after %zu of %zu bytes the connection ended", sent, len);
        if (!ready[1].revents)
            continue;
        size_t most = len - got < PERIOD ? len - got : PERIOD;
        ssize_t n = recv(to, bytes, most, MSG_DONTWAIT);
        if (n <= 0)
            fail_msg("after %zu of %zu bytes: %s", got, len,
                     n == 0 ? "the end" : strerror(errno));
        if (memcmp(bytes, pattern(got), (size_t)n) != 0)
            assert_bytes_equal(bytes, (size_t)n, pattern(got), (size_t)n);
        got += (size_t)n;
    }
    test_waiting((struct test_place){0});
}
