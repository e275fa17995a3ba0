/*
 * The contract is README.md. The program is seen from outside only: what it
 * writes, how it ends, how much memory it takes.
 */
#include "test/program.h"

#include <stdlib.h>
#include <sys/stat.h>

/* It wrote exactly this and ended well. */
#define assert_writes(r, expected)      \
    do {                                \
        struct run ended = r;           \
        assert_exit(ended, 0);          \
        assert_output(ended, expected); \
    } while (0)
#define assert_writes_bytes(r, expected, len)      \
    do {                                           \
        struct run ended = r;                      \
        assert_exit(ended, 0);                     \
        assert_output_bytes(ended, expected, len); \
    } while (0)
/* It wrote nothing but this message and ended with status 1. */
#define assert_refuses(r, message)    \
    do {                              \
        struct run ended = r;         \
        assert_error(ended, message); \
        assert_exit(ended, 1);        \
        assert_output(ended, "");     \
    } while (0)

static const char fruits[] = "apple\n"
                             "banana\n"
                             "cherry\n"
                             "pineapple\n";

static void write_fruits(void)
{
    write_text("fruits.txt", "%s", fruits);
}

/* Small numbers that look random and are the same in every run. */
static unsigned next_random(void)
{
    static unsigned state = 1;
    state = state * 1103515245u + 12345u;
    return state >> 16;
}

TEST(test_01_a_file_goes_through_unchanged)
{
    size_t len;
    const char *bytes = read_bytes(lab_path("test.txt"), &len);
    assert_writes_bytes(run(lab_path("test.txt")), bytes, len);

    write_text("empty.txt", "%s", "");
    assert_writes(run("empty.txt"), "");
}

TEST(test_02_a_pattern_keeps_the_lines_that_contain_it)
{
    write_fruits();
    assert_writes(run("fruits.txt", "apple"), "apple\npineapple\n");
    assert_writes(run("fruits.txt", "a.*e"), "");
}

TEST(test_03_n_puts_the_number_before_each_line)
{
    write_text("numbers.txt", "one\n\nthree\n");
    assert_writes(run("numbers.txt", "-n"), "   1: one\n"
                                            "   2: \n"
                                            "   3: three\n");
}

TEST(test_04_a_file_that_cannot_be_opened_is_reported)
{
    assert_refuses(run("missing.txt"),
                   "mini_cat: missing.txt: No such file or directory\n");

    write_text("secret.txt", "secret\n");
    assert_success(chmod("secret.txt", 0));
    struct run_options options = {.unprivileged = true};
    assert_refuses(run_with(options, "secret.txt"),
                   "mini_cat: secret.txt: Permission denied\n");
}

TEST(test_05_the_numbers_are_those_of_the_file)
{
    write_fruits();
    assert_writes(run("fruits.txt", "an", "-n"), "   2: banana\n");
    assert_writes(run("fruits.txt", "e", "-n"), "   1: apple\n"
                                                "   3: cherry\n"
                                                "   4: pineapple\n");
}

TEST(test_06_options_stand_anywhere)
{
    write_fruits();
    assert_writes(run("-n", "fruits.txt", "cherry"), "   3: cherry\n");
    assert_writes(run("fruits.txt", "--line-numbers", "cherry"),
                  "   3: cherry\n");

    write_text("-n", "a-n\nb-m\nc n\n");
    assert_writes(run("--", "-n", "-n"), "a-n\n");
    assert_writes(run("-n", "--", "-n", "-"), "   1: a-n\n   2: b-m\n");
}

TEST(test_07_a_wrong_command_line_ends_with_status_2)
{
    static const char usage[] = "FILE [PATTERN] [-n|--line-numbers]\n";
    write_fruits();
    assert_usage(usage, NULL);
    assert_usage(usage, "fruits.txt", "a", "b");
    assert_usage(usage, "fruits.txt", "-x");
    assert_usage(usage, "--number", "fruits.txt");
}

TEST(test_08_minus_is_standard_input)
{
    struct run_options options = {.input = fruits};
    assert_writes(run_with(options, "-"), fruits);
    assert_writes(run_with(options, "-", "an", "-n"), "   2: banana\n");

    /* Like a pipe, a file in /proc has contents but no size. */
    assert_writes(run("/proc/version"), read_bytes("/proc/version", NULL));
}

