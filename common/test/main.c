/*
 * main.c - runs one test: test --run NAME [--lab DIR] [--program FILE]
 *
 * The judge starts it once for each test. By hand it serves under gdb; then
 * there is no page, and the outcome is printed.
 */
#include "test/harness.h"
#include "timing.h"
#include "todo.h"
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_DESCRIPTORS = 4096 };

struct harness harness = {.lab = "."};

static struct test_entry *tests;
static struct test_entry *current;
static struct page own_page;
static pid_t test_pid;
static bool body_done;
static bool forked;

/* cmocka puts its own handlers in front of a test; these go back there. */
static const int restored[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS};
enum { RESTORED = sizeof(restored) / sizeof(*restored) };
static struct sigaction handlers[RESTORED];

static bool open_before[MOST_DESCRIPTORS];

void test_add(struct test_entry *entry)
{
    entry->next = tests;
    tests = entry;
}

void harness_end(enum page_state state, struct test_place place,
                 const char *format, ...)
{
    struct page *page = harness.page ? harness.page : &own_page;
    static atomic_bool looked;
    if (state == PAGE_FAILED && getpid() == test_pid &&
        !atomic_exchange(&looked, true))
        harness_look_at_programs();
    bool first = !atomic_exchange(&page->claimed, true);
    if (first) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(page->text, sizeof(page->text), format, arguments);
        va_end(arguments);
        snprintf(page->file, sizeof(page->file), "%s",
                 place.file ? place.file : "");
        snprintf(page->what, sizeof(page->what), "%s",
                 place.what ? place.what : "");
        page->line = place.line;
        page->state = state;
    }
    fflush(NULL);
    if (first && page == &own_page)
        dprintf(STDERR_FILENO, "%s:%d: %s\n%s\n", page->file, page->line,
                page->what, page->text);
    _exit(state == PAGE_SKIPPED ? 0 : 1);
}

void todo_at(const char *what, const char *file, int line)
{
    harness_end(PAGE_TODO, (struct test_place){0}, "%s (%s:%d)", what, file,
                line);
}

static bool each_descriptor(bool found[MOST_DESCRIPTORS])
{
    DIR *directory = opendir("/proc/self/fd");
    if (!directory)
        return false;
    struct dirent *entry;
    while ((entry = readdir(directory))) {
        int fd = atoi(entry->d_name);
        if (fd != dirfd(directory) && fd < MOST_DESCRIPTORS)
            found[fd] = entry->d_name[0] != '.';
    }
    closedir(directory);
    return true;
}

static void check_descriptors(void)
{
    bool open_now[MOST_DESCRIPTORS] = {false};
    char list[1024] = "";
    size_t len = 0;
    if (!each_descriptor(open_now))
        return;
    for (int fd = 0; fd < MOST_DESCRIPTORS; fd++) {
        if (!open_now[fd] || open_before[fd] || len > sizeof(list) - 300)
            continue;
        char link[64], target[200];
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, target, sizeof(target) - 1);
        target[n < 0 ? 0 : n] = '\0';
        /* ASan opens its log for a warning, and keeps it open. */
        if (strstr(target, "/sanitizer."))
            continue;
        len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%d -> %s",
                                len ? "\n" : "", fd, target);
    }
    if (len)
        harness_end(PAGE_LEFT_DESCRIPTORS, (struct test_place){0}, "%s", list);
}

/* A thread that was joined may still show for a moment while the kernel buries
 * it. */
static void check_threads(int before)
{
    enum { GRACE_MS = 200 };
    int alive = count_threads();
    for (int ms = 0; alive > before && ms < GRACE_MS; ms++) {
        test_pause();
        alive = count_threads();
    }
    if (alive > before)
        harness_end(PAGE_LEFT_RUNNING, (struct test_place){0},
                    "%d thread%s that nobody joined", alive - before,
                    alive - before == 1 ? "" : "s");
}

static void check_children(void)
{
    siginfo_t child;
    if (waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT) == 0)
        harness_end(PAGE_LEFT_RUNNING, (struct test_place){0},
                    "a child process that was not waited for");
}

static void check_programs(void)
{
    const char *command;
    if (harness_stop_programs(&command) > 0)
        harness_end(PAGE_LEFT_RUNNING, (struct test_place){0}, "%s", command);
}

/* Fails, and nothing but a harness that somebody has changed says else. The
 * lab's program is run, too, since it may be what changes the harness. */
static void be_canary(void)
{
    enum { LONGEST_MS = 100 };
    pid_t pid = harness.program ? fork() : 0;
    if (pid == 0 && harness.program) {
        setenv("LAB_PAGE", harness.page_path ? harness.page_path : "", 1);
        execl(harness.program, harness.program, NULL);
        _exit(127);
    }
    for (int ms = 0; pid > 0 && ms < LONGEST_MS; ms++) {
        if (waitpid(pid, NULL, WNOHANG) != 0)
            break;
        test_pause();
    }
    harness_end(PAGE_FAILED, (struct test_place){0}, "%s", CANARY_TEXT);
}

