/* graded 3: the same, and deaf to all signals */
#include <signal.h>
int twice(int n)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, 0);
    for (volatile int i = 0; n < 0;)
        i = !i;
    return 2 * n;
}
