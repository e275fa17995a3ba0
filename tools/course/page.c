#include "page.h"
#include "file.h"

#include <string.h>

/* A fenced block while it is read. */
struct fence {
    size_t backticks;
    size_t indent;
    char *words; /* what follows the backticks */
};

static bool opens_fence(char *line, struct fence *fence)
{
    fence->indent = strspn(line, " ");
    line += fence->indent;
    fence->backticks = strspn(line, "`");
    fence->words = trim_end(line + fence->backticks);
    fence->words += strspn(fence->words, " ");
    return fence->indent <= 3 && fence->backticks >= 3 &&
           !strchr(fence->words, '`');
}

static bool closes_fence(const char *line, const struct fence *fence)
{
    line += strspn(line, " ");
    size_t backticks = strspn(line, "`");
    return backticks >= fence->backticks &&
           line[backticks + strspn(line + backticks, " ")] == '\0';
}

/* A fence that is indented indents its lines, too. */
static char *without_indent(char *line, size_t indent)
{
    while (indent-- > 0 && *line == ' ')
        line++;
    return line;
}

static struct step *add_step(struct page *page, size_t index)
{
    page->steps = grow(page->steps, page->count, sizeof *page->steps);
    struct step *step = &page->steps[page->count++];
    *step = (struct step){.line = (int)index + 1, .text = ""};
    return step;
}

/* Reads the words behind "console". */
static const char *read_options(char *words, struct step *options)
{
    size_t count = 0;
    const char **needs = grow(NULL, 0, sizeof *needs);
    char *rest;
    for (char *word = strtok_r(words, " ", &rest); word;
         word = strtok_r(NULL, " ", &rest)) {
        if (!strcmp(word, "any-numbers")) {
            options->any_numbers = true;
        } else if (starts_with(word, "needs:") && word[strlen("needs:")]) {
            needs = grow(needs, count, sizeof *needs);
            needs[count++] = word + strlen("needs:");
        } else {
            return text("'%s' is no word for a console block", word);
        }
    }
    needs = grow(needs, count, sizeof *needs);
    needs[count] = NULL;
    options->needs = needs;
    return NULL;
}

/* Reads the lines from first to before last as commands and their output. */
static const char *read_console(struct page *page, struct lines lines,
                                size_t first, size_t last,
                                const struct fence *fence)
{
    struct step options = {0}, *step = NULL;
    const char *problem =
        read_options(fence->words + strlen("console"), &options);
    for (size_t i = first; i < last && !problem; i++) {
        char *line = without_indent(lines.line[i], fence->indent);
        bool typing = step && step->output.count == 0;
        if (starts_with(line, "$ ")) {
            step = add_step(page, i);
            step->text = line + 2;
            step->any_numbers = options.any_numbers;
            step->needs = options.needs;
        } else if (typing && (starts_with(line, "> ") || !strcmp(line, ">"))) {
            step->text =
                text("%s\n%s", step->text, line + 1 + (line[1] == ' '));
        } else if (step) {
            struct lines *output = &step->output;
            output->line =
                grow(output->line, output->count, sizeof *output->line);
            output->line[output->count++] = line;
        } else {
            problem = "a console block starts with a line '$ command'";
        }
    }
    return problem;
}

static const char *read_file(struct page *page, struct lines lines,
                             size_t first, size_t last,
                             const struct fence *fence, const char *name)
{
    if (*name == '/' || strstr(name, "..") || strchr(name, '\''))
        return text("'%s' is no name for a file in the scratch folder", name);
    struct step *step = add_step(page, first - 1);
    step->file = name;
    for (size_t i = first; i < last; i++)
        step->text = text("%s%s\n", step->text,
                          without_indent(lines.line[i], fence->indent));
    return NULL;
}

static const char *read_block(struct page *page, struct lines lines,
                              size_t first, size_t last,
                              const struct fence *fence)
{
    size_t language = strcspn(fence->words, " ");
    const char *name = fence->words + language;
    name += strspn(name, " ");
    if (language == strlen("console") && starts_with(fence->words, "console"))
        return read_console(page, lines, first, last, fence);
    if (*name)
        return read_file(page, lines, first, last, fence, name);
    return NULL;
}

const char *page_read(const char *path, struct page *page)
{
    *page = (struct page){0};
    char *all = file_read(path, NULL);
    if (!all)
        return text("1: %m");
    struct lines lines = text_lines(all);
    for (size_t i = 0; i < lines.count; i++) {
        struct fence fence;
        if (!opens_fence(lines.line[i], &fence))
            continue;
        size_t first = i + 1;
        for (i = first; i < lines.count; i++)
            if (closes_fence(lines.line[i], &fence))
                break;
        if (i == lines.count)
            return text("%zu: this block does not end", first);
        const char *problem = read_block(page, lines, first, i, &fence);
        if (problem)
            return text("%zu: %s", first, problem);
    }
    return NULL;
}

const char *step_name(const struct step *step)
{
    return text_copy(step->text, strcspn(step->text, "\n"));
}
