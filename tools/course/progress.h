/*
 * progress.h - what the learner has done: the file .progress at the root of
 * the course. A line is a fact, and facts are only ever added:
 *
 *     2026-11-20T12:41:03.123Z tried lab_01_mini_cat 12 of 23
 *     2026-11-20T12:52:10.007Z passed lab_01_mini_cat
 *     2026-11-20T13:01:44.512Z done chapter_01_foundation/checkpoint.md
 *     2026-11-20T13:02:51.004Z undone chapter_01_foundation/checkpoint.md
 *     2026-11-20T13:05:31.820Z answered chapter_01_foundation/3 right
 *
 * Neither the order of the lines nor a line that stands twice means anything,
 * so the files of two machines are joined by `cat a b | sort -u`, and by git's
 * union merge (.gitattributes). Other lines are left alone and not looked at.
 */
#ifndef PROGRESS_H
#define PROGRESS_H

#include "course.h"

struct fact {
    const char *time; /* UTC */
    const char *what, *item;
    const char *detail; /* the rest of the line, "" if there is none */
};

/* Oldest first, each once. */
struct progress {
    struct fact *facts;
    size_t count;
};

struct progress progress_read(void);
/* Writes the fact down, as of now; detail may be NULL. Ends the command with a
 * message when the file cannot be written. */
void progress_add(const char *what, const char *item, const char *detail);

/* The first or the last fact of this kind, or NULL. */
const struct fact *progress_first(const struct progress *progress,
                                  const char *what, const char *item);
const struct fact *progress_last(const struct progress *progress,
                                 const char *what, const char *item);

/* When the lab first passed, or NULL. */
const struct fact *progress_passed(const struct progress *progress,
                                   const struct lab *lab);
/* How often all its tests were run, up to the first pass. */
size_t progress_attempts(const struct progress *progress,
                         const struct lab *lab);
/* Is the item done, or was that taken back? */
bool progress_ticked(const struct progress *progress, const char *item);
/* The first lab that has not passed; NULL when all have. */
const struct lab *progress_next(const struct progress *progress,
                                const struct course *course);

#endif
