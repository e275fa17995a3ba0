#include "test/program.h"
#include "test/harness.h"
#include "todo.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    MOST_ARGUMENTS = 256,
    DEFAULT_OUTPUT_LIMIT = 16 * 1024 * 1024,
    CRASH_TAIL = 2000, /* bytes of stderr shown with a crash */
};

struct stream {
    int fd; /* -1: closed */
    char *bytes;
    size_t len, size;
    size_t taken; /* bytes that program_line() has handed out */
};

struct program {
    struct program *next;
    struct test_place place;
    struct run_options options;
    const char *command;
    pid_t pid;
    int pidfd; /* -1 where the kernel (or valgrind) has none */
    int input; /* -1: closed */
    size_t input_sent;
    struct stream out, err;
    bool ended;
    int wait_status;
    struct rusage usage;
};

static struct program *programs;

__attribute__((noreturn)) static void broken(struct program *p,
                                             const char *what)
{
    harness_end(PAGE_FAULT, p->place, "%s: %s", what, strerror(errno));
}

static const char *quoted(const char *word)
{
    if (*word && !strpbrk(word, " \t\n'\"\\$&|;<>*?()#"))
        return word;
    return text("'%s'", word);
}

static const char *command_line(const char *const *argv)
{
    const char *line = "";
    for (int i = 0; argv[i]; i++) {
        const char *name = i == 0 ? strrchr(argv[i], '/') : NULL;
        line = text("%s%s%s", line, *line ? " " : "",
                    quoted(name ? name + 1 : argv[i]));
    }
    return line;
}

static int build_argv(const char **argv, const struct run_options *options,
                      const char *const *args)
{
    int n = 0;
    for (int i = 0; options->under && options->under[i]; i++)
        argv[n++] = options->under[i];
    int program = n;
    argv[n++] = options->program ? options->program : harness.program;
    for (int i = 0; args[i]; i++) {
        if (i == MOST_ARGUMENTS)
            harness_end(PAGE_FAULT, (struct test_place){0},
                        "more than %d arguments", MOST_ARGUMENTS);
        argv[n++] = args[i];
    }
    argv[n] = NULL;
    return program;
}

/* The program sees PATH, a plain locale and what the test gives it; nothing of
 * the harness (its parts remove their own names at start). */
static char **build_environment(const struct run_options *options)
{
    static const char *const passed[] = {"PATH", "ASAN_OPTIONS",
                                         "UBSAN_OPTIONS", "LSAN_OPTIONS",
                                         "TSAN_OPTIONS"};
    enum { PASSED = sizeof(passed) / sizeof(*passed) };
    int n = 0, given = 0;
    while (options->env && options->env[given])
        given++;
    char **env = harness_alloc((PASSED + 4 + (size_t)given) * sizeof(*env));
    /* getenv(3) finds the first of a name: the test's own. */
    for (int i = 0; i < given; i++)
        env[n++] = text("%s", options->env[i]);
    for (int i = 0; i < PASSED; i++) {
        if (getenv(passed[i]))
            env[n++] = text("%s=%s", passed[i], getenv(passed[i]));
    }
    env[n++] = text("LC_ALL=C.UTF-8");
    /* Under strace and its like the harness stays out of the picture. */
    if (harness.page_path && !options->under && !options->program)
        env[n++] = text("LAB_PAGE=%s", harness.page_path);
    if (options->faults)
        env[n++] = text("LAB_FAULTS=%s", options->faults);
    env[n] = NULL;
    return env;
}

static void drop_override(void)
{
    enum { CAP_DAC_OVERRIDE = 1, CAP_DAC_READ_SEARCH = 2 };
    prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE);
    prctl(PR_CAPBSET_DROP, CAP_DAC_READ_SEARCH);
}

static int open_input(struct program *p, int ends[2])
{
    ends[0] = ends[1] = -1;
    if (p->options.input || p->options.keep_input_open)
        return pipe2(ends, O_CLOEXEC);
    const char *file = p->options.input_file;
    ends[0] = open(file ? file : "/dev/null", O_RDONLY | O_CLOEXEC);
    return ends[0] == -1 ? -1 : 0;
}

