#include "answer.h"
#include "test/program.h"

TEST(test_01_answer_is_one_more)
{
    assert_int_equal(answer(1), 2);
}

TEST(test_02_the_program_says_hello)
{
    struct run r = run("you");
    assert_output(r, "hello, you\n");
    assert_exit(r, 0);
}

TEST(test_03_a_tool_is_missing)
{
    test_need("no-such-tool");
}
