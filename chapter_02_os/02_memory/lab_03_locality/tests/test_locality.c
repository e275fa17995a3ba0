#include "locality.h"
#include "test/fault.h"
#include "test/page.h"
#include "test/program.h"
#include "test/test.h"

#include <stdio.h>
#include <stdlib.h>

/* No result of a chain, and no place in one. */
#define UNTOUCHED ((size_t)0xfefefefefefefefe)

/* The sums. */

/* Numbers that nothing stands behind: ASan sees one read too many. */
static int32_t *numbers_new(size_t count)
{
    int32_t *numbers = malloc(count == 0 ? 1 : count * sizeof *numbers);
    assert_non_null(numbers);
    return numbers;
}

/* 1, 2, 4, 8, …: a number that is missing, or comes twice, changes the sum. */
static int32_t *powers_new(size_t count)
{
    int32_t *numbers = numbers_new(count);
    for (size_t i = 0; i < count; i++)
        numbers[i] = (int32_t)1 << i;
    return numbers;
}

TEST(test_01_sequential_adds_every_number)
{
    assert_int_equal(sum_sequential(NULL, 0), 0);
    for (size_t count = 1; count <= 20; count++) {
        int32_t *numbers = powers_new(count);
        assert_int_equal(sum_sequential(numbers, count), (1 << count) - 1);
        free(numbers);
    }
    int32_t mixed[] = {-7, 0, 5, -1};
    assert_int_equal(sum_sequential(mixed, 4), -3);
}

TEST(test_02_random_adds_what_the_indices_say)
{
    assert_int_equal(sum_random(NULL, NULL, 0), 0);
    int32_t *numbers = powers_new(8);
    size_t all[] = {3, 0, 7, 1, 6, 2, 5, 4};
    assert_int_equal(sum_random(numbers, all, 8), 255);
    size_t few[] = {7, 1};
    assert_int_equal(sum_random(numbers, few, 2), 130);
    size_t again[] = {2, 2, 2, 0, 2, 2, 2, 2, 2, 2, 2, 2};
    assert_int_equal(sum_random(numbers, again, 12), 45);
    free(numbers);
}

