/*
 * grade - grades a class: what each learner has handed in, lab by lab.
 *
 *     grade [--out DIR] [--labs NAMES] [--jobs N] [--patience S] [--unsafe]
 *           [--list | --references | --units FILE [--from N] [--to N] |
 *           --collect] SUBMISSIONS
 *     grade --probe
 *
 * --list prints the units of work, "LEARNER LAB" on a line, and grades none;
 * those with a result in DIR are left out.
 * --references only has the reference tested, which else the first one does.
 * --units grades those that are named in such a file, from line N to line N,
 * and writes no reports. --collect writes the reports from what is there. So
 * several machines that share the folders may grade one class. --probe says
 * whether there is a sandbox here.
 *
 * Exit status: 0 everything is graded, 1 something could not be, 2 wrong usage,
 * 4 there is no sandbox or a library is missing, 130 interrupted.
 */
#include "grade.h"

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
    const char *labs, *units;
    bool list, collect, references;
    long from, to;
} asked = {.from = 1, .to = 1000000000};

static char folder[4096];

static void remove_folder(void)
{
    if (*folder)
        tree_remove(folder);
}

_Noreturn static void usage(void)
{
    fputs("usage: grade [--out DIR] [--labs NAMES] [--jobs N] [--patience S]\n"
          "             [--unsafe] [--list | --references | --units FILE\n"
          "             [--from N] [--to N] | --collect] SUBMISSIONS\n"
          "       grade --probe\n",
          stderr);
    exit(STATUS_USAGE);
}

static long number(const char *word, long least, long most)
{
    char *end;
    long value = strtol(word, &end, 10);
    if (*end || !*word || value < least || value > most)
        errx(STATUS_USAGE, "%s: a number from %ld to %ld is needed", word,
             least, most);
    return value;
}

static const char *without_slashes(const char *path)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    return text_copy(path, len);
}

static struct grading read_arguments(int argc, char **argv)
{
    enum { LABS = 1, UNITS, FROM, TO, LIST, COLLECT, REFERENCES };
    static const struct option options[] = {
        {"out", required_argument, NULL, 'o'},
        {"labs", required_argument, NULL, LABS},
        {"jobs", required_argument, NULL, 'j'},
        {"patience", required_argument, NULL, 'p'},
        {"unsafe", no_argument, NULL, 'u'},
        {"list", no_argument, NULL, LIST},
        {"units", required_argument, NULL, UNITS},
        {"from", required_argument, NULL, FROM},
        {"to", required_argument, NULL, TO},
        {"references", no_argument, NULL, REFERENCES},
        {"collect", no_argument, NULL, COLLECT},
        {0}};
    struct grading grading = {.slots = (int)sysconf(_SC_NPROCESSORS_ONLN),
                              .patience_s = 60};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'o':
            grading.out = optarg;
            break;
        case LABS:
            asked.labs = optarg;
            break;
        case 'j':
            grading.slots = (int)number(optarg, 1, MOST_SLOTS);
            break;
        case 'p':
            grading.patience_s = (int)number(optarg, 1, 3600);
            break;
        case 'u':
            unsafe = true;
            break;
        case LIST:
            asked.list = true;
            break;
        case UNITS:
            asked.units = optarg;
            break;
        case FROM:
            asked.from = number(optarg, 1, asked.to);
            break;
        case TO:
            asked.to = number(optarg, 1, asked.to);
            break;
        case REFERENCES:
            asked.references = true;
            break;
        case COLLECT:
            asked.collect = true;
            break;
        default:
            usage();
        }
    }
    if (optind + 1 != argc)
        usage();
    grading.submissions = realpath(argv[optind], NULL);
    if (!grading.submissions || !is_folder(grading.submissions))
        err(STATUS_USAGE, "%s", argv[optind]);
    if (!grading.out || !*grading.out)
        grading.out = text("%s.graded", without_slashes(argv[optind]));
    if (grading.slots < 1 || grading.slots > MOST_SLOTS)
        grading.slots = 1;
    return grading;
}

