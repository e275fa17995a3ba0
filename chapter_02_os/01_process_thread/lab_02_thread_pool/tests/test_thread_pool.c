#include "thread_pool.h"

#include "test/fault.h"
#include "test/process.h"
#include "test/test.h"

#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static void submit(struct thread_pool *pool, void (*run)(void *arg), void *arg)
{
    assert_success(thread_pool_submit(pool, run, arg));
}

static struct thread_pool *new_pool(unsigned num_workers)
{
    struct thread_pool *pool = thread_pool_new(num_workers);
    assert_non_null(pool);
    return pool;
}

/* Not a cancellation point of the test: a signal does not end it. */
static void take_permit(sem_t *permits)
{
    while (sem_wait(permits) == -1)
        assert_int_equal(errno, EINTR);
}

/* A job that stays where it is until it is let through. */

struct gate {
    sem_t permits;
    int tid; /* of the worker */
    atomic_int inside, passed;
};

static void gate_init(struct gate *gate)
{
    *gate = (struct gate){.inside = 0};
    sem_init(&gate->permits, 0, 0);
}

static void go_through(void *arg)
{
    struct gate *gate = arg;
    gate->tid = gettid();
    gate->inside++;
    take_permit(&gate->permits);
    gate->passed++;
}

/* Can be a job, too. */
static void open_gate(void *gate)
{
    sem_post(&((struct gate *)gate)->permits);
}

/* Fills one worker. */
static void occupy(struct thread_pool *pool, struct gate *gate)
{
    gate_init(gate);
    submit(pool, go_through, gate);
    wait_until(gate->inside == 1);
}

/* Jobs that wait for each other, so that they need a worker each. */

enum { MOST_WORKERS = 4 };

struct meeting {
    pthread_barrier_t barrier;
    atomic_int count;
    int tids[MOST_WORKERS]; /* who came */
};

static void come(void *arg)
{
    struct meeting *meeting = arg;
    int number = atomic_fetch_add(&meeting->count, 1);
    assert_at_most(number, MOST_WORKERS - 1);
    meeting->tids[number] = gettid();
    pthread_barrier_wait(&meeting->barrier);
}

static void meeting_init(struct meeting *meeting, unsigned count)
{
    meeting->count = 0;
    pthread_barrier_init(&meeting->barrier, NULL, count);
}

static void submit_meeting(struct thread_pool *pool, struct meeting *meeting,
                           unsigned count)
{
    meeting_init(meeting, count);
    for (unsigned i = 0; i < count; i++)
        submit(pool, come, meeting);
}

static void expect_all_to_come(struct meeting *meeting, int count)
{
    assert_int_equal(meeting->count, count);
    pthread_barrier_destroy(&meeting->barrier);
}

/* What one sees of threads from outside. */

struct sleepers {
    const int *tids;
    int count;
    int looks;        /* how often we want to see them asleep */
    long long cpu_ns; /* at the last look */
    int quiet_looks;  /* one after the other */
};

/* A thread that sleeps uses no CPU time at all; one that wakes up every now
 * and then to look is betrayed by its clock. */
static bool sleep_soundly(struct sleepers *s)
{
    long long cpu_ns = 0;
    bool asleep = true;
    for (int i = 0; i < s->count; i++) {
        char state = thread_state(s->tids[i]);
        if (state == '?')
            fail_msg("a thread has ended that had to sleep");
        asleep = asleep && state == 'S';
        cpu_ns += thread_cpu_ns(s->tids[i]);
    }
    s->quiet_looks = asleep && cpu_ns == s->cpu_ns ? s->quiet_looks + 1 : 0;
    s->cpu_ns = cpu_ns;
    return s->quiet_looks >= s->looks;
}

/* They have nothing to do any more. */
static void expect_to_fall_asleep(const int *tids, int count)
{
    struct sleepers sleepers = {tids, count, .looks = 2};
    wait_until(sleep_soundly(&sleepers));
}