static const struct {
    size_t rows, columns;
} shapes[] = {{0, 0}, {0, 5}, {5, 0}, {1, 1}, {1, 7},
              {7, 1}, {2, 3}, {3, 2}, {4, 5}, {20, 1}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static void expect_shapes(int64_t (*sum)(const int32_t *, size_t, size_t))
{
    assert_int_equal(sum(NULL, 0, 0), 0);
    for (size_t i = 0; i < SHAPES; i++) {
        size_t rows = shapes[i].rows, columns = shapes[i].columns;
        int32_t *numbers = powers_new(rows * columns);
        int64_t actual = sum(numbers, rows, columns);
        free(numbers);
        int64_t expected = ((int64_t)1 << (rows * columns)) - 1;
        if (actual != expected)
            fail_msg("%zu rows, %zu columns, with the numbers 1, 2, 4, …\n"
                     "expected: %lld\n"
                     "actual:   %lld",
                     rows, columns, (long long)expected, (long long)actual);
    }
}

TEST(test_03_row_major_adds_the_whole_matrix)
{
    expect_shapes(sum_row_major);
}

TEST(test_04_column_major_adds_the_whole_matrix)
{
    expect_shapes(sum_column_major);
}

TEST(test_05_a_sum_may_have_more_than_32_bits)
{
    enum { COUNT = 6 };
    int32_t large[COUNT], small[COUNT];
    size_t indices[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        large[i] = INT32_MAX;
        small[i] = INT32_MIN;
        indices[i] = i;
    }
    const int64_t most = COUNT * (int64_t)INT32_MAX;
    const int64_t least = COUNT * (int64_t)INT32_MIN;
    assert_int_equal(sum_sequential(large, COUNT), most);
    assert_int_equal(sum_sequential(small, COUNT), least);
    assert_int_equal(sum_random(large, indices, COUNT), most);
    assert_int_equal(sum_random(small, indices, COUNT), least);
    assert_int_equal(sum_row_major(large, 2, 3), most);
    assert_int_equal(sum_row_major(small, 2, 3), least);
    assert_int_equal(sum_column_major(large, 2, 3), most);
    assert_int_equal(sum_column_major(small, 2, 3), least);
}

/* The chains. */

static size_t *cells_new(size_t count)
{
    size_t *cells = malloc(count * sizeof *cells);
    assert_non_null(cells);
    for (size_t i = 0; i < count; i++)
        cells[i] = UNTOUCHED;
    return cells;
}

static void expect_others_untouched(const size_t *cells, size_t count,
                                    size_t step)
{
    for (size_t i = 0; i < count; i++)
        if (i % step != 0 && cells[i] != UNTOUCHED)
            fail_msg("count %zu, step %zu: cell %zu is not in the chain, and "
                     "was written",
                     count, step, i);
}

static const struct {
    size_t count, step;
} chains[] = {{1, 1},
              {2, 1},
              {3, 1},
              {10, 1},
              {1, 8},
              {8, 8},
              {9, 8},
              {10, 3},
              {12, 3},
              {13, 3},
              {5, 5},
              {5, 400},
              {7, 6},
              {1000, 1},
              {4096, 8},
              {10, SIZE_MAX},
              {3, SIZE_MAX / 2 + 1}};
enum { CHAINS = sizeof chains / sizeof *chains };

static void expect_in_order(size_t count, size_t step)
{
    size_t *cells = cells_new(count);
    assert_success(chain_in_order(cells, count, step));
    for (size_t i = 0; i < count; i += step) {
        size_t next = i < count - 1 && step <= count - 1 - i ? i + step : 0;
        if (cells[i] != next)
            fail_msg("count %zu, step %zu: cell %zu leads to %zu, expected: "
                     "%zu",
                     count, step, i, cells[i], next);
        if (next == 0)
            break;
    }
    expect_others_untouched(cells, count, step);
    free(cells);
}

TEST(test_06_a_chain_in_order_leads_from_step_to_step)
{
    for (size_t i = 0; i < CHAINS; i++)
        expect_in_order(chains[i].count, chains[i].step);
}

/* Whoever follows the chain from cell 0 comes through all its cells. */
static void expect_one_chain(const size_t *cells, size_t count, size_t step)
{
    size_t length = (count - 1) / step + 1, place = 0, steps = 0;
    do {
        size_t next = cells[place];
        if (next >= count || next % step != 0)
            fail_msg("count %zu, step %zu: cell %zu leads to %zu", count, step,
                     place, next);
        place = next;
        steps++;
    } while (place != 0 && steps <= length);
    if (place != 0)
        fail_msg("count %zu, step %zu: %zu steps, and not yet back at cell 0",
                 count, step, steps);
    if (steps != length)
        fail_msg("count %zu, step %zu: back at cell 0 after %zu of %zu cells",
                 count, step, steps, length);
}

TEST(test_07_a_random_chain_comes_through_every_cell)
{
    for (size_t i = 0; i < CHAINS; i++) {
        size_t count = chains[i].count, step = chains[i].step;
        size_t *cells = cells_new(count);
        for (uint64_t seed = 0; seed < 10; seed++) {
            assert_success(chain_at_random(cells, count, step, seed));
            expect_one_chain(cells, count, step);
            expect_others_untouched(cells, count, step);
        }
        free(cells);
    }
}

TEST(test_08_the_seed_decides_on_the_chain)
{
    enum { COUNT = 64 };
    size_t first[COUNT], other[COUNT], again[COUNT];
    assert_success(chain_at_random(first, COUNT, 1, 7));
    assert_success(chain_at_random(other, COUNT, 1, 8));
    assert_success(chain_at_random(again, COUNT, 1, 7));
    assert_memory_equal(again, first, sizeof first);
    if (memcmp(first, other, sizeof first) == 0)
        fail_msg("the seeds 7 and 8 give the same chain of %d cells", COUNT);
}

/* Four cells can be chained in six ways. Which one is it? */
static int way_of(const size_t cells[4])
{
    return (int)(cells[0] * 4 + cells[cells[0]]);
}

TEST(test_09_every_chain_is_about_as_likely)
{
    enum { SEEDS = 6000, WAYS = 16 };
    int seen[WAYS] = {0}, ways = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        size_t cells[4];
        assert_success(chain_at_random(cells, 4, 1, seed));
        expect_one_chain(cells, 4, 1);
        seen[way_of(cells)]++;
    }
    for (int way = 0; way < WAYS; way++) {
        if (seen[way] == 0)
            continue;
        ways++;
        if (seen[way] < SEEDS / 8)
            fail_msg("0 -> %d -> %d …: %d times over %d seeds, "
                     "expected: about %d",
                     way / 4, way % 4, seen[way], SEEDS, SEEDS / 6);
    }
    assert_int_equal(ways, 6);

    enum { COUNT = 4096, NEAR = 8 };
    size_t *cells = cells_new(COUNT);
    assert_success(chain_at_random(cells, COUNT, 1, 1));
    int near = 0;
    for (size_t i = 0; i < COUNT; i++)
        near += i < cells[i] + NEAR && cells[i] < i + NEAR;
    free(cells);
    /* Fifteen are to be expected. */
    if (near > COUNT / 10)
        fail_msg("%d of %d cells lead to one of their neighbours", near, COUNT);
}

