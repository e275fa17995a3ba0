/*
 * kit.c - the pristine course, as much of it as a sandbox gets to see.
 *
 * Rules, headers, data and the built tests of the labs: no solution, no
 * skeleton, no mistakes, no hints, and of the tests only their objects. The
 * copy keeps the times of files, so make finds everything up to date.
 */
#include "grade.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Files of the harness that decide what a verdict is. */
static const char *const deciding[] = {"common", "tools/judge", "tools/grade",
                                       ".build/config.mk", NULL};

static void create(const char *path)
{
    if (folder_create(path) == -1)
        err(1, "%s", path);
}

static void write_file(const char *path, const char *bytes)
{
    if (file_write(path, bytes, strlen(bytes)) == -1)
        err(1, "%s", path);
}

/* "HAVE_LSAN := yes" in config.mk; "" when it is not there. */
static const char *config(const char *name)
{
    struct lines lines = file_lines(text("%s/.build/config.mk", course_root()));
    const char *start = text("%s := ", name);
    for (size_t i = 0; i < lines.count; i++)
        if (starts_with(lines.line[i], start))
            return lines.line[i] + strlen(start);
    return "";
}

struct kit kit_new(const char *folder)
{
    static const char *const shared[] = {
        "common",         "tools/probe",      "tools/setup",
        "tools/packages", ".build/config.mk", ".build/faults.syms",
        ".build/lib",     ".build/tools",     NULL};
    struct kit kit = {.course = text("%s/course", folder),
                      .etc = text("%s/etc", folder),
                      .compiler = config("CONFIG_CC"),
                      .has_lsan = *config("HAVE_LSAN")};
    create(text("%s/tools", kit.course));
    create(text("%s/.build", kit.course));
    for (int i = 0; shared[i]; i++)
        copy_tree(text("%s/%s", course_root(), shared[i]),
                  text("%s/%s", kit.course, shared[i]));
    create(kit.etc);
    write_file(text("%s/passwd", kit.etc),
               "root:x:0:0:root:/:/bin/sh\n"
               "learner:x:1000:1000:learner:/tmp:/bin/sh\n");
    write_file(text("%s/group", kit.etc), "root:x:0:\nlearner:x:1000:\n");
    write_file(text("%s/hosts", kit.etc), "127.0.0.1 localhost\n");
    write_file(text("%s/nsswitch.conf", kit.etc),
               "passwd: files\ngroup: files\nhosts: files\n");
    return kit;
}

static void add_file(struct digest *digest, const char *path)
{
    size_t len;
    char *bytes = file_read(path, &len);
    if (!bytes)
        err(1, "%s", path);
    const char *shown = path_shown(path);
    digest_add(digest, shown, strlen(shown));
    digest_add(digest, bytes, len);
}

/* The tests of the tools themselves, and what is built there. */
static bool decides_nothing(const char *name)
{
    return !strcmp(name, "mistakes") || !strcmp(name, "tests") ||
           !strcmp(name, "build") || *name == '.';
}

static void add_tree(struct digest *digest, const char *path)
{
    if (!is_folder(path)) {
        add_file(digest, path);
        return;
    }
    struct names names = folder_names(path);
    for (size_t i = 0; i < names.count; i++)
        if (!decides_nothing(names.name[i]))
            add_tree(digest, text("%s/%s", path, names.name[i]));
}

/* Data, headers and the Makefile lie beside the folders; pages are for people
 * only. */
static struct names lab_files(const struct lab *lab)
{
    struct names files = {0}, all = folder_names(lab->path);
    for (size_t i = 0; i < all.count; i++) {
        const char *name = all.name[i];
        if (*name == '.' || ends_with(name, ".md") ||
            is_folder(text("%s/%s", lab->path, name)))
            continue;
        files.name = grow(files.name, files.count, sizeof *files.name);
        files.name[files.count++] = text("%s/%s", lab->path, name);
    }
    return files;
}

static const char *digest_of(const struct lab *lab, struct names files)
{
    struct digest *digest = digest_new();
    digest_add(digest, unsafe ? "unsafe" : "safe", 4);
    for (int i = 0; deciding[i]; i++)
        add_tree(digest, text("%s/%s", course_root(), deciding[i]));
    for (size_t i = 0; i < files.count; i++)
        add_file(digest, files.name[i]);
    add_tree(digest, text("%s/tests", lab->path));
    return digest_end(digest);
}

/* make looks at a source only to see that its object is newer: an empty one of
 * long ago will do, and nobody may include it. Lists of headers go, since they
 * name what is hidden. */
static int hide(const char *path, const struct stat *status, int type,
                struct FTW *where)
{
    (void)status, (void)where;
    const struct timespec long_ago[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    bool list = ends_with(path, ".d"), source = ends_with(path, ".c");
    if (type != FTW_F || (!list && !source))
        return 0;
    if (unlink(path) == -1)
        return -1;
    int fd =
        list ? -1
             : open(path, O_WRONLY | O_CREAT | O_CLOEXEC, unsafe ? 0444 : 0);
    if (fd == -1)
        return list ? 0 : -1;
    int result = futimens(fd, long_ago);
    close(fd);
    return result;
}

static void hide_sources(const char *folder)
{
    if (nftw(folder, hide, 16, FTW_PHYS) == -1)
        err(1, "%s", folder);
}

/* Builds the tests where they will be used, so that paths in them are right. */
static const char *build_tests(const struct kit *kit, const char *path)
{
    const char *const command[] = {"make", "-s", "kit", NULL};
    struct sandbox sandbox = {.kit = kit,
                              .lab = path,
                              .uid = slot_uid(0),
                              .patience_s = 600,
                              .command = command};
    struct outcome outcome;
    give_away(kit->course, sandbox.uid);
    if (sandbox_run(&sandbox, &outcome) == -1)
        exit(STATUS_INTERRUPTED);
    if (!file_exists(text("%s/%s/build/tests/judge", kit->course, path)))
        return *outcome.errors ? outcome.errors : "its tests cannot be built";
    return NULL;
}

struct kit_lab kit_lab_read(const struct lab *lab)
{
    return (struct kit_lab){.lab = *lab,
                            .path = path_shown(lab->path),
                            .digest = digest_of(lab, lab_files(lab)),
                            .tests = lab_tests(lab),
                            .skeleton = work_of_course(lab, "problem")};
}

void kit_add(const struct kit *kit, struct kit_lab *lab)
{
    char *folder = text("%s/%s", kit->course, lab->path);
    const char *from = text("%s/tests", lab->lab.path);
    struct names files = lab_files(&lab->lab), tests = folder_names(from);
    create(text("%s/src", folder));
    create(text("%s/build", folder));
    create(text("%s/tests", folder));
    for (size_t i = 0; i < files.count; i++)
        copy_tree(files.name[i], folder);
    for (size_t i = 0; i < tests.count; i++)
        if (ends_with(tests.name[i], ".c") || ends_with(tests.name[i], ".h"))
            copy_tree(text("%s/%s", from, tests.name[i]),
                      text("%s/tests", folder));
    lab->problem = build_tests(kit, lab->path);
    if (lab->problem)
        return;
    hide_sources(folder);
    for (size_t i = 0; i < tests.count; i++)
        if (ends_with(tests.name[i], ".h"))
            tree_remove(text("%s/tests/%s", folder, tests.name[i]));
}

void kit_close(const struct kit *kit)
{
    hide_sources(text("%s/common", kit->course));
    hide_sources(text("%s/.build", kit->course));
}
