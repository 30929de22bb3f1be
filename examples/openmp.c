/* A program's own threads, here OpenMP's: each computes its share with kiln_run_part, in scratch memory that
 * it brings along. Kiln starts no thread, and allocates nothing in a run. */
#include <kiln.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

enum { IC = 32, OC = 64, PIXELS = 28 * 28, RUNS = 10 };

static float src[PIXELS * IC], weights[OC * IC * 9], bias[OC], dst[PIXELS * OC], expected[PIXELS * OC];

static void must(enum kiln_status status, const struct kiln_error *error)
{
    if (status == KILN_STATUS_OK) return;
    fprintf(stderr, "%s\n", error->text);
    exit(1);
}

/* Aligned memory, as packed weights and scratch want it. */
static void *memory_make(size_t bytes)
{
    void *memory = aligned_alloc(64, (bytes / 64 + 1) * 64);
    if (!memory) exit(1);
    return memory;
}

/* Small integers, on which f32 makes no error. */
static void fill(float *to, int count, int factor)
{
    for (int i = 0; i < count; i++) to[i] = (float)(i * factor % 19 - 9);
}

static void runs(const struct kiln_plan *plan, const struct kiln_args *args)
{
#pragma omp parallel
    {
        size_t ith = (size_t)omp_get_thread_num(), nth = (size_t)omp_get_num_threads();
        void *scratch = memory_make(kiln_plan_scratch_size(plan));
        struct kiln_error error;
        for (int i = 0; i < RUNS; i++) {
            must(kiln_run_part(plan, args, scratch, ith, nth, &error), &error);
#pragma omp barrier /* dst is whole: a next layer may read it */
        }
        free(scratch);
    }
}

int main(void)
{
    struct kiln *k;
    struct kiln_plan *plan;
    struct kiln_conv conv;
    struct kiln_error error;
    fill(src, PIXELS * IC, 7), fill(weights, OC * IC * 9, 5), fill(bias, OC, 3);
    must(kiln_conv_parse(&conv, "conv ic32 ih28 iw28 oc64 kh3 kw3 ph1 pw1 strict +bias +relu", &error),
         &error);
    must(kiln_create(&k, NULL, &error), &error);
    must(kiln_compile(k, &conv, NULL, &plan, &error), &error);
    void *packed = memory_make(kiln_plan_packed_size(plan));
    must(kiln_pack(plan, weights, packed, &error), &error);

    struct kiln_args args = {.src = src, .weights = packed, .bias = bias, .dst = dst};
    runs(plan, &args);

    args.dst = expected;
    must(kiln_interpret(&conv, weights, &args, &error), &error);
    int wrong = 0;
    for (int i = 0; i < PIXELS * OC; i++) wrong += dst[i] != expected[i];
    printf("%zu tasks on %d threads: %d of %d elements are wrong\n", kiln_plan_tasks(plan),
           omp_get_max_threads(), wrong, PIXELS * OC);
    kiln_plan_release(plan), kiln_destroy(k), free(packed);
    return wrong != 0;
}