static int open_output(struct program *p, int ends[2])
{
    ends[0] = ends[1] = -1;
    if (p->options.output_file) {
        ends[1] = open(p->options.output_file,
                       O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        return ends[1] == -1 ? -1 : 0;
    }
    if (pipe2(ends, O_CLOEXEC) == -1)
        return -1;
    if (p->options.closed_output) {
        close(ends[0]);
        ends[0] = -1;
    }
    return 0;
}

_Noreturn static void become(struct program *p, const char **argv, char **env,
                             int in, int out, int err)
{
    /* A fork of this process that outlives it would be left running. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    if (p->options.unprivileged)
        drop_override();
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    execvpe(argv[0], (char *const *)argv, env);
    dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

struct program *program_start(struct test_place place,
                              struct run_options options,
                              const char *const args[])
{
    struct program *p = harness_alloc(sizeof(*p));
    *p = (struct program){.place = place, .options = options};
    const char *argv[2 * MOST_ARGUMENTS];
    int program = build_argv(argv, &options, args);
    p->command = command_line(argv + program);
    p->place.what = p->command;
    if (!argv[program])
        harness_end(PAGE_FAULT, place, "this lab has no program");
    if (options.input && !options.input_len)
        p->options.input_len = strlen(options.input);

    int in[2], out[2], err[2];
    if (open_input(p, in) == -1 || open_output(p, out) == -1 ||
        pipe2(err, O_CLOEXEC) == -1)
        broken(p, "preparing the program's descriptors");
    char **env = build_environment(&options);
    p->pid = fork();
    if (p->pid == -1)
        broken(p, "fork");
    if (p->pid == 0)
        become(p, argv, env, in[0], out[1], err[1]);
    close(in[0]);
    close(out[1]);
    close(err[1]);
    p->input = in[1];
    p->out.fd = out[0];
    p->err.fd = err[0];
    p->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
    if (p->input != -1)
        fcntl(p->input, F_SETFL, O_NONBLOCK);
    p->next = programs;
    programs = p;
    return p;
}

static void close_fd(int *fd)
{
    if (*fd != -1)
        close(*fd);
    *fd = -1;
}

void program_close_input(struct program *p)
{
    close_fd(&p->input);
}

static void feed(struct program *p)
{
    size_t left = p->options.input_len - p->input_sent;
    if (left > 0) {
        /* The program may have closed its end: SIGPIPE is the test's. */
        signal(SIGPIPE, SIG_IGN);
        ssize_t n = write(p->input,
                          (const char *)p->options.input + p->input_sent, left);
        if (n > 0)
            p->input_sent += (size_t)n;
        else if (errno != EAGAIN && errno != EINTR)
            program_close_input(p);
    }
    if (p->input_sent == p->options.input_len && !p->options.keep_input_open)
        program_close_input(p);
}

static void drain(struct program *p, struct stream *stream)
{
    size_t limit = p->options.output_limit;
    if (limit == 0)
        limit = DEFAULT_OUTPUT_LIMIT;
    if (!stream->bytes || stream->size - stream->len < 65536) {
        size_t size = stream->size ? 2 * stream->size : 131072;
        char *bytes = realloc(stream->bytes, size);
        if (!bytes)
            broken(p, "memory for the program's output");
        bytes[stream->len] = '\0';
        stream->bytes = bytes;
        stream->size = size;
    }
    ssize_t n = read(stream->fd, stream->bytes + stream->len,
                     stream->size - stream->len - 1);
    if (n == -1 && errno == EINTR)
        return;
    if (n <= 0) {
        close_fd(&stream->fd);
        return;
    }
    stream->len += (size_t)n;
    stream->bytes[stream->len] = '\0';
    if (stream->len > limit) {
        kill(p->pid, SIGKILL);
        harness_end(PAGE_TOO_MUCH_OUTPUT, p->place, "more than %zu bytes",
                    limit);
    }
}

static void reap(struct program *p, int flags)
{
    int status;
    if (p->ended || wait4(p->pid, &status, flags, &p->usage) != p->pid)
        return;
    p->ended = true;
    p->wait_status = status;
    close_fd(&p->pidfd);
}

