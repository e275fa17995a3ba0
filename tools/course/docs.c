/*
 * docs.c - `course docs`: runs a page and compares what its commands print.
 *
 * A page runs in a folder below .build/docs/, in which the course is set up
 * again as the page's reader would have it, so that nothing it does touches
 * the real one.
 */
#include "course.h"
#include "match.h"
#include "needs.h"
#include "report.h"
#include "session.h"
#include "verbs.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LIMIT_S = 120, LINES_BEFORE = 3, LINES_AFTER = 4 };

/* A page and the place where it runs. */
struct place {
    const char *page;   /* as in README.md, from the course's root */
    const char *mirror; /* the folder that stands for the root */
    const char *folder; /* in the mirror: where the commands run */
    enum { IN_LAB, IN_COURSE, IN_EMPTY_FOLDER } kind;
};

/* Never copied: build results, undone work. */
static const char *const left_out[] = {"build", ".undo", NULL};

static size_t depth_of(const char *page)
{
    size_t depth = 0;
    while ((page = strchr(page, '/'))) {
        page++;
        depth++;
    }
    return depth;
}

/* chapter/topic/lab_x/README.md runs in its lab, README.md and
 * chapter/README.md in the course, any other page in an empty folder. */
static struct place place_of(const char *page)
{
    struct place place = {.page = page, .kind = IN_EMPTY_FOLDER};
    const char *folder = parent_of(page);
    char *name = text_copy(page, strlen(page) - strlen(".md"));
    if (!strcmp(base_name(page), "README.md")) {
        if (depth_of(page) == 3 && starts_with(base_name(folder), "lab_"))
            place.kind = IN_LAB;
        else if (depth_of(page) < 2)
            place.kind = IN_COURSE;
    }
    if (place.kind == IN_LAB)
        name = text("%s", base_name(folder));
    for (char *slash = name; (slash = strchr(slash, '/'));)
        *slash = '_';
    place.mirror = text("%s/.build/docs/%s", course_root(), name);
    place.folder = place.kind == IN_LAB ? text("%s/%s", place.mirror, folder)
                                        : place.mirror;
    return place;
}

static bool is_left_out(const char *name, const char *const prefixes[])
{
    for (size_t i = 0; prefixes[i]; i++)
        if (starts_with(name, prefixes[i]))
            return true;
    return false;
}

/* What is in a folder appears in the mirror as links, but for some names. */
static int link_folder(const char *folder, const char *mirror,
                       const char *const except[])
{
    struct names names = folder_names(folder);
    for (size_t i = 0; i < names.count; i++) {
        const char *name = names.name[i];
        if (!is_left_out(name, except) &&
            symlink(text("%s/%s", folder, name), text("%s/%s", mirror, name)) <
                0)
            return -1;
    }
    return 0;
}

/* Copies the lab; what is in its folder `from` becomes the learner's work. */
static int copy_lab(const char *lab, const char *copy, const char *from)
{
    if (folder_create(parent_of(copy)) < 0 ||
        tree_copy(lab, copy, left_out) < 0 ||
        tree_remove(text("%s/src", copy)) < 0)
        return -1;
    return tree_copy(text("%s/%s", lab, from), text("%s/src", copy), left_out);
}

/* Copies all chapters, every lab as its learner first meets it. */
static int copy_chapters(const char *mirror)
{
    struct course course = course_read();
    for (int c = 0; c < CHAPTER_COUNT; c++) {
        const struct chapter *chapter = &course.chapters[c];
        const char *folder = text("%s/%s", course_root(), chapter->name);
        if (file_exists(folder) &&
            tree_copy(folder, text("%s/%s", mirror, chapter->name), left_out) <
                0)
            return -1;
        for (size_t i = 0; i < chapter->lab_count; i++) {
            const char *lab = chapter->labs[i].path;
            if (copy_lab(lab, text("%s/%s", mirror, path_shown(lab)),
                         "problem") < 0)
                return -1;
        }
    }
    return 0;
}

static int set_up(const struct place *place)
{
    static const char *const not_root[] = {"chapter_", ".git", ".progress",
                                           NULL};
    static const char *const not_topic[] = {"lab_", NULL};
    if (tree_remove(place->mirror) < 0 || folder_create(place->mirror) < 0)
        return -1;
    if (place->kind == IN_EMPTY_FOLDER)
        return 0;
    if (link_folder(course_root(), place->mirror, not_root) < 0)
        return -1;
    if (place->kind == IN_COURSE)
        return copy_chapters(place->mirror);
    /* The lab may use what lies beside it in its topic. */
    const char *lab = text("%s/%s", course_root(), parent_of(place->page));
    if (copy_lab(lab, place->folder, "solution") < 0)
        return -1;
    return link_folder(parent_of(lab), parent_of(place->folder), not_topic);
}

