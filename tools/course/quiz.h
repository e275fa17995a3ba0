/*
 * quiz.h - the questions in a chapter's checkpoint.md, section "Quiz":
 *
 *     ### 3. A question?
 *
 *     - a) One answer
 *     - b) Another
 *
 *     <details><summary>Answer</summary>
 *
 *     **b)** because …
 *
 *     </details>
 *
 * A question without choices is an open one: whoever answers it judges himself.
 */
#ifndef QUIZ_H
#define QUIZ_H

#include "progress.h"

struct question {
    const char *id;    /* chapter_01_foundation/3 */
    struct lines body; /* the question itself and its choices */
    struct lines answer;
    char right; /* 'b', or 0 for an open question */
};

struct quiz {
    struct question *questions;
    size_t count;
};

/* No questions when there is no checkpoint. */
struct quiz quiz_read(const struct chapter *chapter);
/* Was it answered rightly the last time? */
bool quiz_known(const struct progress *progress,
                const struct question *question);
size_t quiz_count_known(const struct progress *progress,
                        const struct quiz *quiz);

#endif
