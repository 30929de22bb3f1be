/* Emits winograd: the nest over blocks, and the products. Transforms are in winograd_tiles.c. */
#include "winograd_tiles.h"

#include <assert.h>

enum { MAX_REGISTERS = 32 }; /* of any cpu */

/* ---- the products: one matrix of tiles x ic times ic x oc for each ---- */

/* The register tile being emitted. */
struct tile {
    const struct winograd *w;
    int vecs, cols;                                /* of output channels; tiles of the block */
    struct slot x, u;                              /* walk over v and the packed weights */
    struct slot acc[MAX_REGISTERS][MAX_REGISTERS]; /* [tile][vector] */
};

static void body(struct emit *e, struct tile *t, int64_t steps)
{
    int64_t vec = t->w->p->vec;
    value x = opaque(e, get(e, t->x)), u = opaque(e, get(e, t->u)), wei[MAX_REGISTERS];
    set(e, t->x, plus(e, x, steps));
    set(e, t->u, plus(e, u, steps * t->vecs * vec));
    for (int64_t ic = 0; ic < steps; ic++) {
        for (int j = 0; j < t->vecs; j++) wei[j] = load_aligned(e, plus(e, u, (ic * t->vecs + j) * vec));
        for (int i = 0; i < t->cols; i++) {
            value v = load_splat(e, plus(e, x, i * vec + ic));
            for (int j = 0; j < t->vecs; j++) set(e, t->acc[i][j], vfma(e, v, wei[j], get(e, t->acc[i][j])));
        }
    }
}

/* The sum over n channels, which begin with a vector of them. */
static void channels(struct emit *e, struct tile *t, int64_t n)
{
    int64_t vec = t->w->p->vec, step = t->w->p->step, rest = n % vec;
    FOR (ic, n / vec) {
        FOR (turn, vec / step) body(e, t, step);
        set(e, t->x, plus(e, get(e, t->x), (t->w->block - 1) * vec));
    }
    FOR (turn, rest / step) body(e, t, step);
    if (rest % step) body(e, t, rest % step);
}

/* n channels of some of the block's tiles; added to the sums there are, if there are. */
static void register_tile(struct emit *e, const struct winograd *w, const struct winograd_blocks *b, int cols,
                          value v, value u, value sums, int64_t n)
{
    int64_t vec = w->p->vec;
    struct tile t = {.w = w, .vecs = b->vecs, .cols = cols, .x = slot(e, "v", v), .u = slot(e, "u", u)};
    assert(cols * b->vecs <= MAX_REGISTERS);
    for (int i = 0; i < cols; i++)
        for (int j = 0; j < b->vecs; j++) t.acc[i][j] = slot(e, "acc", zero(e));
    channels(e, &t, n);
    sums = opaque(e, sums);
    for (int i = 0; i < cols; i++)
        for (int j = 0; j < b->vecs; j++) {
            value to = plus(e, sums, (i * b->vecs + j) * vec), sum = get(e, t.acc[i][j]);
            store(e, w->sum < w->g.ic ? vadd(e, sum, load(e, to)) : sum, to);
        }
}

/* n channels of one product, of the `used` tiles of the block. */
static void tiles(struct emit *e, const struct winograd *w, const struct winograd_blocks *b, value v, value u,
                  value sums, value used, int64_t n)
{
    int64_t vec = w->p->vec;
    for (const struct seg *s = b->tiles; s < b->tiles + b->n_tiles; s++) {
        value some = most(e, k(e, 0), sub(e, add(e, used, k(e, s->n - 1)), k(e, s->first)));
        FROM (tile, k(e, 0), least(e, k(e, s->count), quo(e, some, s->n))) {
            value first = add(e, mul(e, tile.i, s->n), k(e, s->first));
            register_tile(e, w, b, s->n, at(e, v, mul(e, first, vec)), u,
                          at(e, sums, mul(e, first, b->vecs * vec)), n);
        }
    }
}