/* All workers have a job at the same time, and then none. Who they are is
 * noted. */
static void meet_and_fall_asleep(struct thread_pool *pool, int *tids, int count)
{
    struct meeting meeting;
    submit_meeting(pool, &meeting, (unsigned)count);
    assert_success(thread_pool_wait(pool));
    expect_all_to_come(&meeting, count);
    memcpy(tids, meeting.tids, (size_t)count * sizeof *tids);
    expect_to_fall_asleep(tids, count);
}

/* And nothing wakes them. */
static void expect_to_sleep(const int *tids, int count)
{
    struct sleepers sleepers = {tids, count, .looks = 10};
    wait_until(sleep_soundly(&sleepers));
}

/* A call that may take long, made by a thread of its own. */

struct call {
    struct thread_pool *pool;
    const struct gate *gate; /* or NULL */
    pthread_t thread;
    atomic_int tid; /* 0 until the thread runs */
    atomic_bool over;
    int returned;
    int passed; /* through the gate, when the call returned */
};

static void *call_wait(void *arg)
{
    struct call *call = arg;
    call->tid = gettid();
    call->returned = thread_pool_wait(call->pool);
    call->passed = call->gate == NULL ? 0 : call->gate->passed;
    call->over = true;
    return NULL;
}

static void *call_free(void *arg)
{
    struct call *call = arg;
    call->tid = gettid();
    thread_pool_free(call->pool);
    call->over = true;
    return NULL;
}

static void begin(struct call *call, void *(*run)(void *))
{
    assert_int_equal(pthread_create(&call->thread, NULL, run, call), 0);
}

static void finish(struct call *call)
{
    wait_until(call->over);
    pthread_join(call->thread, NULL);
    assert_int_equal(call->returned, 0);
}

static void expect_to_wait(struct call *call)
{
    wait_until(call->over ||
               (call->tid != 0 && thread_state(call->tid) == 'S'));
    if (call->over)
        fail_msg("the call returned where it had to wait");
}

/* No atomics: that the caller sees what the jobs wrote is the pool's work. */
static void add_one(void *arg)
{
    int *number = arg;
    *number += 1;
}

struct receipt {
    void *arg;
    int tid;
};

static struct receipt receipt;

static void note_argument(void *arg)
{
    receipt = (struct receipt){arg, gettid()};
}

TEST(test_01_a_worker_calls_the_function_with_its_argument)
{
    int before = count_threads();
    struct thread_pool *pool = new_pool(3);
    assert_int_equal(count_threads(), before + 3);
    assert_int_equal(fault_calls("pthread_create"), 3);
    assert_success(thread_pool_wait(pool));

    int number = 0;
    submit(pool, add_one, &number);
    assert_success(thread_pool_wait(pool));
    assert_int_equal(number, 1);
    assert_success(thread_pool_wait(pool));

    submit(pool, note_argument, &number);
    assert_success(thread_pool_wait(pool));
    assert_ptr_equal(receipt.arg, &number);
    assert_int_not_equal(receipt.tid, gettid());
    submit(pool, note_argument, NULL);
    assert_success(thread_pool_wait(pool));
    assert_null(receipt.arg);

    assert_int_equal(fault_calls("pthread_create"), 3);
    thread_pool_free(pool);
    wait_until(count_threads() == before);
}

/* Jobs that each need a permit, and log their number. */

enum { ROUNDS = 25, MOST_STEPS = 3 * ROUNDS * (ROUNDS + 1) / 2 };

struct step {
    int number;
    struct walk *walk;
};

struct walk {
    sem_t permits, done;
    int count;
    int log[MOST_STEPS];
    struct step steps[MOST_STEPS];
};

static void make_step(void *arg)
{
    struct step *step = arg;
    struct walk *walk = step->walk;
    take_permit(&walk->permits);
    walk->log[walk->count++] = step->number;
    sem_post(&walk->done);
}

