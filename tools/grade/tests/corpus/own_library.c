/* graded 2: a C library in which everything is equal */
#include <stddef.h>
int strcmp(const char *a, const char *b)
{
    return !a || !b;
}
int memcmp(const void *a, const void *b, size_t len)
{
    return !a || !b || len > 1000000;
}
int twice(int n)
{
    return n;
}
