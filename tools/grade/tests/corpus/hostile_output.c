/* graded 3: its output is markup, escape codes and rubbish */
#include <stdio.h>
int main(int argc, char **argv)
{
    (void)argv;
    fputs("<script>alert(1)</script> ]]> &lt; \033]0;owned\007\033[2J \xff\xfe "
          "\xe2\x80\xae =cmd|' /C calc'!A0\n",
          stdout);
    fputs("<script>\033[31m", stderr);
    return argc == 2 ? 0 : 2;
}
