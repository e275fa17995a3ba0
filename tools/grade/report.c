/*
 * report.c - from result files to what people and programs read.
 *
 *     results.json         everything, for programs; "schema" is its version
 *     grades.csv           a line for each learner
 *     junit.xml            for CI systems
 *     reports/ID.txt       what a learner needs to know, plain
 *     reports/ID.html      and for browsers
 *     gradescope/ID.json   what Gradescope calls results.json
 *
 * All text in them has been through clean_text(); what is left to do is each
 * format's own quoting.
 */
#include "grade.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A file that is written at once when all is in it. */
struct page {
    FILE *file;
    char *bytes;
    size_t len;
};

static struct page *page_new(void)
{
    struct page *page = keep(calloc(1, sizeof *page));
    page->file = open_memstream(&page->bytes, &page->len);
    if (!page->file)
        errx(1, "out of memory");
    return page;
}

static void page_write(struct page *page, const char *path)
{
    if (fclose(page->file) == EOF)
        errx(1, "out of memory");
    if (folder_create(parent_of(path)) == -1 ||
        file_write(path, page->bytes, page->len) == -1)
        err(1, "%s", path);
    free(page->bytes);
}

/* One unit, as the reports see it. */
struct row {
    const struct learner *learner;
    const struct kit_lab *lab;
    json_t *result; /* the file; or a stand-in that says why there is none */
    const char *status, *reason;
    long passed, of;
};

/* A learner with a row for each lab. */
struct person {
    const struct learner *learner;
    struct row *rows;
    size_t count;
    long passed, of;
};

static const char *string_in(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : "";
}

static struct row read_row(const struct grading *grading,
                           const struct learner *learner,
                           const struct kit_lab *lab)
{
    const struct unit unit = {learner, lab};
    struct row row = {.learner = learner, .lab = lab};
    if (!lab->problem)
        row.result = unit_result(grading, &unit);
    if (!row.result)
        row.result =
            json_pack("{s:i, s:s, s:s, s:s, s:s, s:i, s:i, s:[], s:[]}",
                      "schema", SCHEMA, "lab", lab->lab.name, "learner",
                      learner->name, "status", "not-graded", "reason",
                      lab->problem ? lab->problem : "there is no result yet",
                      "passed", 0, "of", 0, "left_out", "tests");
    row.status = string_in(row.result, "status");
    row.reason = string_in(row.result, "reason");
    row.passed =
        (long)json_integer_value(json_object_get(row.result, "passed"));
    row.of = (long)json_integer_value(json_object_get(row.result, "of"));
    return row;
}

/* One of the tests or names in the result; NULL behind the last. */
static const json_t *item(const struct row *row, const char *key, size_t i)
{
    return json_array_get(json_object_get(row->result, key), i);
}

/* "20 of 21 tests passed", or why none counts. */
static const char *in_words(const struct row *row)
{
    static const char *const words[][2] = {
        {"missing", "not handed in"}, {"untouched", "not begun"},
        {"refused", "refused"},       {"does-not-build", "does not build"},
        {"invalid", "INVALID"},       {"broken", "could not be run to its end"},
        {"not-graded", "not graded"},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(words[i][0], row->status))
            return words[i][1];
    return text("%ld of %ld tests passed", row->passed, row->of);
}

static void print_indented(FILE *file, const char *words)
{
    struct lines lines = text_lines(text("%s", words));
    for (size_t i = 0; i < lines.count; i++)
        fprintf(file, "    %s\n", lines.line[i]);
}

static bool is_graded(const struct row *row)
{
    return !strcmp(row->status, "graded");
}

static void write_text(const struct person *person, const char *path)
{
    struct page *page = page_new();
    size_t i;
    const json_t *test, *name;
    fprintf(page->file, "%s\n%ld of %ld tests passed\n", person->learner->name,
            person->passed, person->of);
    if (unsafe)
        fputs("graded UNSAFELY, without a sandbox\n", page->file);
    for (size_t r = 0; r < person->count; r++) {
        const struct row *row = &person->rows[r];
        fprintf(page->file, "\n%s: %s\n", row->lab->lab.name, in_words(row));
        print_indented(page->file, row->reason);
        for (i = 0; (name = item(row, "left_out", i)); i++)
            fprintf(page->file, "    not taken: %s\n", json_string_value(name));
        for (i = 0; (test = item(row, "tests", i)); i++) {
            if (is_graded(row))
                fprintf(page->file, "test %s ... %s\n", string_in(test, "name"),
                        string_in(test, "text"));
        }
    }
    page_write(page, path);
}

