/*
 * inside.c - what goes on in a sandbox, in the lab's folder. First the
 * learner's sources are compiled by the course's rules, and the symbols of the
 * objects looked at. Then, in a new sandbox, the judge runs.
 *
 * Descriptor 3 takes what is found out. No compiler and no test gets it, and
 * nobody may trace us: that is all that keeps results honest.
 *
 *     begin                       the sandbox stands
 *     build LENGTH + text         it does not compile
 *     refused LENGTH + text       it compiles, and is not run
 *     test …, canary …, end       the judge's records, see there; without
 *                                 tests: it is built
 */
#include "grade.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    RECORDS = 3,
    COMPILE_MB = 2048,       /* of one process */
    COMPILE_FILE_MB = 96,    /* of one file: objects and programs */
    FILE_MB = 256,           /* later, of one file */
    MOST_PROCESSES = 400,    /* of the user, threads too */
    MOST_SAID = 16 * 1024,   /* bytes of the compiler's words */
    MOST_SAID_EVER = 1 << 22 /* after which it is stopped */
};

/* What our caller bears in silence; compiling gets a part of it. */
static int patience_s;

static void limit(int resource, rlim_t most)
{
    struct rlimit limit;
    if (getrlimit(resource, &limit) == -1)
        return;
    if (limit.rlim_max > most)
        limit.rlim_max = most;
    if (limit.rlim_cur > limit.rlim_max)
        limit.rlim_cur = limit.rlim_max;
    setrlimit(resource, &limit);
}

_Noreturn static void finish(const char *kind, const char *words)
{
    dprintf(RECORDS, "%s %zu\n%s\nend\n", kind, strlen(words), words);
    exit(0);
}

/* Runs a command of the course's; what it said, cut, in *said. Its exit
 * status, or -1 when it took too long. */
static int command(const char *const words[], char **said)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) == -1)
        err(1, "pipe");
    pid_t pid = fork();
    if (pid == -1)
        err(1, "fork");
    if (pid == 0) {
        const rlim_t mb = 1024 * 1024;
        setsid();
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        limit(RLIMIT_CPU, (rlim_t)patience_s / 6 + 1);
        limit(RLIMIT_AS, COMPILE_MB * mb);
        limit(RLIMIT_FSIZE, COMPILE_FILE_MB * mb);
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        syscall(SYS_close_range, RECORDS, ~0U, 0);
        execvp(words[0], (char *const *)words);
        warn("%s", words[0]);
        _exit(127);
    }
    close(ends[1]);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const time_t deadline = now.tv_sec + patience_s / 3 * 2;
    char buffer[4096];
    size_t len = 0, all = 0;
    bool too_long = false;
    *said = keep(calloc(1, MOST_SAID + 1));
    for (;;) {
        struct pollfd output = {.fd = ends[0], .events = POLLIN};
        clock_gettime(CLOCK_MONOTONIC, &now);
        too_long = now.tv_sec >= deadline || all > MOST_SAID_EVER;
        if (too_long)
            break;
        if (poll(&output, 1, 1000) <= 0)
            continue;
        ssize_t got = read(ends[0], buffer, sizeof buffer);
        if (got <= 0)
            break;
        size_t kept =
            MOST_SAID - len < (size_t)got ? MOST_SAID - len : (size_t)got;
        memcpy(*said + len, buffer, kept);
        len += kept;
        all += (size_t)got;
    }
    close(ends[0]);
    kill(-pid, SIGKILL);
    int status;
    while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
        ;
    return too_long ? -1 : WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* The compiler's words without make's own. */
static const char *without_make(char *said)
{
    struct lines lines = text_lines(said);
    char *kept = NULL;
    size_t len;
    FILE *memory = open_memstream(&kept, &len);
    if (!memory)
        errx(1, "out of memory");
    for (size_t i = 0; i < lines.count; i++)
        if (!starts_with(lines.line[i], "make"))
            fprintf(memory, "%s\n", lines.line[i]);
    fclose(memory);
    return keep(kept);
}

