/* What lanewise plans cost, as the planner believes. */
#include "lanewise.h"

#include "machine.h"
#include "post.h"

#include <assert.h>

/* Vectors of one row of a tile that each tap of a row reads, and the loads of src that they cost. */
struct row {
    double vectors, loads, taps; /* summed over the taps; taps that read any */
};

/* Loads that one of x counts for: those that cross from line to line count twice, those of some lanes, where
 * there are no masks, are made lane by lane. */
static double load_of(const struct lanewise *l, lanes_mask mask)
{
    const struct plan *p = l->p;
    enum { LINE = 16 }; /* floats */
    bool whole = mask == first_lanes((int)p->vec);
    if (!whole && !p->cpu.masks) return 2.0 * (double)p->vec;
    return l->g.x.w % p->vec ? 1 + (double)p->vec / LINE : 1;
}

static struct row row_of(const struct lanewise *l, const struct seg *c)
{
    struct row r = {0};
    lanes_mask there = l->in_tail && l->chunks == 1 ? first_lanes(l->in_tail) : first_lanes((int)l->p->vec);
    for (int64_t kw = 0; kw < l->g.w.kernel; kw++) {
        bool any = false;
        for (int i = 0; i < lanewise_width(l, c); i++) {
            lanes_mask mask = there & lanewise_inside(l, c, i, kw);
            if (!mask) continue;
            r.vectors++, r.loads += load_of(l, mask), any = true;
        }
        r.taps += any;
    }
    return r;
}

/* Pairs of a row of the tile and a tap row that are inside; and tap rows with any. */
static void rows_of(const struct lanewise *l, const struct seg *r, double *pairs, double *tap_rows)
{
    const struct span *h = &l->g.h;
    *pairs = *tap_rows = (double)h->kernel * axis_share(h);
    if (!r) return;
    *pairs = *tap_rows = 0;
    for (int64_t kh = 0; kh < h->kernel; kh++) {
        int n = 0;
        for (int i = 0; i < r->n; i++) n += axis_where(h, r, i, kh, kh + 1) != WHERE_OUTSIDE;
        *pairs += n, *tap_rows += n > 0;
    }
}

/* Cycles in which a tile's weights come, and those of its vectors of src that no tap before has read, from
 * wherever they stay between tiles: weights, until the blocks of a pass have been through; src, until the
 * next row of outputs. */
static double stream_cycles(const struct lanewise *l, double vectors, double weights, double tap_rows)
{
    const struct cpu *cpu = &l->p->cpu;
    double packed = 4.0 * (double)(l->floats * l->pass), vector = 4.0 * (double)l->p->vec * (double)l->chunks;
    double channels = l->p->by == BY_OC ? (double)(l->pass * l->p->vec) : (double)l->g.ic;
    double rows = 4.0 * channels * (double)l->g.w.in * (double)l->g.h.kernel;
    double fresh = vectors * (double)l->g.w.stride * (tap_rows - 1); /* one row is new to all: `memory` */
    if (l->p->by == BY_IC) fresh /= (double)l->pass;
    return vector * (larger(fresh, 0) / stream_rate(cpu, packed + rows) + weights / stream_rate(cpu, packed));
}

/* Cycles at the end of a tile of so many vectors: shuffles, of which a machine does one of the widest at a
 * time, and what is done with each result. */
static double end_cost(const struct lanewise *l, double vectors)
{
    const struct plan *p = l->p;
    double results = vectors, shuffles = vectors * (l->sums - 1);
    if (p->by == BY_IC) {
        double at_once = l->g.y.w == l->sums ? (double)(p->vec / l->sums) : 1;
        results = ceil(vectors / at_once),
        shuffles = 2 * vectors * l->sums + 2 * log2((double)p->vec) * results;
    }
    bool by_lane = !p->cpu.masks && (l->out_tail || p->by == BY_IC);
    double each = 1.5 + post_cost(&p->conv) + (by_lane ? (double)p->vec : 0);
    return shuffles / rate(&p->cpu, 1, p->vec) + results * each / 2;
}

