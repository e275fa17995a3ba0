/* graded 3: has another program do it */
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    (void)argv;
    return system("echo 42");
}
