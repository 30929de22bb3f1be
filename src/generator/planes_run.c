/* Emits the planes nest: vectors of pixels of each input channel times broadcast weights. */
#include "planes.h"

#include "post.h"
#include "taps.h"

#include <assert.h>

enum { MAX_REGISTERS = 32 }; /* of any cpu */

/* What a task works on: pointers at its image, group and block. */
struct task {
    const struct planes *l;
    const struct planes_blocks *b;
    value src, wei, dst;
    struct operands post;
};

/* The one tile being emitted. */
struct tile {
    const struct task *task;
    const struct seg *c;
    int width;                                     /* vectors of pixels */
    struct slot x, w;                              /* walk over the input channels, and the packed weights */
    struct slot acc[MAX_REGISTERS][MAX_REGISTERS]; /* [output channel][vector] */
};

/* ---- the reduction ---- */

/* One tap of one input channel, whose row of src is at x and whose weights are at w. */
static void tap(struct emit *e, struct tile *t, value x, value w, int64_t kw)
{
    const struct span *a = &t->task->l->g.w;
    value pixels[MAX_REGISTERS];
    bool any = false;
    for (int v = 0; v < t->width; v++) {
        pixels[v] = load_pixels(e, a, t->c, x, v * e->lanes * a->stride + kw * a->dilation);
        any |= pixels[v] != NULL;
    }
    for (int i = 0; any && i < t->task->b->channels; i++) {
        value weight = load_splat(e, plus(e, w, i));
        for (int v = 0; v < t->width; v++)
            if (pixels[v]) set(e, t->acc[i][v], vfma(e, pixels[v], weight, get(e, t->acc[i][v])));
    }
}

static void body(struct emit *e, struct tile *t, int64_t channels)
{
    const struct geometry *g = &t->task->l->g;
    int64_t taps = g->w.kernel * t->task->b->channels;
    value x = opaque(e, get(e, t->x)), w = opaque(e, get(e, t->w));
    set(e, t->x, plus(e, x, channels * g->x.c));
    set(e, t->w, plus(e, w, channels * taps));
    for (int64_t ic = 0; ic < channels; ic++)
        for (int64_t kw = 0; kw < g->w.kernel; kw++)
            tap(e, t, plus(e, x, ic * g->x.c), plus(e, w, ic * taps + kw * t->task->b->channels), kw);
}

static void reduce(struct emit *e, struct tile *t, value src, value ih)
{
    const struct geometry *g = &t->task->l->g;
    int64_t step = t->task->l->p->step;
    value lo = k(e, 0), hi = k(e, g->h.kernel);
    if (!axis_inside(&g->h)) tap_bounds(e, &g->h, ih, &lo, &hi);
    FROM (kh, lo, hi) {
        set(e, t->x, at(e, src, mul(e, kh.i, g->h.dilation * g->x.h)));
        set(e, t->w, at(e, t->task->wei, mul(e, kh.i, t->task->b->floats / g->h.kernel)));
        FOR (ic, g->ic / step) body(e, t, step);
        if (g->ic % step) body(e, t, g->ic % step);
    }
}

/* ---- one tile ---- */

static void finish(struct emit *e, struct tile *t, int i, value offset)
{
    const struct task *one = t->task;
    value bias = one->post.bias ? load_splat(e, plus(e, one->post.bias, i)) : NULL;
    for (int v = 0; v < t->width; v++) {
        lanes_mask mask = first_lanes(t->c->n - v * e->lanes);
        value to = add(e, offset, k(e, i * one->l->g.y.c + v * e->lanes));
        value with = one->post.add ? load_lanes(e, at(e, one->post.add, to), mask) : NULL;
        value sum = post_apply(e, &one->l->p->conv, get(e, t->acc[i][v]), bias, with);
        store_lanes(e, sum, at(e, one->dst, to), mask);
    }
}

static void tile(struct emit *e, const struct task *one, const struct seg *c, value oh, value ow)
{
    const struct geometry *g = &one->l->g;
    value ih = sub(e, mul(e, oh, g->h.stride), k(e, g->h.pad));
    value iw = sub(e, mul(e, ow, g->w.stride), k(e, g->w.pad));
    struct tile t = {.task = one, .c = c, .width = (int)ceil_div(c->n, e->lanes)};
    assert(t.width * one->b->channels <= MAX_REGISTERS);
    t.x = slot(e, "x", one->src), t.w = slot(e, "w", one->wei);
    for (int i = 0; i < one->b->channels; i++)
        for (int v = 0; v < t.width; v++) t.acc[i][v] = slot(e, "acc", zero(e));
    reduce(e, &t, at(e, one->src, add(e, mul(e, ih, g->x.h), mul(e, iw, g->x.w))), ih);
    value offset = add(e, mul(e, oh, g->y.h), mul(e, ow, g->y.w));
    for (int i = 0; i < one->b->channels; i++) finish(e, &t, i, offset);
}