TEST(test_10_a_chain_of_nothing_is_refused)
{
    size_t cells[] = {UNTOUCHED, UNTOUCHED};
    assert_fails(chain_in_order(cells, 0, 1), EINVAL);
    assert_fails(chain_in_order(cells, 2, 0), EINVAL);
    assert_fails(chain_in_order(NULL, 0, 1), EINVAL);
    assert_fails(chain_at_random(cells, 0, 1, 1), EINVAL);
    assert_fails(chain_at_random(cells, 2, 0, 1), EINVAL);
    assert_fails(chain_at_random(NULL, 0, 0, 1), EINVAL);
    assert_true(cells[0] == UNTOUCHED && cells[1] == UNTOUCHED);
}

TEST(test_11_follow_makes_exactly_so_many_reads)
{
    size_t ring[] = {3, 0, UNTOUCHED, 1};
    assert_int_equal(chain_follow(ring, 0, 0), 0);
    assert_int_equal(chain_follow(ring, 3, 0), 3);
    assert_int_equal(chain_follow(ring, 0, 1), 3);
    assert_int_equal(chain_follow(ring, 0, 2), 1);
    assert_int_equal(chain_follow(ring, 0, 3), 0);
    assert_int_equal(chain_follow(ring, 0, 4), 3);
    assert_int_equal(chain_follow(ring, 1, 100000), 0);

    /* A chain of any shape, also one that never comes back. */
    size_t hook[] = {1, 2, 2};
    assert_int_equal(chain_follow(hook, 0, 1000), 2);
}

/* What cachegrind counts. It simulates the caches and knows nothing of time:
 * the same program gives the same numbers everywhere, on a busy machine, too.
 * The caches are small, so that little data is much. */

struct counts {
    bool known;
    long long reads, misses; /* of data, in the first level */
};

#define KIB_8 "8192,2,64"
#define WAYS_256 "32768,256,64" /* so many that no two lines get in the way */

/* The learner is not to blame for a valgrind that does not work here. */
static void need_cachegrind(void)
{
    struct run r =
        run_with((struct run_options){.program = "valgrind"},
                 "--tool=cachegrind", "--cachegrind-out-file=none", "true");
    if (r.status != 0)
        test_skip("cachegrind does not work here: %.200s", r.err);
}

static struct counts parse_counts(const char *file)
{
    const char *events = strstr(file, "\nevents: Ir I1mr ILmr Dr D1mr DLmr");
    const char *summary = strstr(file, "\nsummary: ");
    struct counts counts = {.known = true};
    if (events == NULL || summary == NULL ||
        sscanf(summary, "\nsummary: %*d %*d %*d %lld %lld", &counts.reads,
               &counts.misses) != 2)
        test_skip("cachegrind of another kind: no counts of reads and misses");
    return counts;
}

/* Runs the program, and counts. A program with sanitizers in it cannot run
 * under valgrind: it is run alone then, and in mode plain the tests count. */
static struct counts count_with(const char *d1, const char *const args[])
{
    const char *cache = text("--D1=%s", d1);
    const char *const under[] = {"valgrind",
                                 "-q",
                                 "--tool=cachegrind",
                                 "--cache-sim=yes",
                                 "--I1=32768,8,64",
                                 cache,
                                 "--LL=1048576,16,64",
                                 "--cachegrind-out-file=counts",
                                 NULL};
    struct run_options options = {0};
    if (!SANITIZE_ADDRESS && !SANITIZE_THREAD) {
        test_need("valgrind");
        options.under = under;
    }
    struct run r = program_run(TEST_PLACE("run"), options, args);
    if (r.status != 0 && options.under != NULL)
        need_cachegrind();
    assert_exit(r, 0);
    if (options.under == NULL)
        return (struct counts){0};
    return parse_counts(read_bytes("counts", NULL));
}
#define count_reads(d1, ...) \
    count_with(d1, (const char *const[]){__VA_ARGS__, NULL})

/* Both read the same number of numbers: at least half of those have to miss in
 * one order and to hit in the other. */
static void expect_more_misses(const char *worse, const char *better)
{
    enum { SIDE = 200 };
    struct counts bad = count_reads(KIB_8, "sum", text("%d", SIDE), worse);
    struct counts good = count_reads(KIB_8, "sum", text("%d", SIDE), better);
    if (!bad.known || !good.known)
        return;
    if (bad.misses - good.misses < SIDE * SIDE / 2)
        fail_msg("reads of %d numbers that miss in a cache of 8 KiB\n"
                 "%-10s %lld\n"
                 "%-10s %lld, expected: at least %d more",
                 SIDE * SIDE, better, good.misses, worse, bad.misses,
                 SIDE * SIDE / 2);
}

