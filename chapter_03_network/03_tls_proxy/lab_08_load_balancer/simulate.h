/*
 * simulate.h - every strategy in front of ten backends, one of which is ten
 * times slower than the others, in simulated time.
 */
#ifndef SIMULATE_H
#define SIMULATE_H

#include <stdbool.h>

/* Prints a table, or with csv the 99th percentiles at rising load. Returns -1
 * with ENOMEM. */
int simulate(bool csv);

#endif