/* Moves bytes in all directions once, waiting until something can be done. */
static void turn(struct program *p)
{
    struct pollfd fds[] = {{.fd = p->out.fd, .events = POLLIN},
                           {.fd = p->err.fd, .events = POLLIN},
                           {.fd = p->input, .events = POLLOUT},
                           {.fd = p->pidfd, .events = POLLIN}};
    /* keep_input_open with all input sent: nothing to write for now. */
    if (p->input_sent == p->options.input_len && p->options.keep_input_open)
        fds[2].fd = -1;
    int timeout_ms = p->ended ? 0 : p->pidfd == -1 ? 2 : -1;
    poll(fds, 4, timeout_ms);
    if (fds[0].revents)
        drain(p, &p->out);
    if (fds[1].revents)
        drain(p, &p->err);
    if (fds[2].revents)
        feed(p);
    if (fds[3].revents || p->pidfd == -1)
        reap(p, WNOHANG);
}

pid_t program_pid(const struct program *p)
{
    return p->pid;
}

void program_signal(struct program *p, int signal)
{
    reap(p, WNOHANG);
    if (!p->ended)
        kill(p->pid, signal);
}

void program_write(struct program *p, const void *bytes, size_t len)
{
    p->options.input = bytes;
    p->options.input_len = len;
    p->input_sent = 0;
    test_waiting(p->place);
    while (p->input != -1 && p->input_sent < len && !p->ended)
        turn(p);
    test_waiting((struct test_place){0});
    if (p->input_sent < len)
        test_fail(p->place, "it took %zu of %zu bytes of input", p->input_sent,
                  len);
    /* The bytes are the caller's again. */
    p->options.input_len = p->input_sent = 0;
}

static bool is_todo(const struct program *p)
{
    return WIFEXITED(p->wait_status) &&
           WEXITSTATUS(p->wait_status) == TODO_STATUS && p->err.bytes &&
           strstr(p->err.bytes, "not done yet: ");
}

/* gcc's UBSan writes its report to stderr; the judge looks for a file. */
static void keep_report(const struct program *p)
{
    if (!harness.page_path || !WIFEXITED(p->wait_status) ||
        WEXITSTATUS(p->wait_status) != SANITIZER_STATUS || !p->err.bytes ||
        !strstr(p->err.bytes, "runtime error: "))
        return;
    const char *end = strrchr(harness.page_path, '/');
    write_bytes(text("%.*s/sanitizer.stderr", (int)(end - harness.page_path),
                     harness.page_path),
                p->err.bytes, p->err.len);
}

static void judge_end(struct program *p)
{
    static const char words[] = "not done yet: ";
    if (is_todo(p)) {
        char *what = strstr(p->err.bytes, words) + strlen(words);
        harness_end(PAGE_TODO, (struct test_place){0}, "%.*s",
                    (int)strcspn(what, "\n"), what);
    }
    keep_report(p);
    if (!WIFSIGNALED(p->wait_status) || p->options.may_crash)
        return;
    int number = WTERMSIG(p->wait_status);
    if (number != SIGSEGV && number != SIGBUS && number != SIGILL &&
        number != SIGFPE && number != SIGABRT && number != SIGSYS)
        return;
    const char *tail = p->err.bytes ? p->err.bytes : "";
    if (p->err.len > CRASH_TAIL)
        tail = p->err.bytes + p->err.len - CRASH_TAIL;
    harness.page->crashed_by = number;
    harness_end(PAGE_CRASHED, p->place, "%s", tail);
}

/* Waits for the end, and takes what is still in the pipes; a child that the
 * program left behind may hold them open. */
static void wait_for_end(struct program *p)
{
    while (!p->ended)
        turn(p);
    while (p->out.fd != -1 || p->err.fd != -1) {
        size_t before = p->out.len + p->err.len;
        int open_before = (p->out.fd != -1) + (p->err.fd != -1);
        turn(p);
        if (p->out.len + p->err.len == before &&
            (p->out.fd != -1) + (p->err.fd != -1) == open_before)
            break;
    }
}

char *program_line(struct program *p)
{
    char *start, *end = NULL;
    test_waiting((struct test_place){p->place.file, p->place.line,
                                     text("a line from %s", p->command)});
    for (;;) {
        start = p->out.bytes ? p->out.bytes + p->out.taken : NULL;
        if (start)
            end = memchr(start, '\n', p->out.len - p->out.taken);
        if (end || p->out.fd == -1)
            break;
        turn(p);
    }
    if (!end) {
        wait_for_end(p);
        judge_end(p);
    }
    test_waiting((struct test_place){0});
    if (!end)
        return NULL;
    p->out.taken += (size_t)(end - start) + 1;
    return text("%.*s", (int)(end - start), start);
}

