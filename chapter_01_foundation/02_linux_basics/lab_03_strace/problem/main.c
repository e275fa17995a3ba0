/*
 * Lab 3: a program to look at with strace
 *
 * Goal: copy a file, sleep, and let three threads write; then find each line
 * of your program in the list of system calls that strace(1) prints.
 *
 * Requirements:
 * 1. strace_me INPUT OUTPUT copies INPUT to OUTPUT with read and write.
 * 2. It closes both files, then sleeps 10 ms.
 * 3. It starts three threads. Each writes its line, "thread 1" to "thread 3",
 *    to standard output with one write of its own.
 * 4. Every error ends in "strace_me: NAME: REASON" on stderr and status 1;
 *    wrong usage in status 2. README.md has the details.
 *
 * Hints:
 * - read(2) and write(2) may do less than you ask for. EINTR is no error.
 * - warn(3) prints the program's name, yours, and the reason in errno.
 * - SIGPIPE ends a program without a word unless it is ignored (signal(7)).
 * - printf fills a buffer that all threads share; write(2) does not.
 *
 * Verification:
 *     make test
 *     make run ARGS="test.txt build/copy.txt"
 *     strace -f ./build/strace_me test.txt build/copy.txt
 *
 * Acceptance criteria:
 * [ ] the copy equals the input, byte for byte
 * [ ] every error is reported, and nothing more is done after it
 * [ ] the trace shows read and write on the descriptors that openat returned
 * [ ] the trace shows the sleep after both were closed
 * [ ] the trace shows three threads, with one write each
 * [ ] no descriptor is left open
 */
#include "todo.h"
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER_SIZE = 4096, PAUSE_MS = 10, THREADS = 3 };

/* Returns -1 on failure, having said what went wrong with which file. */
static int copy_file(const char *input, const char *output)
{
    todo("copy_file");
}

static void pause_ms(long ms)
{
    todo("pause_ms");
}

/* Starts THREADS threads, waits for all of them, and returns -1 if one could
 * not be started or could not write its line. */
static int run_threads(void)
{
    todo("run_threads");
}

int main(int argc, char *argv[])
{
    todo("main: check the arguments, ignore SIGPIPE");
    if (copy_file(argv[1], argv[2]) == -1)
        return 1;
    pause_ms(PAUSE_MS);
    return run_threads() == 0 ? 0 : 1;
}
