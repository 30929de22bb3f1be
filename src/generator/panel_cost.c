/* What panel plans cost, as the planner believes, which are worth proposing, and how they read. */
#include "panel.h"

#include "machine.h"

#include <assert.h>

/* ---- the model ---- */

/* Of one axis of one segment: pixels whose tap may be inside, for each tap; beyond so many taps a
 * tap is taken to be like the middle one. */
enum { MAX_TAPS = 64 };
struct taps {
    int n;       /* taps looked at */
    double each; /* taps that each stands for */
    int pixels[MAX_TAPS];
    int maybe; /* pixels whose address is chosen at run time, at any tap */
};

static struct taps taps_of(const struct span *a, const struct seg *s, bool loop)
{
    struct taps t = {.n = a->kernel < MAX_TAPS ? (int)a->kernel : MAX_TAPS};
    t.each = (double)a->kernel / t.n;
    for (int i = 0; i < s->n; i++) {
        bool maybe = false;
        for (int k = 0; k < t.n; k++) {
            int64_t tap = t.n < a->kernel ? a->kernel / 2 : k, lo = loop ? 0 : tap;
            enum where w = s->bounds ? WHERE_INSIDE : axis_where(a, s, i, lo, loop ? a->kernel : tap + 1);
            t.pixels[k] += w != WHERE_OUTSIDE;
            maybe |= w == WHERE_MAYBE;
        }
        t.maybe += maybe;
    }
    return t;
}

/* Lines of x that share sets of L1 beyond its ways make every broadcast a miss. */
static double conflict(const struct plan *p, const struct geometry *g, int pixels)
{
    enum { SET_SPAN = 4096 }; /* bytes of one way: 64 sets of 64-byte lines, on all machines met */
    int64_t step = g->w.stride * g->x.w * (int64_t)sizeof(float), span = SET_SPAN,
            ways = p->cpu.l1d / SET_SPAN;
    while (step % span) span /= 2;
    double lines_per_set = pixels * (double)span / SET_SPAN;
    return span > 64 && lines_per_set > (double)ways - 2 ? 2 : 1;
}

/* Cycles of one input channel of one tap, with `pixels` of the tile inside. */
static void step_cost(const struct panel *l, const struct blocks *b, int pixels, int maybe, double per_body,
                      struct cost *c, double times)
{
    const struct cpu *cpu = &l->p->cpu;
    double wide = (double)l->p->vec / cpu->lanes <= 0.5 && cpu->lanes == 16
                      ? 2
                      : 1; /* two narrow ones for a wide one */
    double fma_rate = cpu->fma_per_cycle * (cpu->fma_per_cycle == 1 ? wide : 1);
    double load_rate = cpu->load_per_cycle * (cpu->load_per_cycle == 1 ? 2 : 1);
    double fmas = pixels * b->vecs, loads = b->vecs + pixels, w_bytes = (double)(b->vecs * l->p->vec) * 4;
    double fma = fmas / fma_rate;
    double load = b->vecs / (cpu->load_per_cycle * wide) + pixels / load_rate;
    double panel_bytes = (double)b->floats * 4;
    load = larger(load, w_bytes / stream_rate(cpu, panel_bytes));
    load *= conflict(l->p, &l->g, pixels);
    double folded = b->vecs == 1 ? pixels : 0;
    double issue =
        ((cpu->fma ? fmas : 2 * fmas) + loads - folded + (6.0 + 3 * maybe) / per_body) / ISSUE_WIDTH;
    double bound = together((const double[]){fma, load, issue, FMA_LATENCY}, 4);
    c->fma += times * fma, c->loads += times * load, c->issue += times * issue,
        c->latency += times * FMA_LATENCY;
    c->cycles += times * (bound + BODY_OVERHEAD / per_body);
}

static double epilogue_cost(const struct panel *l, const struct blocks *b, int pixels)
{
    const struct cpu *cpu = &l->p->cpu;
    double vec = (double)l->p->vec, ops = 1.5 + (double)l->p->conv.post_count;
    if (l->g.y.c == 1)
        return b->vecs * (pixels * (ops + (b->last < vec && !cpu->masks ? b->last : 0)) / 2 + 2);
    double groups = (pixels + vec - 1) / vec, log2 = vec == 16 ? 4 : vec == 8 ? 3 : 2;
    double stores = vec * (ops + (pixels % l->p->vec && !cpu->masks ? vec / 2 : 0));
    return b->vecs * groups * (vec * log2 + stores) / (cpu->load_per_cycle == 1 ? 1 : 1.5);
}

