#include "taps.h"

#include <assert.h>

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

/* Of `lanes` elements of a row from offset q on, those inside it in every tile of the segment. */
static lanes_mask elements_inside(const struct span *a, const struct seg *s, int64_t q, int lanes)
{
    int64_t first = s->first * a->stride - a->pad + q, last = first + (s->count - 1) * s->n * a->stride;
    lanes_mask mask = 0;
    for (int i = 0; i < lanes; i++)
        if (first + i >= 0 && last + i < a->in) mask |= (lanes_mask)1 << i;
    return mask;
}

bool pixels_inside(const struct span *a, const struct seg *s, int64_t q, int vec)
{
    for (int i = 0; i < vec; i++)
        if (elements_inside(a, s, q + i * a->stride, 1)) return true;
    return false;
}

/* x, but lane i is lane i * stride of all vectors so far in a row where it lies in y, number j of them. */
static value every(struct emit *e, value x, value y, int j, int64_t stride)
{
    int lanes[MAX_LANES], vec = e->lanes;
    assert(vec <= MAX_LANES);
    for (int i = 0; i < vec; i++) {
        int from = (int)(i * stride), kept = j == 1 ? from : i; /* the first two are as loaded */
        lanes[i] = from / vec < j ? kept : from / vec == j ? vec + from % vec : 0;
    }
    return shuffle(e, x, y, lanes, vec);
}

value load_pixels(struct emit *e, const struct span *a, const struct seg *s, value row, int64_t q)
{
    int vec = e->lanes;
    value x = NULL;
    if (!pixels_inside(a, s, q, vec)) return NULL;
    for (int64_t j = 0; j < a->stride; j++) {
        lanes_mask inside = elements_inside(a, s, q + j * vec, vec), used = 0;
        for (int i = 0; i < vec; i++)
            if ((j * vec + i) % a->stride == 0) used |= (lanes_mask)1 << i;
        if (inside != first_lanes(vec)) inside &= used;
        value y = load_lanes(e, plus(e, row, q + j * vec), inside);
        x = j ? every(e, x, y, (int)j, a->stride) : y;
    }
    return x;
}
