/*
 * twice.h - the smallest contract that a learner can break in every way. The
 * program prints twice its argument, a number.
 */
#ifndef TWICE_H
#define TWICE_H

/* 2 * n */
int twice(int n);

#endif
