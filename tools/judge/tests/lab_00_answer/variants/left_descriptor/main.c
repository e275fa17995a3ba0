#include "answer.h"
#include <fcntl.h>
#include <stdio.h>

int answer(int n)
{
    open("/dev/null", O_RDONLY);
    return n + 1;
}

int main(int argc, char **argv)
{
    printf("hello, %s\n", argc > 1 ? argv[1] : "nobody");
    return 0;
}
