/* Owns the data that check and bench run on: tensors of a conv's sizes, and what they are filled with,
 * the same on every run and machine. May assume a checked conv. */
#include "fill.h"

#include "ask.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { DATA_ALIGN = 64 };

/* f32 counts exactly up to this. */
static const double EXACT_MAX = 1 << 24;

/* ---- sizes ---- */

int64_t conv_products(const struct kiln_conv *c) { return c->ic / c->g * c->kd * c->kh * c->kw; }

size_t conv_outputs(const struct kiln_conv *c)
{
    int64_t out[3] = {0};
    kiln_conv_output(c, out, NULL);
    return (size_t)(c->n * c->oc * out[0] * out[1] * out[2]);
}

double conv_work(const struct kiln_conv *c)
{
    return 2.0 * (double)conv_outputs(c) * (double)conv_products(c);
}

/* ---- numbers ---- */

uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

/* In (0, 1], so that its logarithm is finite. */
static double uniform(uint64_t *state) { return (double)((random_next(state) >> 11) + 1) * 0x1p-53; }

/* Box and Muller: two uniform numbers make two normal ones. */
void fill_normal(float *x, size_t count, uint64_t seed)
{
    for (size_t i = 0; i < count; i += 2) {
        double radius = sqrt(-2 * log(uniform(&seed))), angle = 2 * M_PI * uniform(&seed);
        x[i] = (float)(radius * cos(angle));
        if (i + 1 < count) x[i + 1] = (float)(radius * sin(angle));
    }
}

void fill_integers(float *x, size_t count, int limit, uint64_t seed)
{
    uint64_t values = 2 * (uint64_t)limit + 1;
    for (size_t i = 0; i < count; i++) x[i] = (float)((int)(random_next(&seed) % values) - limit);
}

/* ---- what can be exact ---- */

/* The most that one post-op on integers makes of a sum within `most`, given operands within 2. */
static double post_most(const struct kiln_post *post, double most)
{
    switch (post->kind) {
    case KILN_POST_BIAS:
    case KILN_POST_ADD: return most + 2;
    case KILN_POST_SCALE:
    case KILN_POST_PRELU: return most * 2;
    case KILN_POST_LEAKY: return most * fmax(1, fabs((double)post->a));
    case KILN_POST_CLIP: return fmax(most, fmax(fabs((double)post->a), fabs((double)post->b)));
    default: return most;
    }
}

/* The largest value on the way to an output if src and weights stay within `limit`. */
static double conv_most(const struct kiln_conv *c, int limit)
{
    double most = (double)limit * limit * (double)conv_products(c);
    for (int i = 0; i < c->post_count; i++) most = post_most(&c->post[i], most);
    return most;
}

/* Whether a post-op makes integers of integers, or, as the last one, rounds at most once. */
static bool post_exact(const struct kiln_post *post, bool last)
{
    switch (post->kind) {
    case KILN_POST_BIAS:
    case KILN_POST_SCALE:
    case KILN_POST_ADD:
    case KILN_POST_RELU:
    case KILN_POST_PRELU: return true;
    case KILN_POST_LEAKY:
    case KILN_POST_CLIP: return last || (truncf(post->a) == post->a && truncf(post->b) == post->b);
    default: return false;
    }
}

bool fill_exact(const struct kiln_conv *c)
{
    for (int i = 0; i < c->post_count; i++)
        if (!post_exact(&c->post[i], i == c->post_count - 1)) return false;
    return conv_most(c, 1) <= EXACT_MAX;
}

/* Values up to 8 tell every tap apart well enough; longer sums need smaller ones. */
static int integer_limit(const struct kiln_conv *c)
{
    int limit = 8;
    while (limit > 1 && conv_most(c, limit) > EXACT_MAX) limit--;
    return limit;
}

/* ---- tensors ---- */

void *fill_try(size_t bytes, struct kiln_error *error)
{
    size_t whole = (bytes + DATA_ALIGN - 1) / DATA_ALIGN * DATA_ALIGN;
    void *memory = aligned_alloc(DATA_ALIGN, whole ? whole : DATA_ALIGN);
    if (memory) return memory;
    error->status = KILN_STATUS_MEMORY;
    snprintf(error->text, sizeof error->text, "no memory for %zu bytes of data", bytes);
    return NULL;
}