/* Any unambiguous part of a lab's name, as at the root of the course. */
static const struct lab *find_lab(const struct course *course, const char *word)
{
    const struct lab *found = NULL;
    for (int c = 0; c < CHAPTER_COUNT; c++) {
        const struct chapter *chapter = &course->chapters[c];
        for (size_t i = 0; i < chapter->lab_count; i++) {
            const struct lab *lab = &chapter->labs[i];
            if (!strcmp(lab->name, word))
                return lab;
            if (!strstr(lab->name, word))
                continue;
            if (found)
                errx(STATUS_USAGE, "%s may be %s or %s", word, found->name,
                     lab->name);
            found = lab;
        }
    }
    if (!found)
        errx(STATUS_USAGE, "no lab is called %s", word);
    return found;
}

struct labs {
    struct lab *lab;
    size_t count;
};

static void add_lab(struct labs *labs, const struct lab *lab)
{
    for (size_t i = 0; i < labs->count; i++)
        if (labs->lab[i].path == lab->path)
            return;
    labs->lab = grow(labs->lab, labs->count, sizeof *labs->lab);
    labs->lab[labs->count++] = *lab;
}

static bool has_work(const struct grading *grading, struct learners learners,
                     const struct lab *lab)
{
    struct work skeleton = work_of_course(lab, "problem");
    for (size_t i = 0; i < learners.count; i++) {
        struct work work =
            work_read(grading->submissions, &learners.learner[i], lab);
        if (work.refused || (work.count && !work_equal(&work, &skeleton)))
            return true;
    }
    return false;
}

/* Those that were named, or else those on which somebody has worked. */
static struct labs choose_labs(const struct grading *grading,
                               struct learners learners)
{
    struct labs labs = {0};
    struct course course = course_read();
    char *rest, *words = text("%s", asked.labs ? asked.labs : "");
    for (char *word = strtok_r(words, " ,", &rest); word;
         word = strtok_r(NULL, " ,", &rest))
        add_lab(&labs, find_lab(&course, word));
    if (labs.count)
        return labs;
    for (int c = 0; c < CHAPTER_COUNT; c++) {
        const struct chapter *chapter = &course.chapters[c];
        for (size_t i = 0; i < chapter->lab_count; i++)
            if (has_work(grading, learners, &chapter->labs[i]))
                add_lab(&labs, &chapter->labs[i]);
    }
    return labs;
}

static void need_sandbox(void)
{
    const char *why = unsafe ? NULL : sandbox_missing(slot_uid(0));
    if (!why)
        return;
    fprintf(stderr,
            "There is no sandbox on this machine, so nothing is graded: what "
            "learners hand\nin would run with your rights.\n    %s\n"
            "It takes bubblewrap 0.8 or newer (tools/setup --how bubblewrap) "
            "and a kernel that\ngives user namespaces. On a machine that has "
            "nothing to lose: UNSAFE=1\n",
            why);
    exit(STATUS_MISSING);
}

static void make_folder(void)
{
    const char *tmp = getenv("TMPDIR");
    int len = snprintf(folder, sizeof folder, "%s/grade-XXXXXX",
                       tmp && *tmp ? tmp : "/tmp");
    if (len >= (int)sizeof folder || !mkdtemp(folder)) {
        *folder = '\0';
        err(1, "a temporary folder");
    }
    atexit(remove_folder);
    /* Other users go through it to what is theirs, and see nothing else. */
    if (chmod(folder, 0711) == -1)
        err(1, "%s", folder);
}

