#include "match.h"

#include <ctype.h>
#include <string.h>

static const char gap[] = "...";

/* The end of the number that starts here, or start when there is none:
 * 12, 4.5, 1,024, 0x7ffd12. */
static const char *number_end(const char *start)
{
    const char *end = start;
    if (starts_with(start, "0x") && isxdigit((unsigned char)start[2])) {
        for (end += 2; isxdigit((unsigned char)*end);)
            end++;
        return end;
    }
    while (isdigit((unsigned char)*end)) {
        while (isdigit((unsigned char)*end))
            end++;
        if ((*end == '.' || *end == ',') && isdigit((unsigned char)end[1]))
            end++;
    }
    return end;
}

/* The line with every number as 0 and every run of blanks as one, none at the
 * start. */
static char *without_numbers(const char *line)
{
    char *result = text("%s", line), *to = result;
    while (*line) {
        const char *end = number_end(line);
        if (end > line) {
            *to++ = '0';
            line = end;
        } else if (isblank((unsigned char)*line)) {
            while (isblank((unsigned char)*line))
                line++;
            if (to > result)
                *to++ = ' ';
        } else {
            *to++ = *line++;
        }
    }
    *to = '\0';
    return result;
}

static struct lines simplified(struct lines lines, bool any_numbers)
{
    struct lines result = {0};
    for (size_t i = 0; i < lines.count; i++) {
        const char *line = lines.line[i];
        result.line = grow(result.line, result.count, sizeof *result.line);
        result.line[result.count++] =
            trim_end(any_numbers ? without_numbers(line) : text("%s", line));
    }
    return result;
}

/* Between two gaps the text may stand anywhere; taking the first place is
 * always right, since whatever follows has most room then. */
static bool match_line(const char *expected, const char *actual)
{
    const char *after_gap = NULL, *retry = NULL;
    while (*actual) {
        if (starts_with(expected, gap)) {
            expected += strlen(gap);
            after_gap = expected;
            retry = actual;
        } else if (*expected == *actual) {
            expected++;
            actual++;
        } else if (after_gap) {
            expected = after_gap;
            actual = ++retry;
        } else {
            return false;
        }
    }
    while (starts_with(expected, gap))
        expected += strlen(gap);
    return *expected == '\0';
}

static bool is_gap(const char *line)
{
    return !strcmp(line + strspn(line, " "), gap);
}

/* Remembers how far the two agreed at best: that is the difference to show. */
static void note(struct difference *difference, size_t expected, size_t actual)
{
    if (expected >= difference->expected)
        *difference =
            (struct difference){.expected = expected, .actual = actual};
}

bool match_lines(struct lines expected, struct lines actual, bool any_numbers,
                 struct difference *difference)
{
    expected = simplified(expected, any_numbers);
    actual = simplified(actual, any_numbers);
    size_t e = 0, a = 0, after_gap = 0, retry = 0;
    *difference = (struct difference){0};
    while (a < actual.count) {
        if (e < expected.count && is_gap(expected.line[e])) {
            after_gap = ++e;
            retry = a;
        } else if (e < expected.count &&
                   match_line(expected.line[e], actual.line[a])) {
            e++;
            a++;
        } else {
            note(difference, e, a);
            if (after_gap == 0)
                return false;
            e = after_gap;
            a = ++retry;
        }
    }
    while (e < expected.count && is_gap(expected.line[e]))
        e++;
    note(difference, e, a);
    return e == expected.count;
}
