/* Many threads that compile the same and different convolutions in one context and run the plans, whole
 * and in parts. The results must equal the oracle's, of plans that are not exact up to rounding. A plain
 * program, for ThreadSanitizer: the threads are pthreads, also behind kiln_run, since a pool that is not
 * instrumented looks like a race. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kiln.h"

enum { THREADS = 6, ROUNDS = 3, PART_COUNT = 3 };

/* Integers small enough that every sum is exact, so that results compare by value. */
static const char *const convs[] = {
    "conv ic16 ih12 iw12 oc32 kh3 kw3 ph1 pw1 f32 nhwc +bias +relu",
    "conv ic8 ih9 iw11 oc24 kh3 kw2 sh2 sw2 f32 nchw +bias",
    "conv ic32 ih14 iw14 oc48 kh1 kw1 f32 nhwc +add",
    "conv g24 ic24 ih10 iw10 oc24 kh3 kw3 ph1 pw1 f32 nhwc +relu",
    "conv n2 ic64 ih14 iw14 oc64 kh3 kw3 ph1 pw1 f32 nhwc", /* enough work to be shared */
};
enum { CONVS = sizeof convs / sizeof *convs };

/* One convolution with its tensors; all but what it asks of the plan is shared by the threads. */
struct example {
    struct kiln_conv conv;
    size_t src, weights, dst; /* counts */
    float *x, *w, *bias, *add, *expected;
};

/* A thread, whose plans are its own references to shared kernels. */
struct worker {
    pthread_t thread;
    struct kiln *k;
    const struct example *examples;
    int index, faults;
};

static void die(const char *what, const struct kiln_error *error)
{
    fprintf(stderr, "%s: %s\n", what, error->text);
    exit(1);
}

static float *numbers(size_t count, unsigned seed)
{
    float *v = aligned_alloc(64, (count * sizeof *v + 63) / 64 * 64);
    if (!v) abort();
    for (size_t i = 0; i < count; i++) v[i] = (float)((i * 7 + seed * 13 + i / 11) % 9) - 4;
    return v;
}

static struct kiln_args args_of(const struct example *e, const void *packed, float *dst)
{
    return (struct kiln_args){.src = e->x, .weights = packed, .bias = e->bias, .add = e->add, .dst = dst};
}

static void example_make(struct example *e, const char *text)
{
    struct kiln_error error;
    int64_t out[3];
    if (kiln_conv_parse(&e->conv, text, &error) || kiln_conv_output(&e->conv, out, &error)) die(text, &error);
    const struct kiln_conv *c = &e->conv;
    e->src = (size_t)(c->n * c->ic * c->id * c->ih * c->iw);
    e->weights = (size_t)(c->oc * (c->ic / c->g) * c->kd * c->kh * c->kw);
    e->dst = (size_t)(c->n * c->oc * out[0] * out[1] * out[2]);
    e->x = numbers(e->src, 1);
    e->w = numbers(e->weights, 2);
    e->bias = numbers((size_t)c->oc, 3);
    e->add = numbers(e->dst, 4);
    e->expected = numbers(e->dst, 5);
    struct kiln_args args = args_of(e, NULL, e->expected);
    if (kiln_interpret(c, e->w, &args, &error)) die(text, &error);
}

static void example_free(struct example *e)
{
    float *const tensors[] = {e->x, e->w, e->bias, e->add, e->expected};
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) free(tensors[i]);
}

/* Runs a plan whole, or as parts in an order of the thread's own, and compares. */
static int run_compare(const struct example *e, const struct kiln_plan *plan, const void *packed, float *dst,
                       bool whole, int index)
{
    struct kiln_error error;
    struct kiln_args args = args_of(e, packed, dst);
    static const float rounding = 0.01f; /* of plans that are not exact; a race leaves no such thing */
    for (size_t i = 0; i < e->dst; i++) dst[i] = 1e30f;
    if (whole && kiln_run(plan, &args, &error)) die("kiln_run", &error);
    for (int i = 0; !whole && i < PART_COUNT; i++)
        if (kiln_run_part(plan, &args, NULL, (size_t)(i + index) % PART_COUNT, PART_COUNT, &error))
            die("kiln_run_part", &error);
    for (size_t i = 0; i < e->dst; i++) {
        if (fabsf(dst[i] - e->expected[i]) <= (kiln_plan_exact(plan) ? 0 : rounding)) continue;
        fprintf(stderr, "%s: output %zu is %g, not %g\n", kiln_plan_text(plan), i, (double)dst[i],
                (double)e->expected[i]);
        return 1;
    }
    return 0;
}

