/*
 * course.h - what the course consists of: chapters, topics, labs.
 *
 *     struct course course = course_read();
 *     for (size_t i = 0; i < course.chapters[0].lab_count; i++)
 *         puts(course.chapters[0].labs[i].name);
 *
 * All paths are absolute; path_shown() makes one short for the eye.
 */
#ifndef COURSE_H
#define COURSE_H

#include "file.h"
#include "text.h"

/* What the command's exit status says. */
enum {
    STATUS_PASS = 0,
    STATUS_FAIL = 1,
    STATUS_USAGE = 2,
    STATUS_NO_BUILD = 3,
    STATUS_MISSING = 4
};

struct lab {
    const char *name;  /* lab_01_mini_cat */
    const char *path;  /* its folder */
    const char *topic; /* the folder above */
};

struct chapter {
    const char *name;    /* chapter_01_foundation */
    const char *title;   /* Foundation: C and Linux */
    const char **topics; /* folders with a theory page, a lab or both */
    size_t topic_count;
    struct lab *labs;
    size_t lab_count; /* 0: the chapter is still to come */
};

enum { CHAPTER_COUNT = 6 };

struct course {
    struct chapter chapters[CHAPTER_COUNT];
};

/* The course's folder: $COURSE_ROOT, or else the folder in which this command
 * lies as .build/tools/course. */
const char *course_root(void);

struct course course_read(void);

/* The lab in this folder. Ends the command with a message when it is none. */
struct lab lab_at(const char *folder);

/* Is there such a page in this folder? Its path, as path_shown(), or NULL. */
const char *page_in(const char *folder, const char *name);
/* "theory.md" of a topic or "checkpoint.md" of a chapter: what can be ticked.
 * Ends with NULL. */
const char **course_items(const struct course *course);
/* The chapter with this in its name, or NULL when none or several have it. */
const struct chapter *course_chapter(const struct course *course,
                                     const char *part);

/* Names of the lab's tests, in the order of the files in tests/. */
struct names lab_tests(const struct lab *lab);

/* The path as one would type it at the root of the course. */
const char *path_shown(const char *path);

/* Does what we print reach a terminal? COURSE_TERMINAL=1 says that it does
 * although standard output is none: `course watch` passes it on. */
bool on_terminal(void);
/* The escape sequence, or "" when we are on no terminal or NO_COLOR is set. */
const char *colour(const char *sequence);

#define RED "\033[31m"
#define GREEN "\033[32m"
#define YELLOW "\033[33m"
#define CYAN "\033[36m"
#define BOLD "\033[1m"
#define DIM "\033[2m"
#define PLAIN "\033[0m"

#endif
