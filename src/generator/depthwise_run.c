/* Emits the depthwise nest. A tile walks over the rows of src that its taps touch; each vector that it
 * loads from a row feeds every accumulator with a tap there. */
#include "depthwise.h"

#include "post.h"
#include "taps.h"

#include <assert.h>

enum { MAX_PIXELS = 32 }; /* accumulators: at most the registers of any cpu */

/* The one tile being emitted. */
struct tile {
    const struct depthwise *d;
    const struct seg *r, *c; /* rows (NULL: one, bounds at run time), columns */
    value src, wei, dst;     /* src: x of the first pixel at tap 0,0; may lie outside the tensor */
    struct operands post;
    lanes_mask lanes;  /* by=oc: channels there are */
    int n_rows, width; /* accumulators of a row: pixels, or vectors of them */
    struct slot acc[MAX_PIXELS];
    bool held;              /* all taps of the kernel are in registers for the whole tile: */
    value taps[MAX_PIXELS]; /* [kh][kw] */
};

/* An accumulator row that a row of src feeds, with the kw taps for it. */
struct feed {
    int row;
    value at;          /* their address */
    const value *taps; /* or they themselves, in registers */
};

static bool by_px(const struct tile *t) { return t->d->p->by == BY_PX; }

/* ---- weights ---- */

static value load_tap(struct emit *e, const struct tile *t, value taps, int64_t kw)
{
    return by_px(t) ? load_splat(e, plus(e, taps, kw)) : load_aligned(e, plus(e, taps, kw * t->d->p->vec));
}

/* Loads the taps of n feeds into registers, if they fit. */
static void hold_taps(struct emit *e, const struct tile *t, struct feed *feeds, int n, value held[MAX_PIXELS])
{
    int64_t kernel = t->d->g.w.kernel;
    if (t->held || !depthwise_holds(t->d, t->n_rows * t->width, n * kernel)) return;
    for (int f = 0; f < n; f++) {
        for (int64_t kw = 0; kw < kernel; kw++) held[f * kernel + kw] = load_tap(e, t, feeds[f].at, kw);
        feeds[f].taps = &held[f * kernel];
    }
}

static void feed_all(struct emit *e, struct tile *t, const struct feed *feeds, int n, int column, int64_t kw,
                     value x)
{
    for (int f = 0; f < n; f++) {
        value w = feeds[f].taps ? feeds[f].taps[kw] : load_tap(e, t, feeds[f].at, kw);
        struct slot acc = t->acc[feeds[f].row * t->width + column];
        set(e, acc, vfma(e, x, w, get(e, acc)));
    }
}

/* ---- a row of src, by=oc: a vector of channels for each pixel ---- */

/* With a multiplier m, lane l of the outputs reads input channel l / m. */
static value load_channels(struct emit *e, const struct tile *t, value p)
{
    int64_t m = t->d->multiplier;
    if (m == 1) return load_lanes(e, p, t->lanes);
    int lanes[MAX_PIXELS], n = e->lanes;
    lanes_mask there = 0;
    for (int i = 0; i < n; i++) {
        lanes[i] = (int)(i / m);
        if (t->lanes >> i & 1) there |= (lanes_mask)1 << (i / m);
    }
    value x = load_lanes(e, p, there);
    return shuffle(e, x, x, lanes, n);
}

static void channels_row(struct emit *e, struct tile *t, value row, const struct feed *feeds, int n)
{
    const struct span *a = &t->d->g.w;
    for (int64_t q = 0; q <= (t->width - 1) * a->stride + (a->kernel - 1) * a->dilation; q++) {
        value x = NULL;
        for (int64_t kw = 0; kw < a->kernel; kw++) {
            int64_t column = q - kw * a->dilation;
            if (column < 0 || column % a->stride || column / a->stride >= t->width) continue;
            int i = (int)(column / a->stride);
            if (axis_where(a, t->c, i, kw, kw + 1) == WHERE_OUTSIDE) continue;
            if (!x) x = load_channels(e, t, plus(e, row, q * t->d->g.x.w));
            feed_all(e, t, feeds, n, i, kw, x);
        }
    }
}

/* ---- a row of src, by=px: vectors along the row ---- */

