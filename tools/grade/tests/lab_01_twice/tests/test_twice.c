#include "test/program.h"
#include "twice.h"

TEST(test_01_a_number_is_doubled)
{
    assert_int_equal(twice(2), 4);
}

TEST(test_02_so_is_one_below_zero)
{
    assert_int_equal(twice(-3), -6);
}

TEST(test_03_the_program_prints_it)
{
    struct run r = run("21");
    assert_output(r, "42\n");
    assert_exit(r, 0);
}

TEST(test_04_the_program_needs_a_number)
{
    struct run r = run_alone((struct run_options){0});
    assert_exit(r, 2);
}
