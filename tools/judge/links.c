/*
 * links.c - places as links: "src/main.c:42" opens the file on a click, by the
 * escape sequence OSC 8. Terminals that do not know it show it as rubbish, so
 * only those get it that are known to.
 */
#include "judge.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_set(const char *name)
{
    const char *value = getenv(name);
    return value && *value;
}

static bool starts(const char *name, const char *start)
{
    const char *value = getenv(name);
    return value && strncmp(value, start, strlen(start)) == 0;
}

static bool terminal_knows_links(void)
{
    static const char *const programs[] = {"iTerm.app", "WezTerm", "vscode",
                                           "ghostty", "Hyper"};
    static const char *const types[] = {"xterm-kitty", "xterm-ghostty",
                                        "alacritty", "foot", "wezterm"};
    for (size_t i = 0; i < sizeof(programs) / sizeof(*programs); i++) {
        if (starts("TERM_PROGRAM", programs[i]))
            return true;
    }
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
        if (starts("TERM", types[i]))
            return true;
    }
    const char *vte = getenv("VTE_VERSION"); /* GNOME's terminals */
    return (vte && atoi(vte) >= 5000) || is_set("WT_SESSION") ||
           is_set("KONSOLE_VERSION") || is_set("DOMTERM");
}

bool links_wanted(bool terminal)
{
    const char *force = getenv("FORCE_HYPERLINK");
    if (force && *force)
        return strcmp(force, "0") != 0;
    return terminal && !is_set("NO_COLOR") && !is_set("TMUX") &&
           !starts("TERM", "dumb") && !starts("TERM", "screen") &&
           terminal_knows_links();
}

static void print_path(const char *path, FILE *out)
{
    for (; *path; path++) {
        if (isalnum((unsigned char)*path) || strchr("/._-~", *path))
            fputc(*path, out);
        else
            fprintf(out, "%%%02X", (unsigned char)*path);
    }
}

/* There is no standard way to say the line: these two have one. */
static void print_target(const char *path, int line, FILE *out)
{
    char host[256] = "";
    if (starts("TERM_PROGRAM", "vscode")) {
        fputs("vscode://file", out);
        print_path(path, out);
        fprintf(out, ":%d", line);
        return;
    }
    gethostname(host, sizeof(host) - 1);
    fprintf(out, "file://%s", host);
    print_path(path, out);
    if (starts("TERM", "xterm-kitty"))
        fprintf(out, "#%d", line);
}

/* The next "FILE.c:LINE" in a line: where it begins, and its length. */
static const char *find_place(const char *text, size_t line_len, size_t *len)
{
    const char *end = text + line_len;
    for (const char *c = text; c + 3 < end; c++) {
        if (c[0] != '.' || (c[1] != 'c' && c[1] != 'h') || c[2] != ':' ||
            !isdigit((unsigned char)c[3]))
            continue;
        const char *start = c, *behind = c + 3;
        while (start > text && !strchr(" (\"'", start[-1]))
            start--;
        while (behind < end && isdigit((unsigned char)*behind))
            behind++;
        *len = (size_t)(behind - start);
        return start;
    }
    return NULL;
}

/* Prints the place, which is "FILE:LINE", as a link if there is such a file. */
static void print_place(const struct lab *lab, const char *place, size_t len,
                        FILE *out)
{
    char path[4096];
    const char *colon = memrchr(place, ':', len), *file = place;
    size_t prefix_len = strlen(lab->prefix);
    if (len > prefix_len && strncmp(place, lab->prefix, prefix_len) == 0)
        file += prefix_len;
    int path_len = snprintf(path, sizeof(path), "%s/%.*s", lab->folder,
                            (int)(colon - file), file);
    bool there = path_len < (int)sizeof(path) && access(path, F_OK) == 0;
    if (there) {
        fputs("\033]8;;", out);
        print_target(path, atoi(colon + 1), out);
        fputs("\033\\", out);
    }
    fwrite(place, 1, len, out);
    if (there)
        fputs("\033]8;;\033\\", out);
}

void links_print(const struct lab *lab, const char *text, size_t text_len,
                 FILE *out)
{
    const char *end = text + text_len;
    while (text < end) {
        size_t line_len = strcspn(text, "\n") + 1, len;
        if (line_len > (size_t)(end - text))
            line_len = (size_t)(end - text);
        const char *line_end = text + line_len, *place;
        /* What stands behind "| " the test has printed. */
        bool quoted = strncmp(text, "    | ", 6) == 0;
        if (!quoted &&
            (place = find_place(text, (size_t)(line_end - text), &len))) {
            fwrite(text, 1, (size_t)(place - text), out);
            print_place(lab, place, len, out);
            text = place + len;
        }
        fwrite(text, 1, (size_t)(line_end - text), out);
        text = line_end;
    }
}
