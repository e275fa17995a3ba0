#include "chat_server.h"
#include "test/client.h"
#include "test/process.h"
#include "test/program.h"
#include "test/test.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    MOST_WAITING = 256 * 1024, /* as README.md says */
    MOST_EVENTS = 64,
    MOST_GUESTS = 1010,
};

/* The framer, seen as a list of events. */

struct events {
    int count;
    const char *lines[MOST_EVENTS]; /* NULL: a line was too long */
};

/* Feeds a copy of the bytes that ends where they end, so that a sanitizer sees
 * who reads on. */
static void feed(struct framer *framer, const char *bytes, size_t len,
                 struct events *events)
{
    char *copy = malloc(len == 0 ? 1 : len);
    memcpy(copy, bytes, len);
    const char *at = copy;
    size_t left = len;
    for (enum framer_event event = FRAMER_LINE; event != FRAMER_MORE;) {
        size_t before = left;
        event = framer_next(framer, &at, &left);
        if (left > before || at != copy + (len - left))
            fail_msg("of %zu bytes %zu are left, but *bytes has moved by %td",
                     len, left, at - copy);
        if (event == FRAMER_MORE)
            break;
        if (left == before)
            fail_msg("framer_next made a line of nothing");
        if (events->count == MOST_EVENTS)
            fail_msg("framer_next found more than %d lines", MOST_EVENTS);
        if (event != FRAMER_LINE)
            assert_int_equal(event, FRAMER_TOO_LONG);
        events->lines[events->count++] =
            event == FRAMER_LINE ? text("%s", framer->line) : NULL;
    }
    assert_int_equal(left, 0);
    if (memcmp(copy, bytes, len) != 0)
        fail_msg("framer_next has changed the bytes it was given");
    free(copy);
}

/* What a new framer makes of them, in two pieces. */
static struct events events_of(const char *bytes, size_t len, size_t cut)
{
    struct events events = {0};
    struct framer framer;
    memset(&framer, 'x', sizeof(framer)); /* no luck with zeros */
    framer_init(&framer);
    feed(&framer, bytes, cut, &events);
    bytes += cut;
    feed(&framer, bytes, len - cut, &events);
    return events;
}

static void expect_events(struct events actual, int count,
                          const char *const expected[])
{
    for (int i = 0; i < actual.count && i < count; i++)
        assert_string_equal(actual.lines[i], expected[i]);
    assert_int_equal(actual.count, count);
}

/* The lines that these bytes make, however they are cut. */
#define assert_lines(bytes, ...)                                             \
    do {                                                                     \
        const char *const expected[] = {__VA_ARGS__};                        \
        size_t len = sizeof(bytes) - 1;                                      \
        for (size_t cut = 0; cut <= len; cut++)                              \
            expect_events(events_of(bytes, len, cut),                        \
                          sizeof(expected) / sizeof(expected[0]), expected); \
    } while (0)

TEST(test_01_bytes_become_lines)
{
    struct events one = events_of("hello\n", 6, 0);
    expect_events(one, 1, (const char *const[]){"hello"});
    struct events three = events_of("hello\n\nworld\nhalf", 17, 17);
    expect_events(three, 3, (const char *const[]){"hello", "", "world"});

    struct framer framer;
    framer_init(&framer);
    const char *bytes = NULL;
    size_t left = 0;
    assert_int_equal(framer_next(&framer, &bytes, &left), FRAMER_MORE);
    bytes = "one\ntwo\n";
    left = 8;
    assert_int_equal(framer_next(&framer, &bytes, &left), FRAMER_LINE);
    assert_string_equal(framer.line, "one");
    assert_int_equal(left, 4);
}

TEST(test_02_a_line_may_come_in_any_pieces)
{
    assert_lines("hello\nworld\n\nand more\nrest", "hello", "world", "",
                 "and more");
    struct events events = {0};
    struct framer framer;
    framer_init(&framer);
    for (const char *at = "byte\n\nby byte\n"; *at; at++)
        feed(&framer, at, 1, &events);
    expect_events(events, 3, (const char *const[]){"byte", "", "by byte"});
}

TEST(test_03_a_cr_before_the_newline_belongs_to_it)
{
    assert_lines("hello\r\nworld\r\n", "hello", "world");
    assert_lines("\r\n\n\r\nx\n", "", "", "", "x");
    assert_lines("a\rb\n\rc\nd\r\r\n", "a?b", "?c", "d?");
}

TEST(test_04_control_bytes_are_question_marks)
{
    char bytes[257], expected[256];
    size_t len = 0;
    for (int byte = 0; byte < 256; byte++) {
        if (byte == '\n')
            continue;
        expected[len] = (char)(byte < 0x20 || byte == 0x7f ? '?' : byte);
        bytes[len++] = (char)byte;
    }
    bytes[len] = '\n';
    expected[len] = '\0';
    for (size_t cut = 0; cut <= len; cut++)
        expect_events(events_of(bytes, len + 1, cut), 1,
                      (const char *const[]){expected});
    assert_lines("\033[2J\n\0\0\nmotd\0x\n", "?[2J", "??", "motd?x");
}

/* A line of this many bytes, and what follows it, cut at all places that could
 * matter; NULL: it is too long. */
