/*
 * harness.h - what the parts of the test library know of each other. Tests do
 * not include it.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include "test/page.h"
#include "test/test.h"

struct harness {
    struct page *page;
    const char *page_path; /* for the lab's program; NULL by hand */
    const char *lab;       /* folder of the lab, absolute */
    const char *program; /* the lab's program, absolute; NULL if it has none */
};

extern struct harness harness;

/* Writes the outcome, if nobody has yet, and ends this process at once. */
_Noreturn void harness_end(enum page_state state, struct test_place place,
                           const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Memory that lives until the test ends. Never NULL. */
void *harness_alloc(size_t size);
/* text() for those who were given the arguments themselves. */
char *vtext(const char *format, va_list arguments)
    __attribute__((format(printf, 1, 0)));

/* Ends the test with their story if a program has crashed: an assertion that
 * fails then is only what follows from it. */
void harness_look_at_programs(void);

/* Kills programs that still run and closes their pipes; the number of those
 * that ran, the first one's command in *command. */
int harness_stop_programs(const char **command);

#endif
