#include "answer.h"
#include <stdio.h>
#include <stdlib.h>

static int *copy(int n)
{
    int *number = malloc(sizeof(*number));
    if (number)
        *number = n;
    return number;
}

int answer(int n)
{
    int *volatile number = copy(n + 1);
    int result = *number;
    number = NULL;
    return result;
}

int main(int argc, char **argv)
{
    printf("hello, %s\n", argc > 1 ? argv[1] : "nobody");
    return 0;
}