/* The making of the chain is in what `random` misses, and jumps about, too. */
TEST(test_12_random_misses_far_more_than_sequential, .limit_ms = 8000)
{
    expect_more_misses("random", "sequential");
}

TEST(test_13_column_major_misses_far_more_than_row_major, .limit_ms = 8000)
{
    expect_more_misses("column", "row");
}

TEST(test_14_a_sweep_reads_all_that_it_says_it_does, .limit_ms = 8000)
{
    enum { ROWS = 6, WAYS = 6, ROUNDS = 4, MORE = 255 };
    /* Both make the same chains. What is between them are the reads. */
    struct counts few =
        count_reads(WAYS_256, "sweep", "--max", "128", "--accesses", "1");
    struct counts many =
        count_reads(WAYS_256, "sweep", "--max", "128", "--accesses", "256");
    if (!few.known || !many.known)
        return;
    enum { READS = ROWS * WAYS * ROUNDS * MORE };
    if (many.reads - few.reads < READS)
        fail_msg("--accesses 1:   %lld reads\n"
                 "--accesses 256: %lld reads, expected: at least %d more",
                 few.reads, many.reads, READS);
    /* 64 and 128 KiB do not fit into the cache: with 64 bytes from cell to
     * cell, and at random, nearly all reads of all rounds miss. The lines of
     * one round fit: who reads the same ones again misses in the first only. */
    enum { MISSES = 2 * 2 * ROUNDS * MORE * 15 / 16 };
    if (many.misses - few.misses < MISSES)
        fail_msg("reads that miss in a cache of 32 KiB\n"
                 "--accesses 1:   %lld\n"
                 "--accesses 256: %lld, expected: at least %d more",
                 few.misses, many.misses, MISSES);
}

/* The program. */

/* Takes a line such as "random  4950  0.097 ms  1.900 ns" off the output. */
static const char *expect_sum(const char *out, const char *name,
                              long long expected)
{
    char order[16];
    long long sum;
    double ms, ns;
    int end = 0;
    if (sscanf(out, "%15s %lld %lf ms %lf ns%n", order, &sum, &ms, &ns, &end) !=
            4 ||
        out[end] != '\n' || strcmp(order, name) != 0)
        fail_msg("expected: a line \"%s SUM … ms … ns\"\n"
                 "actual:   \"%s\"",
                 name, out);
    assert_int_equal(sum, expected);
    return out + end + 1;
}

TEST(test_15_the_program_adds_in_four_orders)
{
    struct run r = run("sum", "300");
    assert_exit(r, 0);
    const char *out = expect_sum(r.out, "sequential", 4049955000);
    out = expect_sum(out, "random", 4049955000);
    out = expect_sum(out, "row", 4049955000);
    out = expect_sum(out, "column", 4049955000);
    assert_string_equal(out, "");

    r = run("sum", "1", "column");
    assert_exit(r, 0);
    assert_string_equal(expect_sum(r.out, "column", 0), "");
}

enum { TIMES = 6 };

/* Takes a row off the output: its size and six times, each written as this
 * format says. */
static const char *expect_row(const char *out, const char *size,
                              const char *format)
{
    size_t len = strlen(size);
    if (strncmp(out, size, len) != 0)
        fail_msg("expected: a row that begins with \"%s\"\n"
                 "actual:   \"%s\"",
                 size, out);
    const char *at = out + len;
    for (int i = 0; i < TIMES; i++) {
        double ns = -1;
        sscanf(at, *at == ',' ? ",%lf" : "%lf", &ns);
        char written[64];
        snprintf(written, sizeof written, *at == ',' ? ",%.3f" : " %7.2f", ns);
        if (ns < 0 || strncmp(at, written, strlen(written)) != 0)
            fail_msg("expected: %d times behind the size, each as \"%s\"\n"
                     "actual:   \"%.*s\"",
                     TIMES, format, (int)strcspn(out, "\n"), out);
        at += strlen(written);
    }
    if (*at != '\n')
        fail_msg("expected: %d times and the end of the line\n"
                 "actual:   \"%.*s\"",
                 TIMES, (int)strcspn(out, "\n"), out);
    return at + 1;
}

static const char *expect_line(const char *out, const char *line)
{
    size_t len = strlen(line);
    assert_bytes_equal(out, strnlen(out, len), line, len);
    return out + len;
}

