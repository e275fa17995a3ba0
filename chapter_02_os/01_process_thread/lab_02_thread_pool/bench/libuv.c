/*
 * The same jobs for libuv's pool: libuv WORKERS JOBS BATCH.
 *
 * uv_queue_work() belongs to the thread of the loop, and the loop is told of
 * each job that is done. The requests are allocated before the clock starts.
 */
#include "timing.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

static void mark(uv_work_t *request)
{
    char *done = request->data;
    *done = 1;
}

static void after(uv_work_t *request, int status)
{
    (void)request;
    if (status != 0)
        errx(1, "%s", uv_strerror(status));
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    size_t jobs = strtoul(argv[2], NULL, 10);
    size_t batch = strtoul(argv[3], NULL, 10);
    char *done = calloc(jobs, 1);
    uv_work_t *requests = calloc(jobs, sizeof *requests);
    if (done == NULL || requests == NULL)
        err(1, "%zu jobs", jobs);

    /* Its threads are started by the first job, which is not measured. */
    setenv("UV_THREADPOOL_SIZE", argv[1], 1);
    uv_loop_t *loop = uv_default_loop();
    for (size_t i = 0; i < jobs; i++)
        requests[i].data = &done[i];
    uv_queue_work(loop, &requests[0], mark, after);
    uv_run(loop, UV_RUN_DEFAULT);

    uint64_t start = now_ns(), cpu_start = cpu_ns();
    for (size_t i = 0; i < jobs; i++) {
        int error = uv_queue_work(loop, &requests[i], mark, after);
        if (error != 0)
            errx(1, "uv_queue_work: %s", uv_strerror(error));
        if ((i + 1) % batch == 0)
            uv_run(loop, UV_RUN_DEFAULT);
    }
    uv_run(loop, UV_RUN_DEFAULT);
    double wall = (double)(now_ns() - start);
    double cpu = (double)(cpu_ns() - cpu_start);

    for (size_t i = 0; i < jobs; i++)
        if (!done[i])
            errx(1, "job %zu was not done", i);
    printf("%.0f jobs/s, %.0f ns of CPU time each\n", 1e9 * (double)jobs / wall,
           cpu / (double)jobs);
    free(requests);
    free(done);
    return 0;
}
