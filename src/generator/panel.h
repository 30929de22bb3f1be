/* panel: a register tile of pixels x vectors of output channels, fed by a broadcast of each input
 * pixel and by weights packed in panels of just these vectors. What direct and pointwise run on.
 *
 *   packed[g][oc block][ic panel][kh][kw][ic][vectors * lanes], then zeros: a vector of them, or as many
 *   as one body reads channels of a pixel that lies outside.
 *
 * A tail block of fewer output channels has a tile of its own, of fewer vectors and more pixels. */
#ifndef KILN_GENERATOR_PANEL_H
#define KILN_GENERATOR_PANEL_H

#include "algo.h"

/* The oc blocks of one width, and how they run over the columns. */
struct blocks {
    int64_t count;  /* in one group */
    int64_t first;  /* output channel, within the group, of the first of them */
    int vecs;       /* vectors of a block */
    int last;       /* lanes of its last vector */
    int ow;         /* its tile's columns */
    int n_cols;     /* segments of columns */
    int64_t chunks; /* tasks of one row of tiles */
    int64_t tasks;  /* of all groups and images */
    int64_t floats; /* packed, of one block */
    int64_t packed; /* floats in front of the first block of this width */
    struct seg cols[MAX_SEGS];
};

struct panel {
    const struct plan *p;
    struct geometry g;
    int n_blocks; /* 1 or 2: full and tail */
    struct blocks blocks[2];
    int n_rows; /* segments of rows; 0: one row at a time, its taps' bounds computed at run time */
    struct seg rows[MAX_SEGS];
};

/* What a plan means; false: its static variants are more than MAX_SEGS. */
bool panel_of(const struct plan *p, struct panel *made);

/* Whether a sum is longer than LONG_SUM, and there are panels to sum up one by one. */
bool panel_splits_sums(const struct plan *p, const struct geometry *g);

/* The most columns of a tile of p->oh rows and `vecs` vectors that LLVM keeps in registers: of 16 it
 * wants one to spare. 0: none. */
int64_t panel_columns(const struct plan *p, int64_t vecs);

/* Registers of a tile: accumulators, the vectors of weights, the broadcast; without fused multiply-add
 * hardware also the product. */
int panel_registers(const struct plan *p, int64_t pixels, int64_t vecs);

/* The tasks of one block's image, chunks aside: its rows, or 1 where rows are static. */
int64_t panel_row_tasks(const struct panel *l);

/* These are an algorithm's functions (algo.h). */
const char *panel_check(const struct plan *p);
void panel_propose(const struct plan *p, algo_offer *offer, void *user);
struct cost panel_cost(const struct plan *p);
struct plan_sizes panel_sizes(const struct plan *p);
void panel_nest(const struct plan *p, struct text *t);
void panel_run(struct emit *e, const struct plan *p);
void panel_pack(struct emit *e, const struct plan *p);

#endif
