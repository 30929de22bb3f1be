/* What winograd plans cost, as the planner believes, and which are worth proposing. */
#include "machine.h"
#include "panel.h"
#include "winograd.h"

#include <assert.h>

/* ---- the products ---- */

/* FMAs of a turn over n channels as emitted: those of whole vectors of channels, and of the rest. */
static int64_t steps_emitted(const struct plan *p, int64_t n)
{
    int64_t rest = n % p->vec;
    return (n >= p->vec ? p->step : 0) + (rest >= p->step ? p->step : 0) + rest % p->step;
}

static int64_t multiply_code(const struct winograd *w)
{
    int64_t steps = steps_emitted(w->p, w->sum), fmas = 0;
    if (w->g.ic % w->sum) steps += steps_emitted(w->p, w->g.ic % w->sum);
    for (const struct winograd_blocks *b = w->widths; b < w->widths + w->n_widths; b++)
        for (const struct seg *s = b->tiles; s < b->tiles + b->n_tiles; s++) fmas += s->n * b->vecs * steps;
    return fmas;
}

/* One channel of one register tile. What of v and u does not stay in L1 comes from L2. */
static void step_cost(const struct winograd *w, int vecs, int tiles, double times, struct cost *c)
{
    enum { TURN = 6 };
    const struct plan *p = w->p;
    const struct cpu *cpu = &p->cpu;
    double vec = (double)p->vec, wide = rate(cpu, cpu->load_per_cycle, p->vec);
    double fma = tiles * vecs / rate(cpu, cpu->fma_per_cycle, p->vec);
    double panel = 4 * vecs * vec * (double)w->sum, lines = 4 * (double)(tiles * w->sum);
    double bytes = 4 * vecs * vec / stream_rate(cpu, panel + lines) +
                   4.0 * tiles / stream_rate(cpu, panel + 4.0 * (double)(w->block * w->g.ic));
    double loads = larger(vecs / wide + tiles / rate(cpu, cpu->load_per_cycle, 1), bytes);
    double issue =
        (tiles * vecs * (cpu->fma ? 1 : 2) + vecs + (vecs > 1 ? tiles : 0) + TURN / (double)p->step) /
        ISSUE_WIDTH;
    c->fma += times * fma, c->loads += times * loads;
    c->issue += times * issue, c->latency += times * FMA_LATENCY;
    c->cycles += times * together((const double[]){fma, loads, issue, FMA_LATENCY}, 4);
    c->overhead += times * BODY_OVERHEAD / (double)p->step;
}

/* Vectors stored a cycle. */
static double store_rate(const struct cpu *cpu, int64_t lanes)
{
    return rate(cpu, cpu->load_per_cycle, lanes) / 2;
}

static void multiply_cost(const struct winograd *w, double slots, struct cost *c)
{
    const struct plan *p = w->p;
    double blocks = slots / (double)w->block * (double)(w->g.g * w->products);
    double sums = (double)ceil_div(w->g.ic, w->sum);
    for (const struct winograd_blocks *b = w->widths; b < w->widths + w->n_widths; b++)
        for (const struct seg *s = b->tiles; s < b->tiles + b->n_tiles; s++) {
            double times = blocks * (double)(b->count * s->count);
            step_cost(w, b->vecs, s->n, times * (double)w->g.ic, c);
            c->overhead +=
                times * sums * (TILE_OVERHEAD / 2.0 + s->n * b->vecs / store_rate(&p->cpu, p->vec));
        }
}

/* ---- the transforms ---- */

/* Cycles of one tile and vector: along h for all columns, then along w for all rows that come of it. */
static double transform_cycles(const struct winograd *w, struct toom_work h, struct toom_work v, int columns,
                               int rows, double stores)
{
    const struct cpu *cpu = &w->p->cpu;
    double fmas = columns * (h.fmas + h.adds) + rows * (v.fmas + v.adds), loads = columns * h.reads;
    double parts[] = {fmas / rate(cpu, cpu->fma_per_cycle, w->p->vec),
                      loads / rate(cpu, cpu->load_per_cycle, w->p->vec), stores / store_rate(cpu, w->p->vec),
                      (fmas * (cpu->fma ? 1 : 1.5) + loads + stores) / ISSUE_WIDTH};
    return together(parts, sizeof parts / sizeof *parts);
}

/* Rows of pixels, or of vectors transposed, through the stage. */
static double staging_cycles(const struct winograd *w, double pixels, int64_t lanes_step)
{
    const struct cpu *cpu = &w->p->cpu;
    double moves = pixels / store_rate(cpu, w->p->vec), vec = (double)w->p->vec;
    if (lanes_step == 1) return moves;
    double masks = cpu->masks ? 1 : vec; /* otherwise lane by lane */
    return moves + pixels * (log2(vec) + masks) / rate(cpu, cpu->load_per_cycle, w->p->vec);
}

