#include "taps.h"

void tap_bounds(struct emit *e, const struct span *a, value start, value *lo, value *hi)
{
    value before = most(e, k(e, 0), sub(e, k(e, 0), start)),
          room = most(e, k(e, 0), sub(e, k(e, a->in), start));
    *lo = least(e, k(e, a->kernel), quo(e, add(e, before, k(e, a->dilation - 1)), a->dilation));
    *hi = least(e, k(e, a->kernel), quo(e, add(e, room, k(e, a->dilation - 1)), a->dilation));
}