static void pixels_row(struct emit *e, struct tile *t, value row, const struct feed *feeds, int n)
{
    const struct span *a = &t->d->g.w;
    for (int64_t kw = 0; kw < a->kernel; kw++)
        for (int v = 0; v < t->width; v++) {
            value x = load_pixels(e, a, t->c, row, v * e->lanes * a->stride + kw * a->dilation);
            if (x) feed_all(e, t, feeds, n, v, kw, x);
        }
}

/* ---- the reduction ---- */

static value taps_at(struct emit *e, const struct tile *t, value wei, value kh)
{
    return at(e, wei, mul(e, kh, t->d->g.w.kernel * (by_px(t) ? 1 : t->d->p->vec)));
}

static void src_row(struct emit *e, struct tile *t, value offset, struct feed *feeds, int n)
{
    value row = opaque(e, at(e, t->src, mul(e, offset, t->d->g.x.h))), held[MAX_PIXELS];
    hold_taps(e, t, feeds, n, held);
    if (by_px(t))
        pixels_row(e, t, row, feeds, n);
    else
        channels_row(e, t, row, feeds, n);
}

/* The accumulator rows that row j of src feeds. */
static int feeds_of(struct emit *e, const struct tile *t, int64_t j, value wei, struct feed feeds[MAX_PIXELS])
{
    const struct span *a = &t->d->g.h;
    int n = 0;
    for (int r = 0; r < t->n_rows; r++) {
        int64_t tap = j - r * a->stride, kh = tap / a->dilation;
        if (tap < 0 || tap % a->dilation || kh >= a->kernel) continue;
        if (!depthwise_feeds(t->d, t->r, r, kh)) continue;
        feeds[n++] =
            (struct feed){r, taps_at(e, t, wei, k(e, kh)), t->held ? &t->taps[kh * t->d->g.w.kernel] : NULL};
    }
    return n;
}

/* All taps of the kernel, if they fit. */
static void hold_kernel(struct emit *e, struct tile *t)
{
    int64_t kernel = t->d->g.h.kernel * t->d->g.w.kernel;
    t->held = t->n_rows > 1 && depthwise_holds(t->d, t->n_rows * t->width, kernel);
    for (int64_t i = 0; t->held && i < kernel; i++) t->taps[i] = load_tap(e, t, t->wei, i);
}

/* 0 if the row of src j below row ih exists, else 1. */
static value row_absent(struct emit *e, const struct tile *t, value ih, int64_t j)
{
    const struct span *a = &t->d->g.h;
    if (t->d->p->edge == EDGE_STATIC || axis_inside(a)) return k(e, 0);
    return choose(e, below(e, add(e, ih, k(e, j)), a->in), k(e, 0), k(e, 1));
}

/* Rows known: each row of src once, for all the accumulator rows that it feeds. Taps that do not fit are
 * loaded where they are used, from an address of their own for each row: LLVM would keep equal loads. */
static void reduce_static(struct emit *e, struct tile *t, value ih)
{
    const struct span *a = &t->d->g.h;
    int64_t most = (t->n_rows < a->kernel ? t->n_rows : a->kernel) * t->d->g.w.kernel;
    hold_kernel(e, t);
    for (int64_t j = 0; j <= (t->n_rows - 1) * a->stride + (a->kernel - 1) * a->dilation; j++) {
        struct feed feeds[MAX_PIXELS];
        value wei = depthwise_holds(t->d, t->n_rows * t->width, most) ? t->wei : opaque(e, t->wei);
        int n = feeds_of(e, t, j, wei, feeds);
        if (n)
            TURN (there, TURN_ONCE, row_absent(e, t, ih, j), k(e, 1)) src_row(e, t, k(e, j), feeds, n);
    }
}

/* One row whose place is known only at run time. */
static void reduce_bounds(struct emit *e, struct tile *t, value ih)
{
    const struct span *a = &t->d->g.h;
    value lo = k(e, 0), hi = k(e, a->kernel);
    if (!axis_inside(a)) tap_bounds(e, a, ih, &lo, &hi);
    FROM (kh, lo, hi)
        src_row(e, t, mul(e, kh.i, a->dilation), &(struct feed){0, taps_at(e, t, t->wei, kh.i), NULL}, 1);
}

/* ---- what is asked for ahead ---- */

