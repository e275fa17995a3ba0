/* A real browser listens. It sees the server through a relay in this test,
 * which also serves a page, hears what the page has got, and can cut the
 * connection. */
#include "test/http.h"
#include "test/program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CLIENTS = 32, ROOM = 8192 };

static const char page[] =
    "<!DOCTYPE html><title>test</title><script>\n"
    "let last = Promise.resolve();\n"
    "const seen = text => last = last.then(() => fetch('/seen?' + text));\n"
    "const source = new EventSource('/sse');\n"
    "source.onmessage = e => seen(e.lastEventId + ':' +\n"
    "    encodeURIComponent(e.data));\n"
    "source.addEventListener('gap', e => seen('gap:' + e.data));\n"
    "</script>\n";

static struct {
    int listener, port, server_port;
    struct program *browser;
    struct client {
        int fd; /* -1: none */
        size_t len;
        char bytes[ROOM + 1];
    } clients[CLIENTS];
    int source, upstream;   /* the EventSource and the server, or -1 */
    char request[ROOM + 1]; /* of the EventSource, the last one */
    char seen[ROOM + 1];    /* what the page has told; "" if it is taken */
} relay;

static void forget(int *fd)
{
    if (*fd != -1)
        close(*fd);
    *fd = -1;
}

static void answer(struct client *client, const char *status, const char *type,
                   const char *body)
{
    const char *all = text("HTTP/1.1 %s\r\nContent-Type: %s\r\n"
                           "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
                           status, type, strlen(body), body);
    send(client->fd, all, strlen(all), MSG_NOSIGNAL);
    forget(&client->fd);
}

/* Answers a request that is complete. */
static void serve(struct client *client)
{
    static const char get_seen[] = "GET /seen?";
    char *bytes = client->bytes;
    if (strncmp(bytes, "GET / ", 6) == 0) {
        answer(client, "200 OK", "text/html", page);
    } else if (strncmp(bytes, get_seen, strlen(get_seen)) == 0) {
        char *from = bytes + strlen(get_seen);
        snprintf(relay.seen, sizeof(relay.seen), "%.*s",
                 (int)strcspn(from, " "), from);
        answer(client, "200 OK", "text/plain", "");
    } else if (strncmp(bytes, "GET /sse ", 9) == 0) {
        snprintf(relay.request, sizeof(relay.request), "%s", bytes);
        forget(&relay.source);
        forget(&relay.upstream);
        relay.source = client->fd;
        client->fd = -1;
        relay.upstream = client_connect(relay.server_port);
        client_send_bytes(relay.upstream, bytes, client->len);
    } else {
        answer(client, "404 Not Found", "text/plain", "");
    }
}

static void receive(struct client *client)
{
    ssize_t n =
        recv(client->fd, client->bytes + client->len, ROOM - client->len, 0);
    if (n <= 0) {
        forget(&client->fd);
        return;
    }
    client->len += (size_t)n;
    client->bytes[client->len] = '\0';
    if (strstr(client->bytes, "\r\n\r\n"))
        serve(client);
}

static void accept_client(void)
{
    for (int i = 0; i < CLIENTS; i++) {
        if (relay.clients[i].fd == -1) {
            relay.clients[i].fd = client_accept(relay.listener);
            relay.clients[i].len = 0;
            return;
        }
    }
    fail_msg("the browser opens more than %d connections", CLIENTS);
}

/* From the server to the browser; either may end it. */
static void forward(void)
{
    char bytes[ROOM];
    ssize_t n = recv(relay.upstream, bytes, sizeof(bytes), 0);
    if (n > 0 && send(relay.source, bytes, (size_t)n, MSG_NOSIGNAL) == n)
        return;
    forget(&relay.source);
    forget(&relay.upstream);
}

static bool browser_has_ended(void)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)program_pid(relay.browser), &info,
                  WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid != 0;
}

static void relay_once(void)
{
    enum { LISTENER, SOURCE, UPSTREAM, FIRST };
    struct pollfd fds[FIRST + CLIENTS] = {
        [LISTENER] = {.fd = relay.listener, .events = POLLIN},
        [SOURCE] = {.fd = relay.source, .events = POLLIN},
        [UPSTREAM] = {.fd = relay.upstream, .events = POLLIN}};
    for (int i = 0; i < CLIENTS; i++)
        fds[FIRST + i] =
            (struct pollfd){.fd = relay.clients[i].fd, .events = POLLIN};
    if (poll(fds, FIRST + CLIENTS, 100) == 0 && browser_has_ended())
        test_skip("the browser does not run here");
    if (fds[UPSTREAM].revents)
        forward();
    else if (fds[SOURCE].revents) {
        forget(&relay.source);
        forget(&relay.upstream);
    }
    for (int i = 0; i < CLIENTS; i++) {
        if (fds[FIRST + i].revents)
            receive(&relay.clients[i]);
    }
    if (fds[LISTENER].revents)
        accept_client();
}

