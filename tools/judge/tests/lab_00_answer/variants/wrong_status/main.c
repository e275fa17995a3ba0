#include "answer.h"
#include <stdio.h>

int answer(int n)
{
    return n + 1;
}

int main(int argc, char **argv)
{
    printf("hello, %s\n", argc > 1 ? argv[1] : "nobody");
    fprintf(stderr, "answer: no such reader\n");
    return 3;
}
