/* Emits the panel nest: run and pack. */
#include "panel.h"

#include "post.h"
#include "taps.h"

#include <assert.h>

enum { MAX_REGISTERS = 32 }; /* of any cpu: bounds accumulators, pixels and vectors of a tile */

/* The one tile being emitted. */
struct tile {
    const struct panel *l;
    const struct blocks *b;
    const struct seg *r, *c; /* its rows (NULL: one row, bounds at run time) and columns */
    value src;               /* x of the tile's first pixel at tap 0,0; may lie outside the tensor */
    value iw;                /* column of that pixel */
    value wei, zeros;
    value kh_lo, kh_hi, kw_lo, kw_hi;
    int rows, cols;
    struct slot acc[MAX_REGISTERS][MAX_REGISTERS]; /* [pixel][vector] */
};

/* What all tiles of a task share. */
struct task {
    value src, wei, zeros, dst;
    struct operands post; /* at the block's first output channel; add at dst's offset */
};

/* ---- the reduction ---- */

static enum where row_where(const struct tile *t, int i, value kh)
{
    if (!t->r) return WHERE_INSIDE; /* the bounds of kh see to it */
    return axis_where(&t->l->g.h, t->r, i, constant(kh), constant(kh) + 1);
}

static enum where col_where(const struct tile *t, int i, value kw)
{
    const struct span *a = &t->l->g.w;
    if (t->c->bounds) return WHERE_INSIDE;
    if (known(kw)) return axis_where(a, t->c, i, constant(kw), constant(kw) + 1);
    return axis_where(a, t->c, i, 0, a->kernel);
}

static bool pixel_outside(const struct tile *t, int i, value kh, value kw)
{
    return row_where(t, i / t->cols, kh) == WHERE_OUTSIDE || col_where(t, i % t->cols, kw) == WHERE_OUTSIDE;
}

static bool all_outside(const struct tile *t, value kh, value kw)
{
    for (int i = 0; i < t->rows * t->cols; i++)
        if (!pixel_outside(t, i, kh, kw)) return false;
    return true;
}

/* The address of pixel i, or of zeros where it may lie outside its row. */
static value pixel(struct emit *e, const struct tile *t, int i, value x, value kw)
{
    const struct geometry *g = &t->l->g;
    int64_t row = (i / t->cols) * g->h.stride * g->x.h, col = (i % t->cols) * g->w.stride;
    value here = plus(e, x, row + col * g->x.w);
    if (col_where(t, i % t->cols, kw) != WHERE_MAYBE) return here;
    value iw = add(e, add(e, t->iw, mul(e, kw, g->w.dilation)), k(e, col));
    return choose(e, below(e, iw, g->w.in), here, t->zeros);
}

/* `steps` input channels of one tap. In nhwc the channels of a pixel follow each other, as do zeros, so
 * that one choice of address serves them all. */
static void body(struct emit *e, struct tile *t, struct slot xs, struct slot ws, int64_t steps, value kh,
                 value kw)
{
    int64_t vec = t->l->p->vec, vecs = t->b->vecs, channel = t->l->g.x.c;
    value x = opaque(e, get(e, xs)), wei = opaque(e, get(e, ws)), w[MAX_REGISTERS], px[MAX_REGISTERS];
    set(e, xs, plus(e, x, steps * channel));
    set(e, ws, plus(e, wei, steps * vecs * vec));
    for (int64_t ic = 0; ic < steps; ic++) {
        for (int j = 0; j < vecs; j++) w[j] = load_aligned(e, plus(e, wei, (ic * vecs + j) * vec));
        for (int i = 0; i < t->rows * t->cols; i++) {
            if (pixel_outside(t, i, kh, kw)) continue;
            if (ic == 0 || channel > 1) px[i] = pixel(e, t, i, plus(e, x, ic * channel), kw);
            value v = load_splat(e, channel == 1 ? plus(e, px[i], ic) : px[i]);
            for (int j = 0; j < vecs; j++) set(e, t->acc[i][j], vfma(e, v, w[j], get(e, t->acc[i][j])));
        }
    }
}

