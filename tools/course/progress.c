#include "progress.h"

#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *progress_path(void)
{
    return text("%s/.progress", course_root());
}

static bool is_time(const char *word)
{
    static const char shape[] = "0000-00-00T00:00:00.000Z";
    size_t i = 0;
    for (; shape[i]; i++)
        if (shape[i] == '0' ? word[i] < '0' || word[i] > '9'
                            : word[i] != shape[i])
            return false;
    return word[i] == '\0';
}

/* Cuts off the first word in place and moves *line behind it. */
static const char *next_word(char **line)
{
    char *word = strsep(line, " ");
    return word ? word : "";
}

static int compare_lines(const void *one, const void *other)
{
    return strcmp(*(char *const *)one, *(char *const *)other);
}

struct progress progress_read(void)
{
    struct progress progress = {0};
    struct lines lines = file_lines(progress_path());
    const char *last = "";
    if (lines.count)
        qsort(lines.line, lines.count, sizeof *lines.line, compare_lines);
    for (size_t i = 0; i < lines.count; i++) {
        const char *whole = text("%s", trim_end(lines.line[i]));
        if (!strcmp(whole, last))
            continue;
        last = whole;
        char *rest = lines.line[i];
        struct fact fact = {.time = next_word(&rest)};
        fact.what = next_word(&rest);
        fact.item = next_word(&rest);
        fact.detail = rest ? rest : "";
        if (!is_time(fact.time) || !*fact.item)
            continue;
        progress.facts =
            grow(progress.facts, progress.count, sizeof *progress.facts);
        progress.facts[progress.count++] = fact;
    }
    return progress;
}

/* A line that some editor left without its newline must not swallow ours. */
static bool ends_inside_line(const char *path)
{
    size_t len;
    char *all = file_read(path, &len);
    return all && len > 0 && all[len - 1] != '\n';
}

static const char *time_now(void)
{
    char seconds[sizeof "2026-11-20T12:41:03"];
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S",
             gmtime_r(&now.tv_sec, &utc));
    return text("%s.%03ldZ", seconds, now.tv_nsec / 1000000);
}

void progress_add(const char *what, const char *item, const char *detail)
{
    const char *path = progress_path();
    char *line =
        text("%s%s %s %s%s%s\n", ends_inside_line(path) ? "\n" : "", time_now(),
             what, item, detail ? " " : "", detail ? detail : "");
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    /* One write: two commands at a time do not mix their lines. */
    ssize_t written = fd < 0 ? -1 : write(fd, line, strlen(line));
    if (written < 0 || close(fd) < 0)
        err(STATUS_FAIL, "%s", path);
    if ((size_t)written < strlen(line))
        errx(STATUS_FAIL, "%s: no room for the line", path);
}

static bool fact_is(const struct fact *fact, const char *what, const char *item)
{
    return !strcmp(fact->what, what) && !strcmp(fact->item, item);
}

const struct fact *progress_first(const struct progress *progress,
                                  const char *what, const char *item)
{
    for (size_t i = 0; i < progress->count; i++)
        if (fact_is(&progress->facts[i], what, item))
            return &progress->facts[i];
    return NULL;
}

const struct fact *progress_last(const struct progress *progress,
                                 const char *what, const char *item)
{
    for (size_t i = progress->count; i > 0; i--)
        if (fact_is(&progress->facts[i - 1], what, item))
            return &progress->facts[i - 1];
    return NULL;
}

const struct fact *progress_passed(const struct progress *progress,
                                   const struct lab *lab)
{
    return progress_first(progress, "passed", lab->name);
}

size_t progress_attempts(const struct progress *progress, const struct lab *lab)
{
    const struct fact *passed = progress_passed(progress, lab);
    size_t attempts = passed != NULL;
    for (size_t i = 0; i < progress->count; i++) {
        const struct fact *fact = &progress->facts[i];
        if (fact == passed)
            break;
        attempts += fact_is(fact, "tried", lab->name);
    }
    return attempts;
}

bool progress_ticked(const struct progress *progress, const char *item)
{
    const struct fact *done = progress_last(progress, "done", item);
    const struct fact *undone = progress_last(progress, "undone", item);
    return done && (!undone || done > undone);
}

const struct lab *progress_next(const struct progress *progress,
                                const struct course *course)
{
    for (int c = 0; c < CHAPTER_COUNT; c++)
        for (size_t i = 0; i < course->chapters[c].lab_count; i++)
            if (!progress_passed(progress, &course->chapters[c].labs[i]))
                return &course->chapters[c].labs[i];
    return NULL;
}
