/*
 * grade.h - the parts of the grader.
 *
 * main.c        the command: what to grade, and in which order
 * words.c       names and bytes of others, made harmless; digests
 * submission.c  what learners have handed in: their sources, and nothing else
 * kit.c         the pristine course, without solutions: what tests are built of
 * sandbox.c     one run, locked in
 * inside.c      what goes on in there: compile, look at symbols, call the judge
 * unit.c        one learner's work on one lab: from sources to a result file
 * slots.c       many of them at a time
 * report.c      from result files to what people and programs read
 *
 * A unit's result is a file of its own that appears whole and names the digest
 * of all that went into it. So a second call does only what is missing, a call
 * that was killed leaves no half result, and several machines may share the
 * work and a folder.
 */
#ifndef GRADE_H
#define GRADE_H

#include "../course/course.h"
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum {
    SCHEMA = 1, /* of result files and results.json */
    MOST_SLOTS = 64,
    STATUS_INTERRUPTED = 130,
};

/* Learners. */

struct learner {
    const char *name;   /* for people: no control characters, valid UTF-8 */
    const char *id;     /* for file names: letters, digits, _ - . and %XX */
    const char *folder; /* as it is called among the submissions */
};

struct learners {
    struct learner *learner;
    size_t count;
};

/* Bytes of others, made harmless for terminals, JSON and XML: valid UTF-8
 * without control and direction characters but newlines. */
char *clean_text(const char *bytes, size_t len);
/* The name as a file name that surprises nobody; different names differ. */
char *safe_name(const char *name);

/* The folders among the submissions, by name. */
struct learners learners_read(const char *submissions);

struct source {
    const char *name;
    const char *bytes;
    size_t len;
};

struct work {
    struct source *source;
    size_t count;
    size_t len;          /* of all of them */
    const char *refused; /* why none of it is taken, or NULL */
    struct names left_out;
};

/* A learner's sources for the lab; none when nothing was handed in. No symbolic
 * link is followed, nothing but regular files is opened. */
struct work work_read(const char *submissions, const struct learner *learner,
                      const struct lab *lab);
/* Those of the reference or the skeleton. */
struct work work_of_course(const struct lab *lab, const char *folder);
/* Same names, same bytes. */
bool work_equal(const struct work *one, const struct work *other);

/* The kit: a copy of the course's rules, headers and built tests. */

struct kit {
    const char *course; /* its folder */
    const char *etc;    /* what a sandbox sees of /etc */
    const char *compiler;
    bool has_lsan;
};

struct kit_lab {
    struct lab lab;
    const char *path;     /* inside the kit's course: chapter/topic/lab */
    const char *digest;   /* of all that makes its tests */
    const char *problem;  /* why it cannot be graded here, or NULL */
    struct names tests;   /* in the order in which they run */
    struct names skipped; /* by the reference, so by anybody */
    struct work skeleton; /* as it is handed out */
};

/* What there is to know of a lab; nothing is built. */
struct kit_lab kit_lab_read(const struct lab *lab);
/* Copies what all labs share into the folder. */
struct kit kit_new(const char *folder);
/* Adds a lab and builds its tests; sets its problem if that fails. */
void kit_add(const struct kit *kit, struct kit_lab *lab);
/* All labs are there: hides what was needed only to build their tests. Some of
 * it is what learners of other labs write themselves. */
void kit_close(const struct kit *kit);

/* SHA-256 of a growing heap of bytes, in hexadecimal. */
struct digest;
struct digest *digest_new(void);
void digest_add(struct digest *digest, const void *bytes, size_t len);
const char *digest_end(struct digest *digest);

/* The sandbox. */

struct sandbox {
    const struct kit *kit; /* NULL: nothing but the system is to be seen */
    const char *lab;       /* path inside the kit's course */
    const char *folder;    /* of the slot: its src/ and build/ become the lab's;
                              NULL: the kit itself is there, to be changed */
    bool builds;           /* build/ may be written to */
    uid_t uid;             /* to become, where we are root */
    int patience_s;        /* longest silence */
    const char *const *command;
};

struct outcome {
    char *bytes; /* what came from descriptor 3 */
    size_t len;
    const char *errors; /* what came on standard error, cleaned and cut */
    bool impatient;     /* it was silent for too long */
    bool too_much;      /* bytes */
};

/* Where we are root, each slot is somebody else, and nobody that we know. */
uid_t slot_uid(int slot);

/* Copies a file or folder, times included; ends the command if it cannot. */
void copy_tree(const char *from, const char *to);
/* Makes the user the owner of all in it, where we are root. */
void give_away(const char *path, uid_t uid);

/* Set before anything is run: no sandbox, the user wants it so. */
extern bool unsafe;

/* Why there is no sandbox to be had here; NULL when there is one. */
const char *sandbox_missing(uid_t uid);
/* Runs the command in its own sandbox to the end, and nothing is left of it.
 * -1 when it was interrupted by a signal to us. */
int sandbox_run(const struct sandbox *sandbox, struct outcome *outcome);

/* What sandboxes run: `grade inside compile` and `grade inside judge`. Never
 * returns. */
_Noreturn void inside_main(int argc, char **argv);

/* Units. */

struct unit {
    const struct learner *learner; /* NULL: the reference */
    const struct kit_lab *lab;
};

struct grading {
    const char *submissions;
    const char *out;
    const char *folder; /* temporary */
    struct kit kit;
    int slots, patience_s;
};

/* Grades it, if that is to be done: the result file is there afterwards. False
 * when it could not be; standard error says why. */
bool unit_grade(const struct grading *grading, const struct unit *unit,
                int slot);
/* The result, or NULL when there is none of what is handed in now. */
json_t *unit_result(const struct grading *grading, const struct unit *unit);
/* It is to be graded again, whatever came out. */
void unit_forget(const struct grading *grading, const struct unit *unit);

/* Grades all units, some at a time; the number of those that could not be
 * graded. Stops early when interrupted. */
size_t slots_run(const struct grading *grading, const struct unit *units,
                 size_t count, const char *what);
extern volatile sig_atomic_t slots_interrupted;
/* SIGINT and its like set slots_interrupted, and arrive in ppoll(2) only. */
void slots_catch_signals(void);

/* Writes all reports from the results that are there. */
void report_write(const struct grading *grading, struct learners learners,
                  const struct kit_lab *labs, size_t lab_count);

#endif
