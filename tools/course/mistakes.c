#include "mistakes.h"
#include "course.h"
#include "verbs.h"

#include <err.h>
#include <stdio.h>
#include <string.h>

/* The value behind "key: ", or NULL when the line has another key. */
static const char *value_of(const char *line, const char *key)
{
    size_t len = strlen(key);
    if (!starts_with(line, key) || line[len] != ':')
        return NULL;
    line += len + 1;
    return line + strspn(line, " ");
}

static bool is_mode(const char *word)
{
    return !strcmp(word, "plain") || !strcmp(word, "asan") ||
           !strcmp(word, "tsan");
}

/* Takes one line outside of the blocks; *file is for the next block. Returns
 * what is wrong with it, or NULL. */
static const char *read_header(struct mistake *mistake, char *line,
                               const char **file)
{
    const char *value;
    trim_end(line);
    if (*line == '\0' || (*line == ' ' && mistake->why))
        return NULL; /* the why may go on, indented */
    if ((value = value_of(line, "fails")) && starts_with(value, "test_"))
        mistake->fails = value;
    else if ((value = value_of(line, "why")) && *value)
        mistake->why = value;
    else if ((value = value_of(line, "mode")) && is_mode(value))
        mistake->mode = value;
    else if ((value = value_of(line, "file")) && *value)
        *file = value;
    else
        return "expected 'fails: test_…', 'why: …', 'mode: plain|asan|tsan', "
               "'file: …' or '<<<'";
    return NULL;
}

/* Collects lines into *body up to the one that is only the mark. Returns its
 * index, or the count of lines when there is none. */
static size_t read_body(struct lines lines, size_t i, const char *mark,
                        const char **body)
{
    *body = "";
    for (; i < lines.count && strcmp(lines.line[i], mark) != 0; i++)
        *body = text("%s%s\n", *body, lines.line[i]);
    return i;
}

/* Reads the block whose <<< is lines.line[*i] and leaves *i at its >>>. */
static const char *read_edit(struct mistake *mistake, struct lines lines,
                             size_t *i, const char *file)
{
    struct edit edit = {.file = file, .line = (int)*i + 1};
    size_t middle = read_body(lines, *i + 1, "===", &edit.search);
    if (middle == lines.count)
        return "this block has no '==='";
    size_t end = read_body(lines, middle + 1, ">>>", &edit.replace);
    if (end == lines.count)
        return "this block has no '>>>'";
    if (*edit.search == '\0')
        return "this block searches for nothing";
    if (!strcmp(edit.search, edit.replace))
        return "this block changes nothing";
    mistake->edits =
        grow(mistake->edits, mistake->edit_count, sizeof *mistake->edits);
    mistake->edits[mistake->edit_count++] = edit;
    *i = end;
    return NULL;
}

static const char *missing_part(const struct mistake *mistake)
{
    if (!mistake->fails)
        return "no line 'fails: test_…'";
    if (!mistake->why)
        return "no line 'why: …'";
    return mistake->edit_count ? NULL : "no block '<<<'";
}

const char *mistake_read(const char *path, struct mistake *mistake)
{
    *mistake = (struct mistake){.path = path, .mode = "default"};
    char *all = file_read(path, NULL);
    if (!all)
        return text("%s:1: %m", path);
    struct lines lines = text_lines(all);
    const char *file = "main.c", *problem = NULL;
    for (size_t i = 0; i < lines.count; i++) {
        size_t line = i + 1;
        if (!strcmp(lines.line[i], "<<<")) {
            problem = read_edit(mistake, lines, &i, file);
            file = "main.c";
        } else {
            problem = read_header(mistake, lines.line[i], &file);
        }
        if (problem)
            return text("%s:%zu: %s", path, line, problem);
    }
    problem = missing_part(mistake);
    return problem ? text("%s:1: %s", path, problem) : NULL;
}

/* Where the search text, itself whole lines, stands as whole lines. */
static const char *find_lines(const char *all, const char *from,
                              const char *search)
{
    while ((from = strstr(from, search)))
        if (from == all || from[-1] == '\n')
            return from;
        else
            from++;
    return NULL;
}

static void apply(const struct edit *edit, const struct mistake *mistake,
                  const char *folder)
{
    char *path = text("%s/%s", folder, edit->file);
    char *all = file_read(path, NULL);
    if (!all)
        errx(STATUS_FAIL, "%s:%d: solution/%s: %m", mistake->path, edit->line,
             edit->file);
    if (*all && !ends_with(all, "\n"))
        all = text("%s\n", all);
    int matches = 0;
    const char *place = NULL, *from = all;
    while ((from = find_lines(all, from, edit->search))) {
        place = from++;
        matches++;
    }
    if (matches != 1)
        errx(STATUS_FAIL,
             "%s:%d: these lines stand %d times in solution/%s, not once",
             mistake->path, edit->line, matches, edit->file);
    char *changed = text("%.*s%s%s", (int)(place - all), all, edit->replace,
                         place + strlen(edit->search));
    if (file_write(path, changed, strlen(changed)) < 0)
        err(STATUS_FAIL, "%s", path);
}

int mistake_verb(int argc, char **argv)
{
    struct lab lab = lab_at(argv[1]);
    struct mistake mistake;
    const char *problem = mistake_read(argv[2], &mistake);
    if (problem)
        errx(STATUS_FAIL, "%s", problem);
    char *solution = text("%s/solution", lab.path);
    if (tree_copy(solution, argv[3], NULL) < 0)
        err(STATUS_FAIL, "copy of %s to %s", solution, argv[3]);
    for (size_t i = 0; i < mistake.edit_count; i++)
        apply(&mistake.edits[i], &mistake, argv[3]);
    printf("%s %s\n", mistake.fails, mistake.mode);
    return STATUS_PASS;
}
