#include "judge.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { MOST_FRAMES = 4 }; /* of each stack in a report */

struct report {
    const struct attempt *attempt;
    FILE *out;
    bool in_stack; /* the last line printed was a frame */
    int frames;
};

/* The first report in the attempt's folder, NUL-ended; NULL if there is none.
 * ASan's log_path gives files named "sanitizer.PID". */
static char *read_report(const char *folder)
{
    char path[8192] = "";
    DIR *directory = opendir(folder);
    if (!directory)
        return NULL;
    struct dirent *entry;
    while ((entry = readdir(directory))) {
        if (strncmp(entry->d_name, "sanitizer.", 10) == 0)
            snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
    }
    closedir(directory);
    FILE *file = *path ? fopen(path, "r") : NULL;
    if (!file)
        return NULL;
    char *text = NULL;
    size_t size = 0;
    if (getdelim(&text, &size, '\0', file) == -1) {
        free(text);
        text = NULL;
    }
    fclose(file);
    return text;
}

/* "    #1 0x55… in answer /lab/src/main.c:12:5" or, from TSan, "    #0 answer
 * src/main.c:12 (test+0x1234)": file and line at the end of the words. */
static bool print_frame(struct report *report, char *line)
{
    char function[256];
    char *at = strchr(line, '#');
    if (!at || sscanf(at, "#%*d 0x%*x in %255s", function) != 1) {
        if (!at || sscanf(at, "#%*d %255s", function) != 1)
            return false;
    }
    char *place = strstr(at, function) + strlen(function);
    place += strspn(place, " ");
    /* TSan appends the module, clang the column. */
    char *module = strstr(place, " (");
    if (module)
        *module = '\0';
    char *column =
        strchr(place, ':') ? strchr(strchr(place, ':') + 1, ':') : NULL;
    if (column)
        *column = '\0';
    const char *path = symbols_lab_path(report->attempt->lab, place);
    if (!path || *path == '(' || !*path || report->frames == MOST_FRAMES)
        return true;
    fprintf(report->out, "    %s %s%s in %s\n", report->in_stack ? "  " : "at",
            report->attempt->lab->prefix, path, function);
    report->in_stack = true;
    report->frames++;
    return true;
}

/* Lines that open a stack and are worth a line of their own. */
static const struct {
    const char *in_report;
    const char *shown;
} headings[] = {
    {"freed by thread", "freed"},
    {"previously allocated by", "allocated"},
    {"allocated by thread", "allocated"},
    {"Direct leak of", NULL},
    {"Indirect leak of", NULL},
    {"Write of size", NULL},
    {"Read of size", NULL},
    {"Previous write", NULL},
    {"Previous read", NULL},
    {"Atomic write", NULL},
    {"Previous atomic", NULL},
    {"Location is global", NULL},
};

static bool is_heading(struct report *report, const char *line)
{
    line += strspn(line, " ");
    for (size_t i = 0; i < sizeof(headings) / sizeof(*headings); i++) {
        if (strncmp(line, headings[i].in_report,
                    strlen(headings[i].in_report)) != 0)
            continue;
        int len = (int)strcspn(line, "\n");
        /* Addresses and thread numbers differ each time and say nothing. */
        static const char *const noise[] = {" at 0x", " by thread", " by main"};
        for (size_t n = 0; n < sizeof(noise) / sizeof(*noise); n++) {
            const char *at = strstr(line, noise[n]);
            if (at && at < line + len)
                len = (int)(at - line);
        }
        while (len > 0 && strchr(": ", line[len - 1]))
            len--;
        if (headings[i].shown)
            fprintf(report->out, "    %s\n", headings[i].shown);
        else
            fprintf(report->out, "    %.*s\n", len, line);
        report->in_stack = false;
        report->frames = 0;
        return true;
    }
    return false;
}

/* Prints frames inside the lab, under their headings. Stacks of thread
 * creation, of shadow bytes and of the harness are left out. */
static void print_stacks(struct report *report, char *from)
{
    bool skipping = false;
    char *next;
    for (char *line = from; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        if (strncmp(line, "SUMMARY", 7) == 0)
            break;
        if (line[0] == '\0' || strstr(line, "created by"))
            skipping = strstr(line, "created by") != NULL;
        if (is_heading(report, line))
            skipping = false;
        else if (!skipping && strstr(line, "    #"))
            print_frame(report, line);
    }
}

static void print_word_until(FILE *out, const char *text, const char *ends)
{
    fprintf(out, "%.*s", (int)strcspn(text, ends), text);
}

