#include "answer.h"
#include <stdio.h>
#include <unistd.h>

int answer(int n)
{
    if (fork() == 0) {
        sleep(60);
        _exit(0);
    }
    return n + 1;
}

int main(int argc, char **argv)
{
    printf("hello, %s\n", argc > 1 ? argv[1] : "nobody");
    return 0;
}
