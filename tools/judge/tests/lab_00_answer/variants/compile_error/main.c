#include "answer.h"
#include <stdio.h>

int answer(int n)
{
    return n + one;
}

int main(int argc, char **argv)
{
    printf("hello, %s\n", argc > 1 ? argv[1] : "nobody");
    return 0;
}
