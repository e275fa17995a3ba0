#include "answer.h"
#include <pthread.h>
#include <stdio.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void *run(void *result)
{
    pthread_mutex_lock(&mutex);
    *(int *)result = 2;
    return NULL;
}

int answer(int n)
{
    pthread_t thread;
    pthread_mutex_lock(&mutex);
    pthread_create(&thread, NULL, run, &n);
    pthread_join(thread, NULL);
    return n;
}

int main(int argc, char **argv)
{
    printf("hello, %s\n", argc > 1 ? argv[1] : "nobody");
    return 0;
}
