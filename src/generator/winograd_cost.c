/* What winograd plans cost, as the planner believes, and which are worth proposing. */
#include "machine.h"
#include "panel.h"
#include "post.h"
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

/* Bytes that the products of a block are transformed to and summed up in. */
static double transformed_bytes(const struct winograd *w)
{
    return 4.0 * (double)(w->products * (w->v_step + w->sums_step));
}

/* Bytes a cycle that these come at. Every thread has its own, and L3 belongs to all: a block that fits it
 * when one thread runs makes two of them slower than one. */
static double transformed_rate(const struct winograd *w)
{
    enum { THREADS = 4 };
    double bytes = transformed_bytes(w);
    return stream_rate(&w->p->cpu, beyond_l2(&w->p->cpu, bytes) ? THREADS * bytes : bytes);
}

/* Cycles in which what one channel of a register tile reads comes near: its weights from L2, or from L1
 * where an earlier register tile of the block brought them there; v from where all of it is. */
static double near_cycles(const struct winograd *w, const struct winograd_blocks *b, int tiles)
{
    const struct cpu *cpu = &w->p->cpu;
    double width = 4.0 * (double)(b->vecs * w->p->vec), panel = width * (double)w->sum;
    double fresh = 1.0 / (double)segs_tiles(b->tiles, b->n_tiles);
    double l2 = stream_rate(cpu, larger(panel, (double)cpu->l1d));
    return width * (fresh / l2 + (1 - fresh) / stream_rate(cpu, panel + 4.0 * (double)(tiles * w->sum))) +
           4.0 * tiles / transformed_rate(w);
}

