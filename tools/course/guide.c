/*
 * guide.c - the verbs that tell where one is in the course and what is next.
 */
#include "process.h"
#include "progress.h"
#include "quiz.h"
#include "results.h"
#include "verbs.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_WIDTH = 34 };

static const char *theory_of(const struct lab *lab)
{
    return path_shown(text("%s/theory.md", lab->topic));
}

/* "[####......]  9 of 21" */
static void print_bar(size_t done, size_t all)
{
    enum { WIDTH = 10 };
    int filled = all ? (int)(done * WIDTH / all) : 0;
    printf("[%s%.*s%s%.*s] %2zu of %zu", colour(GREEN), filled, "##########",
           colour(PLAIN), WIDTH - filled, "..........", done, all);
}

static const char *box(bool ticked)
{
    return ticked ? text("%s[x]%s", colour(GREEN), colour(PLAIN)) : "[ ]";
}

/* How many of the lab's tests pass, by the last run on this machine, or else by
 * what was written down on another. */
static size_t passing_tests(const struct progress *progress,
                            const struct lab *lab, const struct names *tests)
{
    struct results results = results_of_lab(lab);
    size_t passing = 0;
    for (size_t i = 0; i < results.count; i++)
        for (size_t t = 0; t < tests->count; t++)
            passing += result_is(&results.result[i], "ok") &&
                       !strcmp(results.result[i].test, tests->name[t]);
    if (results.count)
        return passing;
    if (progress_passed(progress, lab))
        return tests->count;
    const struct fact *last = progress_last(progress, "tried", lab->name);
    return last ? strtoul(last->detail, NULL, 10) : 0;
}

static void print_lab(const struct progress *progress, const struct lab *lab)
{
    const struct fact *passed = progress_passed(progress, lab);
    size_t attempts = progress_attempts(progress, lab);
    struct names tests = lab_tests(lab);
    printf("        %s %-*s ", box(passed), NAME_WIDTH - 4, lab->name);
    print_bar(passing_tests(progress, lab, &tests), tests.count);
    if (attempts)
        printf("  %zu attempt%s", attempts, attempts == 1 ? "" : "s");
    if (passed)
        printf(", passed %.10s", passed->time);
    putchar('\n');
}

/* Labs of the topic, or of the whole chapter; *passed of them have. */
static size_t count_labs(const struct progress *progress,
                         const struct chapter *chapter, const char *topic,
                         size_t *passed)
{
    size_t count = 0;
    *passed = 0;
    for (size_t i = 0; i < chapter->lab_count; i++) {
        const struct lab *lab = &chapter->labs[i];
        if (topic && strcmp(topic, lab->topic) != 0)
            continue;
        count++;
        *passed += progress_passed(progress, lab) != NULL;
    }
    return count;
}

static void print_topic(const struct progress *progress,
                        const struct chapter *chapter, const char *topic)
{
    size_t passed, count = count_labs(progress, chapter, topic, &passed);
    const char *theory = page_in(topic, "theory.md");
    printf("    %-*s     ", NAME_WIDTH, base_name(topic));
    print_bar(passed, count);
    printf(" labs\n");
    if (theory)
        printf("        %s theory\n", box(progress_ticked(progress, theory)));
    for (size_t i = 0; i < chapter->lab_count; i++)
        if (!strcmp(topic, chapter->labs[i].topic))
            print_lab(progress, &chapter->labs[i]);
}

static void print_checkpoint(const struct progress *progress,
                             const struct chapter *chapter)
{
    const char *checkpoint =
        page_in(text("%s/%s", course_root(), chapter->name), "checkpoint.md");
    struct quiz quiz = quiz_read(chapter);
    if (!checkpoint)
        return;
    printf("    %s checkpoint", box(progress_ticked(progress, checkpoint)));
    if (quiz.count) {
        printf("%*s", NAME_WIDTH - 9, "");
        print_bar(quiz_count_known(progress, &quiz), quiz.count);
        printf(" answers");
    }
    putchar('\n');
}

static void print_chapter(const struct progress *progress,
                          const struct chapter *chapter)
{
    size_t passed, count = count_labs(progress, chapter, NULL, &passed);
    const char *heading = text("%s  %s", chapter->name, chapter->title);
    if (chapter->topic_count == 0) {
        printf("%s%s: to come%s\n", colour(DIM), heading, colour(PLAIN));
        return;
    }
    printf("%s%-*s%s ", colour(BOLD), NAME_WIDTH + 8, heading, colour(PLAIN));
    print_bar(passed, count);
    printf(" labs\n");
    for (size_t i = 0; i < chapter->topic_count; i++)
        print_topic(progress, chapter, chapter->topics[i]);
    print_checkpoint(progress, chapter);
}

