/*
 * guide.c - the verbs that tell where one is in the course and what is next.
 */
#include "process.h"
#include "progress.h"
#include "results.h"
#include "verbs.h"

#include <err.h>
#include <stdio.h>
#include <string.h>

static const char *theory_of(const struct lab *lab)
{
    return path_shown(text("%s/theory.md", lab->topic));
}

static size_t passed_labs(const struct chapter *chapter)
{
    size_t passed = 0;
    for (size_t i = 0; i < chapter->lab_count; i++)
        passed += progress_passed(&chapter->labs[i]) != NULL;
    return passed;
}

static void print_chapter(const struct chapter *chapter)
{
    enum { WIDTH = 10 };
    if (chapter->lab_count == 0) {
        printf("%s%s  %s: to come%s\n", colour(DIM), chapter->name,
               chapter->title, colour(PLAIN));
        return;
    }
    size_t passed = passed_labs(chapter);
    int filled = (int)(passed * WIDTH / chapter->lab_count);
    printf("%s  %s  [%s%.*s%s%.*s] %zu of %zu\n", chapter->name, chapter->title,
           colour(GREEN), filled, "##########", colour(PLAIN), WIDTH - filled,
           "..........", passed, chapter->lab_count);
}

static void print_lab(const struct lab *lab, int width)
{
    const char *day = progress_passed(lab);
    printf("        %-*s  ", width, lab->name);
    if (day) {
        printf("%sdone %s%s\n", colour(GREEN), day, colour(PLAIN));
        return;
    }
    struct results results = results_of_lab(lab);
    size_t passed = 0;
    for (size_t i = 0; i < results.count; i++)
        passed += result_is(&results.result[i], "ok");
    if (passed == 0)
        printf("open\n");
    else
        printf("%s%zu of %zu tests passed%s\n", colour(YELLOW), passed,
               lab_tests(lab).count, colour(PLAIN));
}

static void print_labs(const struct chapter *chapter)
{
    const char *topic = "";
    int width = 0;
    for (size_t i = 0; i < chapter->lab_count; i++)
        if ((int)strlen(chapter->labs[i].name) > width)
            width = (int)strlen(chapter->labs[i].name);
    for (size_t i = 0; i < chapter->lab_count; i++) {
        const struct lab *lab = &chapter->labs[i];
        if (strcmp(topic, lab->topic) != 0)
            printf("    %s\n", base_name(lab->topic));
        topic = lab->topic;
        print_lab(lab, width);
    }
}

static void print_course(const struct course *course)
{
    for (int i = 0; i < CHAPTER_COUNT; i++) {
        print_chapter(&course->chapters[i]);
        print_labs(&course->chapters[i]);
    }
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
    print_course(&course);
    return STATUS_PASS;
}

int next_verb(int argc, char **argv)
{
    struct course course = course_read();
    const struct lab *lab = progress_next(&course);
    if (lab)
        print_next(lab);
    else
        print_all_done();
    return STATUS_PASS;
}

int passed_verb(int argc, char **argv)
{
    struct lab lab = lab_at(argv[1]);
    if (progress_passed(&lab))
        return STATUS_PASS;
    if (progress_add(&lab) < 0)
        err(STATUS_FAIL, "%s", progress_path());
    struct course course = course_read();
    const struct lab *next = progress_next(&course);
    printf("%s%s is done.%s Your code beside the reference: make compare\n",
           colour(GREEN), lab.name, colour(PLAIN));
    if (next)
        printf("Next lab: %s\nRead:     %s\n", path_shown(next->path),
               theory_of(next));
    else
        print_all_done();
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
    print_course(&course);
    const struct lab *lab = progress_next(&course);
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
