/*
 * update.c - `course update`: the newer course, with all of the learner's work.
 *
 * The newer state is put together in a clone of its own, .build/update: their
 * files, and for each lab that the learner has touched the src/ that is here.
 * Only then this one goes there, by a git merge that refuses rather than
 * overwrite a file with changes. Afterwards, where a skeleton has changed, the
 * change is offered to the learner's src/.
 */
#include "course.h"
#include "difference.h"
#include "process.h"
#include "verbs.h"
#include "workspace.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CONFLICTS = 127 }; /* what git merge-file counts up to */

/* A command for git. */
#define GIT(...) ((const char *const[]){"git", __VA_ARGS__, NULL})

/* What it prints, without the newline at its end; NULL when it fails. */
static char *git_says(const char *folder, const char *const command[])
{
    int status;
    char *output = process_output(folder, command, &status);
    if (status == 127)
        errx(STATUS_MISSING, "git cannot be run");
    return status == 0 ? trim_end(output) : NULL;
}

/* Its exit status. */
static int git_does(const char *folder, const char *const command[])
{
    int status;
    process_output(folder, command, &status);
    return status;
}

/* "origin/main" for "refs/remotes/origin/main" */
static const char *name_of(const char *source)
{
    static const char start[] = "refs/remotes/";
    return starts_with(source, start) ? source + strlen(start) : source;
}

/* The branch that newer states come from, "refs/remotes/origin/main"; NULL when
 * there is none, which has been said. */
static const char *find_source(const char *root)
{
    const char *top = git_says(root, GIT("rev-parse", "--show-toplevel"));
    if (!top || strcmp(top, root) != 0) {
        warnx("%s is no clone of the course: nothing to update it from", root);
        return NULL;
    }
    const char *branch = git_says(root, GIT("symbolic-ref", "-q", "HEAD"));
    const char *source =
        branch ? git_says(root,
                          GIT("for-each-ref", "--format=%(upstream)", branch))
               : NULL;
    if (!source || !*source)
        source = git_says(root, GIT("rev-parse", "-q", "--verify",
                                    "--symbolic-full-name", "origin/HEAD"));
    if (!source || !*source) {
        warnx("this branch follows none of a remote: git branch "
              "--set-upstream-to=origin/main");
        return NULL;
    }
    return source;
}

/* A commit needs a name, and the learner may never have told git one. */
static void set_identity(const char *folder)
{
    if (git_says(folder, GIT("config", "user.email")))
        return;
    setenv("GIT_AUTHOR_NAME", "learner", 0);
    setenv("GIT_AUTHOR_EMAIL", "learner@localhost", 0);
    setenv("GIT_COMMITTER_NAME", "learner", 0);
    setenv("GIT_COMMITTER_EMAIL", "learner@localhost", 0);
}

/* Is the lab's src/ the skeleton, here and as committed? Then it goes along
 * with the course. */
static bool is_untouched(const char *root, const struct lab *lab)
{
    const char *src = text("%s/src", lab->path);
    if (!tree_equal(src, text("%s/problem", lab->path)))
        return false;
    const char *changes =
        git_says(root, GIT("status", "--porcelain", "--", src));
    return changes && !*changes;
}

/* The src/ of each lab that the learner has touched, as paths from the root.
 * Ends with NULL. */
static const char **touched_src(const char *root, const struct course *course)
{
    const char **paths = NULL;
    size_t count = 0;
    for (int c = 0; c < CHAPTER_COUNT; c++)
        for (size_t i = 0; i < course->chapters[c].lab_count; i++) {
            const struct lab *lab = &course->chapters[c].labs[i];
            const char *src = text("%s/src", path_shown(lab->path));
            const char *known =
                git_says(root, GIT("ls-tree", "--name-only", "HEAD", src));
            if (!known || !*known || is_untouched(root, lab))
                continue;
            paths = grow(paths, count, sizeof *paths);
            paths[count++] = src;
        }
    paths = grow(paths, count, sizeof *paths);
    paths[count] = NULL;
    return paths;
}

/* In the folder where the merge has just been made: puts these folders back as
 * they were in that commit. */
static bool put_back(const char *folder, const char *const paths[],
                     const char *commit)
{
    for (; *paths; paths++)
        if (git_does(folder, GIT("rm", "-rfq", "--ignore-unmatch", *paths)) !=
                0 ||
            git_does(folder, GIT("checkout", "-q", commit, "--", *paths)) != 0)
            return false;
    return true;
}