/* Why the step cannot run here, or NULL. */
static const char *reason_to_skip(const struct step *step)
{
    for (size_t i = 0; step->needs && step->needs[i]; i++) {
        const char *reason = need_missing(step->needs[i]);
        if (reason)
            return reason;
    }
    return NULL;
}

/* Shows the lines around the one that differs, which gets a mark. */
static void show_lines(const char *title, struct lines lines, size_t marked)
{
    report_detail("%s", title);
    size_t first = marked > LINES_BEFORE ? marked - LINES_BEFORE : 0;
    if (first > 0)
        report_detail("    (%zu lines as they should be)", first);
    for (size_t i = first; i < lines.count && i <= marked + LINES_AFTER; i++)
        report_detail("  %c %s", i == marked ? '>' : ' ', lines.line[i]);
    if (marked >= lines.count)
        report_detail("  > (end of output)");
    else if (lines.count > marked + LINES_AFTER + 1)
        report_detail("    (%zu more lines)",
                      lines.count - marked - LINES_AFTER - 1);
}

static void check_output(const char *name, const struct step *step,
                         char *output)
{
    struct lines actual = text_lines(output);
    struct difference difference;
    if (match_lines(step->output, actual, step->any_numbers, &difference)) {
        report_pass("%s", name);
        return;
    }
    report_fail("%s: it prints something else", name);
    show_lines("expected:", step->output, difference.expected);
    show_lines("actual:", actual, difference.actual);
}

static void report_not_ended(const char *name, const struct session *session)
{
    if (session->end == TOO_LONG)
        report_fail("%s: the page took more than %d s", name, session->limit_s);
    else if (session->end == TOO_MUCH)
        report_fail("%s: the page printed too much", name);
    else if (session->end == INTERRUPTED)
        report_fail("%s: interrupted", name);
    else
        report_fail("%s: the shell ended before this was over", name);
}

/* One result for each command. When the session came to an early end, the
 * first that did not end gets the blame, and the rest are not counted. */
static void report_steps(const struct place *place, const struct page *page,
                         const struct session *session,
                         const char *const skip[])
{
    for (size_t i = 0; i < page->count; i++) {
        const struct step *step = &page->steps[i];
        const char *name = text("docs %s:%d %s", place->page, step->line,
                                step->file ? step->file : step_name(step));
        if (skip[i]) {
            report_skip("docs %s:%d: %s", place->page, step->line, skip[i]);
        } else if (!session->outputs[i]) {
            report_not_ended(name, session);
            return;
        } else if (!step->file) {
            check_output(name, step, session->outputs[i]);
        } else if (*session->outputs[i]) {
            report_fail("%s: %s", name, trim_end(session->outputs[i]));
        }
    }
}

static bool has_commands(const struct page *page)
{
    for (size_t i = 0; i < page->count; i++)
        if (!page->steps[i].file)
            return true;
    return false;
}

static void run_page(const struct place *place, const struct page *page,
                     int limit_s)
{
    const char **skip = keep(calloc(page->count + 1, sizeof *skip));
    for (size_t i = 0; i < page->count; i++)
        skip[i] = reason_to_skip(&page->steps[i]);
    if (set_up(place) < 0)
        err(STATUS_FAIL, "docs %s: setting up %s", place->page, place->mirror);
    struct session session = {
        .folder = place->folder, .root = place->mirror, .limit_s = limit_s};
    if (session_run(&session, page, skip) < 0)
        err(STATUS_MISSING, "docs %s", place->page);
    report_steps(place, page, &session, skip);
    /* What has failed stays there to be looked at. */
    if (report_status() == 0 && tree_remove(place->mirror) < 0)
        warn("%s", place->mirror);
}

static const char *page_name(const char *path)
{
    char *real = realpath(path, NULL);
    if (!real)
        err(STATUS_USAGE, "%s", path);
    keep(real);
    const char *root = text("%s/", course_root());
    if (!starts_with(real, root) || !ends_with(real, ".md"))
        errx(STATUS_USAGE, "%s: not a page of this course", path);
    return real + strlen(root);
}

static int limit_of(const char *word)
{
    char *end;
    long seconds = strtol(word, &end, 10);
    if (*end || seconds < 1 || seconds > 86400)
        usage_of("docs");
    return (int)seconds;
}

int docs_verb(int argc, char **argv)
{
    bool limited = !strcmp(argv[1], "--limit");
    if (argc != (limited ? 4 : 2))
        usage_of("docs");
    int limit_s = limited ? limit_of(argv[2]) : LIMIT_S;
    struct place place = place_of(page_name(argv[argc - 1]));
    struct page page;
    const char *problem =
        page_read(text("%s/%s", course_root(), place.page), &page);
    if (problem)
        report_fail("docs %s:%s", place.page, problem);
    else if (has_commands(&page) && need_missing("bash"))
        report_skip("docs %s: %s", place.page, need_missing("bash"));
    else if (has_commands(&page))
        run_page(&place, &page, limit_s);
    else
        report_pass("docs %s no commands", place.page);
    return report_status();
}
