#include "test/program.h"
#include "test/test.h"
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A traced input is short: some programs read it byte by byte. */
enum { TRACED_SIZE = 1000, INPUT_SIZE = 5000, LARGE_SIZE = 300000 };

/* Bytes of every value, NUL and newline among them. */
static const char *binary(size_t len)
{
    static char bytes[LARGE_SIZE];
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)(i * 7 + i / 256);
    return bytes;
}

#define expect_file(path, expected, len) \
    expect_file_at(TEST_PLACE(path), expected, len)
static void expect_file_at(struct test_place file, const void *expected,
                           size_t len)
{
    size_t actual_len;
    char *actual = read_bytes(file.what, &actual_len);
    test_bytes(file, actual, actual_len, expected, len);
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The lines in alphabetical order, whichever thread was first. */
static char *sorted(char *lines)
{
    char *line[16] = {NULL};
    int count = 0;
    for (char *next = lines; *next != '\0' && count < 16; count++) {
        line[count] = next;
        next += strcspn(next, "\n");
        if (*next != '\0')
            *next++ = '\0';
    }
    qsort(line, (size_t)count, sizeof(line[0]), compare_lines);
    char *all = "";
    for (int i = 0; i < count; i++)
        all = text("%s%s\n", all, line[i]);
    return all;
}

/* The lab's program under strace. */

#define TRACE_FILE "trace.txt"
/* LeakSanitizer is a tracer itself and cannot work in a tracee. */
#define WITH_STRACE(...)                                                    \
    ((struct run_options){                                                  \
        .under = (const char *const[]){"strace", "-f", "-qq", "-a1", "-E",  \
                                       "LSAN_OPTIONS=detect_leaks=0", "-o", \
                                       TRACE_FILE, __VA_ARGS__, NULL}})

/* Ends the test as failed and says how to look at such a trace. */
#define trace_fail(format, ...)                                          \
    test_fail(TEST_PLACE("the trace"),                                   \
              format "\nsee it: make && strace -f -T ./build/strace_me " \
                     "test.txt build/copy.txt",                          \
              ##__VA_ARGS__)

/*
 * A trace is a list of calls in the order in which they began. strace cuts a
 * call in two when another thread comes in between:
 *
 *     12 write(1, "thread 1\n", 9 <unfinished ...>
 *     13 futex(0x7f…, FUTEX_WAKE_PRIVATE, 1) = 0 <0.000010>
 *     12 <... write resumed>) = 9 <0.000051>
 */
struct call {
    int thread;
    char *text;
    bool returned;
    long result;
    long took_ns;
};

static struct call calls[40000];
static int call_count;

static void finish_call(struct call *c)
{
    char *result = NULL;
    for (char *next = c->text; (next = strstr(next, " = ")) != NULL; next += 3)
        result = next + 3;
    char *seconds = strrchr(c->text, '<');
    if (result == NULL || *result == '?')
        return;
    c->returned = true;
    c->result = strtol(result, NULL, 0);
    if (seconds != NULL)
        c->took_ns = (long)(strtod(seconds + 1, NULL) * 1e9 + 0.5);
}

/* The second half of a call that was cut in two. */
static void resume_call(int thread, const char *rest)
{
    for (int i = call_count - 1; i >= 0; i--) {
        if (calls[i].thread != thread)
            continue;
        calls[i].text = text("%s%s", calls[i].text, rest);
        finish_call(&calls[i]);
        return;
    }
}

static void add_line(char *line)
{
    char *rest;
    int thread = (int)strtol(line, &rest, 10);
    rest += strspn(rest, " ");
    char *cut = strstr(rest, " <unfinished ...>");
    if (cut != NULL)
        *cut = '\0';
    char *resumed = strstr(rest, " resumed>");
    if (strncmp(rest, "<... ", 5) == 0 && resumed != NULL) {
        resume_call(thread, resumed + strlen(" resumed>"));
        return;
    }
    if (strchr(rest, '(') == NULL || *rest == '-' || *rest == '+')
        return; /* "--- SIGCHLD …", "+++ exited with 0 +++" */
    if (call_count == sizeof(calls) / sizeof(calls[0]))
        trace_fail("more than %d system calls", call_count);
    struct call *c = &calls[call_count++];
    *c = (struct call){.thread = thread, .text = rest};
    if (cut == NULL)
        finish_call(c);
}

/* Runs the program and reads the trace into calls[]. */
#define trace_a_run() trace_a_run_with(WITH_STRACE("-T"))
static void trace_a_run_with(struct run_options strace)
{
    test_need("strace");
    test_need_ptrace();
    write_bytes("input.txt", binary(TRACED_SIZE), TRACED_SIZE);
    struct run r = run_with(strace, "input.txt", "output.txt");
    assert_exit(r, 0);
    char *end;
    for (char *line = read_bytes(TRACE_FILE, NULL); *line != '\0'; line = end) {
        end = line + strcspn(line, "\n");
        if (*end != '\0')
            *end++ = '\0';
        add_line(line);
    }
    if (call_count == 0)
        trace_fail("strace wrote an empty trace");
}

/* names: "read readv". */
static bool is(const struct call *c, const char *names)
{
    size_t len = strcspn(c->text, "(");
    while (*names != '\0') {
        size_t name_len = strcspn(names, " ");
        if (name_len == len && strncmp(names, c->text, len) == 0)
            return true;
        names += name_len;
        names += strspn(names, " ");
    }
    return false;
}

static const char *arguments(const struct call *c)
{
    return c->text + strcspn(c->text, "(") + 1;
}

static bool is_on(const struct call *c, const char *names, long fd)
{
    return is(c, names) && strtol(arguments(c), NULL, 10) == fd;
}

static bool worked(const struct call *c)
{
    return c->returned && c->result >= 0;
}

static bool opens(const struct call *c)
{
    return worked(c) && is(c, "open openat openat2 creat");
}

static bool copies_descriptor(const struct call *c)
{
    return worked(c) &&
           (is(c, "dup dup2 dup3") ||
            (is(c, "fcntl fcntl64") && strstr(c->text, "F_DUPFD")));
}

static bool makes_thread(const struct call *c)
{
    return worked(c) && is(c, "clone clone3") &&
           strstr(c->text, "CLONE_THREAD") != NULL;
}

/* The index of the call that opened this file in the working directory. */
static int opening_of(const char *name)
{
    char *quoted = text("\"%s\"", name);
    char *in_folder = text("/%s\"", name);
    for (int i = 0; i < call_count; i++) {
        if (opens(&calls[i]) && (strstr(calls[i].text, quoted) != NULL ||
                                 strstr(calls[i].text, in_folder) != NULL))
            return i;
    }
    trace_fail("nobody opens %s", name);
}

/* The index of the call that closed the descriptor which this call returned;
 * -1: nobody did. */
static int closing_of(int i)
{
    long fd = calls[i].result;
    while (++i < call_count) {
        if (worked(&calls[i]) && is_on(&calls[i], "close", fd))
            return i;
    }
    return -1;
}

static void expect_bytes_through(const char *name, const char *names)
{
    int opening = opening_of(name);
    int closing = closing_of(opening);
    int end = closing == -1 ? call_count : closing;
    long fd = calls[opening].result;
    long bytes = 0;
    for (int i = opening; i < end; i++) {
        if (worked(&calls[i]) && is_on(&calls[i], names, fd))
            bytes += calls[i].result;
    }
    if (bytes != TRACED_SIZE)
        trace_fail("%s has %d bytes and was opened as descriptor %ld, but with "
                   "this descriptor\n%ld bytes went through calls of %s",
                   name, TRACED_SIZE, fd, bytes, names);
}

static bool is_thread(int id)
{
    for (int i = 0; i < call_count; i++) {
        if (makes_thread(&calls[i]) && calls[i].result == id)
            return true;
    }
    return false;
}

/* How long a call to nanosleep and the like was to sleep. A busy machine may
 * let it sleep longer. */
static long sleep_ns(const struct call *c)
{
    long seconds, nanoseconds;
    const char *length = strstr(c->text, "{tv_sec=");
    if (strstr(c->text, "TIMER_ABSTIME") != NULL || length == NULL ||
        sscanf(length, "{tv_sec=%ld, tv_nsec=%ld", &seconds, &nanoseconds) != 2)
        return c->took_ns;
    return seconds * 1000000000 + nanoseconds;
}

/* What the program does. */

TEST(test_01_the_output_file_is_a_copy_of_the_input_file)
{
    write_text("input.txt", "one\ntwo\n");
    struct run r = run("input.txt", "output.txt");
    assert_exit(r, 0);
    assert_error(r, "");
    expect_file("output.txt", "one\ntwo\n", 8);
    expect_file("input.txt", "one\ntwo\n", 8);
}

TEST(test_02_three_threads_write_a_line_each)
{
    write_text("input.txt", "one\n");
    struct run r = run("input.txt", "output.txt");
    assert_exit(r, 0);
    assert_string_equal(sorted(r.out), "thread 1\nthread 2\nthread 3\n");
}

TEST(test_03_empty_binary_and_large_files_are_copied)
{
    static const size_t sizes[] = {0, 1, LARGE_SIZE};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        write_bytes("input.txt", binary(sizes[i]), sizes[i]);
        assert_exit(run("input.txt", "output.txt"), 0);
        expect_file("output.txt", binary(sizes[i]), sizes[i]);
    }
}

TEST(test_04_an_input_of_unknown_size_is_read_to_its_end)
{
    struct run_options pipe = {.input = binary(LARGE_SIZE),
                               .input_len = LARGE_SIZE};
    assert_exit(run_with(pipe, "/dev/stdin", "output.txt"), 0);
    expect_file("output.txt", binary(LARGE_SIZE), LARGE_SIZE);
}

TEST(test_05_an_old_output_file_is_replaced)
{
    write_text("input.txt", "new\n");
    write_text("old.txt", "something much longer than the input\n");
    assert_exit(run("input.txt", "old.txt"), 0);
    expect_file("old.txt", "new\n", 4);

    umask(020); /* no shell's: it tells 0666 from each mode in use */
    struct stat made;
    assert_exit(run("input.txt", "new.txt"), 0);
    assert_success(stat("new.txt", &made));
    if ((made.st_mode & 0777) != 0646)
        fail_msg("with umask 020 a new output file has mode 0%o, not 0646",
                 made.st_mode & 0777);
}

TEST(test_06_short_and_interrupted_calls_are_continued)
{
    static const char *const faults[] = {
        "read:short=7,write:short=3",
        "read:error=EINTR:when=2,write:error=EINTR:when=1"};
    write_bytes("input.txt", binary(INPUT_SIZE), INPUT_SIZE);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        struct run_options options = {.faults = faults[i]};
        struct run r = run_with(options, "input.txt", "output.txt");
        assert_exit(r, 0);
        expect_file("output.txt", binary(INPUT_SIZE), INPUT_SIZE);
    }
}

