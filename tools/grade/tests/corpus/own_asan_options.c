/* refused 0: tells the sanitizers to look away */
#include <stdlib.h>
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0:exitcode=0";
}
