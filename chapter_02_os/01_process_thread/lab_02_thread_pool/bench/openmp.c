/*
 * The same jobs as OpenMP tasks: openmp WORKERS JOBS BATCH.
 *
 * The thread that submits is one more than the workers, as in the others; it
 * takes part where they wait. A thread that has queued enough tasks runs the
 * next ones itself, at once.
 */
#include "timing.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    size_t jobs = strtoul(argv[2], NULL, 10);
    size_t batch = strtoul(argv[3], NULL, 10);
    char *done = calloc(jobs, 1);
    if (done == NULL)
        err(1, "%zu jobs", jobs);

    double wall = 0, cpu = 0;
#pragma omp parallel num_threads(atoi(argv[1]) + 1)
#pragma omp single
    {
        uint64_t start = now_ns(), cpu_start = cpu_ns();
        for (size_t i = 0; i < jobs; i++) {
#pragma omp task firstprivate(i) shared(done)
            done[i] = 1;
            if ((i + 1) % batch == 0) {
#pragma omp taskwait
            }
        }
#pragma omp taskwait
        wall = (double)(now_ns() - start);
        cpu = (double)(cpu_ns() - cpu_start);
    }

    for (size_t i = 0; i < jobs; i++)
        if (!done[i])
            errx(1, "job %zu was not done", i);
    printf("%.0f jobs/s, %.0f ns of CPU time each\n", 1e9 * (double)jobs / wall,
           cpu / (double)jobs);
    free(done);
    return 0;
}
