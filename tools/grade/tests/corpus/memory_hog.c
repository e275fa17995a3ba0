/* graded 3: memory without end */
#include <stdlib.h>
#include <string.h>
int twice(int n)
{
    while (n < 0) {
        char *more = malloc(64 << 20);
        if (more)
            memset(more, 1, 64 << 20);
    }
    return 2 * n;
}