TEST(test_07_an_input_that_cannot_be_read_is_an_error)
{
    write_text("output.txt", "old\n");
    struct run r = run("missing.txt", "output.txt");
    assert_exit(r, 1);
    assert_error(r, "strace_me: missing.txt: No such file or directory\n");
    assert_output(r, "");
    expect_file("output.txt", "old\n", 4);

    assert_success(mkdir("folder", 0755));
    r = run("folder", "output.txt");
    assert_exit(r, 1);
    assert_error(r, "strace_me: folder: Is a directory\n");
    assert_output(r, "");
}

TEST(test_08_an_output_that_cannot_be_written_is_an_error)
{
    write_text("input.txt", "one\n");
    struct run r = run("input.txt", "missing/output.txt");
    assert_exit(r, 1);
    assert_error(r,
                 "strace_me: missing/output.txt: No such file or directory\n");
    assert_output(r, "");

    r = run("input.txt", "/dev/full");
    assert_exit(r, 1);
    assert_error(r, "strace_me: /dev/full: No space left on device\n");
    assert_output(r, "");
}

TEST(test_09_a_line_that_cannot_be_written_is_an_error)
{
    write_text("input.txt", "one\n");
    struct run_options full = {.output_file = "/dev/full"};
    struct run r = run_with(full, "input.txt", "output.txt");
    assert_exit(r, 1);
    assert_error_contains(
        r, "strace_me: standard output: No space left on device\n");
    expect_file("output.txt", "one\n", 4);

    struct run_options closed = {.closed_output = true};
    r = run_with(closed, "input.txt", "output.txt");
    assert_exit(r, 1);
    assert_error_contains(r, "strace_me: standard output: Broken pipe\n");
}

