/* does-not-build 0: the same through the assembler */
__asm__(".incbin \"/dev/zero\"\n");
