/* planes: nchw with vectors of pixels along rows: what a plan means, its checks and its model. */
#include "planes.h"

#include "machine.h"
#include "post.h"
#include "taps.h"

#include <assert.h>

/* Taps of a row are unrolled, and of each stride that many vectors are loaded. Emission walks over every
 * tap: dilations beyond any use would only make numbers large. */
enum { MAX_KERNEL = 31, MAX_STRIDE = 4, MAX_DILATION = 1024 };

static struct geometry geometry(const struct kiln_conv *c)
{
    return geometry_flattens(c) ? geometry_flat(c) : geometry_of(c);
}

static void blocks_of(struct planes *l)
{
    int64_t oc = l->p->oc, full = l->g.oc / oc, tail = l->g.oc % oc;
    if (full) l->blocks[l->n_blocks++] = (struct planes_blocks){.count = full, .channels = (int)oc};
    if (tail)
        l->blocks[l->n_blocks++] =
            (struct planes_blocks){.count = 1, .first = full * oc, .channels = (int)tail};
    int64_t packed = 0;
    for (struct planes_blocks *b = l->blocks; b < l->blocks + l->n_blocks; b++) {
        b->floats = l->g.ic * l->g.h.kernel * l->g.w.kernel * b->channels;
        b->packed = packed;
        b->tasks = l->g.g * b->count * l->g.n * l->g.h.out * l->chunks;
        packed += l->g.g * b->count * b->floats;
    }
}

bool planes_of(const struct plan *p, struct planes *made)
{
    struct planes l = {.p = p, .g = geometry(&p->conv)};
    l.n_cols = axis_split(&l.g.w, (int)p->ow, (int)p->vec, EDGE_STATIC, l.cols);
    if (!l.n_cols) return false;
    int64_t tiles = segs_tiles(l.cols, l.n_cols);
    l.chunks = p->chunk ? ceil_div(tiles, p->chunk) : 1;
    blocks_of(&l);
    *made = l;
    return true;
}

static const char *applicable(const struct kiln_conv *c, const struct cpu *cpu)
{
    (void)cpu;
    struct geometry g = geometry(c);
    if (c->layout != KILN_LAYOUT_NCHW) return "it needs nchw";
    if (g.w.kernel > MAX_KERNEL) return "it needs kw of at most 31";
    if (g.w.stride > MAX_STRIDE) return "it needs sw of at most 4";
    if (g.w.dilation > MAX_DILATION) return "it needs dw of at most 1024";
    if (c->accuracy == KILN_ACCURACY_STRICT && (c->pl || c->pr))
        return "it multiplies padding by weights, which under strict must not meet NaN or Inf";
    if (g.ic * g.h.kernel * g.w.kernel > LONG_SUM) return "it needs sums of at most 6144 terms";
    return NULL;
}

/* Accumulators, vectors of src, and a broadcast where the FMA does not make it. */
static struct register_tile tile_of(const struct plan *p)
{
    bool broadcast = broadcast_issues(&p->cpu, (int)p->ow) > 0;
    return (struct register_tile){(int)p->oc, (int)p->ow, {"w", broadcast}, {"x", (int)p->ow}};
}

/* Registers of a tile, with what strides combine, and the product where there is no fused multiply-add. */
static int registers(const struct plan *p, int64_t stride)
{
    const struct register_tile t = tile_of(p);
    return t.rows * t.columns + t.left.held + t.top.held + (stride > 1) + !p->cpu.fma;
}

static const char *check(const struct plan *p)
{
    struct planes l;
    if (registers(p, geometry(&p->conv).w.stride) > p->cpu.registers)
        return "ow * oc accumulators, ow vectors of src and a broadcast exceed the vector registers";
    if (!planes_of(p, &l)) return "more than 32 static variants of one axis";
    if (p->step > l.g.ic) return "step must be at most the input channels of a group";
    return NULL;
}

static struct plan_sizes sizes(const struct plan *p)
{
    struct planes l;
    bool fits = planes_of(p, &l);
    assert(fits);
    (void)fits;
    const struct planes_blocks *last = &l.blocks[l.n_blocks - 1];
    struct plan_sizes s = {.packed = last->packed + l.g.g * last->count * last->floats};
    for (int i = 0; i < l.n_blocks; i++) s.tasks += l.blocks[i].tasks;
    return s;
}

/* ---- the model ---- */