/* How many threads a process has, 0 once it has ended, and what the first one
 * does: 'R' runs or could, 'S' sleeps (proc(5), /proc/pid/stat). */
static int threads_of(struct program *p, char *first)
{
    char stat[1024] = "";
    int threads = 0;
    int fd = open(text("/proc/%d/stat", program_pid(p)), O_RDONLY | O_CLOEXEC);
    if (fd == -1)
        return 0;
    ssize_t len = read(fd, stat, sizeof(stat) - 1);
    close(fd);
    char *name_end = len > 0 ? strrchr(stat, ')') : NULL;
    if (name_end == NULL ||
        sscanf(name_end,
               ") %c %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d "
               "%*d %*d %d",
               first, &threads) != 2)
        return 0;
    return *first == 'Z' && threads == 1 ? 0 : threads;
}

/* True when there is nothing left to wait for: the program has ended, or its
 * first thread has been asleep for so long that this is not its pause. */
static bool is_at_rest(struct program *p, int long_ms)
{
    static int asleep_ms;
    char first = 'R';
    int threads = threads_of(p, &first);
    asleep_ms = first == 'S' ? asleep_ms + 1 : 0;
    return threads == 0 || asleep_ms > long_ms;
}

static bool three_threads_run(struct program *p)
{
    char first;
    return threads_of(p, &first) > 3 || is_at_rest(p, 150);
}