int program_port(struct program *p)
{
    char *line = program_line(p);
    int port = 0;
    if (!line)
        test_fail(p->place, "expected: a line \"Listening on HOST:PORT\"\n"
                            "actual:   it ended without one");
    const char *colon = strrchr(line, ':'); /* the host may be [::1] */
    if (strncmp(line, "Listening on ", 13) != 0 || !colon ||
        sscanf(colon, ":%d", &port) != 1)
        test_fail(p->place,
                  "expected: a line \"Listening on HOST:PORT\"\n"
                  "actual:   \"%s\"",
                  line);
    return port;
}

struct run program_wait(struct program *p)
{
    if (!p->options.input_len)
        p->options.keep_input_open = false;
    test_waiting((struct test_place){p->place.file, p->place.line,
                                     text("the end of %s", p->command)});
    wait_for_end(p);
    program_close_input(p);
    close_fd(&p->out.fd);
    close_fd(&p->err.fd);
    test_waiting((struct test_place){0});
    judge_end(p);
    return (struct run){
        .command = p->command,
        .status = WIFSIGNALED(p->wait_status) ? 128 + WTERMSIG(p->wait_status)
                                              : WEXITSTATUS(p->wait_status),
        .out = p->out.bytes ? p->out.bytes : "",
        .err = p->err.bytes ? p->err.bytes : "",
        .out_len = p->out.len,
        .err_len = p->err.len,
        .max_rss_kb = p->usage.ru_maxrss,
    };
}

struct run program_run(struct test_place place, struct run_options options,
                       const char *const args[])
{
    return program_wait(program_start(place, options, args));
}

void harness_look_at_programs(void)
{
    enum { PATIENCE_MS = 20 };
    for (struct program *p = programs; p; p = p->next) {
        if (p->ended)
            continue;
        struct pollfd end = {.fd = p->pidfd, .events = POLLIN};
        poll(&end, 1, PATIENCE_MS);
        reap(p, WNOHANG);
        if (p->ended) {
            wait_for_end(p);
            judge_end(p);
        }
    }
}

int harness_stop_programs(const char **command)
{
    int running = 0;
    for (struct program *p = programs; p; p = p->next) {
        reap(p, WNOHANG);
        if (!p->ended) {
            running++;
            *command = p->command;
            kill(p->pid, SIGKILL);
            reap(p, 0);
        }
        close_fd(&p->input);
        close_fd(&p->out.fd);
        close_fd(&p->err.fd);
        close_fd(&p->pidfd);
    }
    return running;
}

static struct test_place at(struct test_place place, struct run r)
{
    place.what = r.command;
    return place;
}

void test_exit(struct test_place place, struct run r, int expected)
{
    if (r.status == expected)
        return;
    const char *said = r.err_len > 0 ? text("\nits stderr: %.2000s", r.err)
                                     : "\nits stderr was empty";
    harness_end(PAGE_FAILED, at(place, r),
                "expected: exit status %d\n"
                "actual:   exit status %d%s%s",
                expected, r.status,
                r.status > 128 ? text(" (%s)", strsignal(r.status - 128)) : "",
                said);
}

void test_output(struct test_place place, struct run r, const void *expected,
                 size_t len)
{
    test_bytes(at(place, r), r.out, r.out_len, expected, len);
}

void test_error(struct test_place place, struct run r, const char *expected)
{
    place.what = text("stderr of %s", r.command);
    test_bytes(place, r.err, r.err_len, expected, strlen(expected));
}

void test_run_contains(struct test_place place, struct run r, bool in_error,
                       const char *needle)
{
    place.what =
        text("%s of %s", in_error ? "stderr" : "the output", r.command);
    test_contains(place, in_error ? r.err : r.out,
                  in_error ? r.err_len : r.out_len, needle, true);
}

void test_refusal(struct test_place place, int status, const char *message,
                  const char *const args[])
{
    struct program *p = program_start(place, (struct run_options){0}, args);
    const char *name = strrchr(harness.program, '/') + 1;
    const char *words =
        text(status == 2 ? "usage: %s %s" : "%s: %s", name, message);
    const char *line = program_line(p);
    if (line)
        test_fail(p->place,
                  "expected: exit status %d, on stderr \"%s\"\n"
                  "actual:   on stdout \"%s\"",
                  status, words, line);
    struct run r = program_wait(p);
    test_exit(place, r, status);
    test_run_contains(place, r, true, words);
    test_output(place, r, "", 0);
}
