#include "geometry.h"

#include "conv.h"

#include <string.h>

/* Edge tiles looked at one by one before a static split is given up. */
enum { MAX_EDGE_TILES = 256 };

/* Steps that are never taken may be of any size: they become 1, so that no product overflows. */
static void span_reduce(struct span *a)
{
    if (a->kernel == 1) a->dilation = 1;
    if (a->out == 1) a->stride = 1;
}

struct geometry geometry_of(const struct kiln_conv *c)
{
    int64_t oh = conv_oh(c), ow = conv_ow(c);
    struct geometry g = {
        .n = c->n,
        .g = c->g,
        .ic = c->ic / c->g,
        .oc = c->oc / c->g,
        .h = {c->ih, oh, c->kh, c->sh, c->dh, c->pt},
        .w = {c->iw, ow, c->kw, c->sw, c->dw, c->pl},
    };
    span_reduce(&g.h), span_reduce(&g.w);
    if (c->layout == KILN_LAYOUT_NHWC) {
        g.x = (struct steps){c->ih * c->iw * c->ic, 1, c->iw * c->ic, c->ic};
        g.y = (struct steps){oh * ow * c->oc, 1, ow * c->oc, c->oc};
    } else {
        g.x = (struct steps){c->ic * c->ih * c->iw, c->ih * c->iw, c->iw, 1};
        g.y = (struct steps){c->oc * oh * ow, oh * ow, ow, 1};
    }
    return g;
}

static bool pixels_alone(const struct kiln_conv *c)
{
    return c->kh == 1 && c->kw == 1 && !c->pt && !c->pb && !c->pl && !c->pr;
}

bool geometry_flattens(const struct kiln_conv *c) { return pixels_alone(c) && c->sh == 1 && c->sw == 1; }

struct geometry geometry_flat(const struct kiln_conv *c)
{
    struct geometry g = geometry_of(c);
    int64_t pixels = g.h.out * g.w.out;
    if (c->layout == KILN_LAYOUT_NHWC) pixels *= g.n, g.n = 1;
    g.h.in = g.h.out = 1;
    g.w.in = g.w.out = pixels;
    return g;
}

bool geometry_gathers(const struct kiln_conv *c)
{
    return pixels_alone(c) && !geometry_flattens(c) && c->layout == KILN_LAYOUT_NHWC;
}

struct geometry geometry_gathered(const struct kiln_conv *c)
{
    enum { LINE = 16 };
    struct geometry g = geometry_flat(c);
    g.h.stride = g.w.stride = 1;
    g.x.w = ceil_div(c->ic, LINE) * LINE + LINE;
    g.gathered = true;
    return g;
}

/* ---- tiles ---- */

static int64_t position(const struct span *a, int64_t o, int64_t k)
{
    return o * a->stride - a->pad + k * a->dilation;
}
static bool in_axis(const struct span *a, int64_t at) { return at >= 0 && at < a->in; }

/* Outputs [lo, hi) have all their taps inside; the range may be empty. */
static void interior(const struct span *a, int64_t *lo, int64_t *hi)
{
    int64_t first = ceil_div(a->pad, a->stride);
    int64_t last = a->in - 1 + a->pad - (a->kernel - 1) * a->dilation; /* the last position of a first tap */
    int64_t end = last < 0 ? 0 : last / a->stride + 1;
    *lo = first < a->out ? first : a->out;
    *hi = end < a->out ? end : a->out;
}

/* The first output whose tap k is at or behind `at`, within [0, out]. */
static int64_t first_output(const struct span *a, int64_t k, int64_t at)
{
    int64_t distance = at + a->pad - k * a->dilation;
    int64_t o = distance <= 0 ? 0 : ceil_div(distance, a->stride);
    return o < a->out ? o : a->out;
}

double axis_share(const struct span *a)
{
    enum { LOOKED_AT = 64 };
    int64_t step = (a->kernel + LOOKED_AT - 1) / LOOKED_AT, taps = 0;
    double inside = 0;
    for (int64_t k = 0; k < a->kernel; k += step, taps++)
        inside += (double)(first_output(a, k, a->in) - first_output(a, k, 0));
    return inside / (double)taps / (double)a->out;
}

bool axis_inside(const struct span *a)
{
    int64_t lo, hi;
    interior(a, &lo, &hi);
    return lo == 0 && hi == a->out;
}

static bool same_taps(const struct span *a, int64_t o, int64_t q, int n)
{
    for (int i = 0; i < n; i++)
        for (int64_t k = 0; k < a->kernel; k++)
            if (in_axis(a, position(a, o + i, k)) != in_axis(a, position(a, q + i, k))) return false;
    return true;
}

