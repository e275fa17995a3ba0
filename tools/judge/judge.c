/*
 * judge - runs the tests of a lab, each in a process of its own.
 *
 *     judge --lab NAME --folder DIR --list FILE [options] MODE=TEST[,PROGRAM]…
 *
 * For graders: --records FD writes each verdict with its words to a descriptor
 * that no test sees, and --canary also runs a test that has to fail, in each
 * MODE: a harness that was tampered with lets it pass.
 *
 * A test passes when it passes in every MODE. Exit status: 0 all passed or
 * skipped, 1 some did not, 2 wrong usage or nothing to run.
 */
#include "judge.h"
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_TESTS = 512, MOST_BUILDS = 3, MOST_JOBS = 64 };

struct test {
    char *name;
    const struct build *canary; /* NULL: a test; else it fails in this build */
    pid_t worker;
    int report; /* memory file: the verdict's number, then text */
    bool done;
    enum verdict verdict;
    char *text;
};

static struct {
    struct lab lab;
    struct build builds[MOST_BUILDS];
    int build_count;
    struct test tests[MOST_TESTS];
    int test_count;
    const char *again;   /* "LAB=x " when called from the root */
    const char *results; /* file for `make hint` and checks */
    const char *note;    /* printed before the tests */
    FILE *records;       /* for graders, or NULL */
    int jobs;
    bool quiet, colour, links;
} judge = {.lab.prefix = "", .again = "", .jobs = 1};

static void usage(void)
{
    fprintf(stderr,
            "usage: judge --lab NAME --folder DIR --list FILE [--only TEST]\n"
            "             [--jobs N] [--results FILE] [--prefix PATH]\n"
            "             [--again WORDS] [--note TEXT] [--quiet]\n"
            "             [--records FD] [--canary]\n"
            "             MODE=TEST[,PROGRAM]...\n");
    exit(2);
}

/* "test_02" means test_02_…, not test_021_…; any other part of a name, too. */
static bool is_wanted(const char *name, const char *only)
{
    if (!only || !*only)
        return true;
    const char *at = strstr(name, only);
    if (!at)
        return false;
    char behind = at[strlen(only)];
    return behind == '\0' || behind == '_' || at != name;
}

static struct test *add_test(const char *name)
{
    if (judge.test_count == MOST_TESTS)
        errx(2, "%s has more than %d tests", judge.lab.name, MOST_TESTS);
    struct test *test = &judge.tests[judge.test_count++];
    test->name = strdup(name);
    if (!test->name)
        err(2, "memory");
    return test;
}

static void read_list(const char *path, const char *only)
{
    FILE *file = fopen(path, "re");
    if (!file)
        err(2, "%s", path);
    char name[256];
    while (fscanf(file, "%255s", name) == 1) {
        if (is_wanted(name, only))
            add_test(name);
    }
    fclose(file);
    if (judge.test_count == 0 && only && *only)
        errx(2, "no test of %s is called %s", judge.lab.name, only);
    if (judge.test_count == 0)
        errx(2, "%s: no tests", path);
}

static void add_build(char *word)
{
    char *test = strchr(word, '=');
    if (!test || judge.build_count == MOST_BUILDS)
        usage();
    *test++ = '\0';
    char *program = strchr(test, ',');
    if (program)
        *program++ = '\0';
    struct build *build = &judge.builds[judge.build_count++];
    build->mode = word;
    build->test = realpath(test, NULL);
    build->program = program && *program ? realpath(program, NULL) : NULL;
    if (!build->test || (program && *program && !build->program))
        err(2, "%s", build->test ? program : test);
}

/* Canaries bear the name of a test, so that nobody knows them by it. */
static void add_canaries(void)
{
    const char *name = judge.tests[0].name;
    for (int i = 0; i < judge.build_count; i++)
        add_test(name)->canary = &judge.builds[i];
}

static void open_records(const char *number)
{
    int fd = atoi(number);
    judge.records =
        fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 ? fdopen(fd, "w") : NULL;
    if (!judge.records)
        err(2, "--records %s", number);
}