/* Puts the newer state together in that folder and returns it as a commit;
 * NULL when that cannot be done, which has been said. */
static const char *put_together(const char *root, const char *folder,
                                const struct course *course, const char *source)
{
    const char *old = git_says(root, GIT("rev-parse", "HEAD"));
    if (!old ||
        git_does(root, GIT("clone", "-q", "--shared", "--no-checkout", root,
                           folder)) != 0 ||
        git_does(folder, GIT("fetch", "-q", root, source)) != 0 ||
        git_does(folder, GIT("checkout", "-q", "--detach", old)) != 0)
        return NULL;
    set_identity(folder);
    int merged =
        git_does(folder, GIT("merge", "-q", "--no-commit", "FETCH_HEAD"));
    if (merged > 1 || !put_back(folder, touched_src(root, course), old))
        return NULL;
    const char *conflicts =
        git_says(folder, GIT("diff", "--name-only", "--diff-filter=U"));
    if (!conflicts || *conflicts) {
        printf("Changed here, and in the newer course as well:\n%s\n"
               "Nothing has been done. To settle it by hand: git commit -a, "
               "then git merge %s\n",
               conflicts ? conflicts : "", name_of(source));
        return NULL;
    }
    bool merging =
        git_says(folder, GIT("rev-parse", "-q", "--verify", "MERGE_HEAD"));
    bool changed =
        git_does(folder, GIT("diff", "--cached", "--quiet", "HEAD")) != 0;
    if ((merging || changed) &&
        git_does(folder,
                 GIT("commit", "-q", "--no-verify", "--no-gpg-sign", "-m",
                     "Bring the course up to date, keeping src/")) != 0)
        return NULL;
    return git_says(folder, GIT("rev-parse", "HEAD"));
}

/* Keeps the skeletons that are about to become others. */
static void keep_problems(const struct course *course, const char *folder)
{
    for (int c = 0; c < CHAPTER_COUNT; c++)
        for (size_t i = 0; i < course->chapters[c].lab_count; i++) {
            const struct lab *lab = &course->chapters[c].labs[i];
            const char *problem = text("%s/problem", lab->path);
            const char *kept = workspace_old_problem(lab);
            const char *newer =
                text("%s/%s/problem", folder, path_shown(lab->path));
            if (file_exists(kept) || tree_equal(problem, newer))
                continue;
            const char *copy = text("%s.new", kept);
            if (folder_create(parent_of(kept)) < 0 || tree_remove(copy) < 0 ||
                tree_copy(problem, copy, NULL) < 0 || rename(copy, kept) < 0)
                err(STATUS_FAIL, "copy of %s to %s", problem, kept);
        }
}

/* Brings this folder to the newer state. */
static int go_there(const char *root, const struct course *course,
                    const char *source)
{
    const char *folder = text("%s/.build/update", root);
    const char *old = git_says(root, GIT("rev-parse", "HEAD"));
    tree_remove(folder); /* left by an update that was killed */
    const char *newer = put_together(root, folder, course, source);
    int status = STATUS_FAIL;
    if (newer) {
        keep_problems(course, folder);
        if (git_does(root, GIT("fetch", "-q", folder, "HEAD")) == 0 &&
            git_does(root, GIT("merge", "-q", "--ff-only", newer)) == 0)
            status = STATUS_PASS;
        else
            printf("Nothing has been done.\n");
    }
    tree_remove(folder);
    if (status == STATUS_PASS)
        printf("The course is up to date now. What is new:\n%s\n",
               git_says(root, GIT("log", "--no-merges", "--format=    %s",
                                  text("%s..%s", old, source))));
    return status;
}

/* Merges one file of the skeleton into fresh/, a copy of src/. Returns how many
 * places conflict. */
static int merge_file(const struct lab *lab, const char *name)
{
    const char *mine = text("src/%s", name);
    const char *theirs = text("problem/%s", name);
    const char *old = text(".undo/problem/%s", name);
    const char *old_path = text("%s/%s", lab->path, old);
    const char *theirs_path = text("%s/%s", lab->path, theirs);
    const char *fresh = text("%s/%s", workspace_fresh(lab), name);
    if (file_exists(old_path) && tree_equal(old_path, theirs_path))
        return 0;
    if (!file_exists(text("%s/%s", lab->path, mine))) {
        if (tree_copy(theirs_path, fresh, NULL) < 0)
            err(STATUS_FAIL, "copy of %s to %s", theirs_path, fresh);
        return 0;
    }
    const char *const command[] = {
        "git",  "merge-file",
        "-p",   "--diff3",
        "-L",   "yours",
        "-L",   "old skeleton",
        "-L",   "new skeleton",
        mine,   file_exists(old_path) ? old : "/dev/null",
        theirs, NULL};
    int conflicts;
    char *merged = process_output(lab->path, command, &conflicts);
    if (conflicts > MOST_CONFLICTS)
        errx(STATUS_FAIL, "%s: %s and %s cannot be merged", lab->name, mine,
             theirs);
    if (file_write(fresh, merged, strlen(merged)) < 0)
        err(STATUS_FAIL, "%s", fresh);
    return conflicts;
}

