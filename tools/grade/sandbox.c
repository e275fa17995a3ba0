/*
 * sandbox.c - one run, locked in with bubblewrap.
 *
 * Inside there are: the system's /usr, read-only; the kit, read-only; a small
 * /tmp in memory; a network of its own with nobody else in it; no process of
 * anybody else. The compiler writes to the lab's build folder; when tests run,
 * that is read-only, too: no test can change what the next one is. bubblewrap
 * itself is run by a user that owns nothing: as root it would leave doors open.
 *
 * What comes back comes through descriptor 3, which the learner's code never
 * holds. The exit status is not looked at: code inside can forge it.
 */
#include "../course/process.h"
#include "grade.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    FIRST_UID = 60600,
    MOST_BYTES = 8 * 1024 * 1024, /* of results */
    MOST_ERRORS = 4000,
    GONE_MS = 10000, /* for what was killed to be gone */
    RESULTS = 3,
    INFO = 4,
};

/* Sizes of what is kept in memory. */
static const char tmp_size[] = "134217728", small_size[] = "33554432";

bool unsafe;

uid_t slot_uid(int slot)
{
    return (uid_t)(FIRST_UID + slot);
}

/* cp(1) keeps times; what is behind a link is copied in its place. */
void copy_tree(const char *from, const char *to)
{
    const char *const command[] = {"cp", "-pRL", "--", from, to, NULL};
    if (process_run("/", command) != 0)
        errx(1, "%s: cannot be copied", from);
}

static uid_t new_owner;

static int own(const char *path, const struct stat *status, int type,
               struct FTW *where)
{
    (void)status, (void)type, (void)where;
    return lchown(path, new_owner, new_owner);
}

void give_away(const char *path, uid_t uid)
{
    new_owner = uid;
    if (geteuid() == 0 && nftw(path, own, 16, FTW_PHYS) == -1)
        err(1, "%s", path);
}

struct arguments {
    const char **word;
    size_t count;
};

static void add(struct arguments *arguments, const char *word)
{
    arguments->word = (const char **)grow(arguments->word, arguments->count,
                                          sizeof *arguments->word);
    arguments->word[arguments->count++] = word;
}

#define ADD(arguments, ...) \
    add_all(arguments, (const char *const[]){__VA_ARGS__, NULL})
static void add_all(struct arguments *arguments, const char *const words[])
{
    for (int i = 0; words[i]; i++)
        add(arguments, words[i]);
}

/* /lib and its like are links to /usr, or folders on older systems. */
static void add_system(struct arguments *arguments)
{
    static const char *const beside[] = {"/bin",   "/sbin",  "/lib",
                                         "/lib32", "/lib64", "/libx32"};
    ADD(arguments, "--ro-bind", "/usr", "/usr");
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++) {
        char target[256];
        ssize_t len = readlink(beside[i], target, sizeof target);
        if (len > 0)
            ADD(arguments, "--symlink", text_copy(target, (size_t)len),
                beside[i]);
        else if (is_folder(beside[i]))
            ADD(arguments, "--ro-bind", beside[i], beside[i]);
    }
    /* Commands that are chosen there, and where libraries are. */
    static const char *const settings[] = {
        "/etc/alternatives", "/etc/ld.so.cache",     "/etc/ld.so.conf",
        "/etc/ld.so.conf.d", "/etc/ssl/openssl.cnf", "/sys/devices/system/cpu"};
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        ADD(arguments, "--ro-bind-try", settings[i], settings[i]);
}

static void add_kit(struct arguments *arguments, const struct sandbox *sandbox)
{
    static const char *const etc[] = {"passwd", "group", "hosts",
                                      "nsswitch.conf"};
    const struct kit *kit = sandbox->kit;
    const char *folder = text("%s/%s", kit->course, sandbox->lab);
    const char *inside = text("/course/%s", sandbox->lab);
    for (size_t i = 0; i < sizeof etc / sizeof *etc; i++)
        ADD(arguments, "--ro-bind", text("%s/%s", kit->etc, etc[i]),
            text("/etc/%s", etc[i]));
    ADD(arguments, sandbox->folder ? "--ro-bind" : "--bind", kit->course,
        "/course");
    if (sandbox->folder)
        ADD(arguments, "--ro-bind", text("%s/src", sandbox->folder),
            text("%s/src", inside), sandbox->builds ? "--bind" : "--ro-bind",
            text("%s/build", sandbox->folder), text("%s/build", inside),
            "--ro-bind", text("%s/build/tests", folder),
            text("%s/build/tests", inside), "--ro-bind",
            text("%s/build/pkgs.mk", folder), text("%s/build/pkgs.mk", inside));
    ADD(arguments, "--chdir", inside);
}

