/* does-not-build 0: an array of 2 GB, not one byte of it zero */
char huge[0x7fffffff] = {[0 ... 0x7ffffffe] = 1};