/* ---- tasks ---- */

/* The column tiles of a row, or those of one of its chunks. */
static void columns(struct emit *e, const struct task *one, value row, value chunk)
{
    const struct planes *l = one->l;
    int64_t before = 0; /* tiles in front of the segment */
    value lo = mul(e, chunk, l->p->chunk), hi = add(e, lo, k(e, l->p->chunk));
    for (const struct seg *c = l->cols; c < l->cols + l->n_cols; before += c++->count) {
        value from = k(e, before), to = k(e, before + c->count);
        if (l->chunks > 1) from = most(e, from, lo), to = least(e, to, hi);
        FROM (ow, from, to)
            tile(e, one, c, row, add(e, mul(e, sub(e, ow.i, k(e, before)), c->n), k(e, c->first)));
    }
}

/* Task i of the blocks of one width: [group][block][image][row][chunk]. */
static void run_task(struct emit *e, const struct task *all, value i)
{
    const struct planes *l = all->l;
    const struct planes_blocks *b = all->b;
    const struct geometry *g = &l->g;
    value chunk = rem(e, i, l->chunks), rest = quo(e, i, l->chunks);
    value row = rem(e, rest, g->h.out), image = rem(e, quo(e, rest, g->h.out), g->n);
    value block = quo(e, rest, g->h.out * g->n); /* of all groups */
    value group = quo(e, block, b->count), ocb = rem(e, block, b->count);
    value oc = add(e, mul(e, group, g->oc), add(e, mul(e, ocb, b->channels), k(e, b->first)));
    value y = add(e, mul(e, image, g->y.n), mul(e, oc, g->y.c));
    struct task one = *all;
    one.src = at(e, all->src, add(e, mul(e, image, g->x.n), mul(e, group, g->ic * g->x.c)));
    one.wei = at(e, all->wei, add(e, mul(e, block, b->floats), k(e, b->packed)));
    one.dst = at(e, all->dst, y);
    if (all->post.bias) one.post.bias = at(e, all->post.bias, oc);
    if (all->post.add) one.post.add = at(e, all->post.add, y);
    columns(e, &one, row, chunk);
}

void planes_run(struct emit *e, const struct plan *p)
{
    struct planes l;
    planes_of(p, &l);
    function_begin(e, "run", "piip");
    struct task all = {
        .l = &l,
        .src = arg(e, offsetof(struct kiln_args, src)),
        .wei = arg(e, offsetof(struct kiln_args, weights)),
        .dst = arg(e, offsetof(struct kiln_args, dst)),
        .post = post_operands(e, &p->conv),
    };
    int64_t before = 0;
    for (all.b = l.blocks; all.b < l.blocks + l.n_blocks; before += all.b++->tasks) {
        value lo = most(e, param(e, 1), k(e, before)),
              hi = least(e, param(e, 2), k(e, before + all.b->tasks));
        FROM (piece, lo, hi) run_task(e, &all, sub(e, piece.i, k(e, before)));
    }
    function_end(e);
}

void planes_pack(struct emit *e, const struct plan *p)
{
    struct planes l;
    planes_of(p, &l);
    const struct geometry *g = &l.g;
    int64_t taps = g->h.kernel * g->w.kernel, filter = g->ic * taps;
    function_begin(e, "pack", "pp");
    struct slot to = slot(e, "to", param(e, 1));
    for (const struct planes_blocks *b = l.blocks; b < l.blocks + l.n_blocks; b++)
        FOR (block, g->g * b->count) {
            value group = quo(e, block.i, b->count), ocb = rem(e, block.i, b->count);
            value oc = add(e, mul(e, group, g->oc), add(e, mul(e, ocb, b->channels), k(e, b->first)));
            value from = at(e, param(e, 0), mul(e, oc, filter));
            FOR (kh, g->h.kernel)
                FOR (ic, g->ic)
                    FOR (kw, g->w.kernel) {
                        value tap = add(e, add(e, mul(e, ic.i, taps), mul(e, kh.i, g->w.kernel)), kw.i);
                        FOR (i, b->channels)
                            store_scalar(e, load_scalar(e, at(e, from, add(e, tap, mul(e, i.i, filter)))),
                                         at(e, get(e, to), i.i));
                        set(e, to, plus(e, get(e, to), b->channels));
                    }
        }
    function_end(e);
}
