/*
 * workspace.c - a lab's src/: start it anew, take that back, compare it with
 * the reference.
 */
#include "workspace.h"
#include "difference.h"
#include "progress.h"
#include "verbs.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The highest N of .undo/N, or 0. */
static long last_undo(const struct lab *lab)
{
    long last = 0;
    struct names names = folder_names(text("%s/.undo", lab->path));
    for (size_t i = 0; i < names.count; i++) {
        char *end;
        long number = strtol(names.name[i], &end, 10);
        if (*end == '\0' && number > last)
            last = number;
    }
    return last;
}

static void move(const char *from, const char *to)
{
    if (rename(from, to) < 0)
        err(STATUS_FAIL, "%s to %s", from, to);
}

const char *workspace_fresh(const struct lab *lab)
{
    return text("%s/.undo/new", lab->path);
}

const char *workspace_old_problem(const struct lab *lab)
{
    return text("%s/.undo/problem", lab->path);
}

long workspace_install(const struct lab *lab, const char *fresh)
{
    const char *src = text("%s/src", lab->path);
    long number = 0;
    if (file_exists(src)) {
        number = last_undo(lab) + 1;
        move(src, text("%s/.undo/%ld", lab->path, number));
    }
    move(fresh, src);
    return number;
}

int reset_verb(int argc, char **argv)
{
    struct lab lab = lab_at(argv[1]);
    const char *src = text("%s/src", lab.path);
    const char *problem = text("%s/problem", lab.path);
    const char *fresh = workspace_fresh(&lab);
    if (tree_equal(src, problem)) {
        printf("%s: src/ is as at the start, nothing to reset.\n", lab.name);
        return STATUS_PASS;
    }
    if (folder_create(parent_of(fresh)) < 0 || tree_remove(fresh) < 0 ||
        tree_copy(problem, fresh, NULL) < 0)
        err(STATUS_FAIL, "copy of %s to %s", problem, fresh);
    long number = workspace_install(&lab, fresh);
    tree_remove(workspace_old_problem(&lab));
    printf("%s: src/ is as at the start again.\n", lab.name);
    if (number)
        printf("Your work is in .undo/%ld; make undo brings it back.\n",
               number);
    return STATUS_PASS;
}

int undo_verb(int argc, char **argv)
{
    struct lab lab = lab_at(argv[1]);
    long last = last_undo(&lab);
    if (last == 0) {
        printf("%s: nothing to undo.\n", lab.name);
        return STATUS_PASS;
    }
    long number = workspace_install(&lab, text("%s/.undo/%ld", lab.path, last));
    printf("%s: src/ is back as it was.\n", lab.name);
    if (number)
        printf("What was there is in .undo/%ld; make undo again swaps them.\n",
               number);
    return STATUS_PASS;
}

/* One hunk of it, counted from 1, or all. */
static int print_difference(const struct lab *lab, const char *hunk)
{
    char *difference = difference_read(lab);
    if (!*difference) {
        printf("%s: src/ and solution/ are the same.\n", lab->name);
        return STATUS_PASS;
    }
    printf("Lines with - are yours (src/), lines with + the reference's "
           "(solution/).\n\n");
    if (!hunk) {
        difference_print(difference);
        return STATUS_PASS;
    }
    struct names hunks = difference_hunks(difference);
    size_t number = (strtoul(hunk, NULL, 10) - 1) % hunks.count;
    printf("difference %zu of %zu\n", number + 1, hunks.count);
    difference_print(hunks.name[number]);
    return STATUS_PASS;
}

int compare_verb(int argc, char **argv)
{
    struct lab lab = lab_at(argv[1]);
    bool sure = argc > 2 && !strcmp(argv[2], "--sure");
    if (argc > 2 && !sure)
        usage_of("compare");
    struct progress progress = progress_read();
    if (sure || progress_passed(&progress, &lab))
        return print_difference(&lab, argc > 3 ? argv[3] : NULL);
    printf("%s has not passed yet, and this shows its solution.\n"
           "A hint instead: make hint. If you are sure: make compare SURE=1\n",
           lab.name);
    return STATUS_PASS;
}
