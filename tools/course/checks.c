/*
 * checks.c - `course static`: what can be said of a lab by reading it.
 */
#include "hints.h"
#include "mistakes.h"
#include "report.h"
#include "verbs.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LEAST_MISTAKES = 5 };

/* The value of a variable in the lab's Makefile, or NULL. */
static const char *variable_of(const struct lab *lab, const char *name)
{
    struct lines lines = file_lines(text("%s/Makefile", lab->path));
    for (size_t i = 0; i < lines.count; i++) {
        const char *line = lines.line[i];
        if (!starts_with(line, name))
            continue;
        line += strlen(name);
        line += strspn(line, " ?:=");
        return line;
    }
    return NULL;
}

/* rate_limiter of lab_03_rate_limiter, unless the Makefile says else. */
static const char *word_of(const struct lab *lab)
{
    const char *given = variable_of(lab, "LAB_NAME");
    if (given)
        return given;
    const char *word = lab->name + strlen("lab_");
    word += strspn(word, "0123456789");
    return *word == '_' ? word + 1 : word;
}

static void check_parts(const struct lab *lab)
{
    const char *tests = variable_of(lab, "LAB_TESTS");
    bool functions = tests && strstr(tests, "functions");
    const char *word = word_of(lab);
    const char *parts[] = {
        "README.md",
        "Makefile",
        "hints.md",
        "problem/main.c",
        "src/main.c",
        "solution/main.c",
        "tests/mistakes",
        text("tests/test_%s.c", word),
        functions ? text("%s.h", word) : NULL,
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts && parts[i]; i++)
        if (file_exists(text("%s/%s", lab->path, parts[i])))
            report_pass("%s static has %s", lab->name, parts[i]);
        else
            report_fail("%s static has %s: it is missing", lab->name, parts[i]);
}

/* A learner's own work is no failure: asked where the course itself is
 * checked. */
static void check_workspace(const struct lab *lab)
{
    const char *ci = getenv("CI");
    if (!ci || !*ci)
        return;
    if (tree_equal(text("%s/src", lab->path), text("%s/problem", lab->path)))
        report_pass("%s static src", lab->name);
    else
        report_fail("%s static src: src/ differs from problem/", lab->name);
}

static bool is_heading(const char *line, const char *title)
{
    line += strspn(line, "#");
    line += strspn(line, " ");
    return !strcasecmp(line, title);
}

static void check_readme(const struct lab *lab)
{
    static const char *const sections[] = {
        "Goal",
        "What it should do",
        "Requirements",
        "Steps",
        "Acceptance criteria",
        "See it yourself",
        "Going further",
        "Reading",
    };
    struct lines lines = file_lines(text("%s/README.md", lab->path));
    for (size_t s = 0; s < sizeof sections / sizeof *sections; s++) {
        bool found = false;
        for (size_t i = 0; i < lines.count && !found; i++)
            found = lines.line[i][0] == '#' &&
                    is_heading(trim_end(lines.line[i]), sections[s]);
        if (found)
            report_pass("%s static README.md %s", lab->name, sections[s]);
        else
            report_fail("%s static README.md %s: no such section", lab->name,
                        sections[s]);
    }
}

static bool is_test(struct names tests, const char *name)
{
    for (size_t i = 0; i < tests.count; i++)
        if (!strcmp(tests.name[i], name))
            return true;
    return false;
}

/* Reports on each mistake; *caught collects the tests that they name. */
static size_t check_mistakes(const struct lab *lab, struct names tests,
                             struct names *caught)
{
    size_t count = 0;
    struct names files = folder_names(text("%s/tests/mistakes", lab->path));
    for (size_t i = 0; i < files.count; i++) {
        const char *file = files.name[i];
        struct mistake mistake;
        if (!ends_with(file, ".txt"))
            continue;
        count++;
        const char *path = text("%s/tests/mistakes/%s", lab->path, file);
        const char *problem = mistake_read(path, &mistake);
        if (problem)
            report_fail("%s static %s: %s", lab->name, file,
                        problem + strlen(lab->path) + 1);
        else if (!is_test(tests, mistake.fails))
            report_fail("%s static %s: there is no %s", lab->name, file,
                        mistake.fails);
        else
            report_pass("%s static %s", lab->name, file);
        if (problem)
            continue;
        caught->name = grow(caught->name, caught->count, sizeof(char *));
        caught->name[caught->count++] = text("%s", mistake.fails);
    }
    return count;
}

