#include "answer.h"
#include <stdio.h>

int answer(int n)
{
    return n + 1;
}

int main(int argc, char **argv)
{
    printf("hello, %.2s%c\n", argc > 1 ? argv[1] : "", '\0');
    return 0;
}
