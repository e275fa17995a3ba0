#include "answer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int answer(int n)
{
    for (;;) {
        char *block = malloc(1 << 20);
        if (block)
            memset(block, n, 1 << 20);
    }
}

int main(int argc, char **argv)
{
    printf("hello, %s\n", argc > 1 ? argv[1] : "nobody");
    return 0;
}
