/* taps: which positions of an axis are inside it, and vectors of those that are. */
#ifndef KILN_GENERATOR_TAPS_H
#define KILN_GENERATOR_TAPS_H

#include "emit.h"
#include "geometry.h"

/* Of `count` positions, start, start + step, ..., those in [lo, hi) are in [0, in). */
void inside_bounds(struct emit *e, int64_t in, int64_t step, value count, value start, value *lo, value *hi);

/* Taps [lo, hi) of an output whose tap 0 is at `start` are inside the axis. */
void tap_bounds(struct emit *e, const struct span *a, value start, value *lo, value *hi);

/* Of every stride-th element of a row, from offset q of a tile's first pixel at tap 0 on, the first `vec`:
 * whether any is inside the row in every tile of the segment. */
bool pixels_inside(const struct span *a, const struct seg *s, int64_t q, int vec);

/* A vector of those elements; outside it reads 0. NULL: none is inside. */
value load_pixels(struct emit *e, const struct span *a, const struct seg *s, value row, int64_t q);

#endif
