/*
 * locality.h - the same work in different orders, and chains through memory.
 *
 *     int32_t numbers[6] = {1, 2, 3, 4, 5, 6};
 *     size_t indices[3] = {5, 0, 5};
 *     sum_sequential(numbers, 6);         21
 *     sum_random(numbers, indices, 3);    13
 *     sum_column_major(numbers, 2, 3);    21, as 1 + 4 + 2 + 5 + 3 + 6
 *
 * A chain is an array in which a cell holds the index of the cell that is read
 * next. Whoever follows it has to wait for each read before the next one can
 * begin: so it shows how long a read takes.
 *
 *     size_t cells[1024];
 *     if (chain_at_random(cells, 1024, 8, 1) == -1)
 *         err(1, "chain_at_random");
 *     size_t place = chain_follow(cells, 0, 1000000);
 *
 * All memory is the caller's; no function keeps a pointer.
 */
#ifndef LOCALITY_H
#define LOCALITY_H

#include <stddef.h>
#include <stdint.h>

/*
 * The four sums. They read each number that they add once, in the order that
 * is said, and nothing else of the array. When there is nothing to add the
 * result is 0, nothing is read, and the pointers may be NULL. A sum may be
 * larger than a number can be, so it has 64 bits; there are never so many
 * numbers that this is not enough. These functions cannot fail.
 */

/* Adds numbers[0], numbers[1], …, numbers[count - 1]. */
int64_t sum_sequential(const int32_t *numbers, size_t count);

/* Adds numbers[indices[0]], numbers[indices[1]], …: as many as there are
 * indices. An index may occur several times. Where they point to is up to the
 * caller: they are not checked. */
int64_t sum_random(const int32_t *numbers, const size_t *indices, size_t count);

/* A matrix lies in memory row behind row, as C has it: row r, column c is
 * numbers[r * columns + c]. This adds row 0 from left to right, then row 1, …
 */
int64_t sum_row_major(const int32_t *numbers, size_t rows, size_t columns);

/* Adds column 0 of the same matrix from top to bottom, then column 1, … */
int64_t sum_column_major(const int32_t *numbers, size_t rows, size_t columns);

/*
 * Makes a chain of cells 0, step, 2 * step, …: of all that lie below `count`,
 * which is the size of the array. Each leads to the one behind it, the last one
 * back to cell 0. The other cells are neither read nor written. A step of
 * `count` or more makes a chain of one cell that leads to itself.
 *
 * Returns 0, or -1 on error, with no cell written:
 *   EINVAL  count or step is 0 (cells may be NULL then)
 */
int chain_in_order(size_t *cells, size_t count, size_t step);

/*
 * The same cells and the same errors, but in random order. It is still one
 * chain: whoever starts at cell 0 comes through every one of these cells once
 * before coming back to cell 0. Each such chain is about as likely as any
 * other, over all seeds. The same arguments give the same chain.
 *
 * It can be made in place. If yours needs memory of its own, then
 *   ENOMEM  there is none
 */
int chain_at_random(size_t *cells, size_t count, size_t step, uint64_t seed);

/* Reads one cell after the other, `accesses` in all: first cells[start], then
 * the one whose index was in there, and so on. Returns what was in the last of
 * them, which is where it would go on; `start` when accesses is 0. With the
 * cells {3, 0, 9, 1} and start 0: 0 after no access, 3 after one, 1 after two.
 * Cannot fail. */
size_t chain_follow(const size_t *cells, size_t start, size_t accesses);

/* A random number from *state, which begins as any seed and goes on from call
 * to call. `random_next(&state) % n` is from 0 to n - 1, and fair enough here.
 * Given: splitmix64 (Steele, Lea, Flood 2014). */
static inline uint64_t random_next(uint64_t *state)
{
    uint64_t bits = *state += UINT64_C(0x9e3779b97f4a7c15);
    bits = (bits ^ (bits >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    bits = (bits ^ (bits >> 27)) * UINT64_C(0x94d049bb133111eb);
    return bits ^ (bits >> 31);
}

#endif
