/* winograd: what its choice (winograd.c), its model (winograd_cost.c) and its emission (winograd_run.c)
 * share.
 *
 * A tile is m x m outputs (m along an axis whose kernel is 1 is 1) and the alpha x alpha inputs under
 * them; dilated outputs make tiles of every dilation-th. Tiles follow each other along rows, rows down
 * images; `block` of them are worked on together, all in scratch:
 *
 *   transform   v[product][vector of ic][tile][lanes]    from a strip of the block's rows, padded with zeros
 *   multiply    sums[product][tile][vectors * lanes]     v times u, for one block of output channels
 *   transform   dst                                      with the post-ops
 *
 *   packed u[g][oc block][product][ic][vectors * lanes] */
#ifndef KILN_GENERATOR_WINOGRAD_H
#define KILN_GENERATOR_WINOGRAD_H

#include "algo.h"
#include "toom.h"

/* Tiles along one axis: `phases` (as the dilation) interleaved runs of `tiles`. */
struct winograd_axis {
    struct toom f;
    struct span span;
    int64_t phases, tiles;
    bool whole; /* every output of every tile exists */
};

/* The oc blocks of one width. */
struct winograd_blocks {
    int64_t count, first;   /* in one group; output channel, within it, of the first */
    int vecs, last;         /* vectors; lanes of the last */
    int64_t floats, packed; /* packed, of one block; in front of the first of this width */
    int n_tiles;
    struct seg tiles[MAX_SEGS]; /* of a block, in register tiles */
};

struct winograd {
    const struct plan *p;
    struct geometry g;
    struct winograd_axis h, w;
    int products;
    int64_t per_row, rows, total; /* tiles of a row; rows of tiles, of all images; tiles */
    int64_t block, blocks;        /* tiles of a block; blocks of one group */
    int64_t ic_vecs, oc_blocks;   /* of one group */
    int64_t sum;                  /* channels of one sum */
    int64_t strip, columns;       /* tiles staged at a time, and pixels of a row of them */
    int n_widths;                 /* 1 or 2: full and tail */
    struct winograd_blocks widths[2];
    /* floats from one product to the next, and where in scratch each array begins */
    int64_t v_step, sums_step, v, sums, stage, outputs, trash, scratch;
};

/* What a plan means; false: m does not fit the kernel. */
bool winograd_of(const struct plan *p, struct winograd *made);

/* Channels that one sum may run over: longer ones are made of several. Rounding grows with the root of
 * their number, and the transform back adds up that of all products. Behind a ReLU, which halves the mean
 * square of outputs but not their largest error, sums of 192 channels in F(4,3) of both axes were wrong by
 * 2.3e-5 of the RMS, of 96 by 1.4e-5; F(2,3) by 4e-6 at 512. */
int64_t winograd_sum_most(const struct winograd *w);

void winograd_propose(const struct plan *p, algo_offer *offer, void *user);
struct cost winograd_cost(const struct plan *p);
void winograd_run(struct emit *e, const struct plan *p);
void winograd_pack(struct emit *e, const struct plan *p);

#endif
