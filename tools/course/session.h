/*
 * session.h - run the steps of a page in one bash, and take its output apart.
 *
 *     struct session session = {.folder = folder, .limit_s = 120};
 *     session_run(&session, &page, skipped);
 *     if (session.outputs[i]) …the i-th step ended and printed this…
 */
#ifndef SESSION_H
#define SESSION_H

#include "page.h"

struct session {
    const char *folder; /* where it runs and where files are written */
    const char *root;   /* what `course` takes for the course, in there */
    int limit_s;

    char **outputs; /* of each step; NULL when it has not ended */
    enum { ENDED, TOO_LONG, TOO_MUCH, INTERRUPTED } end;
};

/* Steps with skip[i] set are left out. Returns -1 and sets errno when bash
 * could not be started. Afterwards nothing that the page started runs. */
int session_run(struct session *session, const struct page *page,
                const char *const skip[]);

#endif
