/*
 * The pool of lab 4; its contract is in memory_pool.h.
 *
 * The struct is a proposal: the blocks side by side in one piece of memory, and
 * for each block a number outside of it, which says either that the block is
 * taken or which free block comes behind it. Change it if you like.
 */
#include "memory_pool.h"

#include "asan.h"
#include "todo.h"

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
    uint32_t first_free; /* or END */
    uint32_t next[];     /* of a free block: the free one behind it, or END */
};

struct memory_pool *memory_pool_new(size_t block_size, size_t alignment,
                                    size_t count)
{
    todo("memory_pool_new");
}

void memory_pool_free(struct memory_pool *pool)
{
    todo("memory_pool_free");
}

void *memory_pool_take(struct memory_pool *pool)
{
    todo("memory_pool_take");
}

int memory_pool_give_back(struct memory_pool *pool, void *block)
{
    todo("memory_pool_give_back");
}