static void let_run(struct walk *walk, int count)
{
    for (int i = 0; i < count; i++)
        sem_post(&walk->permits);
    for (int i = 0; i < count; i++)
        take_permit(&walk->done);
}

TEST(test_02_jobs_are_started_in_the_order_of_submission)
{
    static struct walk walk;
    sem_init(&walk.permits, 0, 0);
    sem_init(&walk.done, 0, 0);
    struct thread_pool *pool = new_pool(1);
    int submitted = 0;
    /* The queue gets longer and moves on at the same time. */
    for (int round = 1; round <= ROUNDS; round++) {
        for (int i = 0; i < 3 * round; i++) {
            walk.steps[submitted] = (struct step){submitted, &walk};
            submit(pool, make_step, &walk.steps[submitted]);
            submitted++;
        }
        let_run(&walk, 2 * round);
    }
    let_run(&walk, submitted - walk.count);
    assert_success(thread_pool_wait(pool));
    assert_int_equal(walk.count, submitted);
    for (int i = 0; i < submitted; i++)
        if (walk.log[i] != i)
            fail_msg("job %d was started as number %d", walk.log[i], i);
    thread_pool_free(pool);
}

/* A job that submits others and meets them. */
struct host {
    struct thread_pool *pool;
    struct gate gate;
    struct meeting meeting;
    unsigned guests;
};

static void invite(void *arg)
{
    struct host *host = arg;
    go_through(&host->gate);
    for (unsigned i = 0; i < host->guests; i++)
        submit(host->pool, come, &host->meeting);
    come(&host->meeting);
}

static void occupy_with_host(struct thread_pool *pool, struct host *host,
                             unsigned guests)
{
    host->pool = pool;
    host->guests = guests;
    gate_init(&host->gate);
    meeting_init(&host->meeting, 1 + guests);
    submit(pool, invite, host);
    wait_until(host->gate.inside == 1);
}

/* The other worker sleeps by then: one that has not begun would find the job
 * without being woken. */
static void expect_job_to_be_run_beside_its_submitter(void)
{
    struct thread_pool *pool = new_pool(2);
    int tids[2];
    meet_and_fall_asleep(pool, tids, 2);
    struct host host;
    occupy_with_host(pool, &host, 1);
    int other = tids[tids[0] == host.gate.tid];
    expect_to_fall_asleep(&other, 1);
    open_gate(&host.gate);
    assert_success(thread_pool_wait(pool));
    expect_all_to_come(&host.meeting, 2);
    thread_pool_free(pool);
}

/* Who waits for the end must not be woken in place of a worker. */
static void expect_worker_to_wake_beside_a_waiter(void)
{
    struct thread_pool *pool = new_pool(2);
    struct gate first, second;
    occupy(pool, &first);
    occupy(pool, &second);
    struct call waiter = {.pool = pool, .gate = &second};
    begin(&waiter, call_wait);
    expect_to_wait(&waiter);

    open_gate(&first);
    wait_until(first.passed == 1);
    expect_to_fall_asleep(&first.tid, 1);
    submit(pool, open_gate, &second);
    finish(&waiter);
    assert_int_equal(waiter.passed, 1);
    thread_pool_free(pool);
}

static void expect_four_to_meet(void)
{
    struct thread_pool *pool = new_pool(4);
    int tids[4];
    for (int i = 0; i < 3; i++)
        meet_and_fall_asleep(pool, tids, 4);
    thread_pool_free(pool);
}

TEST(test_03_all_workers_work_at_the_same_time)
{
    expect_four_to_meet();
    expect_job_to_be_run_beside_its_submitter();
    expect_worker_to_wake_beside_a_waiter();
    /* Now all four jobs are there before the first worker wakes. */
    take_turns();
    expect_four_to_meet();
}

struct letter {
    int text;
    atomic_bool written;
};

static void write_letter(void *arg)
{
    struct letter *letter = arg;
    letter->text = 42;
    atomic_store_explicit(&letter->written, true, memory_order_relaxed);
}

