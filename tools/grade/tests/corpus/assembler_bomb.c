/* does-not-build 0: the assembler has its hands full */
__asm__(".rept 1000000000\n.rept 1000\nnop\n.endr\n.endr\n");
