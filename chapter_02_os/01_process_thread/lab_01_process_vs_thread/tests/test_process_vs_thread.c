#include "process_vs_thread.h"
#include "test/fault.h"
#include "test/program.h"
#include "test/test.h"

#include <inttypes.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* What *sum holds before a call, and after one that failed. */
static const uint64_t UNTOUCHED = 0xdeadbeef;

enum { WORKERS = 4, MOST_CALLS = 32 };

/* One of the two ways to add. */
struct way {
    const char *name;
    int (*add)(uint64_t n, unsigned num_workers,
               uint64_t (*work)(uint64_t first, uint64_t last), uint64_t *sum);
};

static const struct way processes = {"sum_with_processes", sum_with_processes};
static const struct way threads = {"sum_with_threads", sum_with_threads};

static const char *call_text(const struct way *way, uint64_t n,
                             unsigned num_workers, const char *work)
{
    return text("%s(%" PRIu64 ", %u, %s, &sum)", way->name, n, num_workers,
                work);
}

/* Calls it, and says what hangs if it does not return. */
static int add(struct test_place place, const struct way *way, uint64_t n,
               unsigned num_workers,
               uint64_t (*work)(uint64_t first, uint64_t last), uint64_t *sum)
{
    place.what = text("%s to return", place.what);
    test_waiting(place);
    *sum = UNTOUCHED;
    errno = 0;
    int returned = way->add(n, num_workers, work, sum);
    int error = errno;
    test_waiting((struct test_place){0});
    errno = error;
    return returned;
}

static void expect_sum_at(struct test_place place, const struct way *way,
                          uint64_t n, unsigned num_workers,
                          uint64_t (*work)(uint64_t first, uint64_t last),
                          uint64_t expected)
{
    uint64_t sum;
    int returned = add(place, way, n, num_workers, work, &sum);
    test_success(place, returned, errno);
    place.what = text("sum of %s", place.what);
    test_compare(place, test_unsigned(sum), "==", test_unsigned(expected));
}

static void expect_error_at(struct test_place place, const struct way *way,
                            uint64_t n, unsigned num_workers,
                            uint64_t (*work)(uint64_t first, uint64_t last),
                            int expected)
{
    uint64_t sum;
    int returned = add(place, way, n, num_workers, work, &sum);
    test_fails(place, returned == -1, returned, errno, expected);
    place.what = text("sum after %s has failed", place.what);
    test_compare(place, test_unsigned(sum), "==", test_unsigned(UNTOUCHED));
}