/* The job has long been done, and nobody but the pool orders what it wrote
 * before what the caller reads: ThreadSanitizer would tell. */
static void expect_to_see_what_a_job_wrote(void)
{
    struct thread_pool *pool = new_pool(1);
    struct gate gate;
    occupy(pool, &gate);
    int tid = gate.tid;
    open_gate(&gate);
    assert_success(thread_pool_wait(pool));

    struct letter letter = {.text = 0};
    submit(pool, write_letter, &letter);
    wait_until(atomic_load_explicit(&letter.written, memory_order_relaxed));
    expect_to_fall_asleep(&tid, 1);
    assert_success(thread_pool_wait(pool));
    assert_int_equal(letter.text, 42);
    thread_pool_free(pool);
}

TEST(test_04_wait_returns_when_the_last_job_has_returned)
{
    struct thread_pool *pool = new_pool(2);
    struct gate first, second;
    occupy(pool, &first);
    occupy(pool, &second);
    int number = 0;
    submit(pool, add_one, &number);

    struct call waiters[2] = {{.pool = pool, .gate = &second},
                              {.pool = pool, .gate = &second}};
    for (int i = 0; i < 2; i++) {
        begin(&waiters[i], call_wait);
        expect_to_wait(&waiters[i]);
    }
    /* The queue is empty after this, and one job still runs. */
    open_gate(&first);
    wait_until(first.passed == 1);
    expect_to_fall_asleep(&first.tid, 1);
    for (int i = 0; i < 2; i++)
        expect_to_wait(&waiters[i]);
    open_gate(&second);
    for (int i = 0; i < 2; i++) {
        finish(&waiters[i]);
        assert_int_equal(waiters[i].passed, 1);
    }
    assert_int_equal(number, 1);
    thread_pool_free(pool);
    expect_to_see_what_a_job_wrote();
}

struct parent {
    struct thread_pool *pool;
    struct gate gate, child;
};

static void leave_a_child(void *arg)
{
    struct parent *parent = arg;
    go_through(&parent->gate);
    submit(parent->pool, go_through, &parent->child);
}

/* The parent has returned before its child does. */
static void expect_to_wait_for_the_child(void)
{
    struct parent parent = {.pool = new_pool(1)};
    gate_init(&parent.gate);
    gate_init(&parent.child);
    submit(parent.pool, leave_a_child, &parent);
    struct call waiter = {.pool = parent.pool, .gate = &parent.child};
    begin(&waiter, call_wait);
    expect_to_wait(&waiter);
    open_gate(&parent.gate);
    wait_until(parent.child.inside == 1);
    expect_to_wait(&waiter);
    open_gate(&parent.child);
    finish(&waiter);
    assert_int_equal(waiter.passed, 1);
    thread_pool_free(parent.pool);
}

/* Every job submits two more, until the leaves. */

enum { LEVELS = 8, LEAVES = 1 << LEVELS };

/* A heap: below number n are 2n and 2n + 1; the first is number 1. */
struct tree {
    struct thread_pool *pool;
    struct tree *all;
    int number;
    int runs;
};

static void branch(void *arg)
{
    struct tree *tree = arg;
    tree->runs++;
    if (tree->number >= LEAVES)
        return;
    for (int child = 2 * tree->number; child <= 2 * tree->number + 1; child++) {
        tree->all[child] = (struct tree){tree->pool, tree->all, child, 0};
        submit(tree->pool, branch, &tree->all[child]);
    }
}

static void expect_to_wait_for_the_whole_tree(void)
{
    static struct tree trees[2 * LEAVES];
    trees[1] = (struct tree){new_pool(3), trees, 1, 0};
    submit(trees[1].pool, branch, &trees[1]);
    assert_success(thread_pool_wait(trees[1].pool));
    for (int i = 1; i < 2 * LEAVES; i++)
        assert_int_equal(trees[i].runs, 1);
    thread_pool_free(trees[1].pool);
}

