/* Emits the lanewise nest: run and pack. */
#include "lanewise.h"

#include "post.h"
#include "taps.h"

#include <assert.h>

enum { MAX_REGISTERS = 32 }; /* of any cpu: bounds the vectors of a tile and their accumulators */

/* The one tile being emitted. A "vector" of it is a pixel's, or pixels', of which it has rows * width. */
struct tile {
    const struct lanewise *l;
    const struct seg *r, *c; /* rows (NULL: one, bounds at run time), columns */
    value src, wei, dst;     /* src: x of the first vector at tap 0,0; may lie outside the tensor */
    struct operands post;
    lanes_mask lanes; /* of src that there are; by=ic: in whole chunks */
    int rows, width;
    struct slot acc[MAX_REGISTERS][MAX_REGISTERS]; /* [vector][sum] */
};

/* ---- the reduction ---- */

/* The lanes of vector i that tap (kh, kw) reads; 0: none. */
static lanes_mask lanes_at(const struct tile *t, int i, value kh, int64_t kw, lanes_mask there)
{
    const struct span *h = &t->l->g.h;
    if (t->r && axis_where(h, t->r, i / t->width, constant(kh), constant(kh) + 1) == WHERE_OUTSIDE) return 0;
    return there & lanewise_inside(t->l, t->c, i % t->width, kw);
}

static value load_x(struct emit *e, const struct tile *t, int i, value x, lanes_mask mask)
{
    const struct geometry *g = &t->l->g;
    int64_t column = (int64_t)(i % t->width) * t->l->pixels * g->w.stride;
    return load_lanes(e, plus(e, x, i / t->width * g->h.stride * g->x.h + column * g->x.w), mask);
}

static value load_w(struct emit *e, const struct tile *t, value w, int j)
{
    return load_aligned(e, plus(e, w, j * t->l->p->vec));
}

static void multiply(struct emit *e, const struct tile *t, int i, int j, value x, value w)
{
    if (x && w) set(e, t->acc[i][j], vfma(e, x, w, get(e, t->acc[i][j])));
}

/* One tap of one chunk; x and w are its addresses. The fewer, vectors of src or of weights, are held in
 * registers, and each of the others is met by all of them. */
static void tap(struct emit *e, struct tile *t, value x, value w, value kh, int64_t kw, lanes_mask there)
{
    int vectors = t->rows * t->width, sums = t->l->sums;
    value xs[MAX_REGISTERS] = {0}, ws[MAX_REGISTERS] = {0};
    lanes_mask masks[MAX_REGISTERS], any = 0;
    for (int i = 0; i < vectors; i++) any |= masks[i] = lanes_at(t, i, kh, kw, there);
    if (!any) return;
    bool hold_x = vectors < sums;
    for (int i = 0; hold_x && i < vectors; i++) xs[i] = masks[i] ? load_x(e, t, i, x, masks[i]) : NULL;
    for (int j = 0; j < sums; j++) {
        ws[j] = load_w(e, t, w, j);
        for (int i = 0; hold_x && i < vectors; i++) multiply(e, t, i, j, xs[i], ws[j]);
    }
    for (int i = 0; !hold_x && i < vectors; i++) {
        if (masks[i]) xs[i] = load_x(e, t, i, x, masks[i]);
        for (int j = 0; j < sums; j++) multiply(e, t, i, j, xs[i], ws[j]);
    }
}

/* The taps of a row of one chunk. Opaque, so that LLVM does not find that taps load the same. */
static void chunk(struct emit *e, struct tile *t, value x, value w, value kh, lanes_mask there)
{
    const struct span *a = &t->l->g.w;
    for (int64_t kw = 0; kw < a->kernel; kw++) {
        value at_tap = opaque(e, plus(e, x, kw * a->dilation * t->l->g.x.w));
        tap(e, t, at_tap, plus(e, w, kw * t->l->sums * t->l->p->vec), kh, kw, there);
    }
}

