/* taps: which positions of an axis are inside it, in emitted code. */
#ifndef KILN_GENERATOR_TAPS_H
#define KILN_GENERATOR_TAPS_H

#include "emit.h"
#include "geometry.h"

/* Of `count` positions, start, start + step, ..., those in [lo, hi) are in [0, in). */
void inside_bounds(struct emit *e, int64_t in, int64_t step, value count, value start, value *lo, value *hi);

/* Taps [lo, hi) of an output whose tap 0 is at `start` are inside the axis. */
void tap_bounds(struct emit *e, const struct span *a, value start, value *lo, value *hi);

#endif
