/* graded 4: much memory and a deep stack, within reason */
#include <stdlib.h>
#include <string.h>
int twice(int n)
{
    volatile char deep[4 << 20];
    char *large = malloc(200 << 20);
    if (!large)
        return 0;
    memset(large, 1, 200 << 20);
    deep[0] = large[5];
    free(large);
    return 2 * n + deep[0] - 1;
}
