/* tensors: the data of one convolution and what the oracle makes of it; and runs of a kernel on it,
 * between guard pages, compared. Knows nothing of plans, so that it also serves where there is no LLVM. */
#ifndef KILN_TESTS_TENSORS_H
#define KILN_TESTS_TENSORS_H

#include "load.h"
#include "text.h"

/* ---- numbers that are the same everywhere ---- */

struct random {
    uint64_t state;
};
struct random random_from(const char *text); /* seeded by a text */
uint64_t random_next(struct random *r);
int64_t random_in(struct random *r, int64_t lo, int64_t hi); /* both included */

/* ---- tensors ---- */

enum data {
    DATA_INTEGERS, /* small: any exact algorithm makes no error */
    DATA_NORMAL,   /* N(0,1), for the others */
    DATA_SPECIALS, /* small integers, and here and there an infinity, a NaN and many zeros */
    DATA_KINDS,
};

/* Whether the post-ops make no error on integers. */
bool post_exact(const struct kiln_conv *conv);

/* The data on which a kernel is compared: integers, by value, if its algorithm and its post-ops are exact on
 * them. */
static inline enum data data_for(bool exact, const struct kiln_conv *conv)
{
    return exact && post_exact(conv) ? DATA_INTEGERS : DATA_NORMAL;
}

/* Plain memory; what a convolution does not need is NULL. */
struct tensors {
    struct kiln_conv conv;
    enum data data;
    int64_t src_count, weights_count, dst_count;
    float *src, *weights, *bias, *add;
    float *want; /* by the oracle */
};

/* Aborts if there is no memory. */
struct tensors tensors_make(const struct kiln_conv *conv, enum data data);
void tensors_free(struct tensors *t);

/* The largest error that the conv's accuracy allows on DATA_NORMAL: a part of the outputs' RMS. Where those
 * are few, or post-ops make them small, chance decides their RMS: then of at least that which sums of so many
 * products of N(0,1) data have, taps outside of src not counted. */
double tensors_bound(const struct tensors *t);

/* Whether got[dst_count] is what is wanted: exactly, or within tensors_bound for DATA_NORMAL. If not, puts
 * the first difference. */
bool tensors_equal(const struct tensors *t, const float *got, struct text *why);

/* ---- runs ---- */

/* Runs the kernel on the tensors: packs, then computes all tasks, with unreadable pages behind all
 * tensors, again in three pieces out of order with the pages before them, and if there is +add also in
 * place. Inputs are read-only, outputs and scratch poisoned. False: *why says what went wrong. */
bool kernel_try(const struct kernel *kernel, const struct tensors *t, struct text *why);

#endif
