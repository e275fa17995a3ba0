/* does-not-build 0: includes itself, twice */
#include __FILE__
#include __FILE__