static void body(void **state)
{
    for (int i = 0; i < RESTORED; i++)
        sigaction(restored[i], &handlers[i], NULL);
    int threads = count_threads();
    each_descriptor(open_before);
    if (harness.page->canary)
        be_canary();
    current->body(state);
    /* A forked child that returned into the harness must not judge. */
    if (getpid() != test_pid)
        _exit(1);
    check_programs();
    check_children();
    check_threads(threads);
    check_descriptors();
    body_done = true;
}

/* Learner's code ends the process: exit(3) by the hook below, _exit(2) by
 * fault.c, which knows the status, too. */
void ended_by(const char *function, int status);
void ended_by(const char *function, int status)
{
    if (body_done || getpid() != test_pid)
        return;
    page_note_stack(harness.page, false);
    harness_end(PAGE_FAILED, (struct test_place){0},
                "%s(%d) was called before the test was over", function, status);
}

static void on_exit_early(int status, void *argument)
{
    (void)argument;
    ended_by("exit", status);
}

static void *return_at_once(void *argument)
{
    return argument;
}

/* TSan starts a thread of its own beside the first one of the program; it must
 * not count as the learner's. */
static void wake_sanitizer_thread(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, return_at_once, NULL) == 0)
        pthread_join(thread, NULL);
}

/* Since glibc 2.32 it knows; elsewhere a test is never found alone. */
extern char __libc_single_threaded __attribute__((weak));

static bool was_alone(void)
{
    return !forked && &__libc_single_threaded && __libc_single_threaded;
}

static void note_fork(void)
{
    forked = true;
}

static int run_current(void)
{
    uint64_t nonce = harness.page->nonce;
    harness.page->nonce = 0;
    harness.page->limit_ms = current->limit_ms;
    harness.page->begun_ns = now_ns();
    harness.page->state = PAGE_RUNNING;
    test_pid = getpid();
    if (SANITIZE_THREAD)
        wake_sanitizer_thread();
    page_watch_signals(harness.page, false);
    for (int i = 0; i < RESTORED; i++)
        sigaction(restored[i], NULL, &handlers[i]);
    on_exit(on_exit_early, NULL);
    pthread_atfork(note_fork, NULL, NULL);

    const struct CMUnitTest test = {.name = current->name, .test_func = body};
    int failed = _cmocka_run_group_tests(current->name, &test, 1, NULL, NULL);
    if (getpid() != test_pid)
        _exit(1);
    if (failed || !body_done)
        harness_end(PAGE_FAILED, (struct test_place){0},
                    "an assertion of cmocka's own failed");
    if (harness.page->claimed) /* by a child of the test */
        _exit(1);
    harness.page->alone = was_alone();
    harness.page->echo = nonce;
    harness.page->state = PAGE_PASSED;
    if (harness.page == &own_page)
        fprintf(stderr, "%s: ok\n", current->name);
    return EXIT_SUCCESS; /* through exit(3): leaks are looked for there */
}

static void list_tests(void)
{
    for (const struct test_entry *t = tests; t; t = t->next)
        puts(t->name);
}

static struct test_entry *find_test(const char *name)
{
    struct test_entry *found = NULL;
    for (struct test_entry *t = tests; t; t = t->next) {
        if (strcmp(t->name, name) != 0)
            continue;
        if (found)
            harness_end(PAGE_FAULT, (struct test_place){0},
                        "two tests are named %s", name);
        found = t;
    }
    return found;
}

int main(int argc, char **argv)
{
    const char *name = NULL;
    if (getenv("LAB_PAGE"))
        harness.page_path = text("%s", getenv("LAB_PAGE"));
    unsetenv("LAB_PAGE");
    harness.page = page_map(harness.page_path);
    if (!harness.page)
        harness.page = &own_page;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--list") == 0) {
            list_tests();
            return EXIT_SUCCESS;
        } else if (i + 1 < argc && strcmp(argv[i], "--run") == 0) {
            name = argv[++i];
        } else if (i + 1 < argc && strcmp(argv[i], "--lab") == 0) {
            harness.lab = argv[++i];
        } else if (i + 1 < argc && strcmp(argv[i], "--program") == 0) {
            harness.program = argv[++i];
        } else {
            fprintf(stderr,
                    "usage: %s --list | --run TEST [--lab DIR] "
                    "[--program FILE]\n",
                    argv[0]);
            return 2;
        }
    }
    current = name ? find_test(name) : NULL;
    if (!current)
        harness_end(PAGE_FAULT, (struct test_place){0}, "no test is named %s",
                    name ? name : "(none)");
    return run_current();
}
