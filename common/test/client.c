#include "test/client.h"
#include "test/harness.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/* A size of 0 is the kernel's choice. */
static int connect_with_buffers(struct test_place place, int port, int size)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd == -1)
        test_fail(place, "socket: %s", strerror(errno));
    if (size > 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    }
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == -1)
        test_fail(place, "127.0.0.1:%d: %s", port, strerror(errno));
    return fd;
}

int client_connect_at(struct test_place place, int port)
{
    return connect_with_buffers(place, port, 0);
}

int client_connect_narrow_at(struct test_place place, int port)
{
    return connect_with_buffers(place, port, 64 * 1024);
}

void client_send_at(struct test_place place, int fd, const void *bytes,
                    size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n =
            send(fd, (const char *)bytes + done, len - done, MSG_NOSIGNAL);
        if (n == -1 && errno != EINTR)
            test_fail(place, "after %zu of %zu bytes: %s", done, len,
                      strerror(errno));
        done += n > 0 ? (size_t)n : 0;
    }
}

size_t client_receive_at(struct test_place place, int fd, void *bytes,
                         size_t len)
{
    size_t done = 0;
    test_waiting(place);
    while (done < len) {
        ssize_t n = recv(fd, (char *)bytes + done, len - done, 0);
        if (n == -1 && errno != EINTR)
            test_fail(place, "after %zu of %zu bytes: %s", done, len,
                      strerror(errno));
        if (n == 0)
            break;
        done += n > 0 ? (size_t)n : 0;
    }
    test_waiting((struct test_place){0});
    return done;
}

void client_expect_at(struct test_place place, int fd, const void *expected,
                      size_t len)
{
    char *bytes = harness_alloc(len + 1);
    size_t done = client_receive_at(place, fd, bytes, len);
    test_bytes(place, bytes, done, expected, len);
}

void client_expect_end_at(struct test_place place, int fd)
{
    char bytes[256];
    test_waiting(place);
    ssize_t n;
    do {
        n = recv(fd, bytes, sizeof(bytes), 0);
    } while (n == -1 && errno == EINTR);
    test_waiting((struct test_place){0});
    if (n == -1)
        test_fail(place, "expected: the end\nactual:   %s", strerror(errno));
    test_bytes(place, bytes, (size_t)n, "", 0);
}

void client_reset(int fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    close(fd);
}

int client_listen_at(struct test_place place, int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd == -1 || bind(fd, (struct sockaddr *)&address, len) == -1 ||
        listen(fd, SOMAXCONN) == -1 ||
        getsockname(fd, (struct sockaddr *)&address, &len) == -1)
        test_fail(place, "%s", strerror(errno));
    *port = ntohs(address.sin_port);
    return fd;
}

int client_accept_at(struct test_place place, int fd)
{
    int accepted;
    test_waiting(place);
    do {
        accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    } while (accepted == -1 && errno == EINTR);
    if (accepted == -1)
        test_fail(place, "%s", strerror(errno));
    test_waiting((struct test_place){0});
    return accepted;
}
