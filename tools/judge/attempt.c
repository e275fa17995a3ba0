#include "judge.h"
#include "timing.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    LIMIT_MS = 800,            /* unless the test asks for another */
    STARTS_IN_LIMIT = 100,     /* a slow start stretches the limit … */
    MOST_STRETCH = 10,         /* … and a busy machine, but not beyond */
    TICK_MS = 50,              /* how often the limit is looked at */
    STACKS_MS = 300,           /* for a hung test to note its stacks */
    GRACE_MS = 100,            /* for children that are about to end */
    KILL_MS = 2000,            /* for killed ones to be gone */
    OUTPUT_LIMIT = 256 * 1024, /* bytes that a test may print */
    MEMORY_MB = 1024,
    FILE_MB = 512,
    MOST_PROCESSES = 256, /* of one test, before it counts as a fork storm */
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
    interrupted = signal;
}

static double elapsed_ms(uint64_t since_ns)
{
    return (double)(now_ns() - since_ns) / 1e6;
}

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

struct process {
    pid_t pid, parent;
    bool ours;
};

static bool read_parent(const char *name, struct process *process)
{
    char path[300], line[1024];
    snprintf(path, sizeof(path), "/proc/%s/stat", name);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool read = fgets(line, sizeof(line), file) != NULL;
    fclose(file);
    /* The name, in parentheses, may hold anything; the last one ends it. */
    char *behind = read ? strrchr(line, ')') : NULL;
    char state;
    process->pid = atoi(name);
    process->ours = false;
    return behind &&
           sscanf(behind + 1, " %c %d", &state, &process->parent) == 2;
}

static size_t list_processes(struct process **list)
{
    size_t count = 0, size = 0;
    struct dirent *entry;
    DIR *proc = opendir("/proc");
    *list = NULL;
    while (proc && (entry = readdir(proc))) {
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
            continue;
        if (count == size) {
            size = size ? 2 * size : 256;
            struct process *more = realloc(*list, size * sizeof(**list));
            if (!more)
                break;
            *list = more;
        }
        if (read_parent(entry->d_name, &(*list)[count]))
            count++;
    }
    if (proc)
        closedir(proc);
    return count;
}

static bool is_ours(const struct process *list, size_t count, pid_t parent)
{
    if (parent == getpid())
        return true;
    for (size_t i = 0; i < count; i++) {
        if (list[i].pid == parent)
            return list[i].ours;
    }
    return false;
}

/* Calls `each` for every descendant of this process; their number. */
static int for_descendants(void (*each)(pid_t pid, void *argument),
                           void *argument)
{
    struct process *list;
    size_t count = list_processes(&list);
    int found = 0;
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < count; i++) {
            if (list[i].ours || !is_ours(list, count, list[i].parent))
                continue;
            list[i].ours = more = true;
            found++;
            each(list[i].pid, argument);
        }
    }
    free(list);
    return found;
}

static void add_memory(pid_t pid, void *argument)
{
    char path[64];
    long resident = 0, shared = 0;
    snprintf(path, sizeof(path), "/proc/%d/statm", pid);
    FILE *file = fopen(path, "re");
    if (file && fscanf(file, "%*d %ld %ld", &resident, &shared) != 2)
        resident = shared = 0;
    if (file)
        fclose(file);
    *(long *)argument += resident - shared;
}

/* "Shmem:  1234 kB" of /proc/meminfo or "RssShmem:" of a process; 0 when there
 * is no such line. */
static long read_kb(const char *path, const char *name)
{
    char line[256];
    long kb = 0;
    FILE *file = fopen(path, "re");
    while (file && kb == 0 && fgets(line, sizeof(line), file)) {
        if (strncmp(line, name, strlen(name)) == 0)
            kb = atol(line + strlen(name));
    }
    if (file)
        fclose(file);
    return kb;
}

/* Shared memory that a process has mapped, and its files that are in memory
 * and in no folder. */
static void add_shared_memory(pid_t pid, void *argument)
{
    char path[64], target[8];
    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    *(long *)argument += read_kb(path, "RssShmem:");
    snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    DIR *files = opendir(path);
    struct dirent *entry;
    struct stat status;
    while (files && (entry = readdir(files))) {
        ssize_t len =
            readlinkat(dirfd(files), entry->d_name, target, sizeof(target));
        if (len == sizeof(target) && memcmp(target, "/memfd:", 7) == 0 &&
            fstatat(dirfd(files), entry->d_name, &status, 0) == 0)
            *(long *)argument += (long)status.st_blocks / 2;
    }
    if (files)
        closedir(files);
}

