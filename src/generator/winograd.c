/* winograd: fewer products by transforming tiles: what a plan means, its checks and its sizes. */
#include "winograd.h"

#include "panel.h"

#include <assert.h>

enum {
    MAX_DILATION = 1024,
    MAX_IMAGE_BITS = 36, /* of elements, beyond any use: times a block's tiles and products they fit 64 */
    ALPHA_MOST = 6,      /* products of an axis: more are too inexact, but for `fast` */
    ALPHA_FAST = 8,
    STAGE_BYTES = 16384,   /* half of a small L1 */
    MAX_SCRATCH = 1 << 28, /* floats: no plan worth having needs a GiB for each thread */
};

static int64_t round_up(int64_t x, int64_t to) { return ceil_div(x, to) * to; }

static bool axis_of(const struct span *a, int64_t m, struct winograd_axis *made)
{
    struct winograd_axis x = {.span = *a};
    if (a->kernel > TOOM_TAPS) return false;
    if (!toom_of(a->kernel == 1 ? 1 : (int)m, (int)a->kernel, &x.f)) return false;
    x.phases = a->dilation < a->out ? a->dilation : a->out;
    x.tiles = ceil_div(ceil_div(a->out, x.phases), x.f.m);
    x.whole = a->out % (x.phases * x.f.m) == 0;
    *made = x;
    return true;
}

/* Tiles of the strip that is staged at a time: as many as half of L1 holds the inputs of. */
static void strip_of(struct winograd *w)
{
    int64_t vec = w->p->vec, m = w->w.f.m, beside = w->w.f.alpha - m;
    int64_t columns = STAGE_BYTES / (4 * vec * w->h.f.alpha);
    int64_t most = (columns - beside) / m > 1 ? (columns - beside) / m : 1;
    w->strip = ceil_div(w->per_row, ceil_div(w->per_row, most));
    w->columns = round_up(w->strip * m + beside, vec);
}

static void blocks_of(struct winograd *w, struct winograd_blocks *b)
{
    const struct plan *p = w->p;
    int64_t most = panel_columns(p, b->vecs), ow = b->vecs == p->oc ? p->ow : 2 * p->ow;
    struct span tiles = {w->block, w->block, 1, 1, 1, 0};
    b->n_tiles =
        axis_split(&tiles, (int)(ow < most || b->vecs == p->oc ? ow : most), 1, EDGE_STATIC, b->tiles);
    b->floats = w->products * w->g.ic * b->vecs * p->vec;
}

static void widths_of(struct winograd *w)
{
    int64_t vec = w->p->vec, width = w->p->oc * vec, full = w->g.oc / width, tail = w->g.oc % width;
    int vecs = (int)ceil_div(tail, vec);
    if (full)
        w->widths[w->n_widths++] =
            (struct winograd_blocks){.count = full, .vecs = (int)w->p->oc, .last = (int)vec};
    if (tail)
        w->widths[w->n_widths++] = (struct winograd_blocks){
            .count = 1, .first = full * width, .vecs = vecs, .last = (int)(tail - (vecs - 1) * vec)};
    for (int i = 0; i < w->n_widths; i++) blocks_of(w, &w->widths[i]);
    if (w->n_widths == 2) w->widths[1].packed = w->g.g * full * w->widths[0].floats;
    w->oc_blocks = full + (tail > 0);
}

/* Floats for what lies outside dst: in nhwc, from the first column of a tile to the last that can exist.
 * Columns behind the last go elsewhere, so that only rows, and tiles of interleaved runs, can lie outside. */
static int64_t trash_of(const struct winograd *w)
{
    int64_t last = (w->w.f.m - 1) * w->w.span.dilation, most = w->w.span.out - 1;
    if (w->g.y.c > 1 || (w->h.whole && (w->w.whole || w->w.phases == 1))) return 0;
    return (last < most ? last : most) * w->g.y.w + w->p->vec;
}

