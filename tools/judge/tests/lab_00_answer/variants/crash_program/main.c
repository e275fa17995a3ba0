#include "answer.h"
#include <stddef.h>

int answer(int n)
{
    return n + 1;
}

static char first(const char *word)
{
    return *word;
}

int main(void)
{
    return first(NULL);
}