static void read_arguments(int argc, char **argv)
{
    static const struct option options[] = {
        {"lab", required_argument, NULL, 'l'},
        {"folder", required_argument, NULL, 'f'},
        {"list", required_argument, NULL, 't'},
        {"only", required_argument, NULL, 'o'},
        {"jobs", required_argument, NULL, 'j'},
        {"results", required_argument, NULL, 'r'},
        {"prefix", required_argument, NULL, 'p'},
        {"again", required_argument, NULL, 'a'},
        {"note", required_argument, NULL, 'n'},
        {"quiet", no_argument, NULL, 'q'},
        {"records", required_argument, NULL, 'R'},
        {"canary", no_argument, NULL, 'c'},
        {0}};
    const char *list = NULL, *only = NULL, *folder = NULL;
    bool canary = false;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'l':
            judge.lab.name = optarg;
            break;
        case 'f':
            folder = optarg;
            break;
        case 't':
            list = optarg;
            break;
        case 'o':
            only = optarg;
            break;
        case 'j':
            judge.jobs = atoi(optarg);
            break;
        case 'r':
            judge.results = optarg;
            break;
        case 'p':
            judge.lab.prefix = optarg;
            break;
        case 'a':
            judge.again = optarg;
            break;
        case 'n':
            judge.note = optarg;
            break;
        case 'q':
            judge.quiet = true;
            break;
        case 'R':
            open_records(optarg);
            break;
        case 'c':
            canary = true;
            break;
        default:
            usage();
        }
    }
    if (!judge.lab.name || !folder || !list || optind == argc)
        usage();
    if (judge.jobs < 1 || judge.jobs > MOST_JOBS)
        judge.jobs = 1;
    judge.lab.folder = realpath(folder, NULL);
    if (!judge.lab.folder)
        err(2, "%s", folder);
    while (optind < argc)
        add_build(argv[optind++]);
    read_list(list, only);
    if (canary)
        add_canaries();
}

/* In the worker: every build until one does not pass. Where a test had one
 * thread, ThreadSanitizer has nothing to find that the build before it would
 * not. */
static enum verdict try_builds(const struct test *test, FILE *out)
{
    enum verdict verdict = FAULT;
    bool alone = false;
    char *text = NULL;
    for (int i = 0; i < judge.build_count; i++) {
        struct attempt attempt = {.lab = &judge.lab,
                                  .build = &judge.builds[i],
                                  .canary = test->canary != NULL};
        if (test->canary && test->canary != attempt.build)
            continue;
        if (alone && strcmp(attempt.build->mode, "tsan") == 0)
            continue;
        size_t size;
        free(text);
        text = NULL;
        FILE *words = open_memstream(&text, &size);
        if (!words)
            return FAULT;
        if (attempt_run(&attempt, test->name) == -1) {
            fprintf(words, "harness fault: %s\n", strerror(errno));
            verdict = FAULT;
        } else {
            verdict = verdict_print(&attempt, words);
            alone = attempt.page->alone;
        }
        attempt_release(&attempt);
        fclose(words);
        if (verdict != OK)
            break;
    }
    if (text)
        fputs(text, out);
    free(text);
    return verdict;
}

static void start_worker(struct test *test)
{
    test->report = memfd_create("report", MFD_CLOEXEC);
    fflush(stdout);
    pid_t judge_pid = getpid();
    test->worker = fork();
    if (test->report == -1 || test->worker == -1)
        err(2, "starting a worker");
    if (test->worker > 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != judge_pid)
        _exit(FAULT);
    FILE *out = fdopen(test->report, "w");
    if (!out)
        _exit(FAULT);
    enum verdict verdict = try_builds(test, out);
    fclose(out);
    _exit((int)verdict);
}

static char *read_report(int fd)
{
    off_t size = lseek(fd, 0, SEEK_END);
    char *text = calloc(1, (size_t)(size > 0 ? size : 0) + 1);
    if (!text)
        err(2, "memory");
    if (size > 0 && pread(fd, text, (size_t)size, 0) != size)
        err(2, "reading a worker's report");
    close(fd);
    return text;
}

static void finish(pid_t worker, int status)
{
    for (int i = 0; i < judge.test_count; i++) {
        struct test *test = &judge.tests[i];
        if (test->done || test->worker != worker)
            continue;
        test->done = true;
        test->text = read_report(test->report);
        test->verdict = WIFEXITED(status) && WEXITSTATUS(status) < VERDICTS
                            ? (enum verdict)WEXITSTATUS(status)
                            : FAULT;
        if (!*test->text)
            test->verdict = FAULT;
    }
}

static const char *paint(enum verdict verdict)
{
    if (!judge.colour)
        return "";
    return verdict == OK        ? "\033[32m"
           : verdict == SKIPPED ? "\033[33m"
                                : "\033[31m";
}

static void print_words(const char *words, size_t len)
{
    if (judge.links)
        links_print(&judge.lab, words, len, stdout);
    else
        fwrite(words, 1, len, stdout);
}

