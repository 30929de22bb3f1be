/* plan: one convolution, one machine, one algorithm and its schedule, as plain data and one line of
 * text. plan_check holds everything an emitter assumes; below it there are only assertions. */
#ifndef KILN_GENERATOR_PLAN_H
#define KILN_GENERATOR_PLAN_H

#include "cpu.h"
#include "geometry.h"

/* The outermost loop of a tile's reduction that is unrolled; all loops within it are too. */
enum unroll {
    UNROLL_IC,  /* steps of input channels only */
    UNROLL_KW,  /* taps of a row, and steps within each */
    UNROLL_KH,  /* all taps; rows have static variants */
    UNROLL_ALL, /* everything: no loops */
};

/* What the lanes of a vector are. */
enum by {
    BY_OC, /* output channels */
    BY_PX, /* pixels of a row */
    BY_IC, /* input channels */
};

/* Terms that one f32 accumulator may sum up: of N(0,1) data the error then stays below 2e-5 of the
 * results' RMS, as the default accuracy promises (1.4e-5 was measured at 4608 terms, 2.2e-5 at 9216). */
enum { LONG_SUM = 6144 };

/* What is asked for ahead of its use, beside what the hardware sees coming. */
enum prefetch {
    PREFETCH_NONE,
    PREFETCH_ROWS, /* the rows of src that the next tile below adds, and a tile's lines of dst */
};

struct algo;

struct plan {
    struct kiln_conv conv;
    struct cpu cpu;
    const struct algo *algo;
    int64_t by;     /* enum by */
    int64_t vec;    /* f32 lanes of a vector */
    int64_t ow, oh; /* register tile: columns (by pixels: vectors of them) and rows */
    int64_t oc;     /* register tile: vectors of output channels; by=px, by=ic and planes: output channels */
    int64_t ic;     /* input channels of one packed panel */
    int64_t step;   /* input channels unrolled into one body */
    int64_t unroll; /* enum unroll */
    int64_t edge;   /* enum edge, of columns */
    int64_t chunk;  /* column tiles in one task; 0: all */
    int64_t m;      /* winograd: outputs of a tile along each axis */
    int64_t block;  /* winograd: tiles transformed and multiplied together */
    int64_t prefetch; /* enum prefetch */
};

/* A schedule's knobs, as one table drives parsing, printing, checking and help. */
struct knob {
    const char *key;
    size_t offset; /* of an int64_t in struct plan */
    int64_t lo, hi, unset;
    const char *const *words; /* if not NULL, value i is words[i] */
    const char *help;
};
extern const struct knob plan_knobs[];
extern const int plan_knob_count;

/* Reads "direct vec=16 ow=14 ..." into a plan whose conv and cpu are set; omitted knobs get their unset
 * values, which plan_check may refuse. INVALID: what is wrong in the text; or as plan_check. */
enum kiln_status plan_parse(struct plan *p, const char *schedule, struct kiln_error *error);

/* The schedule, and the whole plan line "conv ... | schedule | machine". As snprintf. */
size_t plan_print_schedule(const struct plan *p, char *text, size_t room);
size_t plan_print(const struct plan *p, char *text, size_t room);

/* What of a conv no algorithm compiles yet, as a sentence, or NULL. */
const char *plan_unsupported(const struct kiln_conv *c);

/* Why p's algorithm cannot do p's conv on p's machine, as a sentence, or NULL. */
const char *plan_inapplicable(const struct plan *p);

/* OK, then cost is what the plan costs; UNSUPPORTED: plan_unsupported says why; or INVALID with the first
 * broken condition as a sentence. */
struct cost;
enum kiln_status plan_check(const struct plan *p, struct cost *cost, struct kiln_error *error);

/* What a plan makes: sizes in elements. */
struct plan_sizes {
    int64_t packed, scratch, tasks;
};

/* Bytes of scratch that each running thread needs. */
size_t plan_scratch(const struct plan *p);

/* What a tile keeps in vector registers: accumulators, and of each factor so many at once. */
struct register_tile {
    int rows, columns; /* acc[rows][columns] += left * top */
    struct factor {
        const char *name; /* as in the loop nest */
        int held;
    } left, top;
};

/* What the planner believes of a plan. Cycles are of one core, warm. */
struct cost {
    double cycles;                             /* in all */
    double fma, loads, issue, latency, memory; /* what each would take alone, of `cycles` */
    double transform;                          /* transforming data; 0 where sums are made of it as it is */
    double overhead;                           /* loops, edges, prologues and epilogues */
    int64_t fmas;                              /* unrolled in the run function: its code size */
    int64_t tile_fmas, tile_loads;             /* of one inner body */
    int registers;                             /* used by the tile, all told */
    struct register_tile tile;
};

#endif
