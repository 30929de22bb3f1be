/* planes: what its choice (planes.c) and its emission (planes_run.c) share.
 *
 * A tile is some output channels times vectors of pixels along a row of their planes. Each vector of src
 * meets one broadcast weight of every output channel, so that nothing is ever transposed.
 *
 *   packed[g][oc block][kh][ic][kw][oc of the block] */
#ifndef KILN_GENERATOR_PLANES_H
#define KILN_GENERATOR_PLANES_H

#include "algo.h"

/* The blocks of as many output channels each. */
struct planes_blocks {
    int64_t count, first;   /* in one group; output channel, within it, of the first */
    int channels;           /* of a block */
    int64_t floats, packed; /* packed, of one block; in front of the first of them */
    int64_t tasks;          /* of all groups and images */
};

struct planes {
    const struct plan *p;
    struct geometry g;
    int n_blocks; /* 1 or 2: full and tail */
    struct planes_blocks blocks[2];
    int n_cols; /* segments of columns */
    struct seg cols[MAX_SEGS];
    int64_t chunks; /* tasks of one row */
};

/* What a plan means; false: its static variants are more than MAX_SEGS. */
bool planes_of(const struct plan *p, struct planes *made);

void planes_run(struct emit *e, const struct plan *p);
void planes_pack(struct emit *e, const struct plan *p);

#endif
