#include "test/harness.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

/* Bytes shown before and after the first wrong one. */
enum { SHOWN_BEFORE = 30, SHOWN_AFTER = 40 };

struct test_value test_bool(bool value)
{
    return (struct test_value){TEST_BOOL, .natural = value};
}

struct test_value test_signed(intmax_t value)
{
    return (struct test_value){TEST_SIGNED, .number = value};
}

struct test_value test_unsigned(uintmax_t value)
{
    return (struct test_value){TEST_UNSIGNED, .natural = value};
}

struct test_value test_pointer(const void *value)
{
    return (struct test_value){TEST_POINTER, .pointer = value};
}

static char *value_text(struct test_value v)
{
    switch (v.kind) {
    case TEST_BOOL:
        return text("%s", v.natural ? "true" : "false");
    case TEST_SIGNED:
        return text("%jd", v.number);
    case TEST_UNSIGNED:
        return text("%ju", v.natural);
    default:
        return v.pointer ? text("%p", v.pointer) : text("NULL");
    }
}

static bool is_negative(struct test_value v)
{
    return v.kind == TEST_SIGNED && v.number < 0;
}

/* -1, 0 or 1. By value: -1 is less than any unsigned number. */
static int order(struct test_value a, struct test_value b)
{
    if (a.kind == TEST_POINTER)
        return (a.pointer > b.pointer) - (a.pointer < b.pointer);
    if (is_negative(a) != is_negative(b))
        return is_negative(a) ? -1 : 1;
    if (is_negative(a))
        return (a.number > b.number) - (a.number < b.number);
    return (a.natural > b.natural) - (a.natural < b.natural);
}

static const char *relation_word(const char *relation)
{
    switch (relation[0]) {
    case '!':
        return "anything but ";
    case '>':
        return "at least ";
    case '<':
        return "at most ";
    default:
        return "";
    }
}

void test_compare(struct test_place place, struct test_value actual,
                  const char *relation, struct test_value expected)
{
    int o = order(actual, expected);
    bool holds = relation[0] == '!'   ? o != 0
                 : relation[0] == '>' ? o >= 0
                 : relation[0] == '<' ? o <= 0
                                      : o == 0;
    if (!holds)
        harness_end(PAGE_FAILED, place, "expected: %s%s\nactual:   %s",
                    relation_word(relation), value_text(expected),
                    value_text(actual));
}

/* Appends one byte as C would write it; the number of columns it takes. */
static int show_byte(FILE *out, unsigned char byte)
{
    static const char named[] = "\n\t\r\"\\";
    static const char letter[] = "ntr\"\\";
    const char *at = byte ? strchr(named, byte) : NULL;
    if (at)
        return fprintf(out, "\\%c", letter[at - named]);
    if (isprint(byte))
        return fprintf(out, "%c", byte);
    return fprintf(out, "\\x%02x", byte);
}

/* A window of bytes from `from` on; *column tells where byte `mark` stands. */
static char *show(const unsigned char *bytes, size_t len, size_t from,
                  size_t mark, int *column)
{
    char *buffer = NULL;
    size_t size;
    FILE *out = open_memstream(&buffer, &size);
    if (!out)
        return text("(out of memory)");
    size_t end = len < mark + SHOWN_AFTER ? len : mark + SHOWN_AFTER;
    int width = fprintf(out, "%s\"", from > 0 ? "..." : "");
    for (size_t i = from; i < end; i++) {
        if (i == mark)
            *column = width;
        width += show_byte(out, bytes[i]);
    }
    if (mark >= end)
        *column = width;
    fprintf(out, "\"%s", end < len ? "..." : "");
    fclose(out);
    char *shown = text("%s", buffer);
    free(buffer);
    return shown;
}

static size_t first_difference(const unsigned char *a, size_t a_len,
                               const unsigned char *b, size_t b_len)
{
    size_t i = 0;
    while (i < a_len && i < b_len && a[i] == b[i])
        i++;
    return i;
}

