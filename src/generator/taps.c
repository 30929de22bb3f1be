#include "taps.h"

void inside_bounds(struct emit *e, int64_t in, int64_t step, value count, value start, value *lo, value *hi)
{
    value before = most(e, k(e, 0), sub(e, k(e, 0), start));
    value room = most(e, k(e, 0), sub(e, k(e, in), start));
    *lo = least(e, count, quo(e, add(e, before, k(e, step - 1)), step));
    *hi = least(e, count, quo(e, add(e, room, k(e, step - 1)), step));
}

void tap_bounds(struct emit *e, const struct span *a, value start, value *lo, value *hi)
{
    inside_bounds(e, a->in, a->dilation, k(e, a->kernel), start, lo, hi);
}
