#include "text.h"

#include <ctype.h>
#include <err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kept {
    struct kept *next;
    void *memory;
};

/* Newest first. It also shows the leak checker that all memory is still in
 * somebody's hands. */
static struct kept *all_kept;

void *keep(void *memory)
{
    struct kept *kept = malloc(sizeof *kept);
    if (!memory || !kept)
        errx(1, "out of memory");
    *kept = (struct kept){.next = all_kept, .memory = memory};
    all_kept = kept;
    return memory;
}

void *text_mark(void)
{
    return all_kept;
}

void text_release(void *mark)
{
    while (all_kept != mark) {
        struct kept *kept = all_kept;
        all_kept = kept->next;
        free(kept->memory);
        free(kept);
    }
}

char *text(const char *format, ...)
{
    char *result;
    va_list arguments;
    va_start(arguments, format);
    int len = vasprintf(&result, format, arguments);
    va_end(arguments);
    return keep(len < 0 ? NULL : result);
}

char *text_copy(const char *bytes, size_t len)
{
    char *copy = keep(malloc(len + 1));
    memcpy(copy, bytes, len);
    copy[len] = '\0';
    return copy;
}

char *text_quoted(const char *string)
{
    char *result = "'";
    for (const char *quote; (quote = strchr(string, '\''));) {
        result = text("%s%.*s'\\''", result, (int)(quote - string), string);
        string = quote + 1;
    }
    return text("%s%s'", result, string);
}

void *grow(void *array, size_t count, size_t element_size)
{
    /* Room is always a power of two, so it is used up when count is one. */
    if (count & (count - 1))
        return array;
    void *larger = keep(calloc(count ? 2 * count : 1, element_size));
    if (count)
        memcpy(larger, array, count * element_size);
    return larger;
}

struct lines text_lines(char *all)
{
    struct lines lines = {0};
    while (*all) {
        char *end = strchrnul(all, '\n');
        bool last = *end == '\0';
        *end = '\0';
        lines.line = grow(lines.line, lines.count, sizeof *lines.line);
        lines.line[lines.count++] = all;
        all = last ? end : end + 1;
    }
    return lines;
}

/* The paragraph without the asterisks of **bold** words; in `code` they stay.
 */
static char *without_bold(const char *paragraph)
{
    char *result = text("%s", paragraph), *to = result;
    bool code = false;
    for (; *paragraph; paragraph++) {
        code ^= *paragraph == '`';
        if (!code && starts_with(paragraph, "**"))
            paragraph++;
        else
            *to++ = *paragraph;
    }
    *to = '\0';
    return result;
}

/* Columns of a word: bytes that begin a character. */
static int word_width(const char *word, size_t len)
{
    int width = 0;
    for (size_t i = 0; i < len; i++)
        width += ((unsigned char)word[i] & 0xc0) != 0x80;
    return width;
}

void print_wrapped(const char *paragraph, int indent)
{
    enum { COLUMNS = 78 };
    int column = 0;
    paragraph = without_bold(paragraph);
    while (*(paragraph += strspn(paragraph, " \n"))) {
        size_t len = strcspn(paragraph, " \n");
        int width = word_width(paragraph, len);
        if (column > 0 && column + 1 + width > COLUMNS) {
            printf("\n%*s", indent, "");
            column = indent;
        } else if (column > 0) {
            putchar(' ');
            column++;
        }
        printf("%.*s", (int)len, paragraph);
        column += width;
        paragraph += len;
    }
    putchar('\n');
}

bool starts_with(const char *string, const char *prefix)
{
    return strncmp(string, prefix, strlen(prefix)) == 0;
}

bool ends_with(const char *string, const char *suffix)
{
    size_t len = strlen(string), suffix_len = strlen(suffix);
    return len >= suffix_len && strcmp(string + len - suffix_len, suffix) == 0;
}

char *trim_end(char *string)
{
    size_t len = strlen(string);
    while (len > 0 && isspace((unsigned char)string[len - 1]))
        len--;
    string[len] = '\0';
    return string;
}

const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

const char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return ".";
    return slash == path ? "/" : text_copy(path, (size_t)(slash - path));
}