static enum verdict address_report(struct report *report, const char *error)
{
    const char *kind = error + strlen("AddressSanitizer: ");
    if (strncmp(kind, "SEGV", 4) == 0 ||
        strncmp(kind, "stack-overflow", 14) == 0 ||
        strncmp(kind, "ABRT", 4) == 0 || strncmp(kind, "FPE", 3) == 0 ||
        strncmp(kind, "ILL", 3) == 0 || strncmp(kind, "BUS", 3) == 0) {
        const char *words = kind[0] == 's'   ? "stack overflow"
                            : kind[0] == 'S' ? "Segmentation fault"
                            : kind[0] == 'A' ? "Aborted"
                            : kind[0] == 'F' ? "Arithmetic exception"
                            : kind[0] == 'I' ? "Illegal instruction"
                                             : "Bus error";
        bool null = strstr(kind, "zero page") != NULL;
        fprintf(report->out, "crashed: %s%s\n", words,
                null ? " (an address near NULL)" : "");
        return CRASHED;
    }
    fprintf(report->out, "undefined behaviour: ");
    print_word_until(report->out, kind, " \n");
    const char *access = strstr(kind, "\nREAD of size");
    if (!access)
        access = strstr(kind, "\nWRITE of size");
    if (access) {
        bool write = access[1] == 'W';
        int size = 0;
        sscanf(access + (write ? 15 : 14), "%d", &size);
        fprintf(report->out, ", %s %d byte%s", write ? "writing" : "reading",
                size, size == 1 ? "" : "s");
    }
    fprintf(report->out, "\n");
    return UNDEFINED;
}

static enum verdict leak_report(struct report *report, const char *error)
{
    const char *summary = strstr(error, "SUMMARY:");
    long bytes = 0, blocks = 0;
    if (summary)
        sscanf(summary, "SUMMARY: AddressSanitizer: %ld byte(s) leaked in %ld",
               &bytes, &blocks);
    fprintf(report->out, "leaked memory: %ld byte%s in %ld block%s\n", bytes,
            bytes == 1 ? "" : "s", blocks, blocks == 1 ? "" : "s");
    return LEAKED;
}

static enum verdict thread_report(struct report *report, const char *error)
{
    const char *kind = error + strlen("ThreadSanitizer: ");
    if (strncmp(kind, "data race", 9) == 0) {
        fprintf(report->out, "data race\n");
        return RACED;
    }
    bool crash = strncmp(kind, "SEGV", 4) == 0 || strncmp(kind, "ABRT", 4) == 0;
    fprintf(report->out, "%s: ", crash ? "crashed" : "undefined behaviour");
    print_word_until(report->out, kind, "(\n");
    fprintf(report->out, "\n");
    return crash ? CRASHED : UNDEFINED;
}

static enum verdict undefined_report(struct report *report, const char *error)
{
    fprintf(report->out, "undefined behaviour: ");
    print_word_until(report->out, error + strlen("runtime error: "), "\n");
    fprintf(report->out, "\n");
    return UNDEFINED;
}

static enum verdict broken_report(struct report *report, const char *error)
{
    (void)error;
    fprintf(report->out, "harness fault: LeakSanitizer cannot run here\n");
    return FAULT;
}

/* gcc's UBSan does not know ASan's log_path and writes to stderr. */
static char *read_output(const struct attempt *attempt)
{
    bool reported = WIFEXITED(attempt->wait_status) &&
                    WEXITSTATUS(attempt->wait_status) == SANITIZER_STATUS &&
                    strstr(attempt->output, "runtime error: ");
    return reported ? strdup(attempt->output) : NULL;
}

bool sanitizer_report(const struct attempt *attempt, FILE *out,
                      enum verdict *verdict)
{
    static const struct {
        const char *mark;
        enum verdict (*print)(struct report *, const char *);
    } kinds[] = {
        {"LeakSanitizer has encountered a fatal", broken_report},
        {"LeakSanitizer: detected", leak_report},
        {"AddressSanitizer: ", address_report},
        {"ThreadSanitizer: ", thread_report},
        {"runtime error: ", undefined_report},
    };
    char *text = read_report(attempt->folder);
    if (!text)
        text = read_output(attempt);
    if (!text)
        return false;
    struct report report = {.attempt = attempt, .out = out};
    bool found = false;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds) && !found; i++) {
        char *at = strstr(text, kinds[i].mark);
        if (!at)
            continue;
        found = true;
        char *line = text;
        *verdict = kinds[i].print(&report, at);
        for (char *c = text; c < at; c++) {
            if (*c == '\n')
                line = c + 1;
        }
        print_stacks(&report, line);
    }
    free(text);
    return found;
}