static void print_test(const struct test *test)
{
    const char *text = *test->text ? test->text : "harness fault\n";
    size_t first = strcspn(text, "\n");
    printf("test %s ... %s", test->name, paint(test->verdict));
    print_words(text, first);
    printf("%s", judge.colour ? "\033[0m" : "");
    print_words(text + first, strlen(text + first));
    bool learner = test->verdict != OK && test->verdict != SKIPPED &&
                   test->verdict != TODO;
    if (!learner)
        return;
    char number[16];
    snprintf(number, sizeof(number), "%.7s", test->name); /* test_NN */
    printf("    again:  make test %sTEST=%s      in gdb:  make debug "
           "%sTEST=%s      stuck?  make hint%s%.*s\n",
           judge.again, number, judge.again, number, *judge.again ? " " : "",
           (int)strcspn(judge.again, " "), judge.again);
}

static void record(const struct test *test)
{
    fprintf(judge.records, "%s %s %s %zu\n%s\n",
            test->canary ? "canary" : "test", verdict_words[test->verdict],
            test->canary ? test->canary->mode : test->name, strlen(test->text),
            test->text);
    fflush(judge.records);
}

static void run_tests(void)
{
    int started = 0, running = 0, printed = 0;
    while (printed < judge.test_count) {
        while (started < judge.test_count && running < judge.jobs) {
            start_worker(&judge.tests[started++]);
            running++;
        }
        int status;
        pid_t worker = wait(&status);
        if (worker == -1 && errno == EINTR)
            continue;
        if (worker == -1)
            err(2, "waiting for tests");
        finish(worker, status);
        running--;
        while (printed < judge.test_count && judge.tests[printed].done) {
            const struct test *test = &judge.tests[printed++];
            if (!judge.quiet && !test->canary)
                print_test(test);
            if (judge.records)
                record(test);
        }
        fflush(stdout);
    }
}

static bool was_run(const char *name)
{
    for (int i = 0; i < judge.test_count; i++) {
        if (strcmp(judge.tests[i].name, name) == 0)
            return true;
    }
    return false;
}

static void write_result(const struct test *test, FILE *file)
{
    fprintf(file, "%s %s", verdict_words[test->verdict], test->name);
    const char *reason = strstr(test->text, ": ");
    if (test->verdict == SKIPPED && reason)
        fprintf(file, " %.*s", (int)strcspn(reason + 2, "\n"), reason + 2);
    fprintf(file, "\n");
}

/* Results of tests that did not run this time stay. */
static void write_results(void)
{
    char path[4096], line[1024], name[256];
    snprintf(path, sizeof(path), "%s.tmp", judge.results);
    FILE *old = fopen(judge.results, "re");
    FILE *file = fopen(path, "we");
    if (!file)
        err(2, "%s", path);
    for (int i = 0; i < judge.test_count; i++) {
        if (!judge.tests[i].canary)
            write_result(&judge.tests[i], file);
    }
    while (old && fgets(line, sizeof(line), old)) {
        if (sscanf(line, "%*s %255s", name) == 1 && !was_run(name))
            fputs(line, file);
    }
    if (old)
        fclose(old);
    if (fclose(file) != 0 || rename(path, judge.results) == -1)
        err(2, "%s", judge.results);
}

static int summarize(void)
{
    int passed = 0, failed = 0, skipped = 0;
    for (int i = 0; i < judge.test_count; i++) {
        enum verdict verdict = judge.tests[i].verdict;
        if (judge.tests[i].canary)
            continue;
        if (verdict == OK)
            passed++;
        else if (verdict == SKIPPED)
            skipped++;
        else
            failed++;
    }
    if (!judge.quiet) {
        printf("%d passed, %d failed", passed, failed);
        if (skipped)
            printf(", %d skipped", skipped);
        printf("\n");
    }
    return failed > 0;
}

static void on_interrupt(int signal)
{
    (void)signal; /* workers get it too, and clean up */
}

int main(int argc, char **argv)
{
    read_arguments(argc, argv);
    prctl(PR_SET_DUMPABLE, 0); /* not to be traced from a test */
    signal(SIGINT, on_interrupt);
    signal(SIGTERM, on_interrupt);
    /* `course watch` hands on what we print to the terminal that it is on. */
    bool terminal = isatty(STDOUT_FILENO) || getenv("COURSE_TERMINAL");
    judge.colour = terminal && !getenv("NO_COLOR");
    judge.links = links_wanted(terminal);
    if (!judge.quiet) {
        printf("%s: running %d test%s\n", judge.lab.name, judge.test_count,
               judge.test_count == 1 ? "" : "s");
        if (judge.note && *judge.note)
            printf("note: %s\n", judge.note);
    }
    run_tests();
    int status = summarize();
    if (judge.results)
        write_results();
    if (judge.records) {
        fprintf(judge.records, "end\n");
        fflush(judge.records);
    }
    return status;
}
