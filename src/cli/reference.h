/* reference: what a convolution should compute on data made for the purpose, by the oracle, and the
 * comparison with what a kernel did. */
#ifndef KILN_CLI_REFERENCE_H
#define KILN_CLI_REFERENCE_H

#include "fill.h"

struct reference {
    struct data data;
    bool exact;       /* small integers, compared by value; else N(0,1), within `tolerance` */
    size_t count;     /* outputs compared */
    size_t *where;    /* their offsets in dst; NULL: all of them */
    float *want;      /* what the oracle says of them */
    double scale;     /* what errors on N(0,1) data are measured by: the RMS of the output; but of at least
                         that which sums of so many products have, where outputs are few or post-ops
                         make them small */
    double bound;     /* the largest error that the accuracy allows, as a part of scale */
    double tolerance; /* the largest difference allowed: 0 if exact */
};

/* Makes data and asks the oracle: about every output of convs up to 2 GFLOP, or if `full`, else about
 * borders and a random sample. The same on every call. False: said in *error, and the reference is empty. */
bool reference_make(struct reference *reference, const struct kiln_conv *conv, bool exact, bool full,
                    struct kiln_error *error);
void reference_free(struct reference *reference);

struct difference {
    int64_t at[5]; /* n, oc, od, oh, ow */
    float got, want;
};

/* Whether data.dst, set to NaN before the kernel ran, differs from what is wanted, and where first.
 * An output that is still NaN differs even outside the sample. */
bool reference_differs(const struct reference *reference, const struct kiln_conv *conv,
                       struct difference *difference);

/* Errors of data.dst as parts of scale; infinite if any is NaN. */
struct errors {
    double max, mean;
};
struct errors reference_errors(const struct reference *reference);

/* Sets data.dst to NaN. */
void reference_clear(struct reference *reference);

#endif
