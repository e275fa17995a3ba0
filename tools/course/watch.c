/*
 * watch.c - `course watch`: the tests of the lab that was saved, at each save,
 * and the rest of the course at a key.
 *
 * What a key asks for is done by another `course VERB`, and the tests by make:
 * whatever happens to them, we go on.
 */
#include "course.h"
#include "process.h"
#include "progress.h"
#include "saves.h"
#include "terminal.h"
#include "verbs.h"
#include "view.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    STOP_MS = 1000,      /* from SIGTERM to SIGKILL */
    LAST_READS = 16,     /* a pipe's 64 KiB, by 4096 */
    SAID_LIMIT = 1 << 20 /* of what make says; more is left out */
};

struct watch {
    const struct lab *labs;
    size_t count, current;
    struct saves saves;
    int signals;
    bool screen; /* standard output is a terminal */
    bool suspended;

    pid_t run;  /* make, or 0 */
    int output; /* of make; -1 without a screen */
    char said[SAID_LIMIT + 1];
    size_t said_len;

    char *note;
    bool note_alone;
    char question; /* the key that is to be confirmed, or 0 */
    size_t hunk;   /* the difference shown last, from 1 */
    bool over;
};

/* This program, whatever stands at its path by now. */
static const char self[] = "/proc/self/exe";

static const char help[] =
    "A save in a lab's src/ runs that lab's tests.\n"
    "\n"
    "r  run the tests again       h  the next hint for the first failure\n"
    "n  the next open lab         l  the list: where you are in the course\n"
    "x  src/ as at the start      c  how the reference differs, one place\n"
    "q  quit                         after the other\n"
    "\n"
    "Enter goes back to the tests.";

static const struct lab *current_lab(const struct watch *watch)
{
    return &watch->labs[watch->current];
}

static const char *question_text(char key)
{
    return key == 'x'   ? "src/ as at the start? Your work is kept for make "
                          "undo."
           : key == 'c' ? "The lab has not passed yet, and this shows its "
                          "solution. Sure?"
                        : NULL;
}

static void draw(struct watch *watch)
{
    struct view view = {.lab = current_lab(watch),
                        .said = watch->said,
                        .running = watch->run != 0,
                        .note = watch->note,
                        .note_alone = watch->note_alone,
                        .question = question_text(watch->question)};
    if (watch->screen && !watch->suspended)
        view_draw(&view);
}

static void set_note(struct watch *watch, const char *note, bool alone)
{
    char *copy = note ? strdup(note) : NULL;
    free(watch->note);
    watch->note = copy;
    watch->note_alone = alone && copy;
}

/* Paths and commands are shown as one would type them where we were called. */
static void set_places(const struct lab *lab)
{
    char *here = getcwd(NULL, 0);
    bool inside = here && !strcmp(here, lab->path);
    setenv("PREFIX", inside ? "" : text("%s/", path_shown(lab->path)), 1);
    setenv("AGAIN", inside ? "" : text("LAB=%s ", lab->name), 1);
    free(here);
}

static void close_output(struct watch *watch)
{
    if (watch->output >= 0)
        close(watch->output);
    watch->output = -1;
}

/* make takes its children with it, and the judge its tests. */
static void stop_run(struct watch *watch)
{
    if (!watch->run)
        return;
    kill(-watch->run, SIGTERM);
    for (int ms = 0; waitpid(watch->run, NULL, WNOHANG) == 0; ms++) {
        if (ms == STOP_MS)
            kill(-watch->run, SIGKILL);
        poll(NULL, 0, 1);
    }
    watch->run = 0;
    close_output(watch);
}

static void start_run(struct watch *watch)
{
    static const char *const command[] = {"make", "-s", "--no-print-directory",
                                          "test", NULL};
    int ends[2] = {-1, -1};
    stop_run(watch);
    set_places(current_lab(watch));
    watch->said[0] = '\0';
    watch->said_len = 0;
    if (watch->screen && pipe2(ends, O_CLOEXEC) < 0)
        err(STATUS_FAIL, "pipe");
    fflush(stdout);
    watch->run = process_start(current_lab(watch)->path, command, ends[1],
                               watch->screen);
    if (watch->run < 0)
        err(STATUS_FAIL, "make");
    watch->output = ends[0];
    if (watch->screen)
        close(ends[1]);
    draw(watch);
}

static bool has_come(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLIN};
    return poll(&look, 1, 0) > 0;
}

/* Returns false when nothing more will come. */
static bool take_output(struct watch *watch)
{
    char bytes[4096];
    ssize_t got = read(watch->output, bytes, sizeof bytes);
    if (got <= 0)
        return got < 0 && errno == EINTR;
    for (ssize_t i = 0; i < got; i++)
        if (bytes[i] && watch->said_len < SAID_LIMIT)
            watch->said[watch->said_len++] = bytes[i];
    watch->said[watch->said_len] = '\0';
    return true;
}

