/* depthwise: what its emission (depthwise_run.c) and its choice (depthwise.c) share. */
#ifndef KILN_GENERATOR_DEPTHWISE_H
#define KILN_GENERATOR_DEPTHWISE_H

#include "emit.h"
#include "plan.h"

/* What a plan means. by=oc: vectors of channels, packed[channel vector][kh][kw][lanes], the last filled
 * up with zeros. by=px: vectors of pixels of one plane, packed[oc][kh][kw]. */
struct depthwise {
    const struct plan *p;
    struct geometry g;
    int64_t multiplier; /* output channels of one input channel */
    int64_t vecs;       /* by=oc: whole vectors of output channels */
    int tail;           /* and channels of the last, partial one, or 0 */
    int n_rows, n_cols; /* segments; n_rows 0: one row at a time, its taps' bounds computed at run time.
                         * With edge=bounds some taps may be inside for some tiles of a segment of rows */
    struct seg rows[MAX_SEGS], cols[MAX_SEGS];
};

/* false: the static variants are more than MAX_SEGS. */
bool depthwise_of(const struct plan *p, struct depthwise *made);
int64_t depthwise_row_tasks(const struct depthwise *d); /* rows of tiles of one image */
int64_t depthwise_tasks(const struct depthwise *d,
                        bool tail); /* of the whole vectors, or planes; or of the tail */

/* Whether `taps` taps stay in registers beside the accumulators of a tile. */
bool depthwise_holds(const struct depthwise *d, int64_t accumulators, int64_t taps);

/* Whether tap kh of row i of the segment's tiles is inside for any of them. */
bool depthwise_feeds(const struct depthwise *d, const struct seg *r, int i, int64_t kh);

void depthwise_run(struct emit *e, const struct plan *p);
void depthwise_pack(struct emit *e, const struct plan *p);

#endif
