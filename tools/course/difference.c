#include "difference.h"
#include "process.h"

#include <err.h>
#include <stdio.h>

char *difference_read(const struct lab *lab)
{
    static const char *const command[] = {"diff", "-ru", "src", "solution",
                                          NULL};
    int status;
    char *difference = process_output(lab->path, command, &status);
    if (status > 1)
        errx(status == 127 ? STATUS_MISSING : STATUS_FAIL,
             "diff ended with status %d", status);
    return difference;
}

struct names difference_hunks(char *difference)
{
    struct names hunks = {0};
    const char *files = "";
    struct lines lines = text_lines(difference);
    for (size_t i = 0; i < lines.count; i++) {
        const char *line = lines.line[i];
        if (starts_with(line, "diff ")) {
            files = "";
        } else if (starts_with(line, "--- ") || starts_with(line, "+++ ")) {
            files = text("%s%s\n", files, line);
        } else if (starts_with(line, "@@") || starts_with(line, "Only in ")) {
            hunks.name = grow(hunks.name, hunks.count, sizeof *hunks.name);
            hunks.name[hunks.count++] =
                text("%s%s\n", *line == '@' ? files : "", line);
        } else if (hunks.count) {
            char **hunk = &hunks.name[hunks.count - 1];
            *hunk = text("%s%s\n", *hunk, line);
        }
    }
    return hunks;
}

static const char *colour_of(const char *line)
{
    if (starts_with(line, "---") || starts_with(line, "+++"))
        return colour(DIM);
    return *line == '-'   ? colour(RED)
           : *line == '+' ? colour(GREEN)
           : *line == '@' ? colour(CYAN)
                          : "";
}

void difference_print(char *difference)
{
    struct lines lines = text_lines(difference);
    for (size_t i = 0; i < lines.count; i++) {
        const char *start = colour_of(lines.line[i]);
        printf("%s%s%s\n", start, lines.line[i], *start ? PLAIN : "");
    }
}
