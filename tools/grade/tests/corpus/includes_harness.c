/* does-not-build 0: takes the course's own sources */
#include "test/main.c"