static void expect_long(size_t len, const char *end, const char *expected)
{
    char *bytes = text("%0*d%snext\n", (int)len, 0, end);
    size_t all = strlen(bytes);
    for (size_t cut = 0; cut <= all; cut++) {
        if (cut == 10)
            cut = len < 1020 ? len - 5 : 990;
        if (cut == 1010 && all > 1020)
            cut = all - 10;
        expect_events(events_of(bytes, all, cut), 2,
                      (const char *const[]){expected, "next"});
    }
}

TEST(test_05_a_line_has_up_to_1000_bytes)
{
    const char *most = text("%01000d", 0);
    expect_long(999, "\n", text("%0999d", 0));
    expect_long(1000, "\n", most);
    expect_long(1000, "\r\n", most);
    expect_long(999, "\r\r\n", text("%0999d?", 0));
    expect_long(1001, "\n", NULL);
    expect_long(1001, "\r\n", NULL);
    expect_long(1000, "\r\r\n", NULL);
    expect_long(1000, "\rx\n", NULL);
    expect_long(1002, "\n", NULL);
    expect_long(100000, "\n", NULL);

    struct events events = {0};
    struct framer framer;
    framer_init(&framer);
    for (int i = 0; i < 3000; i++)
        feed(&framer, i % 1500 == 1499 ? "\n" : "x", 1, &events);
    feed(&framer, "short\n", 6, &events);
    expect_events(events, 3, (const char *const[]){NULL, NULL, "short"});
}

TEST(test_06_each_client_has_its_own_framer)
{
    struct events first = {0}, second = {0};
    struct framer a, b;
    framer_init(&a);
    framer_init(&b);
    feed(&a, "hel", 3, &first);
    feed(&b, "other\nwo", 8, &second);
    feed(&a, "lo\nfrom a", 9, &first);
    feed(&b, "rld\n", 4, &second);
    feed(&a, "\n", 1, &first);
    expect_events(first, 2, (const char *const[]){"hello", "from a"});
    expect_events(second, 2, (const char *const[]){"other", "world"});
}

TEST(test_07_a_nick_cannot_be_anything)
{
    static const char *const good[] = {
        "a", "ada", "Ada-99", "_", "-", "use", "auser1", "0123456789abcdef",
    };
    static const char *const bad[] = {
        "",
        "user1",
        "user",
        "USER1",
        "UsErs",
        "a b",
        " ada",
        "ada ",
        "a\nb",
        "a\rb",
        "[ada]",
        "ada]:",
        "* ada",
        "a\033b",
        "\xc3\xa4",
        "a\x7f",
        "a.b",
        "a/b",
        "a@b",
        "a?b",
        "a:b",
        "a`b",
        "a{b",
        "/nick",
        "0123456789abcdefg",
        "\x80user",
        "ada\t",
        "a very long nick that nobody can want",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (!nick_allowed(good[i]))
            fail_msg("nick_allowed(\"%s\")\n  expected: true\n"
                     "  actual:   false",
                     good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (nick_allowed(bad[i]))
            fail_msg("nick_allowed(\"%s\")\n  expected: false\n"
                     "  actual:   true",
                     bad[i]);
}

/* A server, and those who speak with it. */

struct chat {
    struct program *program;
    pid_t pid;
    int port;
    int joined; /* the last id that was given */
};

struct guest {
    int fd;
    int id;
    size_t start, end; /* what has come and was not looked at */
    char bytes[4096];
};

static struct chat open_chat_with(const char *faults)
{
    struct program *program =
        start_with((struct run_options){.faults = faults}, "--port", "0");
    return (struct chat){.program = program,
                         .pid = program_pid(program),
                         .port = program_port(program)};
}

static struct chat open_chat(void)
{
    return open_chat_with(NULL);
}

static void close_chat(struct chat *chat)
{
    program_signal(chat->program, SIGTERM);
    struct run r = program_wait(chat->program);
    assert_exit(r, 0);
    /* It says where it listens, and no more. */
    assert_output(r, text("Listening on 127.0.0.1:%d\n", chat->port));
}

/* The next line that it receives, without its newline; until the next call. */
static char *hear_at(struct test_place place, struct guest *guest)
{
    for (;;) {
        char *line = guest->bytes + guest->start;
        char *newline = memchr(line, '\n', guest->end - guest->start);
        if (newline) {
            *newline = '\0';
            guest->start = (size_t)(newline + 1 - guest->bytes);
            if (strlen(line) != (size_t)(newline - line))
                test_fail(place, "there is a NUL in this line: \"%s\"", line);
            return line;
        }
        memmove(guest->bytes, line, guest->end - guest->start);
        guest->end -= guest->start;
        guest->start = 0;
        if (guest->end == sizeof(guest->bytes))
            test_fail(place, "a line of more than %zu bytes",
                      sizeof(guest->bytes));
        test_waiting(place);
        ssize_t len = recv(guest->fd, guest->bytes + guest->end,
                           sizeof(guest->bytes) - guest->end, 0);
        test_waiting((struct test_place){0});
        if (len <= 0)
            test_fail(place, "expected: a line\nactual:   %s",
                      len == 0 ? "the end of the connection" : strerror(errno));
        guest->end += (size_t)len;
    }
}

#define hear(guest) hear_at(TEST_PLACE("what " #guest " receives"), guest)

/* The next line that it receives is this one. */
#define expect(guest, ...)                                           \
    test_string(TEST_PLACE("what " #guest " receives"), hear(guest), \
                "==", text(__VA_ARGS__))

#define say(guest, bytes) client_send((guest)->fd, bytes)

/* Reads on until this line comes. */
static void expect_among_others(struct guest *guest, const char *line)
{
    while (strcmp(hear(guest), line) != 0) {
    }
}

/* The connection is at its end, by FIN or RST, after whatever still comes. */
static void expect_gone(struct guest *guest)
{
    test_waiting(TEST_PLACE("waited for the end of the connection"));
    while (recv(guest->fd, guest->bytes, sizeof(guest->bytes), 0) > 0) {
    }
    test_waiting((struct test_place){0});
    close(guest->fd);
}

static struct guest *come(struct chat *chat)
{
    static struct guest guests[MOST_GUESTS];
    static int count;
    if (count == MOST_GUESTS)
        fail_msg("this test has too many guests");
    struct guest *guest = &guests[count++];
    guest->fd = client_connect(chat->port);
    guest->id = ++chat->joined;
    return guest;
}

/* This many guests, who have heard all that was said so far. */
static void fill(struct chat *chat, struct guest *guests[], int count)
{
    for (int i = 0; i < count; i++) {
        guests[i] = come(chat);
        expect(guests[i], "* you are user%d", guests[i]->id);
        for (int j = 0; j < i; j++)
            expect(guests[j], "* user%d has joined", guests[i]->id);
    }
}

static void leave(struct guest *guest)
{
    close(guest->fd);
}

static void leave_all(struct guest *guests[], int count)
{
    for (int i = 0; i < count; i++)
        leave(guests[i]);
}

/* Leaves with a reset. */
static void vanish(struct guest *guest)
{
    client_reset(guest->fd);
}

/* The line and the way of the program. */

TEST(test_08_it_says_where_it_listens)
{
    struct chat chat = open_chat();
    assert_at_least(chat.port, 1);
    leave(come(&chat));
    close_chat(&chat);

    struct program *program =
        program_start(TEST_PLACE("start"), (struct run_options){0},
                      (const char *const[]){NULL});
    chat = (struct chat){.program = program, .port = program_port(program)};
    leave(come(&chat));
    close_chat(&chat);
}

#define USAGE "[--port PORT]\n"

TEST(test_09_a_wrong_command_line_is_a_usage_error)
{
    assert_usage(USAGE, "--port", "80x");
    assert_usage(USAGE, "--port", "");
    assert_usage(USAGE, "--port", "-1");
    assert_usage(USAGE, "--port", "65536");
    assert_usage(USAGE, "--port", "4294967296");
    assert_usage(USAGE, "--port");
    assert_usage(USAGE, "--speed", "9");
    assert_usage(USAGE, "7");
}

/* A free port that the kernel gives to nobody who does not ask for it. */
static int own_port(void)
{
    for (int port = 20000 + (int)getpid() % 10000;; port++) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)port)};
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int result = bind(fd, (struct sockaddr *)&address, sizeof(address));
        close(fd);
        if (result == 0)
            return port;
    }
}

