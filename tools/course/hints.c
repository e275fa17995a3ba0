#include "hints.h"
#include "results.h"
#include "verbs.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_section(struct hint_list *list, char *heading, int line)
{
    list->hints = grow(list->hints, list->count, sizeof *list->hints);
    list->hints[list->count++] =
        (struct hints){.test = trim_end(heading), .line = line};
}

/* "2. text" starts the second level when there is one already, and only then.
 */
static bool starts_level(const struct hints *section, const char *line)
{
    return starts_with(line, text("%zu. ", section->level_count + 1));
}

static void add_line(struct hints *section, const char *line)
{
    if (starts_level(section, line)) {
        section->levels = grow(section->levels, section->level_count,
                               sizeof *section->levels);
        section->levels[section->level_count++] = strchr(line, ' ') + 1;
    } else if (section->level_count > 0) {
        /* A level's further lines are indented by the width of "1. ". */
        for (int blanks = 0; blanks < 3 && *line == ' '; blanks++)
            line++;
        const char **level = &section->levels[section->level_count - 1];
        *level = text("%s\n%s", *level, line);
    }
}

struct hint_list hints_read(const struct lab *lab)
{
    struct hint_list list = {0};
    struct lines lines = file_lines(text("%s/hints.md", lab->path));
    for (size_t i = 0; i < lines.count; i++) {
        if (starts_with(lines.line[i], "## "))
            add_section(&list, lines.line[i] + 3, (int)i + 1);
        else if (list.count > 0)
            add_line(&list.hints[list.count - 1], lines.line[i]);
    }
    return list;
}

const struct hints *hints_find(const struct hint_list *list, const char *test)
{
    for (size_t i = 0; i < list->count; i++)
        if (!strcmp(list->hints[i].test, test))
            return &list->hints[i];
    return NULL;
}

/* The first test that is neither ok nor skipped; NULL when there is none. */
static const char *first_open_test(const struct lab *lab)
{
    struct results results = results_of_lab(lab);
    for (size_t i = 0; i < results.count; i++)
        if (!result_is(&results.result[i], "ok") &&
            !result_is(&results.result[i], "skipped"))
            return results.result[i].test;
    return NULL;
}

static const char *test_with_prefix(const struct hint_list *list,
                                    const char *prefix)
{
    for (size_t i = 0; i < list->count; i++)
        if (starts_with(list->hints[i].test, prefix))
            return list->hints[i].test;
    errx(STATUS_USAGE, "no test with hints is called %s…", prefix);
}

/* How many hints were shown for each test is kept in build/hints, one line
 * "TEST LEVELS" for each. Returns the level for this call and writes it down;
 * lines of other tests stay. */
static size_t next_level(const struct lab *lab, const struct hints *hints)
{
    const char *path = text("%s/build/hints", lab->path);
    const char *start = text("%s ", hints->test), *kept = "";
    struct lines lines = file_lines(path);
    size_t shown = 0;
    for (size_t i = 0; i < lines.count; i++) {
        if (starts_with(lines.line[i], start))
            shown = strtoul(lines.line[i] + strlen(start), NULL, 10);
        else
            kept = text("%s%s\n", kept, lines.line[i]);
    }
    size_t level = shown < hints->level_count ? shown + 1 : hints->level_count;
    kept = text("%s%s%zu\n", kept, start, level);
    if (folder_create(parent_of(path)) < 0 ||
        file_write(path, kept, strlen(kept)) < 0)
        warn("%s", path); /* the hint is worth more than its number */
    return level;
}

/* Shows the next hint; how the one after it is asked for is in again. */
static void show(const struct lab *lab, const struct hints *hints,
                 const char *again)
{
    size_t level = next_level(lab, hints);
    printf("%s: hint %zu of %zu\n\n", hints->test, level, hints->level_count);
    char *hint = text("%s", hints->levels[level - 1]);
    struct lines lines = text_lines(trim_end(hint));
    for (size_t i = 0; i < lines.count; i++)
        printf("%s%s\n", *lines.line[i] ? "    " : "", lines.line[i]);
    if (level < hints->level_count)
        printf("\nThe next one: %s\n", again);
    else
        printf("\nThat was the last one. The reference solution is in "
               "solution/: make compare\n");
}

int hint_verb(int argc, char **argv)
{
    struct lab lab = lab_at(argv[1]);
    struct hint_list list = hints_read(&lab);
    const char *test =
        argc > 2 ? test_with_prefix(&list, argv[2]) : first_open_test(&lab);
    if (!test) {
        bool any = results_of_lab(&lab).count > 0;
        printf("%s: %s\n", lab.name,
               any ? "no test fails, so there is nothing to hint at."
                   : "nothing is known yet; first run: make test");
        return STATUS_PASS;
    }
    const struct hints *hints = hints_find(&list, test);
    if (!hints || hints->level_count == 0)
        errx(STATUS_FAIL, "%s/hints.md: no hints for %s", lab.name, test);
    show(&lab, hints,
         argc > 2 ? text("make hint TEST=%s", argv[2]) : "make hint");
    return STATUS_PASS;
}
