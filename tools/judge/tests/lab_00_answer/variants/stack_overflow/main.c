#include "answer.h"
#include <stdio.h>

static int dig(volatile int depth)
{
    volatile char hole[1000] = {0};
    return hole[0] + (depth ? dig(depth + 1) : 0) + depth;
}

int answer(int n)
{
    return dig(n);
}

int main(int argc, char **argv)
{
    printf("hello, %s\n", argc > 1 ? argv[1] : "nobody");
    return 0;
}
