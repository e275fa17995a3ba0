#include "answer.h"
#include <pthread.h>
#include <stdio.h>

static int total;

static void *add(void *argument)
{
    total++;
    return argument;
}

int answer(int n)
{
    pthread_t threads[2];
    total = n - 1;
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, add, NULL);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    return total;
}

int main(int argc, char **argv)
{
    printf("hello, %s\n", argc > 1 ? argv[1] : "nobody");
    return 0;
}
