#include "view.h"
#include "terminal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What make test printed, taken apart. */
struct outcome {
    struct lines before;  /* the compiler's words */
    struct lines tests;   /* "test test_01_… ... ok", a line for each */
    struct lines failure; /* the lines of the first that is not ok */
    struct lines after;
    size_t passed, total; /* total 0: not known yet */
};

static void add(struct lines *lines, char *line)
{
    lines->line = grow(lines->line, lines->count, sizeof *lines->line);
    lines->line[lines->count++] = line;
}

/* "test NAME ... ok", the verdict perhaps in colour. */
static bool verdict_is(const char *line, const char *verdict)
{
    const char *said = strstr(line, " ... ");
    if (!said)
        return false;
    said += strlen(" ... ");
    if (*said == '\033')
        said += strcspn(said, "m") + 1;
    return starts_with(said, verdict);
}

/* "lab_01_mini_cat: running 21 tests" */
static size_t tests_announced(const char *line)
{
    const char *running = strstr(line, ": running ");
    return running && starts_with(line, "lab_")
               ? strtoul(running + strlen(": running "), NULL, 10)
               : 0;
}

static bool is_sum(const char *line)
{
    size_t digits = strspn(line, "0123456789");
    return digits > 0 && starts_with(line + digits, " passed, ");
}

static struct outcome take_apart(char *said)
{
    struct outcome outcome = {0};
    struct lines all = text_lines(said), ignored = {0};
    struct lines *part = &outcome.before;
    for (size_t i = 0; i < all.count; i++) {
        char *line = all.line[i];
        if (starts_with(line, "make: ***") || starts_with(line, "make[")) {
            continue;
        } else if (tests_announced(line)) {
            outcome.total = tests_announced(line);
        } else if (starts_with(line, "test test_")) {
            bool fine = verdict_is(line, "ok") || verdict_is(line, "skipped");
            bool first = !fine && outcome.failure.count == 0;
            outcome.passed += verdict_is(line, "ok");
            add(&outcome.tests, line);
            part = first ? &outcome.failure : &ignored;
            add(part, line);
        } else if (is_sum(line)) {
            part = &outcome.after;
        } else {
            add(part, line);
        }
    }
    return outcome;
}

static int rows_of(const char *line, int columns)
{
    int width = terminal_width(line);
    return width ? (width + columns - 1) / columns : 1;
}

static int rows_of_all(const struct lines *lines, int columns)
{
    int rows = 0;
    for (size_t i = 0; i < lines->count; i++)
        rows += rows_of(lines->line[i], columns);
    return rows;
}

/* Each line clears what the picture before left to its right. At the last
 * column that would clear the line's own last character. */
static void print_line(const char *line, int columns)
{
    int width = terminal_width(line);
    printf("%s%s\n", line, width > 0 && width % columns == 0 ? "" : "\033[K");
}

static void print_lines(const struct lines *lines, int columns)
{
    for (size_t i = 0; i < lines->count; i++)
        print_line(lines->line[i], columns);
}

/* Those at the end, so that all that follows has room on the screen. */
static void print_tests(const struct lines *tests, int room, int columns)
{
    size_t first = tests->count;
    while (first > 0 && rows_of(tests->line[first - 1], columns) <= room) {
        first--;
        room -= rows_of(tests->line[first], columns);
    }
    if (first > 0 && first < tests->count) {
        first++; /* its row is for this line */
        print_line(text("… and %zu above", first), columns);
    }
    for (; first < tests->count; first++)
        print_line(tests->line[first], columns);
}

/* "[#######.............] 7 of 21 tests pass" */
static char *status_line(const struct view *view, const struct outcome *outcome)
{
    static const char full[] = "####################";
    static const char empty[] = "....................";
    int width = (int)strlen(full), filled = 0;
    if (outcome->total)
        filled = (int)(outcome->passed * strlen(full) / outcome->total);
    const char *bar = text("[%s%.*s%s%.*s]", colour(GREEN), filled, full,
                           colour(PLAIN), width - filled, empty);
    if (view->running && outcome->tests.count == 0)
        return text("%s running", bar);
    if (view->running)
        return text("%s running: %zu of %zu tests", bar, outcome->tests.count,
                    outcome->total);
    if (outcome->tests.count == 0)
        return text("%s no test has run", bar);
    return text("%s %zu of %zu tests pass", bar, outcome->passed,
                outcome->total);
}

static struct lines note_lines(const struct view *view)
{
    struct lines lines = {0};
    if (view->note) {
        lines = text_lines(text("\n%s", view->note));
        add(&lines, "");
    }
    return lines;
}

static void print_keys(const struct view *view)
{
    if (view->question)
        printf("%s%s%s (y/n) \033[K", colour(BOLD), view->question,
               colour(PLAIN));
    else
        printf("%sr run  h hint  n next  l list  c compare  x reset  q quit  "
               "? help%s\033[K",
               colour(DIM), colour(PLAIN));
}

void view_draw(const struct view *view)
{
    struct terminal_size size = terminal_size();
    struct outcome outcome = take_apart(text("%s", view->said));
    struct lines note = note_lines(view);
    int columns = size.columns;
    const char *status = status_line(view, &outcome);
    if (view->note_alone)
        outcome = (struct outcome){0};
    int others = 3 + rows_of_all(&outcome.before, columns) +
                 rows_of_all(&outcome.failure, columns) +
                 rows_of_all(&outcome.after, columns) +
                 rows_of_all(&note, columns);
    fputs("\033[H", stdout);
    print_line(text("%s%s%s  %s", colour(BOLD), view->lab->name, colour(PLAIN),
                    path_shown(view->lab->path)),
               columns);
    print_lines(&outcome.before, columns);
    print_tests(&outcome.tests, size.rows - others, columns);
    print_line(status, columns);
    print_lines(&outcome.failure, columns);
    print_lines(&outcome.after, columns);
    print_lines(&note, columns);
    fputs("\033[J", stdout);
    print_keys(view);
    fflush(stdout);
}
