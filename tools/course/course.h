/*
 * course.h - what the course consists of: chapters, topics, labs.
 *
 *     struct course course = course_read();
 *     struct lab *next = course_next(&course);
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
    const char *name;  /* chapter_01_foundation */
    const char *title; /* Foundation: C and Linux */
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

/* Names of the lab's tests, in the order of the files in tests/. */
struct names lab_tests(const struct lab *lab);

/* The path as one would type it at the root of the course. */
const char *path_shown(const char *path);

/* The escape sequence, or "" when standard output is no terminal or NO_COLOR
 * is set. */
const char *colour(const char *sequence);

#define RED "\033[31m"
#define GREEN "\033[32m"
#define YELLOW "\033[33m"
#define CYAN "\033[36m"
#define DIM "\033[2m"
#define PLAIN "\033[0m"

#endif
