/* common: what several peers need: a refusal in a sentence, the post-ops that they fuse, and the other
 * layout. Linked into each peer that uses it. */
#ifndef KILN_BENCH_COMMON_H
#define KILN_BENCH_COMMON_H

#include "peer.h"

/* Fills *error, which may be NULL, and returns UNSUPPORTED. */
__attribute__((format(printf, 2, 3))) enum kiln_status refuse(struct kiln_error *error, const char *format,
                                                              ...);

/* The post-ops of most networks: bias, then a tensor added, then a clamp. Each may be missing; without a
 * clamp the bounds are infinite. */
struct chain {
    bool bias, add;
    float low, high;
};

/* False: the conv's post-ops are others. */
bool chain_of(const struct kiln_conv *conv, struct chain *chain);

/* OK for an f32 conv in at most two dimensions, padded with zeros, with post-ops that are a chain; else
 * refused. */
enum kiln_status plain_conv(const struct kiln_conv *conv, struct chain *chain, struct kiln_error *error);

/* Copies n images between the layouts: x[n][channels][pixels] to y[n][pixels][channels], and with the two
 * numbers exchanged back again. */
void channels_move(const float *x, float *y, int64_t n, int64_t channels, int64_t pixels);

/* Copies w[oc][icg][pixels] as w[oc][pixels][icg]: what peers that read channels last want. NULL: no
 * memory. */
float *weights_last(const struct kiln_conv *conv, const float *weights);

/* 64-byte aligned, with 64 bytes behind it that may be read; freed with free. */
float *floats_make(int64_t count);

#endif
