#include "asan.h"
#include "memory_pool.h"
#include "test/fault.h"
#include "test/test.h"

#include <limits.h>
#include <stdalign.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static struct memory_pool *pool_of(size_t block_size, size_t alignment,
                                   size_t count)
{
    struct memory_pool *pool = memory_pool_new(block_size, alignment, count);
    if (pool == NULL)
        fail_msg("memory_pool_new(%zu, %zu, %zu) returned NULL: %s", block_size,
                 alignment, count, strerror(errno));
    return pool;
}

static void *take(struct memory_pool *pool)
{
    void *block = memory_pool_take(pool);
    if (block == NULL)
        fail_msg("memory_pool_take returned NULL: %s", strerror(errno));
    return block;
}

static void take_all(struct memory_pool *pool, void **blocks, int count)
{
    for (int i = 0; i < count; i++)
        blocks[i] = take(pool);
}

/* Macros, so that a failure shows the line of the test. */
#define give_back(pool, block) \
    assert_success(memory_pool_give_back(pool, block))
#define expect_refused(pool, block) \
    assert_fails(memory_pool_give_back(pool, block), EINVAL)
#define expect_exhausted(pool) assert_fails_null(memory_pool_take(pool), ENOMEM)

/* Where the blocks are that the pool is going to return. A copy of this process
 * takes them all and tells; here they are still free. */
