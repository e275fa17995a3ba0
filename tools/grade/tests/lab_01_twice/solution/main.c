#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    if (argc != 2) {
        fputs("usage: twice N\n", stderr);
        return 2;
    }
    printf("%d\n", 2 * atoi(argv[1]));
    return 0;
}