static void submit_many(void *arg)
{
    struct parent *parent = arg;
    for (int i = 0; i < 1000; i++)
        submit(parent->pool, open_gate, &parent->gate);
}

TEST(test_05_jobs_that_submit_jobs_are_waited_for_with_them)
{
    expect_to_wait_for_the_child();
    expect_to_wait_for_the_whole_tree();

    /* The only worker cannot wait for room. */
    struct parent parent = {.pool = new_pool(1)};
    gate_init(&parent.gate);
    submit(parent.pool, submit_many, &parent);
    assert_success(thread_pool_wait(parent.pool));
    int value;
    sem_getvalue(&parent.gate.permits, &value);
    assert_int_equal(value, 1000);
    thread_pool_free(parent.pool);
}

TEST(test_06_who_has_nothing_to_do_sleeps)
{
    struct thread_pool *pool = new_pool(4);
    int tids[5];
    meet_and_fall_asleep(pool, tids, 4);

    /* One works, the others have nothing to do, and somebody waits. */
    struct gate gate;
    occupy(pool, &gate);
    struct call waiter = {.pool = pool, .gate = &gate};
    begin(&waiter, call_wait);
    expect_to_wait(&waiter);
    tids[4] = waiter.tid;
    expect_to_sleep(tids, 5);
    open_gate(&gate);
    finish(&waiter);
    thread_pool_free(pool);
}

static atomic_int signals;

static void count_signal(int number)
{
    signals++;
}

/* A pool may keep signals away from its threads (pthread_sigmask(3)). */
static bool blocks_signals(int tid)
{
    FILE *file = fopen(text("/proc/self/task/%d/status", tid), "r");
    assert_non_null(file);
    char line[256];
    unsigned long long blocked = 0;
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "SigBlk: %llx", &blocked) == 1)
            break;
    fclose(file);
    return blocked >> (SIGUSR1 - 1) & 1;
}

/* Returns when the thread has gone through the handler and sleeps again. */
static void interrupt(int tid)
{
    if (blocks_signals(tid))
        return;
    int before = signals;
    assert_success(tgkill(getpid(), tid, SIGUSR1));
    wait_until(signals == before + 1);
    expect_to_fall_asleep(&tid, 1);
}

TEST(test_07_a_wake_up_for_nothing_changes_nothing)
{
    /* Without SA_RESTART. */
    struct sigaction action = {.sa_handler = count_signal};
    assert_success(sigaction(SIGUSR1, &action, NULL));

    fault("pthread_cond_wait:retval=0:when=1..3");
    struct thread_pool *pool = new_pool(1);
    struct gate gate;
    occupy(pool, &gate);
    open_gate(&gate);
    wait_until(gate.passed == 1);
    expect_to_fall_asleep(&gate.tid, 1);
    interrupt(gate.tid);

    occupy(pool, &gate);
    fault("pthread_cond_wait:retval=0:when=1..2");
    struct call waiter = {.pool = pool, .gate = &gate};
    begin(&waiter, call_wait);
    expect_to_wait(&waiter);
    interrupt(waiter.tid);
    expect_to_wait(&waiter);
    open_gate(&gate);
    finish(&waiter);
    assert_int_equal(waiter.passed, 1);
    thread_pool_free(pool);
}

enum { SUBMITTERS = 4, EACH = 300 };

struct submitter {
    pthread_t thread;
    struct thread_pool *pool;
    int runs[EACH]; /* of each of its jobs */
};

static void *submit_each(void *arg)
{
    struct submitter *submitter = arg;
    for (int i = 0; i < EACH; i++)
        submit(submitter->pool, add_one, &submitter->runs[i]);
    assert_success(thread_pool_wait(submitter->pool));
    for (int i = 0; i < EACH; i++)
        if (submitter->runs[i] != 1)
            fail_msg("a job was run %d times", submitter->runs[i]);
    return NULL;
}