static void compile(void)
{
    const char *const words[] = {"make", "-s", "built", "SRC=src", NULL};
    char *said;
    int status = command(words, &said);
    if (status == -1)
        finish("build", text("compiling took too long, or said too much\n%.*s",
                             2000, said));
    if (status != 0) {
        const char *kept = without_make(said);
        finish("build", *kept ? kept : "the compiler was stopped");
    }
}

/* With one of these a program could tell a sanitizer to look away. */
static bool is_reserved(const char *symbol)
{
    static const char *const reserved[] = {
        "__asan_", "__lsan_",      "__ubsan_",      "__tsan_",
        "__msan_", "__sanitizer_", "__interceptor_"};
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (starts_with(symbol, reserved[i]))
            return true;
    return false;
}

/* A line of readelf -sW: number, value, size, type, binding, visibility,
 * section, name. */
static const char *defined_symbol(char *line)
{
    char *field[8], *rest;
    int count = 0;
    for (char *word = strtok_r(line, " ", &rest); word && count < 8;
         word = strtok_r(NULL, " ", &rest))
        field[count++] = word;
    bool defined = count == 8 && strcmp(field[4], "LOCAL") != 0 &&
                   strcmp(field[6], "UND") != 0;
    return defined ? field[7] : NULL;
}

/* The objects of one mode: "asan=build/src/asan/test,…". */
static void check_symbols(const char *build)
{
    const char *test = strchr(build, '=') + 1;
    const char *folder = parent_of(text_copy(test, strcspn(test, ",")));
    const char *const words[] = {"readelf", "-sW", text("%s/joined.o", folder),
                                 NULL};
    int ends[2], status;
    if (pipe2(ends, O_CLOEXEC) == -1)
        err(1, "pipe");
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        syscall(SYS_close_range, RECORDS, ~0U, 0);
        execvp(words[0], (char *const *)words);
        _exit(127);
    }
    close(ends[1]);
    FILE *lines = fdopen(ends[0], "r");
    char *line = NULL;
    size_t size = 0;
    long seen = 0;
    if (!lines)
        err(1, "readelf");
    for (; getline(&line, &size, lines) != -1; seen++) {
        const char *symbol = defined_symbol(trim_end(line));
        if (symbol && is_reserved(symbol))
            finish("refused", text("it defines %.200s, which belongs to the "
                                   "sanitizers",
                                   symbol));
    }
    fclose(lines);
    free(line);
    if (pid == -1 || waitpid(pid, &status, 0) == -1 || status != 0 || !seen)
        finish("build", "its symbols cannot be read");
}

/* The judge's arguments; those with a = in them name a mode's builds. */
static struct lines judged(void)
{
    return file_lines("build/tests/judge");
}

_Noreturn static void build(void)
{
    compile();
    struct lines words = judged();
    for (size_t i = 0; i < words.count; i++)
        if (strchr(words.line[i], '='))
            check_symbols(words.line[i]);
    dprintf(RECORDS, "end\n");
    exit(0);
}

_Noreturn static void become_judge(void)
{
    struct lines arguments = judged();
    const char **words = keep(calloc(arguments.count + 5, sizeof *words));
    size_t count = 0;
    words[count++] = "../../../.build/tools/judge";
    words[count++] = "--records";
    words[count++] = text("%d", RECORDS);
    words[count++] = "--canary";
    for (size_t i = 0; i < arguments.count; i++)
        words[count++] = arguments.line[i];
    execv(words[0], (char *const *)words);
    err(1, "%s", words[0]);
}

void inside_main(int argc, char **argv)
{
    const rlim_t mb = 1024 * 1024;
    prctl(PR_SET_DUMPABLE, 0);
    signal(SIGPIPE, SIG_IGN);
    if (argc < 3 || fcntl(RECORDS, F_GETFD) == -1)
        errx(STATUS_USAGE, "inside: only for grade itself");
    patience_s = atoi(argv[2]);
    unsafe = argc > 3;
    dprintf(RECORDS, "begin\n");
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_FSIZE, FILE_MB * mb);
    if (!unsafe) /* it would count the user's other processes */
        limit(RLIMIT_NPROC, MOST_PROCESSES);
    if (!strcmp(argv[1], "compile"))
        build();
    become_judge();
}
