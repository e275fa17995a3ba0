/*
 * judge.h - the parts of the judge.
 *
 * judge.c      the command: which tests, in how many workers, and the printing
 * attempt.c    one test in one build: start it, watch it, clean up after it
 * verdict.c    what an attempt means, in words
 * sanitizer.c  the reports of ASan, UBSan, LSan and TSan, shortened
 * symbols.c    addresses to file:line, by addr2line(1)
 * links.c      file:line as a link, where the terminal knows links
 *
 * None of them holds a learner's code, and nothing that a test prints is taken
 * for a verdict: see common/test/page.h.
 */
#ifndef JUDGE_H
#define JUDGE_H

#include "test/page.h"
#include <stddef.h>
#include <stdio.h>

enum verdict {
    OK,
    FAILED,
    TODO,
    CRASHED,
    TIMED_OUT,
    LEAKED,
    RACED,
    UNDEFINED,
    LEFT_RUNNING,
    LEFT_DESCRIPTORS,
    TOO_MUCH_OUTPUT,
    SKIPPED,
    FAULT,
    VERDICTS,
};

/* One word each, for files that programs read. */
extern const char *const verdict_words[VERDICTS];

struct build {
    const char *mode;    /* "plain", "asan" or "tsan" */
    const char *test;    /* the test binary, absolute */
    const char *program; /* the lab's program, absolute; NULL if none */
};

struct lab {
    const char *name;
    const char *folder; /* absolute */
    const char *prefix; /* put before paths that are shown: "" or "a/b/" */
};

/* What was seen of one test in one build. */
struct attempt {
    const struct lab *lab;
    const struct build *build;
    struct page *page;
    uint64_t nonce;
    bool canary;       /* the test has to fail, whatever it is */
    char folder[4096]; /* page, sanitizer reports, and work/ */
    int wait_status;
    bool timed_out, interrupted, too_much_output;
    long shared_kb;         /* of the whole machine, at the start */
    int too_much_memory;    /* MiB that it may have, if it had more */
    int too_many_processes; /* and of processes */
    int limit_ms;
    char left_running[256]; /* names of processes, "" if none */
    char *output;           /* what the test printed, NUL-ended */
    size_t output_len;
};

/* Runs a test to its end and leaves no process behind. The caller frees with
 * attempt_release(), which removes the folder. -1 and errno if it could not
 * even be started. */
int attempt_run(struct attempt *attempt, const char *test);
void attempt_release(struct attempt *attempt);

/* Prints the verdict in words, one line, and the explanation below it. */
enum verdict verdict_print(const struct attempt *attempt, FILE *out);

/* Looks for a sanitizer's report. If there is one: true, the verdict, and its
 * words and the shortened report printed to `out`. */
bool sanitizer_report(const struct attempt *attempt, FILE *out,
                      enum verdict *verdict);

/* Prints "at src/main.c:42 in f" and the callers, for frames of the lab only.
 * The number of frames printed. */
int symbols_print(const struct lab *lab, const char *binary,
                  const uintptr_t *pc, int count, FILE *out);
/* The part of a path inside the lab, or NULL if it lies elsewhere. */
const char *symbols_lab_path(const struct lab *lab, const char *path);

/* FORCE_HYPERLINK says it: 0 for no, anything else for yes. Else links are for
 * terminals that are known to show them, without NO_COLOR. */
bool links_wanted(bool terminal);
/* Prints the text, the first place in each line as a link. */
void links_print(const struct lab *lab, const char *text, size_t text_len,
                 FILE *out);

#endif
