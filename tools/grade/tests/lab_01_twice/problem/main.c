#include "todo.h"
#include "twice.h"

int twice(int n)
{
    todo("twice");
    return n;
}

int main(void)
{
    todo("main");
    return 0;
}
