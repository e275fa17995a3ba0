/*
 * fault.h - make system calls and allocations of the learner's code fail.
 *
 *     fault("read:error=EINTR:when=2");    the second read fails
 *     fault("write:short=1");              every write takes at most one byte
 *     fault("malloc:error=ENOMEM:when=3+") from the third on
 *     fault("pthread_cond_wait:retval=0:when=1..2")
 *                                          the first two are not made, and
 *                                          return 0: a wake-up for nothing
 *
 * The words are those of strace's --inject, so the same fault can be tried on
 * any program:  strace -e inject=read:error=EINTR:when=2 ./build/mini_cat …
 *
 * Only calls made by the learner's own files are touched: not the test's, not
 * the C library's (a read inside getline() is the library's). So a correct
 * program may never meet the fault; assert the outcome, not that it was met.
 * Counting starts anew with each fault(); it is safe from all threads.
 */
#ifndef FAULT_H
#define FAULT_H

/* One fault or several, comma-separated. Unknown words abort the test. */
void fault(const char *spec);
/* No more faults. Counting goes on. */
void fault_clear(void);
/* How often the learner's code has called this function since the last
 * fault(), or since the start. */
long fault_calls(const char *function);
/* How many calls were made to fail or come short since the last fault(). */
long fault_hits(void);

#endif