/* Vectors of src, over all taps of a row, that a tile of the segment meets. */
static int taps_of(const struct planes *l, const struct seg *c)
{
    const struct span *a = &l->g.w;
    int vec = (int)l->p->vec, taps = 0;
    for (int64_t v = 0; v < ceil_div(c->n, vec); v++)
        for (int64_t kw = 0; kw < a->kernel; kw++)
            taps += pixels_inside(a, c, v * vec * a->stride + kw * a->dilation, vec);
    return taps;
}

/* How many times slower than aligned loads those of src are: they cross lines. */
static double crossing(const struct planes *l)
{
    enum { LINE = 16 };
    const struct geometry *g = &l->g;
    bool aligned = g->w.kernel == 1 && g->w.stride == 1 && !g->w.pad && g->x.c % l->p->vec == 0 &&
                   (g->h.out == 1 || g->w.in % l->p->vec == 0);
    return aligned ? 1 : 1 + (double)l->p->vec / LINE;
}

/* Of src, of one image and group: what is read again for each block of output channels. */
static double image_bytes(const struct planes *l)
{
    return 4.0 * (double)l->g.ic * (double)(l->g.h.in * l->g.w.in);
}

/* Cycles in which a tile's sums become dst. More lines than so many are more than the core writes side by
 * side: of 3 to 64 channels at 224x224 each store of 24 planes took 4 cycles longer than of 16, of 24 to 144
 * at 56x56 2. */
static double store_cycles(const struct planes *l, const struct planes_blocks *b, const struct seg *c)
{
    enum { LINES = 16, LATE = 3 };
    const struct plan *p = l->p;
    const struct cpu *cpu = &p->cpu;
    double width = (double)ceil_div(c->n, p->vec), ops = 1.5 + post_cost(&p->conv);
    double lanes = c->n % p->vec && !cpu->masks ? (double)(c->n % p->vec) : 0; /* stored one by one */
    double late = b->channels * width > LINES && beyond_l2(cpu, dst_bytes(&l->p->conv)) ? LATE * width : 0;
    return b->channels * ((width * ops + lanes) / rate(cpu, cpu->load_per_cycle, p->vec) + late);
}

/* Adds `tiles` tiles of a block and a segment; their code once. */
static void tile_cost(const struct planes *l, const struct planes_blocks *b, const struct seg *c,
                      double tiles, struct cost *cost)
{
    enum { TURN = 6 };
    const struct plan *p = l->p;
    const struct cpu *cpu = &p->cpu;
    int width = (int)ceil_div(c->n, p->vec), taps = taps_of(l, c);
    double times = tiles * (double)l->g.ic * (double)l->g.h.kernel * axis_share(&l->g.h);
    double fmas = (double)taps * b->channels, src = (double)(taps * l->g.w.stride);
    double weights = (double)l->g.w.kernel * b->channels;
    double fma = fmas / rate(cpu, cpu->fma_per_cycle, p->vec), latency = (double)FMA_LATENCY * taps / width;
    double loads = src * crossing(l) / rate(cpu, cpu->load_per_cycle, p->vec) +
                   weights / rate(cpu, cpu->load_per_cycle, width > 1 ? p->vec : 1);
    loads = larger(loads, 4.0 * (double)(width * p->vec * l->g.w.stride) / stream_rate(cpu, image_bytes(l)));
    double shuffles = (double)(taps * (l->g.w.stride - 1));
    double issue = (fmas * (cpu->fma ? 1 : 2) + src + shuffles + weights * broadcast_issues(cpu, width) +
                    TURN / (double)p->step) /
                   ISSUE_WIDTH;
    fma += shuffles / rate(cpu, cpu->fma_per_cycle, p->vec) / 2; /* they take half the place of an FMA */
    cost->fma += times * fma, cost->loads += times * loads;
    cost->issue += times * issue, cost->latency += times * latency;
    cost->cycles += times * together((const double[]){fma, loads, issue, latency}, 4);
    cost->overhead += times * BODY_OVERHEAD / (double)p->step +
                      tiles * (TILE_OVERHEAD + store_cycles(l, b, c) + (double)l->g.h.kernel * ENTER_STEPS);
    cost->fmas += (int64_t)taps * b->channels * (p->step + l->g.ic % p->step);
}