static struct chat open_chat_at(int port)
{
    struct program *program = start("--port", text("%d", port));
    return (struct chat){.program = program,
                         .pid = program_pid(program),
                         .port = program_port(program)};
}

TEST(test_10_a_port_is_taken_only_while_somebody_listens)
{
    int port = own_port();
    struct chat chat = open_chat_at(port);
    assert_int_equal(chat.port, port);
    assert_no_start(text("127.0.0.1:%d: %s\n", port, strerror(EADDRINUSE)),
                    "--port", text("%d", port));

    /* It ends first, so TIME_WAIT is on its side. */
    struct guest *guest[1];
    fill(&chat, guest, 1);
    close_chat(&chat);
    expect_gone(guest[0]);
    chat = open_chat_at(port);
    fill(&chat, guest, 1);
    leave(guest[0]);
    close_chat(&chat);
}

/* The chat. */

TEST(test_11_arrivals_and_departures_are_announced)
{
    struct chat chat = open_chat();
    struct guest *a = come(&chat);
    expect(a, "* you are user1");
    struct guest *b = come(&chat);
    expect(b, "* you are user2");
    expect(a, "* user2 has joined");
    struct guest *c = come(&chat);
    expect(c, "* you are user3");
    expect(a, "* user3 has joined");
    expect(b, "* user3 has joined");
    leave(b);
    expect(a, "* user2 has left");
    expect(c, "* user2 has left");
    leave(a);
    expect(c, "* user1 has left");
    leave(c);
    close_chat(&chat);
}

TEST(test_12_an_id_is_never_given_twice)
{
    struct chat chat = open_chat();
    struct guest *old[3];
    fill(&chat, old, 3);
    leave(old[2]);
    expect(old[0], "* user3 has left");
    leave(old[1]);
    expect(old[0], "* user2 has left");
    struct guest *new = come(&chat);
    expect(new, "* you are user4");
    expect(old[0], "* user4 has joined");
    leave(old[0]);
    expect(new, "* user1 has left");
    leave(new);
    for (int i = 5; i < 8; i++) { /* while nobody else is there */
        new = come(&chat);
        struct guest *other = come(&chat);
        expect_among_others(other, text("* you are user%d", other->id));
        assert_int_equal(other->id, 2 * i - 4);
        leave(other);
        leave(new);
    }
    close_chat(&chat);
}