/* One panel of one tap; x and w are the tap row's: of the tile's first pixel, and packed. */
static void tap(struct emit *e, struct tile *t, value x, value w, value kh, value kw)
{
    const struct geometry *g = &t->l->g;
    const struct plan *p = t->l->p;
    if (known(kw) && (known(kh) || !t->r) && all_outside(t, kh, kw)) return;
    struct slot xs = slot(e, "x", at(e, x, mul(e, kw, g->w.dilation * g->x.w)));
    struct slot ws = slot(e, "w", at(e, w, mul(e, kw, p->ic * t->b->vecs * p->vec)));
    EACH (ic, p->ic / p->step, p->unroll == UNROLL_ALL) body(e, t, xs, ws, p->step, kh, kw);
    if (p->ic % p->step) body(e, t, xs, ws, p->ic % p->step, kh, kw);
}

/* One panel of the taps of row kh. Opaque, so that unrolled taps share its two pointers: otherwise each
 * would be given a pair of its own, walking from row to row, and most of them would be spilled. */
static void tap_row(struct emit *e, struct tile *t, value panel, value kh)
{
    const struct geometry *g = &t->l->g;
    const struct plan *p = t->l->p;
    value row = add(e, mul(e, panel, p->ic * g->x.c), mul(e, kh, g->h.dilation * g->x.h));
    value taps = mul(e, add(e, mul(e, panel, g->h.kernel), kh), g->w.kernel * p->ic * t->b->vecs * p->vec);
    value x = opaque(e, at(e, t->src, row)), w = opaque(e, at(e, t->wei, taps));
    TURN (kw, p->unroll >= UNROLL_KW ? TURN_UNROLL : TURN_LOOP, t->kw_lo, t->kw_hi) tap(e, t, x, w, kh, kw.i);
}

static void reduce(struct emit *e, struct tile *t)
{
    const struct plan *p = t->l->p;
    EACH (panel, t->l->g.ic / p->ic, p->unroll == UNROLL_ALL)
        TURN (kh, p->unroll >= UNROLL_KH ? TURN_UNROLL : TURN_LOOP, t->kh_lo, t->kh_hi)
            tap_row(e, t, panel.i, kh.i);
}

/* ---- the epilogue ---- */

static lanes_mask vector_lanes(const struct tile *t, int j)
{
    return first_lanes(j == t->b->vecs - 1 ? t->b->last : (int)t->l->p->vec);
}

/* nhwc: a vector holds output channels of one pixel. */
static void store_channels(struct emit *e, struct tile *t, const struct task *one, value offset)
{
    const struct geometry *g = &t->l->g;
    const struct plan *p = t->l->p;
    for (int j = 0; j < t->b->vecs; j++) {
        lanes_mask mask = vector_lanes(t, j);
        value bias = one->post.bias ? load_lanes(e, plus(e, one->post.bias, j * p->vec), mask) : NULL;
        for (int i = 0; i < t->rows * t->cols; i++) {
            value to = add(e, offset, k(e, (i / t->cols) * g->y.h + (i % t->cols) * g->y.w + j * p->vec));
            value with = one->post.add ? load_lanes(e, at(e, one->post.add, to), mask) : NULL;
            value v = post_apply(e, &p->conv, get(e, t->acc[i][j]), bias, with);
            store_lanes(e, v, at(e, one->dst, to), mask);
        }
    }
}

/* nchw: `n` pixels from pixel i on, which lie one behind the other, of vector j of channels. */
static void store_pixels(struct emit *e, struct tile *t, const struct task *one, value offset, int i, int n,
                         int j)
{
    const struct geometry *g = &t->l->g;
    const struct plan *p = t->l->p;
    value v[MAX_REGISTERS];
    int channels = j == t->b->vecs - 1 ? t->b->last : (int)p->vec;
    for (int q = 0; q < n; q++) v[q] = get(e, t->acc[i + q][j]);
    transpose(e, v, n);
    for (int c = 0; c < channels; c++) {
        int64_t oc = j * p->vec + c, pixel0 = (i / t->cols) * g->y.h + (i % t->cols) * g->y.w;
        value to = add(e, offset, k(e, oc * g->y.c + pixel0));
        value bias = one->post.bias ? load_splat(e, plus(e, one->post.bias, oc)) : NULL;
        value with = one->post.add ? load_lanes(e, at(e, one->post.add, to), first_lanes(n)) : NULL;
        store_lanes(e, post_apply(e, &p->conv, v[c], bias, with), at(e, one->dst, to), first_lanes(n));
    }
}

