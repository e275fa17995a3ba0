/* graded 3: more output than anybody reads */
#include <stdio.h>
int twice(int n)
{
    while (n < 0)
        puts("la la la la la la la la la la la la");
    return 2 * n;
}