static void end_run(struct watch *watch)
{
    if (!watch->run || waitpid(watch->run, NULL, WNOHANG) == 0)
        return;
    watch->run = 0;
    /* What is still in the pipe are its last words. No more than that: it may
     * have left somebody behind who writes for ever. */
    for (int i = 0; i < LAST_READS && watch->output >= 0; i++)
        if (!has_come(watch->output) || !take_output(watch))
            break;
    close_output(watch);
    if (!watch->screen)
        printf("watching; a save runs the tests\n");
    fflush(stdout);
}

static void go_to(struct watch *watch, size_t lab)
{
    watch->current = lab;
    watch->hunk = 0;
    watch->question = 0;
    set_note(watch, NULL, false);
    start_run(watch);
}

/* Of several labs that were saved at once the one on the screen is tested. */
static void look(struct watch *watch)
{
    size_t saved = watch->count;
    for (size_t i = 0; i < watch->count; i++)
        if (saves_changed(&watch->saves, i) &&
            (saved == watch->count || i == watch->current))
            saved = i;
    if (saved < watch->count)
        go_to(watch, saved);
}

/* What `course VERB …` says. */
static char *said_by(const char *const command[])
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return text("%m");
    pid_t pid = process_start(course_root(), command, ends[1], 1);
    close(ends[1]);
    char *said = pid > 0 ? read_to_end(ends[0], NULL) : NULL;
    close(ends[0]);
    if (pid > 0)
        process_wait(pid);
    return said ? trim_end(said) : text("%s: %m", command[1]);
}

static void show_hint(struct watch *watch)
{
    const char *const command[] = {self, "hint", current_lab(watch)->path,
                                   NULL};
    set_note(watch, said_by(command), false);
}

static void show_list(struct watch *watch)
{
    const char *const command[] = {self, "progress", NULL};
    set_note(watch, said_by(command), true);
}

static void show_difference(struct watch *watch)
{
    const char *number = text("%zu", ++watch->hunk);
    const char *const command[] = {
        self, "compare", current_lab(watch)->path, "--sure", number, NULL};
    set_note(watch,
             text("%s\n\nc: the next difference, Enter: back to the tests",
                  said_by(command)),
             true);
}

static void compare(struct watch *watch)
{
    struct progress progress = progress_read();
    if (watch->hunk == 0 && !progress_passed(&progress, current_lab(watch)))
        watch->question = 'c';
    else
        show_difference(watch);
}

static void next(struct watch *watch)
{
    struct progress progress = progress_read();
    for (size_t i = 1; i < watch->count; i++) {
        size_t lab = (watch->current + i) % watch->count;
        if (!progress_passed(&progress, &watch->labs[lab])) {
            go_to(watch, lab);
            set_note(watch,
                     text("Read:  %s/theory.md\n       %s/README.md",
                          path_shown(watch->labs[lab].topic),
                          path_shown(watch->labs[lab].path)),
                     false);
            return;
        }
    }
    set_note(watch, "No other lab is open.", false);
}

static void reset(struct watch *watch)
{
    const char *const command[] = {self, "reset", current_lab(watch)->path,
                                   NULL};
    const char *said = said_by(command);
    saves_settle(&watch->saves);
    look(watch);
    set_note(watch, said, false);
}

static void press(struct watch *watch, char key)
{
    char question = watch->question;
    watch->question = 0;
    set_note(watch, NULL, false);
    if (question) {
        if (key == 'y' && question == 'x')
            reset(watch);
        else if (key == 'y')
            show_difference(watch);
        return;
    }
    switch (key) {
    case 'r':
        start_run(watch);
        break;
    case 'h':
        show_hint(watch);
        break;
    case 'n':
        next(watch);
        break;
    case 'l':
        show_list(watch);
        break;
    case 'c':
        compare(watch);
        break;
    case 'x':
        watch->question = 'x';
        break;
    case '?':
        set_note(watch, help, true);
        break;
    case 'q':
    case 4: /* Ctrl-D */
        watch->over = true;
        break;
    default:
        break;
    }
}

static bool keys_are_ours(const struct watch *watch)
{
    return !watch->suspended && terminal_take();
}

/* What is typed while the shell has its terminal back is not for us: to read it
 * is an error (EIO), since SIGTTIN is blocked. */
static void take_keys(struct watch *watch)
{
    char keys[64];
    if (!keys_are_ours(watch))
        return;
    ssize_t got = read(STDIN_FILENO, keys, sizeof keys);
    if (got < 0 && (errno == EINTR || errno == EAGAIN || !keys_are_ours(watch)))
        return;
    if (got <= 0)
        watch->over = true; /* the terminal is gone */
    /* Arrows and the like are several bytes, the first of them ESC. */
    for (ssize_t i = 0; i < got && keys[0] != '\033' && !watch->over; i++)
        press(watch, keys[i]);
    if (got > 0 && keys[0] == '\033')
        press(watch, '\n');
}

/* Ctrl-Z: the shell gets its terminal as it was, until it lets us go on. Called
 * by make we are not whom it waits for: it may have seen make stop, and sent
 * SIGCONT to all of us, before we could stop. So then we only keep still. */
