#include "judge.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { SHOWN_LINES = 20, SHOWN_COLUMNS = 160 }; /* of what a test printed */

const char *const verdict_words[VERDICTS] = {
    [OK] = "ok",
    [FAILED] = "failed",
    [TODO] = "todo",
    [CRASHED] = "crashed",
    [TIMED_OUT] = "timeout",
    [LEAKED] = "leak",
    [RACED] = "race",
    [UNDEFINED] = "undefined",
    [LEFT_RUNNING] = "left-running",
    [LEFT_DESCRIPTORS] = "left-descriptors",
    [TOO_MUCH_OUTPUT] = "too-much-output",
    [SKIPPED] = "skipped",
    [FAULT] = "fault",
};

/* Each line of a text behind the indent, cut where it gets too long. */
static void print_indented(const char *text, const char *indent, int columns,
                           FILE *out)
{
    while (*text) {
        int len = (int)strcspn(text, "\n");
        bool cut = len > columns;
        fprintf(out, "%s%.*s%s\n", indent, cut ? columns : len, text,
                cut ? "..." : "");
        text += len + (text[len] == '\n');
    }
}

/* Controls could drive the reader's terminal. */
static void defuse(char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < ' ' && *text != '\n' && *text != '\t')
            *text = '?';
    }
}

/* Lines that cmocka and ASan print around what the test says. */
static bool is_noise(const char *line)
{
    static const char *const noise[] = {
        "[==========]", "[ RUN      ]",
        "[       OK ]", "[  PASSED  ]",
        "[  FAILED  ]", " 1 FAILED TEST(S)",
        "[  SKIPPED ]", "AddressSanitizer:DEADLYSIGNAL",
    };
    for (size_t i = 0; i < sizeof(noise) / sizeof(*noise); i++) {
        if (strncmp(line, noise[i], strlen(noise[i])) == 0)
            return true;
    }
    return false;
}

/* Takes noise out, in place. */
static void remove_noise(char *text)
{
    char *kept = text;
    while (*text) {
        size_t len = strcspn(text, "\n");
        len += text[len] == '\n';
        if (!is_noise(text)) {
            memmove(kept, text, len);
            kept += len;
        }
        text += len;
    }
    *kept = '\0';
}

/* The end of what the test printed. */
static void print_output(const struct attempt *attempt, FILE *out)
{
    char *text = attempt->output;
    remove_noise(text);
    if (!*text)
        return;
    char *shown = text + strlen(text);
    for (int lines = 0; shown > text; shown--) {
        lines += shown[-1] == '\n' && shown[0] != '\0';
        if (lines == SHOWN_LINES)
            break;
    }
    defuse(shown);
    fprintf(out, "    it printed%s:\n", shown > text ? " (the end of it)" : "");
    print_indented(shown, "    | ", SHOWN_COLUMNS, out);
}

/* "tests/test_x.c:12: what was called", then the explanation. */
static void print_claim(const struct attempt *attempt, FILE *out)
{
    const struct page *page = attempt->page;
    if (page->file[0])
        fprintf(out, "    %s%s:%d%s%s\n", attempt->lab->prefix, page->file,
                page->line, *page->what ? ": " : "", page->what);
    print_indented(page->text, page->file[0] ? "      " : "    ", PAGE_TEXT,
                   out);
}

/* The program's before the test's, the oldest thread first. */
static int compare_stacks(const void *a, const void *b)
{
    const struct page_stack *one = a, *other = b;
    if (one->in_program != other->in_program)
        return other->in_program - one->in_program;
    return (one->thread > other->thread) - (one->thread < other->thread);
}

static void print_stacks(const struct attempt *attempt, FILE *out)
{
    enum { MOST_STACKS = 2 };
    struct page *page = attempt->page;
    int count =
        page->stacks_used < PAGE_STACKS ? page->stacks_used : PAGE_STACKS;
    int shown = 0;
    qsort(page->stacks, (size_t)count, sizeof(*page->stacks), compare_stacks);
    for (int i = 0; i < count && shown < MOST_STACKS; i++) {
        const struct page_stack *stack = &page->stacks[i];
        const char *binary =
            stack->in_program ? attempt->build->program : attempt->build->test;
        if (stack->count > 0 && binary)
            shown += symbols_print(attempt->lab, binary, stack->pc,
                                   stack->count, out) > 0;
    }
}

static enum verdict crashed(const struct attempt *attempt, int number,
                            FILE *out)
{
    const struct page *page = attempt->page;
    fprintf(out, "crashed: %s\n",
            page->stack_overflow ? "stack overflow" : strsignal(number));
    print_stacks(attempt, out);
    if (page->claimed)
        print_claim(attempt, out);
    print_output(attempt, out);
    return CRASHED;
}

