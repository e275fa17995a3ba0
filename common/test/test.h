/*
 * test.h - what every test file includes.
 *
 *     #include "rate_limiter.h"
 *     #include "test/test.h"
 *
 *     TEST(test_01_a_full_bucket_allows_a_burst)
 *     {
 *         struct rate_limiter limiter;
 *         assert_success(rate_limiter_init(&limiter, 10, 1));
 *         assert_true(rate_limiter_allow(&limiter, 0));
 *     }
 *
 * Each test runs in a process of its own, in an empty working directory that
 * is removed afterwards. A test that leaves a descriptor open, a thread or a
 * child running, or memory unfreed, fails without asking for it.
 *
 * The assertions are cmocka's, told in plain values: what was called, what was
 * expected, what came. The first failure ends the test. They may be used in
 * any thread and in forked children of the test; there they end the process.
 * The value that the learner's code gave comes first, the expected one second.
 */
#ifndef TEST_H
#define TEST_H

/* cmocka.h wants these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

struct test_entry {
    const char *name;
    void (*body)(void **state);
    int limit_ms; /* 0: 800 ms; stretched on a busy or slow machine */
    struct test_entry *next;
};

/* Defines a test: TEST(test_01_x) { … } or TEST(test_02_y, .limit_ms = 3000)
 * { … }. Write it at the start of a line: the list of tests is read from
 * there. */