static const char *const *environment(const struct sandbox *sandbox)
{
    static const char *names[16];
    int n = 0;
    names[n++] = "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";
    names[n++] = "LC_ALL=C.UTF-8";
    names[n++] = "TERM=dumb";
    names[n++] = "MAKELEVEL=1"; /* no make of its own speed */
    names[n++] = unsafe && sandbox->folder
                     ? text("HOME=%s/tmp", sandbox->folder)
                     : "HOME=/tmp";
    /* Who fills /tmp has not filled the judge's. */
    names[n++] = unsafe && sandbox->folder
                     ? text("TMPDIR=%s/tmp", sandbox->folder)
                 : unsafe ? "TMPDIR=/tmp"
                          : "TMPDIR=/judge";
    if (sandbox->kit)
        names[n++] = text("CC=%s", sandbox->kit->compiler);
    if (sandbox->kit && !sandbox->kit->has_lsan)
        names[n++] = "LAB_NO_LSAN=1";
    names[n] = NULL;
    return names;
}

static const char *const *bubblewrap(const struct sandbox *sandbox)
{
    struct arguments arguments = {0};
    ADD(&arguments, "bwrap", "--unshare-all", "--unshare-user",
        "--disable-userns", "--uid", "1000", "--gid", "1000", "--hostname",
        "grade", "--die-with-parent", "--new-session", "--info-fd", "4",
        "--clearenv");
    const char *const *names = environment(sandbox);
    for (int i = 0; names[i]; i++) {
        const char *value = strchr(names[i], '=');
        ADD(&arguments, "--setenv",
            text_copy(names[i], (size_t)(value - names[i])), value + 1);
    }
    add_system(&arguments);
    ADD(&arguments, "--proc", "/proc", "--dev", "/dev", "--size", small_size,
        "--tmpfs", "/dev/shm", "--size", tmp_size, "--tmpfs", "/tmp", "--size",
        tmp_size, "--tmpfs", "/judge");
    if (sandbox->kit)
        add_kit(&arguments, sandbox);
    /* Both are in memory, and nobody limits their size. */
    ADD(&arguments, "--remount-ro", "/dev", "--remount-ro", "/", "--");
    add_all(&arguments, sandbox->command);
    add(&arguments, NULL);
    return arguments.word;
}

/* Without a sandbox: a copy of the lab in the slot's folder, which the user
 * may write to. */
static const char *unsafe_folder(const struct sandbox *sandbox)
{
    if (!sandbox->kit)
        return "/";
    const char *kit_lab = text("%s/%s", sandbox->kit->course, sandbox->lab);
    if (!sandbox->folder)
        return kit_lab;
    static const char *const shared[] = {"common", "tools", ".build"};
    const char *course = text("%s/course", sandbox->folder);
    const char *lab = text("%s/%s", course, sandbox->lab);
    if (!sandbox->builds)
        return lab;
    if (folder_create(parent_of(lab)) == -1)
        err(1, "%s", lab);
    copy_tree(kit_lab, lab);
    copy_tree(text("%s/src", sandbox->folder), lab);
    for (size_t i = 0; i < sizeof shared / sizeof *shared; i++)
        if (symlink(text("%s/%s", sandbox->kit->course, shared[i]),
                    text("%s/%s", course, shared[i])) == -1)
            err(1, "%s", course);
    give_away(lab, sandbox->uid);
    return lab;
}

/* The pipes of a run: our ends. */
struct ends {
    int results, errors, info;
};

