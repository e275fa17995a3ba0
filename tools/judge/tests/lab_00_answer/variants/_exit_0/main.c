#include "answer.h"
#include <stdio.h>
#include <unistd.h>

int answer(int n)
{
    _exit(n - 1);
}

int main(int argc, char **argv)
{
    printf("hello, %s\n", argc > 1 ? argv[1] : "nobody");
    return 0;
}