static void kill_one(pid_t pid, void *argument)
{
    (void)argument;
    kill(pid, SIGKILL);
}

/* Every thread notes its own stack. */
static void ask_for_stacks(pid_t pid, void *argument)
{
    (void)argument;
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    DIR *threads = opendir(path);
    struct dirent *entry;
    while (threads && (entry = readdir(threads))) {
        if (entry->d_name[0] != '.')
            syscall(SYS_tgkill, pid, atoi(entry->d_name), SIGQUIT);
    }
    if (threads)
        closedir(threads);
}

static void append_name(pid_t pid, void *argument)
{
    struct attempt *attempt = argument;
    char path[64], name[64] = "";
    snprintf(path, sizeof(path), "/proc/%d/comm", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return;
    if (fgets(name, sizeof(name), file))
        name[strcspn(name, "\n")] = '\0';
    fclose(file);
    size_t len = strlen(attempt->left_running);
    if (len < sizeof(attempt->left_running) - sizeof(name) - 2)
        sprintf(attempt->left_running + len, "%s%s", len ? ", " : "", name);
}

/* Buries whoever has ended. False when there is no child left. */
static bool reap(struct attempt *attempt, pid_t test)
{
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid == 0)
            return true;
        if (pid == -1)
            return errno != ECHILD;
        if (pid == test)
            attempt->wait_status = status;
    }
}

static void kill_all(struct attempt *attempt, pid_t test)
{
    uint64_t start = now_ns();
    while (reap(attempt, test) && elapsed_ms(start) < KILL_MS) {
        for_descendants(kill_one, NULL);
        pause_ms(1);
    }
}

static void set_limit(int resource, rlim_t soft)
{
    struct rlimit limit;
    if (getrlimit(resource, &limit) == -1)
        return;
    limit.rlim_cur = soft < limit.rlim_max ? soft : limit.rlim_max;
    setrlimit(resource, &limit);
}

static void set_limits(const char *mode)
{
    const rlim_t mb = 1024 * 1024;
    set_limit(RLIMIT_CORE, 0);
    set_limit(RLIMIT_NOFILE, 1024);
    set_limit(RLIMIT_FSIZE, FILE_MB * mb);
    if (strcmp(mode, "plain") == 0) {
        set_limit(RLIMIT_AS, MEMORY_MB * mb);
        return;
    }
    /* Sanitizers map terabytes of address space, and those of older compilers
     * do not start when the kernel scatters it too widely. */
    personality(ADDR_NO_RANDOMIZE);
}

static void set_environment(const struct attempt *attempt)
{
    char common[5000], value[6000], page[5000];
    snprintf(common, sizeof(common),
             "log_path=%s/sanitizer:exitcode=%d:handle_abort=1:"
             "quarantine_size_mb=4:%s",
             attempt->folder, SANITIZER_STATUS,
             "detect_stack_use_after_return=1:strict_string_checks=1");
    snprintf(value, sizeof(value),
             "%s:allocator_may_return_null=1:"
             "detect_leaks=%s",
             common, getenv("LAB_NO_LSAN") ? "0" : "1");
    setenv("ASAN_OPTIONS", value, 1);
    snprintf(value, sizeof(value),
             "log_path=%s/sanitizer:exitcode=%d:print_stacktrace=1",
             attempt->folder, SANITIZER_STATUS);
    setenv("UBSAN_OPTIONS", value, 1);
    snprintf(value, sizeof(value),
             "log_path=%s/sanitizer:exitcode=%d:halt_on_error=1:"
             "handle_abort=1:report_signal_unsafe=0:"
             "allocator_may_return_null=1:atexit_sleep_ms=0",
             attempt->folder, SANITIZER_STATUS);
    setenv("TSAN_OPTIONS", value, 1);
    unsetenv("LSAN_OPTIONS");
    snprintf(page, sizeof(page), "%s/page", attempt->folder);
    setenv("LAB_PAGE", page, 1);
    unsetenv("MAKEFLAGS");
    unsetenv("MAKELEVEL");
    unsetenv("MFLAGS");
    unsetenv("CMOCKA_TEST_ABORT");
    unsetenv("CMOCKA_XML_FILE");
    setenv("CMOCKA_MESSAGE_OUTPUT", "STDOUT", 1);
}