/* One tile of rows r (NULL: bounds at run time) and columns s, `tiles` times. */
static void tile_cost(const struct panel *l, const struct blocks *b, const struct seg *r, const struct seg *s,
                      double tiles, struct cost *c)
{
    const struct plan *p = l->p;
    const struct geometry *g = &l->g;
    struct seg one_row = {.count = 1, .n = 1, .bounds = true};
    struct taps rows = taps_of(&g->h, r ? r : &one_row, false);
    struct taps cols = taps_of(&g->w, s, p->unroll < UNROLL_KW);
    int64_t per_tap = p->unroll == UNROLL_ALL ? g->ic : p->step + p->ic % p->step, n_taps = 0;
    double kh_share = 1;
    if (!r) /* taps of rows that fall outside are left out by the bounds */
        kh_share = larger(0.1, 1 - (double)(g->h.kernel * g->h.out * g->h.stride - g->h.in) /
                                       (double)(g->h.out * g->h.kernel * g->h.stride) *
                                       (axis_inside(&g->h) ? 0 : 0.3));
    for (int kh = 0; kh < rows.n; kh++)
        for (int kw = 0; kw < cols.n; kw++) {
            int pixels = rows.pixels[kh] * cols.pixels[kw];
            double share = rows.each * cols.each * kh_share,
                   body = (double)(p->ic / p->step > 1 ? p->step : p->step * 2);
            if (!pixels) continue;
            n_taps++;
            step_cost(l, b, pixels, cols.maybe, body, c, tiles * share * (double)g->ic);
            double enter = p->unroll < UNROLL_KW && g->w.kernel > 1 ? 6 : p->ic > p->step ? 5 : 1;
            c->overhead += tiles * share * (double)(g->ic / p->ic) * enter;
            bool once_kh = kh == 0 || p->unroll >= UNROLL_KH, once_kw = kw == 0 || p->unroll >= UNROLL_KW;
            int copies_of = p->unroll == UNROLL_ALL ? (int)(s->count * (r ? r->count : 1)) : 1;
            if (once_kh && once_kw) c->fmas += (int64_t)pixels * b->vecs * per_tap * copies_of;
        }
    c->overhead += tiles * (TILE_OVERHEAD + epilogue_cost(l, b, rows.n ? (r ? r->n : 1) * s->n : 0));
    if (!r) c->overhead += tiles * (double)(g->h.kernel > 1 ? 8 : 0);
}

/* Beyond L2, output channels of a pixel written in narrow pieces, at different times, cost cycles that
 * nothing hides: 3 to 64 channels at 224x224 took 2.3 times as long in pieces of 128 bytes as in 256. */
static double scatter_cost(const struct cpu *cpu, double bytes, double piece)
{
    enum { WHOLE_PIECE = 256 };
    if (bytes < 0.7 * (double)cpu->l2 || piece >= WHOLE_PIECE) return 0;
    return 0.6 * bytes * (WHOLE_PIECE / piece - 1);
}

/* Streams that no tile avoids: src once for each block of output channels, dst and the weights once;
 * beyond L2 what is written is read first. */
static void stream_cost(const struct panel *l, struct cost *cost)
{
    const struct kiln_conv *c = &l->p->conv;
    const struct cpu *cpu = &l->p->cpu;
    double src = 4.0 * (double)(c->n * c->ic * c->ih * c->iw), weights = 0, passes = 0;
    double dst = 4.0 * (double)(l->g.n * c->oc) * (double)(l->g.h.out * l->g.w.out);
    for (const struct blocks *b = l->blocks; b < l->blocks + l->n_blocks; b++) {
        weights += 4.0 * (double)(l->g.g * b->count * b->floats);
        passes += (double)b->count;
    }
    double writes = dst > 0.7 * (double)cpu->l2 ? 2 * dst : dst;
    cost->memory = weights / stream_rate(cpu, weights) + passes * src / stream_rate(cpu, src) +
                   writes / stream_rate(cpu, dst);
    if (l->g.y.c == 1 && passes * (double)l->g.g > 1)
        cost->overhead += scatter_cost(cpu, dst, 4.0 * (double)(l->p->oc * l->p->vec));
}