static void print_course(const struct progress *progress,
                         const struct course *course)
{
    for (int i = 0; i < CHAPTER_COUNT; i++)
        print_chapter(progress, &course->chapters[i]);
}

static void print_all_done(void)
{
    printf("Every lab that is there has passed.\n");
}

static void print_next(const struct lab *lab)
{
    const char *folder = path_shown(lab->path);
    printf("Next lab: %s\n", folder);
    printf("Read:     %s\n", theory_of(lab));
    printf("Then:     cd %s && make test\n", folder);
}

int progress_verb(int argc, char **argv)
{
    struct course course = course_read();
    struct progress progress = progress_read();
    print_course(&progress, &course);
    return STATUS_PASS;
}

int next_verb(int argc, char **argv)
{
    struct course course = course_read();
    struct progress progress = progress_read();
    const struct lab *lab = progress_next(&progress, &course);
    if (lab)
        print_next(lab);
    else
        print_all_done();
    return STATUS_PASS;
}

/* The list in this section of the lab's README, without its boxes. */
static void print_list(const struct lab *lab, const char *section)
{
    struct lines lines = file_lines(text("%s/README.md", lab->path));
    bool inside = false;
    for (size_t i = 0; i < lines.count; i++) {
        const char *line = lines.line[i];
        if (starts_with(line, "## "))
            inside = !strcmp(line + 3, section);
        if (inside && starts_with(line, "- [ ] "))
            print_wrapped(text("- %s", line + strlen("- [ ] ")), 2);
    }
}

static void congratulate(const struct lab *lab)
{
    struct course course = course_read();
    struct progress progress = progress_read();
    const struct lab *next = progress_next(&progress, &course);
    size_t attempts = progress_attempts(&progress, lab);
    printf("\n%s%s has passed%s, at attempt %zu. Its acceptance criteria; look "
           "which are yours, too:\n",
           colour(GREEN), lab->name, colour(PLAIN), attempts);
    print_list(lab, "Acceptance criteria");
    printf("\nHow the reference does it: make compare\n");
    if (next)
        printf("Next lab: %s\nRead:     %s\n", path_shown(next->path),
               theory_of(next));
    else
        print_all_done();
}

/* Called after each run of all tests. Once the lab has passed there is nothing
 * more to write down. */
int tested_verb(int argc, char **argv)
{
    struct lab lab = lab_at(argv[1]);
    struct progress progress = progress_read();
    int status = atoi(argv[2]);
    if (progress_passed(&progress, &lab) || status > STATUS_FAIL)
        return STATUS_PASS;
    if (status == STATUS_PASS) {
        progress_add("passed", lab.name, NULL);
        congratulate(&lab);
        return STATUS_PASS;
    }
    struct names tests = lab_tests(&lab);
    progress_add("tried", lab.name,
                 text("%zu of %zu", passing_tests(&progress, &lab, &tests),
                      tests.count));
    return STATUS_PASS;
}

/* What they say is for the learner; that they could be started is for us. */
static bool run_tests(const struct lab *lab)
{
    /* Paths and commands in its output are those of the course's root. */
    const char *const command[] = {"make",
                                   "--no-print-directory",
                                   "test",
                                   text("PREFIX=%s/", path_shown(lab->path)),
                                   text("AGAIN=LAB=%s ", lab->name),
                                   NULL};
    printf("\n%s: the tests as they are now\n", lab->name);
    return process_run(lab->path, command) != 127;
}

int start_verb(int argc, char **argv)
{
    struct course course = course_read();
    struct progress progress = progress_read();
    print_course(&progress, &course);
    const struct lab *lab = progress_next(&progress, &course);
    if (!lab) {
        print_all_done();
        return STATUS_PASS;
    }
    if (!run_tests(lab)) {
        fflush(stdout);
        warnx("the tests of %s could not be run", lab->name);
        return STATUS_MISSING;
    }
    const char *folder = path_shown(lab->path);
    printf("\n1. Read  %s and %s/README.md\n", theory_of(lab), folder);
    printf("2. Open  %s/src/main.c and write what is not done yet\n", folder);
    printf("3. Type  cd %s && make test\n", folder);
    return STATUS_PASS;
}
