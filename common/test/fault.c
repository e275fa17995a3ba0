/*
 * fault.c - stands between the learner's objects and the C library; see
 * faults.def. Linked into tests and, under test, into the lab's program.
 */
#include "test/fault.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Functions with a variable argument list are written out below. */
#define WRITTEN_OUT(X) X(open) X(openat) X(kill)

enum function {
#define NUMBER(name) FAULT_##name,
#define CALL(type, name, ...) FAULT_##name,
#define SIZED CALL
#define THREAD(name, ...) FAULT_##name,
#include "test/faults.def"
    WRITTEN_OUT(NUMBER) FUNCTIONS,
#undef NUMBER
#undef CALL
#undef SIZED
#undef THREAD
};

static const char *const names[FUNCTIONS] = {
#define NAME(name) #name,
#define CALL(type, name, ...) #name,
#define SIZED CALL
#define THREAD(name, ...) #name,
#include "test/faults.def"
    WRITTEN_OUT(NAME)
#undef NAME
#undef CALL
#undef SIZED
#undef THREAD
};

/* What happens to calls number first to last of one function. */
struct rule {
    enum function function;
    int error;      /* errno, or 0 */
    size_t at_most; /* bytes, or 0 */
    bool instead;   /* the call is not made and gives this: */
    long value;
    long first, last;
};

enum { MOST_RULES = 64 };

static struct rule rules[MOST_RULES];
static int rule_count;
static atomic_long calls[FUNCTIONS];
static atomic_long hits;

static const struct {
    const char *name;
    int number;
} errors[] = {
#define E(name)     \
    {               \
#name, name \
    }
    E(EACCES),     E(EADDRINUSE), E(EAGAIN), E(EBADF),        E(ECONNABORTED),
    E(ECONNRESET), E(EEXIST),     E(EFAULT), E(EFBIG),        E(EINTR),
    E(EINVAL),     E(EIO),        E(EISDIR), E(EMFILE),       E(ENFILE),
    E(ENOBUFS),    E(ENODEV),     E(ENOENT), E(ENOMEM),       E(ENOSPC),
    E(ENOTDIR),    E(EPERM),      E(EPIPE),  E(EPROTO),       E(ESRCH),
    E(ETIMEDOUT),  E(ECHILD),     E(EDQUOT), E(ELOOP),        E(ENOTCONN),
    E(ENOTSUP),    E(EROFS),      E(EXDEV),  E(ECONNREFUSED),
#undef E
};

_Noreturn static void malformed(const char *spec)
{
    fprintf(stderr, "fault: cannot read \"%s\"\n", spec);
    abort();
}

static enum function find_function(const char *name, size_t len)
{
    for (int i = 0; i < FUNCTIONS; i++) {
        if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
            return i;
    }
    malformed(name);
}

static int find_error(const char *word)
{
    for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
        size_t len = strlen(errors[i].name);
        if (strncmp(word, errors[i].name, len) == 0 &&
            strchr(":,", word[len]) != NULL)
            return errors[i].number;
    }
    malformed(word);
}

/* "3", "3+" or "3..5" */
static void read_when(const char *word, struct rule *rule)
{
    char *end;
    rule->first = rule->last = strtol(word, &end, 10);
    if (*end == '+')
        rule->last = LONG_MAX;
    else if (strncmp(end, "..", 2) == 0)
        rule->last = strtol(end + 2, NULL, 10);
    if (rule->first < 1 || rule->last < rule->first)
        malformed(word);
}

static const char *next_word(const char *at)
{
    return at + strcspn(at, ":,");
}

/* Reads "read:error=EINTR:when=2" and returns what stands behind it. */
static const char *read_rule(const char *spec)
{
    const char *at = next_word(spec);
    struct rule rule = {.first = 1, .last = LONG_MAX};
    rule.function = find_function(spec, (size_t)(at - spec));
    while (*at == ':') {
        at++;
        if (strncmp(at, "error=", 6) == 0)
            rule.error = find_error(at + 6);
        else if (strncmp(at, "short=", 6) == 0)
            rule.at_most = strtoul(at + 6, NULL, 10);
        else if (strncmp(at, "retval=", 7) == 0) {
            rule.instead = true;
            rule.value = strtol(at + 7, NULL, 10);
        } else if (strncmp(at, "when=", 5) == 0)
            read_when(at + 5, &rule);
        else
            malformed(at);
        at = next_word(at);
    }
    if ((!rule.error && !rule.at_most && !rule.instead) ||
        rule_count == MOST_RULES)
        malformed(spec);
    rules[rule_count++] = rule;
    return at;
}

