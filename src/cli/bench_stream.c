/* bench_stream: what memory gives: a[i] = b[i] + s * c[i] over arrays that no cache holds, on all threads. */
#include "bench_dir.h"
#include "fill.h"
#include <stdlib.h>

/* 64 MiB each: the three of them are beyond any L3 that one machine's cores share out to a few. */
enum { STREAM_COUNT = 1 << 22 };
static const double stream_seconds = 0.2;

typedef float four __attribute__((vector_size(16))); /* as every machine has, at any optimisation */

struct stream {
    four *a, *b, *c;
    int threads;
};

static void stream_work(void *arg, int i)
{
    const struct stream *s = arg;
    size_t begin = (size_t)STREAM_COUNT * (size_t)i / (size_t)s->threads;
    size_t end = (size_t)STREAM_COUNT * ((size_t)i + 1) / (size_t)s->threads;
    four *a = s->a, *b = s->b, *c = s->c;
    for (size_t x = begin; x < end; x++) a[x] = b[x] + 0.5f * c[x];
}

double stream_measure(int threads)
{
    struct kiln_error error;
    const size_t bytes = STREAM_COUNT * sizeof(four);
    struct stream s = {fill_try(bytes, &error), fill_try(bytes, &error), fill_try(bytes, &error), threads};
    struct crew *crew = s.a && s.b && s.c ? crew_make(threads, stream_work, &s, &error) : NULL;
    double gbs = 0;
    if (crew) {
        for (size_t i = 0; i < STREAM_COUNT; i++) s.b[i] = s.c[i] = (four){1, 1, 1, 1};
        struct contender contender = {.run = crew_run, .state = crew};
        contenders_race(&contender, 1, stream_seconds, false);
        gbs = 3 * (double)bytes / contender.us * 1e-3;
    }
    crew_free(crew);
    free(s.a);
    free(s.b);
    free(s.c);
    return gbs;
}
