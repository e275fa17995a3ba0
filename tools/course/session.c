#include "session.h"
#include "file.h"
#include "process.h"
#include "timing.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OUTPUT_LIMIT = 4 << 20, LOOK_MS = 50, KILL_S = 2 };

#define SECOND_NS UINT64_C(1000000000)

/* A word that no output contains by chance. */
static char *new_name(void)
{
    uint64_t random[2];
    if (getrandom(random, sizeof random, 0) != sizeof random)
        return NULL;
    return text("end_%016" PRIx64 "%016" PRIx64, random[0], random[1]);
}

static void write_step(FILE *script, const char *folder,
                       const struct step *step, const char *name)
{
    if (step->file) {
        const char *path = text("%s/%s", folder, step->file);
        fprintf(script, "mkdir -p %s && cat >%s <<'%s'\n%s%s\n",
                text_quoted(parent_of(path)), text_quoted(path), name,
                step->text, name);
    } else {
        /* eval: a syntax error must not end the session. */
        fprintf(script, "eval %s\n", text_quoted(step->text));
    }
    fprintf(script, "%s\n", name);
}

/* The script ends each step with a call of a function, which prints the mark
 * and hands on $?, which the next command may ask for. In the script the mark
 * stands without its last letter: a page may list the shell's functions. */
static int write_script(const char *path, const char *name,
                        const struct session *session, const struct page *page,
                        const char *const skip[])
{
    FILE *script = fopen(path, "we");
    if (!script)
        return -1;
    fprintf(script,
            "%s() { local status=$?; builtin echo %s'.'; return $status; }\n",
            name, name);
    for (size_t i = 0; i < page->count; i++)
        if (!skip[i])
            write_step(script, session->folder, &page->steps[i], name);
    int failed = ferror(script);
    return fclose(script) == EOF || failed ? -1 : 0;
}

/* bash has a session of its own, so Ctrl-C reaches only us. */
static volatile sig_atomic_t interrupted;

static void on_signal(int signal)
{
    interrupted = signal;
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

struct output {
    char *bytes;
    size_t len;
    size_t marks; /* seen so far */
    size_t seen;  /* bytes in front of which all marks are counted */
};

/* Reads what is there. Returns false at the end of the output. */
static bool take(int fd, struct output *output)
{
    if (output->len >= OUTPUT_LIMIT)
        return false;
    ssize_t got =
        read(fd, output->bytes + output->len, OUTPUT_LIMIT - output->len);
    if (got < 0)
        return errno == EINTR || errno == EAGAIN;
    /* A NUL byte shows nothing on a terminal, and would end our strings. */
    size_t end = output->len + (size_t)got;
    for (size_t from = output->len; from < end; from++)
        if (output->bytes[from])
            output->bytes[output->len++] = output->bytes[from];
    output->bytes[output->len] = '\0';
    return got > 0;
}

static void count_marks(struct output *output, const char *mark)
{
    const char *found;
    while ((found = strstr(output->bytes + output->seen, mark))) {
        output->marks++;
        output->seen = (size_t)(found - output->bytes) + strlen(mark);
    }
}

/* Reads until the last step has ended, bash has, or the time is up. */
static void listen_to(struct session *session, pid_t bash, int fd,
                      struct output *output, const char *mark, size_t steps)
{
    uint64_t deadline = now_ns() + (uint64_t)session->limit_s * SECOND_NS;
    bool ended = false;
    while (output->marks < steps) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        int ready = poll(&wait, 1, ended ? 0 : LOOK_MS);
        bool more = ready > 0 && take(fd, output);
        count_marks(output, mark);
        if (output->len >= OUTPUT_LIMIT)
            session->end = TOO_MUCH;
        else if (interrupted)
            session->end = INTERRUPTED;
        else if (now_ns() > deadline)
            session->end = TOO_LONG;
        if (session->end != ENDED || (!more && (ended || ready > 0)))
            return;
        /* Something that it started may hold the pipe open: look at bash. */
        siginfo_t info = {0};
        ended = waitid(P_PID, (id_t)bash, &info, WEXITED | WNOHANG | WNOWAIT) ==
                    0 &&
                info.si_pid == bash;
    }
}

/* Kills our children: bash, and what we have inherited from it. */
static void kill_children(void)
{
    char *list =
        file_read(text("/proc/self/task/%ld/children", (long)getpid()), NULL);
    char *rest, *word = list ? strtok_r(list, " ", &rest) : NULL;
    for (; word; word = strtok_r(NULL, " ", &rest))
        kill((pid_t)atol(word), SIGKILL);
}

