/* does-not-build 0: takes the solution */
#include "../solution/twice.c"
