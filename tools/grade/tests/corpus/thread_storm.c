/* graded 3: threads without end */
#include <pthread.h>
#include <unistd.h>
static void *sleeping(void *unused)
{
    pause();
    return unused;
}
int twice(int n)
{
    pthread_t thread;
    while (n < 0)
        pthread_create(&thread, NULL, sleeping, NULL);
    return 2 * n;
}
