#include "test/program.h"
#include "words.h"
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

TEST(test_01_numbers)
{
    assert_int_equal(words_number(), UINT64_MAX);
}

TEST(test_02_bounds)
{
    assert_at_least(words_number(), 0);
}

TEST(test_03_truth)
{
    assert_true(words_number() == 1);
}

TEST(test_04_strings)
{
    const char *expected = "a line\nand \"another\" one, long enough to be cut "
                           "on both sides of the place where it ends, which is "
                           "not";
    assert_string_equal(words_string(), expected);
}

TEST(test_05_a_string_that_is_not_there)
{
    assert_string_equal(NULL, "one");
}

TEST(test_06_something_missing)
{
    assert_contains(words_string(), "nowhere");
}

TEST(test_07_bytes_of_another_length)
{
    assert_bytes_equal("a\0b", 3, "a\0bc", 4);
}

TEST(test_08_success_that_fails)
{
    assert_success(words_failing());
}

TEST(test_09_the_wrong_error)
{
    assert_fails(words_failing(), EINVAL);
}

TEST(test_10_no_error)
{
    assert_fails(getpid() > 0 ? 0 : -1, EINVAL);
}

TEST(test_11_words_of_ones_own)
{
    fail_msg("the queue has %d places\nand no more", 3);
}

TEST(test_12_output)
{
    struct run r = run("x");
    assert_output(r, "something new\n");
}

TEST(test_13_text_on_stderr)
{
    struct run r = run("x");
    assert_error_contains(r, "usage");
}

static void *fail_here(void *argument)
{
    assert_int_equal(words_number(), 0);
    return argument;
}

TEST(test_14_in_a_thread)
{
    pthread_t thread;
    pthread_create(&thread, NULL, fail_here, NULL);
    pthread_join(thread, NULL);
}

TEST(test_15_in_a_child_that_nobody_asks)
{
    pid_t child = fork();
    if (child == 0)
        fail_here(NULL);
    waitpid(child, NULL, 0);
}

TEST(test_16_one_of_cmockas_own)
{
    assert_in_set(7, ((LargestIntegralType[]){1, 2}), 2);
}

TEST(test_17_skipped)
{
    test_skip("%s are not allowed here", "experiments");
}

TEST(test_18_waiting_for_what_never_comes, .limit_ms = 100)
{
    wait_until(words_number() == 1);
}

TEST(test_19_a_port_that_is_not_said)
{
    program_port(start("x"));
}

TEST(test_20_a_program_that_begins_in_spite_of_it)
{
    assert_usage("[--port PORT]", "x");
}
