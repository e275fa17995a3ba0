/*
 * main.c - the course command: what make calls for everything but building.
 */
#include "course.h"
#include "verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANY_NUMBER = 1000000 };

static const struct verb {
    const char *name, *arguments, *purpose;
    int least, most; /* arguments */
    int (*run)(int argc, char **argv);
} verbs[] = {
    {"progress", "", "the course as a tree, and how far you are", 0, 0,
     progress_verb},
    {"next", "", "the first lab that has not passed", 0, 0, next_verb},
    {"start", "", "the tree, the next lab's tests, what to do", 0, 0,
     start_verb},
    {"done", "ITEM", "ticks a theory page or a checkpoint", 1, 1, done_verb},
    {"undone", "ITEM", "takes the tick back", 1, 1, undone_verb},
    {"quiz", "[CHAPTER]", "asks the questions of the chapter's checkpoint", 0,
     1, quiz_verb},
    {"tested", "LAB STATUS", "writes down how the lab's tests have ended", 2, 2,
     tested_verb},
    {"hint", "LAB [TEST]", "the next hint for the first failing test", 1, 2,
     hint_verb},
    {"compare", "LAB [--sure [N]]",
     "your code beside the reference; the Nth difference alone", 1, 3,
     compare_verb},
    {"reset", "LAB", "src/ as at the start; your work is kept", 1, 1,
     reset_verb},
    {"undo", "LAB", "takes the last reset or undo back", 1, 1, undo_verb},
    {"watch", "[LAB]", "tests a lab at each save in it", 0, 1, watch_verb},
    {"update", "", "a newer course, from where this one was cloned", 0, 0,
     update_verb},
    {"mistake", "LAB FILE FOLDER",
     "writes the wrong solution, prints its test and mode", 3, 3, mistake_verb},
    {"verdicts",
     "skeleton LAB RESULTS | solution LAB RESULTS [MODE] | "
     "mistake LAB RESULTS TEST [FILE]",
     "is this how the tests of such code must end?", 3, 5, verdicts_verb},
    {"static", "LAB", "is all there, with mistakes and hints?", 1, 1,
     static_verb},
    {"docs", "[--limit SECONDS] PAGE",
     "runs the page's commands and compares their output", 1, 3, docs_verb},
    {"summary", "[--forget] FILE…",
     "adds up results; forgets those that are to be run again", 1, ANY_NUMBER,
     summary_verb},
    {"commands", "", "writes compile_commands.json for editors", 0, 0,
     commands_verb},
};

enum { VERB_COUNT = sizeof verbs / sizeof *verbs };

static const struct verb *find_verb(const char *name)
{
    for (int i = 0; i < VERB_COUNT; i++)
        if (!strcmp(verbs[i].name, name))
            return &verbs[i];
    return NULL;
}

void usage_of(const char *name)
{
    const struct verb *verb = find_verb(name);
    fprintf(stderr, "usage: course %s %s\n", verb->name, verb->arguments);
    exit(STATUS_USAGE);
}

static void print_usage(FILE *out)
{
    fprintf(out, "usage: course VERB …\n");
    for (int i = 0; i < VERB_COUNT; i++)
        fprintf(out, "  %s %s\n      %s\n", verbs[i].name, verbs[i].arguments,
                verbs[i].purpose);
    fprintf(out, "LAB is a lab's folder. Exit status: 0 passed, 1 failed, 2 "
                 "usage, 3 does not\nbuild, 4 something is missing on this "
                 "machine.\n");
}

int main(int argc, char **argv)
{
    if (argc == 2 && (!strcmp(argv[1], "help") || !strcmp(argv[1], "--help"))) {
        print_usage(stdout);
        return STATUS_PASS;
    }
    const struct verb *verb = argc > 1 ? find_verb(argv[1]) : NULL;
    if (!verb) {
        print_usage(stderr);
        return STATUS_USAGE;
    }
    if (argc - 2 < verb->least || argc - 2 > verb->most)
        usage_of(verb->name);
    int status = verb->run(argc - 1, argv + 1);
    if (fflush(stdout) == EOF || ferror(stdout)) {
        perror("course: standard output");
        return STATUS_FAIL;
    }
    return status;
}
