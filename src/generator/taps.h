/* taps: the bounds of a loop over the taps of one axis, in emitted code. */
#ifndef KILN_GENERATOR_TAPS_H
#define KILN_GENERATOR_TAPS_H

#include "emit.h"
#include "geometry.h"

/* Taps [lo, hi) of an output whose tap 0 is at `start` are inside the axis. */
void tap_bounds(struct emit *e, const struct span *a, value start, value *lo, value *hi);

#endif