void fault(const char *spec)
{
    fault_clear();
    for (int i = 0; i < FUNCTIONS; i++)
        calls[i] = 0;
    hits = 0;
    for (const char *at = spec; *at; at += *at == ',')
        at = read_rule(at);
}

__attribute__((no_sanitize("thread"))) void fault_clear(void)
{
    rule_count = 0;
}

long fault_calls(const char *function)
{
    return calls[find_function(function, strlen(function))];
}

long fault_hits(void)
{
    return hits;
}

/* The lab's program gets its faults from the environment. */
__attribute__((constructor)) static void begin(void)
{
    const char *spec = getenv("LAB_FAULTS");
    if (!spec)
        return;
    fault(spec);
    unsetenv("LAB_FAULTS");
}

/* What becomes of a call. */
struct fate {
    int error;    /* it fails with this, or 0 */
    bool instead; /* it is not made, and gives value */
    long value;
};

/* Counts the call. *len may shrink. Not for TSan: a test may change the rules
 * while a learner's thread still runs. */
__attribute__((no_sanitize("thread"))) static struct fate meddle(
    enum function function, size_t *len)
{
    long call = 1 + atomic_fetch_add(&calls[function], 1);
    struct fate fate = {0};
    for (const struct rule *r = rules; r < rules + rule_count; r++) {
        if (r->function != function || call < r->first || call > r->last)
            continue;
        if (r->at_most && len && *len > r->at_most) {
            *len = r->at_most;
            hits++;
        }
        if (r->error || r->instead) {
            fate = (struct fate){r->error, r->instead, r->value};
            hits++;
        }
    }
    return fate;
}

#define MEDDLED(type, name, parameters, arguments, failure, length) \
    type fault_##name parameters;                                   \
    type fault_##name parameters                                    \
    {                                                               \
        struct fate fate = meddle(FAULT_##name, length);            \
        if (fate.instead)                                           \
            return (type)fate.value;                                \
        if (!fate.error)                                            \
            return name arguments;                                  \
        return failure;                                             \
    }
#define CALL(type, name, parameters, arguments, failure)                      \
    MEDDLED(type, name, parameters, arguments, (errno = fate.error, failure), \
            NULL)
#define SIZED(type, name, parameters, arguments, failure)                     \
    MEDDLED(type, name, parameters, arguments, (errno = fate.error, failure), \
            &len)
/* These leave errno alone. */
#define THREAD(name, parameters, arguments) \
    MEDDLED(int, name, parameters, arguments, fate.error, NULL)
#include "test/faults.def"

int fault_open(const char *path, int flags, ...);
int fault_openat(int directory, const char *path, int flags, ...);
int fault_kill(pid_t pid, int signal);

int fault_open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    struct fate fate = meddle(FAULT_open, NULL);
    if (!fate.error)
        return open(path, flags, mode);
    errno = fate.error;
    return -1;
}

int fault_openat(int directory, const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    struct fate fate = meddle(FAULT_openat, NULL);
    if (!fate.error)
        return openat(directory, path, flags, mode);
    errno = fate.error;
    return -1;
}

/* A fork() that failed and was not looked at makes kill(-1): a signal to every
 * process of this user. That one is never passed on. */
int fault_kill(pid_t pid, int signal)
{
    struct fate fate = meddle(FAULT_kill, NULL);
    if (pid == -1) {
        fprintf(stderr, "kill(-1, %d) would end every process you own\n",
                signal);
        abort();
    }
    if (!fate.error)
        return kill(pid, signal);
    errno = fate.error;
    return -1;
}

/* Functions that would make a lab pointless: LAB_FORBID in its Makefile. */
#define FORBID(name)                                               \
    void forbidden_##name(void);                                   \
    void forbidden_##name(void)                                    \
    {                                                              \
        fprintf(stderr, "this lab is done without %s()\n", #name); \
        abort();                                                   \
    }
FORBID(system)
FORBID(popen)
FORBID(execl)
FORBID(execlp)
FORBID(execle)
FORBID(execv)
FORBID(execve)
FORBID(execvp)
FORBID(execvpe)
FORBID(fexecve)
FORBID(posix_spawn)
FORBID(posix_spawnp)

/* In a test of functions these end the learner's code, not the test. */
void ended_by(const char *function, int status) __attribute__((weak));

_Noreturn void fault__exit(int status);
void fault__exit(int status)
{
    if (ended_by)
        ended_by("_exit", status);
    _exit(status);
}

_Noreturn void fault__Exit(int status);
void fault__Exit(int status)
{
    fault__exit(status);
}
