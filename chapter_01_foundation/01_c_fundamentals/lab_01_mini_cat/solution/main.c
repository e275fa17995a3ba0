/*
 * mini_cat - write a file, or those of its lines that contain a pattern, to
 * standard output.
 *
 * The file is taken in large blocks: read one, write what is wanted of it.
 * The filter searches a whole block at once, and looks for the ends of a line
 * only around a match.
 */
#include "search.h"

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

enum { BLOCK = 256 * 1024 };

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

static struct options parse_arguments(int argc, char **argv)
{
    static const struct option names[] = {
        {"line-numbers", no_argument, NULL, 'n'}, {0}};
    struct options options = {0};
    int option;
    while ((option = getopt_long(argc, argv, "n", names, NULL)) != -1) {
        if (option != 'n')
            usage();
        options.numbered = true;
    }
    int operands = argc - optind;
    if (operands < 1 || operands > 2)
        usage();
    options.file = argv[optind];
    options.pattern = argv[optind + 1]; /* argv ends with NULL */
    return options;
}

/* Copying a file to its own end would fill the disk. */
static bool is_output(int fd)
{
    struct stat in, out;
    return fstat(fd, &in) == 0 && fstat(STDOUT_FILENO, &out) == 0 &&
           S_ISREG(in.st_mode) && in.st_dev == out.st_dev &&
           in.st_ino == out.st_ino;
}

static int open_input(const char *file)
{
    /* Of a closed standard output open(2) would hand out the number. */
    if (fcntl(STDOUT_FILENO, F_GETFD) == -1)
        err(1, "standard output");
    int fd = STDIN_FILENO;
    if (strcmp(file, "-") != 0)
        fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd == -1)
        err(1, "%s", file);
    if (is_output(fd))
        errx(1, "%s: input file is output file", file);
    return fd;
}

/* Returns how many bytes came, 0 at the end of the file. */
static size_t read_block(const char *file, int fd, char *buf)
{
    ssize_t n;
    do
        n = read(fd, buf, BLOCK);
    while (n == -1 && errno == EINTR);
    if (n == -1)
        err(1, "%s", file);
    return (size_t)n;
}

static void write_all(const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDOUT_FILENO, bytes, len);
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1)
            err(1, "standard output");
        bytes += n;
        len -= (size_t)n;
    }
}

static void copy(const char *file, int fd)
{
    static char buf[BLOCK];
    size_t len;
    while ((len = read_block(file, fd, buf)) > 0)
        write_all(buf, len);
}

/* Lines gather here, so that a block of them costs one write. */
static struct {
    char bytes[BLOCK];
    size_t len;
} output;

static void flush_output(void)
{
    write_all(output.bytes, output.len);
    output.len = 0;
}

static void put(const char *bytes, size_t len)
{
    if (len > BLOCK - output.len)
        flush_output();
    if (len > BLOCK) {
        write_all(bytes, len);
    } else {
        memcpy(output.bytes + output.len, bytes, len);
        output.len += len;
    }
}

static void put_number(long number)
{
    char text[32];
    int len = snprintf(text, sizeof text, "%4ld: ", number);
    put(text, (size_t)len);
}

/* A line may be longer than the block: only its first piece gets a number. */
static void number_lines(const char *file, int fd)
{
    static char buf[BLOCK];
    long number = 0;
    bool at_start = true;
    size_t len;
    while ((len = read_block(file, fd, buf)) > 0) {
        const char *end = buf + len, *next;
        for (const char *piece = buf; piece < end; piece = next) {
            if (at_start)
                put_number(++number);
            const char *newline = memchr(piece, '\n', (size_t)(end - piece));
            next = newline ? newline + 1 : end;
            put(piece, (size_t)(next - piece));
            at_start = newline != NULL;
        }
        flush_output();
    }
}

/* Puts those of the lines from start to end that contain the pattern.
 * number is that of the last line before start; returns the one before end. */
static long filter_lines(const struct options *options, long number,
                         const char *start, const char *end)
{
    struct search search = search_begin(options->pattern, start, end);
    /* A line ends before its newline: no line contains one. */
    bool possible = !strchr(options->pattern, '\n');
    while (possible && start < end) {
        const char *match = search_find(&search, start, end);
        if (!match)
            break;
        const char *before = memrchr(start, '\n', (size_t)(match - start));
        const char *line = before ? before + 1 : start;
        const char *newline = memchr(match, '\n', (size_t)(end - match));
        const char *next = newline ? newline + 1 : end;
        if (options->numbered) {
            number += count_newlines(start, line) + 1;
            put_number(number);
        }
        put(line, (size_t)(next - line));
        start = next;
    }
    if (options->numbered)
        number += count_newlines(start, end);
    return number;
}

/* A line is held until its end has come, and that alone makes the buffer
 * grow. */
static void filter(const struct options *options, int fd)
{
    char *buf = NULL;
    size_t size = 0, held = 0, len;
    long number = 0;
    do {
        if (size - held < BLOCK) {
            size = 2 * (size + BLOCK);
            char *bigger = realloc(buf, size);
            if (!bigger)
                err(1, "%s", options->file);
            buf = bigger;
        }
        char *fresh = buf + held;
        len = read_block(options->file, fd, fresh);
        char *end = fresh + len, *rest = end;
        if (len > 0) { /* otherwise the last line has no newline */
            char *newline = memrchr(fresh, '\n', len);
            rest = newline ? newline + 1 : buf;
        }
        number = filter_lines(options, number, buf, rest);
        flush_output();
        held = (size_t)(end - rest);
        memmove(buf, rest, held);
    } while (len > 0);
    free(buf);
}

int main(int argc, char **argv)
{
    struct options options = parse_arguments(argc, argv);
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error of write(2) */
    int fd = open_input(options.file);
    if (options.pattern)
        filter(&options, fd);
    else if (options.numbered)
        number_lines(options.file, fd);
    else
        copy(options.file, fd);
    close(fd);
    if (close(STDOUT_FILENO) == -1)
        err(1, "standard output");
    return 0;
}