/* What the reference skips nobody can pass; it has to pass the rest. */
static const char *look_at_reference(const struct grading *grading,
                                     struct kit_lab *lab)
{
    const struct unit unit = {.lab = lab};
    lab->skipped = (struct names){0};
    json_t *result = unit_result(grading, &unit);
    if (!result)
        return "the reference could not be graded";
    const char *status = json_string_value(json_object_get(result, "status"));
    if (status && strcmp(status, "graded") != 0)
        return text("the reference: %s: %s", status,
                    json_string_value(json_object_get(result, "reason")));
    const json_t *tests = json_object_get(result, "tests");
    for (size_t i = 0; i < json_array_size(tests); i++) {
        const json_t *test = json_array_get(tests, i);
        const char *name = json_string_value(json_object_get(test, "name"));
        const char *word = json_string_value(json_object_get(test, "verdict"));
        if (!strcmp(word, "skipped")) {
            lab->skipped.name = grow(lab->skipped.name, lab->skipped.count,
                                     sizeof *lab->skipped.name);
            lab->skipped.name[lab->skipped.count++] = text("%s", name);
        } else if (strcmp(word, "ok") != 0) {
            return text("the reference does not pass %s here: %s", name, word);
        }
    }
    json_decref(result);
    return NULL;
}

struct units {
    struct unit *unit;
    size_t count;
};

static void add_unit(struct units *units, const struct learner *learner,
                     const struct kit_lab *lab)
{
    units->unit = grow(units->unit, units->count, sizeof *units->unit);
    units->unit[units->count++] = (struct unit){learner, lab};
}

/* Every learner with every lab; nobody has to wait for the last of a lab. */
static struct units all_units(struct learners learners,
                              const struct kit_lab *labs, size_t lab_count)
{
    struct units units = {0};
    for (size_t i = 0; i < learners.count; i++)
        for (size_t l = 0; l < lab_count; l++)
            add_unit(&units, &learners.learner[i], &labs[l]);
    return units;
}

/* The unit of a line; NULL when it is none. Most often it is the next one. */
static const struct unit *find_unit(const struct units *all, const char *line,
                                    size_t next)
{
    for (size_t tries = 0; tries < all->count; tries++) {
        const struct unit *unit = &all->unit[(next + tries) % all->count];
        size_t len = strlen(unit->learner->id);
        if (!strncmp(line, unit->learner->id, len) && line[len] == ' ' &&
            !strcmp(line + len + 1, unit->lab->lab.name))
            return unit;
    }
    return NULL;
}

/* Those of them that the file names in the lines asked for. */
static struct units named_units(const struct units *all)
{
    struct units units = {0};
    struct lines lines = file_lines(asked.units);
    size_t next = 0;
    if (lines.count == 0)
        errx(STATUS_USAGE, "%s: no units in it", asked.units);
    for (long n = asked.from; n <= asked.to && n <= (long)lines.count; n++) {
        const struct unit *unit = find_unit(all, lines.line[n - 1], next);
        if (!unit)
            errx(STATUS_USAGE, "%s:%ld: no such unit", asked.units, n);
        add_unit(&units, unit->learner, unit->lab);
        next = (size_t)(unit - all->unit) + 1;
    }
    return units;
}

static bool is_in(const struct units *units, const struct kit_lab *lab)
{
    for (size_t i = 0; i < units->count; i++)
        if (units->unit[i].lab == lab)
            return true;
    return false;
}

/* Those for which there is no result yet. */
static struct units without_result(const struct grading *grading,
                                   const struct units *units)
{
    struct units pending = {0};
    for (size_t i = 0; i < units->count; i++) {
        const struct unit *unit = &units->unit[i];
        json_t *result = unit_result(grading, unit);
        if (!result)
            add_unit(&pending, unit->learner, unit->lab);
        json_decref(result);
    }
    return pending;
}

