/*
 * unit.c - one learner's work on one lab, from sources to a result file.
 *
 * A result says what is true of the submission, and nothing of the run: no
 * times, no process numbers. The same submission gives the same bytes.
 */
#include "grade.h"
#include "test/page.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_TEXT = 16 * 1024 }; /* bytes of one test's explanation */

/* What came out of a sandbox, piece by piece. */
struct reader {
    char *at, *end;
};

struct record {
    const char *kind, *word, *name;
    const char *text;
};

/* The next record; false at the end or where it makes no sense. A record is a
 * line of words, the last of them the length of the text that follows. */
static bool read_record(struct reader *reader, struct record *record)
{
    char *line = reader->at, *word[4] = {"", "", "", ""}, *rest, *end;
    char *newline = memchr(line, '\n', (size_t)(reader->end - line));
    int count = 0;
    if (!newline)
        return false;
    *newline = '\0';
    reader->at = newline + 1;
    for (char *at = strtok_r(line, " ", &rest); at && count < 4;
         at = strtok_r(NULL, " ", &rest))
        word[count++] = at;
    *record = (struct record){word[0], "", "", ""};
    if (count < 2)
        return count == 1;
    unsigned long len = strtoul(word[count - 1], &end, 10);
    if (*end || len >= (size_t)(reader->end - reader->at) ||
        reader->at[len] != '\n')
        return false;
    record->text = clean_text(reader->at, len < MOST_TEXT ? len : MOST_TEXT);
    record->word = count > 2 ? word[1] : "";
    record->name = count > 3 ? word[2] : "";
    reader->at += len + 1;
    return true;
}

/* The judge's words without what differs from run to run: how long it took, and
 * what its folder was called. */
static const char *lasting(const char *words)
{
    static const char took[] = "timed out", folder[] = "/lab-";
    char *result = text("%s", words);
    if (starts_with(result, took)) {
        const char *rest = strchrnul(result, '\n');
        memmove(result + strlen(took), rest, strlen(rest) + 1);
    }
    for (char *at = result; (at = strstr(at, folder));) {
        at += strlen(folder);
        for (int i = 0; i < 6 && *at > ' '; i++)
            *at++ = 'X';
    }
    return trim_end(result);
}

static bool is_among(const char *name, struct names names)
{
    for (size_t i = 0; i < names.count; i++)
        if (!strcmp(names.name[i], name))
            return true;
    return false;
}

/* What is known of a unit so far. */
struct verdict {
    const char *status; /* see .github/CONTRIBUTING.md */
    const char *reason;
    json_t *tests;
    size_t passed;
};

static void add_test(struct verdict *verdict, const char *name,
                     const char *word, const char *words)
{
    json_array_append_new(verdict->tests,
                          json_pack("{s:s, s:s, s:s}", "name", name, "verdict",
                                    word, "text", words));
    verdict->passed += !strcmp(word, "ok");
}

static void add_record(struct verdict *verdict, const struct unit *unit,
                       const struct record *record)
{
    bool skipped = !strcmp(record->word, "skipped");
    if (skipped && unit->learner && !is_among(record->name, unit->lab->skipped))
        add_test(verdict, record->name, "failed",
                 "it was skipped, and the reference was not");
    else
        add_test(verdict, record->name, record->word, lasting(record->text));
}

/* A status by which no test counts. */
static void set(struct verdict *verdict, const char *status, const char *reason)
{
    verdict->status = status;
    verdict->reason = reason;
    verdict->passed = 0;
}

/* What the records of a sandbox came to. */
enum reading { NOT_BEGUN, BUILT, DONE };

static enum reading read_build(struct outcome *outcome, struct verdict *verdict)
{
    struct reader reader = {outcome->bytes, outcome->bytes + outcome->len};
    struct record record;
    if (!read_record(&reader, &record) || strcmp(record.kind, "begin") != 0)
        return NOT_BEGUN;
    if (!read_record(&reader, &record))
        set(verdict, "does-not-build", "the compiler was stopped");
    else if (!strcmp(record.kind, "build"))
        set(verdict, "does-not-build", lasting(record.text));
    else if (!strcmp(record.kind, "refused"))
        set(verdict, "refused", lasting(record.text));
    else
        return BUILT;
    return DONE;
}