static enum verdict timed_out(const struct attempt *attempt, FILE *out)
{
    fprintf(out, "timed out after %.1f s\n", attempt->limit_ms / 1e3);
    print_stacks(attempt, out);
    if (attempt->page->waiting[0])
        fprintf(out, "    the test was waiting: %s%s\n", attempt->lab->prefix,
                attempt->page->waiting);
    print_output(attempt, out);
    return TIMED_OUT;
}

static enum verdict claimed(const struct attempt *attempt, FILE *out)
{
    const struct page *page = attempt->page;
    enum page_state state = page->state;
    switch (state) {
    case PAGE_TODO:
        fprintf(out, "not done yet: %s\n", page->text);
        return TODO;
    case PAGE_SKIPPED:
        fprintf(out, "skipped: %s\n", page->text);
        return SKIPPED;
    case PAGE_CRASHED:
        return crashed(attempt, page->crashed_by, out);
    case PAGE_LEFT_RUNNING:
        fprintf(out, "left something running: %s\n", page->text);
        return LEFT_RUNNING;
    case PAGE_LEFT_DESCRIPTORS:
        fprintf(out, "left descriptors open\n");
        print_claim(attempt, out);
        return LEFT_DESCRIPTORS;
    case PAGE_TOO_MUCH_OUTPUT:
        fprintf(out, "printed too much\n");
        print_claim(attempt, out);
        return TOO_MUCH_OUTPUT;
    case PAGE_FAULT:
        fprintf(out, "harness fault\n");
        print_claim(attempt, out);
        return FAULT;
    default:
        fprintf(out, "FAILED\n");
        print_claim(attempt, out);
        print_stacks(attempt, out);
        print_output(attempt, out);
        return FAILED;
    }
}

static enum verdict passed(const struct attempt *attempt, FILE *out)
{
    if (attempt->left_running[0]) {
        fprintf(out, "left something running: process %s\n",
                attempt->left_running);
        return LEFT_RUNNING;
    }
    if (attempt->wait_status == 0) {
        fprintf(out, "ok\n");
        return OK;
    }
    fprintf(out, "FAILED\n    it ended badly after the test was over\n");
    print_output(attempt, out);
    return FAILED;
}

/* It ended before the test did, and said nothing. */
static enum verdict ended_early(const struct attempt *attempt, FILE *out)
{
    bool begun = attempt->page->state != PAGE_EMPTY;
    if (!begun && strstr(attempt->output, "Sanitizer")) {
        fprintf(out, "harness fault: the sanitizer cannot start here; "
                     "try make test MODE=plain\n");
        print_output(attempt, out);
        return FAULT;
    }
    if (!begun && WIFEXITED(attempt->wait_status) &&
        WEXITSTATUS(attempt->wait_status) == 127) {
        fprintf(out, "harness fault: cannot start %s\n", attempt->build->test);
        print_output(attempt, out);
        return FAULT;
    }
    if (WIFSIGNALED(attempt->wait_status))
        return crashed(attempt, WTERMSIG(attempt->wait_status), out);
    fprintf(out, "FAILED\n    it ended with status %d before the test %s\n",
            WEXITSTATUS(attempt->wait_status), begun ? "was over" : "began");
    print_output(attempt, out);
    return FAILED;
}

enum verdict verdict_print(const struct attempt *attempt, FILE *out)
{
    const struct page *page = attempt->page;
    enum verdict verdict;
    if (attempt->interrupted) {
        fprintf(out, "interrupted\n");
        return FAULT;
    }
    if (attempt->too_much_output) {
        fprintf(out, "printed too much: more than %zu KiB\n",
                attempt->output_len / 1024);
        print_output(attempt, out);
        return TOO_MUCH_OUTPUT;
    }
    if (attempt->too_much_memory || attempt->too_many_processes) {
        if (attempt->too_many_processes)
            fprintf(out, "crashed: it started more than %d processes\n",
                    attempt->too_many_processes);
        else
            fprintf(out, "crashed: it used more than %d MiB of memory\n",
                    attempt->too_much_memory);
        print_output(attempt, out);
        return CRASHED;
    }
    if (sanitizer_report(attempt, out, &verdict)) {
        if (page->claimed && page->file[0])
            fprintf(out, "    in %s%s:%d%s%s\n", attempt->lab->prefix,
                    page->file, page->line, *page->what ? ": " : "",
                    page->what);
        /* Where the report itself was printed, once is enough. */
        if (!strstr(attempt->output, "runtime error: "))
            print_output(attempt, out);
        return verdict;
    }
    if (page->claimed && page->state != PAGE_RUNNING)
        return claimed(attempt, out);
    if (attempt->timed_out)
        return timed_out(attempt, out);
    /* The nonce is back: this page was written by the test that we started. */
    if (page->state == PAGE_PASSED && page->echo == attempt->nonce)
        return passed(attempt, out);
    return ended_early(attempt, out);
}
