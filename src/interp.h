/* interp: the oracle. The shortest nest that can be right, with f64 sums; knows only conv. */
#ifndef KILN_SRC_INTERP_H
#define KILN_SRC_INTERP_H

#include "kiln.h"

/* One output element, before post-ops and after them. Coordinates must be in range; c checked; f32. */
double interp_sum(const struct kiln_conv *c, const float *src, const float *weights, int64_t n, int64_t oc,
                  const int64_t at[3]);
float interp_at(const struct kiln_conv *c, const float *weights, const struct kiln_args *args, int64_t n,
                int64_t oc, const int64_t at[3]);

/* The index into a dimension of `extent` elements that position `at` reads under a padding mode, or
 * -1 for a zero. */
int64_t interp_index(enum kiln_mode mode, int64_t at, int64_t extent);

/* Element offsets into src and dst, in c's layout; at is {d, h, w}. */
int64_t interp_src_offset(const struct kiln_conv *c, int64_t n, int64_t ic, const int64_t at[3]);
int64_t interp_dst_offset(const struct kiln_conv *c, int64_t n, int64_t oc, const int64_t at[3]);

/* The element of src, as {d, h, w}, that tap k of output position `at` reads, both {d, h, w} too;
 * false: it reads a zero. */
bool interp_tap(const struct kiln_conv *c, const int64_t at[3], const int64_t k[3], int64_t tap[3]);

/* Applies one post-op to the sum v of output channel oc, whose element of dst is at `offset`. */
double interp_post(const struct kiln_post *post, const struct kiln_args *args, double v, int64_t oc,
                   int64_t offset);

/* All of dst: the body of kiln_interpret; c checked, f32, tensors not NULL. */
void interp(const struct kiln_conv *c, const float *weights, const struct kiln_args *args);

/* The body of kiln_explain_at: one element, at = {n, oc, od, oh, ow}, told term by term. */
void interp_explain(const struct kiln_conv *c, const float *weights, const struct kiln_args *args,
                    const int64_t at[5], kiln_sink *sink, void *user);

#endif
