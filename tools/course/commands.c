/*
 * commands.c - `course commands`: compile_commands.json, from which clangd and
 * editors learn how each file is compiled. Its format: "JSON Compilation
 * Database Format Specification" in Clang's manual.
 */
#include "course.h"
#include "process.h"
#include "verbs.h"

#include <err.h>
#include <jansson.h>
#include <string.h>

/* For what belongs to no lab. */
static const char own_flags[] =
    "cc -std=c17 -D_GNU_SOURCE -Wall -Wextra -Wno-unused-parameter -g "
    "-Icommon -I.";

static void add_command(json_t *all, const char *folder, const char *flags,
                        const char *file)
{
    json_t *entry =
        json_pack("{s:s, s:s, s:s}", "directory", folder, "command",
                  text("%s -c %s", flags, text_quoted(file)), "file", file);
    /* A name that is no UTF-8 cannot be written down in JSON. */
    if (!entry || json_array_append_new(all, entry) < 0)
        warnx("%s/%s is left out", folder, file);
}

/* Adds every .c of folder/part and below. */
static void add_folder(json_t *all, const char *folder, const char *flags,
                       const char *part)
{
    struct names names = folder_names(text("%s/%s", folder, part));
    for (size_t i = 0; i < names.count; i++) {
        const char *file = text("%s/%s", part, names.name[i]);
        if (is_folder(text("%s/%s", folder, file)))
            add_folder(all, folder, flags, file);
        else if (ends_with(file, ".c"))
            add_command(all, folder, flags, file);
    }
}

/* Returns -1 when the lab's makefile does not tell its flags. */
static int add_lab(json_t *all, const struct lab *lab)
{
    static const char *const command[] = {"make", "-s", "--no-print-directory",
                                          "compile-flags", NULL};
    static const char *const parts[] = {"src", "solution", "problem", "tests",
                                        "bench"};
    int status;
    char *flags = trim_end(process_output(lab->path, command, &status));
    if (status != 0 || *flags == '\0' || strchr(flags, '\n')) {
        warnx("%s: make compile-flags gives no line of flags", lab->name);
        return -1;
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        add_folder(all, lab->path, flags, parts[i]);
    return 0;
}

static int write_commands(const json_t *all)
{
    const char *path = text("%s/compile_commands.json", course_root());
    char *json = json_dumps(all, JSON_INDENT(2));
    if (!json) {
        warnx("%s: out of memory", path);
        return -1;
    }
    keep(json);
    if (file_write(path, json, strlen(json)) == 0)
        return 0;
    warn("%s", path);
    return -1;
}

int commands_verb(int argc, char **argv)
{
    struct course course = course_read();
    int status = STATUS_PASS;
    json_t *all = json_array();
    if (!all)
        errx(STATUS_FAIL, "out of memory");
    for (int c = 0; c < CHAPTER_COUNT; c++)
        for (size_t i = 0; i < course.chapters[c].lab_count; i++)
            if (add_lab(all, &course.chapters[c].labs[i]) < 0)
                status = STATUS_FAIL;
    add_folder(all, course_root(), own_flags, "common");
    add_folder(all, course_root(), own_flags, "tools");
    if (write_commands(all) < 0)
        status = STATUS_FAIL;
    json_decref(all);
    return status;
}