static void store_planes(struct emit *e, struct tile *t, const struct task *one, value offset)
{
    int pixels = t->rows * t->cols, vec = (int)t->l->p->vec;
    int run = t->cols == t->l->g.w.out ? pixels : t->cols; /* whole rows follow each other */
    for (int j = 0; j < t->b->vecs; j++)
        for (int start = 0; start < pixels; start += run)
            for (int i = 0; i < run; i += vec)
                store_pixels(e, t, one, offset, start + i, run - i < vec ? run - i : vec, j);
}

/* ---- one tile ---- */

static void tile(struct emit *e, const struct panel *l, const struct blocks *b, const struct seg *r,
                 const struct seg *c, const struct task *one, value oh, value ow)
{
    const struct geometry *g = &l->g;
    value ih = sub(e, mul(e, oh, g->h.stride), k(e, g->h.pad));
    value iw = sub(e, mul(e, ow, g->w.stride), k(e, g->w.pad));
    struct tile t = {.l = l, .b = b, .r = r, .c = c, .iw = iw, .wei = one->wei, .zeros = one->zeros};
    t.rows = r ? r->n : 1, t.cols = c->n;
    t.src = at(e, one->src, add(e, mul(e, ih, g->x.h), mul(e, iw, g->x.w)));
    t.kh_lo = t.kw_lo = k(e, 0), t.kh_hi = k(e, g->h.kernel), t.kw_hi = k(e, g->w.kernel);
    if (!r && !axis_inside(&g->h)) tap_bounds(e, &g->h, ih, &t.kh_lo, &t.kh_hi);
    if (c->bounds) tap_bounds(e, &g->w, iw, &t.kw_lo, &t.kw_hi);
    assert(t.rows * t.cols * b->vecs <= MAX_REGISTERS);
    for (int i = 0; i < t.rows * t.cols; i++)
        for (int j = 0; j < b->vecs; j++) t.acc[i][j] = slot(e, "acc", zero(e));
    reduce(e, &t);
    value offset = add(e, mul(e, oh, g->y.h), mul(e, ow, g->y.w));
    if (g->y.c == 1)
        store_channels(e, &t, one, offset);
    else
        store_planes(e, &t, one, offset);
}

/* ---- the tiles of one task ---- */

/* All column tiles, or those of chunk `chunk`, of one row of tiles. */
static void columns(struct emit *e, const struct panel *l, const struct blocks *b, const struct seg *r,
                    const struct task *one, value oh, value chunk)
{
    const struct plan *p = l->p;
    int64_t before = 0; /* tiles in front of the segment */
    value lo = mul(e, chunk, p->chunk), hi = add(e, lo, k(e, p->chunk));
    for (const struct seg *c = b->cols; c < b->cols + b->n_cols; before += c++->count) {
        value from = k(e, before), to = k(e, before + c->count);
        if (b->chunks > 1) from = most(e, from, lo), to = least(e, to, hi);
        TURN (ow, p->unroll == UNROLL_ALL ? TURN_UNROLL : TURN_LOOP, from, to)
            tile(e, l, b, r, c, one, oh, add(e, mul(e, sub(e, ow.i, k(e, before)), c->n), k(e, c->first)));
    }
}

static void rows(struct emit *e, const struct panel *l, const struct blocks *b, const struct task *one,
                 value row, value chunk)
{
    if (!l->n_rows) columns(e, l, b, NULL, one, row, chunk);
    for (const struct seg *r = l->rows; r < l->rows + l->n_rows; r++)
        EACH (oh, r->count, l->p->unroll == UNROLL_ALL)
            columns(e, l, b, r, one, add(e, mul(e, oh.i, r->n), k(e, r->first)), chunk);
}

