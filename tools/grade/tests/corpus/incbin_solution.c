/* does-not-build 0: takes the solution through the assembler */
__asm__(".globl solution\nsolution: .incbin \"../solution/twice.c\"\n");
