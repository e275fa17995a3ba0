#include "answer.h"
#include <stdio.h>
#include <stdlib.h>

int answer(int n)
{
    int *number = malloc(sizeof(*number));
    *number = n + 1;
    free(number);
    return *number;
}

int main(int argc, char **argv)
{
    printf("hello, %s\n", argc > 1 ? argv[1] : "nobody");
    return 0;
}
