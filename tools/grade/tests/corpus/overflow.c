/* graded 2: right, and one byte too far */
#include <stdlib.h>
int twice(int n)
{
    volatile char *bytes = malloc(4);
    bytes[n & 0 ? 0 : 4] = 1;
    free((char *)bytes);
    return 2 * n;
}