/* The judge's records: each test in its order, canaries, the end. */
static enum reading read_tests(const struct grading *grading,
                               const struct unit *unit, struct outcome *outcome,
                               struct verdict *verdict)
{
    struct reader reader = {outcome->bytes, outcome->bytes + outcome->len};
    struct record record;
    const struct names *names = &unit->lab->tests;
    size_t tests = 0, canaries = 0, good = 0;
    bool forged = false;
    if (!read_record(&reader, &record) || strcmp(record.kind, "begin") != 0)
        return NOT_BEGUN;
    while (read_record(&reader, &record)) {
        if (!strcmp(record.kind, "canary")) {
            canaries++;
            good += !strcmp(record.word, "failed") &&
                    strstr(record.text, CANARY_TEXT) != NULL;
            forged |=
                !strcmp(record.word, "ok") || !strcmp(record.word, "skipped");
        } else if (!strcmp(record.kind, "test") && tests < names->count &&
                   !strcmp(record.name, names->name[tests])) {
            tests++;
            add_record(verdict, unit, &record);
        } else {
            break;
        }
    }
    bool ended = !strcmp(record.kind, "end");
    if (outcome->impatient)
        set(verdict, "broken",
            text("nothing was heard of it for %d s", grading->patience_s));
    else if (!ended || tests != names->count || canaries == 0)
        set(verdict, "broken", "the judge was stopped before its end");
    else if (forged || (good < canaries && verdict->passed > 0))
        set(verdict, "invalid",
            "a test that has to fail did not: the harness was tampered with, "
            "and no result of this lab counts");
    return DONE;
}

static const char *result_path(const struct grading *grading,
                               const struct unit *unit)
{
    if (!unit->learner)
        return text("%s/reference/%s.json", grading->out, unit->lab->lab.name);
    return text("%s/units/%s/%s.json", grading->out, unit->learner->id,
                unit->lab->lab.name);
}

void unit_forget(const struct grading *grading, const struct unit *unit)
{
    const char *path = result_path(grading, unit);
    if (tree_remove(path) == -1)
        err(1, "%s", path);
}

static const char *digest_of(const struct unit *unit, const struct work *work)
{
    struct digest *digest = digest_new();
    digest_add(digest, unit->lab->digest, strlen(unit->lab->digest));
    for (size_t i = 0; unit->learner && i < unit->lab->skipped.count; i++)
        digest_add(digest, unit->lab->skipped.name[i],
                   strlen(unit->lab->skipped.name[i]));
    if (work->refused)
        digest_add(digest, work->refused, strlen(work->refused));
    for (size_t i = 0; i < work->count; i++) {
        const struct source *source = &work->source[i];
        digest_add(digest, source->name, strlen(source->name));
        digest_add(digest, source->bytes, source->len);
    }
    for (size_t i = 0; i < work->left_out.count; i++)
        digest_add(digest, work->left_out.name[i],
                   strlen(work->left_out.name[i]));
    return digest_end(digest);
}

static struct work read_work(const struct grading *grading,
                             const struct unit *unit)
{
    const struct lab *lab = &unit->lab->lab;
    return unit->learner ? work_read(grading->submissions, unit->learner, lab)
                         : work_of_course(lab, "solution");
}

static json_t *read_result(const struct grading *grading,
                           const struct unit *unit, const char *digest)
{
    json_t *result = json_load_file(result_path(grading, unit), 0, NULL);
    const char *done = json_string_value(json_object_get(result, "digest"));
    if (done && !strcmp(done, digest))
        return result;
    json_decref(result);
    return NULL;
}

json_t *unit_result(const struct grading *grading, const struct unit *unit)
{
    struct work work = read_work(grading, unit);
    return read_result(grading, unit, digest_of(unit, &work));
}