/* The rows of src that the tile below this one adds to those that both read. */
static void prefetch_src(struct emit *e, const struct tile *t)
{
    const struct geometry *g = &t->d->g;
    int64_t seen = (t->n_rows - 1) * g->h.stride + (g->h.kernel - 1) * g->h.dilation + 1;
    for (int64_t row = 0; row < t->n_rows * g->h.stride; row++)
        for (int64_t q = 0; q < t->width * g->w.stride; q++)
            prefetch(e, plus(e, t->src, (seen + row) * g->x.h + q * g->x.w), false);
}

/* The lines that this tile is going to write. */
static void prefetch_dst(struct emit *e, const struct tile *t, value offset)
{
    const struct geometry *g = &t->d->g;
    for (int r = 0; r < t->n_rows; r++)
        for (int i = 0; i < t->width; i++)
            prefetch(e, at(e, t->dst, add(e, offset, k(e, r * g->y.h + i * g->y.w))), true);
}

/* ---- one tile ---- */

static void finish(struct emit *e, struct tile *t, value bias, int r, int i, value offset)
{
    const struct geometry *g = &t->d->g;
    const struct kiln_conv *c = &t->d->p->conv;
    int vec = e->lanes, left = t->c->n - i * vec;
    int64_t step = by_px(t) ? (int64_t)i * vec : i * g->y.w;
    lanes_mask mask = by_px(t) ? first_lanes(left) : t->lanes;
    value to = add(e, offset, k(e, r * g->y.h + step));
    value with = t->post.add ? load_lanes(e, at(e, t->post.add, to), mask) : NULL;
    value v = get(e, t->acc[r * t->width + i]);
    store_lanes(e, post_apply(e, c, v, bias, with), at(e, t->dst, to), mask);
}

static void tile(struct emit *e, struct tile t, value oh, value ow)
{
    const struct geometry *g = &t.d->g;
    value ih = sub(e, mul(e, oh, g->h.stride), k(e, g->h.pad)),
          iw = sub(e, mul(e, ow, g->w.stride), k(e, g->w.pad));
    t.n_rows = t.r ? t.r->n : 1;
    t.width = by_px(&t) ? (t.c->n + e->lanes - 1) / e->lanes : t.c->n;
    assert(t.n_rows * t.width <= MAX_PIXELS);
    t.src = at(e, t.src, add(e, mul(e, ih, g->x.h), mul(e, iw, g->x.w)));
    value offset = add(e, mul(e, oh, g->y.h), mul(e, ow, g->y.w)), bias = NULL;
    if (t.d->p->prefetch == PREFETCH_ROWS) prefetch_src(e, &t), prefetch_dst(e, &t, offset);
    for (int i = 0; i < t.n_rows * t.width; i++) t.acc[i] = slot(e, "acc", zero(e));
    if (t.r)
        reduce_static(e, &t, ih);
    else
        reduce_bounds(e, &t, ih);
    if (t.post.bias) bias = by_px(&t) ? load_splat(e, t.post.bias) : load_lanes(e, t.post.bias, t.lanes);
    for (int r = 0; r < t.n_rows; r++)
        for (int i = 0; i < t.width; i++) finish(e, &t, bias, r, i, offset);
}

/* ---- tasks ---- */

/* The tensors moved on to output channel `oc`, whose taps start `taps` floats into the weights. */
static struct tile moved(struct emit *e, struct tile t, value oc, value taps)
{
    t.src = at(e, t.src, mul(e, quo(e, oc, t.d->multiplier), t.d->g.x.c));
    t.wei = at(e, t.wei, taps);
    value y = mul(e, oc, t.d->g.y.c);
    t.dst = at(e, t.dst, y);
    if (t.post.bias) t.post.bias = at(e, t.post.bias, oc);
    if (t.post.add) t.post.add = at(e, t.post.add, y);
    return t;
}

/* The columns of one row of tiles, for channel vectors [lo, hi) (by=oc), or one plane. */
static void columns(struct emit *e, struct tile t, value oh, value lo, value hi)
{
    const struct depthwise *d = t.d;
    int64_t taps = d->g.h.kernel * d->g.w.kernel * d->p->vec;
    for (const struct seg *c = d->cols; c < d->cols + d->n_cols; c++) {
        t.c = c;
        FOR (ow, c->count) {
            value first = add(e, mul(e, ow.i, c->n), k(e, c->first));
            if (by_px(&t))
                tile(e, t, oh, first);
            else
                FROM (block, lo, hi)
                    tile(e, moved(e, t, mul(e, block.i, d->p->vec), mul(e, block.i, taps)), oh, first);
        }
    }
}