static void **future_blocks(struct memory_pool *pool, int count)
{
    void **blocks =
        mmap(NULL, (size_t)count * sizeof *blocks, PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(blocks != MAP_FAILED);
    pid_t copy = fork();
    assert_int_not_equal(copy, -1);
    if (copy == 0) {
        take_all(pool, blocks, count);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(copy, &status, 0), copy);
    assert_int_equal(status, 0);
    return blocks;
}

/* Bytes that tell which block this is. */
static void fill(void *block, size_t size, int mark)
{
    memset(block, mark, size);
}

static void expect_filled(const void *block, size_t size, int mark)
{
    unsigned char expected[256];
    memset(expected, mark, size);
    assert_memory_equal(block, expected, size);
}

/* Sizes that are no multiple of anything, too. */
static const size_t sizes[] = {1, 7, 8, 20, 64, 100};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

TEST(test_01_every_block_has_bytes_of_its_own)
{
    enum { COUNT = 10 };
    for (int i = 0; i < SIZES; i++) {
        void *blocks[COUNT];
        struct memory_pool *pool = pool_of(sizes[i], 8, COUNT);
        take_all(pool, blocks, COUNT);
        for (int n = 0; n < COUNT; n++)
            fill(blocks[n], sizes[i], n);
        for (int n = 0; n < COUNT; n++)
            expect_filled(blocks[n], sizes[i], n);
        memory_pool_free(pool);
    }
}

TEST(test_02_every_block_is_aligned)
{
    enum { COUNT = 3 };
    for (size_t alignment = 8; alignment <= 4096; alignment *= 2) {
        for (int i = 0; i < SIZES; i++) {
            struct memory_pool *pool = pool_of(sizes[i], alignment, COUNT);
            for (int n = 0; n < COUNT; n++) {
                uintptr_t address = (uintptr_t)take(pool);
                if (address % alignment != 0)
                    fail_msg("memory_pool_new(%zu, %zu, %d): block %#zx is no "
                             "multiple of %zu",
                             sizes[i], alignment, COUNT, (size_t)address,
                             alignment);
            }
            memory_pool_free(pool);
        }
    }
}

TEST(test_03_an_exhausted_pool_says_so_and_goes_on)
{
    void *blocks[3];
    struct memory_pool *pool = pool_of(32, 16, 3);
    take_all(pool, blocks, 3);
    expect_exhausted(pool);
    expect_exhausted(pool);
    give_back(pool, blocks[1]);
    assert_ptr_equal(take(pool), blocks[1]);
    expect_exhausted(pool);
    memory_pool_free(pool);

    pool = pool_of(1, 8, 1);
    void *only = take(pool);
    expect_exhausted(pool);
    give_back(pool, only);
    assert_ptr_equal(take(pool), only);
    memory_pool_free(pool);
}

TEST(test_04_blocks_come_and_go_in_any_order)
{
    enum { COUNT = 50, SIZE = 24, STEPS = 3000 };
    struct memory_pool *pool = pool_of(SIZE, 8, COUNT);
    void *blocks[COUNT];
    int taken = 0, marks[COUNT];
    srand(4);
    for (int step = 0; step < STEPS; step++) {
        if (taken == 0 || (taken < COUNT && rand() % 2)) {
            blocks[taken] = take(pool);
            marks[taken] = step % UCHAR_MAX;
            fill(blocks[taken], SIZE, marks[taken]);
            taken++;
        } else {
            int i = rand() % taken;
            expect_filled(blocks[i], SIZE, marks[i]);
            give_back(pool, blocks[i]);
            taken--;
            blocks[i] = blocks[taken];
            marks[i] = marks[taken];
        }
    }
    for (int i = 0; i < taken; i++)
        expect_filled(blocks[i], SIZE, marks[i]);
    /* None was lost on the way. */
    while (taken < COUNT)
        blocks[taken++] = take(pool);
    expect_exhausted(pool);
    memory_pool_free(pool);
}

TEST(test_05_a_pool_is_freed_with_blocks_in_use)
{
    struct memory_pool *pool = pool_of(100, 16, 3);
    fill(take(pool), 100, 1);
    give_back(pool, take(pool));
    memory_pool_free(pool);
    memory_pool_free(NULL);
}

TEST(test_06_give_back_of_null_does_nothing)
{
    struct memory_pool *pool = pool_of(16, 8, 1);
    assert_success(memory_pool_give_back(pool, NULL));
    take(pool);
    assert_success(memory_pool_give_back(pool, NULL));
    expect_exhausted(pool);
    memory_pool_free(pool);
}

static char *lowest(void **blocks, int count)
{
    char *lowest = blocks[0];
    for (int i = 1; i < count; i++)
        lowest = (uintptr_t)blocks[i] < (uintptr_t)lowest ? blocks[i] : lowest;
    return lowest;
}

static char *highest(void **blocks, int count)
{
    char *highest = blocks[0];
    for (int i = 1; i < count; i++)
        highest =
            (uintptr_t)blocks[i] > (uintptr_t)highest ? blocks[i] : highest;
    return highest;
}

/* An address so many bytes away, of whatever may be there. */
static void *away(void *from, intptr_t distance)
{
    return (void *)((uintptr_t)from + (uintptr_t)distance);
}

TEST(test_07_a_pointer_from_elsewhere_is_refused)
{
    enum { COUNT = 3 };
    /* Strides that are a power of two, and that are not. */
    static const intptr_t strides[] = {8, 24, 64, 80, 4096, 4104};
    for (size_t i = 0; i < sizeof strides / sizeof strides[0]; i++) {
        intptr_t stride = strides[i];
        struct memory_pool *pool = pool_of((size_t)stride, 8, COUNT);
        struct memory_pool *other = pool_of((size_t)stride, 8, COUNT);
        void *blocks[COUNT];
        alignas(16) char on_the_stack[16];
        void *on_the_heap = malloc(16);
        take_all(pool, blocks, COUNT);
        char *first = lowest(blocks, COUNT), *last = highest(blocks, COUNT);

        expect_refused(pool, on_the_stack);
        expect_refused(pool, on_the_heap);
        expect_refused(pool, pool);
        expect_refused(pool, take(other));
        /* Where blocks would be, if there were more of them. */
        for (intptr_t n = 1; n <= 1000; n++) {
            expect_refused(pool, away(first, -n * stride));
            expect_refused(pool, away(last, n * stride));
        }
        /* Where the number or the distance, cut to 32 bits, would be right. */
        for (int n = 0; n < COUNT; n++) {
            expect_refused(pool, away(blocks[n], stride << 32));
            expect_refused(pool, away(blocks[n], (intptr_t)1 << 32));
        }
        /* Both ends of the address space: nothing can be read there. */
        expect_refused(pool, (void *)8);
        expect_refused(pool, (void *)(UINTPTR_MAX - 7));

        expect_exhausted(pool);
        free(on_the_heap);
        memory_pool_free(other);
        memory_pool_free(pool);
    }
}

TEST(test_08_a_pointer_into_a_block_is_refused)
{
    enum { COUNT = 3 };
    /* Strides that are a power of two, that are not, and padding. */
    static const size_t shapes[][2] = {{64, 8}, {24, 8}, {20, 16}, {100, 64}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        struct memory_pool *pool = pool_of(shapes[i][0], shapes[i][1], COUNT);
        void *blocks[COUNT];
        take_all(pool, blocks, COUNT);
        for (int n = 0; n < COUNT; n++) {
            char *block = blocks[n];
            fill(block, shapes[i][0], n);
            for (size_t inside = 1; inside < shapes[i][0]; inside++)
                expect_refused(pool, block + inside);
        }
        expect_exhausted(pool);
        for (int n = 0; n < COUNT; n++) {
            expect_filled(blocks[n], shapes[i][0], n);
            give_back(pool, blocks[n]);
        }
        memory_pool_free(pool);
    }
}

TEST(test_09_a_free_block_is_refused)
{
    enum { COUNT = 5 };
    struct memory_pool *pool = pool_of(40, 8, COUNT);
    void *blocks[COUNT];
    take_all(pool, blocks, COUNT);
    /* At once, later, when it is the last that is free, when all are free. */
    for (int i = 0; i < COUNT; i++) {
        give_back(pool, blocks[i]);
        for (int n = 0; n <= i; n++)
            expect_refused(pool, blocks[n]);
    }
    /* It is in the pool once, and not twice. */
    take_all(pool, blocks, COUNT);
    expect_exhausted(pool);
    for (int i = 0; i < COUNT; i++)
        for (int n = 0; n < i; n++)
            assert_ptr_not_equal(blocks[i], blocks[n]);
    memory_pool_free(pool);

    /* Blocks that were never taken. */
    pool = pool_of(40, 8, COUNT);
    void **untaken = future_blocks(pool, COUNT);
    for (int i = 0; i < COUNT; i++)
        expect_refused(pool, untaken[i]);
    memory_pool_free(pool);
}

/* Copies bytes that ASan would not let us read. */
__attribute__((no_sanitize("address"))) static void peek(
    unsigned char *copy, const volatile unsigned char *block, size_t size)
{
    for (size_t i = 0; i < size; i++)
        copy[i] = block[i];
}

TEST(test_10_what_is_in_a_block_does_not_matter)
{
    enum { SIZE = 32 };
    struct memory_pool *pool = pool_of(SIZE, 16, 2);
    void *other = take(pool);
    for (int byte = 0; byte <= UCHAR_MAX; byte++) {
        void *block = take(pool);
        fill(block, SIZE, byte);
        give_back(pool, block);
        expect_refused(pool, block);
    }

    /* The very bytes that a free block has. */
    unsigned char free_bytes[SIZE];
    void *block = take(pool);
    give_back(pool, block);
    peek(free_bytes, block, SIZE);
    assert_ptr_equal(take(pool), block);
    memcpy(block, free_bytes, SIZE);
    give_back(pool, block);
    expect_refused(pool, block);

    /* Pointers to blocks, to the block itself, into it. */
    void *const pointers[] = {other, block, (char *)block + 8, NULL};
    for (int i = 0; i < 4; i++) {
        void **words = take(pool);
        for (size_t n = 0; n < SIZE / sizeof *words; n++)
            words[n] = pointers[i];
        give_back(pool, words);
        expect_refused(pool, words);
    }
    give_back(pool, other);
    take(pool);
    take(pool);
    expect_exhausted(pool);
    memory_pool_free(pool);
}

TEST(test_11_sizes_that_make_no_sense_are_refused)
{
    assert_fails_null(memory_pool_new(0, 8, 10), EINVAL);
    assert_fails_null(memory_pool_new(8, 8, 0), EINVAL);
    for (size_t alignment = 0; alignment < 8; alignment++)
        assert_fails_null(memory_pool_new(8, alignment, 1), EINVAL);
    assert_fails_null(memory_pool_new(8, 12, 1), EINVAL);
    assert_fails_null(memory_pool_new(8, 24, 1), EINVAL);
    assert_fails_null(memory_pool_new(8, SIZE_MAX, 1), EINVAL);
    /* Wrong and too large at once: wrong comes first. */
    assert_fails_null(memory_pool_new(SIZE_MAX, 12, SIZE_MAX), EINVAL);
    assert_fails_null(memory_pool_new(0, 8, SIZE_MAX), EINVAL);
    assert_fails_null(memory_pool_new(SIZE_MAX, 8, 0), EINVAL);
}

TEST(test_12_sizes_that_wrap_around_are_refused)
{
    const size_t high_bit = SIZE_MAX / 2 + 1;
    /* Multiplied, they are 0, 64 bytes, and 16 for each. */
    assert_fails_null(memory_pool_new(high_bit, 8, 2), ENOMEM);
    assert_fails_null(memory_pool_new(SIZE_MAX / 8 + 9, 8, 8), ENOMEM);
    assert_fails_null(
        memory_pool_new((high_bit >> 19) + 16, 8, (size_t)1 << 20), ENOMEM);
    /* Rounded up to the alignment, they are 0. */
    assert_fails_null(memory_pool_new(SIZE_MAX, 8, 1), ENOMEM);
    assert_fails_null(memory_pool_new(SIZE_MAX - 62, 64, 1), ENOMEM);
    assert_fails_null(memory_pool_new(high_bit + 1, high_bit, 1), ENOMEM);
    /* Rounded up, they fit; multiplied then, they are 0. */
    assert_fails_null(memory_pool_new(1, high_bit / 2, 4), ENOMEM);
    assert_fails_null(memory_pool_new(high_bit / 2 - 7, 64, 4), ENOMEM);
}

/* How memory may be asked for. */
static const char *const allocators[] = {
    "malloc", "calloc",        "realloc",       "reallocarray",
    "mmap",   "aligned_alloc", "posix_memalign"};
enum { ALLOCATORS = sizeof allocators / sizeof allocators[0] };

TEST(test_13_without_memory_there_is_no_pool_and_no_leak)
{
    for (int i = 0; i < ALLOCATORS; i++) {
        struct memory_pool *pool = NULL;
        for (int n = 1; pool == NULL; n++) {
            fault(text("%s:error=ENOMEM:when=%d", allocators[i], n));
            errno = 0;
            pool = memory_pool_new(64, 64, 100);
            if (pool == NULL) {
                assert_int_equal(errno, ENOMEM);
                assert_at_least(fault_hits(), 1);
            }
        }
        fault_clear();
        give_back(pool, take(pool));
        memory_pool_free(pool);
    }
}

static void allow_no_allocation(void)
{
    fault("malloc:error=ENOMEM,calloc:error=ENOMEM,realloc:error=ENOMEM,"
          "reallocarray:error=ENOMEM,mmap:error=ENOMEM,"
          "aligned_alloc:error=ENOMEM,posix_memalign:error=ENOMEM");
}

TEST(test_14_take_and_give_back_allocate_nothing)
{
    enum { COUNT = 1000 };
    struct memory_pool *pool = pool_of(64, 16, COUNT);
    void *blocks[COUNT];
    allow_no_allocation();
    for (int round = 0; round < 2; round++) {
        take_all(pool, blocks, COUNT);
        expect_exhausted(pool);
        for (int i = 0; i < COUNT; i++)
            give_back(pool, blocks[i]);
        expect_refused(pool, blocks[0]);
    }
    assert_int_equal(fault_hits(), 0);
    memory_pool_free(pool);
}

/* So many blocks that whoever looks through them at each call does not come to
 * an end. */
TEST(test_15_many_blocks_cost_no_more_than_few)
{
    enum { COUNT = 200000, ROUNDS = 200000 };
    struct memory_pool *pool = pool_of(8, 8, COUNT);
    void **blocks = malloc(COUNT * sizeof *blocks);
    assert_non_null(blocks);

    /* All are free but one, */
    for (int i = 0; i < ROUNDS; i++) {
        void *block = memory_pool_take(pool);
        if (block == NULL || memory_pool_give_back(pool, block) == -1)
            fail_msg("the block cannot be taken and given back");
    }
    /* and all are taken but one: the first that there was, and the last. */
    take_all(pool, blocks, COUNT);
    for (int i = 0; i < ROUNDS; i++) {
        void **block = &blocks[i % 2 == 0 ? 0 : COUNT - 1];
        if (memory_pool_give_back(pool, *block) == -1 ||
            (*block = memory_pool_take(pool)) == NULL)
            fail_msg("the block cannot be given back and taken");
    }
    free(blocks);
    memory_pool_free(pool);
}

/* These two see nothing in a build without ASan. */

static void expect_poisoned(void *from, size_t size)
{
#if HAS_ASAN
    char *bytes = from;
    for (size_t i = 0; i < size; i++)
        if (!__asan_address_is_poisoned(bytes + i))
            fail_msg("byte %zu of %zu could be used: it is not poisoned", i,
                     size);
#endif
}

static void expect_usable(void *from, size_t size)
{
#if HAS_ASAN
    char *poisoned = __asan_region_is_poisoned(from, size);
    if (poisoned != NULL)
        fail_msg("byte %td of %zu is poisoned: it cannot be used",
                 poisoned - (char *)from, size);
#endif
}

TEST(test_16_a_free_block_is_poisoned)
{
    enum { COUNT = 4 };
    for (int i = 0; i < SIZES; i++) {
        size_t size = sizes[i];
        struct memory_pool *pool = pool_of(size, 8, COUNT);
        void **blocks = future_blocks(pool, COUNT);
        for (int n = 0; n < COUNT; n++)
            expect_poisoned(blocks[n], size);

        take_all(pool, blocks, COUNT);
        for (int n = 0; n < COUNT; n++) {
            give_back(pool, blocks[n]);
            expect_poisoned(blocks[n], size);
            expect_refused(pool, blocks[n]);
            expect_poisoned(blocks[n], size);
        }
        memory_pool_free(pool);
    }
}

TEST(test_17_a_taken_block_may_be_used_and_nothing_behind_it)
{
    enum { COUNT = 4, ALIGNMENT = 32 };
    for (int i = 0; i < SIZES; i++) {
        size_t size = sizes[i];
        size_t padding = (ALIGNMENT - size % ALIGNMENT) % ALIGNMENT;
        struct memory_pool *pool = pool_of(size, ALIGNMENT, COUNT);
        void *blocks[COUNT];
        for (int round = 1; round <= 2; round++) {
            take_all(pool, blocks, COUNT);
            for (int n = 0; n < COUNT; n++) {
                expect_usable(blocks[n], size);
                expect_poisoned((char *)blocks[n] + size, padding);
                fill(blocks[n], size, round);
            }
            /* A neighbour that goes takes nothing with it. */
            give_back(pool, blocks[0]);
            give_back(pool, blocks[2]);
            expect_usable(blocks[1], size);
            expect_filled(blocks[1], size, round);
            expect_usable(blocks[3], size);
            expect_filled(blocks[3], size, round);
            give_back(pool, blocks[3]);
            give_back(pool, blocks[1]);
        }
        memory_pool_free(pool);
    }
}

TEST(test_18_what_is_refused_stays_as_it_was)
{
    struct memory_pool *pool = pool_of(64, 16, 2);
    struct memory_pool *other = pool_of(64, 16, 2);
    char *block = take(pool), *strange = take(other);
    char *on_the_heap = malloc(64);
    assert_non_null(on_the_heap);
    expect_refused(pool, block + 16);
    expect_refused(pool, strange);
    expect_refused(pool, on_the_heap);
    expect_usable(block, 64);
    expect_usable(strange, 64);
    expect_usable(on_the_heap, 64);
    fill(block, 64, 1);
    fill(strange, 64, 2);
    give_back(pool, block);
    expect_refused(pool, block);
    expect_refused(other, block);
    expect_filled(strange, 64, 2);
    give_back(other, strange);
    free(on_the_heap);
    memory_pool_free(other);
    memory_pool_free(pool);
}
