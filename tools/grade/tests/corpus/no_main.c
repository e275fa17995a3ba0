/* does-not-build 0: no program */
#define main other_main
