#include "answer.h"
#include <stdio.h>
#include <stdlib.h>

int answer(int n)
{
    int *numbers = malloc(n * sizeof(*numbers));
    numbers[n] = n + 1;
    int result = numbers[n];
    free(numbers);
    return result;
}

int main(int argc, char **argv)
{
    printf("hello, %s\n", argc > 1 ? argv[1] : "nobody");
    return 0;
}
