/*
 * program.h - run the lab's program and speak with it.
 *
 *     struct run r = run("data.txt", "-n");
 *     assert_exit(r, 0);
 *     assert_output(r, "   1: hello\n");
 *
 * A program that has to be spoken with while it runs:
 *
 *     struct program *p = start("--port", "0");
 *     int port = program_port(p);
 *     …
 *     program_signal(p, SIGTERM);
 *     assert_exit(program_wait(p), 0);
 *
 * A program that runs into todo() ends the test as "not done yet", one that
 * crashes as "crashed", with its place in the learner's file. Buffers live
 * until the test ends; programs still running then are killed and the test
 * fails.
 */
#ifndef PROGRAM_H
#define PROGRAM_H

#include "test/test.h"
#include <sys/types.h>

struct run_options {
    const void *input;       /* bytes for standard input; default: none */
    size_t input_len;        /* 0: strlen(input) */
    const char *input_file;  /* or this file is standard input */
    const char *output_file; /* standard output goes there ("/dev/full") */
    bool keep_input_open;    /* start(): program_write() follows */
    bool closed_output;      /* standard output is a pipe nobody reads */
    bool may_crash;          /* a fatal signal does not end the test */
    bool unprivileged;       /* root, too, minds file modes */
    const char *faults;      /* see fault.h: "read:short=1,write:error=EINTR" */
    size_t output_limit;     /* bytes of output before "printed too much";
                                0: 16 MiB */
    const char *const *under; /* NULL-ended: {"strace", "-f", NULL} */
    const char *program;      /* another program than the lab's */
    const char *const *env;   /* NULL-ended "NAME=value"; else it sees PATH */
};

struct run {
    const char *command; /* as one would type it */
    int status;          /* exit status; 128 + signal, as in the shell */
    char *out, *err;     /* a NUL stands behind the last byte */
    size_t out_len, err_len;
    long max_rss_kb; /* most memory it had at once (getrusage(2)) */
};

/* Runs the program to its end. Options with more than one member go into a
 * variable first: their commas would part the macro's arguments. */
#define run(...) run_with((struct run_options){0}, __VA_ARGS__)
#define run_with(options, ...)              \
    program_run(TEST_PLACE("run"), options, \
                (const char *const[]){__VA_ARGS__, NULL})
/* The same without an argument. */
#define run_alone(options) \
    program_run(TEST_PLACE("run"), options, (const char *const[]){NULL})

#define start(...) start_with((struct run_options){0}, __VA_ARGS__)
#define start_with(options, ...)                \
    program_start(TEST_PLACE("start"), options, \
                  (const char *const[]){__VA_ARGS__, NULL})

struct program;

struct run program_run(struct test_place place, struct run_options options,
                       const char *const args[]);
struct program *program_start(struct test_place place,
                              struct run_options options,
                              const char *const args[]);

pid_t program_pid(const struct program *program);
void program_signal(struct program *program, int signal);
/* Writes all bytes to its standard input. */
void program_write(struct program *program, const void *bytes, size_t len);
void program_close_input(struct program *program);
/* The next line of its output, without the newline; NULL at the end. */
char *program_line(struct program *program);
/* Waits for "Listening on HOST:PORT" and returns PORT. */
int program_port(struct program *program);
/* Waits for its end. Reads what it still prints. */
struct run program_wait(struct program *program);

#define assert_exit(r, expected) test_exit(TEST_PLACE(""), r, expected)
/* Text that stands there byte for byte. */
#define assert_output(r, expected) \
    test_output(TEST_PLACE(""), r, expected, strlen(expected))
#define assert_output_bytes(r, expected, len) \
    test_output(TEST_PLACE(""), r, expected, len)
#define assert_error(r, expected) test_error(TEST_PLACE(""), r, expected)
#define assert_output_contains(r, needle) \
    test_run_contains(TEST_PLACE(""), r, false, needle)
#define assert_error_contains(r, needle) \
    test_run_contains(TEST_PLACE(""), r, true, needle)

/* Arguments (NULL: none) with which the program must not begin: it ends with
 * status 2, "usage: NAME " and this text on stderr, nothing on stdout. One that
 * begins in spite of them, as a server may, is not waited for. */
#define assert_usage(synopsis, ...)           \
    test_refusal(TEST_PLACE(""), 2, synopsis, \
                 (const char *const[]){__VA_ARGS__, NULL})
/* What it is asked for cannot be had: status 1, "NAME: " and this text. */
#define assert_no_start(message, ...)        \
    test_refusal(TEST_PLACE(""), 1, message, \
                 (const char *const[]){__VA_ARGS__, NULL})

void test_exit(struct test_place place, struct run r, int expected);
void test_output(struct test_place place, struct run r, const void *expected,
                 size_t len);
void test_error(struct test_place place, struct run r, const char *expected);
void test_run_contains(struct test_place place, struct run r, bool in_error,
                       const char *needle);
void test_refusal(struct test_place place, int status, const char *message,
                  const char *const args[]);

#endif
