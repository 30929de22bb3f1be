/* geometry: a convolution as its emitters see it: axes, element strides, and the split of an output
 * axis into tiles with what is known of the taps of each. */
#ifndef KILN_GENERATOR_GEOMETRY_H
#define KILN_GENERATOR_GEOMETRY_H

#include "kiln.h"

/* Output o reads input o * stride - pad + k * dilation for every tap k < kernel. */
struct span {
    int64_t in, out, kernel, stride, dilation, pad;
};

/* Elements from one image, channel, row or column to the next. */
struct steps {
    int64_t n, c, h, w;
};

struct geometry {
    int64_t n, g, ic, oc; /* batch; groups; channels of one group */
    struct span h, w;
    struct steps x, y; /* of src and dst */
    bool gathered;     /* x is not src, but the pixels of it that strides leave, in scratch */
};

/* x >= 0, y > 0; no sum overflows. */
static inline int64_t ceil_div(int64_t x, int64_t y) { return x / y + (x % y != 0); }

struct geometry geometry_of(const struct kiln_conv *c);

/* 1x1, stride 1, unpadded: every pixel alone. Rows, and in NHWC images too, then follow each other as
 * one long row. */
bool geometry_flattens(const struct kiln_conv *c);
struct geometry geometry_flat(const struct kiln_conv *c);

/* 1x1, unpadded, in NHWC, with strides: the pixels that these leave are copied to scratch first, from all
 * images, and are then one long row. They lie a line more than their channels apart: where that is a power
 * of two, they would share a few sets of the caches. */
bool geometry_gathers(const struct kiln_conv *c);
struct geometry geometry_gathered(const struct kiln_conv *c);

/* How tiles whose taps reach outside the axis are treated. */
enum edge {
    EDGE_STATIC, /* a variant of the code for each pattern of taps inside */
    EDGE_ZERO,   /* one code: what falls outside reads zeros through a chosen pointer */
    EDGE_BOUNDS, /* border outputs one by one, with the taps' bounds computed at run time */
};

/* A run of equal tiles: outputs first + t * n + i, for t in [0, count), i in [0, n). */
struct seg {
    int64_t first, count;
    int n;
    bool same;   /* the same taps of the same outputs are inside in each of the tiles */
    bool bounds; /* n is 1, and its taps need bounds computed at run time */
};

/* Static variants of one axis at most: more would be too much code in any case. */
enum { MAX_SEGS = 32 };

/* Balanced split of the axis into tiles of at most `tile` units of `unit` outputs; only the last may
 * be cut short. Returns the number of segments, or 0 if there would be more than MAX_SEGS. */
int axis_split(const struct span *a, int tile, int unit, enum edge edge, struct seg segs[MAX_SEGS]);

enum where { WHERE_INSIDE, WHERE_OUTSIDE, WHERE_MAYBE };

/* Where taps [lo, hi) of output i of the segment's tiles fall. */
enum where axis_where(const struct span *a, const struct seg *s, int i, int64_t lo, int64_t hi);

/* The taps of output i that are inside for all of the segment's tiles; or for any of them, as far as is known
 * without looking at each. */
struct tap_range {
    int64_t lo, hi;
};
struct tap_range axis_taps(const struct span *a, const struct seg *s, int i, bool for_all);

/* The share of all taps of all outputs that are inside; of many taps, estimated from some. */
double axis_share(const struct span *a);

/* Whether every tap of every output is inside. */
bool axis_inside(const struct span *a);

/* Tiles of all segments. */
int64_t segs_tiles(const struct seg *segs, int n);

/* Tiles of a row that make one task, where else there would be `tasks` of whole rows of tiles; 0: all.
 * For 64 threads, as far as there are tiles for that. */
int64_t chunk_of(int64_t tasks, int64_t tiles);

#endif