/* For HTML and XML, elements and attributes alike. */
static const char *escaped(const char *words)
{
    struct page *page = page_new();
    for (const char *c = words; *c; c++) {
        if (*c == '&')
            fputs("&amp;", page->file);
        else if (*c == '<')
            fputs("&lt;", page->file);
        else if (*c == '>')
            fputs("&gt;", page->file);
        else if (*c == '"')
            fputs("&quot;", page->file);
        else if (*c == '\'')
            fputs("&#39;", page->file);
        else
            fputc(*c, page->file);
    }
    fclose(page->file);
    return keep(page->bytes);
}

static void write_html(const struct person *person, const char *path)
{
    struct page *page = page_new();
    const char *name = escaped(person->learner->name);
    size_t i;
    const json_t *test, *left_out;
    fprintf(page->file,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n"
            "<meta charset=\"utf-8\">\n<title>%s</title>\n<style>\n"
            "body { font-family: sans-serif; max-width: 50em; margin: 2em "
            "auto; }\n"
            "pre { background: #f4f4f4; padding: 0.5em; overflow-x: auto; }\n"
            ".ok { color: #060; } .bad { color: #a00; }\n"
            "</style>\n</head>\n<body>\n<h1>%s</h1>\n"
            "<p>%ld of %ld tests passed</p>\n",
            name, name, person->passed, person->of);
    if (unsafe)
        fputs("<p class=\"bad\">Graded UNSAFELY, without a sandbox.</p>\n",
              page->file);
    for (size_t r = 0; r < person->count; r++) {
        const struct row *row = &person->rows[r];
        fprintf(page->file, "<h2>%s: %s</h2>\n", escaped(row->lab->lab.name),
                in_words(row));
        if (*row->reason)
            fprintf(page->file, "<pre>%s</pre>\n", escaped(row->reason));
        for (i = 0; (left_out = item(row, "left_out", i)); i++)
            fprintf(page->file, "<p>not taken: %s</p>\n",
                    escaped(json_string_value(left_out)));
        for (i = 0; (test = item(row, "tests", i)); i++) {
            bool ok = !strcmp(string_in(test, "verdict"), "ok");
            if (is_graded(row) && ok)
                fprintf(page->file, "<p class=\"ok\">%s: ok</p>\n",
                        escaped(string_in(test, "name")));
            else if (is_graded(row))
                fprintf(page->file, "<p class=\"bad\">%s</p>\n<pre>%s</pre>\n",
                        escaped(string_in(test, "name")),
                        escaped(string_in(test, "text")));
        }
    }
    fputs("</body>\n</html>\n", page->file);
    page_write(page, path);
}

static void write_json(json_t *value, const char *path)
{
    char *bytes = value ? json_dumps(value, JSON_INDENT(1)) : NULL;
    if (!bytes)
        errx(1, "%s: cannot be told as JSON", path);
    struct page *page = page_new();
    fprintf(page->file, "%s\n", bytes);
    page_write(page, path);
    free(bytes);
    json_decref(value);
}

/* What is to be said of a test: its own words, or why it did not run. */
static const char *said(const struct row *row, const json_t *test)
{
    const char *words = string_in(test, "text");
    return *words ? words : text("%s\n%s", in_words(row), row->reason);
}

