/*
 * watch.c - `course watch`: the lab's tests at each save.
 *
 * inotify tells of a save at once. Some shared folders of virtual machines and
 * containers never report one, so the files' times are looked at as well.
 */
#include "course.h"
#include "process.h"
#include "verbs.h"

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum {
    DEBOUNCE_MS = 20, /* an editor's save is several events */
    POLL_MS = 300,
    STOP_MS = 1000 /* from SIGTERM to SIGKILL */
};

struct watch {
    const struct lab *lab;
    const char *src;
    int inotify; /* -1 when it cannot be had */
    int signals;
    uint64_t seen; /* state of src/ when the tests were started */
    pid_t run;     /* make, or 0 */
    bool terminal; /* standard input is one, and in raw mode */
    struct termios saved;
};

static uint64_t mix(uint64_t hash, uint64_t value)
{
    return (hash ^ value) * UINT64_C(0x100000001b3); /* FNV-1a, by words */
}

static uint64_t mix_file(int folder, const char *name)
{
    struct stat status;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    if (fstatat(folder, name, &status, 0) < 0)
        return 0;
    for (const char *c = name; *c; c++)
        hash = mix(hash, (unsigned char)*c);
    hash = mix(hash, (uint64_t)status.st_mtim.tv_sec);
    hash = mix(hash, (uint64_t)status.st_mtim.tv_nsec);
    return mix(mix(hash, (uint64_t)status.st_size), status.st_ino);
}

/* A number that changes with each save. Hidden files are an editor's own. */
static uint64_t state_of(const char *src)
{
    uint64_t state = 0;
    DIR *folder = opendir(src);
    if (!folder)
        return 0;
    for (struct dirent *entry; (entry = readdir(folder));)
        if (entry->d_name[0] != '.')
            state += mix_file(dirfd(folder), entry->d_name);
    closedir(folder);
    return state;
}

static void start_run(struct watch *watch)
{
    static const char *const command[] = {"make", "-s", "--no-print-directory",
                                          "test", NULL};
    /* Again each time: `make reset` puts another folder there. */
    if (watch->inotify >= 0)
        inotify_add_watch(watch->inotify, watch->src,
                          IN_CLOSE_WRITE | IN_MOVED_TO);
    watch->seen = state_of(watch->src);
    if (isatty(STDOUT_FILENO))
        fputs("\033[H\033[2J\033[3J", stdout);
    fflush(stdout);
    watch->run = process_start(watch->lab->path, command, -1, 0);
    if (watch->run < 0) {
        warn("make");
        watch->run = 0;
    }
}

/* Waits at most that long for make to end. */
static bool ended_within(pid_t run, int ms)
{
    for (; waitpid(run, NULL, WNOHANG) == 0; ms--) {
        if (ms <= 0)
            return false;
        poll(NULL, 0, 1);
    }
    return true;
}

/* make takes its children with it, and the judge its tests. */
static void stop_run(struct watch *watch)
{
    if (!watch->run)
        return;
    kill(-watch->run, SIGTERM);
    if (!ended_within(watch->run, STOP_MS)) {
        kill(-watch->run, SIGKILL);
        process_wait(watch->run);
    }
    watch->run = 0;
}

static void end_run(struct watch *watch)
{
    if (!watch->run || !ended_within(watch->run, 0))
        return;
    watch->run = 0;
    printf("%swatching src/%s%s\n", colour(DIM),
           watch->terminal ? ", q ends" : "", colour(PLAIN));
    fflush(stdout);
}

static void look(struct watch *watch)
{
    if (state_of(watch->src) == watch->seen)
        return;
    stop_run(watch);
    start_run(watch);
}

static void take_events(struct watch *watch)
{
    char events[4096];
    poll(NULL, 0, DEBOUNCE_MS);
    while (read(watch->inotify, events, sizeof events) > 0)
        continue;
    look(watch);
}

/* Returns false when the signal asks us to end. */
static bool take_signal(struct watch *watch)
{
    struct signalfd_siginfo info;
    while (read(watch->signals, &info, sizeof info) == sizeof info)
        if (info.ssi_signo != SIGCHLD)
            return false;
    end_run(watch);
    return true;
}

static bool take_key(void)
{
    char key;
    ssize_t got = read(STDIN_FILENO, &key, 1);
    return got == 1 && key != 'q';
}

static void loop(struct watch *watch)
{
    for (;;) {
        struct pollfd fds[] = {
            {.fd = watch->signals, .events = POLLIN},
            {.fd = watch->inotify, .events = POLLIN},
            {.fd = watch->terminal ? STDIN_FILENO : -1, .events = POLLIN},
        };
        int ready = poll(fds, sizeof fds / sizeof *fds, POLL_MS);
        if (ready < 0 && errno != EINTR)
            err(STATUS_FAIL, "poll");
        if (ready <= 0)
            look(watch);
        else if (fds[0].revents && !take_signal(watch))
            return;
        else if (fds[2].revents && !take_key())
            return;
        else if (fds[1].revents)
            take_events(watch);
    }
}

/* Keys come one by one and are not shown; Ctrl-C stays what it is. */
static void open_terminal(struct watch *watch)
{
    watch->terminal = isatty(STDIN_FILENO) &&
                      getpgrp() == tcgetpgrp(STDIN_FILENO) &&
                      tcgetattr(STDIN_FILENO, &watch->saved) == 0;
    if (!watch->terminal)
        return;
    struct termios raw = watch->saved;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

/* SIGTERM and the like come as something to read, so that what we started is
 * ended and the terminal set right in one place. */
static int open_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -1;
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int watch_verb(int argc, char **argv)
{
    struct lab lab = lab_at(argv[1]);
    struct watch watch = {.lab = &lab, .src = text("%s/src", lab.path)};
    watch.signals = open_signals();
    if (watch.signals < 0)
        err(STATUS_FAIL, "signalfd");
    watch.inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    open_terminal(&watch);
    start_run(&watch);
    loop(&watch);
    stop_run(&watch);
    if (watch.terminal)
        tcsetattr(STDIN_FILENO, TCSANOW, &watch.saved);
    if (watch.inotify >= 0)
        close(watch.inotify);
    close(watch.signals);
    return STATUS_PASS;
}