static void tap_row(struct emit *e, struct tile *t, value kh)
{
    const struct lanewise *l = t->l;
    int64_t vec = l->p->vec, taps = l->g.w.kernel * l->sums * vec, whole = l->chunks - (l->in_tail > 0);
    struct slot xs = slot(e, "x", at(e, t->src, mul(e, kh, l->g.h.dilation * l->g.x.h)));
    struct slot ws = slot(e, "w", at(e, t->wei, mul(e, kh, l->chunks * taps)));
    FOR (ic, whole) {
        value x = opaque(e, get(e, xs)), w = opaque(e, get(e, ws));
        set(e, xs, plus(e, x, vec)), set(e, ws, plus(e, w, taps));
        chunk(e, t, x, w, kh, t->lanes);
    }
    if (l->in_tail) chunk(e, t, opaque(e, get(e, xs)), opaque(e, get(e, ws)), kh, first_lanes(l->in_tail));
}

static void reduce(struct emit *e, struct tile *t, value ih)
{
    const struct span *h = &t->l->g.h;
    value lo = k(e, 0), hi = k(e, h->kernel);
    if (!t->r && !axis_inside(h)) tap_bounds(e, h, ih, &lo, &hi);
    TURN (kh, t->r ? TURN_UNROLL : TURN_LOOP, lo, hi) tap_row(e, t, kh.i);
}

/* ---- the end ---- */

/* v with each run of n lanes rotated: lane 0 goes to lane `by`. */
static value rotate(struct emit *e, value v, int by, int n)
{
    int lanes[MAX_REGISTERS];
    for (int i = 0; i < e->lanes; i++) lanes[i] = i / n * n + (i % n + n - by) % n;
    return shuffle(e, v, v, lanes, e->lanes);
}

/* The sum of all v[r], each rotated by r within runs of n lanes. */
static value rotated_sum(struct emit *e, value *v, int n)
{
    for (int half = n / 2; half; half /= 2)
        for (int r = 0; r < half; r++) v[r] = vadd(e, v[r], rotate(e, v[r + half], half, n));
    return v[0];
}

/* The first n elements from p on, over and over again. */
static value load_repeated(struct emit *e, value p, int n)
{
    int lanes[MAX_REGISTERS];
    for (int i = 0; i < e->lanes; i++) lanes[i] = i % n;
    value v = load_lanes(e, p, first_lanes(n));
    return n < e->lanes ? shuffle(e, v, v, lanes, e->lanes) : v;
}

static void finish(struct emit *e, const struct tile *t, value v, value bias, int64_t offset, lanes_mask mask)
{
    value with = t->post.add ? load_lanes(e, plus(e, t->post.add, offset), mask) : NULL;
    store_lanes(e, post_apply(e, &t->l->p->conv, v, bias, with), plus(e, t->dst, offset), mask);
}

/* by=oc and by=px: a vector of outputs for each vector of src. */
static void store_rotated(struct emit *e, struct tile *t)
{
    const struct geometry *g = &t->l->g;
    int pixels = t->l->pixels, vec = e->lanes, of_a_pixel = vec / pixels;
    value bias = NULL, v[MAX_REGISTERS];
    if (t->post.bias && pixels == 1) bias = load_lanes(e, t->post.bias, t->lanes);
    if (t->post.bias && pixels > 1) bias = load_repeated(e, t->post.bias, of_a_pixel);
    for (int i = 0; i < t->rows * t->width; i++) {
        int left = (t->c->n - i % t->width * pixels) * of_a_pixel; /* lanes of the row */
        for (int j = 0; j < t->l->sums; j++) v[j] = get(e, t->acc[i][j]);
        int64_t offset = i / t->width * g->y.h + (int64_t)(i % t->width) * pixels * g->y.w;
        lanes_mask mask = pixels == 1 ? t->lanes : first_lanes(left < vec ? left : vec);
        finish(e, t, rotated_sum(e, v, t->l->sums), bias, offset, mask);
    }
}

/* by=ic: outputs of as many pixels as fit a vector, if a pixel's are all that it has. */
static void store_summed(struct emit *e, struct tile *t)
{
    const struct geometry *g = &t->l->g;
    int sums = t->l->sums, at_once = g->y.w == sums ? e->lanes / sums : 1;
    value bias = t->post.bias ? load_repeated(e, t->post.bias, sums) : NULL, v[MAX_REGISTERS];
    for (int r = 0; r < t->rows; r++)
        for (int i = 0; i < t->width; i += at_once) {
            int n = t->width - i < at_once ? t->width - i : at_once;
            for (int j = 0; j < n * sums; j++) v[j] = get(e, t->acc[r * t->width + i + j / sums][j % sums]);
            lane_sums(e, v, n * sums);
            finish(e, t, v[0], bias, r * g->y.h + i * g->y.w, first_lanes(n * sums));
        }
}