/* Streams that no tile avoids: everything once; beyond L2 what is written is read first. */
static double memory_cycles(const struct planes *l)
{
    const struct cpu *cpu = &l->p->cpu;
    double src = src_bytes(&l->p->conv);
    double weights = 4.0 * (double)sizes(l->p).packed, dst = dst_bytes(&l->p->conv),
           writes = beyond_l2(cpu, dst) ? 2 * dst : dst;
    return weights / stream_rate(cpu, weights) + src / stream_rate(cpu, src) + writes / stream_rate(cpu, dst);
}

static struct cost cost(const struct plan *p)
{
    struct planes l;
    bool fits = planes_of(p, &l);
    assert(fits);
    (void)fits;
    struct cost c = {.registers = registers(p, l.g.w.stride), .tile = tile_of(p)};
    for (const struct planes_blocks *b = l.blocks; b < l.blocks + l.n_blocks; b++)
        for (const struct seg *s = l.cols; s < l.cols + l.n_cols; s++)
            tile_cost(&l, b, s, (double)(l.g.g * b->count * l.g.n) * (double)(l.g.h.out * s->count), &c);
    c.tile_fmas = p->ow * p->oc * p->step * l.g.w.kernel;
    c.tile_loads = (p->ow * l.g.w.stride + p->oc) * p->step * l.g.w.kernel;
    c.memory = memory_cycles(&l);
    c.cycles = overlapped(c.cycles + c.overhead, c.memory);
    return c;
}

/* ---- proposals ---- */

static void offer_blocks(struct plan p, const struct geometry *g, algo_offer *offer, void *user)
{
    static const int64_t steps[] = {1, 2, 4};
    int64_t most = g->oc, last = 0;
    for (p.oc = 1; registers(&p, g->w.stride) <= p.cpu.registers; p.oc++) most = p.oc;
    if (most > g->oc) most = g->oc;
    for (int64_t oc = most; oc >= 1 && 2 * oc >= most; oc--) {
        int64_t even = ceil_div(g->oc, ceil_div(g->oc, oc));
        if (even == last) continue;
        last = p.oc = even;
        int64_t tasks = g->g * ceil_div(g->oc, p.oc) * g->n * g->h.out;
        p.chunk = chunk_of(tasks, ceil_div(g->w.out, p.ow * p.vec));
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
            p.step = steps[i];
            if (p.step <= g->ic) offer(user, &p);
        }
    }
}

static void propose(const struct plan *asked, algo_offer *offer, void *user)
{
    enum { WIDEST = 4 };
    struct geometry g = geometry(&asked->conv);
    struct plan p = *asked;
    p.by = BY_OC, p.oh = 1;
    for (p.vec = p.cpu.lanes; p.vec >= 4; p.vec /= 2) {
        for (p.ow = 1; p.ow <= WIDEST && p.ow <= ceil_div(g.w.out, p.vec); p.ow++)
            offer_blocks(p, &g, offer, user);
        if (g.w.out > p.vec / 2) break; /* narrower vectors would only be more of them */
    }
}

static void nest(const struct plan *p, struct text *t)
{
    struct planes l;
    planes_of(p, &l);
    for (const struct planes_blocks *b = l.blocks; b < l.blocks + l.n_blocks; b++) {
        text_put(t, "  for g in %lld, oc in %lld x %d, n in %lld, oh in %lld, ow in", (long long)l.g.g,
                 (long long)b->count, b->channels, (long long)l.g.n, (long long)l.g.h.out);
        for (int i = 0; i < l.n_cols; i++)
            text_put(t, "%s %lld x %d", i ? " +" : "", (long long)l.cols[i].count, l.cols[i].n);
        text_put(t, "\n    acc[%d][%lld] = 0\n", b->channels, (long long)p->ow);
        text_put(t, "    for kh in %lld, ic in %lld by %lld, kw in %lld; unrolled: ic, kw\n",
                 (long long)l.g.h.kernel, (long long)l.g.ic, (long long)p->step, (long long)l.g.w.kernel);
        text_put(t, "      acc[i][j] += w[i] * x[j], vectors of %lld pixels\n    dst = post-ops(acc)\n",
                 (long long)p->vec);
    }
}

const struct algo algo_planes = {
    .name = "planes",
    .summary = "nchw: vectors of pixels along a row times the weights of several output channels",
    .exact = true,
    .knobs = "vec ow oc step chunk",
    .applicable = applicable,
    .geometry = geometry,
    .check = check,
    .propose = propose,
    .cost = cost,
    .sizes = sizes,
    .nest = nest,
    .emit_run = planes_run,
    .emit_pack = planes_pack,
};
