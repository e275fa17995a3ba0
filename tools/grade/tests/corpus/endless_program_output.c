/* graded 3: the program does so */
#include <stdio.h>
int main(int argc, char **argv)
{
    (void)argv;
    while (argc == 2)
        puts("la la la la la la la la la la la la");
    return 2;
}