TEST(test_09_any_byte_is_text)
{
    char every[3 * 256];
    for (size_t i = 0; i < sizeof every; i++)
        every[i] = (char)i;
    write_bytes("every.bin", every, sizeof every);
    assert_writes_bytes(run("every.bin"), every, sizeof every);

    static const char lines[] = "\0apple\0\n"
                                "\xff\xfe\n"
                                "caf\xc3\xa9\0\r\n"
                                "\n";
    write_bytes("lines.bin", lines, sizeof lines - 1);
    assert_writes_bytes(run("lines.bin", "apple", "-n"), "   1: \0apple\0\n",
                        14);
    assert_writes_bytes(run("lines.bin", "\xc3\xa9"), "caf\xc3\xa9\0\r\n", 8);
    assert_writes_bytes(run("lines.bin", "-n"),
                        "   1: \0apple\0\n"
                        "   2: \xff\xfe\n"
                        "   3: caf\xc3\xa9\0\r\n"
                        "   4: \n",
                        44);
}

TEST(test_10_the_last_line_needs_no_newline)
{
    write_text("last.txt", "first\nlast");
    assert_writes(run("last.txt"), "first\nlast");
    assert_writes(run("last.txt", "-n"), "   1: first\n   2: last");
    assert_writes(run("last.txt", "last", "-n"), "   2: last");
}

TEST(test_11_an_empty_pattern_is_in_every_line)
{
    write_text("lines.txt", "one\n\nthree");
    assert_writes(run("lines.txt", "", "-n"), "   1: one\n   2: \n   3: three");
}

TEST(test_12_a_newline_is_in_no_line)
{
    write_fruits();
    assert_writes(run("fruits.txt", "e\n"), "");
    assert_writes(run("fruits.txt", "e\nbanana", "-n"), "");
}

TEST(test_13_a_line_may_be_of_any_length)
{
    const char *x = text("%0*d", 1200000, 0);
    write_text("long.txt", "short\n%s needle\nneedle %s", x, x);
    assert_writes(run("long.txt", "needle", "-n"),
                  text("   2: %s needle\n   3: needle %s", x, x));
    assert_writes(run("long.txt", "-n"),
                  text("   1: short\n   2: %s needle\n   3: needle %s", x, x));
}

/* The most memory mini_cat takes for count times this chunk, from a pipe. */
static long peak_kb(const char *chunk, int count, const char *argument)
{
    struct run_options options = {.keep_input_open = true,
                                  .output_file = "/dev/null"};
    struct program *program = start_with(options, "-", argument);
    for (int i = 0; i < count; i++)
        program_write(program, chunk, strlen(chunk));
    program_close_input(program);
    struct run r = program_wait(program);
    assert_exit(r, 0);
    return r.max_rss_kb;
}

TEST(test_14_memory_does_not_grow_with_the_file, .limit_ms = 3000)
{
    enum { CHUNK = 65536, CHUNKS = 320, ALLOWED_KB = 8 * 1024 };
    char *endless_line = text("%0*d", CHUNK, 0);
    char *lines = text("%0*d", CHUNK, 0);
    for (int i = 1023; i < CHUNK; i += 1024)
        lines[i] = '\n';

    long little_kb = peak_kb(lines, 1, "x");
    assert_at_most(peak_kb(lines, CHUNKS, "x") - little_kb, ALLOWED_KB);
    assert_at_most(peak_kb(endless_line, CHUNKS, NULL) - little_kb, ALLOWED_KB);
    assert_at_most(peak_kb(endless_line, CHUNKS, "-n") - little_kb, ALLOWED_KB);
}

TEST(test_15_a_failed_read_is_not_the_end)
{
    assert_refuses(run("."), "mini_cat: .: Is a directory\n");
    assert_refuses(run(".", "x"), "mini_cat: .: Is a directory\n");

    struct run_options options = {.input_file = "."};
    assert_refuses(run_with(options, "-", "-n"),
                   "mini_cat: -: Is a directory\n");
}

TEST(test_16_a_full_disk_is_reported)
{
    static const char message[] =
        "mini_cat: standard output: No space left on device\n";
    write_fruits();
    struct run_options options = {.output_file = "/dev/full"};
    assert_refuses(run_with(options, "fruits.txt"), message);
    assert_refuses(run_with(options, "fruits.txt", "-n"), message);
    assert_refuses(run_with(options, "fruits.txt", "e"), message);
}

