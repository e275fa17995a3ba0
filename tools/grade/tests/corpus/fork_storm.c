/* graded 3: processes without end */
#include <unistd.h>
int twice(int n)
{
    while (n < 0)
        fork();
    return 2 * n;
}