/* Products are a vector more than their tiles apart: where that is a power of two, the lines of all of
 * them would share a few sets of the caches. */
static void scratch_of(struct winograd *w)
{
    int64_t vec = w->p->vec, width = w->widths[0].vecs * vec;
    int64_t nchw = w->g.y.c > 1 ? w->h.f.m * w->columns * vec : 0;
    w->v_step = (w->ic_vecs * w->block + 1) * vec;
    w->sums_step = w->block * width + vec;
    w->sums = w->v + w->products * w->v_step;
    w->stage = w->sums + w->products * w->sums_step;
    w->outputs = w->stage + w->h.f.alpha * w->columns * vec;
    w->trash = w->outputs + nchw;
    w->scratch = w->trash + trash_of(w);
}

bool winograd_of(const struct plan *p, struct winograd *made)
{
    struct winograd w = {.p = p, .g = geometry_of(&p->conv)};
    if (!axis_of(&w.g.h, p->m, &w.h) || !axis_of(&w.g.w, p->m, &w.w)) return false;
    w.products = w.h.f.alpha * w.w.f.alpha;
    w.per_row = w.w.tiles;
    w.rows = w.g.n * w.h.phases * w.h.tiles * w.w.phases;
    w.total = w.rows * w.per_row;
    int64_t all = round_up(w.total, p->ow); /* register tiles are whole */
    w.block = p->block < all ? p->block : all;
    w.blocks = ceil_div(w.total, w.block);
    w.ic_vecs = ceil_div(w.g.ic, p->vec);
    w.sum = p->ic < w.g.ic ? p->ic : w.g.ic;
    strip_of(&w), widths_of(&w), scratch_of(&w);
    *made = w;
    return true;
}

int64_t winograd_sum_most(const struct winograd *w)
{
    enum { FEW_PRODUCTS = 16, SUM_OF_FEW = 512, SUM_OF_MANY = 96 };
    return w->products <= FEW_PRODUCTS ? SUM_OF_FEW : SUM_OF_MANY;
}

static bool kernel_fits(int64_t kernel) { return kernel == 1 || kernel == 3 || kernel == 5; }

static const char *applicable(const struct kiln_conv *c, const struct cpu *cpu)
{
    (void)cpu;
    struct geometry g = geometry_of(c);
    if (!kernel_fits(c->kh) || !kernel_fits(c->kw) || (c->kh == 1 && c->kw == 1))
        return "it needs kh and kw of 1, 3 or 5, not both 1";
    if (c->sh != 1 || c->sw != 1) return "it needs strides of 1";
    if (c->dh > MAX_DILATION || c->dw > MAX_DILATION) return "it needs dilations of at most 1024";
    if (c->layout == KILN_LAYOUT_NCHW && c->dw > 1 && c->kw > 1)
        return "in nchw it needs dw of 1, since it loads neighbouring pixels as vectors";
    if (g.x.n >> MAX_IMAGE_BITS || g.y.n >> MAX_IMAGE_BITS)
        return "it needs images of src and dst of less than 2^36 elements";
    if (c->ic == c->g) return "it needs more than one input channel per group";
    return NULL;
}

/* The longer kernel says which m there are, as products come in even numbers. */
static const char *m_refused(const struct plan *p)
{
    static const char *const allowed[2][2] = {
        {"m must be 2 or 4 for a kernel of 3; 6 needs the accuracy fast",
         "m must be 2, 4 or 6 for a kernel of 3"},
        {"m must be 2 for a kernel of 5; 4 needs the accuracy fast", "m must be 2 or 4 for a kernel of 5"},
    };
    const struct kiln_conv *c = &p->conv;
    int64_t kernel = c->kh > c->kw ? c->kh : c->kw;
    bool fast = c->accuracy == KILN_ACCURACY_FAST;
    bool fits = p->m % 2 == 0 && p->m + kernel - 1 <= (fast ? ALPHA_FAST : ALPHA_MOST);
    return fits ? NULL : allowed[kernel > 3][fast];
}