_Noreturn static void become_test(const struct attempt *attempt,
                                  const char *test, int output)
{
    const struct build *build = attempt->build;
    char work[5000];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setsid();
    snprintf(work, sizeof(work), "%s/work", attempt->folder);
    if (chdir(work) == -1)
        _exit(127);
    set_limits(build->mode);
    set_environment(attempt);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    dup2(null, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    /* What make or an editor left open is not for the test to see. */
    syscall(SYS_close_range, 3, ~0U, 0);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int number = 1; number < 32; number++)
        signal(number, SIG_DFL);
    execl(build->test, build->test, "--run", test, "--lab",
          attempt->lab->folder, build->program ? "--program" : NULL,
          build->program, NULL);
    _exit(127);
}

static int prepare(struct attempt *attempt)
{
    const char *tmp = getenv("TMPDIR");
    char path[5000];
    int length = snprintf(attempt->folder, sizeof(attempt->folder),
                          "%s/lab-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (length >= (int)sizeof(attempt->folder) || !mkdtemp(attempt->folder))
        return -1;
    snprintf(path, sizeof(path), "%s/work", attempt->folder);
    if (mkdir(path, 0755) == -1)
        return -1;
    snprintf(path, sizeof(path), "%s/page", attempt->folder);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd == -1)
        return -1;
    /* Real room: a hole in it would kill us should the test fill the disk. */
    errno = posix_fallocate(fd, 0, sizeof(struct page));
    if (errno != 0)
        return -1;
    attempt->page = mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE,
                         MAP_SHARED, fd, 0);
    close(fd);
    if (attempt->page == MAP_FAILED)
        return -1;
    if (getrandom(&attempt->nonce, sizeof(attempt->nonce), 0) == -1)
        return -1;
    attempt->nonce |= 1; /* never the 0 of an empty page */
    attempt->page->nonce = attempt->nonce;
    attempt->page->canary = attempt->canary;
    attempt->output = malloc(OUTPUT_LIMIT + 1);
    return attempt->output ? 0 : -1;
}

static double busy_factor(void)
{
    cpu_set_t cpus;
    int running = 1;
    FILE *file = fopen("/proc/loadavg", "re");
    if (file && fscanf(file, "%*f %*f %*f %d/", &running) != 1)
        running = 1;
    if (file)
        fclose(file);
    int count = 1;
    if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
        count = CPU_COUNT(&cpus);
    return running > count ? (double)running / count : 1;
}

/* The limit in force now. A machine on which the test was slow to start, or
 * with more to run than cores, gives more time. */
static int limit_now(struct attempt *attempt, uint64_t start)
{
    const struct page *page = attempt->page;
    const char *scale = getenv("LAB_TIME_SCALE");
    double usual = page->limit_ms > 0 ? page->limit_ms : LIMIT_MS;
    double starting = page->begun_ns > start
                          ? (double)(page->begun_ns - start) / 1e6
                          : elapsed_ms(start);
    double limit = usual * busy_factor();
    if (limit < STARTS_IN_LIMIT * starting)
        limit = STARTS_IN_LIMIT * starting;
    if (limit > MOST_STRETCH * usual)
        limit = MOST_STRETCH * usual;
    if (scale && atof(scale) > 0)
        limit *= atof(scale);
    attempt->limit_ms = (int)limit;
    return attempt->limit_ms;
}

/* Takes what the test has printed. False at the end of it. */
static bool drain(struct attempt *attempt, int output)
{
    size_t room = OUTPUT_LIMIT - attempt->output_len;
    if (room == 0) {
        attempt->too_much_output = true;
        return false;
    }
    ssize_t n = read(output, attempt->output + attempt->output_len, room);
    if (n > 0)
        attempt->output_len += (size_t)n;
    return n > 0 || (n == -1 && (errno == EINTR || errno == EAGAIN));
}

static void wait_for_stacks(struct attempt *attempt)
{
    int noted = -1;
    for_descendants(ask_for_stacks, NULL);
    for (int ms = 0; ms < STACKS_MS; ms += 10) {
        int now = attempt->page->stacks_used;
        if (now > 0 && now == noted)
            return;
        noted = now;
        pause_ms(10);
    }
}