/* Builds the tests of the units' labs and has the reference pass them. */
static void prepare(struct grading *grading, struct kit_lab *labs,
                    size_t lab_count, const struct units *units)
{
    struct units references = {0};
    need_sandbox();
    make_folder();
    grading->folder = folder;
    grading->kit = kit_new(folder);
    for (size_t i = 0; i < lab_count; i++) {
        if (!is_in(units, &labs[i]))
            continue;
        const struct unit reference = {.lab = &labs[i]};
        if (labs[i].problem) /* perhaps not this time */
            unit_forget(grading, &reference);
        labs[i].problem = NULL;
        kit_add(&grading->kit, &labs[i]);
        if (!labs[i].problem)
            add_unit(&references, NULL, &labs[i]);
    }
    kit_close(&grading->kit);
    slots_run(grading, references.unit, references.count, "references");
    for (size_t i = 0; i < lab_count; i++)
        if (is_in(units, &labs[i]) && !labs[i].problem)
            labs[i].problem = look_at_reference(grading, &labs[i]);
}

/* Grades what is to be graded; the number of units for which that failed. */
static size_t grade(struct grading *grading, struct kit_lab *labs,
                    size_t lab_count, const struct units *units)
{
    struct units able = {0};
    prepare(grading, labs, lab_count, units);
    for (size_t i = 0; i < units->count; i++)
        if (!units->unit[i].lab->problem)
            add_unit(&able, units->unit[i].learner, units->unit[i].lab);
    if (slots_interrupted)
        return units->count;
    return units->count - able.count +
           slots_run(grading, able.unit, able.count, "graded");
}

/* What they did last time holds until something changes. */
static void look_at_references(const struct grading *grading,
                               struct kit_lab *labs, size_t lab_count)
{
    for (size_t i = 0; i < lab_count; i++)
        labs[i].problem = look_at_reference(grading, &labs[i]);
}

/* Does what was asked for with the units that have no result; the number of
 * those that have none afterwards, and should. */
static size_t work_on(struct grading *grading, struct kit_lab *labs,
                      size_t lab_count, const struct units *units)
{
    size_t failed = 0;
    look_at_references(grading, labs, lab_count);
    struct units pending = without_result(grading, units);
    if (asked.references)
        prepare(grading, labs, lab_count, units);
    else if (asked.collect)
        failed = pending.count;
    else if (pending.count)
        failed = grade(grading, labs, lab_count, &pending);
    for (size_t i = 0; i < lab_count; i++)
        if (labs[i].problem && is_in(&pending, &labs[i])) {
            warnx("%s: %s", labs[i].lab.name, labs[i].problem);
            failed++;
        }
    return failed;
}

static void print_units(const struct units *units)
{
    for (size_t i = 0; i < units->count; i++)
        printf("%s %s\n", units->unit[i].learner->id,
               units->unit[i].lab->lab.name);
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "inside"))
        inside_main(argc - 1, argv + 1);
    slots_catch_signals();
    if (argc == 2 && !strcmp(argv[1], "--probe")) {
        need_sandbox();
        return STATUS_PASS;
    }
    struct grading grading = read_arguments(argc, argv);
    struct learners learners = learners_read(grading.submissions);
    struct labs chosen = choose_labs(&grading, learners);
    struct kit_lab *labs = keep(calloc(chosen.count + 1, sizeof *labs));
    for (size_t i = 0; i < chosen.count; i++)
        labs[i] = kit_lab_read(&chosen.lab[i]);
    struct units units = all_units(learners, labs, chosen.count);
    if (asked.list) {
        look_at_references(&grading, labs, chosen.count);
        units = without_result(&grading, &units);
        print_units(&units);
        return STATUS_PASS;
    }
    if (asked.units)
        units = named_units(&units);

    size_t failed = work_on(&grading, labs, chosen.count, &units);
    if (slots_interrupted) {
        warnx("interrupted; what is graded stays, and the same command goes "
              "on");
        return STATUS_INTERRUPTED;
    }
    if (!asked.units && !asked.references)
        report_write(&grading, learners, labs, chosen.count);
    return failed ? STATUS_FAIL : STATUS_PASS;
}
