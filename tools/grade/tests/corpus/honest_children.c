/* graded 4: a thread and a child, both waited for, and a file left behind */
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
static void *doubled(void *number)
{
    *(int *)number *= 2;
    return number;
}
int twice(int n)
{
    pthread_t thread;
    FILE *file = fopen("a file", "w");
    if (file)
        fclose(file);
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
    pthread_create(&thread, NULL, doubled, &n);
    pthread_join(thread, NULL);
    return n;
}