TEST(test_17_a_closed_output_is_reported)
{
    static const char message[] = "mini_cat: standard output: Broken pipe\n";
    write_fruits();
    struct run_options no_reader = {.closed_output = true};
    assert_refuses(run_with(no_reader, "fruits.txt"), message);
    assert_refuses(run_with(no_reader, "fruits.txt", "e", "-n"), message);

    struct run_options closed = {
        .under =
            (const char *const[]){"sh", "-c", "exec \"$@\" >&-", "sh", NULL},
    };
    assert_refuses(run_with(closed, "fruits.txt"),
                   "mini_cat: standard output: Bad file descriptor\n");
}

TEST(test_18_short_and_interrupted_calls_lose_nothing)
{
    write_fruits();
    struct run_options bit_by_bit = {.faults = "read:short=1,write:short=1"};
    assert_writes(run_with(bit_by_bit, "fruits.txt"), fruits);
    assert_writes(run_with(bit_by_bit, "fruits.txt", "nan", "-n"),
                  "   2: banana\n");

    struct run_options interrupted = {
        .faults = "read:error=EINTR:when=1,write:error=EINTR:when=1"};
    assert_writes(run_with(interrupted, "fruits.txt"), fruits);
    assert_writes(run_with(interrupted, "fruits.txt", "apple"),
                  "apple\npineapple\n");
}

TEST(test_19_memory_that_runs_out_is_reported)
{
    char *x = text("%0*d", 300000, 0);
    write_text("long.txt", "%s\n", x);
    struct run_options options = {.faults =
                                      "malloc:error=ENOMEM,calloc:error=ENOMEM,"
                                      "realloc:error=ENOMEM"};
    struct run r = run_with(options, "long.txt", "0");
    if (r.status == 0) { /* it asked for none */
        assert_writes(r, text("%s\n", x));
    } else {
        assert_exit(r, 1);
        assert_error(r, "mini_cat: long.txt: Cannot allocate memory\n");
    }
}

TEST(test_20_a_file_is_not_copied_to_itself)
{
    write_fruits();
    struct run_options append = {
        .under = (const char *const[]){"sh", "-c",
                                       "ulimit -f 64; exec \"$@\" >>fruits.txt",
                                       "sh", NULL},
    };
    assert_refuses(run_with(append, "fruits.txt"),
                   "mini_cat: fruits.txt: input file is output file\n");
    assert_string_equal(read_bytes("fruits.txt", NULL), fruits);

    struct run_options device = {.input_file = "/dev/null",
                                 .output_file = "/dev/null"};
    assert_writes(run_with(device, "-"), "");
}

/* Some 20,000 lines of a and b, short but for a few. */
static void write_random_lines(const char *path)
{
    enum { SIZE = 240000 };
    char *bytes = malloc(SIZE);
    assert_non_null(bytes);
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = "ab"[next_random() % 2];
    for (size_t i = 0; i < SIZE; i += 1 + next_random() % 16) {
        bytes[i] = '\n';
        if (next_random() % 8000 == 0)
            i += 30000;
    }
    bytes[SIZE - 1] = '\n';
    write_bytes(path, bytes, SIZE);
    free(bytes);
}

TEST(test_21_cat_grep_and_awk_agree)
{
    write_random_lines("random.txt");
    struct run_options cat = {.program = "cat"};
    struct run_options grep = {.program = "grep"};
    struct run_options awk = {.program = "awk"};
    struct run_options cut = {.faults = "read:short=999,write:short=999"};

    struct run theirs = run_with(cat, "random.txt");
    assert_writes_bytes(run("random.txt"), theirs.out, theirs.out_len);

    theirs = run_with(grep, "-F", "abbab", "random.txt");
    assert_writes_bytes(run("random.txt", "abbab"), theirs.out, theirs.out_len);

    theirs =
        run_with(awk, "index($0, \"abbab\") { printf \"%4d: %s\\n\", NR, $0 }",
                 "random.txt");
    assert_writes_bytes(run_with(cut, "random.txt", "abbab", "-n"), theirs.out,
                        theirs.out_len);

    theirs = run_with(awk, "{ printf \"%4d: %s\\n\", NR, $0 }", "random.txt");
    assert_writes_bytes(run_with(cut, "random.txt", "-n"), theirs.out,
                        theirs.out_len);
}
