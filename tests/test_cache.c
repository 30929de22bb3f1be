/* cache: hits, order of eviction, one making per key for many threads, and failures for all of them. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cache.h"
#include "small_image.h"
#include "status.h"

enum { THREADS = 8 };

static struct kiln_error error;

/* How a kernel is made, and how often it was. */
struct maker {
    int calls; /* atomic */
    int sleep_us;
    enum kiln_status status;
    size_t code; /* bytes */
};

static enum kiln_status make(void *user, struct kernel **made, struct kiln_error *e)
{
    struct maker *m = user;
    int call = __atomic_add_fetch(&m->calls, 1, __ATOMIC_SEQ_CST);
    usleep((useconds_t)m->sleep_us);
    if (m->status) return fail(e, m->status, "making failed, call %d", call);
    struct image *i = small_image("x", m->code);
    enum kiln_status status = kernel_load(i, made, e);
    free(i);
    return status;
}

static struct kernel *get(struct cache *c, const char *key, struct maker *m)
{
    struct kernel *k = NULL;
    cr_assert_eq(cache_get(c, key, strlen(key), make, m, &k, &error), KILN_STATUS_OK, "%s", error.text);
    cr_assert_not_null(k);
    return k;
}

static void touch(struct cache *c, const char *key, struct maker *m) { kernel_release(get(c, key, m)); }

Test(cache, a_second_asking_is_a_hit)
{
    struct cache *c = cache_new(1 << 20);
    struct maker m = {0};
    struct kiln_stats stats;
    struct kernel *a = get(c, "a", &m), *again = get(c, "a", &m), *b = get(c, "b", &m);
    cr_assert_eq(a, again);
    cr_assert_neq(a, b);
    cr_assert_eq(m.calls, 2);
    cache_stats(c, &stats);
    cr_assert_eq(stats.hits, 1);
    cr_assert_eq(stats.misses, 2);
    cr_assert_eq(stats.evictions, 0);
    cr_assert_geq(stats.bytes, a->bytes + b->bytes);
    cache_free(c);
    a->run(&(struct kiln_args){0}, 0, 0, NULL); /* outlives the cache */
    kernel_release(a);
    kernel_release(again);
    kernel_release(b);
}

Test(cache, many_keys_are_told_apart)
{
    struct cache *c = cache_new(64 << 20);
    struct maker m = {0};
    struct kernel *made[500];
    char key[32];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 500; i++) {
            snprintf(key, sizeof key, "key %d", i);
            struct kernel *k = get(c, key, &m);
            if (round == 0) made[i] = k;
            cr_assert_eq(made[i], k);
            kernel_release(k);
        }
    }
    cr_assert_eq(m.calls, 500);
    cache_free(c);
}

/* Keys are bytes: 0 is one of them, and what one begins with is another. */
Test(cache, every_byte_of_a_key_counts)
{
    static const struct {
        const char *key;
        size_t bytes;
    } rows[] = {{"", 0}, {"\0", 1}, {"a", 1}, {"a\0", 2}, {"a\0b", 3}, {"a\0c", 3}, {"a\0b\0", 4}};
    enum { ROWS = sizeof rows / sizeof *rows };
    struct cache *c = cache_new(1 << 20);
    struct maker m = {0};
    struct kernel *made[ROWS];
    for (int i = 0; i < 2 * ROWS; i++) {
        struct kernel *k;
        cr_assert_not(cache_get(c, rows[i % ROWS].key, rows[i % ROWS].bytes, make, &m, &k, &error));
        if (i < ROWS) made[i] = k;
        cr_assert_eq(k, made[i % ROWS], "row %d", i);
        cr_assert_eq(m.calls, i < ROWS ? i + 1 : ROWS, "row %d", i);
        kernel_release(k);
    }
    cache_free(c);
}

Test(cache, the_least_recently_used_goes_first)
{
    struct maker m = {0};
    struct kiln_stats stats;
    struct cache *probe = cache_new(1 << 20);
    touch(probe, "a", &m);
    cache_stats(probe, &stats);
    cache_free(probe);
    struct cache *c = cache_new(3 * stats.bytes);
    m.calls = 0;
    static const struct {
        const char *key;
        int calls; /* so far: a miss adds one */
        unsigned evictions;
    } rows[] = {
        {"a", 1, 0}, {"b", 2, 0}, {"c", 3, 0}, {"a", 3, 0}, {"d", 4, 1}, /* b went */
        {"a", 4, 1}, {"c", 4, 1}, {"b", 5, 2},                           /* d went */
        {"c", 5, 2}, {"a", 5, 2}, {"d", 6, 3},                           /* b went */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        touch(c, rows[i].key, &m);
        cr_assert_eq(m.calls, rows[i].calls, "row %zu", i);
        cache_stats(c, &stats);
        cr_assert_eq(stats.evictions, rows[i].evictions, "row %zu", i);
    }
    cache_free(c);
}

