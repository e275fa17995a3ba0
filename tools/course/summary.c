/*
 * summary.c - `course summary`: adds up the result lines of all checks.
 */
#include "course.h"
#include "verbs.h"

#include <err.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SKIPS_SHOWN = 3 };

struct skip {
    const char *what, *reason;
};

struct sum {
    size_t passed, failed;
    struct skip *skips;
    size_t skip_count;
    char **failures; /* whole lines, details included */
    size_t failure_line_count;
};

static void add_failure_line(struct sum *sum, const char *line)
{
    sum->failures =
        grow(sum->failures, sum->failure_line_count, sizeof *sum->failures);
    sum->failures[sum->failure_line_count++] = text("%s", line);
}

static void add_failure(struct sum *sum, const char *line)
{
    sum->failed++;
    add_failure_line(sum, line);
}

static void add_skip(struct sum *sum, char *what)
{
    char *colon = strstr(what, ": ");
    if (colon)
        *colon = '\0';
    sum->skips = grow(sum->skips, sum->skip_count, sizeof *sum->skips);
    sum->skips[sum->skip_count++] = (struct skip){
        .what = what, .reason = colon ? colon + 2 : "no reason given"};
}

/* Takes one line; details belong to the failure above them, and *in_failure
 * says whether there is one. Returns false when nobody may write this. */
static bool add_line(struct sum *sum, char *line, bool *in_failure)
{
    bool detail = starts_with(line, "    ") || *line == '\0';
    if (detail) {
        if (*in_failure)
            add_failure_line(sum, line);
        return true;
    }
    *in_failure = starts_with(line, "fail ");
    if (*in_failure)
        add_failure(sum, line);
    else if (starts_with(line, "pass "))
        sum->passed++;
    else if (starts_with(line, "skip "))
        add_skip(sum, line + strlen("skip "));
    else
        return false;
    return true;
}

/* A check that says nothing has not checked, so that is a failure too. */
static void add_file(struct sum *sum, const char *path)
{
    char *all = file_read(path, NULL);
    if (!all) {
        add_failure(sum, text("fail %s: %m", path));
        return;
    }
    struct lines lines = text_lines(all);
    bool in_failure = false;
    for (size_t i = 0; i < lines.count; i++)
        if (!add_line(sum, lines.line[i], &in_failure))
            add_failure(sum, text("fail %s:%zu: not a result line: %s", path,
                                  i + 1, lines.line[i]));
    if (lines.count == 0)
        add_failure(sum, text("fail %s: no results in it", path));
}

/* Prints the skips that give this one's reason, unless an earlier one did. */
static void print_skips_like(const struct sum *sum, size_t first)
{
    const char *reason = sum->skips[first].reason;
    for (size_t i = 0; i < first; i++)
        if (!strcmp(sum->skips[i].reason, reason))
            return;
    size_t count = 0;
    printf("skip: %s\n", reason);
    for (size_t i = first; i < sum->skip_count; i++)
        if (!strcmp(sum->skips[i].reason, reason) && count++ < SKIPS_SHOWN)
            printf("    %s\n", sum->skips[i].what);
    if (count > SKIPS_SHOWN)
        printf("    and %zu more\n", count - SKIPS_SHOWN);
}

static void print_sum(const struct sum *sum)
{
    for (size_t i = 0; i < sum->skip_count; i++)
        print_skips_like(sum, i);
    for (size_t i = 0; i < sum->failure_line_count; i++)
        puts(sum->failures[i]);
    printf("%zu passed, %zu failed", sum->passed, sum->failed);
    if (sum->skip_count)
        printf(", %zu skipped", sum->skip_count);
    putchar('\n');
}

int summary_verb(int argc, char **argv)
{
    struct sum sum = {0};
    int first = 1;
    bool forget = !strcmp(argv[first], "--forget");
    if (forget)
        first++;
    if (first == argc)
        usage_of("summary");
    for (int i = first; i < argc; i++) {
        size_t before = sum.failed + sum.skip_count;
        add_file(&sum, argv[i]);
        if (forget && sum.failed + sum.skip_count > before &&
            unlink(argv[i]) < 0 && file_exists(argv[i]))
            warn("%s", argv[i]);
    }
    print_sum(&sum);
    return sum.failed || !sum.passed ? STATUS_FAIL : STATUS_PASS;
}