/* The next thing that the page tells. */
static void expect_seen(const char *expected)
{
    test_waiting(
        TEST_PLACE(text("waited until the page has got %s", expected)));
    while (!*relay.seen)
        relay_once();
    test_waiting((struct test_place){0});
    assert_string_equal(relay.seen, expected);
    relay.seen[0] = '\0';
}

static void expect_source(void)
{
    test_waiting(TEST_PLACE("waited until the EventSource connects"));
    while (relay.upstream == -1)
        relay_once();
    test_waiting((struct test_place){0});
}

static void cut(void)
{
    forget(&relay.source);
    forget(&relay.upstream);
}

static void post(const char *content)
{
    int fd = client_connect(relay.server_port);
    client_send(fd, text("POST /events HTTP/1.1\r\nHost: test\r\n"
                         "Content-Length: %zu\r\n\r\n%s",
                         strlen(content), content));
    assert_status(http_read(fd), 200);
    close(fd);
}

static struct program *start_server(void)
{
    struct program *server = start("--interval-ms", "0", "--retry-ms", "10");
    relay.server_port = program_port(server);
    return server;
}

static void end_server(struct program *server)
{
    program_signal(server, SIGTERM);
    assert_exit(program_wait(server), 0);
}

static const char *find_browser(void)
{
    static const char *const names[] = {"chromium", "chromium-browser",
                                        "chromium-headless-shell",
                                        "google-chrome"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (system(text("command -v %s >/dev/null", names[i])) == 0)
            return names[i];
    }
    test_need("chromium");
    return NULL;
}

/* Its many processes belong to this one then, however they were started. */
static void start_browser(const char *name)
{
    const char *folder = text("%s", getcwd((char[4096]){0}, 4096));
    const char *home = text("HOME=%s", folder);
    struct run_options options = {.program = name,
                                  .env = (const char *const[]){home, NULL}};
    struct rlimit limit;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    getrlimit(RLIMIT_AS, &limit); /* it maps much more than it uses */
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_AS, &limit);
    relay.browser = start_with(
        options, "--headless", "--no-sandbox", "--disable-gpu",
        "--disable-breakpad", "--disable-crash-reporter",
        "--disable-dev-shm-usage", "--disable-background-networking",
        "--disable-component-update", "--disable-extensions", "--disable-sync",
        "--no-first-run", "--no-proxy-server", "--no-zygote",
        "--remote-debugging-port=0", text("--user-data-dir=%s/profile", folder),
        text("http://127.0.0.1:%d/", relay.port));
}

/* It is the last child of this test. */
static void end_browser(void)
{
    program_signal(relay.browser, SIGTERM);
    program_wait(relay.browser);
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
        ;
}

TEST(test_31_a_browser_listens_and_goes_on_where_it_stopped, .limit_ms = 10000)
{
    for (int i = 0; i < CLIENTS; i++)
        relay.clients[i].fd = -1;
    relay.source = relay.upstream = -1;
    relay.listener = client_listen(&relay.port);
    const char *browser = find_browser();
    struct program *server = start_server();
    start_browser(browser);
    expect_source();
    post("one\nline and\r\rnot event: forged");
    expect_seen("1:one%0Aline%20and%0A%0Anot%20event%3A%20forged");
    post("");
    expect_seen("2:");

    cut();
    post("made while nobody listens");
    expect_source();
    assert_contains(relay.request, "Last-Event-ID: 2\r\n");
    expect_seen("3:made%20while%20nobody%20listens");

    /* Another life of the server, in which there is no event 4 yet. */
    cut();
    end_server(server);
    server = start_server();
    post("x");
    expect_source();
    expect_seen("gap:1");
    expect_seen("1:x");
    cut();
    end_server(server);
    end_browser();
    for (int i = 0; i < CLIENTS; i++)
        forget(&relay.clients[i].fd);
    close(relay.listener);
}