/* ---- one tile ---- */

static void tile(struct emit *e, struct tile t, value oh, value ow)
{
    const struct geometry *g = &t.l->g;
    value ih = sub(e, mul(e, oh, g->h.stride), k(e, g->h.pad)),
          iw = sub(e, mul(e, ow, g->w.stride), k(e, g->w.pad));
    value y = add(e, mul(e, oh, g->y.h), mul(e, ow, g->y.w));
    t.rows = t.r ? t.r->n : 1, t.width = lanewise_width(t.l, t.c);
    assert(t.rows * t.width <= MAX_REGISTERS && t.l->sums <= MAX_REGISTERS);
    t.src = at(e, t.src, add(e, mul(e, ih, g->x.h), mul(e, iw, g->x.w)));
    t.dst = opaque(e, at(e, t.dst, y));
    if (t.post.add) t.post.add = opaque(e, at(e, t.post.add, y));
    for (int i = 0; i < t.rows * t.width; i++)
        for (int j = 0; j < t.l->sums; j++) t.acc[i][j] = slot(e, "acc", zero(e));
    reduce(e, &t, ih);
    if (t.l->p->by == BY_IC)
        store_summed(e, &t);
    else
        store_rotated(e, &t);
}

/* ---- tasks ---- */

/* The tensors moved on to a block. */
static struct tile moved(struct emit *e, struct tile t, value block)
{
    const struct lanewise *l = t.l;
    bool inputs = l->p->by == BY_IC;
    int64_t of_group = l->blocks / l->p->conv.g; /* by=ic */
    value y = mul(e, block, inputs ? l->sums : l->p->vec);
    t.src = at(e, t.src, inputs ? mul(e, quo(e, block, of_group), l->g.ic) : y);
    t.wei = at(e, t.wei, mul(e, block, l->floats));
    t.dst = at(e, t.dst, y);
    if (t.post.bias) t.post.bias = at(e, t.post.bias, y);
    if (t.post.add) t.post.add = at(e, t.post.add, y);
    return t;
}

/* Blocks [lo, hi) of one column tile; the last of all may have fewer lanes. */
static void blocks(struct emit *e, struct tile t, value oh, value ow, value lo, value hi)
{
    const struct lanewise *l = t.l;
    int64_t whole = l->blocks - (l->out_tail > 0);
    FROM (block, lo, l->out_tail ? least(e, hi, k(e, whole)) : hi) tile(e, moved(e, t, block.i), oh, ow);
    if (!l->out_tail) return;
    t.lanes = first_lanes(l->out_tail);
    TURN (last, known(hi) ? TURN_LOOP : TURN_ONCE, most(e, lo, k(e, whole)), hi)
        tile(e, moved(e, t, k(e, whole)), oh, ow);
}

/* All column tiles of one row of tiles, or those of one cut. */
static void columns(struct emit *e, struct tile t, value oh, value cut, value lo, value hi)
{
    const struct lanewise *l = t.l;
    int64_t before = 0;
    value first = mul(e, cut, l->p->chunk), end = add(e, first, k(e, l->p->chunk));
    for (t.c = l->cols; t.c < l->cols + l->n_cols; before += t.c++->count) {
        value from = k(e, before), to = k(e, before + t.c->count);
        if (l->cuts > 1) from = most(e, from, first), to = least(e, to, end);
        FROM (ow, from, to) {
            value column = add(e, mul(e, sub(e, ow.i, k(e, before)), t.c->n), k(e, t.c->first));
            blocks(e, t, oh, column, lo, hi);
        }
    }
}

/* Task i: [pass][image][row][cut]. */
static void task(struct emit *e, struct tile t, value i)
{
    const struct lanewise *l = t.l;
    int64_t row_tasks = lanewise_row_tasks(l);
    value cut = rem(e, i, l->cuts), rest = quo(e, i, l->cuts), row = rem(e, rest, row_tasks);
    value image = rem(e, quo(e, rest, row_tasks), l->g.n), pass = quo(e, rest, row_tasks * l->g.n);
    value lo = l->passes > 1 ? mul(e, pass, l->pass) : k(e, 0), hi = add(e, lo, k(e, l->pass));
    if (l->blocks % l->pass) hi = least(e, hi, k(e, l->blocks));
    value y = mul(e, image, l->g.y.n);
    t.src = at(e, t.src, mul(e, image, l->g.x.n)), t.dst = at(e, t.dst, y);
    if (t.post.add) t.post.add = at(e, t.post.add, y);
    if (!l->n_rows) columns(e, t, row, cut, lo, hi);
    for (t.r = l->rows; l->n_rows && t.r < l->rows + l->n_rows; t.r++)
        FOR (oh, t.r->count) columns(e, t, add(e, mul(e, oh.i, t.r->n), k(e, t.r->first)), cut, lo, hi);
}