/* Task i of the blocks of one width: [group][block][image][row][chunk]. */
static void run_task(struct emit *e, const struct panel *l, const struct blocks *b, const struct task *all,
                     value i)
{
    const struct geometry *g = &l->g;
    int64_t row_tasks = panel_row_tasks(l);
    value chunk = rem(e, i, b->chunks), rest = quo(e, i, b->chunks);
    value row = rem(e, rest, row_tasks), image = rem(e, quo(e, rest, row_tasks), g->n);
    value block = quo(e, rest, row_tasks * g->n); /* of all groups */
    value group = quo(e, block, b->count), ocb = rem(e, block, b->count);
    value oc = add(e, mul(e, group, g->oc), add(e, mul(e, ocb, l->p->oc * l->p->vec), k(e, b->first)));
    value y = add(e, mul(e, image, g->y.n), mul(e, oc, g->y.c));
    value x = add(e, mul(e, image, g->x.n), mul(e, group, g->ic * g->x.c));
    struct task mine = {
        .src = at(e, all->src, x),
        .wei = at(e, all->wei, add(e, mul(e, block, b->floats), k(e, b->packed))),
        .zeros = all->zeros,
        .dst = at(e, all->dst, y),
        .post.bias = all->post.bias ? at(e, all->post.bias, oc) : NULL,
        .post.add = all->post.add ? at(e, all->post.add, y) : NULL,
    };
    rows(e, l, b, &mine, row, chunk);
}

void panel_run(struct emit *e, const struct plan *p)
{
    struct panel l;
    struct plan_sizes sizes = panel_sizes(p);
    panel_of(p, &l);
    function_begin(e, "run", "piip");
    struct task all = {
        .src = arg(e, offsetof(struct kiln_args, src)),
        .wei = arg(e, offsetof(struct kiln_args, weights)),
        .dst = arg(e, offsetof(struct kiln_args, dst)),
        .post = post_operands(e, &p->conv),
    };
    all.zeros = plus(e, all.wei, sizes.packed - (p->vec > p->step ? p->vec : p->step));
    int64_t before = 0;
    for (const struct blocks *b = l.blocks; b < l.blocks + l.n_blocks; before += b++->tasks) {
        value lo = most(e, param(e, 1), k(e, before)), hi = least(e, param(e, 2), k(e, before + b->tasks));
        TURN (piece, b->tasks == 1 ? TURN_ONCE : TURN_LOOP, lo, hi)
            run_task(e, &l, b, &all, b->tasks == 1 ? k(e, 0) : sub(e, piece.i, k(e, before)));
    }
    function_end(e);
}

/* ---- pack ---- */

/* One block: `have` channels of each panel row from the weights, the rest of its `width` zeros. */
static void pack_block(struct emit *e, const struct plan *p, const struct geometry *g, value from,
                       struct slot to, int64_t have, int64_t width)
{
    int64_t taps = g->h.kernel * g->w.kernel;
    FOR (panel, g->ic / p->ic)
        FOR (tap, taps)
            FOR (ic, p->ic) {
                value channel = add(e, mul(e, panel.i, p->ic), ic.i);
                value at_tap = at(e, from, add(e, mul(e, channel, taps), tap.i));
                FOR (oc, have)
                    store_scalar(e, load_scalar(e, at(e, at_tap, mul(e, oc.i, g->ic * taps))),
                                 at(e, get(e, to), oc.i));
                FROM (gap, k(e, have), k(e, width))
                    store_scalar(e, LLVMConstNull(e->f32), at(e, get(e, to), gap.i));
                set(e, to, plus(e, get(e, to), width));
            }
}

void panel_pack(struct emit *e, const struct plan *p)
{
    struct panel l;
    panel_of(p, &l);
    const struct geometry *g = &l.g;
    function_begin(e, "pack", "pp");
    struct slot to = slot(e, "to", param(e, 1));
    int64_t filter = g->ic * g->h.kernel * g->w.kernel;
    for (const struct blocks *b = l.blocks; b < l.blocks + l.n_blocks; b++) {
        int64_t width = b->vecs * p->vec, have = width - p->vec + b->last;
        FOR (group, g->g)
            FOR (ocb, b->count) {
                value oc = add(e, mul(e, group.i, g->oc), add(e, mul(e, ocb.i, width), k(e, b->first)));
                pack_block(e, p, g, at(e, param(e, 0), mul(e, oc, filter)), to, have, width);
            }
    }
    FOR (z, p->vec > p->step ? p->vec : p->step)
        store_scalar(e, LLVMConstNull(e->f32), at(e, get(e, to), z.i));
    function_end(e);
}