/* Appends `count` tiles of n outputs, merged into the last segment if that is alike. */
static bool append(const struct span *a, enum edge edge, struct seg *segs, int *made, struct seg s)
{
    struct seg *last = *made ? &segs[*made - 1] : NULL;
    bool alike = last && last->n == s.n && last->bounds == s.bounds;
    if (alike && edge == EDGE_STATIC) alike = same_taps(a, last->first, s.first, s.n);
    if (alike) {
        last->count += s.count;
        return true;
    }
    if (*made == MAX_SEGS) return false;
    segs[(*made)++] = s;
    return true;
}

/* Splits outputs [from, to) into equal tiles that differ by at most one unit. */
static bool split_range(const struct span *a, int64_t from, int64_t to, int tile, int unit, enum edge edge,
                        struct seg *segs, int *made)
{
    int64_t units = (to - from + unit - 1) / unit, tiles = (units + tile - 1) / tile, lo, hi, looked = 0;
    if (!tiles) return true;
    int64_t base = units / tiles, extra = units % tiles, o = from;
    interior(a, &lo, &hi);
    for (int64_t t = 0, run; t < tiles; t += run) {
        int64_t n = (base + (t < extra)) * unit, left = t < extra ? extra - t : tiles - t;
        run = 1;
        if (o + n > to)
            n = to - o; /* the last, cut short */
        else if (edge != EDGE_STATIC)
            run = left;
        else if (o >= lo && o + n <= hi)
            run = (hi - o) / n < left ? (hi - o) / n : left;
        else if (++looked > MAX_EDGE_TILES)
            return false;
        if (run > 1 && o + run * n > to) run--; /* leave the short one to its own turn */
        struct seg s = {.first = o, .count = run, .n = (int)n, .same = edge == EDGE_STATIC};
        if (!append(a, edge, segs, made, s)) return false;
        o += run * n;
    }
    return true;
}

static bool border(const struct span *a, int64_t from, int64_t to, struct seg *segs, int *made)
{
    struct seg s = {.first = from, .count = to - from, .n = 1, .bounds = true};
    return from >= to || append(a, EDGE_BOUNDS, segs, made, s);
}

int axis_split(const struct span *a, int tile, int unit, enum edge edge, struct seg segs[MAX_SEGS])
{
    int made = 0;
    if (edge != EDGE_BOUNDS) return split_range(a, 0, a->out, tile, unit, edge, segs, &made) ? made : 0;
    int64_t lo, hi;
    interior(a, &lo, &hi);
    if (lo >= hi) return border(a, 0, a->out, segs, &made) ? made : 0;
    bool fits = border(a, 0, lo, segs, &made) && split_range(a, lo, hi, tile, unit, edge, segs, &made) &&
                border(a, hi, a->out, segs, &made);
    return fits ? made : 0;
}

/* Of output i of the segment's tiles: that of the last. */
static int64_t last_output(const struct seg *s, int i)
{
    return s->first + (s->same ? 0 : s->count - 1) * s->n + i;
}

enum where axis_where(const struct span *a, const struct seg *s, int i, int64_t lo, int64_t hi)
{
    int64_t min = position(a, s->first + i, lo), max = position(a, last_output(s, i), hi - 1);
    if (min >= 0 && max < a->in) return WHERE_INSIDE;
    if (max < 0 || min >= a->in) return WHERE_OUTSIDE;
    return WHERE_MAYBE;
}

/* The first tap of output o that lies at `at` or behind; the number of taps, if none does. */
static int64_t first_tap(const struct span *a, int64_t o, int64_t at)
{
    int64_t before = at - position(a, o, 0), tap = before > 0 ? ceil_div(before, a->dilation) : 0;
    return tap < a->kernel ? tap : a->kernel;
}

struct tap_range axis_taps(const struct span *a, const struct seg *s, int i, bool for_all)
{
    int64_t first = s->first + i, last = last_output(s, i);
    struct tap_range r = {first_tap(a, for_all ? first : last, 0),
                          first_tap(a, for_all ? last : first, a->in)};
    if (r.hi < r.lo) r.hi = r.lo;
    return r;
}

int64_t segs_tiles(const struct seg *segs, int n)
{
    int64_t tiles = 0;
    for (int i = 0; i < n; i++) tiles += segs[i].count;
    return tiles;
}

int64_t chunk_of(int64_t tasks, int64_t tiles)
{
    enum { WANTED = 64, LEAST_TILES = 4 };
    if (2 * tasks > WANTED || tiles < 2 * LEAST_TILES) return 0;
    int64_t chunk = ceil_div(tiles, ceil_div(WANTED, tasks));
    return chunk < LEAST_TILES ? LEAST_TILES : chunk;
}