#define TEST(test_name, ...)                                       \
    static void test_name(void **state);                           \
    static struct test_entry entry_##test_name = {                 \
        .name = #test_name, .body = test_name, ##__VA_ARGS__};     \
    __attribute__((constructor)) static void add_##test_name(void) \
    {                                                              \
        test_add(&entry_##test_name);                              \
    }                                                              \
    static void test_name(__attribute__((unused)) void **state)

void test_add(struct test_entry *entry);

/* What an assertion is told. */

struct test_place {
    const char *file;
    int line;
    const char *what; /* the call or expression, as it stands in the test */
};

struct test_value {
    enum { TEST_BOOL, TEST_SIGNED, TEST_UNSIGNED, TEST_POINTER } kind;
    union {
        intmax_t number;
        uintmax_t natural;
        const void *pointer;
    };
};

struct test_value test_bool(bool value);
struct test_value test_signed(intmax_t value);
struct test_value test_unsigned(uintmax_t value);
struct test_value test_pointer(const void *value);

#define TEST_PLACE(what) ((struct test_place){__FILE__, __LINE__, what})
#define TEST_VALUE(x)                            \
    _Generic((x), bool                           \
             : test_bool, unsigned char          \
             : test_unsigned, unsigned short     \
             : test_unsigned, unsigned           \
             : test_unsigned, unsigned long      \
             : test_unsigned, unsigned long long \
             : test_unsigned, default            \
             : test_signed)(x)

void test_compare(struct test_place place, struct test_value actual,
                  const char *relation, struct test_value expected);
void test_string(struct test_place place, const char *actual,
                 const char *relation, const char *expected);
void test_bytes(struct test_place place, const void *actual, size_t actual_len,
                const void *expected, size_t expected_len);
void test_success(struct test_place place, intmax_t returned, int error);
void test_fails(struct test_place place, bool failed, intmax_t returned,
                int error, int expected_error);
void test_contains(struct test_place place, const void *bytes, size_t len,
                   const char *needle, bool wanted);
void test_string_contains(struct test_place place, const char *string,
                          const char *needle, bool wanted);

/* Ends the test as failed; the text may have several lines. */
_Noreturn void test_fail(struct test_place place, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Ends the test as skipped, with the reason that this machine gives. */
_Noreturn void test_skip(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* Skips the test where a command is missing, and says how to install it. */
void test_need(const char *command);

/* Skips the test where processes may not trace their own children: strace and
 * gdb cannot work there. */
void test_need_ptrace(void);

/* cmocka's own print hexadecimal numbers and lose threads; these replace them.
 */

#undef assert_true
#undef assert_false
#undef assert_int_equal
#undef assert_int_not_equal
#undef assert_in_range
#undef assert_null
#undef assert_non_null
#undef assert_ptr_equal
#undef assert_ptr_not_equal
#undef assert_string_equal
#undef assert_string_not_equal
#undef assert_memory_equal
#undef fail_msg

#define assert_true(x) \
    test_compare(TEST_PLACE(#x), test_bool(x), "==", test_bool(true))
#define assert_false(x) \
    test_compare(TEST_PLACE(#x), test_bool(x), "==", test_bool(false))

/* Integers of any width and sign, compared by value. */
#define assert_int_equal(actual, expected)                \
    test_compare(TEST_PLACE(#actual), TEST_VALUE(actual), \
                 "==", TEST_VALUE(expected))
#define assert_int_not_equal(actual, unwanted)            \
    test_compare(TEST_PLACE(#actual), TEST_VALUE(actual), \
                 "!=", TEST_VALUE(unwanted))
#define assert_at_least(actual, bound)                    \
    test_compare(TEST_PLACE(#actual), TEST_VALUE(actual), \
                 ">=", TEST_VALUE(bound))
#define assert_at_most(actual, bound)                     \
    test_compare(TEST_PLACE(#actual), TEST_VALUE(actual), \
                 "<=", TEST_VALUE(bound))

#define assert_null(x) \
    test_compare(TEST_PLACE(#x), test_pointer(x), "==", test_pointer(NULL))
#define assert_non_null(x) \
    test_compare(TEST_PLACE(#x), test_pointer(x), "!=", test_pointer(NULL))
#define assert_ptr_equal(actual, expected)                  \
    test_compare(TEST_PLACE(#actual), test_pointer(actual), \
                 "==", test_pointer(expected))
#define assert_ptr_not_equal(actual, unwanted)              \
    test_compare(TEST_PLACE(#actual), test_pointer(actual), \
                 "!=", test_pointer(unwanted))

/* C strings; the first wrong byte is marked. NULL is a value like any other. */
#define assert_string_equal(actual, expected) \
    test_string(TEST_PLACE(#actual), actual, "==", expected)
#define assert_string_not_equal(actual, unwanted) \
    test_string(TEST_PLACE(#actual), actual, "!=", unwanted)

/* Bytes with a length of their own; NUL is a byte like any other. */
#define assert_bytes_equal(actual, actual_len, expected, expected_len) \
    test_bytes(TEST_PLACE(#actual), actual, actual_len, expected, expected_len)
#define assert_memory_equal(actual, expected, len) \
    test_bytes(TEST_PLACE(#actual), actual, len, expected, len)

#define assert_contains(string, needle) \
    test_string_contains(TEST_PLACE(#string), string, needle, true)
#define assert_not_contains(string, needle) \
    test_string_contains(TEST_PLACE(#string), string, needle, false)

/* The call returns 0; a failure shows errno. */
#define assert_success(call)                                   \
    do {                                                       \
        errno = 0;                                             \
        intmax_t test_returned = (call);                       \
        test_success(TEST_PLACE(#call), test_returned, errno); \
    } while (0)
/* The call returns -1 and sets errno to this. */
#define assert_fails(call, expected_errno)                                \
    do {                                                                  \
        errno = 0;                                                        \
        intmax_t test_returned = (call);                                  \
        test_fails(TEST_PLACE(#call), test_returned == -1, test_returned, \
                   errno, expected_errno);                                \
    } while (0)
/* The call returns NULL and sets errno to this. */
#define assert_fails_null(call, expected_errno)                     \
    do {                                                            \
        errno = 0;                                                  \
        const void *test_returned = (call);                         \
        test_fails(TEST_PLACE(#call), test_returned == NULL,        \
                   (intmax_t)test_returned, errno, expected_errno); \
    } while (0)

#define fail_msg(...) test_fail(TEST_PLACE(""), __VA_ARGS__)

/* Absolute path of a file of this lab ("test.txt"); valid until the test ends,
 * like every string and buffer that the test library returns. */
const char *lab_path(const char *file);

/* Creates or replaces a file; the text may be followed by printf arguments. */
void write_text(const char *path, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void write_bytes(const char *path, const void *bytes, size_t len);

/* The whole file, with a NUL behind it; *len (may be NULL) without that NUL. */
char *read_bytes(const char *path, size_t *len);

/* printf into memory that is freed when the test ends. */
char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Threads of this process that are alive now (/proc/self/task). */
int count_threads(void);
/* Descriptors of this process that are open now (/proc/self/fd). */
int count_descriptors(void);

/* Waits until the condition holds, looking every millisecond; the test fails
 * by its time limit if it never does. */
#define wait_until(condition)                                 \
    do {                                                      \
        test_waiting(TEST_PLACE("waited until " #condition)); \
        while (!(condition))                                  \
            test_pause();                                     \
        test_waiting((struct test_place){0});                 \
    } while (0)

void test_waiting(struct test_place place);
void test_pause(void);

#endif
