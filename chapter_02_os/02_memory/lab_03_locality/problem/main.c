/*
 * Lab 3: locality
 *
 * Goal: read the same memory in different orders, and measure what the order
 * costs: the steps of the first, second and third cache and of main memory.
 *
 * Requirements (locality.h and README.md have them in full):
 * 1. Four sums of the same numbers: one after the other, as indices say, along
 *    the rows of a matrix, along its columns.
 * 2. Chains through an array, in order and at random, and a function that
 *    follows them: one read has to wait for the one before.
 * 3. `locality sweep` follows chains through 4 KiB, 8 KiB, 16 KiB, … and prints
 *    what a read costs, as a table or as CSV.
 *
 * Hints:
 * - A matrix lies in memory row behind row: numbers[row * columns + column].
 * - Draw a random chain of five cells on paper. How many chains are in it?
 * - The compiler leaves out what has no consequence: use each result.
 * - Stuck? make hint
 *
 * Verification:
 *     make test
 *     make run ARGS="sum 3200"
 *     make run ARGS=sweep
 *     make bench
 *
 * Acceptance criteria:
 * [ ] all tests pass
 * [ ] the four sums are equal, also of negative numbers and beyond 32 bits
 * [ ] a random chain is one chain: it comes through every cell
 * [ ] cachegrind counts far fewer misses for sequential than for random, and
 *     for row than for column
 * [ ] the table shows where one cache ends and the next one begins; no time
 *     in it is 0.00
 * [ ] you can say why `column` misses as often as `random`, and why a read of
 *     the sweep costs more than one of the sums
 */
#include "locality.h"

#include "timing.h"
#include "todo.h"

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KIB = 1024,
    PAGE = 4096,
    LINE = 64, /* bytes that a cache takes in at once, on most machines */
    SEED = 1,
    ROUNDS = 3,
    LEAST_KIB = 4,           /* the smallest size of a sweep */
    MAX_KIB = 256 * KIB,     /* the largest, unless --max says else */
    MOST_KIB = 1 << 30,      /* what --max may say */
    ACCESSES = 1 << 19,      /* for one time, unless --accesses says else */
    MOST_ACCESSES = 1 << 30, /* what --accesses may say */
    MOST_SIDE = 30000,       /* of the matrix: 3.6 GB */
};

/* The columns of a sweep: bytes from one read to the next. Behind them comes a
 * chain through all lines in random order. */
static const size_t strides[] = {8, 64, 256, 1024, 4096};
enum { STRIDES = sizeof strides / sizeof *strides };

struct options {
    bool csv;
    uint64_t max_kib, accesses;
};

int64_t sum_sequential(const int32_t *numbers, size_t count)
{
    todo("sum_sequential");
}

int64_t sum_random(const int32_t *numbers, const size_t *indices, size_t count)
{
    todo("sum_random");
}

int64_t sum_row_major(const int32_t *numbers, size_t rows, size_t columns)
{
    todo("sum_row_major");
}

int64_t sum_column_major(const int32_t *numbers, size_t rows, size_t columns)
{
    todo("sum_column_major");
}

int chain_in_order(size_t *cells, size_t count, size_t step)
{
    todo("chain_in_order");
}

int chain_at_random(size_t *cells, size_t count, size_t step, uint64_t seed)
{
    todo("chain_at_random");
}

size_t chain_follow(const size_t *cells, size_t start, size_t accesses)
{
    todo("chain_follow");
}

/*
 * Nanoseconds for one read, on the clock of now_ns(): the best of ROUNDS
 * rounds, in each of which `accesses` reads are made with chain_follow(). One
 * round before them, which is not measured, fills the caches. Each round goes
 * on where the one before it ended: if it began anew, few accesses would find
 * in the first cache what the round before has fetched.
 */
static double measure(const size_t *cells, size_t accesses)
{
    todo("measure");
}

static void print_heading(bool csv)
{
    printf(csv ? "bytes" : "     KiB");
    for (size_t i = 0; i < STRIDES; i++)
        printf(csv ? ",%zu" : " %7zu", strides[i]);
    printf(csv ? ",random\n" : "  random\n");
}

static void print_size(bool csv, size_t bytes)
{
    if (csv)
        printf("%zu", bytes);
    else
        printf("%8zu", bytes / KIB);
}

static void print_time(bool csv, double ns)
{
    printf(csv ? ",%.3f" : " %7.2f", ns);
}

/* Prints one row: the same memory, gone through in every way. */
static int sweep_size(size_t *cells, size_t bytes,
                      const struct options *options)
{
    size_t count = bytes / sizeof *cells;
    print_size(options->csv, bytes);
    for (size_t i = 0; i < STRIDES; i++) {
        if (chain_in_order(cells, count, strides[i] / sizeof *cells) == -1)
            return -1;
        print_time(options->csv, measure(cells, options->accesses));
    }
    if (chain_at_random(cells, count, LINE / sizeof *cells, SEED) == -1)
        return -1;
    print_time(options->csv, measure(cells, options->accesses));
    printf("\n");
    return 0;
}