static void transform_cost(const struct winograd *w, double slots, struct cost *c)
{
    enum { PER_STRIP = 40, PER_TILE = 4 };
    const struct toom *h = &w->h.f, *v = &w->w.f;
    double outs = h->m * v->m, ops = 1 + (double)w->p->conv.post_count;
    double oc_vecs = 0, strip = (double)w->strip, strips = (double)(w->rows * ceil_div(w->per_row, w->strip));
    for (const struct winograd_blocks *b = w->widths; b < w->widths + w->n_widths; b++)
        oc_vecs += (double)(b->count * b->vecs);
    double in = transform_cycles(w, toom_input_work(h), toom_input_work(v), v->alpha, h->alpha, w->products);
    double out = transform_cycles(w, toom_output_work(h), toom_output_work(v), v->alpha, h->m, outs * ops);
    double staged = h->alpha * (v->m + (v->alpha - v->m) / strip);
    in += staging_cycles(w, staged, w->g.x.c) + PER_TILE;
    out += (w->g.y.c > 1 ? staging_cycles(w, outs, w->g.y.c) : 0) + PER_TILE;
    c->transform = (double)w->g.g * (slots * (in * (double)w->ic_vecs + out * oc_vecs) +
                                     strips * PER_STRIP * ((double)w->ic_vecs + oc_vecs));
    c->cycles += c->transform;
}

static int64_t transform_code(const struct winograd *w)
{
    const struct toom *h = &w->h.f, *v = &w->w.f;
    int64_t in = toom_input_work(h).fmas * v->alpha + toom_input_work(v).fmas * h->alpha;
    int64_t out = toom_output_work(h).fmas * v->alpha + toom_output_work(v).fmas * h->m;
    return in + out * w->n_widths;
}

/* ---- memory ---- */

/* Streams beside the loads of the products: weights once for each block of tiles; what is transformed,
 * written once and read for each block of output channels; src and dst. */
static void memory_cost(const struct winograd *w, struct cost *c)
{
    const struct kiln_conv *conv = &w->p->conv;
    const struct cpu *cpu = &w->p->cpu;
    double src = 4.0 * (double)(conv->n * conv->ic * conv->ih * conv->iw);
    double dst = 4.0 * (double)(conv->n * conv->oc) * (double)(w->g.h.out * w->g.w.out), weights = 0;
    for (const struct winograd_blocks *b = w->widths; b < w->widths + w->n_widths; b++)
        weights += 4.0 * (double)(w->g.g * b->count * b->floats);
    double v = 4.0 * (double)(w->products * w->v_step), sums = 4.0 * (double)(w->products * w->sums_step);
    double blocks = (double)(w->g.g * w->blocks), resident = stream_rate(cpu, v + sums);
    double passes = (double)w->oc_blocks;
    c->memory = (double)w->blocks * weights / stream_rate(cpu, weights) + src / stream_rate(cpu, src) +
                (beyond_l2(cpu, dst) ? 2 : 1) * dst / stream_rate(cpu, dst) +
                blocks * (v * (1 + (beyond_l2(cpu, v + sums) ? passes : 0)) + 2 * passes * sums) / resident;
}

struct cost winograd_cost(const struct plan *p)
{
    struct winograd w;
    bool fits = winograd_of(p, &w);
    assert(fits);
    (void)fits;
    struct cost c = {.registers = panel_registers(p, p->ow, p->oc)};
    int64_t last = w.total - (w.blocks - 1) * w.block; /* tiles of the last block fill register tiles */
    double slots = (double)((w.blocks - 1) * w.block + ceil_div(last, p->ow) * p->ow);
    if (last == w.block) slots = (double)w.total;
    multiply_cost(&w, slots, &c);
    transform_cost(&w, (double)w.total, &c);
    memory_cost(&w, &c);
    c.tile_fmas = p->ow * p->oc * p->step;
    c.tile_loads = (p->ow + p->oc) * p->step;
    c.fmas = multiply_code(&w) + transform_code(&w);
    c.cycles = overlapped(c.cycles + c.overhead, c.memory);
    return c;
}

/* ---- proposals ---- */

/* The most channels of one sum: all, or as equal parts as vectors allow. */
static int64_t sum_of(const struct geometry *g, int64_t vec)
{
    if (g->ic <= WINOGRAD_SUM) return g->ic;
    int64_t parts = ceil_div(g->ic, WINOGRAD_SUM);
    for (int64_t n = parts; n < 2 * parts; n++)
        if (g->ic % (n * vec) == 0) return g->ic / n;
    return ceil_div(ceil_div(g->ic, parts), vec) * vec <= WINOGRAD_SUM
               ? ceil_div(ceil_div(g->ic, parts), vec) * vec
               : WINOGRAD_SUM;
}

static void offer_tiles(struct plan p, int64_t block, algo_offer *offer, void *user)
{
    static const int64_t steps[] = {2, 4};
    p.block = block;
    for (p.oc = 1; p.oc <= 6 && p.oc <= ceil_div(p.conv.oc / p.conv.g, p.vec); p.oc++) {
        int64_t most = panel_columns(&p, p.oc);
        if (most < 1) break;
        p.ow = ceil_div(block, ceil_div(block, most));
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
            p.step = steps[i];
            offer(user, &p);
        }
    }
}

void winograd_propose(const struct plan *asked, algo_offer *offer, void *user)
{
    struct plan p = *asked;
    struct geometry g = geometry_of(&p.conv);
    p.vec = p.cpu.lanes, p.ic = sum_of(&g, p.vec), p.ow = p.oh = p.oc = 1;
    for (p.m = 2; p.m <= 6; p.m += 2) {
        struct winograd w;
        p.block = 1;
        if (!winograd_of(&p, &w)) continue;
        /* From all tiles in one block to blocks of a few, each half as many as before. */
        for (int64_t blocks = 1, block = w.total, last = 0; block > 3 || !last; last = block) {
            block = ceil_div(w.total, blocks);
            blocks *= 2;
            if (block != last && block <= 1024) offer_tiles(p, block, offer, user);
            if (block <= 4) break;
        }
    }
}