TEST(test_16_a_sweep_prints_a_table)
{
    struct run r = run("sweep", "--max", "33", "--accesses", "20");
    assert_exit(r, 0);
    const char *out = expect_line(
        r.out, "     KiB       8      64     256    1024    4096  random\n");
    out = expect_row(out, "       4", " %7.2f");
    out = expect_row(out, "       8", " %7.2f");
    out = expect_row(out, "      16", " %7.2f");
    out = expect_row(out, "      32", " %7.2f");
    assert_string_equal(out, "");
}

/* Some time is not a whole number; or all are 0, on a coarse clock. */
static void expect_fractions(const char *out)
{
    double sum = 0;
    const char *at = strchr(out, '\n');
    while (at != NULL && (at = strchr(at, ',')) != NULL) {
        double ns = strtod(++at, NULL);
        if (ns != (double)(long long)ns)
            return;
        sum += ns;
    }
    if (sum > 0)
        fail_msg("expected: times with something behind the point\n"
                 "actual:   \"%s\"",
                 out);
}

TEST(test_17_a_sweep_prints_csv)
{
    struct run r = run("sweep", "--csv", "--max=16", "--accesses=20");
    assert_exit(r, 0);
    const char *out = expect_line(r.out, "bytes,8,64,256,1024,4096,random\n");
    out = expect_row(out, "4096", ",%.3f");
    out = expect_row(out, "8192", ",%.3f");
    out = expect_row(out, "16384", ",%.3f");
    assert_string_equal(out, "");

    /* Were all of them divisible by 997, it would be a wonder. */
    expect_fractions(run("sweep", "--csv", "--max=16", "--accesses=997").out);

    r = run("sweep", "--accesses", "1", "--max", "7", "--csv");
    assert_exit(r, 0);
    out = expect_line(r.out, "bytes,8,64,256,1024,4096,random\n");
    assert_string_equal(expect_row(out, "4096", ",%.3f"), "");
}

#define NO_MEMORY                                             \
    "malloc:error=ENOMEM,calloc:error=ENOMEM,"                \
    "realloc:error=ENOMEM,reallocarray:error=ENOMEM,"         \
    "aligned_alloc:error=ENOMEM,posix_memalign:error=ENOMEM," \
    "mmap:error=ENOMEM"

/* It may do without. */
static void expect_chain_or_no_memory(void)
{
    size_t cells[10];
    fault(NO_MEMORY);
    errno = 0;
    int returned = chain_at_random(cells, 10, 1, 1);
    int error = errno;
    fault_clear();
    if (returned == 0)
        expect_one_chain(cells, 10, 1);
    else
        test_fails(TEST_PLACE("chain_at_random(cells, 10, 1, 1)"),
                   returned == -1, returned, error, ENOMEM);
}

TEST(test_18_without_memory_it_says_so)
{
    expect_chain_or_no_memory();
    struct run_options options = {.faults = NO_MEMORY};
    struct run r = run_with(options, "sweep", "--max", "16");
    assert_exit(r, 1);
    assert_error(r, "locality: sweep: Cannot allocate memory\n");
    r = run_with(options, "sum", "10");
    assert_exit(r, 1);
    assert_error(r, "locality: sum: Cannot allocate memory\n");
}

static void expect_failed_output(struct run r)
{
    assert_exit(r, 1);
    assert_error(r, "locality: standard output: No space left on device\n");
}

TEST(test_19_a_full_disk_is_an_error)
{
    struct run_options options = {.output_file = "/dev/full"};
    expect_failed_output(
        run_with(options, "sweep", "--max", "4", "--accesses", "20"));
    expect_failed_output(run_with(options, "sum", "3"));
}

TEST(test_20_wrong_arguments_are_a_usage_error)
{
    assert_exit(run("sweep", "--max", "4", "--accesses", "20"), 0);
    assert_usage("", NULL);
    assert_usage("", "sums", "10");
    assert_usage("", "sum");
    assert_usage("", "sum", "0");
    assert_usage("", "sum", "30001");
    assert_usage("", "sum", "ten");
    assert_usage("", "sum", "10", "diagonal");
    assert_usage("", "sum", "10", "row", "column");
    assert_usage("", "sweep", "--max", "3");
    assert_usage("", "sweep", "--max", "-4");
    assert_usage("", "sweep", "--max", "1073741825");
    assert_usage("", "sweep", "--accesses", "0");
    assert_usage("", "sweep", "--accesses", "1e6");
    assert_usage("", "sweep", "--accesses");
    assert_usage("", "sweep", "--json");
    assert_usage("", "sweep", "16");
}