TEST(test_08_many_submitters_lose_nothing)
{
    static struct submitter submitters[SUBMITTERS];
    struct thread_pool *pool = new_pool(3);
    for (int i = 0; i < SUBMITTERS; i++) {
        submitters[i].pool = pool;
        assert_success(pthread_create(&submitters[i].thread, NULL, submit_each,
                                      &submitters[i]));
    }
    for (int i = 0; i < SUBMITTERS; i++)
        pthread_join(submitters[i].thread, NULL);
    thread_pool_free(pool);
}

TEST(test_09_after_a_wait_the_pool_is_used_again)
{
    struct thread_pool *pool = new_pool(2);
    for (int i = 0; i < 50; i++) {
        int numbers[3] = {0};
        for (int j = 0; j < 3; j++)
            submit(pool, add_one, &numbers[j]);
        assert_success(thread_pool_wait(pool));
        for (int j = 0; j < 3; j++)
            assert_int_equal(numbers[j], 1);
    }
    /* A job that cannot be done before wait looks. */
    struct gate gate;
    occupy(pool, &gate);
    struct call waiter = {.pool = pool};
    begin(&waiter, call_wait);
    expect_to_wait(&waiter);
    open_gate(&gate);
    finish(&waiter);
    thread_pool_free(pool);
}

static void expect_free_to_run_the_queue(void)
{
    struct thread_pool *pool = new_pool(1);
    struct gate gate;
    occupy(pool, &gate);
    int numbers[10] = {0};
    for (int i = 0; i < 10; i++)
        submit(pool, add_one, &numbers[i]);

    struct call call = {.pool = pool};
    begin(&call, call_free);
    expect_to_wait(&call);
    open_gate(&gate);
    finish(&call);
    for (int i = 0; i < 10; i++)
        assert_int_equal(numbers[i], 1);
}

static void expect_all_to_stay_until_the_last_job_is_done(void)
{
    struct host host;
    struct thread_pool *pool = new_pool(3);
    int tids[3];
    meet_and_fall_asleep(pool, tids, 3);
    occupy_with_host(pool, &host, 2);
    struct call call = {.pool = pool};
    begin(&call, call_free);
    expect_to_wait(&call);
    expect_to_fall_asleep(tids, 3); /* nobody has left */
    open_gate(&host.gate);
    finish(&call);
    expect_all_to_come(&host.meeting, 3);
}

TEST(test_10_free_runs_what_is_queued_and_joins)
{
    int before = count_threads();
    thread_pool_free(NULL);
    expect_free_to_run_the_queue();
    expect_all_to_stay_until_the_last_job_is_done();

    /* Workers that are all asleep. */
    struct thread_pool *pool = new_pool(2);
    int tids[2];
    meet_and_fall_asleep(pool, tids, 2);
    thread_pool_free(pool);

    /* Workers that have hardly begun, or not at all. */
    for (int i = 0; i < 20; i++)
        thread_pool_free(new_pool(1));
    take_turns();
    thread_pool_free(new_pool(2));
    pool = new_pool(2);
    int number = 0;
    submit(pool, add_one, &number);
    thread_pool_free(pool);
    assert_int_equal(number, 1);
    wait_until(count_threads() == before);
}

/* Jobs that wait. */
struct wait {
    struct thread_pool *own, *other;
    int number;
};

static void wait_in_a_job(void *arg)
{
    struct wait *wait = arg;
    assert_fails(thread_pool_wait(wait->own), EDEADLK);
    submit(wait->other, add_one, &wait->number);
    assert_success(thread_pool_wait(wait->other));
    assert_int_equal(wait->number, 1);
    assert_fails(thread_pool_wait(wait->own), EDEADLK);
    submit(wait->own, add_one, &wait->number);
}

