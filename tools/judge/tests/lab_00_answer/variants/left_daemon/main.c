#include "answer.h"
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int answer(int n)
{
    if (fork() == 0) {
        setsid();
        if (fork() == 0) {
            for (int fd = 0; fd < 100; fd++)
                close(fd);
            sleep(60);
        }
        _exit(0);
    }
    wait(NULL);
    return n + 1;
}

int main(int argc, char **argv)
{
    printf("hello, %s\n", argc > 1 ? argv[1] : "nobody");
    return 0;
}
