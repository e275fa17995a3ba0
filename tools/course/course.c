#include "course.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name, *title;
} chapters[CHAPTER_COUNT] = {
    {"chapter_01_foundation", "Foundation: C and Linux"},
    {"chapter_02_os", "OS"},
    {"chapter_03_network", "Network"},
    {"chapter_04_database", "Database"},
    {"chapter_05_distributed", "Distributed"},
    {"chapter_06_project", "Capstone project"},
};

static const char *absolute(const char *path)
{
    char *result = realpath(path, NULL);
    return result ? keep(result) : NULL;
}

const char *course_root(void)
{
    static const char *root;
    if (root)
        return root;
    const char *given = getenv("COURSE_ROOT");
    if (given && *given) {
        root = absolute(given);
        if (!root)
            err(STATUS_USAGE, "COURSE_ROOT=%s", given);
        return root;
    }
    const char *self = absolute("/proc/self/exe");
    if (!self || !ends_with(parent_of(self), "/.build/tools"))
        errx(STATUS_USAGE, "not in a course's .build/tools: set COURSE_ROOT");
    root = parent_of(parent_of(parent_of(self)));
    return root;
}

const char *page_in(const char *folder, const char *name)
{
    const char *path = text("%s/%s", folder, name);
    return file_exists(path) ? path_shown(path) : NULL;
}

static void add_topic(struct chapter *chapter, const char *topic)
{
    struct names names = folder_names(topic);
    size_t labs_before = chapter->lab_count;
    for (size_t i = 0; i < names.count; i++) {
        char *path = text("%s/%s", topic, names.name[i]);
        /* A lab that left the course may leave a folder with src/ behind. */
        if (!starts_with(names.name[i], "lab_") ||
            !file_exists(text("%s/Makefile", path)))
            continue;
        chapter->labs =
            grow(chapter->labs, chapter->lab_count, sizeof *chapter->labs);
        chapter->labs[chapter->lab_count++] =
            (struct lab){.name = names.name[i], .path = path, .topic = topic};
    }
    if (chapter->lab_count == labs_before && !page_in(topic, "theory.md"))
        return;
    chapter->topics =
        grow(chapter->topics, chapter->topic_count, sizeof *chapter->topics);
    chapter->topics[chapter->topic_count++] = topic;
}

struct course course_read(void)
{
    struct course course = {0};
    for (int i = 0; i < CHAPTER_COUNT; i++) {
        struct chapter *chapter = &course.chapters[i];
        chapter->name = chapters[i].name;
        chapter->title = chapters[i].title;
        char *folder = text("%s/%s", course_root(), chapter->name);
        struct names topics = folder_names(folder);
        for (size_t t = 0; t < topics.count; t++)
            add_topic(chapter, text("%s/%s", folder, topics.name[t]));
    }
    return course;
}

static void add_item(const char ***items, size_t *count, const char *item)
{
    *items = grow(*items, *count, sizeof **items);
    (*items)[*count] = item;
    *count += item != NULL;
}

const char **course_items(const struct course *course)
{
    const char **items = NULL;
    size_t count = 0;
    for (int c = 0; c < CHAPTER_COUNT; c++) {
        const struct chapter *chapter = &course->chapters[c];
        for (size_t t = 0; t < chapter->topic_count; t++)
            add_item(&items, &count, page_in(chapter->topics[t], "theory.md"));
        add_item(&items, &count,
                 page_in(text("%s/%s", course_root(), chapter->name),
                         "checkpoint.md"));
    }
    add_item(&items, &count, NULL);
    return items;
}

const struct chapter *course_chapter(const struct course *course,
                                     const char *part)
{
    const struct chapter *found = NULL;
    for (int c = 0; c < CHAPTER_COUNT; c++) {
        if (!strstr(course->chapters[c].name, part))
            continue;
        if (found)
            return NULL;
        found = &course->chapters[c];
    }
    return found;
}

struct lab lab_at(const char *folder)
{
    const char *path = absolute(folder);
    if (!path)
        err(STATUS_USAGE, "%s", folder);
    const char *name = base_name(path);
    if (!starts_with(name, "lab_") || !is_folder(path))
        errx(STATUS_USAGE, "%s: not a lab's folder", folder);
    return (struct lab){.name = name, .path = path, .topic = parent_of(path)};
}

static void add_tests(struct names *tests, const char *path)
{
    static const char start[] = "TEST(test_";
    struct lines lines = file_lines(path);
    for (size_t i = 0; i < lines.count; i++) {
        if (!starts_with(lines.line[i], start))
            continue;
        char *name = lines.line[i] + strlen("TEST(");
        name[strcspn(name, " ,)")] = '\0';
        tests->name = grow(tests->name, tests->count, sizeof *tests->name);
        tests->name[tests->count++] = name;
    }
}

struct names lab_tests(const struct lab *lab)
{
    struct names tests = {0};
    struct names files = folder_names(text("%s/tests", lab->path));
    for (size_t i = 0; i < files.count; i++)
        if (ends_with(files.name[i], ".c"))
            add_tests(&tests, text("%s/tests/%s", lab->path, files.name[i]));
    return tests;
}

const char *path_shown(const char *path)
{
    const char *root = text("%s/", course_root());
    return starts_with(path, root) ? path + strlen(root) : path;
}

bool on_terminal(void)
{
    const char *passed_on = getenv("COURSE_TERMINAL");
    return isatty(STDOUT_FILENO) || (passed_on && *passed_on);
}

const char *colour(const char *sequence)
{
    const char *no_color = getenv("NO_COLOR");
    return on_terminal() && !(no_color && *no_color) ? sequence : "";
}