static void suspend(struct watch *watch)
{
    terminal_give_back();
    if (watch->screen)
        printf("\n");
    fflush(stdout);
    if (getpid() == getpgrp())
        raise(SIGSTOP);
    else
        watch->suspended = true;
}

static void take_signals(struct watch *watch)
{
    struct signalfd_siginfo info;
    while (read(watch->signals, &info, sizeof info) == sizeof info) {
        switch (info.ssi_signo) {
        case SIGCHLD:
            end_run(watch);
            break;
        case SIGCONT:
            watch->suspended = false;
            terminal_give_back(); /* to take it anew: the shell has set it */
            /* fall through */
        case SIGWINCH:
            if (watch->screen)
                fputs("\033[2J", stdout);
            break;
        case SIGTSTP:
            suspend(watch);
            break;
        default:
            watch->over = true;
        }
    }
}

static void loop(struct watch *watch)
{
    while (!watch->over) {
        void *mark = text_mark();
        bool keys = keys_are_ours(watch);
        struct pollfd fds[] = {
            {.fd = watch->signals, .events = POLLIN},
            {.fd = watch->saves.fd, .events = POLLIN},
            {.fd = keys ? STDIN_FILENO : -1, .events = POLLIN},
            {.fd = watch->output, .events = POLLIN},
        };
        int ready =
            poll(fds, sizeof fds / sizeof *fds, watch->saves.timeout_ms);
        if (ready < 0 && errno != EINTR)
            err(STATUS_FAIL, "poll");
        if (ready > 0 && fds[3].revents && !take_output(watch))
            close_output(watch);
        if (ready > 0 && fds[0].revents)
            take_signals(watch);
        if (ready > 0 && fds[2].revents)
            take_keys(watch);
        if (ready > 0)
            draw(watch);
        if (ready <= 0 || fds[1].revents || watch->saves.fd < 0) {
            saves_settle(&watch->saves);
            look(watch);
        }
        text_release(mark);
    }
}

/* All that ends us, stops us or tells us something comes as something to read:
 * so what we started is ended, and the terminal set right, in one place. */
static int open_signals(void)
{
    static const int numbers[] = {SIGCHLD, SIGINT,   SIGTERM, SIGHUP,
                                  SIGQUIT, SIGWINCH, SIGTSTP, SIGCONT};
    sigset_t read_here, blocked;
    sigemptyset(&read_here);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaddset(&read_here, numbers[i]);
    blocked = read_here;
    sigaddset(&blocked, SIGTTOU); /* when we write or set it from behind */
    sigaddset(&blocked, SIGTTIN); /* or read */
    if (sigprocmask(SIG_BLOCK, &blocked, NULL) < 0)
        return -1;
    return signalfd(-1, &read_here, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* All labs of the course, the first to be shown being the one in this folder,
 * or the next open one. */
static void find_labs(struct watch *watch, const char *folder)
{
    struct course course = course_read();
    struct progress progress = progress_read();
    const struct lab *next = progress_next(&progress, &course);
    struct lab first = folder ? lab_at(folder)
                       : next ? *next
                              : (struct lab){.path = ""};
    struct lab *labs = NULL;
    bool found = !folder;
    for (int c = 0; c < CHAPTER_COUNT; c++)
        for (size_t i = 0; i < course.chapters[c].lab_count; i++) {
            const struct lab *lab = &course.chapters[c].labs[i];
            labs = grow(labs, watch->count, sizeof *labs);
            if (!strcmp(lab->path, first.path)) {
                watch->current = watch->count;
                found = true;
            }
            labs[watch->count++] = *lab;
        }
    if (!found || watch->count == 0)
        errx(STATUS_USAGE, "%s: not a lab of this course",
             folder ? folder : course_root());
    watch->labs = labs;
}

static void watch_saves(struct watch *watch)
{
    const char **folders = NULL;
    for (size_t i = 0; i < watch->count; i++) {
        folders = grow(folders, i, sizeof *folders);
        folders[i] = text("%s/src", watch->labs[i].path);
    }
    saves_open(&watch->saves, folders, watch->count);
}

int watch_verb(int argc, char **argv)
{
    struct watch *watch = keep(calloc(1, sizeof *watch));
    find_labs(watch, argc > 1 ? argv[1] : NULL);
    watch->output = -1;
    watch->screen = isatty(STDOUT_FILENO);
    watch->signals = open_signals();
    if (watch->signals < 0)
        err(STATUS_FAIL, "signalfd");
    watch_saves(watch);
    if (watch->screen) {
        setenv("COURSE_TERMINAL", "1", 1);
        fputs("\033[2J", stdout);
    }
    terminal_take();
    start_run(watch);
    loop(watch);
    stop_run(watch);
    terminal_give_back();
    if (watch->screen)
        printf("\n");
    set_note(watch, NULL, false);
    saves_close(&watch->saves);
    close(watch->signals);
    return STATUS_PASS;
}