void lanewise_run(struct emit *e, const struct plan *p)
{
    struct lanewise l;
    lanewise_of(p, &l);
    function_begin(e, "run", "piip");
    struct tile all = {
        .l = &l,
        .src = arg(e, offsetof(struct kiln_args, src)),
        .wei = arg(e, offsetof(struct kiln_args, weights)),
        .dst = arg(e, offsetof(struct kiln_args, dst)),
        .post = post_operands(e, &p->conv),
        .lanes = first_lanes((int)p->vec),
    };
    FROM (piece, param(e, 1), param(e, 2)) task(e, all, piece.i);
    function_end(e);
}

/* ---- pack ---- */

/* One vector of weights: accumulator `sum`, tap `tap` (kh * KW + kw), of a chunk of a block. */
struct packing {
    const struct lanewise *l;
    struct slot to;
    value weights, block, chunk, tap, sum;
};

static void pack_lane(struct emit *e, const struct packing *w, value lane, value oc, value ic)
{
    const struct geometry *g = &w->l->g;
    value filter = add(e, mul(e, oc, g->ic), ic);
    value from = add(e, mul(e, filter, g->h.kernel * g->w.kernel), w->tap);
    store_scalar(e, load_scalar(e, at(e, w->weights, from)), at(e, get(e, w->to), lane));
}

/* by=oc and by=px: the groups of the block; of pixels that share them, over and over. Returns the lanes
 * written. */
static value pack_rotated(struct emit *e, const struct packing *w)
{
    const struct lanewise *l = w->l;
    int64_t n = l->g.ic, groups = l->p->vec / n;
    value first = mul(e, w->block, groups), there = k(e, groups);
    if (l->out_tail) there = least(e, there, sub(e, k(e, l->p->conv.g), first));
    FROM (group, k(e, 0), there)
        FOR (ic, n) {
            value of_all = rem(e, add(e, first, group.i), l->p->conv.g);
            value oc = add(e, mul(e, of_all, n), rem(e, add(e, ic.i, w->sum), n));
            pack_lane(e, w, add(e, mul(e, group.i, n), ic.i), oc, ic.i);
        }
    return mul(e, there, n);
}

/* by=ic: the input channels of the chunk. */
static value pack_inputs(struct emit *e, const struct packing *w)
{
    const struct lanewise *l = w->l;
    value first = mul(e, w->chunk, l->p->vec), there = k(e, l->p->vec);
    if (l->in_tail) there = least(e, there, sub(e, k(e, l->g.ic), first));
    value oc = add(e, mul(e, w->block, l->sums), w->sum);
    FROM (ic, k(e, 0), there) pack_lane(e, w, ic.i, oc, add(e, first, ic.i));
    return there;
}

static void pack_vector(struct emit *e, const struct packing *w)
{
    int64_t vec = w->l->p->vec;
    value have = w->l->p->by == BY_IC ? pack_inputs(e, w) : pack_rotated(e, w);
    FROM (gap, have, k(e, vec)) store_scalar(e, LLVMConstNull(e->f32), at(e, get(e, w->to), gap.i));
    set(e, w->to, plus(e, get(e, w->to), vec));
}

void lanewise_pack(struct emit *e, const struct plan *p)
{
    struct lanewise l;
    lanewise_of(p, &l);
    function_begin(e, "pack", "pp");
    struct packing w = {.l = &l, .weights = param(e, 0), .to = slot(e, "to", param(e, 1))};
    int64_t kws = l.g.w.kernel;
    FOR (block, l.blocks)
        FOR (kh, l.g.h.kernel)
            FOR (chunk, l.chunks)
                FOR (kw, kws)
                    FOR (sum, l.sums) {
                        w.block = block.i, w.chunk = chunk.i, w.sum = sum.i;
                        w.tap = add(e, mul(e, kh.i, kws), kw.i);
                        pack_vector(e, &w);
                    }
    function_end(e);
}
