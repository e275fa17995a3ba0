/*
 * page.h - the page of memory in which a test tells the judge how it went.
 *
 * The judge makes a file, names it in LAB_PAGE, and both map it. So a verdict
 * survives crashes, closed descriptors and exit(0), shows up in no listing of
 * descriptors, and is never read from printed text.
 */
#ifndef PAGE_H
#define PAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
enum { SANITIZE_ADDRESS = true };
#else
enum { SANITIZE_ADDRESS = false };
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
enum { SANITIZE_THREAD = true };
#else
enum { SANITIZE_THREAD = false };
#endif

enum {
    PAGE_TEXT = 16 * 1024, /* bytes of explanation, the rest is cut */
    PAGE_STACKS = 8,       /* threads whose stacks are kept */
    STACK_DEPTH = 40,      /* frames of each */
    SANITIZER_STATUS = 86, /* exit status after a sanitizer's report */
};

enum page_state {
    PAGE_EMPTY,   /* the test has not begun */
    PAGE_RUNNING, /* between the first and the last line of the test */
    PAGE_PASSED,
    PAGE_FAILED,
    PAGE_TODO,
    PAGE_CRASHED,
    PAGE_LEFT_RUNNING,
    PAGE_LEFT_DESCRIPTORS,
    PAGE_TOO_MUCH_OUTPUT,
    PAGE_SKIPPED,
    PAGE_FAULT, /* of the harness or the test, not of the learner */
};

/* Where a thread was: addresses relative to the start of its executable. */
struct page_stack {
    _Atomic int count;
    bool in_program; /* the lab's program, else the test itself */
    int thread;      /* gettid(2) */
    uintptr_t pc[STACK_DEPTH];
};

struct page {
    uint64_t nonce;         /* set by the judge … */
    _Atomic uint64_t echo;  /* … and given back by a test that passed */
    _Atomic int state;      /* enum page_state */
    _Atomic bool claimed;   /* somebody has begun to write the outcome */
    bool canary;            /* set by the judge: this test has to fail */
    int limit_ms;           /* what the test asks for; 0: the usual */
    uint64_t begun_ns;      /* CLOCK_MONOTONIC, when main() was reached */
    _Atomic int crashed_by; /* signal, when the handler saw it */
    bool stack_overflow;
    bool alone;     /* the test had one thread and no child: nothing to race */
    char file[256]; /* place in the test, "" if none */
    int line;
    char what[1024]; /* the call or command that went wrong */
    char text[PAGE_TEXT];
    char waiting[512]; /* what the test waits for */
    _Atomic int stacks_used;
    struct page_stack stacks[PAGE_STACKS];
};

/* What a canary says: see the judge's --canary. */
#define CANARY_TEXT "this test has to fail"

/* Maps the page of this file; NULL where there is none. */
struct page *page_map(const char *path);

/* Notes the caller's stack. Safe in signal handlers. */
void page_note_stack(struct page *page, bool in_program);

/* From now on fatal signals (where no sanitizer handles them) and SIGQUIT note
 * the stack of their thread. */
void page_watch_signals(struct page *page, bool in_program);

#endif