static const char *check(const struct plan *p)
{
    const char *why = m_refused(p);
    if (why) return why;
    struct winograd w;
    if (panel_registers(p, p->ow, p->oc) > p->cpu.registers)
        return "ow * oc accumulators, oc vectors of weights and a broadcast exceed the vector registers";
    bool fits = winograd_of(p, &w);
    assert(fits);
    (void)fits;
    if (p->vec % p->step) return "step must divide vec";
    if (p->ic < w.g.ic && p->ic % p->vec) return "ic must be a multiple of vec, or all of a group's";
    if (w.sum > winograd_sum_most(&w))
        return "ic must be at most 96, or 512 with up to 16 products, so that rounding errors stay small";
    if (w.scratch > MAX_SCRATCH)
        return "it would need more than 1 GiB of scratch; a smaller block needs less";
    return NULL;
}

static struct plan_sizes sizes(const struct plan *p)
{
    struct winograd w;
    bool fits = winograd_of(p, &w);
    assert(fits);
    (void)fits;
    const struct winograd_blocks *last = &w.widths[w.n_widths - 1];
    return (struct plan_sizes){
        .packed = last->packed + w.g.g * last->count * last->floats,
        .scratch = w.scratch,
        .tasks = w.g.g * w.blocks * w.oc_blocks,
    };
}

/* ---- how it reads ---- */

static void put_axis(struct text *t, const char *name, const struct winograd_axis *a)
{
    if (a->f.alpha == 1) return;
    text_put(t, "%s: F(%d,%d) of %d products, %lld tiles", name, a->f.m, a->f.r, a->f.alpha,
             (long long)(a->phases * a->tiles));
    if (a->phases > 1) text_put(t, " in %lld phases", (long long)a->phases);
    text_put(t, "; ");
}

static void nest(const struct plan *p, struct text *t)
{
    struct winograd w;
    winograd_of(p, &w);
    text_put(t, "  ");
    put_axis(t, "oh", &w.h), put_axis(t, "ow", &w.w);
    text_put(t, "%d products in all\n", w.products);
    text_put(t, "  for g in %lld, block in %lld of %lld tiles\n", (long long)w.g.g, (long long)w.blocks,
             (long long)w.block);
    text_put(t, "    v = transformed src, for ic in %lld vectors of %lld, by strips of %lld tiles\n",
             (long long)w.ic_vecs, (long long)p->vec, (long long)w.strip);
    for (const struct winograd_blocks *b = w.widths; b < w.widths + w.n_widths; b++) {
        text_put(t, "    for oc in %lld x %d vectors", (long long)b->count, b->vecs);
        if (b->last < p->vec) text_put(t, " (the last of %d lanes)", b->last);
        text_put(t, "\n      for product in %d, panel in %lld, tiles in", w.products,
                 (long long)ceil_div(w.g.ic, w.sum));
        for (int i = 0; i < b->n_tiles; i++)
            text_put(t, "%s %lld x %d", i ? " +" : "", (long long)b->tiles[i].count, b->tiles[i].n);
        text_put(t, ", ic in %lld by %lld\n        acc[i][j] += v[i] * u[j]\n", (long long)w.sum,
                 (long long)p->step);
        text_put(t, "      dst = post-ops(transformed sums)%s\n", w.g.y.c == 1 ? "" : ", transposed");
    }
}

const struct algo algo_winograd = {
    .name = "winograd",
    .summary =
        "fewer products: tiles transformed, multiplied, transformed back; 3- and 5-tap kernels, stride 1",
    .exact = false,
    .knobs = "vec m block ow oc ic step",
    .applicable = applicable,
    .geometry = geometry_of,
    .check = check,
    .propose = winograd_propose,
    .cost = winograd_cost,
    .sizes = sizes,
    .nest = nest,
    .emit_run = winograd_run,
    .emit_pack = winograd_pack,
};