Test(cache, eviction_leaves_kernels_in_use_alone)
{
    struct maker m = {0};
    struct cache *c = cache_new(6000); /* room for one page of code */
    struct kernel *a = get(c, "a", &m);
    touch(c, "b", &m);
    touch(c, "c", &m);
    struct kiln_stats stats;
    cache_stats(c, &stats);
    cr_assert_eq(stats.evictions, 2);
    a->run(&(struct kiln_args){0}, 0, 0, NULL);
    kernel_release(a);
    cache_free(c);
}

Test(cache, too_large_is_handed_out_but_not_kept)
{
    struct maker m = {.code = 100000}, small = {0};
    struct cache *c = cache_new(20000);
    struct kiln_stats stats;
    touch(c, "small", &small);
    touch(c, "large", &m);
    touch(c, "large", &m);
    touch(c, "small", &small);
    cr_assert_eq(m.calls, 2);
    cr_assert_eq(small.calls, 1, "it was evicted for one that is not kept");
    cache_stats(c, &stats);
    cr_assert_eq(stats.evictions, 0);
    cr_assert_leq(stats.bytes, 20000);
    cache_free(c);
}

Test(cache, failure_is_told_and_not_kept)
{
    struct maker m = {.status = KILN_STATUS_UNSUPPORTED};
    struct cache *c = cache_new(1 << 20);
    struct kernel *k = (void *)&m;
    cr_assert_eq(cache_get(c, "a", 1, make, &m, &k, &error), KILN_STATUS_UNSUPPORTED);
    cr_assert_eq(error.status, KILN_STATUS_UNSUPPORTED);
    cr_assert_str_eq(error.text, "making failed, call 1");
    cr_assert_eq(k, (void *)&m, "a failure changed its output");
    cr_assert_eq(cache_get(c, "a", 1, make, &m, &k, NULL), KILN_STATUS_UNSUPPORTED);
    m.status = KILN_STATUS_OK;
    touch(c, "a", &m);
    cr_assert_eq(m.calls, 3);
    cache_free(c);
}

/* ---- many threads ---- */

struct asker {
    struct cache *cache;
    struct maker *maker;
    pthread_barrier_t *start;
    struct kernel *kernel;
    enum kiln_status status;
    struct kiln_error error;
};

static void *ask(void *user)
{
    struct asker *a = user;
    pthread_barrier_wait(a->start);
    a->status = cache_get(a->cache, "key", 3, make, a->maker, &a->kernel, &a->error);
    return NULL;
}

static void ask_together(struct asker askers[THREADS], struct cache *c, struct maker *m)
{
    pthread_t threads[THREADS];
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, THREADS);
    for (int i = 0; i < THREADS; i++) {
        askers[i] = (struct asker){.cache = c, .maker = m, .start = &start};
        pthread_create(&threads[i], NULL, ask, &askers[i]);
    }
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&start);
}

Test(cache, eight_threads_make_once)
{
    struct asker askers[THREADS];
    struct maker m = {.sleep_us = 50000};
    struct cache *c = cache_new(1 << 20);
    struct kiln_stats stats;
    ask_together(askers, c, &m);
    for (int i = 0; i < THREADS; i++) {
        cr_assert_eq(askers[i].status, KILN_STATUS_OK);
        cr_assert_eq(askers[i].kernel, askers[0].kernel);
        kernel_release(askers[i].kernel);
    }
    cr_assert_eq(m.calls, 1);
    cache_stats(c, &stats);
    cr_assert_eq(stats.misses, 1);
    cr_assert_eq(stats.hits, THREADS - 1);
    cache_free(c);
}

Test(cache, eight_threads_are_told_of_one_failure)
{
    struct asker askers[THREADS];
    struct maker m = {.sleep_us = 50000, .status = KILN_STATUS_SYSTEM};
    struct cache *c = cache_new(1 << 20);
    ask_together(askers, c, &m);
    for (int i = 0; i < THREADS; i++) {
        cr_assert_eq(askers[i].status, KILN_STATUS_SYSTEM);
        cr_assert_eq(askers[i].error.status, KILN_STATUS_SYSTEM);
        cr_assert_eq(strncmp(askers[i].error.text, "making failed", 13), 0);
        cr_assert_null(askers[i].kernel);
    }
    cr_assert_lt(m.calls, THREADS, "nobody waited");
    cache_free(c);
}

/* One that is too large leaves the table while others still wait for it. */
Test(cache, eight_threads_share_what_is_not_kept)
{
    struct asker askers[THREADS];
    struct maker m = {.sleep_us = 50000, .code = 100000};
    struct cache *c = cache_new(1000);
    ask_together(askers, c, &m);
    for (int i = 0; i < THREADS; i++) {
        cr_assert_eq(askers[i].status, KILN_STATUS_OK);
        kernel_release(askers[i].kernel);
    }
    cr_assert_lt(m.calls, THREADS);
    cache_free(c);
}
