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
    value wei, zeros, memory;
    value kh_lo, kh_hi, kw_lo, kw_hi;
    int rows, cols;
    struct slot acc[MAX_REGISTERS][MAX_REGISTERS]; /* [pixel][vector] */
};

/* What all tiles of a task share. */
struct task {
    value src, wei, zeros, dst;
    value memory;         /* of the function's own, for a tile's accumulators */
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

/* The address of pixel i, or of zeros where it may lie outside its row; x and iw are the address and the
 * column of the tile's first pixel at this tap. */
static value pixel(struct emit *e, const struct tile *t, int i, value x, value kw, value iw)
{
    const struct geometry *g = &t->l->g;
    int64_t row = (i / t->cols) * g->h.stride * g->x.h, col = (i % t->cols) * g->w.stride;
    value here = plus(e, x, row + col * g->x.w);
    if (col_where(t, i % t->cols, kw) != WHERE_MAYBE) return here;
    return choose(e, below(e, add(e, iw, k(e, col)), g->w.in), here, t->zeros);
}

/* `steps` input channels of one tap. In nhwc the channels of a pixel follow each other, as do zeros, so
 * that one choice of address serves them all. */
static void body(struct emit *e, struct tile *t, struct slot xs, struct slot ws, int64_t steps, value kh,
                 value kw, value iw)
{
    int64_t vec = t->l->p->vec, vecs = t->b->vecs, channel = t->l->g.x.c;
    value x = opaque(e, get(e, xs)), wei = opaque(e, get(e, ws)), w[MAX_REGISTERS], px[MAX_REGISTERS];
    set(e, xs, plus(e, x, steps * channel));
    set(e, ws, plus(e, wei, steps * vecs * vec));
    for (int64_t ic = 0; ic < steps; ic++) {
        for (int j = 0; j < vecs; j++) w[j] = load_aligned(e, plus(e, wei, (ic * vecs + j) * vec));
        for (int i = 0; i < t->rows * t->cols; i++) {
            if (pixel_outside(t, i, kh, kw)) continue;
            if (ic == 0 || channel > 1) px[i] = pixel(e, t, i, plus(e, x, ic * channel), kw, iw);
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
    value iw = opaque(e, add(e, t->iw, mul(e, kw, g->w.dilation)));
    struct slot xs = slot(e, "x", at(e, x, mul(e, kw, g->w.dilation * g->x.w)));
    struct slot ws = slot(e, "w", at(e, w, mul(e, kw, p->ic * t->b->vecs * p->vec)));
    EACH (ic, p->ic / p->step, p->unroll == UNROLL_ALL) body(e, t, xs, ws, p->step, kh, kw, iw);
    if (p->ic % p->step) body(e, t, xs, ws, p->ic % p->step, kh, kw, iw);
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

static value in_memory(struct emit *e, const struct tile *t, int i, int j)
{
    return plus(e, t->memory, (j * t->rows * t->cols + i) * t->l->p->vec);
}

/* Long sums are made of a sum for each panel, so that rounding does not grow with their length: memory
 * holds those so far. */
static void add_to_memory(struct emit *e, struct tile *t, bool first)
{
    for (int i = 0; i < t->rows * t->cols; i++)
        for (int j = 0; j < t->b->vecs; j++) {
            value so_far = in_memory(e, t, i, j);
            store(e, first ? zero(e) : vadd(e, get(e, t->acc[i][j]), load(e, so_far)), so_far);
            set(e, t->acc[i][j], zero(e));
        }
}

static void take_from_memory(struct emit *e, struct tile *t)
{
    for (int i = 0; i < t->rows * t->cols; i++)
        for (int j = 0; j < t->b->vecs; j++) set(e, t->acc[i][j], load(e, in_memory(e, t, i, j)));
}

static void reduce(struct emit *e, struct tile *t)
{
    const struct plan *p = t->l->p;
    bool split = panel_splits_sums(p, &t->l->g);
    if (split) add_to_memory(e, t, true);
    EACH (panel, t->l->g.ic / p->ic, p->unroll == UNROLL_ALL) {
        TURN (kh, p->unroll >= UNROLL_KH ? TURN_UNROLL : TURN_LOOP, t->kh_lo, t->kh_hi)
            tap_row(e, t, panel.i, kh.i);
        if (split) add_to_memory(e, t, false);
    }
    if (split) take_from_memory(e, t);
}

/* ---- the epilogue ---- */

/* Where results go: dst and add at a tile's first pixel and some output channel, bias at that channel.
 * Opaque, so that loop strength reduction has no hand in what is stored. */
struct place {
    value dst, add, bias;
};

static struct place place(struct emit *e, const struct task *one, value offset, value oc, int64_t channel)
{
    value to = add(e, offset, mul(e, oc, channel));
    return (struct place){
        .dst = opaque(e, at(e, one->dst, to)),
        .add = one->post.add ? opaque(e, at(e, one->post.add, to)) : NULL,
        .bias = one->post.bias ? opaque(e, at(e, one->post.bias, oc)) : NULL,
    };
}

/* v after the post-ops, at an offset from the place. */
static void finish(struct emit *e, const struct tile *t, const struct place *to, value v, value bias,
                   int64_t offset, lanes_mask mask)
{
    value with = to->add ? load_lanes(e, plus(e, to->add, offset), mask) : NULL;
    store_lanes(e, post_apply(e, &t->l->p->conv, v, bias, with), plus(e, to->dst, offset), mask);
}

static int64_t pixel_offset(const struct tile *t, int64_t i)
{
    return (i / t->cols) * t->l->g.y.h + (i % t->cols) * t->l->g.y.w;
}

/* nhwc: a vector holds output channels of one pixel. */
static void store_channels(struct emit *e, struct tile *t, const struct task *one, value offset)
{
    int64_t vec = t->l->p->vec;
    struct place to = place(e, one, offset, k(e, 0), 1);
    for (int j = 0; j < t->b->vecs; j++) {
        lanes_mask mask = first_lanes(j == t->b->vecs - 1 ? t->b->last : (int)vec);
        value bias = to.bias ? load_lanes(e, plus(e, to.bias, j * vec), mask) : NULL;
        for (int i = 0; i < t->rows * t->cols; i++)
            finish(e, t, &to, get(e, t->acc[i][j]), bias, pixel_offset(t, i) + j * vec, mask);
    }
}

/* nchw: one vector of channels of each pixel, in the function's own memory or (NULL) in acc[..][j]. */
struct plane {
    struct place to;
    value memory;
    int j, channels;
};

/* `n` pixels from pixel i on, which lie one behind the other, of all channels of a plane vector. */
static void store_pixels(struct emit *e, struct tile *t, const struct plane *v, int64_t i, int n)
{
    value rows[MAX_REGISTERS];
    for (int q = 0; q < n; q++)
        rows[q] =
            v->memory ? load(e, plus(e, v->memory, (i + q) * t->l->p->vec)) : get(e, t->acc[i + q][v->j]);
    transpose(e, rows, n);
    for (int c = 0; c < v->channels; c++) {
        value bias = v->to.bias ? load_splat(e, plus(e, v->to.bias, c)) : NULL;
        finish(e, t, &v->to, rows[c], bias, c * t->l->g.y.c + pixel_offset(t, i), first_lanes(n));
    }
}

static void store_plane(struct emit *e, struct tile *t, const struct plane *v)
{
    int pixels = t->rows * t->cols, vec = (int)t->l->p->vec;
    int run = t->cols == t->l->g.w.out ? pixels : t->cols; /* whole rows follow each other */
    for (int start = 0; start < pixels; start += run)
        for (int i = 0; i < run; i += vec) store_pixels(e, t, v, start + i, run - i < vec ? run - i : vec);
}

/* Whole vectors go through memory and are stored by a loop, since transposing is most of the code. */
static void store_planes(struct emit *e, struct tile *t, const struct task *one, value offset)
{
    int64_t vec = t->l->p->vec, channel = t->l->g.y.c, pixels = t->rows * t->cols;
    int vecs = t->b->vecs, whole = t->b->last < vec ? vecs - 1 : vecs, looped = whole > 1 ? whole : 0;
    for (int j = 0; j < looped; j++)
        for (int i = 0; i < pixels; i++) store(e, get(e, t->acc[i][j]), in_memory(e, t, i, j));
    FOR (oc, looped) {
        value from = opaque(e, at(e, t->memory, mul(e, oc.i, pixels * vec)));
        struct plane v = {place(e, one, offset, mul(e, oc.i, vec), channel), from, 0, (int)vec};
        store_plane(e, t, &v);
    }
    for (int j = looped; j < vecs; j++) {
        int channels = j == vecs - 1 ? t->b->last : (int)vec;
        struct plane v = {place(e, one, offset, k(e, j * vec), channel), NULL, j, channels};
        store_plane(e, t, &v);
    }
}

/* ---- one tile ---- */

static void tile(struct emit *e, const struct panel *l, const struct blocks *b, const struct seg *r,
                 const struct seg *c, const struct task *one, value oh, value ow)
{
    const struct geometry *g = &l->g;
    value ih = sub(e, mul(e, oh, g->h.stride), k(e, g->h.pad));
    value iw = sub(e, mul(e, ow, g->w.stride), k(e, g->w.pad));
    struct tile t = {.l = l,
                     .b = b,
                     .r = r,
                     .c = c,
                     .iw = iw,
                     .wei = one->wei,
                     .zeros = one->zeros,
                     .memory = one->memory};
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
        .memory = all->memory,
        .dst = at(e, all->dst, y),
        .post.bias = all->post.bias ? at(e, all->post.bias, oc) : NULL,
        .post.add = all->post.add ? at(e, all->post.add, y) : NULL,
    };
    rows(e, l, b, &mine, row, chunk);
}

/* Copies one pixel's channels. */
static void copy_pixel(struct emit *e, const struct plan *p, value from, value to)
{
    int64_t ic = p->conv.ic, vec = p->vec;
    FOR (i, ic / vec) {
        value channel = mul(e, i.i, vec);
        store(e, load(e, at(e, from, channel)), at(e, to, channel));
    }
    lanes_mask rest = first_lanes((int)(ic % vec));
    if (rest)
        store_lanes(e, load_lanes(e, plus(e, from, ic - ic % vec), rest), plus(e, to, ic - ic % vec), rest);
}

/* The pixels of src that strides leave, in scratch one behind the other. */
static value gather(struct emit *e, const struct panel *l, value src, value scratch)
{
    struct geometry g = geometry_of(&l->p->conv);
    struct slot to = slot(e, "gathered", scratch);
    FOR (n, g.n)
        FOR (oh, g.h.out)
            FOR (ow, g.w.out) {
                value row = add(e, mul(e, n.i, g.x.n), mul(e, oh.i, g.h.stride * g.x.h));
                copy_pixel(e, l->p, at(e, src, add(e, row, mul(e, ow.i, g.w.stride * g.x.w))), get(e, to));
                set(e, to, plus(e, get(e, to), l->g.x.w));
            }
    return scratch;
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
    if (l.g.gathered) all.src = gather(e, &l, all.src, param(e, 3));
    all.zeros = plus(e, all.wei, sizes.packed - (p->vec > p->step ? p->vec : p->step));
    all.memory = l.g.y.c > 1 || panel_splits_sums(p, &l.g) ? own_memory(e, p->cpu.registers) : NULL;
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
