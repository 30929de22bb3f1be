/* many: a whole network's convolutions compiled on several threads. All work is kiln_compile's, and its
 * cache sees to it that equal ones are compiled once; here is only who compiles which, and when. */
#include "kiln.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "context.h"
#include "conv.h"
#include "status.h"

enum { JOBS_MAX = 1024 };

/* A convolution's place in the list, and its hash. */
struct place {
    uint64_t hash;
    size_t index;
};

struct many {
    struct kiln *k;
    const struct kiln_conv *convs;
    const struct kiln_options *const *options;
    struct kiln_plan **plans;
    kiln_compiled *compiled;
    void *user;
    size_t count, *order; /* indices in the order of compiling */
    size_t next;          /* in order; atomic */
    pthread_mutex_t lock; /* guards what follows, and calls of compiled */
    size_t done, failed;  /* failed: the least index that did, or count */
    struct kiln_error error;
};

/* ---- the order ---- */

static int compare_places(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

/* The first of each that are equal, as they stand in the list, then the others: those would only wait while
 * the first is compiled. Equal hashes of different ones cost no more than time. False: no memory. */
static bool order_make(struct many *m)
{
    struct place *places = calloc(m->count, sizeof *places);
    bool *again = calloc(m->count, sizeof *again);
    m->order = calloc(m->count, sizeof *m->order);
    bool good = places && again && m->order;
    for (size_t i = 0; good && i < m->count; i++) {
        struct kiln_conv c = {0};
        if (!conv_check(&m->convs[i], NULL)) conv_canonical(&c, &m->convs[i]);
        places[i] = (struct place){XXH3_64bits(&c, sizeof c), i};
    }
    if (good) qsort(places, m->count, sizeof *places, compare_places);
    for (size_t i = 1; good && i < m->count; i++)
        again[places[i].index] = places[i].hash == places[i - 1].hash;
    size_t n = 0;
    for (int turn = 0; good && turn < 2; turn++)
        for (size_t i = 0; i < m->count; i++)
            if (again[i] == turn) m->order[n++] = i;
    free(places);
    free(again);
    return good;
}

/* ---- the work ---- */

static void one_finish(struct many *m, size_t i, enum kiln_status status, const struct kiln_error *error)
{
    pthread_mutex_lock(&m->lock);
    m->done++;
    if (status && i < m->failed) m->failed = i, m->error = *error;
    if (m->compiled) m->compiled(m->user, i, m->done, m->count, status ? error : NULL);
    pthread_mutex_unlock(&m->lock);
}

static void *work(void *arg)
{
    struct many *m = arg;
    for (;;) {
        size_t turn = __atomic_fetch_add(&m->next, 1, __ATOMIC_RELAXED);
        if (turn >= m->count) return NULL;
        size_t i = m->order[turn];
        struct kiln_plan *plan = NULL;
        struct kiln_error error;
        const struct kiln_options *options = m->options ? m->options[i] : NULL;
        enum kiln_status status = kiln_compile(m->k, &m->convs[i], options, &plan, &error);
        m->plans[i] = status ? NULL : plan;
        one_finish(m, i, status, &error);
    }
}

/* On this thread and as many others as the system grants: fewer only take longer. */
static void work_all(struct many *m, size_t jobs)
{
    pthread_t threads[JOBS_MAX];
    size_t started = 0;
    while (started + 1 < jobs && !pthread_create(&threads[started], NULL, work, m)) started++;
    work(m);
    for (size_t i = 0; i < started; i++) pthread_join(threads[i], NULL);
}

static enum kiln_status many_check(const struct kiln *k, const struct kiln_conv *convs, size_t count,
                                   int jobs, struct kiln_plan **plans, struct kiln_error *error)
{
    if (!k) return fail(error, KILN_STATUS_INVALID, "k is NULL: must be a context");
    if (count > PTRDIFF_MAX / sizeof *convs)
        return fail(error, KILN_STATUS_INVALID, "count is %zu: no memory holds so many convolutions", count);
    if (count && !convs) return fail(error, KILN_STATUS_INVALID, "convs is NULL and count is %zu", count);
    if (count && !plans) return fail(error, KILN_STATUS_INVALID, "plans is NULL and count is %zu", count);
    if (jobs < 0 || jobs > JOBS_MAX)
        return fail(error, KILN_STATUS_INVALID, "jobs is %d: must be 0 to %d", jobs, JOBS_MAX);
    return KILN_STATUS_OK;
}

enum kiln_status kiln_compile_many(struct kiln *k, const struct kiln_conv *convs,
                                   const struct kiln_options *const *options, size_t count, int jobs,
                                   struct kiln_plan **plans, kiln_compiled *compiled, void *user,
                                   struct kiln_error *error)
{
    enum kiln_status status = many_check(k, convs, count, jobs, plans, error);
    if (status || !count) return status;
    struct many m = {.k = k,
                     .convs = convs,
                     .options = options,
                     .plans = plans,
                     .compiled = compiled,
                     .user = user,
                     .count = count,
                     .failed = count};
    size_t most = jobs ? (size_t)jobs : (size_t)context_processors();
    if (!order_make(&m)) {
        free(m.order);
        for (size_t i = 0; i < count; i++) plans[i] = NULL;
        return fail(error, KILN_STATUS_MEMORY, "no memory for a list of %zu convolutions", count);
    }
    pthread_mutex_init(&m.lock, NULL);
    work_all(&m, most < count ? most : count);
    pthread_mutex_destroy(&m.lock);
    free(m.order);
    if (m.failed == count) return KILN_STATUS_OK;
    return fail(error, m.error.status, "convs[%zu]: %.480s", m.failed, m.error.text);
}
