#include "answer.h"
#include <limits.h>
#include <stdio.h>

int answer(int n)
{
    int large = INT_MAX;
    large += n;
    return large < 0 ? n + 1 : 0;
}

int main(int argc, char **argv)
{
    printf("hello, %s\n", argc > 1 ? argv[1] : "nobody");
    return 0;
}
