/*
 * locality - what the order of reading costs.
 *
 * `sum` adds the same numbers in four orders. The processor sees many of these
 * reads coming and does several at once. `sweep` allows it only one at a time:
 * each read says where the next one is.
 */
#include "locality.h"

#include "timing.h"

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
    int64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += numbers[i];
    return sum;
}

int64_t sum_random(const int32_t *numbers, const size_t *indices, size_t count)
{
    int64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += numbers[indices[i]];
    return sum;
}

int64_t sum_row_major(const int32_t *numbers, size_t rows, size_t columns)
{
    int64_t sum = 0;
    for (size_t row = 0; row < rows; row++)
        for (size_t column = 0; column < columns; column++)
            sum += numbers[row * columns + column];
    return sum;
}

int64_t sum_column_major(const int32_t *numbers, size_t rows, size_t columns)
{
    int64_t sum = 0;
    for (size_t column = 0; column < columns; column++)
        for (size_t row = 0; row < rows; row++)
            sum += numbers[row * columns + column];
    return sum;
}

/* The number of cells in a chain; 0 where there can be none. */
static size_t chain_length(size_t count, size_t step)
{
    if (count == 0 || step == 0) {
        errno = EINVAL;
        return 0;
    }
    return (count - 1) / step + 1;
}

int chain_in_order(size_t *cells, size_t count, size_t step)
{
    size_t length = chain_length(count, step);
    if (length == 0)
        return -1;
    for (size_t i = 0; i + 1 < length; i++)
        cells[i * step] = (i + 1) * step;
    cells[(length - 1) * step] = 0;
    return 0;
}

int chain_at_random(size_t *cells, size_t count, size_t step, uint64_t seed)
{
    size_t length = chain_length(count, step);
    if (length == 0)
        return -1;
    for (size_t i = 0; i < length; i++)
        cells[i * step] = i * step;
    /* Sattolo's algorithm: cell i, alone so far, joins the chain of a cell
     * before it. A shuffle that may also choose i itself would leave several
     * chains, and who follows one would see only a part of the memory. */
    for (size_t i = length - 1; i > 0; i--) {
        size_t other = random_next(&seed) % i;
        size_t next = cells[i * step];
        cells[i * step] = cells[other * step];
        cells[other * step] = next;
    }
    return 0;
}

size_t chain_follow(const size_t *cells, size_t start, size_t accesses)
{
    size_t place = start;
    for (size_t i = 0; i < accesses; i++)
        place = cells[place];
    return place;
}

/* Nanoseconds for one read: the best of some rounds. The first, which is not
 * measured, fills the caches and the page tables; other programs can only make
 * a round slower. Each goes on where the one before it ended: beginning anew,
 * few accesses would find in the first cache what that one has fetched. */
static double measure(const size_t *cells, size_t accesses)
{
    size_t place = chain_follow(cells, 0, accesses);
    uint64_t best_ns = UINT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t start = now_ns();
        place = chain_follow(cells, place, accesses);
        uint64_t ns = now_ns() - start;
        if (ns < best_ns)
            best_ns = ns;
    }
    /* A result that nobody uses would allow the compiler to leave out all. */
    __asm__ volatile("" : : "r"(place));
    return (double)best_ns / (double)accesses;
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

/* Prints the table: a row for each size, from LEAST_KIB on, doubling. */
static int sweep(const struct options *options)
{
    size_t largest = LEAST_KIB * KIB;
    while (largest <= options->max_kib * KIB / 2)
        largest *= 2;
    size_t *cells = aligned_alloc(PAGE, largest);
    if (cells == NULL)
        return -1;

    print_heading(options->csv);
    int result = 0;
    for (size_t bytes = LEAST_KIB * KIB; result == 0 && bytes <= largest;
         bytes *= 2)
        result = sweep_size(cells, bytes, options);
    int error = errno;
    free(cells);
    errno = error;
    return result;
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
