#include "test/process.h"
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { LOOKS_ASLEEP = 10, LOOKS_IDLE = 20, MOST_DESCRIPTORS = 1024 };

/* Calls visit, if there is one, for each number in a folder of the process;
 * returns how many there are. */
static int for_numbers(pid_t pid, const char *folder,
                       void (*visit)(pid_t pid, int number, void *argument),
                       void *argument)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, folder);
    int count = 0;
    DIR *directory = opendir(path);
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        if (entry->d_name[0] == '.')
            continue;
        count++;
        if (visit)
            visit(pid, atoi(entry->d_name), argument);
    }
    if (directory)
        closedir(directory);
    return count;
}

/* What status says of a thread, which may be gone at any time. */
struct status {
    char state; /* '?': gone */
    long resident_kb, switches;
};

static long number_after(const char *text, const char *label)
{
    const char *at = strstr(text, label);
    return at ? strtol(at + strlen(label), NULL, 10) : 0;
}

static struct status status_of(pid_t pid, pid_t tid)
{
    char path[64], text[4096];
    snprintf(path, sizeof(path), "/proc/%d/task/%d/status", (int)pid, (int)tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd == -1 ? 0 : read(fd, text, sizeof(text) - 1);
    text[len > 0 ? len : 0] = '\0';
    if (fd != -1)
        close(fd);
    char state = '?';
    if (strstr(text, "\nState:\t"))
        state = strstr(text, "\nState:\t")[8];
    return (struct status){
        .state = state,
        .resident_kb = number_after(text, "\nVmRSS:"),
        .switches = number_after(text, "\nvoluntary_ctxt_switches:") +
                    number_after(text, "\nnonvoluntary_ctxt_switches:"),
    };
}

int process_threads(pid_t pid)
{
    return for_numbers(pid, "task", NULL, NULL);
}

int process_descriptors(pid_t pid)
{
    return for_numbers(pid, "fd", NULL, NULL);
}

long process_resident_kb(pid_t pid)
{
    return status_of(pid, pid).resident_kb;
}

struct look {
    int asleep, stopped;
    long switches;
};

static void look_at_thread(pid_t pid, int tid, void *argument)
{
    struct look *look = argument;
    struct status status = status_of(pid, tid);
    /* 't': it has a tracer that stopped it. */
    look->asleep += status.state == 'S' || status.state == 't';
    look->stopped += status.state == 'T' || status.state == 't';
    look->switches += status.switches;
}

static bool sleeps(pid_t pid, long *switches)
{
    struct look look = {0};
    int threads = for_numbers(pid, "task", look_at_thread, &look);
    *switches = look.switches;
    return threads > 0 && look.asleep == threads;
}

bool process_is_asleep(pid_t pid)
{
    long switches;
    return sleeps(pid, &switches);
}

void process_expect_asleep_at(struct test_place place, pid_t pid, bool soundly)
{
    int wanted = soundly ? LOOKS_IDLE : LOOKS_ASLEEP;
    long before = -1, now;
    test_waiting(place);
    for (int looks = 0; looks < wanted; test_pause()) {
        bool asleep = sleeps(pid, &now) && (!soundly || now == before);
        looks = asleep ? looks + 1 : 0;
        before = now;
    }
    test_waiting((struct test_place){0});
}

static bool is_stopped(pid_t pid)
{
    struct look look = {0};
    int threads = for_numbers(pid, "task", look_at_thread, &look);
    return threads > 0 && look.stopped == threads;
}

void process_stop_at(struct test_place place, pid_t pid)
{
    test_waiting(place);
    kill(pid, SIGSTOP);
    while (!is_stopped(pid))
        test_pause();
    test_waiting((struct test_place){0});
}

void process_continue(pid_t pid)
{
    kill(pid, SIGCONT);
}

static void note_number(pid_t pid, int number, void *used)
{
    if (number < MOST_DESCRIPTORS)
        ((bool *)used)[number] = true;
}

/* Those that it has stay below the limit where they can: poll(2) asks for
 * that. */
void process_limit_descriptors_at(struct test_place place, pid_t pid, int more)
{
    bool used[MOST_DESCRIPTORS + 1] = {false};
    struct rlimit limit;
    for_numbers(pid, "fd", note_number, used);
    if (prlimit(pid, RLIMIT_NOFILE, NULL, &limit) == -1)
        test_fail(place, "prlimit: %s", strerror(errno));
    limit.rlim_cur = 0;
    while (limit.rlim_cur < MOST_DESCRIPTORS &&
           (more > 0 || used[limit.rlim_cur]))
        more -= !used[limit.rlim_cur++];
    if (prlimit(pid, RLIMIT_NOFILE, &limit, NULL) == -1)
        test_fail(place, "prlimit: %s", strerror(errno));
}

char thread_state(pid_t tid)
{
    return status_of(getpid(), tid).state;
}

/* By the clock that pthread_getcpuclockid(3) makes for a pthread_t. */
long long thread_cpu_ns(pid_t tid)
{
    enum { CPU_CLOCK_OF_THREAD = 6 };
    struct timespec t;
    clockid_t clock = (clockid_t)(~(unsigned)tid << 3 | CPU_CLOCK_OF_THREAD);
    if (clock_gettime(clock, &t) == -1)
        return 0;
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

void take_turns(void)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    (void)sched_setaffinity(0, sizeof(one), &one);
    (void)sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0});
}
