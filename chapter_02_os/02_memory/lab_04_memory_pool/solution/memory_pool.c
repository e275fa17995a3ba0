/*
 * memory_pool - blocks of one size; the contract is in memory_pool.h.
 *
 * The blocks stand side by side in one piece of memory. What the pool knows
 * about them stands outside, in an array with one number for each block: the
 * next free one if it is free, TAKEN if it is not. So the same array is the
 * list of free blocks and the answer to a double free, and no byte in a block
 * can spoil it.
 */
#include "memory_pool.h"

#include "asan.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

enum { LEAST_ALIGNMENT = 8 };

/* Blocks are numbered from 0. 32 bits are enough: with them, twice as many
 * numbers fit into a cache line as with pointers. */
#define TAKEN UINT32_MAX
#define END (UINT32_MAX - 1)

struct memory_pool {
    char *blocks;
    size_t block_size;
    size_t stride; /* from one block to the next */
    size_t count;
    uint64_t inverse; /* these two divide by the stride: see number_of() */
    unsigned shift;
    uint32_t first_free; /* or END */
    uint32_t next[];     /* of a free block: the free one behind it, or END */
};

static bool is_power_of_two(size_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

/* The number by which `odd` has to be multiplied to give 1 in 64 bits. An odd
 * number is its own inverse in the last 3 bits; each step doubles the bits that
 * are right (Newton's method). */
static uint64_t inverse_of(uint64_t odd)
{
    uint64_t inverse = odd;
    for (int bits = 3; bits < 64; bits *= 2)
        inverse *= 2 - odd * inverse;
    return inverse;
}

/*
 * Which block starts at this address: less than `count` if one does.
 *
 * It is offset / stride, if that leaves no remainder. The stride is odd <<
 * shift, and to divide by an odd number what it divides is to multiply by its
 * inverse, a few times faster than a division. The bits that the shift should
 * lose are rotated to the top instead: so offsets with a remainder, and those
 * outside, come out greater than every block's number (Warren, Hacker's
 * Delight, "Test for Zero Remainder after Division by a Constant").
 */
static uint64_t number_of(const struct memory_pool *pool, const void *block)
{
    /* Integers: pointers into different objects must not be subtracted. */
    uint64_t offset = (uintptr_t)block - (uintptr_t)pool->blocks;
    uint64_t product = offset * pool->inverse;
    return product >> pool->shift | product << (64 - pool->shift);
}

struct memory_pool *memory_pool_new(size_t block_size, size_t alignment,
                                    size_t count)
{
    if (block_size == 0 || count == 0 || alignment < LEAST_ALIGNMENT ||
        !is_power_of_two(alignment)) {
        errno = EINVAL;
        return NULL;
    }
    size_t stride = (block_size + alignment - 1) & ~(alignment - 1);
    /* A sum that wraps around comes out too small. The numbers beside the
     * blocks take less than these do, so they fit as well. */
    if (stride < block_size || count > SIZE_MAX / stride || count > END) {
        errno = ENOMEM;
        return NULL;
    }

    struct memory_pool *pool =
        malloc(sizeof *pool + count * sizeof pool->next[0]);
    if (pool == NULL)
        return NULL;
    pool->blocks = aligned_alloc(alignment, count * stride);
    if (pool->blocks == NULL) {
        free(pool);
        errno = ENOMEM;
        return NULL;
    }
    ASAN_POISON_MEMORY_REGION(pool->blocks, count * stride);

    pool->block_size = block_size;
    pool->stride = stride;
    pool->count = count;
    pool->shift = (unsigned)__builtin_ctzll(stride);
    pool->inverse = inverse_of((uint64_t)stride >> pool->shift);
    pool->first_free = 0;
    for (size_t i = 0; i < count; i++)
        pool->next[i] = (uint32_t)i + 1;
    pool->next[count - 1] = END;
    return pool;
}

void memory_pool_free(struct memory_pool *pool)
{
    if (pool == NULL)
        return;
    free(pool->blocks);
    free(pool);
}

void *memory_pool_take(struct memory_pool *pool)
{
    uint32_t number = pool->first_free;
    if (number == END) {
        errno = ENOMEM;
        return NULL;
    }
    pool->first_free = pool->next[number];
    pool->next[number] = TAKEN;

    void *block = pool->blocks + number * pool->stride;
    ASAN_UNPOISON_MEMORY_REGION(block, pool->block_size);
    return block;
}

int memory_pool_give_back(struct memory_pool *pool, void *block)
{
    if (block == NULL)
        return 0;
    uint64_t number = number_of(pool, block);
    if (number >= pool->count || pool->next[number] != TAKEN) {
        errno = EINVAL;
        return -1;
    }
    ASAN_POISON_MEMORY_REGION(block, pool->block_size);
    pool->next[number] = pool->first_free;
    pool->first_free = (uint32_t)number;
    return 0;
}