_Noreturn static void become(const struct sandbox *sandbox, const int theirs[3],
                             const char *const *command, const char *folder)
{
    /* Out of the way of the numbers that they are to get. */
    int results = fcntl(theirs[0], F_DUPFD, 20);
    int errors = fcntl(theirs[1], F_DUPFD, 20);
    int info = fcntl(theirs[2], F_DUPFD, 20);
    int null = open("/dev/null", O_RDWR);
    sigset_t none;
    sigemptyset(&none);
    setsid(); /* Ctrl-C is for us; we end what we have started */
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(errors, STDERR_FILENO);
    dup2(results, RESULTS);
    dup2(info, INFO);
    syscall(SYS_close_range, 5, ~0U, 0);
    if (geteuid() == 0 &&
        (setgroups(0, NULL) == -1 ||
         setresgid(sandbox->uid, sandbox->uid, sandbox->uid) == -1 ||
         setresuid(sandbox->uid, sandbox->uid, sandbox->uid) == -1)) {
        warn("cannot become user %d", (int)sandbox->uid);
        _exit(1);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int number = 1; number < 32; number++)
        signal(number, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (unsafe) {
        close(INFO);
        environ = (char **)environment(sandbox);
    }
    if (chdir(folder) == -1) {
        warn("%s", folder);
        _exit(1);
    }
    execvp(command[0], (char *const *)command);
    warn("%s", command[0]);
    _exit(1);
}

static pid_t start(const struct sandbox *sandbox, struct ends *ends)
{
    int results[2], errors[2], info[2];
    const char *folder = unsafe ? unsafe_folder(sandbox) : "/";
    const char *const *command =
        unsafe ? sandbox->command : bubblewrap(sandbox);
    if (pipe2(results, O_CLOEXEC) == -1 || pipe2(errors, O_CLOEXEC) == -1 ||
        pipe2(info, O_CLOEXEC) == -1)
        err(1, "pipe");
    pid_t pid = fork();
    if (pid == -1)
        err(1, "fork");
    if (pid == 0)
        become(sandbox, (const int[]){results[1], errors[1], info[1]}, command,
               folder);
    close(results[1]);
    close(errors[1]);
    close(info[1]);
    *ends = (struct ends){results[0], errors[0], info[0]};
    return pid;
}

/* The first process inside, as a descriptor: with it everything there dies. */
static int open_first(int info)
{
    size_t len;
    char *words = read_to_end(info, &len);
    char *at = words ? strstr(words, "\"child-pid\":") : NULL;
    close(info);
    return at ? (int)syscall(SYS_pidfd_open, atoi(strchr(at, ':') + 1), 0) : -1;
}

static int wait_for(int fd, int ms)
{
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    return poll(&wanted, 1, ms);
}

/* Whoever inside lost its parent became our child. */
static void reap(pid_t pid)
{
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) == -1 && errno == EINTR)
        ;
    const struct timespec pause = {.tv_nsec = 1000000};
    for (int ms = 0; ms < GONE_MS; ms++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
        struct lines lines = unsafe ? file_lines(path) : (struct lines){0};
        char *rest, *list = lines.count ? lines.line[0] : "";
        for (char *word = strtok_r(list, " ", &rest); word;
             word = strtok_r(NULL, " ", &rest))
            kill(atoi(word), SIGKILL);
        while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
            ;
        if (pid == -1)
            return;
        nanosleep(&pause, NULL);
    }
}

static bool take(struct outcome *outcome, int fd)
{
    char buffer[65536];
    ssize_t got = read(fd, buffer, sizeof buffer);
    if (got == -1)
        return errno == EINTR || errno == EAGAIN;
    if (outcome->len + (size_t)got > MOST_BYTES) {
        outcome->too_much = true;
        return false;
    }
    memcpy(outcome->bytes + outcome->len, buffer, (size_t)got);
    outcome->len += (size_t)got;
    return got > 0;
}

/* Reads results until there are no more. -1: interrupted. */
static int listen_to(const struct sandbox *sandbox, int results, int ended,
                     struct outcome *outcome)
{
    sigset_t none;
    sigemptyset(&none);
    for (;;) {
        struct pollfd fds[] = {{.fd = results, .events = POLLIN},
                               {.fd = ended, .events = POLLIN}};
        struct timespec patience = {.tv_sec = sandbox->patience_s};
        int ready = ppoll(fds, 2, &patience, &none);
        if (slots_interrupted)
            return -1;
        if (ready == 0)
            outcome->impatient = true;
        if (ready == 0 || (fds[0].revents && !take(outcome, results)))
            return 0;
        /* What it wrote before its end is in the pipe. */
        if (fds[1].revents && !fds[0].revents)
            return 0;
    }
}

static const char *read_errors(int fd)
{
    char bytes[MOST_ERRORS];
    fcntl(fd, F_SETFL, O_NONBLOCK);
    ssize_t len = read(fd, bytes, sizeof bytes);
    return trim_end(clean_text(bytes, len > 0 ? (size_t)len : 0));
}

int sandbox_run(const struct sandbox *sandbox, struct outcome *outcome)
{
    struct ends ends;
    *outcome = (struct outcome){.bytes = keep(malloc(MOST_BYTES + 1))};
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t pid = start(sandbox, &ends);
    int ended = (int)syscall(SYS_pidfd_open, pid, 0);
    int first = open_first(ends.info);
    int result = listen_to(sandbox, ends.results, ended, outcome);
    outcome->bytes[outcome->len] = '\0';
    outcome->errors = read_errors(ends.errors);
    if (first != -1) {
        syscall(SYS_pidfd_send_signal, first, SIGKILL, NULL, 0);
        wait_for(first, GONE_MS);
        close(first);
    }
    reap(pid);
    close(ended);
    close(ends.results);
    close(ends.errors);
    return result;
}

const char *sandbox_missing(uid_t uid)
{
    const char *const command[] = {"sh", "-c", "echo here >&3", NULL};
    struct sandbox sandbox = {.uid = uid, .patience_s = 20, .command = command};
    struct outcome outcome;
    if (sandbox_run(&sandbox, &outcome) == -1)
        exit(STATUS_INTERRUPTED);
    if (!strcmp(outcome.bytes, "here\n"))
        return NULL;
    return *outcome.errors ? outcome.errors : "bwrap does not run";
}