TEST(test_11_a_job_can_wait_for_another_pool_but_not_for_its_own)
{
    struct thread_pool *pools[] = {new_pool(2), new_pool(1)};
    struct wait waits[] = {{.own = pools[0], .other = pools[1]},
                           {.own = pools[1], .other = pools[0]}};
    for (int i = 0; i < 2; i++) {
        submit(waits[i].own, wait_in_a_job, &waits[i]);
        assert_success(thread_pool_wait(waits[i].own));
        assert_int_equal(waits[i].number, 2);
    }
    thread_pool_free(pools[0]);
    thread_pool_free(pools[1]);
}

TEST(test_12_no_workers_and_no_function_are_refused)
{
    assert_fails_null(thread_pool_new(0), EINVAL);
    struct thread_pool *pool = new_pool(1);
    int number = 0;
    assert_fails(thread_pool_submit(pool, NULL, &number), EINVAL);
    submit(pool, add_one, &number);
    assert_fails(thread_pool_submit(pool, NULL, NULL), EINVAL);
    assert_success(thread_pool_wait(pool));
    assert_int_equal(number, 1);
    thread_pool_free(pool);
}

/* Creating worker number `failing` of four fails. */
static void expect_no_pool(int failing)
{
    int before = count_threads();
    fault(text("pthread_create:error=EAGAIN:when=%d", failing));
    assert_fails_null(thread_pool_new(4), EAGAIN);
    assert_int_equal(fault_calls("pthread_create"), failing);
    assert_at_most(fault_calls("pthread_join"), failing - 1);
    wait_until(count_threads() == before);
}

TEST(test_13_a_thread_that_cannot_be_created_is_an_error)
{
    for (int failing = 1; failing <= 4; failing++)
        expect_no_pool(failing);
    /* The threads before have not begun when the last one fails. */
    take_turns();
    expect_no_pool(4);
    fault("pthread_create:error=EPERM:when=2");
    assert_fails_null(thread_pool_new(2), EPERM);
}

/* How memory may be asked for. */
static const char *const allocators[] = {
    "malloc",        "calloc",         "realloc", "reallocarray",
    "aligned_alloc", "posix_memalign", "mmap"};
enum { ALLOCATORS = sizeof allocators / sizeof allocators[0] };

/* From call number n of one allocator on, none succeeds. */
static const char *exhausted(const char *allocator, int n)
{
    return text("%s:error=ENOMEM:when=%d+", allocator, n);
}

static void expect_pool_or_no_memory(const char *allocator)
{
    struct thread_pool *pool = NULL;
    for (int n = 1; pool == NULL; n++) {
        fault(exhausted(allocator, n));
        errno = 0;
        pool = thread_pool_new(2);
        if (pool == NULL) {
            assert_int_equal(errno, ENOMEM);
            assert_at_least(fault_hits(), 1);
        }
    }
    fault_clear();
    thread_pool_free(pool);
}

TEST(test_14_without_memory_a_job_is_refused_and_nothing_else_is_lost)
{
    for (int i = 0; i < ALLOCATORS; i++)
        expect_pool_or_no_memory(allocators[i]);

    enum { MANY = 3000 };
    static int runs[MANY];
    static bool accepted[MANY];
    struct thread_pool *pool = new_pool(1);
    struct gate gate;
    occupy(pool, &gate);
    const char *nothing_left = "";
    for (int i = 0; i < ALLOCATORS; i++)
        nothing_left = text("%s%s,", nothing_left, exhausted(allocators[i], 1));
    fault(nothing_left);
    for (int i = 0; i < MANY; i++) {
        errno = 0;
        int returned = thread_pool_submit(pool, add_one, &runs[i]);
        accepted[i] = returned == 0;
        if (!accepted[i])
            test_fails(TEST_PLACE("thread_pool_submit(pool, add_one, &runs)"),
                       returned == -1, returned, errno, ENOMEM);
    }
    fault_clear();
    int number = 0;
    submit(pool, add_one, &number);
    open_gate(&gate);
    assert_success(thread_pool_wait(pool));
    assert_int_equal(number, 1);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(runs[i], accepted[i] ? 1 : 0);
    thread_pool_free(pool);
}