/* Limits that the kernel does not watch: RLIMIT_NPROC counts the processes of
 * other programs, too, and sanitizers do not bear RLIMIT_AS. */
static bool is_too_large(struct attempt *attempt)
{
    long pages = 0;
    int processes = for_descendants(add_memory, &pages);
    if (processes > MOST_PROCESSES)
        attempt->too_many_processes = MOST_PROCESSES;
    if (pages > MEMORY_MB * 1024L * 1024 / sysconf(_SC_PAGESIZE))
        attempt->too_much_memory = MEMORY_MB;
    /* Looked for in every process only when the machine has so much more. */
    long shared_kb = 0;
    if (read_kb("/proc/meminfo", "Shmem:") - attempt->shared_kb >
        MEMORY_MB * 1024L)
        for_descendants(add_shared_memory, &shared_kb);
    if (shared_kb > MEMORY_MB * 1024L / 2)
        attempt->too_much_memory = MEMORY_MB;
    return attempt->too_many_processes || attempt->too_much_memory;
}

/* Watches the test until it ends or has to be ended. */
static void watch(struct attempt *attempt, int pidfd, int output)
{
    uint64_t start = now_ns();
    sigset_t none;
    sigemptyset(&none);
    attempt->shared_kb = read_kb("/proc/meminfo", "Shmem:");
    for (;;) {
        struct pollfd fds[] = {{.fd = pidfd, .events = POLLIN},
                               {.fd = output, .events = POLLIN}};
        struct timespec tick = {.tv_nsec = TICK_MS * 1000000};
        ppoll(fds, 2, &tick, &none);
        if (interrupted) {
            attempt->interrupted = true;
            return;
        }
        if (fds[1].revents && !drain(attempt, output)) {
            if (attempt->too_much_output)
                return;
            output = -1;
        }
        if (fds[0].revents)
            return;
        double elapsed = elapsed_ms(start);
        if (elapsed < TICK_MS)
            continue;
        if (is_too_large(attempt))
            return;
        if (elapsed > limit_now(attempt, start)) {
            attempt->timed_out = true;
            wait_for_stacks(attempt);
            return;
        }
    }
}

static void note_left_running(struct attempt *attempt, pid_t test)
{
    bool left = reap(attempt, test);
    for (int ms = 0; left && ms < GRACE_MS; ms++) {
        pause_ms(1);
        left = reap(attempt, test);
    }
    if (left)
        for_descendants(append_name, attempt);
}

static void catch_interrupts(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    sigset_t blocked;
    sigemptyset(&blocked);
    int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    for (int i = 0; i < 3; i++) {
        sigaction(numbers[i], &action, NULL);
        sigaddset(&blocked, numbers[i]);
    }
    /* They arrive in ppoll() only. */
    sigprocmask(SIG_BLOCK, &blocked, NULL);
}

int attempt_run(struct attempt *attempt, const char *test)
{
    int output[2];
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    catch_interrupts();
    if (prepare(attempt) == -1 || pipe2(output, O_CLOEXEC) == -1)
        return -1;
    pid_t pid = fork();
    if (pid == -1)
        return -1;
    if (pid == 0)
        become_test(attempt, test, output[1]);
    close(output[1]);
    fcntl(output[0], F_SETFL, O_NONBLOCK);
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd == -1)
        return -1;
    watch(attempt, pidfd, output[0]);
    bool ended_by_itself = !attempt->timed_out && !attempt->interrupted &&
                           !attempt->too_much_output &&
                           !attempt->too_much_memory &&
                           !attempt->too_many_processes;
    if (ended_by_itself) {
        waitpid(pid, &attempt->wait_status, 0);
        note_left_running(attempt, pid);
    }
    kill_all(attempt, pid);
    while (!attempt->too_much_output && drain(attempt, output[0]) &&
           errno != EAGAIN)
        ;
    attempt->output[attempt->output_len] = '\0';
    close(pidfd);
    close(output[0]);
    return 0;
}

static int remove_one(const char *path, const struct stat *status, int type,
                      struct FTW *where)
{
    (void)status, (void)type, (void)where;
    remove(path);
    return 0;
}

void attempt_release(struct attempt *attempt)
{
    if (attempt->page && attempt->page != MAP_FAILED)
        munmap(attempt->page, sizeof(struct page));
    free(attempt->output);
    if (*attempt->folder)
        nftw(attempt->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
