/*
 * ticks.c - `course done` and `course undone`: ticks on theory pages and
 * checkpoints. (A lab is done when its tests pass.)
 */
#include "progress.h"
#include "verbs.h"

#include <err.h>
#include <stdio.h>
#include <string.h>

/* Does each of the words stand in the item's path, in any order? */
static bool has_words(const char *item, const char *words)
{
    char *rest = text("%s", words);
    for (char *word; (word = strsep(&rest, " _/"));)
        if (!strstr(item, word))
            return false;
    return true;
}

static void print_items(const char **items)
{
    struct progress progress = progress_read();
    for (; *items; items++)
        printf("    [%c] %s\n", progress_ticked(&progress, *items) ? 'x' : ' ',
               *items);
}

static int tick(const char *what, const char *words)
{
    struct course course = course_read();
    const char **items = course_items(&course), **found = NULL;
    size_t count = 0;
    for (size_t i = 0; items[i]; i++) {
        if (!has_words(items[i], words))
            continue;
        found = grow(found, count, sizeof *found);
        found[count++] = items[i];
    }
    if (count == 1) {
        progress_add(what, found[0], NULL);
        printf("%s: %s\n", found[0], what);
        return STATUS_PASS;
    }
    found = grow(found, count, sizeof *found);
    found[count] = NULL;
    printf("%s\n", count ? "Which of these?"
                         : "No theory page and no checkpoint has these words "
                           "in its path:");
    print_items(count ? found : items);
    printf("Say it with words of its path: make %s ITEM=\"os memory\"\n", what);
    return STATUS_USAGE;
}

int done_verb(int argc, char **argv)
{
    return tick(argv[0], argv[1]);
}

int undone_verb(int argc, char **argv)
{
    return tick(argv[0], argv[1]);
}
