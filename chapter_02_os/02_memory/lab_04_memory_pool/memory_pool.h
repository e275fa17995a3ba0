/*
 * memory_pool.h - blocks of one size, out of memory that is taken once.
 *
 *     struct memory_pool *pool = memory_pool_new(sizeof(struct order), 64, 9);
 *     if (pool == NULL)
 *         err(1, "memory_pool_new");
 *     struct order *order = memory_pool_take(pool);
 *     if (order == NULL)
 *         err(1, "memory_pool_take");
 *     memory_pool_give_back(pool, order);
 *     memory_pool_free(pool);
 *
 * The pool belongs to the one who made it. A block is lent: from take to
 * give_back its bytes are the caller's, and the pool neither reads nor writes
 * them, whatever is in them. Taking and giving back cost the same however many
 * blocks there are, free or taken. They ask no allocator and no kernel for
 * anything. One thread at a time: the pool has no lock.
 *
 * Under AddressSanitizer the pool says which of its bytes may be used, as
 * malloc(3) does. A block that is not taken is poisoned: at first all are.
 * Of a taken block the first block_size bytes are not; what lies between them
 * and the next block stays poisoned. The two macros for this are in asan.h.
 */
#ifndef MEMORY_POOL_H
#define MEMORY_POOL_H

#include <stddef.h>

/* The pool. What is in it is up to you. */
struct memory_pool;

/*
 * Makes a pool of `count` free blocks with room for `block_size` bytes each.
 * Every block starts at an address that is a multiple of `alignment`, a power
 * of two from 8 on. All memory that the pool will ever need is taken here. The
 * caller frees it with memory_pool_free().
 *
 * Returns NULL on error; the arguments are looked at first:
 *   EINVAL  block_size or count is 0; alignment is less than 8 or no power of
 *           two
 *   ENOMEM  no memory; also when a size in bytes would not fit into a size_t.
 *           More than 4,000,000,000 blocks may be refused in this way, too.
 */
struct memory_pool *memory_pool_new(size_t block_size, size_t alignment,
                                    size_t count);

/* Frees the pool with all its blocks, taken or not; does nothing with NULL. */
void memory_pool_free(struct memory_pool *pool);

/*
 * Takes a free block, any of them; what is in its bytes means nothing. After
 * `count` calls the pool is exhausted, until a block is given back.
 *
 * Returns NULL on error:
 *   ENOMEM  every block is taken
 */
void *memory_pool_take(struct memory_pool *pool);

/*
 * Makes a block free that memory_pool_take() has returned. It may be taken
 * again at once, and one that is taken again cannot be told from the old one:
 * who kept the old pointer can give it back. With NULL it does nothing and
 * returns 0, as free(3) does.
 *
 * Returns 0, or -1 on error; then nothing has changed:
 *   EINVAL  `block` does not point to the start of a block of this pool (it may
 *           point anywhere, and is not followed), or the block is free already
 */
int memory_pool_give_back(struct memory_pool *pool, void *block);

#endif
