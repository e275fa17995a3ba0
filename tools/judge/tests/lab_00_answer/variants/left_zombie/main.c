#include "answer.h"
#include <stdio.h>
#include <unistd.h>

int answer(int n)
{
    int ends[2];
    char byte;
    if (pipe(ends) == -1)
        return -1;
    if (fork() == 0)
        _exit(0);
    close(ends[1]);
    while (read(ends[0], &byte, 1) > 0)
        ;
    close(ends[0]);
    return n + 1;
}

int main(int argc, char **argv)
{
    printf("hello, %s\n", argc > 1 ? argv[1] : "nobody");
    return 0;
}
