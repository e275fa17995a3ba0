/*
 * workspace.h - a lab's src/, in which the learner's files are only ever moved,
 * never deleted or written over: .undo/N holds what was in src/, N counting up.
 * A command that is killed halfway leaves src/ missing at worst; `course undo`
 * finds it again.
 */
#ifndef WORKSPACE_H
#define WORKSPACE_H

#include "course.h"

/* A folder in .undo to prepare a new src/ in. */
const char *workspace_fresh(const struct lab *lab);
/* Moves that folder to src/. Returns the N under which the old one is kept, or
 * 0 when there was none. Ends the command with a message on failure. */
long workspace_install(const struct lab *lab, const char *fresh);

/* The skeleton that src/ began as, when problem/ is another one by now: kept by
 * `course update` until the two are merged. It need not exist. */
const char *workspace_old_problem(const struct lab *lab);

#endif