/* Makes a pipe that is full: a thread that writes into it waits. */
static int full_pipe(const char *path)
{
    static const char bytes[4096];
    assert_success(mkfifo(path, 0600));
    int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    assert_at_least(fd, 0);
    while (write(fd, bytes, sizeof(bytes)) > 0 || write(fd, bytes, 1) > 0)
        continue;
    return fd;
}

static void drain(int fd)
{
    char bytes[4096];
    while (read(fd, bytes, sizeof(bytes)) > 0)
        continue;
}

TEST(test_10_a_thread_that_cannot_be_created_is_an_error)
{
    write_text("input.txt", "one\n");
    struct run_options second = {.faults =
                                     "pthread_create:error=EAGAIN:when=2"};
    struct run r = run_with(second, "input.txt", "output.txt");
    assert_exit(r, 1);
    assert_error_contains(
        r, "strace_me: thread 2: Resource temporarily unavailable\n");
    assert_output_contains(r, "thread 1\n");

    int fd = full_pipe("pipe");
    second.output_file = "pipe";
    struct program *p = start_with(second, "input.txt", "output.txt");
    wait_until(is_at_rest(p, 25));
    char first;
    int threads = threads_of(p, &first);
    drain(fd);
    assert_exit(program_wait(p), 1);
    close(fd);
    if (threads == 0)
        fail_msg("thread 2 could not be created, and the program ended before "
                 "thread 1\ncould write its line: wait for those that run");
}

TEST(test_11_wrong_usage_exits_2)
{
    assert_usage("INPUT OUTPUT\n", NULL);
    write_text("input.txt", "one\n");
    assert_usage("INPUT OUTPUT\n", "input.txt");
    assert_usage("INPUT OUTPUT\n", "input.txt", "output.txt", "more");
    assert_int_equal(access("output.txt", F_OK), -1);
}

/* No thread gets rid of its line, and so none can end, until all are there. */
TEST(test_12_the_threads_run_at_the_same_time)
{
    write_text("input.txt", "one\n");
    int fd = full_pipe("pipe");
    struct run_options into_pipe = {.output_file = "pipe"};
    struct program *p = start_with(into_pipe, "input.txt", "output.txt");
    wait_until(three_threads_run(p));
    char first;
    int threads = threads_of(p, &first);
    drain(fd);
    assert_exit(program_wait(p), 0);
    close(fd);
    if (threads <= 3)
        fail_msg("while no thread could write its line there were never three "
                 "of them:\ncreate all three before you wait for the first");
}

/* What the trace shows. */

TEST(test_13_trace_reads_and_writes_through_the_opened_descriptors)
{
    trace_a_run();
    expect_bytes_through("input.txt", "read readv pread64 preadv preadv2");
    expect_bytes_through("output.txt",
                         "write writev pwrite64 pwritev pwritev2");
}