static void check_test(const struct lab *lab, const char *test,
                       struct names caught, const struct hint_list *hints)
{
    const struct hints *own = hints_find(hints, test);
    size_t levels = own ? own->level_count : 0;
    if (is_test(caught, test))
        report_pass("%s static %s has a mistake", lab->name, test);
    else
        report_fail("%s static %s has a mistake: none names it", lab->name,
                    test);
    if (levels == HINT_LEVELS)
        report_pass("%s static %s has %d hints", lab->name, test, HINT_LEVELS);
    else
        report_fail("%s static %s has %d hints: it has %zu", lab->name, test,
                    HINT_LEVELS, levels);
}

static void check_hints(const struct lab *lab, struct names tests,
                        const struct hint_list *hints)
{
    for (size_t i = 0; i < hints->count; i++)
        if (!is_test(tests, hints->hints[i].test))
            report_fail("%s static hints.md:%d: there is no test '%s'",
                        lab->name, hints->hints[i].line, hints->hints[i].test);
}

/* The line without its blanks, to compare code however it is spaced. */
static char *without_blanks(const char *line)
{
    char *result = text("%s", line), *end = result;
    for (; *line; line++)
        if (!isspace((unsigned char)*line))
            *end++ = *line;
    *end = '\0';
    return result;
}

/* An assertion that compares a thing with itself can never fail. */
static bool compares_with_itself(const char *code)
{
    const char *call = strstr(code, "_equal(");
    if (!call)
        return false;
    const char *one = call + strlen("_equal("), *comma = strchr(one, ',');
    if (!comma)
        return false;
    size_t len = (size_t)(comma - one);
    return !strncmp(comma + 1, one, len) &&
           (comma[1 + len] == ')' || comma[1 + len] == ',');
}

static bool is_placeholder(const char *line)
{
    static const char *const always[] = {
        "assert_true(true)",   "assert_true(1)",     "assert_true(!false)",
        "assert_false(false)", "assert_false(0)",    "assert_null(NULL)",
        "fail_msg(\"TODO",     "fail_msg(\"notdone",
    };
    const char *code = without_blanks(line);
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        if (strstr(code, always[i]))
            return true;
    return compares_with_itself(code);
}

static void check_placeholders(const struct lab *lab, const char *file)
{
    struct lines lines = file_lines(text("%s/tests/%s", lab->path, file));
    bool clean = true;
    for (size_t i = 0; i < lines.count; i++)
        if (is_placeholder(lines.line[i])) {
            report_fail("%s static tests/%s:%zu: an assertion that proves "
                        "nothing",
                        lab->name, file, i + 1);
            clean = false;
        }
    if (clean)
        report_pass("%s static tests/%s", lab->name, file);
}

int static_verb(int argc, char **argv)
{
    struct lab lab = lab_at(argv[1]);
    struct names tests = lab_tests(&lab), caught = {0};
    struct hint_list hints = hints_read(&lab);
    check_parts(&lab);
    check_workspace(&lab);
    check_readme(&lab);
    size_t mistakes = check_mistakes(&lab, tests, &caught);
    if (mistakes >= LEAST_MISTAKES)
        report_pass("%s static mistakes", lab.name);
    else
        report_fail("%s static mistakes: %zu, at least %d are needed", lab.name,
                    mistakes, LEAST_MISTAKES);
    if (tests.count == 0)
        report_fail("%s static tests: no line starts with TEST(test_",
                    lab.name);
    for (size_t i = 0; i < tests.count; i++)
        check_test(&lab, tests.name[i], caught, &hints);
    check_hints(&lab, tests, &hints);
    struct names files = folder_names(text("%s/tests", lab.path));
    for (size_t i = 0; i < files.count; i++)
        if (ends_with(files.name[i], ".c"))
            check_placeholders(&lab, files.name[i]);
    return report_status();
}
