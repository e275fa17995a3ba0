/*
 * slots.c - many units at a time, each in a process of its own, which takes a
 * slot: a folder and, where we are root, a user.
 */
#include "grade.h"

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Whoever ends all that runs on a machine may tell the sandboxes first and us a
 * moment later. What comes of that is no result. */
enum { MOMENT_MS = 100, MOMENTS_S = 2 };

volatile sig_atomic_t slots_interrupted;

static const int interrupts[] = {SIGINT, SIGTERM, SIGHUP};

static void on_interrupt(int number)
{
    slots_interrupted = number;
}

void slots_catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    sigset_t blocked;
    sigemptyset(&blocked);
    for (int i = 0; i < 3; i++) {
        sigaction(interrupts[i], &action, NULL);
        sigaddset(&blocked, interrupts[i]);
    }
    sigprocmask(SIG_BLOCK, &blocked, NULL);
}

static pid_t start(const struct grading *grading, const struct unit *unit,
                   int slot)
{
    pid_t parent = getpid();
    fflush(NULL);
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(1);
    _exit(unit_grade(grading, unit, slot) ? 0 : 1);
}

static void show(const char *what, size_t done, size_t count)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%s: %zu of %zu%s", what, done, count,
                done == count ? "\n" : "");
}

/* Waits until somebody interrupts us or, with SIGCHLD, a child ends. */
static void wait_for(int child, long ms)
{
    sigset_t awaited;
    struct timespec longest = {ms / 1000, ms % 1000 * 1000000};
    sigemptyset(&awaited);
    if (child)
        sigaddset(&awaited, child);
    for (int i = 0; i < 3; i++)
        sigaddset(&awaited, interrupts[i]);
    int number = sigtimedwait(&awaited, NULL, &longest);
    if (number > 0 && number != child)
        slots_interrupted = number;
}

static time_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec;
}

static void forget_since(const struct grading *grading,
                         const struct unit *units, const time_t *ended,
                         size_t count, time_t since)
{
    for (size_t i = 0; i < count; i++)
        if (ended[i] >= since)
            unit_forget(grading, &units[i]);
}

size_t slots_run(const struct grading *grading, const struct unit *units,
                 size_t count, const char *what)
{
    pid_t slots[MOST_SLOTS] = {0};
    size_t at[MOST_SLOTS], started = 0, done = 0, failed = 0;
    time_t told_at = 0, *ended = keep(calloc(count + 1, sizeof *ended));
    int running = 0;
    sigset_t child, before;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, &before);
    show(what, done, count);
    for (bool told = false; running > 0 || (started < count && !told);) {
        for (int i = 0; i < grading->slots && !told && started < count; i++) {
            if (slots[i] != 0)
                continue;
            slots[i] = start(grading, &units[started], i);
            if (slots[i] == -1)
                err(1, "fork");
            at[i] = started++;
            running++;
        }
        wait_for(SIGCHLD, 1000);
        if (slots_interrupted && !told) {
            told = true;
            told_at = now();
            for (int i = 0; i < grading->slots; i++)
                if (slots[i] != 0)
                    kill(slots[i], SIGTERM);
        }
        int status;
        for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
            for (int i = 0; i < grading->slots; i++) {
                if (slots[i] != pid)
                    continue;
                slots[i] = 0;
                ended[at[i]] = now();
                running--;
                done++;
                failed += status != 0;
            }
            show(what, done, count);
        }
    }
    if (!slots_interrupted && count > 0) {
        wait_for(0, MOMENT_MS);
        told_at = now();
    }
    if (slots_interrupted)
        forget_since(grading, units, ended, started, told_at - MOMENTS_S);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return failed + (count - started);
}
