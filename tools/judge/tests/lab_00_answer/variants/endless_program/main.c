#include "answer.h"
#include <stdio.h>

int answer(int n)
{
    return n + 1;
}

int main(void)
{
    for (;;)
        puts("hello, hello, hello, hello, hello, hello, hello, hello");
}
