/*
 * process.h - what the kernel says of a process and its threads (proc(5)).
 *
 *     struct program *p = start("--port", "0");
 *     pid_t pid = program_pid(p);
 *     int before = process_descriptors(pid);
 *     process_stop(pid);
 *     …                            what clients do now it finds all at once
 *     process_continue(pid);
 *     process_expect_idle(pid);
 *     assert_int_equal(process_descriptors(pid), before);
 *
 * A process that is gone has no threads, descriptors or memory. What waits does
 * so as long as the test may last.
 */
#ifndef PROCESS_H
#define PROCESS_H

#include "test/test.h"
#include <sys/types.h>

int process_threads(pid_t pid);
int process_descriptors(pid_t pid);
long process_resident_kb(pid_t pid);
/* All of its threads sleep in the kernel, or are held by a tracer. */
bool process_is_asleep(pid_t pid);

/* Waits until it has been seen asleep ten times in a row, a millisecond apart:
 * it may wake up, but it does not spin. */
#define process_expect_asleep(pid) \
    process_expect_asleep_at(TEST_PLACE("waited until it sleeps"), pid, false)
/* Waits until it has slept for twenty looks without waking up in between. */
#define process_expect_idle(pid)                                               \
    process_expect_asleep_at(TEST_PLACE("waited until it sleeps, and goes on " \
                                        "sleeping"),                           \
                             pid, true)
void process_expect_asleep_at(struct test_place place, pid_t pid, bool soundly);

/* Between these two it does not run (SIGSTOP). */
#define process_stop(pid) \
    process_stop_at(TEST_PLACE("waited until it is stopped"), pid)
void process_stop_at(struct test_place place, pid_t pid);
void process_continue(pid_t pid);

/* Lets it have only this many more descriptors than it has now. */
#define process_limit_descriptors(pid, more) \
    process_limit_descriptors_at(TEST_PLACE("limiting descriptors"), pid, more)
void process_limit_descriptors_at(struct test_place place, pid_t pid, int more);

/* A thread of the test's own process: the letter that ps shows, 'R' runs or
 * could, 'S' sleeps; '?' is gone. */
char thread_state(pid_t tid);
/* Its CPU time; 0 if it is gone. A thread that sleeps uses none at all. */
long long thread_cpu_ns(pid_t tid);

/* From now on the threads of the test's own process share one CPU, and
 * SCHED_BATCH lets nobody jump the queue: who is started or woken waits until
 * the others sleep. Where the kernel refuses, mistakes show less often, and
 * that is all. */
void take_turns(void);

#endif
