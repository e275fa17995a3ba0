#include "words.h"
#include <errno.h>
#include <stdio.h>

int words_number(void)
{
    return -1;
}

const char *words_string(void)
{
    return "a line\nand \"another\" one, long enough to be cut on both sides "
           "of "
           "the place where it goes wrong, which is here";
}

int words_failing(void)
{
    errno = EAGAIN;
    return -1;
}

int main(void)
{
    puts("something else");
    return 0;
}
