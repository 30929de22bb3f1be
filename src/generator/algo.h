/* algo: one way of computing a convolution per file, each an exported const struct, and a row in the
 * table of algo.c. Algorithms know nothing of each other. */
#ifndef KILN_GENERATOR_ALGO_H
#define KILN_GENERATOR_ALGO_H

#include "emit.h"
#include "plan.h"
#include "text.h"

/* Receives one candidate. */
typedef void algo_offer(void *user, const struct plan *p);

struct algo {
    const char *name;
    const char *summary; /* for help and explain */
    bool exact;          /* no error on small integers */
    const char *knobs;   /* the keys of its schedule, separated by spaces */

    /* How it sees a conv: geometry_of, or another of geometry.h. */
    struct geometry (*geometry)(const struct kiln_conv *c);

    /* NULL, or why this algorithm cannot do the conv on the machine: a sentence. */
    const char *(*applicable)(const struct kiln_conv *c, const struct cpu *cpu);

    /* NULL, or the first condition that a plan of this algorithm breaks. Ranges of knobs and what
     * concerns every algorithm are plan_check's. */
    const char *(*check)(const struct plan *p);

    /* Offers schedules: copies of *p, which has conv, cpu and algo set. */
    void (*propose)(const struct plan *p, algo_offer *offer, void *user);

    /* Below, the plan has been checked. */
    struct cost (*cost)(const struct plan *p);
    struct plan_sizes (*sizes)(const struct plan *p);
    void (*nest)(const struct plan *p, struct text *t); /* the loop nest, as explain prints it */
    void (*emit_run)(struct emit *e, const struct plan *p);
    void (*emit_pack)(struct emit *e, const struct plan *p);
};

extern const struct algo algo_winograd, algo_pointwise, algo_depthwise, algo_lanewise, algo_planes,
    algo_direct;

/* The table: the first whose estimate is best wins; the last does everything. */
extern const struct algo *const algos[];
extern const int algo_count;

#endif
