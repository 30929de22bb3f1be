/* lanewise: what its emission (lanewise_run.c), its model (lanewise_cost.c) and its choice (lanewise.c)
 * share.
 *
 * A vector of src is loaded as it lies in memory, in nhwc, and multiplied lane by lane with several
 * vectors of weights, each of which adds to an accumulator of its own. What belongs to one output is
 * brought together only at the end. What the lanes are, is knob `by`:
 *
 *   oc  channels, of groups with as many inputs as outputs, c of them, which divides a vector. Accumulator
 *       r < c multiplies lane l with its weight for channel l + r of its group, around the group's end: at
 *       the end all are rotated into place and added.
 *   px  pixels of a row, each of all its channels, which are such groups and divide a vector.
 *   ic  input channels: an accumulator for each output, whose lanes are added at the end.
 *
 *   packed[block][kh][chunk][kw][accumulator][lanes], zeros where there is no channel.
 *
 * A block is the outputs that one tile makes of a pixel, or of a vector of pixels. */
#ifndef KILN_GENERATOR_LANEWISE_H
#define KILN_GENERATOR_LANEWISE_H

#include "algo.h"

struct lanewise {
    const struct plan *p;
    struct geometry g;
    int sums;       /* accumulators of one vector of src */
    int pixels;     /* of one vector of src: 1 but with by=px */
    int64_t blocks; /* of all groups */
    int64_t passes; /* what blocks are cut into; a task runs over the blocks of one for each column tile */
    int64_t pass;   /* blocks of a pass; the last may have fewer */
    int out_tail;   /* by=oc: lanes of the last block where that is not full, else 0 */
    int64_t chunks; /* vectors of one pixel's input channels: 1 but with by=ic */
    int in_tail;    /* by=ic: lanes of the last chunk where that is not full, else 0 */
    int64_t floats; /* packed, of one block */
    int n_rows, n_cols; /* segments; n_rows 0: one row at a time, its taps' bounds computed at run time */
    int64_t cuts;       /* tasks of one row of tiles */
    struct seg rows[MAX_SEGS], cols[MAX_SEGS];
};

/* false: the static variants are more than MAX_SEGS. */
bool lanewise_of(const struct plan *p, struct lanewise *made);

int64_t lanewise_row_tasks(const struct lanewise *l);              /* of one image and pass, cuts aside */
int lanewise_width(const struct lanewise *l, const struct seg *c); /* vectors of src for one row of a tile */
int lanewise_registers(const struct plan *p, int64_t vectors, int64_t sums);

/* Lanes of vector i of a tile that at tap kw are inside the row, in every tile of the segment. */
lanes_mask lanewise_inside(const struct lanewise *l, const struct seg *c, int i, int64_t kw);

struct cost lanewise_cost(const struct plan *p);
void lanewise_run(struct emit *e, const struct plan *p);
void lanewise_pack(struct emit *e, const struct plan *p);

#endif