struct cost panel_cost(const struct plan *p)
{
    struct panel l;
    bool fits = panel_of(p, &l);
    const struct geometry *g = &l.g;
    assert(fits);
    (void)fits;
    struct cost c = {.registers = (int)(p->ow * p->oh * p->oc + p->oc + 1 + !p->cpu.fma)};
    for (const struct blocks *b = l.blocks; b < l.blocks + l.n_blocks; b++) {
        double tiles = (double)(g->g * b->count * g->n);
        for (const struct seg *s = b->cols; s < b->cols + b->n_cols; s++) {
            if (!l.n_rows) tile_cost(&l, b, NULL, s, tiles * (double)(g->h.out * s->count), &c);
            for (int r = 0; r < l.n_rows; r++)
                tile_cost(&l, b, &l.rows[r], s, tiles * (double)(l.rows[r].count * s->count), &c);
        }
    }
    c.tile_fmas = p->ow * p->oh * p->oc * p->step;
    c.tile_loads = (p->ow * p->oh + p->oc) * p->step;
    stream_cost(&l, &c);
    c.cycles = overlapped(c.cycles + c.overhead, c.memory);
    return c;
}

/* ---- proposals ---- */

static int64_t ceil_div(int64_t x, int64_t y) { return (x + y - 1) / y; }

/* Tasks for 64 threads, as far as there are tiles for that: a row is cut where rows and blocks are few. */
static int64_t chunk_of(const struct plan *p, const struct geometry *g)
{
    enum { WANTED = 64, LEAST_TILES = 4 };
    int64_t tiles = ceil_div(g->w.out, p->ow), rows = p->unroll >= UNROLL_KH ? 1 : g->h.out;
    int64_t tasks = g->g * ceil_div(g->oc, p->oc * p->vec) * g->n * rows;
    if (2 * tasks > WANTED || tiles < 2 * LEAST_TILES) return 0;
    int64_t chunk = ceil_div(tiles, ceil_div(WANTED, tasks));
    return chunk < LEAST_TILES ? LEAST_TILES : chunk;
}

struct offering {
    const struct geometry *g;
    algo_offer *offer;
    void *user;
};

/* The ways to treat edges and unroll, for one tile. */
static void offer_nests(struct plan p, const struct offering *o)
{
    static const struct {
        enum unroll unroll;
        enum edge edge;
    } ways[] = {{UNROLL_IC, EDGE_STATIC}, {UNROLL_IC, EDGE_ZERO},   {UNROLL_KW, EDGE_STATIC},
                {UNROLL_KW, EDGE_ZERO},   {UNROLL_KH, EDGE_STATIC}, {UNROLL_IC, EDGE_BOUNDS},
                {UNROLL_ALL, EDGE_STATIC}};
    bool padded = !axis_inside(&o->g->w), one_tap = o->g->w.kernel == 1 && o->g->h.kernel == 1;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        if (!padded && ways[i].edge != EDGE_STATIC) continue;
        if (p.oh > 1 && ways[i].unroll < UNROLL_KH) continue;
        if (one_tap && (ways[i].unroll == UNROLL_KW || (ways[i].unroll == UNROLL_KH && p.oh == 1))) continue;
        p.unroll = ways[i].unroll, p.edge = ways[i].edge;
        p.chunk = p.unroll == UNROLL_ALL ? 0 : chunk_of(&p, o->g);
        o->offer(o->user, &p);
    }
}

static void offer_steps(struct plan p, const struct offering *o)
{
    static const int64_t steps[] = {1, 2, 3, 4, 8};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        p.step = steps[i];
        if (p.step <= p.ic && (p.ic % p.step == 0 || p.step <= 2)) offer_nests(p, o);
    }
}

