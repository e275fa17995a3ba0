/*
 * results.h - what the judge wrote about the last run of a lab's tests.
 *
 * One line is one test: a word, the test's name, and for a skipped test
 * perhaps the reason. The words: ok failed todo crashed timeout leak race
 * undefined left-running left-descriptors too-much-output skipped fault.
 */
#ifndef RESULTS_H
#define RESULTS_H

#include "course.h"

struct result {
    const char *word;
    const char *test;
    const char *reason; /* "" when there is none */
};

struct results {
    struct result *result;
    size_t count;
};

/* Reads the file. No file is the same as an empty one; lines that are none of
 * the judge's are left out. */
struct results results_read(const char *path);
/* Those of the learner's own code. */
struct results results_of_lab(const struct lab *lab);

bool result_is(const struct result *result, const char *word);

#endif
