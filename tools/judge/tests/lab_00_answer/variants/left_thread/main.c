#include "answer.h"
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static void *doze(void *argument)
{
    sleep(60);
    return argument;
}

int answer(int n)
{
    pthread_t thread;
    pthread_create(&thread, NULL, doze, NULL);
    pthread_detach(thread);
    return n + 1;
}

int main(int argc, char **argv)
{
    printf("hello, %s\n", argc > 1 ? argv[1] : "nobody");
    return 0;
}