void test_bytes(struct test_place place, const void *actual, size_t actual_len,
                const void *expected, size_t expected_len)
{
    const unsigned char *a = actual, *e = expected;
    if (!a && actual_len > 0)
        harness_end(PAGE_FAILED, place, "expected: %zu bytes\nactual:   NULL",
                    expected_len);
    size_t at = first_difference(a, actual_len, e, expected_len);
    if (at == actual_len && at == expected_len)
        return;
    int column = 0;
    size_t from = at > SHOWN_BEFORE ? at - SHOWN_BEFORE : 0;
    size_t line = 1;
    for (size_t i = 0; i < at; i++)
        line += a[i] == '\n';
    char *wanted = show(e, expected_len, from, at, &column);
    char *came = show(a, actual_len, from, at, &column);
    const char *lengths =
        actual_len == expected_len
            ? text("%zu bytes", actual_len)
            : text("%zu bytes instead of %zu", actual_len, expected_len);
    harness_end(PAGE_FAILED, place,
                "expected: %s\n"
                "actual:   %s\n"
                "          %*s^ byte %zu, line %zu; %s",
                wanted, came, column, "", at, line, lengths);
}

void test_string(struct test_place place, const char *actual,
                 const char *relation, const char *expected)
{
    bool equal =
        actual && expected ? strcmp(actual, expected) == 0 : actual == expected;
    if (equal == (relation[0] == '='))
        return;
    if (relation[0] == '=' && actual && expected)
        test_bytes(place, actual, strlen(actual), expected, strlen(expected));
    int column;
    const char *wanted = "NULL", *came = "NULL";
    if (expected)
        wanted = show((const unsigned char *)expected, strlen(expected), 0, 0,
                      &column);
    if (actual)
        came =
            show((const unsigned char *)actual, strlen(actual), 0, 0, &column);
    harness_end(PAGE_FAILED, place, "expected: %s%s\nactual:   %s",
                relation_word(relation), wanted, came);
}

void test_contains(struct test_place place, const void *bytes, size_t len,
                   const char *needle, bool wanted)
{
    bool found = memmem(bytes, len, needle, strlen(needle)) != NULL;
    if (found == wanted)
        return;
    int column;
    harness_end(
        PAGE_FAILED, place, "expected: %s %s\nactual:   %s",
        wanted ? "something with" : "nothing with",
        show((const unsigned char *)needle, strlen(needle), 0, 0, &column),
        show(bytes, len, 0, 200, &column));
}

void test_string_contains(struct test_place place, const char *string,
                          const char *needle, bool wanted)
{
    test_contains(place, string, strlen(string), needle, wanted);
}

static char *errno_text(int error)
{
    if (error == 0)
        return text("0");
#ifdef __GLIBC__
    const char *name = strerrorname_np(error);
    if (name)
        return text("%s (%s)", name, strerror(error));
#endif
    return text("%d (%s)", error, strerror(error));
}

void test_success(struct test_place place, intmax_t returned, int error)
{
    if (returned == 0)
        return;
    harness_end(PAGE_FAILED, place,
                "expected: 0\n"
                "actual:   %jd, errno %s",
                returned, errno_text(error));
}

void test_fails(struct test_place place, bool failed, intmax_t returned,
                int error, int expected_error)
{
    if (!failed)
        harness_end(PAGE_FAILED, place,
                    "expected: to fail with errno %s\n"
                    "actual:   no failure, returned %jd",
                    errno_text(expected_error), returned);
    if (error != expected_error)
        harness_end(PAGE_FAILED, place,
                    "expected: to fail with errno %s\n"
                    "actual:   failed with errno %s",
                    errno_text(expected_error), errno_text(error));
}

void test_fail(struct test_place place, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const char *message = vtext(format, arguments);
    va_end(arguments);
    harness_end(PAGE_FAILED, place, "%s", message);
}

void test_skip(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const char *message = vtext(format, arguments);
    va_end(arguments);
    harness_end(PAGE_SKIPPED, (struct test_place){0}, "%s", message);
}
