/* toom: F(m, r), m outputs of an r-tap filter from m + r - 1 products (Toom and Cook, Winograd):
 * y = A^T ((G w) * (B^T x)), from values at the points 0, +-p, ... and infinity. */
#ifndef KILN_GENERATOR_TOOM_H
#define KILN_GENERATOR_TOOM_H

#include "emit.h"

enum { TOOM_ALPHA = 8, TOOM_TAPS = 7 }; /* at most */

struct toom {
    int m, r, alpha;                       /* outputs, taps; products: 1, 4, 6 or 8 */
    double weight[TOOM_ALPHA][TOOM_TAPS];  /* G[alpha][r] */
    double input[TOOM_ALPHA][TOOM_ALPHA];  /* B^T[alpha][alpha] */
    double output[TOOM_ALPHA][TOOM_ALPHA]; /* A^T[m][alpha] */
};

/* F(m, r); F(1, 1) is the identity. False: its number of products has no points here. */
bool toom_of(int m, int r, struct toom *made);

/* A transform is emitted in groups of outputs that share sums, so that few values live at once. Output
 * i of group j is number toom_input_at(t, j, i) of all, and so for output. */
struct toom_group {
    int count;
    int at[TOOM_ALPHA / 2];
};
int toom_input_groups(const struct toom *t);
int toom_output_groups(const struct toom *t);
struct toom_group toom_input_group(const struct toom *t, int group);
struct toom_group toom_output_group(const struct toom *t, int group);

/* Whether a group needs in[i]. */
bool toom_input_reads(const struct toom *t, int group, int i);
bool toom_output_reads(const struct toom *t, int group, int i);

/* Emits one group: out[i] is what toom_..._group's at[i] is. */
void toom_input(struct emit *e, const struct toom *t, int group, const value *in, value *out);
void toom_output(struct emit *e, const struct toom *t, int group, const value *in, value *out);

/* G, as a table in the code; output j of in[r], in f64, by it. */
value toom_weights(struct emit *e, const struct toom *t);
value toom_weight(struct emit *e, const struct toom *t, value weights, value j, const value *in);

/* What the emitted transforms of all groups do. */
struct toom_work {
    int fmas, adds, muls; /* arithmetic on vectors */
    int reads;            /* inputs of all groups */
};
struct toom_work toom_input_work(const struct toom *t);
struct toom_work toom_output_work(const struct toom *t);

#endif
