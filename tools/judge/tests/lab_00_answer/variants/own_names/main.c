#include "answer.h"
#include <stdio.h>
#include <string.h>

int strcmp(const char *a, const char *b)
{
    return a == b;
}

void *memcpy(void *to, const void *from, size_t len)
{
    (void)from, (void)len;
    return to;
}

void test_compare(int n);
void test_compare(int n)
{
    (void)n;
}

int answer(int n)
{
    return n + 100;
}

int main(int argc, char **argv)
{
    printf("hello, %s\n", argc > 1 ? argv[1] : "nobody");
    return 0;
}