TEST(test_13_a_line_goes_to_all_others)
{
    struct chat chat = open_chat();
    struct guest *g[3];
    fill(&chat, g, 3);
    say(g[0], "hello\n");
    expect(g[1], "[user1]: hello");
    expect(g[2], "[user1]: hello");
    say(g[1], "hello yourself\r\n");
    expect(g[0], "[user2]: hello yourself"); /* and not its own line */
    expect(g[2], "[user2]: hello yourself");
    say(g[2], "\n");
    expect(g[0], "[user3]: ");
    expect(g[1], "[user3]: ");
    say(g[2], "%s%n %d\n");
    expect(g[0], "[user3]: %%s%%n %%d");
    expect(g[1], "[user3]: %%s%%n %%d");
    leave_all(g, 3);
    close_chat(&chat);
}

TEST(test_14_pieces_become_lines_for_each_client)
{
    struct chat chat = open_chat();
    struct guest *g[3];
    fill(&chat, g, 3);
    int on = 1;
    setsockopt(g[0]->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    say(g[0], "in ");
    say(g[1], "somebody else's ");
    say(g[2], "a whole line\n"); /* so what was said before has come, too */
    expect(g[0], "[user3]: a whole line");
    expect(g[1], "[user3]: a whole line");
    for (const char *at = "many pieces"; *at; at++)
        client_send_bytes(g[0]->fd, at, 1);
    say(g[1], "line\n");
    expect(g[0], "[user2]: somebody else's line");
    expect(g[2], "[user2]: somebody else's line");
    say(g[0], "\none\ntwo\nthree\nfour");
    expect(g[1], "[user1]: in many pieces");
    expect(g[1], "[user1]: one");
    expect(g[1], "[user1]: two");
    expect(g[1], "[user1]: three");
    expect(g[2], "[user1]: in many pieces");
    expect(g[2], "[user1]: one");
    /* "four" has no end yet, and gets none. */
    leave(g[0]);
    expect(g[1], "* user1 has left");
    leave(g[1]);
    leave(g[2]);
    close_chat(&chat);
}

TEST(test_15_no_text_can_forge_a_line)
{
    struct chat chat = open_chat();
    struct guest *g[2];
    fill(&chat, g, 2);
    say(g[0], "hi\r* user9 has joined\n");
    expect(g[1], "[user1]: hi?* user9 has joined");
    client_send_bytes(g[0]->fd, "\0x\0\033[2J\b\b\x7f\n", 11);
    expect(g[1], "[user1]: ?x??[2J???");
    say(g[0], "gr\xc3\xbc\xc3\x9f dich \x80\xff\n");
    expect(g[1], "[user1]: gr\xc3\xbc\xc3\x9f dich \x80\xff");
    leave_all(g, 2);
    close_chat(&chat);
}

TEST(test_16_a_line_that_is_too_long_is_lost)
{
    struct chat chat = open_chat();
    struct guest *g[2];
    fill(&chat, g, 2);
    say(g[0], text("%01000d\n", 0));
    expect(g[1], "[user1]: %01000d", 0);
    say(g[0], text("%01001d\n", 0));
    expect(g[0], "* your line is too long");
    say(g[0], text("%0100000d\nstill here\n", 0));
    expect(g[0], "* your line is too long");
    expect(g[1], "[user1]: still here");
    say(g[1], "so am I\n");
    expect(g[0], "[user2]: so am I");
    leave_all(g, 2);
    close_chat(&chat);
}

TEST(test_17_a_nick_replaces_the_name)
{
    struct chat chat = open_chat();
    struct guest *g[2];
    fill(&chat, g, 2);
    say(g[0], "/nick ada\n");
    expect(g[0], "* user1 is now ada");
    expect(g[1], "* user1 is now ada");
    say(g[0], "it is me\n");
    expect(g[1], "[ada]: it is me");
    say(g[0], "/nick 0123456789abcdef\r\n");
    expect(g[0], "* ada is now 0123456789abcdef");
    expect(g[1], "* ada is now 0123456789abcdef");
    say(g[0], text("%01000d\n", 0)); /* the longest line of all */
    expect(g[1], "[0123456789abcdef]: %01000d", 0);
    /* What looks like it is text. */
    say(g[0], "/nick\n /nick eve\n/NICK eve\n/quit\n");
    expect(g[1], "[0123456789abcdef]: /nick");
    expect(g[1], "[0123456789abcdef]:  /nick eve");
    expect(g[1], "[0123456789abcdef]: /NICK eve");
    expect(g[1], "[0123456789abcdef]: /quit");
    leave(g[0]);
    expect(g[1], "* 0123456789abcdef has left");
    leave(g[1]);
    close_chat(&chat);
}

TEST(test_18_nobody_gets_the_name_of_another)
{
    struct chat chat = open_chat();
    struct guest *g[3];
    fill(&chat, g, 3);
    say(g[0], "/nick ada\n");
    for (int i = 0; i < 3; i++)
        expect(g[i], "* user1 is now ada");
    static const char *const forged[] = {
        "ada",   "user1",     "user2", "user3",    "user99",
        "USER1", "",          " ",     "ada ",     " bob",
        "a b",   "a\rb",      "\033c", "ada]: hi", "* ada has left",
        "a\xc3", "]: x [ada", "/nick", "bob\tby",  "an endless nick 012345",
    };
    for (size_t i = 0; i < sizeof(forged) / sizeof(forged[0]); i++) {
        say(g[1], text("/nick %s\n", forged[i]));
        expect(g[1], "* this nick cannot be had");
    }
    client_send_bytes(g[1]->fd, "/nick bob\0by\n", 13);
    expect(g[1], "* this nick cannot be had");
    say(g[0], "/nick ada\n");
    expect(g[0], "* this nick cannot be had");
    say(g[1], "it is still me\n");
    expect(g[0], "[user2]: it is still me");
    expect(g[2], "[user2]: it is still me"); /* and nothing before */

    /* Who has given a name up, or has left, needs it no more. */
    say(g[0], "/nick eve\n");
    for (int i = 0; i < 3; i++)
        expect(g[i], "* ada is now eve");
    say(g[1], "/nick ada\n");
    for (int i = 0; i < 3; i++)
        expect(g[i], "* user2 is now ada");
    leave(g[0]);
    expect(g[1], "* eve has left");
    expect(g[2], "* eve has left");
    say(g[2], "/nick eve\n");
    expect(g[1], "* user3 is now eve");
    expect(g[2], "* user3 is now eve");
    leave(g[1]);
    leave(g[2]);
    close_chat(&chat);
}

/* Says this to a server that does not run. */
static void say_at_once(struct guest *guest, const char *bytes)
{
    ssize_t sent = send(guest->fd, bytes, strlen(bytes), MSG_DONTWAIT);
    if (sent != (ssize_t)strlen(bytes))
        test_skip("the kernel takes only %zd bytes at once", sent);
}

TEST(test_19_fin_is_a_departure)
{
    struct chat chat = open_chat();
    struct guest *g[2];
    fill(&chat, g, 2);
    int open = process_descriptors(chat.pid);
    for (int i = 0; i < 20; i++) {
        struct guest *c = come(&chat);
        expect(c, "* you are user%d", c->id);
        expect(g[0], "* user%d has joined", c->id);
        say(c, "one\ntwo\nunfinished");
        shutdown(c->fd, SHUT_WR);
        expect(g[0], "[user%d]: one", c->id);
        expect(g[0], "[user%d]: two", c->id);
        expect(g[0], "* user%d has left", c->id);
        expect_gone(c);
    }
    wait_until(process_descriptors(chat.pid) == open);

    /* With more before the FIN than one turn may read. */
    enum { LINES = 100 };
    char *lines = text("%*s", LINES * 1001, "");
    for (int i = 0; i < LINES; i++)
        snprintf(lines + (size_t)i * 1001, 1002, "%01000d\n", i);
    process_stop(chat.pid);
    say_at_once(g[1], lines);
    shutdown(g[1]->fd, SHUT_WR);
    process_continue(chat.pid);
    for (int i = 0; i < LINES; i++)
        expect(g[0], "[user2]: %01000d", i);
    expect(g[0], "* user2 has left");
    leave_all(g, 2);
    close_chat(&chat);
}

TEST(test_20_a_reset_is_a_departure)
{
    struct chat chat = open_chat();
    struct guest *g[3];
    fill(&chat, g, 3);
    for (int i = 0; i < 20; i++) {
        struct guest *c = come(&chat);
        expect(c, "* you are user%d", c->id);
        expect(g[0], "* user%d has joined", c->id);
        expect(g[2], "* user%d has joined", c->id);
        vanish(c);
        expect(g[0], "* user%d has left", c->id);
        expect(g[2], "* user%d has left", c->id);
    }
    vanish(g[1]);
    expect(g[0], "* user2 has left");
    expect(g[2], "* user2 has left");

    /* They have half-closed and are gone before the server knows of them, and
     * before it hears what the others say: sending to them raises SIGPIPE. */
    struct guest *known = come(&chat);
    expect(known, "* you are user%d", known->id);
    process_stop(chat.pid);
    say(g[0], "first\n");
    say(g[2], "third\n");
    struct guest *unknown = come(&chat);
    shutdown(known->fd, SHUT_WR);
    shutdown(unknown->fd, SHUT_WR);
    vanish(known);
    vanish(unknown);
    process_continue(chat.pid);
    expect_among_others(g[0], text("* user%d has left", known->id));
    expect_among_others(g[2], text("* user%d has left", known->id));
    struct guest *last = come(&chat);
    say(last, "hello\n");
    for (int i = 0; i <= 2; i += 2) {
        char *line = hear(g[i]);
        while (!strstr(line, "]: hello"))
            line = hear(g[i]);
    }
    leave(g[0]);
    leave(g[2]);
    leave(last);
    close_chat(&chat);
}

/* The receive call that fails is the second of all. */
TEST(test_21_a_connection_that_times_out_has_left)
{
    struct chat chat = open_chat_with("recv:error=ETIMEDOUT:when=2,"
                                      "read:error=ETIMEDOUT:when=2,"
                                      "recvfrom:error=ETIMEDOUT:when=2");
    struct guest *g[1];
    fill(&chat, g, 1);
    struct guest *lost = come(&chat);
    expect(g[0], "* user2 has joined");
    send(lost->fd, "x\n", 2, MSG_NOSIGNAL);
    if (strcmp(hear(g[0]), "[user2]: x") == 0) {
        send(lost->fd, "y\n", 2, MSG_NOSIGNAL);
        expect_among_others(g[0], "* user2 has left");
    }
    struct guest *new = come(&chat);
    expect(new, "* you are user3");
    expect(g[0], "* user3 has joined");
    expect_gone(lost);
    leave(g[0]);
    leave(new);
    close_chat(&chat);
}

/* A copy of the socket that the server has for the client at this port
 * (pidfd_getfd(2)), or -1. */
static int copy_of_socket(int pidfd, in_port_t port)
{
    for (int fd = 0; fd < MOST_GUESTS; fd++) {
        struct sockaddr_in peer = {0};
        socklen_t len = sizeof(peer);
        int copy = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
        if (copy == -1 && errno == EBADF)
            continue;
        if (copy == -1)
            test_skip("this machine forbids to look at the sockets of a child "
                      "(pidfd_getfd: %s)",
                      strerror(errno));
        if (getpeername(copy, (struct sockaddr *)&peer, &len) == 0 &&
            peer.sin_family == AF_INET && peer.sin_port == port)
            return copy;
        close(copy);
    }
    return -1;
}

static int option_of(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);
    if (getsockopt(fd, level, name, &value, &len) == -1)
        fail_msg("getsockopt: %s", strerror(errno));
    return value;
}

