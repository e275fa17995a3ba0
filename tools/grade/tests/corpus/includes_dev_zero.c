/* does-not-build 0: takes a file that does not end */
#include "/dev/zero"
#ifdef __clang__
#error "clang finds it empty"
#endif