static void write_gradescope(const struct person *person, const char *path)
{
    json_t *tests = json_array();
    const json_t *test;
    size_t i;
    for (size_t r = 0; r < person->count; r++) {
        const struct row *row = &person->rows[r];
        for (i = 0; (test = item(row, "tests", i)); i++) {
            const char *verdict = string_in(test, "verdict");
            bool ok = is_graded(row) && !strcmp(verdict, "ok");
            /* Nobody can pass here what the reference skips. */
            if (is_graded(row) && !strcmp(verdict, "skipped"))
                continue;
            json_array_append_new(
                tests,
                json_pack(
                    "{s:i, s:i, s:s, s:s, s:s, s:s, s:s}", "score", ok,
                    "max_score", 1, "status", ok ? "passed" : "failed", "name",
                    text("%s: %s", row->lab->lab.name, string_in(test, "name")),
                    "output", said(row, test), "output_format", "text",
                    "visibility", "visible"));
        }
    }
    write_json(
        json_pack("{s:I, s:s, s:s, s:s, s:s, s:o}", "score",
                  (json_int_t)person->passed, "output",
                  text("%ld of %ld tests passed", person->passed, person->of),
                  "output_format", "text", "visibility", "visible",
                  "stdout_visibility", "hidden", "tests", tests),
        path);
}

/* RFC 4180; and what a spreadsheet would take for a formula is text. */
static void print_cell(FILE *file, const char *words)
{
    fputc('"', file);
    if (strchr("=+-@\t\r", *words) && *words)
        fputc('\'', file);
    for (const char *c = words; *c; c++) {
        if (*c == '"')
            fputc('"', file);
        fputc(*c, file);
    }
    fputc('"', file);
}

static void write_csv(const struct person *people, size_t count,
                      const struct kit_lab *labs, size_t lab_count,
                      const char *path)
{
    struct page *page = page_new();
    fputs("learner,id,passed,of", page->file);
    for (size_t l = 0; l < lab_count; l++)
        fprintf(page->file, ",%s passed,%s status", labs[l].lab.name,
                labs[l].lab.name);
    fputs("\r\n", page->file);
    for (size_t i = 0; i < count; i++) {
        const struct person *person = &people[i];
        print_cell(page->file, person->learner->name);
        fputc(',', page->file);
        print_cell(page->file, person->learner->id);
        fprintf(page->file, ",%ld,%ld", person->passed, person->of);
        for (size_t r = 0; r < person->count; r++)
            fprintf(page->file, ",%ld,%s", person->rows[r].passed,
                    person->rows[r].status);
        fputs("\r\n", page->file);
    }
    page_write(page, path);
}

/* A wrong result is a failure, a run that went off the rails an error. */
static const char *junit_kind(const struct row *row, const char *verdict)
{
    static const char *const errors[] = {"crashed", "timeout", "fault",
                                         "not-run"};
    if (!is_graded(row))
        return "error";
    if (!strcmp(verdict, "ok"))
        return NULL;
    if (!strcmp(verdict, "skipped"))
        return "skipped";
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (!strcmp(verdict, errors[i]))
            return "error";
    return "failure";
}

static void print_suite(FILE *file, const struct row *row)
{
    size_t i;
    int failures = 0, errors = 0, skipped = 0;
    const json_t *test;
    for (i = 0; (test = item(row, "tests", i)); i++) {
        const char *kind = junit_kind(row, string_in(test, "verdict"));
        failures += kind && !strcmp(kind, "failure");
        errors += kind && !strcmp(kind, "error");
        skipped += kind && !strcmp(kind, "skipped");
    }
    const char *learner = escaped(row->learner->name);
    fprintf(file,
            " <testsuite name=\"%s %s\" tests=\"%zu\" failures=\"%d\" "
            "errors=\"%d\" skipped=\"%d\">\n",
            learner, row->lab->lab.name,
            json_array_size(json_object_get(row->result, "tests")), failures,
            errors, skipped);
    for (i = 0; (test = item(row, "tests", i)); i++) {
        const char *kind = junit_kind(row, string_in(test, "verdict"));
        fprintf(file, "  <testcase classname=\"%s.%s\" name=\"%s\"", learner,
                row->lab->lab.name, escaped(string_in(test, "name")));
        if (!kind)
            fputs("/>\n", file);
        else
            fprintf(file, ">\n   <%s message=\"%s\">%s</%s>\n  </testcase>\n",
                    kind,
                    is_graded(row) ? string_in(test, "verdict") : row->status,
                    escaped(said(row, test)), kind);
    }
    fputs(" </testsuite>\n", file);
}