/* We are the reaper of all that the page started, wherever it hides. What
 * cannot be killed (it runs as another user) is not waited for. */
static void kill_all(pid_t bash)
{
    uint64_t deadline = now_ns() + KILL_S * SECOND_NS;
    kill(-bash, SIGKILL);
    while (now_ns() < deadline) {
        kill_children();
        pid_t pid = waitpid(-1, NULL, WNOHANG);
        if (pid < 0 && errno != EINTR)
            return; /* no children are left */
        if (pid == 0)
            poll(NULL, 0, 1);
    }
}

/* bash says "SCRIPT: line 12: " where it says "bash: " at the prompt, and
 * "SCRIPT: line 12:  345 Segmentation fault      ./crash" where it says
 * "Segmentation fault" there. */
static char *as_at_prompt(char *line, const char *script)
{
    size_t len = strlen(script);
    if (!starts_with(line, script) || !starts_with(line + len, ": "))
        return line;
    char *rest = line + len + 2;
    if (starts_with(rest, "eval: "))
        rest += strlen("eval: ");
    if (starts_with(rest, "line ")) {
        rest += strlen("line ");
        rest += strspn(rest, "0123456789");
        rest += strspn(rest, ": ");
    }
    size_t digits = strspn(rest, "0123456789");
    if (digits == 0 || rest[digits] != ' ')
        return text("bash: %s", rest);
    rest += digits + 1;
    char *command = strstr(rest, "  ");
    return command ? text_copy(rest, (size_t)(command - rest)) : rest;
}

static char *output_as_at_prompt(char *all, const char *script)
{
    if (!strstr(all, script))
        return all;
    /* "bash: " is shorter than the script's path, so there is room enough. */
    char *result = keep(malloc(strlen(all) + 2)), *to = result;
    struct lines lines = text_lines(all);
    for (size_t i = 0; i < lines.count; i++)
        to = stpcpy(stpcpy(to, as_at_prompt(lines.line[i], script)), "\n");
    return result;
}

/* Cuts the output at its marks. The step that has not ended keeps NULL. */
static void cut_output(struct session *session, const struct page *page,
                       const char *const skip[], char *all, const char *mark,
                       const char *script)
{
    session->outputs = keep(calloc(page->count + 1, sizeof(char *)));
    for (size_t i = 0; i < page->count; i++) {
        if (skip[i])
            continue;
        char *end = strstr(all, mark);
        if (!end)
            return;
        *end = '\0';
        session->outputs[i] = output_as_at_prompt(all, script);
        all = end + strlen(mark);
        all += *all == '\n';
    }
}

/* A page prints the same on every machine: what the caller's environment has
 * beside these stays out. */
static void set_environment(const struct session *session)
{
    static const char *const taken[] = {"PATH",  "HOME",   "USER", "LOGNAME",
                                        "SHELL", "TMPDIR", "CC"};
    enum { TAKEN = sizeof taken / sizeof *taken };
    char *values[TAKEN];
    for (int i = 0; i < TAKEN; i++) {
        const char *value = getenv(taken[i]);
        values[i] = value ? text("%s", value) : NULL;
    }
    clearenv();
    for (int i = 0; i < TAKEN; i++)
        if (values[i])
            setenv(taken[i], values[i], 1);
    setenv("TERM", "dumb", 1);
    setenv("NO_COLOR", "1", 1);
    setenv("LC_ALL", "C.UTF-8", 1);
    setenv("COURSE_ROOT", session->root, 1);
}

static size_t steps_to_run(const struct page *page, const char *const skip[])
{
    size_t count = 0;
    for (size_t i = 0; i < page->count; i++)
        count += skip[i] == NULL;
    return count;
}

int session_run(struct session *session, const struct page *page,
                const char *const skip[])
{
    const char *name = new_name(), *mark = text("%s.", name ? name : "");
    char *script = text("%s.session", session->folder);
    struct output output = {.bytes = keep(calloc(1, OUTPUT_LIMIT + 1))};
    int ends[2];
    if (!name || write_script(script, name, session, page, skip) < 0 ||
        prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    const char *const command[] = {"bash", script, NULL};
    set_environment(session);
    catch_signals();
    pid_t bash = process_start(session->folder, command, ends[1], 1);
    close(ends[1]);
    if (bash > 0) {
        listen_to(session, bash, ends[0], &output, mark,
                  steps_to_run(page, skip));
        kill_all(bash);
        cut_output(session, page, skip, output.bytes, mark, script);
    }
    close(ends[0]);
    unlink(script);
    return bash > 0 ? 0 : -1;
}