/* nchw reads each channel from another place: panels of few channels keep those lines for all taps. */
static void offer_panels(struct plan p, const struct offering *o)
{
    static const int64_t panels[] = {16, 8, 4};
    p.ic = o->g->ic;
    offer_steps(p, o);
    if (o->g->x.c == 1 || o->g->h.kernel * o->g->w.kernel == 1) return;
    for (size_t i = 0; i < sizeof panels / sizeof *panels; i++)
        if (o->g->ic > panels[i] && o->g->ic % panels[i] == 0) {
            p.ic = panels[i];
            offer_steps(p, o);
            return;
        }
}

/* Column tiles that split the row into as equal parts as those of any other width. */
static void offer_widths(struct plan p, const struct offering *o, int64_t most)
{
    int64_t out = o->g->w.out, last = 0;
    for (int64_t ow = most < out ? most : out; ow >= 1; ow--) {
        int64_t even = ceil_div(out, ceil_div(out, ow));
        if (even == last || even > most) continue;
        if (even * 3 < most && even * 3 < out) break; /* too few pixels for their vectors of weights */
        if (p.oh > 1 && even < out) return;           /* rows share weights best where a tile spans them */
        last = p.ow = even;
        offer_panels(p, o);
    }
}

void panel_propose(const struct plan *asked, algo_offer *offer, void *user)
{
    struct geometry seen = asked->algo->geometry(&asked->conv), *g = &seen;
    struct offering o = {g, offer, user};
    struct plan p = *asked;
    static const int64_t heights[] = {1, 2, 3, 4, 7};
    for (p.vec = p.cpu.lanes; p.vec >= 4; p.vec /= 2) {
        int64_t vecs = ceil_div(g->oc, p.vec);
        for (p.oc = 1; p.oc <= 6 && p.oc <= vecs; p.oc++)
            for (size_t h = 0; h < sizeof heights / sizeof *heights; h++) {
                p.oh = heights[h];
                if (p.oh > 1 && (p.oh > g->h.out || g->w.out > 16)) continue;
                int64_t most = (p.cpu.registers - p.oc - 1 - !p.cpu.fma) / p.oc / p.oh;
                if (most) offer_widths(p, &o, most);
            }
        if (g->oc > p.vec / 2) break; /* narrower vectors would only be more of them */
    }
}

/* ---- how it reads ---- */

static void put_segs(struct text *t, const char *name, const struct seg *segs, int n)
{
    text_put(t, ", %s in", name);
    for (int i = 0; i < n; i++)
        text_put(t, "%s %lld x %d", i ? " +" : "", (long long)segs[i].count, segs[i].n);
}

static void put_blocks(const struct panel *l, const struct blocks *b, struct text *t)
{
    static const char *const unrolled[] = {"ic", "kw, ic", "kh, kw, ic", "everything"};
    const struct plan *p = l->p;
    const struct geometry *g = &l->g;
    text_put(t, "  for g in %lld, oc in %lld x %d vectors of %lld", (long long)g->g, (long long)b->count,
             b->vecs, (long long)p->vec);
    if (b->last < p->vec) text_put(t, " (the last of %d lanes)", b->last);
    text_put(t, ", n in %lld", (long long)g->n);
    if (l->n_rows)
        put_segs(t, "oh", l->rows, l->n_rows);
    else
        text_put(t, ", oh in %lld", (long long)g->h.out);
    put_segs(t, "ow", b->cols, b->n_cols);
    if (b->chunks > 1) text_put(t, " by %lld tiles", (long long)p->chunk);
    text_put(t, "\n    acc[%lld][%d] = 0\n", (long long)(l->n_rows ? p->oh : 1) * b->ow, b->vecs);
    text_put(t, "    for panel in %lld, kh in %lld, kw in %lld, ic in %lld by %lld; unrolled: %s\n",
             (long long)(g->ic / p->ic), (long long)g->h.kernel, (long long)g->w.kernel, (long long)p->ic,
             (long long)p->step, unrolled[p->unroll]);
    text_put(t, "      acc[i][j] += x[i] * w[j]\n    dst = post-ops(acc)%s\n",
             g->y.c == 1 ? "" : ", transposed");
}

void panel_nest(const struct plan *p, struct text *t)
{
    struct panel l;
    panel_of(p, &l);
    for (const struct blocks *b = l.blocks; b < l.blocks + l.n_blocks; b++) put_blocks(&l, b, t);
}