/* Compiles, packs and runs one example. */
static int example_try(struct worker *w, const struct example *e)
{
    struct kiln_error error;
    struct kiln_plan *plan;
    int faults = 0;
    if (kiln_compile(w->k, &e->conv, NULL, &plan, &error)) die("kiln_compile", &error);
    float *packed = numbers((kiln_plan_packed_size(plan) + 3) / 4, 6), *dst = numbers(e->dst, 7);
    if (kiln_pack(plan, e->w, packed, &error)) die("kiln_pack", &error);
    for (int whole = 0; whole < 2; whole++) faults += run_compare(e, plan, packed, dst, whole, w->index);
    kiln_plan_release(plan);
    free(packed);
    free(dst);
    return faults;
}

/* Adds wisdom of other convolutions, so much that its table grows while other threads look into it. */
static int wisdom_add(const struct worker *w, int round)
{
    int faults = 0;
    for (int i = 0; i < 8; i++) {
        char line[128];
        struct kiln_error error;
        int width = 1 + i + 8 * (round + ROUNDS * w->index);
        int length = snprintf(line, sizeof line, "conv ic1 iw%d oc1 kw1 | direct | sse2 # 1 us", width);
        faults += kiln_wisdom_import(w->k, line, (size_t)length, &error) != KILN_STATUS_OK;
    }
    return faults;
}

static void *worker_run(void *user)
{
    struct worker *w = user;
    for (int round = 0; round < ROUNDS; round++) {
        w->faults += wisdom_add(w, round);
        for (int i = 0; i < CONVS; i++) w->faults += example_try(w, &w->examples[(i + w->index) % CONVS]);
    }
    return NULL;
}

/* ---- a parallel-for of pthreads: every second index on a second thread ---- */

struct half {
    void (*work)(void *arg, size_t i);
    void *arg;
    size_t count;
};

static void *half_run(void *user)
{
    struct half *h = user;
    for (size_t i = 1; i < h->count; i += 2) h->work(h->arg, i);
    return NULL;
}

static void two_threads(void *user, size_t count, void (*work)(void *arg, size_t i), void *arg)
{
    struct half h = {work, arg, count};
    pthread_t thread;
    (void)user;
    if (pthread_create(&thread, NULL, half_run, &h)) abort();
    for (size_t i = 0; i < count; i += 2) work(arg, i);
    pthread_join(thread, NULL);
}

/* All workers over one context; the number of faults. */
static int workers_run(const struct example *examples, size_t cache_bytes)
{
    struct kiln_config config = {.size = sizeof config,
                                 .threads = 2,
                                 .parallel = two_threads,
                                 .cache_bytes = cache_bytes,
                                 .debug = "gdb"};
    struct worker workers[THREADS];
    struct kiln_error error;
    struct kiln_stats stats;
    struct kiln *k;
    int faults = 0;
    if (kiln_create(&k, &config, &error)) die("kiln_create", &error);
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.k = k, .examples = examples, .index = i};
        if (pthread_create(&workers[i].thread, NULL, worker_run, &workers[i])) abort();
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        faults += workers[i].faults;
    }
    kiln_stats(k, &stats);
    printf("%d faults, %llu compiles, %llu hits, %llu evictions\n", faults,
           (unsigned long long)stats.compiles, (unsigned long long)stats.hits,
           (unsigned long long)stats.evictions);
    if (stats.compiles != stats.misses || stats.hits + stats.misses != THREADS * ROUNDS * CONVS) faults++;
    if (cache_bytes == 0 && stats.compiles != CONVS) faults++;
    if (cache_bytes != 0 && stats.evictions == 0) faults++;
    kiln_destroy(k);
    return faults;
}

/* ThreadSanitizer asks for this: LLVM is not instrumented, so what it guards by atomics looks unguarded. */
__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void) { return "race:libLLVM.so"; }

int main(void)
{
    struct example examples[CONVS];
    for (int i = 0; i < CONVS; i++) example_make(&examples[i], convs[i]);
    int faults = workers_run(examples, 0);
    faults += workers_run(examples, 16 << 10); /* room for a few: kernels come and go while others run them */
    for (int i = 0; i < CONVS; i++) example_free(&examples[i]);
    return faults ? 1 : 0;
}
