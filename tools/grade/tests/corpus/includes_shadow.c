/* does-not-build 0: takes a secret of the machine */
#include "/etc/shadow"