TEST(test_14_trace_leaves_no_descriptor_open)
{
    trace_a_run();
    for (int i = 0; i < call_count; i++) {
        struct call *c = &calls[i];
        if (!opens(c) && !copies_descriptor(c))
            continue;
        if (c->result > STDERR_FILENO && closing_of(i) == -1)
            trace_fail("descriptor %ld is still open at exit; it came from\n%s",
                       c->result, c->text);
    }
}

TEST(test_15_trace_sleeps_between_the_files_and_the_threads)
{
    trace_a_run();
    int begin = closing_of(opening_of("input.txt"));
    int other = closing_of(opening_of("output.txt"));
    if (begin == -1 || other == -1)
        trace_fail("one of the two files is never closed");
    if (other > begin)
        begin = other;
    /* A sanitizer may have made a thread before the program's first step. */
    int end = opening_of("input.txt");
    while (end < call_count && !makes_thread(&calls[end]))
        end++;
    if (end == call_count)
        trace_fail("no clone or clone3 with CLONE_THREAD after the files");
    long slept_ns = 0;
    for (int i = begin; i < end; i++) {
        struct call *c = &calls[i];
        if (is(c, "nanosleep clock_nanosleep clock_nanosleep_time64") &&
            c->thread == calls[0].thread && worked(c))
            slept_ns += sleep_ns(c);
    }
    if (slept_ns < 10000000)
        trace_fail("between the last close and the first thread nanosleep and "
                   "clock_nanosleep take\n%ld ns, not 10 ms",
                   slept_ns);
}

/*
 * The second and third thread come while the first is in its write, and who
 * hands a lock on does nothing for a while: another thread always gets between
 * printf and fflush.
 */
TEST(test_16_trace_shows_a_write_by_each_of_three_threads)
{
    trace_a_run_with(WITH_STRACE("-T", "-e",
                                 "inject=clone,?clone3:delay_exit=3000", "-e",
                                 "inject=write:delay_enter=20000:when=1", "-e",
                                 "inject=futex:delay_exit=10000:when=2+"));
    int writer[4] = {0};
    for (int i = 0; i < call_count; i++) {
        struct call *c = &calls[i];
        if (!worked(c) || !is_on(c, "write writev", STDOUT_FILENO))
            continue;
        int n = 3;
        while (n > 0 && strstr(c->text, text("\"thread %d\\n\"", n)) == NULL)
            n--;
        if (n == 0 || c->result != (long)strlen("thread 1\n") || writer[n] != 0)
            trace_fail("this is not one line of one thread:\n%s", c->text);
        if (!is_thread(c->thread))
            trace_fail("this was not written by a thread that pthread_create "
                       "made:\n%s",
                       c->text);
        for (int other = 1; other <= 3; other++) {
            if (writer[other] == c->thread)
                trace_fail("one thread wrote two lines, the second is\n%s",
                           c->text);
        }
        writer[n] = c->thread;
    }
    for (int n = 1; n <= 3; n++) {
        if (writer[n] == 0)
            trace_fail("no write of \"thread %d\\n\" to descriptor 1", n);
    }
}

/* strace makes calls on one path fail, in libraries too. */

static struct run run_injected(const char *path, const char *fault)
{
    char cwd[PATH_MAX];
    test_need("strace");
    test_need_ptrace();
    write_text("input.txt", "one\n");
    write_text("output.txt", "old\n"); /* -P wants a file that exists */
    /* A relative path would make strace talk about it on stderr. */
    path = text("%s/%s", getcwd(cwd, sizeof(cwd)), path);
    return run_with(WITH_STRACE("-P", path, "-e", text("inject=%s", fault)),
                    "input.txt", "output.txt");
}

TEST(test_17_a_read_that_fails_is_an_error)
{
    struct run r = run_injected("input.txt", "read,readv,pread64:error=EIO");
    assert_exit(r, 1);
    assert_error(r, "strace_me: input.txt: Input/output error\n");
    assert_output(r, "");
}

TEST(test_18_a_close_of_the_output_that_fails_is_an_error)
{
    struct run r = run_injected("output.txt", "close:error=ENOSPC");
    assert_exit(r, 1);
    assert_error(r, "strace_me: output.txt: No space left on device\n");
    assert_output(r, "");
}
