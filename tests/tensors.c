/* The data of tests, and guarded runs. Everything follows from the convolution's text, so that a failure
 * can be repeated from its line alone. */
#include "tensors.h"

#include "conv.h"
#include "guard.h"
#include "interp.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- numbers ---- */

/* FNV-1a of the text; then SplitMix64. */
struct random random_from(const char *text)
{
    struct random r = {UINT64_C(14695981039346656037)};
    for (; *text; text++) r.state = (r.state ^ (unsigned char)*text) * UINT64_C(1099511628211);
    return r;
}

uint64_t random_next(struct random *r)
{
    uint64_t v = r->state += UINT64_C(0x9e3779b97f4a7c15);
    v = (v ^ v >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    v = (v ^ v >> 27) * UINT64_C(0x94d049bb133111eb);
    return v ^ v >> 31;
}

int64_t random_in(struct random *r, int64_t lo, int64_t hi)
{
    return lo + (int64_t)(random_next(r) % (uint64_t)(hi - lo + 1));
}

static float random_normal(struct random *r)
{
    double u = ((double)(random_next(r) >> 11) + 1) * 0x1p-53, v = (double)(random_next(r) >> 11) * 0x1p-53;
    return (float)(sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
}

/* ---- tensors ---- */

/* Sums of products of numbers this small stay below 2^24 up to some 400,000 terms. */
enum { SMALL = 6, SPECIAL_ONE_IN = 97 };

static float number(struct random *r, enum data data)
{
    static const float specials[] = {INFINITY, -INFINITY, NAN};
    if (data == DATA_NORMAL) return random_normal(r);
    if (data == DATA_SPECIALS && random_in(r, 1, SPECIAL_ONE_IN) == 1) return specials[random_in(r, 0, 2)];
    if (data == DATA_SPECIALS && random_in(r, 0, 1)) return 0;
    return (float)random_in(r, -SMALL, SMALL);
}

static float *tensor_make(int64_t count, enum data data, struct random *r)
{
    float *v = malloc((size_t)count * sizeof *v);
    if (!v) abort();
    for (int64_t i = 0; i < count; i++) v[i] = number(r, data);
    return v;
}

struct tensors tensors_make(const struct kiln_conv *conv, enum data data)
{
    char text[KILN_TEXT_MAX];
    conv_print(conv, text, sizeof text);
    struct random r = random_from(text);
    struct tensors t = {.conv = *conv, .data = data};
    t.src_count = conv_src_count(conv);
    t.weights_count = conv_weights_count(conv);
    t.dst_count = conv_dst_count(conv);
    t.src = tensor_make(t.src_count, data, &r);
    t.weights = tensor_make(t.weights_count, data, &r);
    if (conv_has(conv, KILN_POST_BIAS)) t.bias = tensor_make(conv->oc, data, &r);
    if (conv_has(conv, KILN_POST_ADD)) t.add = tensor_make(t.dst_count, data, &r);
    t.want = tensor_make(t.dst_count, data, &r);
    struct kiln_args args = {.src = t.src, .bias = t.bias, .add = t.add, .dst = t.want};
    interp(conv, t.weights, &args);
    return t;
}

void tensors_free(struct tensors *t)
{
    float *all[] = {t->src, t->weights, t->bias, t->add, t->want};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    *t = (struct tensors){0};
}

/* ---- comparing ---- */

/* Outputs whose RMS is not telling: they are made of few numbers. */
enum { FEW = 1024 };

/* The mean number of products of an output that read src, and not a zero outside of it. */
static double products(const struct kiln_conv *c)
{
    int64_t inside = 0, at[3] = {0}, k[3] = {0}, tap[3];
    for (at[1] = 0; at[1] < conv_oh(c); at[1]++)
        for (at[2] = 0; at[2] < conv_ow(c); at[2]++)
            for (k[1] = 0; k[1] < c->kh; k[1]++)
                for (k[2] = 0; k[2] < c->kw; k[2]++) inside += interp_tap(c, at, k, tap);
    return (double)(c->ic / c->g) * (double)inside / (double)(conv_oh(c) * conv_ow(c));
}

bool post_exact(const struct kiln_conv *c)
{
    for (int i = 0; i < c->post_count; i++) {
        enum kiln_post_kind kind = c->post[i].kind;
        if (kind != KILN_POST_BIAS && kind != KILN_POST_ADD && kind != KILN_POST_RELU &&
            kind != KILN_POST_CLIP)
            return false;
    }
    return true;
}

/* By how much post-ops may multiply the error of a sum, if one of them makes outputs smaller than sums; else
 * 0. */
static double steepness(const struct kiln_conv *c)
{
    double slopes = 1;
    bool squashed = false;
    for (int i = 0; i < c->post_count; i++) {
        enum kiln_post_kind kind = c->post[i].kind;
        squashed |= kind == KILN_POST_CLIP || kind == KILN_POST_SIGMOID || kind == KILN_POST_TANH;
        if (kind == KILN_POST_LEAKY) slopes *= fmax(1, fabs((double)c->post[i].a));
        if (kind == KILN_POST_HARDSWISH || kind == KILN_POST_GELU || kind == KILN_POST_SILU) slopes *= 1.5;
    }
    return squashed ? slopes : 0;
}

double tensors_bound(const struct tensors *t)
{
    static const double bounds[] = {
        [KILN_ACCURACY_DEFAULT] = 2e-5, [KILN_ACCURACY_STRICT] = 2e-5, [KILN_ACCURACY_FAST] = 1e-4};
    double squares = 0;
    for (int64_t i = 0; i < t->dst_count; i++) squares += (double)t->want[i] * (double)t->want[i];
    double rms = sqrt(squares / (double)t->dst_count);
    double least = t->dst_count < FEW ? fmax(1, steepness(&t->conv)) : steepness(&t->conv);
    if (least > 0) rms = fmax(rms, least * sqrt(products(&t->conv)));
    return bounds[t->conv.accuracy] * rms;
}

static bool close(float got, float want, double bound)
{
    if (isnan(want)) return isnan(got);
    return got == want || fabs((double)got - (double)want) <= bound;
}

/* Floats have no other way into a text that does not depend on the locale; this one is only read by people.
 */
static void put_difference(const struct tensors *t, const float *got, int64_t i, struct text *why)
{
    char line[128];
    snprintf(line, sizeof line, "dst[%" PRId64 "] of %" PRId64 " is %.9g, must be %.9g", i, t->dst_count,
             (double)got[i], (double)t->want[i]);
    text_put(why, "%s", line);
}

bool tensors_equal(const struct tensors *t, const float *got, struct text *why)
{
    double bound = t->data == DATA_NORMAL ? tensors_bound(t) : 0;
    for (int64_t i = 0; i < t->dst_count; i++) {
        if (close(got[i], t->want[i], bound)) continue;
        put_difference(t, got, i, why);
        return false;
    }
    return true;
}

/* ---- runs ---- */

enum { SRC, WEIGHTS, PACKED, BIAS, ADD, DST, SCRATCH, TENSORS };
static const char *const names[TENSORS] = {"src", "weights", "packed", "bias", "add", "dst", "scratch"};

/* One run: where the pages are, whether dst is add, and its tasks in what order. */
struct way {
    const char *name;
    enum guard_side side;
    bool in_place, pieces;
};

struct run {
    const struct kernel *kernel;
    const struct tensors *t;
    const struct way *way;
    struct guard guards[TENSORS];
    struct kiln_args args;
};

static void fill(struct guard *g, const float *from, size_t count, enum guard_side side)
{
    *g = guard_new(from ? count * sizeof *from : 0, sizeof *from, side);
    if (!from) return;
    memcpy(g->at, from, g->bytes);
    guard_read_only(g);
}

static void run_begin(struct run *r)
{
    const struct tensors *t = r->t;
    struct guard *g = r->guards;
    enum guard_side side = r->way->side;
    fill(&g[SRC], t->src, (size_t)t->src_count, side);
    fill(&g[WEIGHTS], t->weights, (size_t)t->weights_count, side);
    fill(&g[BIAS], t->bias, (size_t)t->conv.oc, side);
    fill(&g[ADD], r->way->in_place ? NULL : t->add, (size_t)t->dst_count, side);
    g[PACKED] = guard_new(r->kernel->packed_bytes, IMAGE_CODE_ALIGN, side);
    g[DST] = guard_new((size_t)t->dst_count * sizeof(float), sizeof(float), side);
    g[SCRATCH] = guard_new(r->kernel->scratch_bytes, IMAGE_CODE_ALIGN, side);
    if (r->way->in_place) memcpy(g[DST].at, t->add, g[DST].bytes);
    r->args = (struct kiln_args){.src = g[SRC].at,
                                 .weights = g[PACKED].at,
                                 .bias = g[BIAS].at,
                                 .add = r->way->in_place ? g[DST].at : g[ADD].at,
                                 .dst = g[DST].at};
}

static void run_end(struct run *r)
{
    for (int i = 0; i < TENSORS; i++) guard_free(&r->guards[i]);
}

static void pack(void *arg)
{
    struct run *r = arg;
    r->kernel->pack(r->guards[WEIGHTS].at, r->guards[PACKED].at);
}

static void piece(struct run *r, size_t begin, size_t end)
{
    guard_poison(&r->guards[SCRATCH]);
    r->kernel->run(&r->args, begin, end, r->guards[SCRATCH].at);
}

static void compute(void *arg)
{
    struct run *r = arg;
    size_t tasks = r->kernel->tasks, low = tasks / 3, high = tasks - tasks / 4;
    if (!r->way->pieces) {
        piece(r, 0, tasks);
        return;
    }
    piece(r, high, tasks);
    piece(r, 0, low);
    piece(r, low, high);
}

/* Calls `step`; a fault or a write beside a tensor is told. */
static bool guarded(struct run *r, const char *name, void (*step)(void *), struct text *why)
{
    const char *at;
    if (guard_call(step, r, &at)) {
        for (int i = 0; i < TENSORS; i++) {
            if (guard_intact(&r->guards[i])) continue;
            text_put(why, "%s wrote beside %s", name, names[i]);
            return false;
        }
        return true;
    }
    for (int i = 0; i < TENSORS; i++) {
        const struct guard *g = &r->guards[i];
        if (!g->at || at < g->map || at >= g->map + g->map_bytes) continue;
        text_put(why, "%s faulted at byte %td of %s, which has %zu", name, at - g->at, names[i], g->bytes);
        return false;
    }
    text_put(why, "%s faulted at %p, not near any tensor", name, (const void *)at);
    return false;
}

static bool run_one(struct run *r, struct text *why)
{
    run_begin(r);
    bool fine = guarded(r, "pack", pack, why);
    if (fine) {
        guard_read_only(&r->guards[PACKED]);
        fine = guarded(r, "run", compute, why);
    }
    fine = fine && tensors_equal(r->t, (const float *)r->guards[DST].at, why);
    run_end(r);
    return fine;
}

bool kernel_try(const struct kernel *kernel, const struct tensors *t, struct text *why)
{
    static const struct way ways[] = {
        {"pages behind", GUARD_BEHIND, false, false},
        {"pages before, in pieces", GUARD_BEFORE, false, true},
        {"in place, pages behind, in pieces", GUARD_BEHIND, true, true},
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        if (ways[i].in_place && !t->add) continue;
        struct run r = {.kernel = kernel, .t = t, .way = &ways[i]};
        if (run_one(&r, why)) continue;
        text_put(why, " (%s)", ways[i].name);
        return false;
    }
    return true;
}