TEST(test_22_the_kernel_watches_for_peers_that_vanish)
{
    struct chat chat = open_chat();
    struct guest *g[2];
    fill(&chat, g, 2);
    struct sockaddr_in own = {0};
    socklen_t len = sizeof(own);
    getsockname(g[1]->fd, (struct sockaddr *)&own, &len);
    int pidfd = (int)syscall(SYS_pidfd_open, chat.pid, 0);
    if (pidfd == -1)
        test_skip("pidfd_open: %s", strerror(errno));
    int fd = copy_of_socket(pidfd, own.sin_port);
    close(pidfd);
    assert_at_least(fd, 0);
    assert_int_equal(option_of(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_KEEPIDLE), 30);
    assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_KEEPINTVL), 10);
    assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_KEEPCNT), 3);
    assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 60000);
    close(fd);
    leave_all(g, 2);
    close_chat(&chat);
}

/* Those who do not read, those who speak much, and many. */

TEST(test_23_short_and_interrupted_calls_lose_nothing)
{
    struct chat chat =
        open_chat_with("read:short=3:when=1..15,recv:short=3:when=1..15,"
                       "write:short=1:when=1..100,send:short=1:when=1..100,"
                       "read:error=EINTR:when=2,recv:error=EINTR:when=2,"
                       "write:error=EINTR:when=3,send:error=EINTR:when=3,"
                       "write:error=EINTR:when=90,send:error=EINTR:when=90,"
                       "poll:error=EINTR:when=3,epoll_wait:error=EINTR:when=3");
    struct guest *g[2];
    fill(&chat, g, 2);
    say(g[0], "Nothing of this is lost, nothing comes twice,\n"
              "and it is long enough for all the faults.\n");
    expect(g[1], "[user1]: Nothing of this is lost, nothing comes twice,");
    expect(g[1], "[user1]: and it is long enough for all the faults.");
    say(g[1], "It is.\n");
    expect(g[0], "[user2]: It is.");
    leave_all(g, 2);
    close_chat(&chat);
}