/* One channel of one register tile. */
static void step_cost(const struct winograd *w, const struct winograd_blocks *b, int tiles, double times,
                      struct cost *c)
{
    enum { TURN = 6 };
    const struct plan *p = w->p;
    const struct cpu *cpu = &p->cpu;
    int vecs = b->vecs;
    double fma = tiles * vecs / rate(cpu, cpu->fma_per_cycle, p->vec);
    double loads = vecs / rate(cpu, cpu->load_per_cycle, p->vec) + tiles / rate(cpu, cpu->load_per_cycle, 1);
    loads = larger(loads, near_cycles(w, b, tiles));
    double issue = (tiles * vecs * (cpu->fma ? 1 : 2) + vecs + tiles * broadcast_issues(cpu, vecs) +
                    TURN / (double)p->step) /
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
            step_cost(w, b, s->n, times * (double)w->g.ic, c);
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
    double fmas = columns * (h.fmas + h.adds + h.muls) + rows * (v.fmas + v.adds + v.muls);
    double loads = columns * h.reads;
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

/* How often a block is transformed: threads between which its tasks are divided do so each. */
static double repeats(const struct winograd *w)
{
    enum { SHARES = 4 };
    double blocks = (double)(w->g.g * w->blocks), shares = blocks < SHARES ? SHARES / blocks : 1;
    return shares < (double)w->oc_blocks ? shares : (double)w->oc_blocks;
}

static void transform_cost(const struct winograd *w, double slots, struct cost *c)
{
    enum { PER_STRIP = 40, PER_TILE = 4 };
    const struct toom *h = &w->h.f, *v = &w->w.f;
    double outs = h->m * v->m, ops = 1 + post_cost(&w->p->conv);
    double oc_vecs = 0, strip = (double)w->strip, strips = (double)(w->rows * ceil_div(w->per_row, w->strip));
    for (const struct winograd_blocks *b = w->widths; b < w->widths + w->n_widths; b++)
        oc_vecs += (double)(b->count * b->vecs);
    double in = transform_cycles(w, toom_input_work(h), toom_input_work(v), v->alpha, h->alpha, w->products);
    double out = transform_cycles(w, toom_output_work(h), toom_output_work(v), v->alpha, h->m, outs * ops);
    double staged = h->alpha * (v->m + (v->alpha - v->m) / strip);
    in += staging_cycles(w, staged, w->g.x.c) + PER_TILE;
    out += (w->g.y.c > 1 ? staging_cycles(w, outs, w->g.y.c) : 0) + PER_TILE;
    c->transform = (double)w->g.g * (slots * (in * repeats(w) * (double)w->ic_vecs + out * oc_vecs) +
                                     strips * PER_STRIP * ((double)w->ic_vecs + oc_vecs));
    c->cycles += c->transform;
}

/* Those that the code counts as FMAs, of one transform along an axis. */
static int64_t counted(const struct winograd *w, struct toom_work k)
{
    return k.fmas + (w->p->cpu.fma ? 0 : k.muls);
}

static int64_t transform_code(const struct winograd *w)
{
    const struct toom *h = &w->h.f, *v = &w->w.f;
    int64_t in = counted(w, toom_input_work(h)) * v->alpha + counted(w, toom_input_work(v)) * h->alpha;
    int64_t out = counted(w, toom_output_work(h)) * v->alpha + counted(w, toom_output_work(v)) * h->m;
    return in + out * w->n_widths;
}

/* ---- memory ---- */

static double weights_bytes(const struct winograd *w)
{
    double floats = 0;
    for (const struct winograd_blocks *b = w->widths; b < w->widths + w->n_widths; b++)
        floats += (double)(w->g.g * b->count * b->floats);
    return 4 * floats;
}

/* Streams beside the products that come from beyond L2: weights once for each block of tiles; what is
 * transformed, written once and read for each block of output channels. */
static double stream_cycles(const struct winograd *w, double weights)
{
    const struct cpu *cpu = &w->p->cpu;
    double v = 4.0 * (double)(w->products * w->v_step), v_and_sums = transformed_bytes(w), cycles = 0;
    double blocks = (double)(w->g.g * w->blocks), passes = (double)w->oc_blocks;
    if (beyond_l2(cpu, weights)) cycles += (double)w->blocks * weights / stream_rate(cpu, weights);
    if (beyond_l2(cpu, v_and_sums))
        cycles += blocks * (v + passes * (2 * v_and_sums - v)) / transformed_rate(w);
    return cycles;
}

/* src and dst, whose lines are read before they are written: tiles meet them one at a time, which no
 * prefetcher sees coming, and while nothing is multiplied. */
static double scattered_cycles(const struct winograd *w, double weights)
{
    enum { SLOWER = 2 };
    const struct kiln_conv *c = &w->p->conv;
    double src = src_bytes(c), dst = dst_bytes(c), all = src + dst + weights;
    return beyond_l2(&w->p->cpu, src + dst) ? SLOWER * (src + 2 * dst) / stream_rate(&w->p->cpu, all) : 0;
}

struct cost winograd_cost(const struct plan *p)
{
    struct winograd w;
    bool fits = winograd_of(p, &w);
    assert(fits);
    (void)fits;
    struct cost c = {.registers = panel_registers(p, p->ow, p->oc),
                     .tile = {(int)p->ow, (int)p->oc, {"v", 1}, {"u", (int)p->oc}}};
    int64_t last = w.total - (w.blocks - 1) * w.block; /* tiles of the last block fill register tiles */
    double slots = (double)((w.blocks - 1) * w.block + ceil_div(last, p->ow) * p->ow);
    if (last == w.block) slots = (double)w.total;
    multiply_cost(&w, slots, &c);
    transform_cost(&w, (double)w.total, &c);
    double weights = weights_bytes(&w), streams = stream_cycles(&w, weights);
    double scattered = scattered_cycles(&w, weights);
    c.memory = streams + scattered;
    c.tile_fmas = p->ow * p->oc * p->step;
    c.tile_loads = (p->ow + p->oc) * p->step;
    c.fmas = multiply_code(&w) + transform_code(&w);
    c.cycles = overlapped(c.cycles + c.overhead, streams) + scattered;
    return c;
}

/* ---- proposals ---- */

/* The most channels of one sum: all, or as equal parts as vectors allow. */
static int64_t sum_of(const struct winograd *w)
{
    int64_t ic = w->g.ic, vec = w->p->vec, most = winograd_sum_most(w), parts = ceil_div(ic, most);
    if (parts == 1) return ic;
    for (int64_t n = parts; n < 2 * parts; n++)
        if (ic % (n * vec) == 0) return ic / n;
    int64_t sum = ceil_div(ceil_div(ic, parts), vec) * vec;
    return sum < most ? sum : most;
}

static void offer_tiles(struct plan p, int64_t block, algo_offer *offer, void *user)
{
    static const int64_t steps[] = {2, 4};
    for (p.oc = 1; p.oc <= 6 && p.oc <= ceil_div(p.conv.oc / p.conv.g, p.vec); p.oc++) {
        int64_t most = panel_columns(&p, p.oc);
        if (most < 1) break;
        p.ow = ceil_div(block, ceil_div(block, most));
        p.block = ceil_div(block, p.ow) * p.ow; /* so that one register tile serves */
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
            p.step = steps[i];
            offer(user, &p);
        }
    }
}

void winograd_propose(const struct plan *asked, algo_offer *offer, void *user)
{
    struct plan p = *asked;
    p.vec = p.cpu.lanes, p.ow = p.oh = p.oc = 1;
    for (p.m = 2; p.m <= 6; p.m += 2) {
        struct winograd w;
        p.block = 1, p.ic = p.conv.ic / p.conv.g;
        if (!winograd_of(&p, &w)) continue;
        p.ic = sum_of(&w);
        /* From all tiles in one block to blocks of a few, each half as many as before. */
        for (int64_t blocks = 1;; blocks *= 2) {
            int64_t block = ceil_div(w.total, blocks);
            if (block <= 1024) offer_tiles(p, block, offer, user);
            if (block <= 4) break;
        }
    }
}