static void multiply(struct emit *e, const struct winograd *w, const struct winograd_blocks *b, value scratch,
                     value u, value used)
{
    int64_t vec = w->p->vec, width = b->vecs * vec, whole = w->g.ic / w->sum, rest = w->g.ic % w->sum;
    FOR (product, w->products) {
        value v = at(e, scratch, add(e, k(e, w->v), mul(e, product.i, w->v_step)));
        value sums = at(e, scratch, add(e, k(e, w->sums), mul(e, product.i, w->sums_step)));
        value from = at(e, u, mul(e, product.i, w->g.ic * width));
        if (w->sum < w->g.ic)
            FROM (i, k(e, 0), mul(e, used, b->vecs)) store(e, zero(e), at(e, sums, mul(e, i.i, vec)));
        FOR (panel, whole)
            tiles(e, w, b, at(e, v, mul(e, panel.i, w->sum * w->block)),
                  at(e, from, mul(e, panel.i, w->sum * width)), sums, used, w->sum);
        if (rest)
            tiles(e, w, b, plus(e, v, whole * w->sum * w->block), plus(e, from, whole * w->sum * width), sums,
                  used, rest);
    }
}

/* ---- the nest: tasks are [group][block][oc block] ---- */

static void oc_block(struct emit *e, const struct winograd *w, const struct winograd_blocks *b,
                     const struct winograd_job *job, value group, value ocb)
{
    value oc = add(e, mul(e, ocb, w->p->oc * w->p->vec), k(e, b->first));
    value channel = add(e, mul(e, group, w->g.oc), oc);
    value u = add(e, k(e, b->packed), mul(e, add(e, mul(e, group, b->count), ocb), b->floats));
    struct winograd_job mine = *job;
    mine.dst = at(e, job->dst, mul(e, channel, w->g.y.c));
    if (job->post.bias) mine.post.bias = at(e, job->post.bias, channel);
    if (job->post.add) mine.post.add = at(e, job->post.add, mul(e, channel, w->g.y.c));
    multiply(e, w, b, job->scratch, at(e, job->packed, u), sub(e, job->end, job->begin));
    winograd_outputs(e, w, b, &mine);
}

static void block(struct emit *e, const struct winograd *w, const struct winograd_job *all, value i)
{
    value group = quo(e, i, w->blocks), begin = mul(e, rem(e, i, w->blocks), w->block);
    value first = mul(e, i, w->oc_blocks);
    struct winograd_job job = *all;
    job.begin = begin, job.end = least(e, add(e, begin, k(e, w->block)), k(e, w->total));
    if (w->blocks == 1) job.end = k(e, w->total);
    job.src = at(e, all->src, mul(e, group, w->g.ic * w->g.x.c));
    winograd_inputs(e, w, &job);
    value lo = most(e, k(e, 0), sub(e, param(e, 1), first)), hi = sub(e, param(e, 2), first);
    for (const struct winograd_blocks *b = w->widths; b < w->widths + w->n_widths; b++) {
        int64_t before = b == w->widths ? 0 : w->widths[0].count;
        value from = most(e, k(e, 0), sub(e, lo, k(e, before)));
        FROM (ocb, from, least(e, k(e, b->count), sub(e, hi, k(e, before))))
            oc_block(e, w, b, &job, group, ocb.i);
    }
}

void winograd_run(struct emit *e, const struct plan *p)
{
    struct winograd w;
    winograd_of(p, &w);
    function_begin(e, "run", "piip");
    struct winograd_job all = {
        .src = arg(e, offsetof(struct kiln_args, src)),
        .packed = arg(e, offsetof(struct kiln_args, weights)),
        .dst = arg(e, offsetof(struct kiln_args, dst)),
        .post = post_operands(e, &p->conv),
        .scratch = param(e, 3),
    };
    value end = add(e, param(e, 2), k(e, w.oc_blocks - 1));
    FROM (block_of_tiles, quo(e, param(e, 1), w.oc_blocks), quo(e, end, w.oc_blocks))
        block(e, &w, &all, block_of_tiles.i);
    function_end(e);
}