/* All sends fail for a while, although 202,000 bytes wait then. */
TEST(test_24_who_reads_again_in_time_has_missed_nothing)
{
    enum { LINES = 200 };
    struct chat chat = open_chat_with("send:error=EAGAIN:when=10..400,"
                                      "write:error=EAGAIN:when=10..400,"
                                      "writev:error=EAGAIN:when=10..400,"
                                      "sendmsg:error=EAGAIN:when=10..400,"
                                      "sendto:error=EAGAIN:when=10..400");
    struct guest *g[2];
    fill(&chat, g, 2);
    char *lines = text("%*s", LINES * 1001, "");
    for (int i = 0; i < LINES; i++) {
        snprintf(lines + (size_t)i * 1001, 1002, "%01000d\n", i);
    }
    say(g[0], lines);
    for (int i = 0; i < LINES; i++)
        expect(g[1], "[user1]: %01000d", i);
    say(g[1], "all there\n");
    expect(g[0], "[user2]: all there");
    leave_all(g, 2);
    close_chat(&chat);
}

static long number_in(const char *path, int which)
{
    char *at = read_bytes(path, NULL);
    long number = 0;
    while (which-- >= 0)
        number = strtol(at, &at, 10);
    return number;
}

/* The most that the kernel keeps for a connection, both ends together. */
static long most_in_kernel(int fd)
{
    enum { SPARE = 1 << 20 }; /* one packet more on each side */
    return number_in("/proc/sys/net/ipv4/tcp_wmem", 2) +
           option_of(fd, SOL_SOCKET, SO_RCVBUF) + SPARE;
}

/* A connection whose own buffer is small, so that the server soon sees that it
 * does not read. */
