#include "checks.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

void checks_open(struct checks *checks, const struct worker *worker,
                 struct balancer *balancer, const char *path, int timeout_ms)
{
    *checks = (struct checks){.epoll = worker->epoll,
                              .balancer = balancer,
                              .path = path,
                              .timeout_ns = (uint64_t)timeout_ms * 1000000};
    for (int i = 0; i < MAX_BACKENDS; i++)
        checks->list[i].fd = -1;
}

static const struct sockaddr_in *address_of(const struct checks *checks,
                                            const struct check *check)
{
    return balancer_address(checks->balancer, (int)(check - checks->list));
}

static void hang_up(struct check *check)
{
    if (check->fd != -1)
        close(check->fd); /* epoll forgets it, too */
    check->fd = -1;
}

static void end_check(struct checks *checks, struct check *check, bool passed,
                      uint64_t now_ns)
{
    hang_up(check);
    check->under_way = false;
    balancer_checked(checks->balancer, (int)(check - checks->list), passed,
                     now_ns);
}

static void begin_check(struct checks *checks, struct check *check,
                        uint64_t now_ns)
{
    const struct sockaddr_in *address = address_of(checks, check);
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = check};
    check->under_way = true;
    check->asked = false;
    check->begun_ns = now_ns;
    check->len = 0;
    check->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (check->fd != -1 &&
        epoll_ctl(checks->epoll, EPOLL_CTL_ADD, check->fd, &event) == -1)
        hang_up(check);
    if (check->fd != -1 &&
        connect(check->fd, (const struct sockaddr *)address,
                sizeof(*address)) == -1 &&
        errno != EINPROGRESS && errno != EINTR)
        end_check(checks, check, false, now_ns);
}

int checks_run(struct checks *checks, uint64_t now_ns)
{
    uint64_t timeout_ns = checks->timeout_ns;
    if (!checks->path)
        return -1;
    for (int i = 0; i < MAX_BACKENDS; i++) {
        struct check *check = &checks->list[i];
        if (!check->under_way || now_ns - check->begun_ns < timeout_ns)
            continue;
        if (check->fd == -1) /* it never began */
            begin_check(checks, check, now_ns);
        else
            end_check(checks, check, false, now_ns);
    }
    for (int i; (i = balancer_check_due(checks->balancer, now_ns)) != -1;)
        begin_check(checks, &checks->list[i], now_ns);

    uint64_t next_ns = balancer_next_check(checks->balancer);
    for (int i = 0; i < MAX_BACKENDS; i++) {
        const struct check *check = &checks->list[i];
        if (check->under_way && check->begun_ns + timeout_ns < next_ns)
            next_ns = check->begun_ns + timeout_ns;
    }
    return next_ns > now_ns ? (int)((next_ns - now_ns + 999999) / 1000000) : 0;
}

/* The connection is there. Its send buffer is empty: all of it fits. */
static bool ask(struct checks *checks, struct check *check)
{
    const struct sockaddr_in *address = address_of(checks, check);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = check};
    char host[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &address->sin_addr, host, sizeof(host));
    int len =
        snprintf(check->bytes, sizeof(check->bytes),
                 "GET %s HTTP/1.1\r\nHost: %s:%d\r\nConnection: close\r\n\r\n",
                 checks->path, host, ntohs(address->sin_port));
    check->asked = true;
    return send(check->fd, check->bytes, (size_t)len, MSG_NOSIGNAL) == len &&
           epoll_ctl(checks->epoll, EPOLL_CTL_MOD, check->fd, &event) == 0;
}

/* Returns 1 if the backend is well, -1 if not, 0 if that is not known yet. */
static int read_response(struct check *check)
{
    ssize_t n = recv(check->fd, check->bytes + check->len,
                     sizeof(check->bytes) - check->len, 0);
    if (n == -1 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0)
        return -1;
    check->len += (size_t)n;
    for (;;) { /* 1xx heads come before the final one */
        struct http_head head = {0};
        int state = http_response(&head, check->bytes, check->len, false);
        if (state != 1)
            return state;
        if (head.status >= 200)
            return head.status < 400 ? 1 : -1;
        check->len -= head.len;
        memmove(check->bytes, check->bytes + head.len, check->len);
    }
}

bool checks_event(struct checks *checks, const void *pointer, uint64_t now_ns)
{
    uintptr_t at = (uintptr_t)pointer, first = (uintptr_t)checks->list;
    if (at < first || at >= first + sizeof(checks->list))
        return false;
    struct check *check = &checks->list[(at - first) / sizeof(checks->list[0])];
    if (check->fd == -1) /* closed by an event before this one */
        return true;
    int well = check->asked         ? read_response(check)
               : ask(checks, check) ? 0
                                    : -1;
    if (well != 0)
        end_check(checks, check, well == 1, now_ns);
    return true;
}

void checks_close(struct checks *checks)
{
    for (int i = 0; i < MAX_BACKENDS; i++)
        hang_up(&checks->list[i]);
}