/* FMAs in the code of the tiles of rows r and columns whose taps are `row`. */
static int64_t code_of(const struct lanewise *l, const struct seg *r, const struct row *row, double pairs)
{
    bool two_ends = l->chunks > 1 && l->in_tail, two_blocks = l->blocks > 1 && l->out_tail;
    return (int64_t)((r ? pairs : 1) * row->vectors) * l->sums * (two_ends || two_blocks ? 2 : 1);
}

/* Adds `tiles` tiles of rows r (NULL: one row, bounds at run time) and columns s; their code once. Tiles are
 * short and do not wait for each other: of what surrounds one, and of its latency, the next hides a part. */
static void tile_cost(const struct lanewise *l, const struct seg *r, const struct seg *s, double tiles,
                      struct cost *c)
{
    const struct cpu *cpu = &l->p->cpu;
    const double shown = 0.6;
    int64_t vec = l->p->vec;
    double pairs, tap_rows, chunks = (double)l->chunks;
    double vectors = (double)(r ? r->n : 1) * lanewise_width(l, s);
    struct row row = row_of(l, s);
    rows_of(l, r, &pairs, &tap_rows);
    double weights = tap_rows * row.taps * l->sums;
    double fma = pairs * row.vectors * l->sums * chunks, load = (pairs * row.loads + weights) * chunks;
    double issue = (fma * (cpu->fma ? 1 : 2) + load + 4 * tap_rows * chunks) / ISSUE_WIDTH;
    double latency = tap_rows * row.taps * chunks * FMA_LATENCY * (l->chunks > 1 ? 1 : shown);
    fma /= rate(cpu, cpu->fma_per_cycle, vec);
    load = larger(load / rate(cpu, cpu->load_per_cycle, vec), stream_cycles(l, vectors, weights, tap_rows));
    c->fma += tiles * fma, c->loads += tiles * load, c->issue += tiles * issue;
    c->latency += tiles * latency;
    c->cycles += tiles * together((const double[]){fma, load, issue, latency}, 4);
    double around = TILE_OVERHEAD / 4.0 + tap_rows * ENTER_STEPS / 2.0, end = end_cost(l, vectors);
    c->overhead += tiles * (shown * around + tap_rows * BODY_OVERHEAD * chunks);
    c->overhead += tiles * (l->p->by == BY_IC ? 1.5 : shown) * end; /* sums of lanes wait for each other */
    c->fmas += code_of(l, r, &row, pairs);
}

struct cost lanewise_cost(const struct plan *p)
{
    struct lanewise l;
    bool fits = lanewise_of(p, &l);
    assert(fits);
    (void)fits;
    int vectors = (int)(p->ow * p->oh);
    struct cost c = {
        .registers = lanewise_registers(p, vectors, l.sums),
        .tile = {
            vectors, l.sums, {"x", vectors < l.sums ? vectors : 1}, {"w", vectors < l.sums ? 1 : l.sums}}};
    double blocks = (double)(l.g.n * l.blocks);
    for (const struct seg *s = l.cols; s < l.cols + l.n_cols; s++) {
        if (!l.n_rows) tile_cost(&l, NULL, s, blocks * (double)(l.g.h.out * s->count), &c);
        for (int r = 0; r < l.n_rows; r++)
            tile_cost(&l, &l.rows[r], s, blocks * (double)(l.rows[r].count * s->count), &c);
    }
    c.tile_fmas = vectors * l.sums * l.g.w.kernel * (p->unroll == UNROLL_KH ? l.g.h.kernel : 1);
    c.tile_loads = c.tile_fmas / l.sums + c.tile_fmas / vectors;
    double src = src_bytes(&p->conv), dst = dst_bytes(&p->conv);
    double weights = 4.0 * (double)(l.blocks * l.floats), bytes = src + dst;
    /* Beyond L2 a pass over some of the channels streams worse than one over whole pixels. */
    bool scattered = p->by == BY_OC && l.passes > 1 && beyond_l2(&p->cpu, bytes);
    c.memory =
        (scattered ? 1.3 : 1) * bytes / stream_rate(&p->cpu, bytes) + weights / stream_rate(&p->cpu, weights);
    c.cycles = overlapped(c.cycles + c.overhead, c.memory);
    return c;
}
