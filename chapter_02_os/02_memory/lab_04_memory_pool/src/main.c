/*
 * Lab 4: memory pool
 *
 * Goal: hand out blocks of one size from memory that is taken once, faster than
 * malloc, and refuse to take back what is not a taken block.
 *
 * Requirements (memory_pool.h has them in full):
 * 1. The four functions are yours to write, in memory_pool.c.
 * 2. Taking and giving back cost the same however many blocks there are.
 * 3. Blocks are aligned; sizes that wrap around are refused.
 * 4. A pointer that is not a taken block is refused, whatever it is.
 * 5. Under AddressSanitizer, what is not taken is poisoned.
 *
 * Hints:
 * - What the pool has to know about a block stands outside the block.
 * - A block has a number. From the number to the address is a multiplication;
 *   what is the way back?
 * - Stuck? make hint
 *
 * Verification:
 *     make test
 *     make run ARGS="64 1000"
 *
 * Acceptance criteria:
 * [ ] every block is aligned and has its bytes to itself
 * [ ] a block that is free, a part of a block and a stranger are refused, and
 *     no byte in a block can change that
 * [ ] a million blocks cost no more for each than ten
 * [ ] ASan reports a use after give_back
 * [ ] without the loop, on an idle machine, the pool is typically three times
 *     as fast as malloc in `burst`, and twice in `replace`
 *
 * The program below is complete; it does the same work with blocks from malloc
 * and from the pool. Two patterns. A step gives a block back, takes another one
 * and writes to it.
 *
 *     replace   LIVE blocks are taken; one of them, at random, gives way to a
 *               new one, again and again
 *     burst     LIVE blocks are given back at random, one after the other, and
 *               then as many are taken
 *
 * The same is done with blocks that stay where they are: that is what the loop
 * costs, with its calls and its cache misses.
 */
#include "memory_pool.h"

#include "timing.h"

#include <err.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { ALIGNMENT = 16, ROUNDS = 9, STEPS = 1000000 };
enum { MOST = 10000000, MOST_RATIO = 10 };

struct work {
    size_t size, live;
    struct memory_pool *pool;
    void **blocks;   /* `live` blocks */
    uint32_t *order; /* 0 … live - 1, shuffled */
};

/* Where blocks come from and go to. */
struct source {
    void *(*take)(const struct work *work, size_t i);
    void (*give_back)(const struct work *work, void *block);
};

static void *take_malloc(const struct work *work, size_t i)
{
    (void)i;
    return malloc(work->size);
}

static void give_malloc(const struct work *work, void *block)
{
    (void)work;
    free(block);
}

static void *take_pool(const struct work *work, size_t i)
{
    (void)i;
    return memory_pool_take(work->pool);
}

static void give_pool(const struct work *work, void *block)
{
    if (memory_pool_give_back(work->pool, block) == -1)
        err(1, "memory_pool_give_back");
}

static void *take_same(const struct work *work, size_t i)
{
    return work->blocks[i];
}

static void give_nothing(const struct work *work, void *block)
{
    (void)work;
    (void)block;
}

static const struct source from_malloc = {take_malloc, give_malloc};
static const struct source from_pool = {take_pool, give_pool};
/* What the loops cost by themselves: the blocks stay where they are. */
static const struct source from_nowhere = {take_same, give_nothing};

static void take(const struct work *work, const struct source *source, size_t i)
{
    uint64_t *block = source->take(work, i);
    if (block == NULL)
        err(1, "no block");
    *block = i;
    work->blocks[i] = block;
}

static void take_all(const struct work *work, const struct source *source)
{
    for (size_t i = 0; i < work->live; i++)
        take(work, source, i);
}

static void give_back_all(const struct work *work, const struct source *source)
{
    for (size_t i = 0; i < work->live; i++)
        source->give_back(work, work->blocks[work->order[i]]);
}

/* A pattern takes STEPS steps, or a few more, and begins and ends with all
 * blocks taken. */

