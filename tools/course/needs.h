/*
 * needs.h - what a page asks of the machine: "needs:strace".
 */
#ifndef NEEDS_H
#define NEEDS_H

/* Returns NULL when the machine has it, else the reason to skip. "ptrace" and
 * "perf" are tried, so is "sandbox"; any other word is a command that must be
 * there. */
const char *need_missing(const char *word);

#endif