static struct guest *come_narrow(struct chat *chat)
{
    struct guest *guest = come(chat);
    int size = 64 * 1024;
    setsockopt(guest->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    return guest;
}

TEST(test_25_who_never_reads_is_dropped, .limit_ms = 2000)
{
    enum { BATCH = 50 };
    struct chat chat = open_chat();
    struct guest *g[2];
    fill(&chat, g, 2);
    int open = process_descriptors(chat.pid);
    struct guest *slow = come_narrow(&chat);
    expect(slow, "* you are user3");
    expect(g[0], "* user3 has joined");
    expect(g[1], "* user3 has joined");
    const char *line = text("%01000d\n", 0);
    long most = most_in_kernel(slow->fd) + MOST_WAITING;
    for (long said = 0, heard = 0, gone = 0; !gone;) {
        for (int i = 0; i < BATCH; i++)
            say(g[0], line);
        said += BATCH;
        while (heard < said) { /* nobody else waits */
            if (strcmp(hear(g[1]), "* user3 has left") == 0)
                gone = 1;
            else
                heard++;
            if (!gone && heard * 1010 > most)
                fail_msg("%ld bytes were sent to a client that reads nothing, "
                         "and it is not dropped; the kernel keeps %ld at most",
                         heard * 1010, most - MOST_WAITING);
        }
    }
    expect(g[0], "* user3 has left");
    wait_until(process_descriptors(chat.pid) == open);
    say(g[1], "he is gone\n");
    expect(g[0], "[user2]: he is gone");
    leave_all(g, 2);
    leave(slow);
    close_chat(&chat);
}

/* 20 clients have said 20 lines each before the server runs. */
TEST(test_26_a_burst_drops_nobody_who_reads)
{
    enum { GUESTS = 21, LINES = 20 };
    struct chat chat = open_chat();
    struct guest *g[GUESTS];
    fill(&chat, g, GUESTS);
    char *lines = text("%*s", LINES * 1001, "");
    for (int i = 0; i < LINES; i++)
        snprintf(lines + (size_t)i * 1001, 1002, "%01000d\n", i);
    process_stop(chat.pid);
    for (int i = 1; i < GUESTS; i++)
        say(g[i], lines);
    process_continue(chat.pid);
    int heard[GUESTS + 1] = {0};
    for (int i = 0; i < (GUESTS - 1) * LINES; i++) {
        char *line = hear(g[0]);
        int id = strncmp(line, "[user", 5) == 0 ? atoi(line + 5) : 0;
        if (id < 2 || id > GUESTS)
            fail_msg("expected: a line of somebody\nactual:   \"%s\"", line);
        assert_string_equal(line, text("[user%d]: %01000d", id, heard[id]++));
    }
    leave_all(g, GUESTS);
    close_chat(&chat);
}

/* All have sent what they have to say before the server runs, the one with much
 * to say first; one of the others came before it, one after it. With each call
 * the server gets three bytes. */
TEST(test_27_who_speaks_much_does_not_go_first)
{
    enum { MUCH = 150000 };
    struct chat chat = open_chat_with("read:short=3,recv:short=3");
    struct guest *g[4];
    fill(&chat, g, 4);
    char *much = text("%0*d\ndone\n", MUCH, 0);
    process_stop(chat.pid);
    say_at_once(g[2], much);
    say(g[1], "hi\n");
    say(g[3], "hi\n");
    process_continue(chat.pid);
    bool second = strcmp(hear(g[0]), "[user2]: hi") == 0;
    expect(g[0], "[user%d]: hi", second ? 4 : 2);
    expect(g[0], "[user3]: done");
    leave_all(g, 4);
    close_chat(&chat);
}

/* Raises the limit of descriptors, here and for the server. */
static void need_descriptors(rlim_t wanted)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < wanted)
        test_skip("this needs %lu descriptors, and the hard limit is %lu "
                  "(ulimit -Hn)",
                  (unsigned long)wanted, (unsigned long)limit.rlim_max);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

TEST(test_28_a_thousand_clients, .limit_ms = 8000)
{
    enum { GUESTS = 1000, BATCH = 100 };
    need_descriptors(GUESTS + 64);
    struct chat chat = open_chat();
    struct guest *g[GUESTS];
    for (int i = 0; i < GUESTS; i++) {
        g[i] = come(&chat);
        if (i % BATCH == BATCH - 1) /* no more than that wait for accept */
            expect(g[i], "* you are user%d", i + 1);
    }
    char line[64];
    for (int i = 0; i < GUESTS; i++) {
        if (i % BATCH != BATCH - 1)
            expect(g[i], "* you are user%d", i + 1);
        for (int id = i + 2; id <= GUESTS; id++) {
            snprintf(line, sizeof(line), "* user%d has joined", id);
            if (strcmp(hear(g[i]), line) != 0)
                fail_msg("user%d waited for \"%s\"", i + 1, line);
        }
    }
    say(g[GUESTS / 2], "hello, all of you\n");
    for (int i = 0; i < GUESTS; i++)
        if (i != GUESTS / 2)
            expect(g[i], "[user%d]: hello, all of you", GUESTS / 2 + 1);
    assert_int_equal(process_threads(chat.pid), 1);
    close_chat(&chat);
    leave_all(g, GUESTS);
}

/* What runs out, and how it ends. */