/* Row `row`, or of static rows the tile of that number. */
static void rows(struct emit *e, struct tile t, value row, value lo, value hi)
{
    const struct depthwise *d = t.d;
    if (!d->n_rows) columns(e, t, row, lo, hi);
    int64_t above = 0; /* tiles of the segments before */
    for (t.r = d->rows; t.r < d->rows + d->n_rows; t.r++) {
        value from = most(e, row, k(e, above)), below = add(e, row, k(e, 1));
        TURN (oh, TURN_ONCE, from, least(e, below, k(e, above + t.r->count))) {
            value tile_row = t.r->count == 1 ? k(e, 0) : sub(e, oh.i, k(e, above));
            columns(e, t, add(e, mul(e, tile_row, t.r->n), k(e, t.r->first)), lo, hi);
        }
        above += t.r->count;
    }
}

/* Task i: [channels][image][row], channels being p->oc vectors, the tail vector, or one plane. */
static void task(struct emit *e, struct tile t, value i, bool tail)
{
    const struct depthwise *d = t.d;
    const struct geometry *g = &d->g;
    int64_t row_tasks = depthwise_row_tasks(d), taps = g->h.kernel * g->w.kernel;
    value row = rem(e, i, row_tasks), rest = quo(e, i, row_tasks), image = rem(e, rest, g->n);
    value channels = quo(e, rest, g->n), lo, hi;
    t.src = at(e, t.src, mul(e, image, g->x.n));
    t.dst = at(e, t.dst, mul(e, image, g->y.n));
    if (t.post.add) t.post.add = at(e, t.post.add, mul(e, image, g->y.n));
    if (by_px(&t)) {
        rows(e, moved(e, t, channels, mul(e, channels, taps)), row, NULL, NULL);
        return;
    }
    lo = tail ? k(e, d->vecs) : mul(e, channels, d->p->oc);
    hi = tail ? k(e, d->vecs + 1) : least(e, add(e, lo, k(e, d->p->oc)), k(e, d->vecs));
    t.lanes = tail ? first_lanes(d->tail) : first_lanes((int)d->p->vec);
    rows(e, t, row, lo, hi);
}

void depthwise_run(struct emit *e, const struct plan *p)
{
    struct depthwise d;
    depthwise_of(p, &d);
    function_begin(e, "run", "piip");
    struct tile all = {
        .d = &d,
        .src = arg(e, offsetof(struct kiln_args, src)),
        .wei = arg(e, offsetof(struct kiln_args, weights)),
        .dst = arg(e, offsetof(struct kiln_args, dst)),
        .post = post_operands(e, &p->conv),
    };
    int64_t whole = depthwise_tasks(&d, false), tail = depthwise_tasks(&d, true);
    if (whole)
        FROM (whole_task, param(e, 1), least(e, param(e, 2), k(e, whole))) task(e, all, whole_task.i, false);
    if (tail)
        FROM (tail_task, most(e, param(e, 1), k(e, whole)), param(e, 2))
            task(e, all, sub(e, tail_task.i, k(e, whole)), true);
    function_end(e);
}

void depthwise_pack(struct emit *e, const struct plan *p)
{
    struct depthwise d;
    depthwise_of(p, &d);
    int64_t taps = d.g.h.kernel * d.g.w.kernel, lanes = p->by == BY_PX ? 1 : p->vec;
    function_begin(e, "pack", "pp");
    struct slot to = slot(e, "to", param(e, 1));
    for (int tail = 0; tail < 2; tail++) {
        int64_t from = tail ? d.vecs : 0, end = tail ? d.vecs + (d.tail > 0) : d.vecs,
                have = tail ? d.tail : lanes;
        FROM (block, k(e, from), k(e, end))
            FOR (tap, taps) {
                value at_tap = at(e, param(e, 0), add(e, mul(e, block.i, lanes * taps), tap.i));
                FOR (oc, have)
                    store_scalar(e, load_scalar(e, at(e, at_tap, mul(e, oc.i, taps))),
                                 at(e, get(e, to), oc.i));
                FROM (gap, k(e, have), k(e, lanes))
                    store_scalar(e, LLVMConstNull(e->f32), at(e, get(e, to), gap.i));
                set(e, to, plus(e, get(e, to), lanes));
            }
    }
    function_end(e);
}
