/*
 * progress.h - which labs are done. The file .progress at the root of the
 * course has one line for each fact, "lab_01_mini_cat passed 2026-11-20", in
 * any order; the same fact twice is no harm, so two copies of the file can be
 * joined line by line.
 */
#ifndef PROGRESS_H
#define PROGRESS_H

#include "course.h"

/* The file, for messages. */
const char *progress_path(void);

/* The day of the first pass, "2026-11-20", or NULL. */
const char *progress_passed(const struct lab *lab);
/* Writes down that the lab passed today. Returns -1 and sets errno. */
int progress_add(const struct lab *lab);
/* The first lab that has not passed; NULL when all have. */
const struct lab *progress_next(const struct course *course);

#endif
