/*
 * verdicts.c - from the judge's results to result lines: is this what the run
 * of a skeleton, of a solution, of a mistake has to give?
 */
#include "report.h"
#include "results.h"
#include "verbs.h"

#include <string.h>

static const char *reason_of(const struct result *result)
{
    return *result->reason ? result->reason : "this machine does not allow it";
}

/* In words what the judge said in one. */
static const char *in_words(const char *word)
{
    static const char *const table[][2] = {
        {"ok", "passed"},
        {"todo", "not done yet"},
        {"timeout", "timed out"},
        {"leak", "leaked memory"},
        {"race", "data race"},
        {"undefined", "undefined behaviour"},
        {"left-running", "left something running"},
        {"left-descriptors", "left descriptors open"},
        {"too-much-output", "printed too much"},
        {"fault", "fault of the harness"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(table[i][0], word))
            return table[i][1];
    return word;
}

/* An untouched skeleton must fail every test, and for the right reason. */
static void judge_skeleton(const char *lab, const struct result *result)
{
    if (result_is(result, "todo"))
        report_pass("%s skeleton %s", lab, result->test);
    else if (result_is(result, "skipped"))
        report_skip("%s skeleton %s: %s", lab, result->test, reason_of(result));
    else
        report_fail("%s skeleton %s: %s, expected: not done yet", lab,
                    result->test, in_words(result->word));
}

static void judge_solution(const char *lab, const struct result *result,
                           const char *mode)
{
    if (result_is(result, "ok"))
        report_pass("%s solution %s%s", lab, result->test, mode);
    else if (result_is(result, "skipped"))
        report_skip("%s solution %s%s: %s", lab, result->test, mode,
                    reason_of(result));
    else
        report_fail("%s solution %s%s: %s", lab, result->test, mode,
                    in_words(result->word));
}

static void judge_mistake(const char *lab, struct results results,
                          const char *test, const char *mistake)
{
    const struct result *result = NULL;
    for (size_t i = 0; i < results.count; i++)
        if (!strcmp(results.result[i].test, test))
            result = &results.result[i];
    if (!result)
        report_fail("%s mistake %s: %s did not run", lab, mistake, test);
    else if (result_is(result, "skipped"))
        report_skip("%s mistake %s: %s", lab, mistake, reason_of(result));
    else if (result_is(result, "ok"))
        report_fail("%s mistake %s: %s passes, expected: a failure", lab,
                    mistake, test);
    else if (result_is(result, "fault"))
        report_fail("%s mistake %s: %s", lab, mistake, in_words("fault"));
    else
        report_pass("%s mistake %s", lab, mistake);
}

/* A mistake's file name, or any word, as the name in the result line. */
static const char *name_of_mistake(const char *path)
{
    const char *name = base_name(path);
    size_t len = strlen(name);
    return ends_with(name, ".txt") ? text_copy(name, len - 4) : name;
}

int verdicts_verb(int argc, char **argv)
{
    const char *what = argv[1], *lab = base_name(argv[2]);
    struct results results = results_read(argv[3]);
    bool skeleton = !strcmp(what, "skeleton");
    bool solution = !strcmp(what, "solution");
    if (!strcmp(what, "mistake") && argc >= 5) {
        judge_mistake(lab, results, argv[4],
                      name_of_mistake(argc > 5 ? argv[5] : argv[4]));
        return report_status();
    }
    if ((!skeleton && !solution) || argc > 5 || (skeleton && argc > 4))
        usage_of("verdicts");
    const char *mode = argc > 4 ? text(" (%s)", argv[4]) : "";
    for (size_t i = 0; i < results.count; i++)
        if (skeleton)
            judge_skeleton(lab, &results.result[i]);
        else
            judge_solution(lab, &results.result[i], mode);
    if (results.count == 0)
        report_fail("%s %s%s: no test has run", lab, what, mode);
    return report_status();
}
