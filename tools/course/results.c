#include "results.h"

#include <string.h>

/* Cuts off the first word in place and returns what follows it. */
static char *cut_word(char *line)
{
    char *end = line + strcspn(line, " ");
    if (*end == '\0')
        return end;
    *end = '\0';
    return end + 1;
}

struct results results_read(const char *path)
{
    struct results results = {0};
    struct lines lines = file_lines(path);
    for (size_t i = 0; i < lines.count; i++) {
        char *word = lines.line[i];
        char *test = cut_word(word);
        char *reason = cut_word(test);
        if (!starts_with(test, "test_"))
            continue;
        results.result =
            grow(results.result, results.count, sizeof *results.result);
        results.result[results.count++] =
            (struct result){.word = word, .test = test, .reason = reason};
    }
    return results;
}

struct results results_of_lab(const struct lab *lab)
{
    return results_read(text("%s/build/src/results", lab->path));
}

bool result_is(const struct result *result, const char *word)
{
    return strcmp(result->word, word) == 0;
}
