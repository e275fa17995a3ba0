/*
 * answer.h - the smallest contract that a test can ask for. The program prints
 * "hello, NAME" for its argument NAME.
 */
#ifndef ANSWER_H
#define ANSWER_H

/* n + 1 */
int answer(int n);

#endif
