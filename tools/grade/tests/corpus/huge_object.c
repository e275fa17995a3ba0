/* does-not-build 0: an object larger than the disk */
__asm__(".data\n.skip 0x4000000000, 1\n");
