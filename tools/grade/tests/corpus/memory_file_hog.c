/* graded 3: the same in files that have no name and are not mapped */
#include <sys/mman.h>
#include <unistd.h>
static char block[1 << 20];
int twice(int n)
{
    while (n < 0) {
        int fd = memfd_create("hog", 0);
        for (int i = 0; i < 256 && write(fd, block, sizeof block) > 0; i++)
            ;
    }
    return 2 * n;
}