static void write_junit(const struct person *people, size_t count,
                        const char *path)
{
    struct page *page = page_new();
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n",
          page->file);
    for (size_t i = 0; i < count; i++)
        for (size_t r = 0; r < people[i].count; r++)
            print_suite(page->file, &people[i].rows[r]);
    fputs("</testsuites>\n", page->file);
    page_write(page, path);
}

static void write_results(const struct person *people, size_t count,
                          const struct kit_lab *labs, size_t lab_count,
                          const char *path)
{
    json_t *all_labs = json_array(), *learners = json_array();
    for (size_t l = 0; l < lab_count; l++) {
        json_t *tests = json_array();
        for (size_t i = 0; i < labs[l].tests.count; i++)
            json_array_append_new(tests, json_string(labs[l].tests.name[i]));
        json_array_append_new(
            all_labs,
            json_pack("{s:s, s:I, s:s, s:o}", "lab", labs[l].lab.name, "of",
                      (json_int_t)(labs[l].tests.count - labs[l].skipped.count),
                      "problem", labs[l].problem ? labs[l].problem : "",
                      "tests", tests));
    }
    for (size_t i = 0; i < count; i++) {
        const struct person *person = &people[i];
        json_t *results = json_array();
        for (size_t r = 0; r < person->count; r++)
            json_array_append(results, person->rows[r].result);
        json_array_append_new(
            learners,
            json_pack("{s:s, s:s, s:I, s:I, s:o}", "learner",
                      person->learner->name, "id", person->learner->id,
                      "passed", (json_int_t)person->passed, "of",
                      (json_int_t)person->of, "results", results));
    }
    write_json(json_pack("{s:i, s:b, s:o, s:o}", "schema", SCHEMA, "sandbox",
                         !unsafe, "labs", all_labs, "learners", learners),
               path);
}

static struct person read_person(const struct grading *grading,
                                 const struct learner *learner,
                                 const struct kit_lab *labs, size_t lab_count)
{
    struct person person = {.learner = learner, .count = lab_count};
    person.rows = keep(calloc(lab_count + 1, sizeof *person.rows));
    for (size_t l = 0; l < lab_count; l++) {
        person.rows[l] = read_row(grading, learner, &labs[l]);
        person.passed += person.rows[l].passed;
        person.of += person.rows[l].of;
    }
    return person;
}

/* How many units ended how. */
static void print_sums(const struct person *people, size_t count,
                       const char *out)
{
    static const char *const statuses[] = {
        "graded",  "missing", "untouched", "does-not-build",
        "refused", "broken",  "invalid",   "not-graded"};
    for (size_t s = 0; s < sizeof statuses / sizeof *statuses; s++) {
        size_t found = 0;
        for (size_t i = 0; i < count; i++)
            for (size_t r = 0; r < people[i].count; r++)
                found += !strcmp(people[i].rows[r].status, statuses[s]);
        if (found)
            printf("%6zu %s\n", found, statuses[s]);
    }
    printf("%zu learner%s: %s/grades.csv, %s/reports\n", count,
           count == 1 ? "" : "s", out, out);
}

void report_write(const struct grading *grading, struct learners learners,
                  const struct kit_lab *labs, size_t lab_count)
{
    const char *out = grading->out;
    struct person *people = keep(calloc(learners.count + 1, sizeof *people));
    for (size_t i = 0; i < learners.count; i++) {
        const char *id = learners.learner[i].id;
        people[i] = read_person(grading, &learners.learner[i], labs, lab_count);
        write_text(&people[i], text("%s/reports/%s.txt", out, id));
        write_html(&people[i], text("%s/reports/%s.html", out, id));
        write_gradescope(&people[i], text("%s/gradescope/%s.json", out, id));
    }
    write_csv(people, learners.count, labs, lab_count,
              text("%s/grades.csv", out));
    write_junit(people, learners.count, text("%s/junit.xml", out));
    write_results(people, learners.count, labs, lab_count,
                  text("%s/results.json", out));
    print_sums(people, learners.count, out);
}