static void write_result(const struct grading *grading, const struct unit *unit,
                         const struct work *work, const char *digest,
                         struct verdict *verdict)
{
    const char *path = result_path(grading, unit);
    json_t *left_out = json_array();
    for (size_t i = 0; i < work->left_out.count; i++)
        json_array_append_new(left_out, json_string(work->left_out.name[i]));
    while (json_array_size(verdict->tests) < unit->lab->tests.count)
        add_test(verdict,
                 unit->lab->tests.name[json_array_size(verdict->tests)],
                 "not-run", "");
    json_t *result = json_pack(
        "{s:i, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:o, s:o}", "schema", SCHEMA,
        "lab", unit->lab->lab.name, "learner",
        unit->learner ? unit->learner->name : "", "digest", digest, "status",
        verdict->status, "reason", verdict->reason, "passed",
        (json_int_t)verdict->passed, "of",
        (json_int_t)(unit->lab->tests.count - unit->lab->skipped.count),
        "left_out", left_out, "tests", verdict->tests);
    char *bytes = result ? json_dumps(result, JSON_INDENT(1)) : NULL;
    if (!bytes)
        errx(1, "%s: cannot be told as JSON", path);
    keep(bytes);
    bytes = text("%s\n", bytes);
    if (folder_create(parent_of(path)) == -1 ||
        file_write(path, bytes, strlen(bytes)) == -1)
        err(1, "%s", path);
}

/* The sources in a folder that only the slot's user may look into, and places
 * for what else the lab has. */
static void stage(const char *folder, uid_t uid, const struct work *work)
{
    const char *const folders[] = {
        folder, text("%s/src", folder), text("%s/build", folder),
        text("%s/build/tests", folder), text("%s/tmp", folder)};
    if (tree_remove(folder) == -1)
        err(1, "%s", folder);
    for (int i = 0; i < 5; i++)
        if (mkdir(folders[i], 0700) == -1)
            err(1, "%s", folders[i]);
    if (file_write(text("%s/build/pkgs.mk", folder), "", 0) == -1)
        err(1, "%s", folder);
    for (size_t i = 0; i < work->count; i++) {
        const struct source *source = &work->source[i];
        const char *path = text("%s/src/%s", folder, source->name);
        if (file_write(path, source->bytes, source->len) == -1)
            err(1, "%s", path);
    }
    give_away(folder, uid);
}

/* Compiles in one sandbox, runs in another. */
static bool run(const struct grading *grading, const struct unit *unit,
                const struct work *work, int slot, struct verdict *verdict)
{
    const char *command[] = {"../../../.build/tools/grade",
                             "inside",
                             "compile",
                             text("%d", grading->patience_s),
                             unsafe ? "unsafe" : NULL,
                             NULL};
    const char *folder = text("%s/slot-%d", grading->folder, slot);
    struct sandbox sandbox = {.kit = &grading->kit,
                              .lab = unit->lab->path,
                              .folder = folder,
                              .builds = true,
                              .uid = slot_uid(slot),
                              .patience_s = grading->patience_s,
                              .command = command};
    struct outcome outcome;
    stage(folder, sandbox.uid, work);
    if (sandbox_run(&sandbox, &outcome) == -1)
        return false;
    enum reading reading = read_build(&outcome, verdict);
    if (reading == BUILT) {
        command[2] = "judge";
        sandbox.builds = false;
        if (sandbox_run(&sandbox, &outcome) == -1)
            return false;
        reading = read_tests(grading, unit, &outcome, verdict);
    }
    if (reading == NOT_BEGUN)
        warnx("the sandbox did not begin: %s", outcome.errors);
    return reading == DONE;
}

bool unit_grade(const struct grading *grading, const struct unit *unit,
                int slot)
{
    const struct kit_lab *lab = unit->lab;
    struct work work = unit->learner ? work_read(grading->submissions,
                                                 unit->learner, &lab->lab)
                                     : work_of_course(&lab->lab, "solution");
    struct verdict verdict = {
        .status = "graded", .reason = "", .tests = json_array()};
    const char *digest = digest_of(unit, &work);
    json_t *done = read_result(grading, unit, digest);
    if (done) {
        json_decref(done);
        return true;
    }
    if (work.refused)
        set(&verdict, "refused", work.refused);
    else if (work.count == 0)
        set(&verdict, "missing", "nothing was handed in");
    else if (unit->learner && work_equal(&work, &lab->skeleton))
        set(&verdict, "untouched", "this is the lab as it was handed out");
    else if (!run(grading, unit, &work, slot, &verdict))
        return false;
    write_result(grading, unit, &work, digest, &verdict);
    return true;
}