/*
 * Prints the heading, then a row for each size: LEAST_KIB, and doubling for as
 * long as it is not above max_kib. The memory, enough for the largest size and
 * beginning at a PAGE, is allocated before anything is printed. Returns 0, or
 * -1 with errno when there is none.
 */
static int sweep(const struct options *options)
{
    todo("sweep");
    static size_t cells[LEAST_KIB * KIB / sizeof(size_t)]; /* so far one row */
    print_heading(options->csv);
    return sweep_size(cells, LEAST_KIB * KIB, options);
}

/* What is below is complete, and not the subject of this lab. */

enum order { SEQUENTIAL, RANDOM, ROW, COLUMN, ORDERS };

static const char *const order_names[ORDERS] = {"sequential", "random", "row",
                                                "column"};

static int64_t sum_of(enum order order, const int32_t *numbers,
                      const size_t *indices, size_t side)
{
    if (order == SEQUENTIAL)
        return sum_sequential(numbers, side * side);
    if (order == RANDOM)
        return sum_random(numbers, indices, side * side);
    if (order == ROW)
        return sum_row_major(numbers, side, side);
    return sum_column_major(numbers, side, side);
}

/* Adds the numbers from 0 on, and prints how long that took. */
static int sum_in_order(enum order order, size_t side)
{
    size_t count = side * side, *indices = NULL;
    int result = -1;
    int32_t *numbers = calloc(count, sizeof *numbers);
    if (numbers == NULL)
        return -1;
    for (size_t i = 0; i < count; i++)
        numbers[i] = (int32_t)i;
    if (order == RANDOM) {
        /* A chain holds the index of each of its cells once. */
        indices = calloc(count, sizeof *indices);
        if (indices == NULL || chain_at_random(indices, count, 1, SEED) == -1)
            goto out;
    }

    uint64_t start = now_ns();
    int64_t sum = sum_of(order, numbers, indices, side);
    uint64_t ns = now_ns() - start;
    printf("%-10s %20" PRId64 " %10.3f ms %8.3f ns\n", order_names[order], sum,
           (double)ns / 1e6, (double)ns / (double)count);
    result = 0;
out:;
    int error = errno;
    free(indices);
    free(numbers);
    errno = error;
    return result;
}

_Noreturn static void usage(void)
{
    fprintf(stderr,
            "usage: locality sum SIDE [sequential|random|row|column]\n"
            "       locality sweep [--csv] [--max KIB] [--accesses N]\n");
    exit(2);
}

/* A whole number from min to max, and nothing behind it. */
static uint64_t parse(const char *text, uint64_t min, uint64_t max)
{
    char *end;
    errno = 0;
    uint64_t number = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 ||
        number < min || number > max)
        usage();
    return number;
}

static enum order parse_order(const char *text)
{
    for (enum order order = SEQUENTIAL; order < ORDERS; order++)
        if (strcmp(text, order_names[order]) == 0)
            return order;
    usage();
}

static int sum_command(int argc, char **argv)
{
    if (argc < 2 || argc > 3)
        usage();
    size_t side = parse(argv[1], 1, MOST_SIDE);
    if (argc == 3)
        return sum_in_order(parse_order(argv[2]), side);
    for (enum order order = SEQUENTIAL; order < ORDERS; order++)
        if (sum_in_order(order, side) == -1)
            return -1;
    return 0;
}

static int sweep_command(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"csv", no_argument, NULL, 'c'},
        {"max", required_argument, NULL, 'm'},
        {"accesses", required_argument, NULL, 'a'},
        {0},
    };
    struct options options = {.max_kib = MAX_KIB, .accesses = ACCESSES};
    int option;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (option == 'c')
            options.csv = true;
        else if (option == 'm')
            options.max_kib = parse(optarg, LEAST_KIB, MOST_KIB);
        else if (option == 'a')
            options.accesses = parse(optarg, 1, MOST_ACCESSES);
        else
            usage();
    }
    if (optind < argc)
        usage();
    return sweep(&options);
}

int main(int argc, char **argv)
{
    int result = -1;
    if (argc > 1 && strcmp(argv[1], "sum") == 0)
        result = sum_command(argc - 1, argv + 1);
    else if (argc > 1 && strcmp(argv[1], "sweep") == 0)
        result = sweep_command(argc - 1, argv + 1);
    else
        usage();
    if (result == -1)
        err(1, "%s", argv[1]);
    if (fflush(stdout) == EOF)
        err(1, "standard output");
    return 0;
}
