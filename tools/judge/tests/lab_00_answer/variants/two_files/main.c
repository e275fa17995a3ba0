#include "one.h"
#include <stdio.h>

int main(int argc, char **argv)
{
    printf("hello, %s\n", argc > ONE ? argv[ONE] : "nobody");
    return 0;
}