TEST(test_29_running_out_of_descriptors_is_survived)
{
    struct chat chat = open_chat();
    struct guest *g[4];
    fill(&chat, g, 2);
    process_limit_descriptors(chat.pid, 2);
    for (int i = 2; i < 4; i++) {
        g[i] = come(&chat);
        expect(g[i], "* you are user%d", i + 1);
        expect(g[0], "* user%d has joined", i + 1);
        expect(g[1], "* user%d has joined", i + 1);
    }
    struct guest *late = come(&chat); /* in the queue of the listener */
    say(g[0], "we go on\n");
    expect(g[1], "[user1]: we go on");
    process_expect_asleep(chat.pid);
    vanish(g[2]);
    vanish(g[3]);
    expect_among_others(g[1], "* user4 has left");
    /* late has one of the two descriptors, or none. */
    struct guest *new = come(&chat);
    char *first = hear(new);
    if (strncmp(first, "* you are user", 14) != 0)
        fail_msg("expected: \"* you are userN\"\nactual:   \"%s\"", first);
    say(new, "here I am\n");
    expect_among_others(g[1], text("[%s]: here I am", first + 10));
    leave(late);
    leave(new);
    leave(g[0]);
    leave(g[1]);
    close_chat(&chat);
}

/* Whether it hears somebody say this; false: its connection ends before. */
static bool hears(struct guest *guest, const char *said)
{
    bool heard = false;
    ssize_t len = 1;
    size_t tail = strlen(said) - 1;
    test_waiting(TEST_PLACE("waited for a line, or the end"));
    while (!heard && len > 0) {
        len = recv(guest->fd, guest->bytes + guest->end,
                   sizeof(guest->bytes) - 1 - guest->end, 0);
        if (len <= 0)
            break;
        guest->end += (size_t)len;
        guest->bytes[guest->end] = '\0';
        heard = strstr(guest->bytes, said) != NULL;
        if (guest->end > tail) { /* the start of it may have come */
            memmove(guest->bytes, guest->bytes + guest->end - tail, tail);
            guest->end = tail;
        }
    }
    test_waiting((struct test_place){0});
    return heard;
}

/* Guests come, and one more who speaks. One connection may end for what has
 * failed; all others hear him. */
static void expect_all_but_one(const char *faults)
{
    enum { GUESTS = 8 };
    struct chat chat = open_chat_with(faults);
    struct guest *g[GUESTS];
    for (int i = 0; i < GUESTS; i++)
        g[i] = come(&chat);
    int lost = 0;
    struct guest *speaker = come(&chat);
    while (!hears(speaker, "* you are user")) {
        leave(speaker);
        speaker = come(&chat);
        assert_at_most(++lost, 1);
    }
    say(speaker, "the last word\n");
    for (int i = 0; i < GUESTS; i++)
        lost += !hears(g[i], "]: the last word\n");
    if (lost > 1)
        fail_msg("%s\n%d of %d connections have ended", faults, lost, GUESTS);
    leave_all(g, GUESTS);
    leave(speaker);
    close_chat(&chat);
}

TEST(test_30_an_accept_that_fails_is_made_again)
{
    expect_all_but_one(
        "accept:error=ECONNABORTED:when=1,accept4:error=ECONNABORTED:when=1,"
        "accept:error=EINTR:when=2,accept4:error=EINTR:when=2,"
        "accept:error=EMFILE:when=3,accept4:error=EMFILE:when=3,"
        "accept:error=EAGAIN:when=5,accept4:error=EAGAIN:when=5");
}

TEST(test_31_memory_that_runs_out_costs_one_connection)
{
    expect_all_but_one("calloc:error=ENOMEM:when=4");
    expect_all_but_one("malloc:error=ENOMEM:when=4");
    expect_all_but_one("realloc:error=ENOMEM:when=4");
}

TEST(test_32_it_sleeps_while_there_is_nothing_to_do)
{
    struct chat chat = open_chat();
    struct guest *g[5];
    fill(&chat, g, 5);
    say(g[0], "hello\n");
    for (int i = 1; i < 5; i++)
        expect(g[i], "[user1]: hello");
    process_expect_idle(chat.pid);
    assert_int_equal(process_threads(chat.pid), 1);
    leave_all(g, 5);
    close_chat(&chat);
}

static void stop_busy(int signal)
{
    struct chat chat = open_chat();
    struct guest *g[3];
    fill(&chat, g, 3);
    const char *line = text("%01000d\n", 0);
    for (int i = 0; i < 100; i++) /* nobody reads that */
        say(g[0], line);
    say(g[1], "not yet a li");
    program_signal(chat.program, signal);
    assert_exit(program_wait(chat.program), 0);
    leave_all(g, 3);
}

TEST(test_33_sigterm_and_sigint_end_it_cleanly)
{
    struct chat chat = open_chat();
    close_chat(&chat);
    stop_busy(SIGTERM);
    stop_busy(SIGINT);
}

TEST(test_34_nc_can_take_part)
{
    test_need("nc");
    struct chat chat = open_chat();
    struct guest *g[1];
    fill(&chat, g, 1);
    struct run_options options = {.program = "nc", .keep_input_open = true};
    struct program *nc =
        start_with(options, "127.0.0.1", text("%d", chat.port));
    assert_string_equal(program_line(nc), "* you are user2");
    expect(g[0], "* user2 has joined");
    program_write(nc, "hello from nc\n", 14);
    expect(g[0], "[user2]: hello from nc");
    say(g[0], "hello, nc\n");
    assert_string_equal(program_line(nc), "[user1]: hello, nc");
    program_signal(nc, SIGTERM);
    program_wait(nc);
    expect(g[0], "* user2 has left");
    leave(g[0]);
    close_chat(&chat);
}