#define expect_sum(way, n, num_workers, work, expected)                      \
    expect_sum_at(TEST_PLACE(call_text(way, n, num_workers, #work)), way, n, \
                  num_workers, work, expected)
#define expect_error(way, n, num_workers, work, expected)                      \
    expect_error_at(TEST_PLACE(call_text(way, n, num_workers, #work)), way, n, \
                    num_workers, work, expected)

static void expect_sums(const struct way *way)
{
    expect_sum(way, 1000, 1, sum_range, 500500);
    expect_sum(way, 1000, 2, sum_range, 500500);
    expect_sum(way, 1003, 4, sum_range, 503506);
    expect_sum(way, 12, 7, sum_range, 78);
    expect_sum(way, 3, 8, sum_range, 6);
    expect_sum(way, 1, 1, sum_range, 1);
    expect_sum(way, 0, 3, sum_range, 0);
}

/* What the workers note, in memory that processes share with the test. */
static struct board {
    pthread_barrier_t all_at_work;
    atomic_int ended;
    atomic_int first_pid;
    atomic_int calls; /* with a share that is not empty */
    struct call {
        uint64_t first, last;
        pid_t pid, parent, tid;
    } call[MOST_CALLS];
} * board;

static void make_board(void)
{
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(board, MAP_FAILED);
    pthread_barrierattr_t shared;
    pthread_barrierattr_init(&shared);
    pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&board->all_at_work, &shared, WORKERS);
    pthread_barrierattr_destroy(&shared);
}

static uint64_t note_call(uint64_t first, uint64_t last)
{
    if (last < first)
        return 0;
    int number = atomic_fetch_add(&board->calls, 1);
    if (number < MOST_CALLS)
        board->call[number] =
            (struct call){first, last, getpid(), getppid(), gettid()};
    return sum_range(first, last);
}

/* Each of 1…n was in the share of exactly one worker, and the sizes of the
 * shares differ by at most one. */
static void expect_fair_shares(uint64_t n)
{
    int times_added[100] = {0};
    assert_int_equal(board->calls, WORKERS);
    for (int i = 0; i < WORKERS; i++) {
        const struct call *call = &board->call[i];
        assert_at_least(call->first, 1);
        assert_at_most(call->last, n);
        assert_at_least(call->last - call->first + 1, n / WORKERS);
        assert_at_most(call->last - call->first + 1, n / WORKERS + 1);
        for (uint64_t number = call->first; number <= call->last; number++)
            times_added[number]++;
    }
    for (uint64_t number = 1; number <= n; number++)
        if (times_added[number] != 1)
            fail_msg("the number %" PRIu64 " was added %d times", number,
                     times_added[number]);
}

/* Nobody returns before all of them have been called. */
static uint64_t wait_for_all(uint64_t first, uint64_t last)
{
    pthread_barrier_wait(&board->all_at_work);
    return sum_range(first, last);
}

static void expect_to_work_together(const struct way *way)
{
    make_board();
    expect_sum(way, 1000, WORKERS, wait_for_all, 500500);
}

static uint64_t give_largest(uint64_t first, uint64_t last)
{
    return UINT64_MAX;
}

static void expect_large_results(const struct way *way)
{
    expect_sum(way, 100, 1, give_largest, UINT64_MAX);
    expect_sum(way, 100, 4, give_largest, UINT64_MAX - 3);
}

static uint64_t never_end(uint64_t first, uint64_t last)
{
    while (pause() == -1)
        ;
    return 0;
}

TEST(test_01_processes_come_to_the_right_sum)
{
    expect_sums(&processes);
    expect_large_results(&processes);
}

TEST(test_02_each_worker_is_a_process)
{
    make_board();
    expect_sum(&processes, 14, WORKERS, note_call, 105);
    expect_fair_shares(14);
    for (int i = 0; i < WORKERS; i++) {
        assert_int_not_equal(board->call[i].pid, getpid());
        assert_int_equal(board->call[i].parent, getpid());
        for (int other = 0; other < i; other++)
            assert_int_not_equal(board->call[i].pid, board->call[other].pid);
    }
}

TEST(test_03_processes_work_at_the_same_time)
{
    expect_to_work_together(&processes);
}

static void expect_to_refuse(const struct way *way)
{
    expect_error(way, 10, 0, sum_range, EINVAL);
    expect_error(way, SUM_N_MAX + 1, 0, sum_range, EINVAL);
    expect_error(way, SUM_N_MAX + 1, 2, sum_range, EOVERFLOW);
    expect_error(way, UINT64_MAX, 2, sum_range, EOVERFLOW);
}

TEST(test_04_processes_are_refused_wrong_arguments)
{
    expect_to_refuse(&processes);
    assert_int_equal(fault_calls("fork"), 0);
}

TEST(test_05_a_result_may_come_byte_by_byte)
{
    fault("read:short=1,recv:short=1,write:short=3,send:short=3");
    expect_large_results(&processes);
}

TEST(test_06_interrupted_calls_are_made_again)
{
    fault("read:error=EINTR:when=1..3,recv:error=EINTR:when=1..3,"
          "write:error=EINTR:when=1..2,send:error=EINTR:when=1..2,"
          "waitpid:error=EINTR:when=1..3,wait:error=EINTR:when=1..3,"
          "poll:error=EINTR:when=1..3,select:error=EINTR:when=1..3");
    expect_sum(&processes, 1000, 3, sum_range, 500500);
}

/* Work that goes wrong in one share of 1…1000. */

static uint64_t first_is_killed(uint64_t first, uint64_t last)
{
    if (first == 1)
        raise(SIGKILL);
    return sum_range(first, last);
}

static uint64_t last_is_terminated(uint64_t first, uint64_t last)
{
    if (last == 1000)
        raise(SIGTERM);
    return sum_range(first, last);
}

static uint64_t all_are_killed(uint64_t first, uint64_t last)
{
    raise(SIGKILL);
    return 0;
}

TEST(test_07_a_worker_killed_at_its_work_is_an_error)
{
    expect_error(&processes, 1000, 3, first_is_killed, EIO);
    expect_error(&processes, 1000, 3, last_is_terminated, EIO);
    expect_error(&processes, 1000, 3, all_are_killed, EIO);
    expect_sum(&processes, 1000, 3, sum_range, 500500);
}

/* From now on this process is killed when it calls exit_group, the system call
 * behind _exit(2); seccomp(2) asks this little program about each call. */
static void be_killed_at_exit(void)
{
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog filter = {4, program};
    assert_success(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    assert_success(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter));
}

static uint64_t first_is_killed_after_sending(uint64_t first, uint64_t last)
{
    if (first == 1)
        be_killed_at_exit();
    return sum_range(first, last);
}

static bool has_seccomp(void)
{
    return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != -1;
}

TEST(test_08_a_worker_killed_after_its_work_is_an_error)
{
    if (!has_seccomp())
        test_skip("this kernel has no seccomp(2)");
    expect_error(&processes, 1000, 3, first_is_killed_after_sending, EIO);
}

static uint64_t first_exits_with_0(uint64_t first, uint64_t last)
{
    if (first == 1)
        _exit(0);
    return sum_range(first, last);
}

static uint64_t last_exits_with_3(uint64_t first, uint64_t last)
{
    if (last == 1000)
        _exit(3);
    return sum_range(first, last);
}

TEST(test_09_a_result_that_is_missing_or_torn_is_an_error)
{
    expect_error(&processes, 1000, 3, first_exits_with_0, EIO);
    expect_error(&processes, 1000, 3, last_exits_with_3, EIO);
    /* Half of each result is sent, then sending fails. */
    fault("write:short=4:when=1,write:error=EIO:when=2+,"
          "send:short=4:when=1,send:error=EIO:when=2+");
    expect_error(&processes, 1000, 3, sum_range, EIO);
}

static uint64_t first_is_killed_others_never_end(uint64_t first, uint64_t last)
{
    return first == 1 ? all_are_killed(first, last) : never_end(first, last);
}

static uint64_t first_is_killed_after_sending_others_never_end(uint64_t first,
                                                               uint64_t last)
{
    return first == 1 ? first_is_killed_after_sending(first, last)
                      : never_end(first, last);
}

TEST(test_10_the_end_of_a_worker_shows_while_others_work)
{
    expect_error(&processes, 1000, 3, first_is_killed_others_never_end, EIO);
    if (has_seccomp())
        expect_error(&processes, 1000, 3,
                     first_is_killed_after_sending_others_never_end, EIO);
}

static uint64_t count_open(uint64_t first, uint64_t last)
{
    return (uint64_t)count_descriptors();
}

TEST(test_11_a_worker_has_no_descriptor_of_the_others)
{
    uint64_t most = (uint64_t)count_descriptors() + 1, sum;
    for (unsigned workers = 1; workers <= WORKERS; workers++) {
        assert_success(sum_with_processes(1000, workers, count_open, &sum));
        assert_at_most(sum, workers * most);
    }
}

TEST(test_12_a_process_that_cannot_be_made_is_an_error)
{
    for (int k = 1; k <= WORKERS; k++) {
        fault(text("fork:error=EAGAIN:when=%d,"
                   "waitpid:error=EINTR:when=1..2,wait:error=EINTR:when=1..2",
                   k));
        expect_error(&processes, 1000, WORKERS, never_end, EAGAIN);
        assert_int_equal(fault_calls("fork"), k);
    }
    fault_clear();
    expect_sum(&processes, 1000, WORKERS, sum_range, 500500);
}

/* A call that may run out of something: then it fails with this error.
 * Otherwise the sum is right. */
static int expect_sum_or_error(const struct way *way, int expected)
{
    struct test_place place =
        TEST_PLACE(call_text(way, 1000, WORKERS, "sum_range"));
    uint64_t sum;
    int returned = add(place, way, 1000, WORKERS, sum_range, &sum);
    if (returned != 0)
        test_fails(place, returned == -1, returned, errno, expected);
    assert_int_equal(sum, returned == 0 ? 500500 : UNTOUCHED);
    return returned;
}

TEST(test_13_a_process_without_descriptors_is_an_error)
{
    enum { MOST_NEEDED = 8 * WORKERS };
    int before = count_descriptors(), lowest = dup(STDIN_FILENO);
    struct rlimit usual, limit;
    close(lowest);
    getrlimit(RLIMIT_NOFILE, &usual);
    int returned = -1;
    for (int spare = 0; spare < MOST_NEEDED && returned == -1; spare++) {
        limit = usual;
        limit.rlim_cur = (rlim_t)lowest + (rlim_t)spare;
        setrlimit(RLIMIT_NOFILE, &limit);
        returned = expect_sum_or_error(&processes, EMFILE);
        setrlimit(RLIMIT_NOFILE, &usual);
        assert_int_equal(count_descriptors(), before);
    }
    assert_int_equal(returned, 0);
}

/* The n-th allocation of the learner's code fails, for every n. */
static void expect_to_fail_without_memory(const struct way *way)
{
    static const char *const allocators[] = {"malloc", "calloc"};
    for (int i = 0; i < 2; i++) {
        for (int n = 1, hits = 1; hits > 0; n++) {
            fault(text("%s:error=ENOMEM:when=%d", allocators[i], n));
            int returned = expect_sum_or_error(way, ENOMEM);
            hits = (int)fault_hits();
            assert_true(returned == 0 || hits > 0);
        }
    }
}

TEST(test_14_processes_without_memory_are_an_error)
{
    expect_to_fail_without_memory(&processes);
}

static pid_t test_pid;

static void leave_a_mark(void)
{
    if (getpid() != test_pid)
        write_text("mark", "atexit");
}

TEST(test_15_a_worker_leaves_buffers_and_exit_handlers_alone)
{
    test_pid = getpid();
    assert_success(atexit(leave_a_mark));
    FILE *file = fopen("buffered", "w");
    assert_non_null(file);
    fputs("written once\n", file);
    expect_sum(&processes, 1000, WORKERS, sum_range, 500500);
    assert_success(fclose(file));
    assert_string_equal(read_bytes("buffered", NULL), "written once\n");
    if (access("mark", F_OK) == 0)
        fail_msg("a worker ran the caller's atexit(3) handler");
}

/* The second worker is killed when the first has been waited for. */
static uint64_t second_is_killed_when_first_is_gone(uint64_t first,
                                                    uint64_t last)
{
    if (first == 1)
        board->first_pid = getpid();
    if (first == 1 || last == 1000)
        return sum_range(first, last);
    while (board->first_pid == 0 || kill(board->first_pid, 0) == 0)
        test_pause();
    return all_are_killed(first, last);
}

TEST(test_16_other_children_are_left_alone)
{
    pid_t child = fork();
    assert_int_not_equal(child, -1);
    if (child == 0)
        _exit(7);
    /* It is a zombie from here on. */
    siginfo_t info;
    assert_success(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT));
    expect_sum(&processes, 1000, WORKERS, sum_range, 500500);
    expect_error(&processes, 1000, WORKERS, all_are_killed, EIO);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 7);

    /* Nor is there a signal to a worker that has been waited for: the pid may
     * be somebody else's by now. */
    make_board();
    long before = fault_calls("kill");
    expect_error(&processes, 1000, 3, second_is_killed_when_first_is_gone, EIO);
    assert_at_most(fault_calls("kill") - before, 2);
}

TEST(test_17_threads_come_to_the_right_sum)
{
    expect_sums(&threads);
    expect_large_results(&threads);
}

TEST(test_18_each_worker_is_a_thread)
{
    make_board();
    expect_sum(&threads, 14, WORKERS, note_call, 105);
    expect_fair_shares(14);
    for (int i = 0; i < WORKERS; i++) {
        assert_int_equal(board->call[i].pid, getpid());
        assert_int_not_equal(board->call[i].tid, gettid());
        for (int other = 0; other < i; other++)
            assert_int_not_equal(board->call[i].tid, board->call[other].tid);
    }
}

TEST(test_19_threads_work_at_the_same_time)
{
    expect_to_work_together(&threads);
}

TEST(test_20_threads_are_refused_wrong_arguments)
{
    expect_to_refuse(&threads);
    assert_int_equal(fault_calls("pthread_create"), 0);
}

/* Work that goes on until the caller waits for it. */
static uint64_t until_joined(uint64_t first, uint64_t last)
{
    while (fault_calls("pthread_join") == 0)
        test_pause();
    board->ended++;
    return sum_range(first, last);
}

TEST(test_21_a_thread_that_cannot_be_created_is_an_error)
{
    make_board();
    for (int k = 1; k <= WORKERS; k++) {
        fault(text("pthread_create:error=EAGAIN:when=%d", k));
        board->ended = 0;
        expect_error(&threads, 1000, WORKERS, until_joined, EAGAIN);
        /* Those that were created have finished their share. */
        assert_int_equal(board->ended, k - 1);
        assert_int_equal(fault_calls("pthread_create"), k);
    }
}

TEST(test_22_threads_without_memory_are_an_error)
{
    expect_to_fail_without_memory(&threads);
}

/* A row such as "threads  500500  0.10  0.20  3  1  12". */
static void expect_row(struct run r, const char *name, uint64_t expected)
{
    const char *row = r.out;
    while (row != NULL && strncmp(row, name, strlen(name)) != 0) {
        row = strchr(row, '\n');
        row = row == NULL ? NULL : row + 1;
    }
    if (row == NULL)
        fail_msg("no row begins with \"%s\":\n%s", name, r.out);
    uint64_t sum;
    double wall_ms, cpu_ms;
    long voluntary, involuntary;
    char kib[16];
    if (sscanf(row + strlen(name), " %" SCNu64 " %lf %lf %ld %ld %15s", &sum,
               &wall_ms, &cpu_ms, &voluntary, &involuntary, kib) != 6)
        fail_msg("not a sum, two times, two counts and KiB:\n%s", row);
    assert_int_equal(sum, expected);
}

static int count_lines(const char *text)
{
    int count = 0;
    for (; *text != '\0'; text++)
        count += *text == '\n';
    return count;
}

TEST(test_23_the_program_compares_processes_and_threads)
{
    struct run r = run("100003", "3");
    assert_exit(r, 0);
    assert_error(r, "");
    expect_row(r, "alone", 5000350006);
    expect_row(r, "processes", 5000350006);
    expect_row(r, "threads", 5000350006);
    assert_int_equal(count_lines(r.out), 4);
}