static void replace(const struct work *work, const struct source *source)
{
    for (size_t step = 0; step < STEPS; step += work->live) {
        for (size_t i = 0; i < work->live; i++) {
            source->give_back(work, work->blocks[work->order[i]]);
            take(work, source, work->order[i]);
        }
    }
}

static void burst(const struct work *work, const struct source *source)
{
    for (size_t step = 0; step < STEPS; step += work->live) {
        give_back_all(work, source);
        take_all(work, source);
    }
}

typedef void pattern(const struct work *work, const struct source *source);

/* Nanoseconds of CPU time for each step. */
static double measure(pattern *pattern, const struct work *work,
                      const struct source *source)
{
    const struct source *owner = source == &from_nowhere ? &from_pool : source;
    take_all(work, owner);
    uint64_t start = cpu_ns();
    pattern(work, source);
    uint64_t end = cpu_ns();
    give_back_all(work, owner);
    size_t rounds = (STEPS + work->live - 1) / work->live;
    return (double)(end - start) / (double)(rounds * work->live);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts the values. */
static double median(double values[ROUNDS])
{
    qsort(values, ROUNDS, sizeof *values, compare);
    return values[ROUNDS / 2];
}

static void print_line(const char *name, pattern *pattern,
                       const struct work *work)
{
    double loop_ns[ROUNDS], malloc_ns[ROUNDS], pool_ns[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        loop_ns[i] = measure(pattern, work, &from_nowhere);
        malloc_ns[i] = measure(pattern, work, &from_malloc);
        pool_ns[i] = measure(pattern, work, &from_pool);
    }
    double loop = median(loop_ns);
    double theirs = median(malloc_ns), ours = median(pool_ns);
    printf("%-8s %7.1f ns %7.1f ns %7.1f ns %7.2fx", name, loop, theirs, ours,
           theirs / ours);
    /* A difference of next to nothing is no divisor. */
    if (MOST_RATIO * (ours - loop) < theirs - loop)
        printf("    more than %dx\n", MOST_RATIO);
    else
        printf("    %12.2fx\n", (theirs - loop) / (ours - loop));
}

/* 0 … count - 1 in an order of chance, the same each time. */
static void shuffle(uint32_t *order, size_t count)
{
    srand(1);
    for (size_t i = 0; i < count; i++) {
        size_t other = (size_t)rand() % (i + 1);
        order[i] = (uint32_t)i;
        uint32_t moved = order[other];
        order[other] = order[i];
        order[i] = moved;
    }
}

/* A whole number from min to MOST, and nothing behind it. */
static bool parse(const char *text, size_t min, size_t *number)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    *number = value;
    return *text >= '0' && *text <= '9' && *end == '\0' && value >= min &&
           value <= MOST;
}

int main(int argc, char **argv)
{
    struct work work = {.size = 64, .live = 1000};
    if (argc > 3 ||
        (argc > 1 && !parse(argv[1], sizeof(uint64_t), &work.size)) ||
        (argc > 2 && !parse(argv[2], 1, &work.live))) {
        fprintf(stderr, "usage: memory_pool [SIZE [LIVE]]\n");
        return 2;
    }

    work.blocks = malloc(work.live * sizeof *work.blocks);
    work.order = malloc(work.live * sizeof *work.order);
    if (work.blocks == NULL || work.order == NULL)
        err(1, "malloc");
    work.pool = memory_pool_new(work.size, ALIGNMENT, work.live);
    if (work.pool == NULL)
        err(1, "memory_pool_new");
    shuffle(work.order, work.live);

    printf("%zu live blocks of %zu bytes, for each one taken and given back\n"
           "%-8s %10s %10s %10s %8s %16s\n",
           work.live, work.size, "", "the loop", "malloc", "pool", "ratio",
           "without the loop");
    print_line("replace", replace, &work);
    print_line("burst", burst, &work);

    memory_pool_free(work.pool);
    free(work.order);
    free(work.blocks);
    if (fflush(stdout) == EOF)
        err(1, "standard output");
    return 0;
}