void *fill_memory(size_t bytes)
{
    struct kiln_error error;
    void *memory = fill_try(bytes, &error);
    if (!memory) exit(complain("%s", error.text));
    return memory;
}

static bool has(const struct kiln_conv *c, enum kiln_post_kind kind)
{
    for (int i = 0; i < c->post_count; i++)
        if (c->post[i].kind == kind) return true;
    return false;
}

/* A tensor that a conv may have: `count` numbers, where integers within `limit`; none if count is 0. */
struct wanted {
    const void **at; /* where its address goes, or NULL */
    size_t count;
    int limit;
};

/* Has the memory of all before any is filled: where there is too little, that is known at once. */
static bool tensors_have(struct data *data, const struct wanted *wanted, size_t count,
                         struct kiln_error *error)
{
    for (const struct wanted *w = wanted; w < wanted + count; w++) {
        if (!w->count) continue;
        float *x = fill_try(w->count * sizeof *x, error);
        if (!x) return data_free(data), false;
        data->owned[data->tensors++] = x;
        if (w->at) *w->at = x;
    }
    return true;
}

static void tensors_fill(struct data *data, const struct wanted *wanted, size_t count, enum fill fill)
{
    int index = 0;
    for (const struct wanted *w = wanted; w < wanted + count; w++) {
        if (!w->count) continue;
        float *x = data->owned[index++];
        uint64_t seed = (uint64_t)index << 32; /* another sequence for every tensor */
        if (fill == FILL_INTEGERS)
            fill_integers(x, w->count, w->limit, seed);
        else
            fill_normal(x, w->count, seed);
    }
}

bool data_make(struct data *data, const struct kiln_conv *c, enum fill fill, struct kiln_error *error)
{
    *data = (struct data){.src_count = (size_t)(c->n * c->ic * c->id * c->ih * c->iw),
                          .weights_count = (size_t)c->oc * (size_t)conv_products(c),
                          .dst_count = conv_outputs(c)};
    if (c->src != KILN_TYPE_F32 || c->weights != KILN_TYPE_F32 || c->dst != KILN_TYPE_F32) {
        error->status = KILN_STATUS_UNSUPPORTED;
        snprintf(error->text, sizeof error->text, "only f32 data can be made so far");
        return false;
    }
    size_t oc = (size_t)c->oc;
    int limit = integer_limit(c);
    const struct wanted wanted[] = {
        {&data->args.src, data->src_count, limit},
        {NULL, data->weights_count, limit},
        {&data->args.bias, has(c, KILN_POST_BIAS) ? oc : 0, 2},
        {&data->args.scale, has(c, KILN_POST_SCALE) ? oc : 0, 2},
        {&data->args.prelu, has(c, KILN_POST_PRELU) ? oc : 0, 2},
        {&data->args.add, has(c, KILN_POST_ADD) ? data->dst_count : 0, 2},
        {NULL, data->dst_count},
    };
    enum { WANTED = sizeof wanted / sizeof *wanted };
    if (!tensors_have(data, wanted, WANTED, error)) return false;
    tensors_fill(data, wanted, WANTED - 1, fill);
    data->weights = data->owned[1];
    data->args.dst = data->dst = data->owned[data->tensors - 1];
    for (size_t i = 0; i < data->dst_count; i++) data->dst[i] = NAN;
    return true;
}

void data_free(struct data *data)
{
    for (int i = 0; i < data->tensors; i++) free(data->owned[i]);
    *data = (struct data){0};
}

enum kiln_status data_run(struct data *data, const struct kiln_plan *plan, struct kiln_error *error)
{
    void *packed = fill_try(kiln_plan_packed_size(plan), error);
    if (!packed) return error->status;
    struct kiln_args args = data->args;
    args.weights = packed;
    enum kiln_status status = kiln_pack(plan, data->weights, packed, error);
    if (status == KILN_STATUS_OK) status = kiln_run(plan, &args, error);
    free(packed);
    return status;
}
