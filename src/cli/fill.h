/* fill: tensors for one convolution, filled with data that are the same on every run. */
#ifndef KILN_CLI_FILL_H
#define KILN_CLI_FILL_H

#include "kiln.h"

enum fill {
    FILL_NORMAL,   /* N(0,1) */
    FILL_INTEGERS, /* integers so small that every partial sum stays within 2^24, and so exact in f32 */
};

/* The tensors of one f32 convolution, each aligned to 64 bytes. */
struct data {
    struct kiln_args args; /* weights is NULL: whoever packs sets it; operands that the conv lacks are NULL */
    float *weights;        /* raw, w[oc][icg][kd][kh][kw] */
    float *dst;            /* the same as args.dst, filled with NaN */
    size_t src_count, weights_count, dst_count;
    float *owned[8]; /* all of them, in order */
    int tensors;
};

/* Allocates and fills. False: no memory, or types other than f32, said in *error; data is empty. */
bool data_make(struct data *data, const struct kiln_conv *conv, enum fill fill, struct kiln_error *error);
void data_free(struct data *data);

/* Packs the weights and runs the plan. */
enum kiln_status data_run(struct data *data, const struct kiln_plan *plan, struct kiln_error *error);

/* Whether the conv's sums and post-ops can be exact on FILL_INTEGERS data: short enough a reduction,
 * and no post-op that leaves the integers before the last. */
bool fill_exact(const struct kiln_conv *conv);

/* 64-byte aligned memory, to be freed with free. NULL: there is none, said in *error. */
void *fill_try(size_t bytes, struct kiln_error *error);
/* The same for what must be had; exits with 2 and a sentence if there is none. */
void *fill_memory(size_t bytes);

void fill_normal(float *x, size_t count, uint64_t seed);
void fill_integers(float *x, size_t count, int limit, uint64_t seed); /* in [-limit, limit] */

/* A tiny generator (splitmix64): the next 64 bits of a sequence. */
uint64_t random_next(uint64_t *state);

/* FLOPs and counts, from the public header alone. */
int64_t conv_products(const struct kiln_conv *conv); /* products in one output: icg * kd * kh * kw */
size_t conv_outputs(const struct kiln_conv *conv);   /* elements of dst */
double conv_work(const struct kiln_conv *conv);      /* 2 per product, padding counted */

#endif
