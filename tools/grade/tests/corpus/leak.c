/* graded 2: right, and memory that nobody frees */
#include <stdlib.h>
int twice(int n)
{
    volatile char *bytes = malloc(4);
    bytes = NULL;
    return bytes ? 0 : 2 * n;
}