static void print_change(const struct lab *lab, const char *one,
                         const char *other)
{
    const char *const command[] = {"diff", "-ruN", one, other, NULL};
    int status;
    difference_print(process_output(lab->path, command, &status));
}

/* "y", "n", or "l" for later, which is also the end of the input. */
static char ask(void)
{
    char *line = NULL, answer = '\0';
    size_t size = 0;
    while (!answer) {
        printf("Take this into your src/? What is there now is kept for make "
               "undo. (y yes, n no, l ask later) ");
        fflush(stdout);
        if (getline(&line, &size, stdin) < 0)
            answer = 'l';
        else if (*line && strchr("ynl", *line))
            answer = *line;
    }
    if (feof(stdin))
        putchar('\n');
    free(line);
    return answer;
}

/* Makes src/ merged with the new skeleton in .undo/new. */
static int prepare(const struct lab *lab)
{
    const char *fresh = workspace_fresh(lab);
    int conflicts = 0;
    if (tree_remove(fresh) < 0 ||
        tree_copy(text("%s/src", lab->path), fresh, NULL) < 0)
        err(STATUS_FAIL, "%s", fresh);
    struct names names = folder_names(text("%s/problem", lab->path));
    for (size_t i = 0; i < names.count; i++)
        conflicts += merge_file(lab, names.name[i]);
    return conflicts;
}

static void settle(const struct lab *lab)
{
    if (tree_remove(workspace_old_problem(lab)) < 0)
        err(STATUS_FAIL, "%s", workspace_old_problem(lab));
}

/* Where the skeleton is not the one that src/ began as. */
static void offer_merge(const struct lab *lab)
{
    const char *src = text("%s/src", lab->path);
    const char *problem = text("%s/problem", lab->path);
    const char *fresh = workspace_fresh(lab);
    if (tree_equal(workspace_old_problem(lab), problem) ||
        tree_equal(src, problem)) {
        settle(lab);
        return;
    }
    if (!file_exists(src))
        return; /* `make undo` first */
    int conflicts = prepare(lab);
    char answer = 'y';
    if (tree_equal(src, fresh)) {
        settle(lab);
        return;
    }
    if (!tree_equal(src, workspace_old_problem(lab))) {
        printf("\n%s%s%s: the skeleton has changed since you began:\n\n",
               colour(BOLD), lab->name, colour(PLAIN));
        print_change(lab, ".undo/problem", "problem");
        printf("\nIn your src/ this would become:\n\n");
        print_change(lab, "src", ".undo/new");
        if (conflicts)
            printf("\n%d place%s you have changed, too; the lines <<<<<<<, "
                   "||||||| and >>>>>>> enclose\nyours, the old and the new "
                   "one.\n",
                   conflicts, conflicts == 1 ? "" : "s");
        putchar('\n');
        answer = ask();
    }
    if (answer == 'y') {
        long number = workspace_install(lab, fresh);
        printf("%s: src/ has the new skeleton's changes; as it was: "
               ".undo/%ld, make undo.\n",
               lab->name, number);
    }
    if (answer != 'l')
        settle(lab);
}

int update_verb(int argc, char **argv)
{
    const char *root = course_root();
    const char *source = find_source(root);
    if (!source)
        return STATUS_FAIL;
    int status = STATUS_PASS;
    struct course course = course_read();
    if (git_does(root, GIT("fetch", "-q")) != 0)
        status = STATUS_FAIL;
    else if (git_does(root,
                      GIT("merge-base", "--is-ancestor", source, "HEAD")) == 0)
        printf("The course is up to date.\n");
    else
        status = go_there(root, &course, source);
    for (int c = 0; c < CHAPTER_COUNT; c++)
        for (size_t i = 0; i < course.chapters[c].lab_count; i++) {
            const struct lab *lab = &course.chapters[c].labs[i];
            if (file_exists(workspace_old_problem(lab)))
                offer_merge(lab);
        }
    return status;
}
