/* does-not-build 0: takes the tests */
#include "../tests/test_twice.c"