/* ---- pack ---- */

/* One vector of output channels, of which `have` exist, of one input channel: its taps as vectors, */
static void pack_taps(struct emit *e, const struct winograd *w, value from, value to, value have)
{
    int64_t vec = w->p->vec, taps = w->h.f.r * w->w.f.r;
    FOR (tap, taps) {
        value to_tap = at(e, to, mul(e, tap.i, vec)), from_tap = at(e, from, tap.i);
        FROM (oc, k(e, 0), have)
            store_scalar(e, load_scalar(e, at(e, from_tap, mul(e, oc.i, w->g.ic * taps))),
                         at(e, to_tap, oc.i));
        FROM (gap, have, k(e, vec)) store_scalar(e, LLVMConstNull(e->f32), at(e, to_tap, gap.i));
    }
}

/* transformed in f64, along w and then along h; products are `apart`. */
static void pack_products(struct emit *e, const struct winograd *w, const value *weights, value taps,
                          value half, value to, int64_t apart)
{
    const struct toom *h = &w->h.f, *f = &w->w.f;
    int64_t vec = w->p->vec, row = f->alpha * 2 * vec;
    value in[TOOM_TAPS];
    FOR (i, h->r) {
        value from = at(e, taps, mul(e, i.i, f->r * vec)), products = at(e, half, mul(e, i.i, row));
        for (int j = 0; j < f->r; j++) in[j] = widen(e, load(e, plus(e, from, j * vec)));
        FOR (j, f->alpha)
            store(e, toom_weight(e, f, weights[1], j.i, in), at(e, products, mul(e, j.i, 2 * vec)));
    }
    FOR (j, f->alpha) {
        value from = at(e, half, mul(e, j.i, 2 * vec)), products = at(e, to, mul(e, j.i, apart));
        for (int i = 0; i < h->r; i++) in[i] = load_double(e, plus(e, from, i * row));
        FOR (i, h->alpha)
            store(e, narrow(e, toom_weight(e, h, weights[0], i.i, in)),
                  at(e, products, mul(e, i.i, f->alpha * apart)));
    }
}

void winograd_pack(struct emit *e, const struct plan *p)
{
    struct winograd w;
    winograd_of(p, &w);
    function_begin(e, "pack", "pp");
    int64_t taps = w.h.f.r * w.w.f.r;
    value memory = own_memory(e, taps), half = own_memory(e, 2 * w.h.f.r * w.w.f.alpha);
    const value weights[] = {toom_weights(e, &w.h.f), toom_weights(e, &w.w.f)};
    for (const struct winograd_blocks *b = w.widths; b < w.widths + w.n_widths; b++) {
        int64_t width = b->vecs * p->vec, channels = width - p->vec + b->last;
        FOR (block, w.g.g * b->count)
            FOR (ic, w.g.ic)
                FOR (j, b->vecs) {
                    value group = quo(e, block.i, b->count), ocb = rem(e, block.i, b->count);
                    value oc = add(e, mul(e, group, w.g.oc), add(e, mul(e, ocb, width), k(e, b->first)));
                    value first = mul(e, j.i, p->vec);
                    value from =
                        at(e, param(e, 0), mul(e, add(e, mul(e, add(e, oc, first), w.g.ic), ic.i), taps));
                    value to = add(e, k(e, b->packed), mul(e, block.i, b->floats));
                    to = add(e, to, add(e, mul(e, ic.i, width), first));
                    value have = least(e, k(e, p->vec), sub(e, k(e, channels), first));
                    pack_taps(e, &w, from, memory, have);
                    pack_products(e, &w, weights, memory, half, at(e, param(e, 1), to), w.g.ic * width);
                }
    }
    function_end(e);
}
