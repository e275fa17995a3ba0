/*
 * Lab 1: mini_cat
 *
 * Goal: write a file, or those of its lines that contain a pattern, to
 * standard output, as cat(1) and grep(1) do.
 *
 *     mini_cat FILE [PATTERN] [-n|--line-numbers]
 *
 * Requirements (the README has them in full):
 * 1. Without PATTERN every byte of FILE goes through unchanged.
 * 2. With PATTERN only the lines that contain these bytes do.
 * 3. -n puts the number that a line has in the file before it: "%4d: ".
 * 4. Options stand anywhere; "-" is standard input; "--" ends the options.
 * 5. Lines may be of any length, files larger than memory.
 * 6. An error is one line on standard error and exit status 1; a wrong
 *    command line is status 2.
 *
 * Hints:
 * - Make test_01 pass first: parse_arguments, open_input, copy.
 * - read(2) and write(2) may do less than you asked for. What they return is
 *   what they did.
 * - getopt_long(3) reads options anywhere; err(3) writes an error message with
 *   its reason and exits; memmem(3) finds bytes in bytes.
 * - Stuck? make hint
 *
 * Verification:
 *     make test
 *     make run ARGS="test.txt error -n"
 *
 * Acceptance criteria:
 * [ ] a file goes through unchanged, whatever its bytes are
 * [ ] a pattern keeps the lines that contain it
 * [ ] line numbers are those of the file
 * [ ] every failure is told on standard error and in the exit status
 * [ ] memory use does not grow with the file
 */
#include "todo.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The functions below are a suggestion. The tests see only the program. */

struct options {
    const char *file;
    const char *pattern; /* NULL: all lines */
    bool numbered;
};

_Noreturn static void usage(void)
{
    fputs("usage: mini_cat FILE [PATTERN] [-n|--line-numbers]\n", stderr);
    exit(2);
}

/* Reads the command line; one that makes no sense ends in usage(). */
static struct options parse_arguments(int argc, char **argv)
{
    todo("parse_arguments");
    usage();
}

/* Returns a descriptor to read from; a FILE that cannot be opened ends the
 * program with a message. */
static int open_input(const char *file)
{
    todo("open_input");
}

/* Writes every byte of the file. */
static void copy(const char *file, int fd)
{
    todo("copy");
}

/* Writes every line with its number before it. */
static void number_lines(const char *file, int fd)
{
    todo("number_lines");
}

/* Writes the lines that contain options->pattern, numbered or not. */
static void filter(const struct options *options, int fd)
{
    todo("filter");
}

int main(int argc, char **argv)
{
    struct options options = parse_arguments(argc, argv);
    int fd = open_input(options.file);
    if (options.pattern)
        filter(&options, fd);
    else if (options.numbered)
        number_lines(options.file, fd);
    else
        copy(options.file, fd);
    close(fd);
    return 0;
}
