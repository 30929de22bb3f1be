/* What panel plans cost, as the planner believes. */
#include "panel.h"

#include "machine.h"
#include "post.h"

#include <assert.h>

/* ---- taps of one axis of one segment ---- */

/* Taps looked at one by one; of more, each is taken to be like the middle one. */
enum { MAX_TAPS = 64 };

/* Taps of the same worth: nearly all that there are. */
struct kind {
    int pixels; /* of the tile, whose tap is not known to be outside */
    int taps;   /* looked at */
};

struct taps {
    int n; /* kinds */
    struct kind kinds[MAX_TAPS];
    double each; /* taps that each looked at stands for */
    int maybe;   /* pixels whose address is chosen at run time */
};

static void kind_add(struct taps *t, int pixels, int taps)
{
    int i = 0;
    while (i < t->n && t->kinds[i].pixels != pixels) i++;
    if (i == t->n) t->kinds[t->n++] = (struct kind){.pixels = pixels};
    t->kinds[i].taps += taps;
}

/* Pixels whose taps [lo, hi) are not known to be all outside. */
static int window(const struct span *a, const struct seg *s, int64_t lo, int64_t hi, int *maybe)
{
    int pixels = 0;
    for (int i = 0; i < s->n; i++) {
        enum where w = axis_where(a, s, i, lo, hi);
        pixels += w != WHERE_OUTSIDE;
        *maybe += w == WHERE_MAYBE;
    }
    return pixels;
}

static bool all_inside(const struct span *a, const struct seg *s)
{
    return s->bounds || (axis_where(a, s, 0, 0, a->kernel) == WHERE_INSIDE &&
                         axis_where(a, s, s->n - 1, 0, a->kernel) == WHERE_INSIDE);
}

static void taps_of(const struct span *a, const struct seg *s, bool loop, struct taps *t)
{
    int n = a->kernel < MAX_TAPS ? (int)a->kernel : MAX_TAPS, pixels = 0;
    t->n = t->maybe = 0, t->each = (double)a->kernel / n;
    if (all_inside(a, s)) {
        kind_add(t, s->n, n);
    } else if (loop || n < a->kernel) {
        int64_t middle = a->kernel / 2, lo = loop ? 0 : middle, hi = loop ? a->kernel : middle + 1;
        kind_add(t, window(a, s, lo, hi, &t->maybe), n);
    } else {
        int change[MAX_TAPS + 1] = {0}; /* of pixels, from one tap to the next */
        for (int i = 0; i < s->n; i++) {
            struct tap_range some = axis_taps(a, s, i, false), all = axis_taps(a, s, i, true);
            t->maybe += all.hi - all.lo < some.hi - some.lo;
            change[some.lo]++, change[some.hi]--;
        }
        for (int k = 0; k < n; k++) kind_add(t, pixels += change[k], 1);
    }
}

/* ---- one step: one input channel of one tap ---- */

struct step {
    const struct panel *l;
    const struct blocks *b;
    int pixels, maybe; /* of the tile, at this tap */
    double per_body;   /* steps in one turn of the innermost loop */
};

/* How many times slower loads are where the lines of x share more sets of L1 than it has ways. */
static double conflict(const struct step *s)
{
    enum { WAY = 4096, LINE = 64, FACTOR = 2 }; /* bytes of one way of L1, on all machines met */
    const struct geometry *g = &s->l->g;
    /* Only the remainder matters, which does not overflow. */
    int64_t apart = g->w.stride % WAY * (g->x.w % WAY) * (int64_t)sizeof(float);
    int64_t span = WAY, ways = s->l->p->cpu.l1d / WAY;
    while (apart % span) span /= 2;
    double lines_of_a_set = s->pixels * (double)span / WAY;
    return span > LINE && lines_of_a_set > (double)ways - 2 ? FACTOR : 1;
}

static double load_cycles(const struct step *s)
{
    const struct cpu *cpu = &s->l->p->cpu;
    double w_bytes = 4.0 * (double)(s->b->vecs * s->l->p->vec), panel_bytes = 4.0 * (double)s->b->floats;
    double w = s->b->vecs / rate(cpu, cpu->load_per_cycle, s->l->p->vec);
    double broadcasts = s->pixels / rate(cpu, cpu->load_per_cycle, 1);
    return conflict(s) * larger(w + broadcasts, w_bytes / stream_rate(cpu, panel_bytes));
}

static double issue_cycles(const struct step *s)
{
    enum { TURN = 6, CHOICE = 3 }; /* instructions of one turn; of choosing one pixel's address */
    int fmas = s->pixels * s->b->vecs * (s->l->p->cpu.fma ? 1 : 2);
    int loads = s->b->vecs + s->pixels * broadcast_issues(&s->l->p->cpu, s->b->vecs);
    return (fmas + loads + (TURN + CHOICE * s->maybe) / s->per_body) / ISSUE_WIDTH;
}

/* Adds `times` steps. */
static void step_cost(const struct step *s, double times, struct cost *c)
{
    const struct cpu *cpu = &s->l->p->cpu;
    double fma = s->pixels * s->b->vecs / rate(cpu, cpu->fma_per_cycle, s->l->p->vec);
    double loads = load_cycles(s), issue = issue_cycles(s);
    c->fma += times * fma, c->loads += times * loads;
    c->issue += times * issue, c->latency += times * FMA_LATENCY;
    c->cycles += times * together((const double[]){fma, loads, issue, FMA_LATENCY}, 4);
    c->overhead += times * BODY_OVERHEAD / s->per_body;
}

/* ---- one tile ---- */

/* Storing the accumulators: a vector of each pixel, or in nchw vectors of pixels, transposed. */
static double epilogue_cost(const struct panel *l, const struct blocks *b, int pixels)
{
    const struct cpu *cpu = &l->p->cpu;
    double vec = (double)l->p->vec, ops = 1.5 + post_cost(&l->p->conv);
    double by_lane = cpu->masks ? 0 : 1; /* tails are stored lane by lane */
    if (l->g.y.c == 1) return b->vecs * (pixels * (ops + (b->last < vec ? by_lane * b->last : 0)) / 2 + 2);
    double groups = ceil(pixels / vec), stores = vec * (ops + (pixels % l->p->vec ? by_lane * vec / 2 : 0));
    return b->vecs * groups * (vec * log2(vec) + stores) / rate(cpu, cpu->load_per_cycle, l->p->vec);
}

/* Pixels times taps of one axis that are code: of all taps, or of the one that a loop stands for. */
static int64_t code_pixels(const struct taps *t, bool unrolled)
{
    int64_t pixels = 0;
    for (int i = 0; i < t->n; i++) pixels += t->kinds[i].pixels * t->kinds[i].taps;
    return unrolled ? pixels : t->kinds[0].pixels;
}

/* FMAs unrolled for all taps of one tile's code. */
static int64_t tile_code(const struct panel *l, const struct blocks *b, const struct taps *rows,
                         const struct taps *cols)
{
    const struct plan *p = l->p;
    int64_t steps = p->unroll == UNROLL_ALL ? l->g.ic : p->step + p->ic % p->step;
    return code_pixels(rows, p->unroll >= UNROLL_KH) * code_pixels(cols, p->unroll >= UNROLL_KW) * b->vecs *
           steps;
}

/* Adds `tiles` tiles of rows r (NULL: one row, bounds at run time) and columns s; their code once. */
static void tile_cost(const struct panel *l, const struct blocks *b, const struct seg *r, const struct seg *s,
                      double tiles, struct cost *c)
{
    const struct plan *p = l->p;
    const struct geometry *g = &l->g;
    struct seg one_row = {.count = 1, .n = 1, .bounds = true};
    struct taps rows, cols;
    taps_of(&g->h, r ? r : &one_row, false, &rows);
    taps_of(&g->w, s, p->unroll < UNROLL_KW, &cols);
    bool turns = p->ic > p->step; /* the loop over ic is one */
    double share = rows.each * cols.each * (r ? 1 : axis_share(&g->h));
    double enter = p->unroll < UNROLL_KW && g->w.kernel > 1 ? ENTER_TAP : turns ? ENTER_STEPS : 1;
    for (const struct kind *h = rows.kinds; h < rows.kinds + rows.n; h++)
        for (const struct kind *w = cols.kinds; w < cols.kinds + cols.n; w++) {
            struct step one = {l, b, h->pixels * w->pixels, cols.maybe, (double)p->step * (turns ? 1 : 2)};
            double times = tiles * share * h->taps * w->taps;
            if (!one.pixels) continue;
            step_cost(&one, times * (double)g->ic, c);
            c->overhead += times * (double)(g->ic / p->ic) * enter;
        }
    if (panel_splits_sums(p, g))
        c->overhead += tiles * (double)(g->ic / p->ic) * 2.0 * (r ? r->n : 1) * s->n * b->vecs;
    c->overhead += tiles * (TILE_OVERHEAD + epilogue_cost(l, b, (r ? r->n : 1) * s->n));
    int64_t copies = p->unroll == UNROLL_ALL ? s->count * (r ? r->count : 1) : 1;
    c->fmas += tile_code(l, b, &rows, &cols) * copies;
}

/* ---- a plan ---- */

/* From a sixteenth of L3 on, output channels of a pixel written in narrow pieces, at different times, cost
 * cycles that nothing hides: 3 to 64 channels at 224x224 took 1.17 times as long in pieces of 128 bytes
 * as in 256, 16 to 96 at 112x112 1.14 times; smaller ones as long. */
static double scatter_cost(const struct cpu *cpu, double bytes, double piece)
{
    static const double cycles_per_byte = 0.15, whole_piece = 256;
    if (bytes < (double)cpu->l3 / 16 || piece >= whole_piece) return 0;
    return cycles_per_byte * bytes * (1 - piece / whole_piece);
}

/* Passes over src behind the first where src and dst drive each other out of L3: cycles that nothing hides.
 * 3x3 from 64 to 64 channels at 56x56 of 16 images took 1.10 times as long in two passes as in one. 1x1,
 * which reads every line but once in a pass, showed none of it. */
static double repeat_cost(const struct cpu *cpu, int64_t taps, double src, double dst, double passes)
{
    static const double cycles_per_byte = 0.8;
    if (taps == 1) return 0;
    return home_of(cpu, src + dst) == HOME_MEMORY ? (passes - 1) * src * cycles_per_byte : 0;
}

/* Streams that no tile avoids: src once for each block of output channels, dst and the weights once;
 * beyond L2 what is written is read first. */
static void stream_cost(const struct panel *l, struct cost *cost)
{
    const struct kiln_conv *c = &l->p->conv;
    const struct cpu *cpu = &l->p->cpu;
    double src = l->g.gathered ? 4.0 * (double)(l->g.w.in * c->ic) : src_bytes(c);
    double weights = 0, passes = 0;
    double dst = dst_bytes(c);
    for (const struct blocks *b = l->blocks; b < l->blocks + l->n_blocks; b++) {
        weights += 4.0 * (double)(l->g.g * b->count * b->floats);
        passes += (double)b->count;
    }
    double writes = beyond_l2(cpu, dst) ? 2 * dst : dst;
    cost->memory = weights / stream_rate(cpu, weights) + passes * src / stream_rate(cpu, src) +
                   writes / stream_rate(cpu, dst);
    int64_t block = l->p->oc * l->p->vec, piece = block < l->g.oc ? block : l->g.oc;
    if (l->g.y.c == 1 && passes * (double)l->g.g > 1)
        cost->overhead += scatter_cost(cpu, dst, 4.0 * (double)piece);
    cost->overhead += repeat_cost(cpu, l->g.h.kernel * l->g.w.kernel, src, dst, passes);
}

/* Copying the pixels that strides leave: their lines come from src, and go where they soon are needed. */
static double gather_cycles(const struct panel *l)
{
    const struct plan *p = l->p;
    double pixels = l->g.gathered ? (double)l->g.w.in : 0, bytes = 4.0 * pixels * (double)p->conv.ic;
    double vectors = pixels * (double)ceil_div(p->conv.ic, p->vec);
    return vectors * 3 + bytes / stream_rate(&p->cpu, src_bytes(&p->conv));
}

struct cost panel_cost(const struct plan *p)
{
    struct panel l;
    bool fits = panel_of(p, &l);
    const struct geometry *g = &l.g;
    assert(fits);
    (void)fits;
    struct cost c = {.registers = panel_registers(p, p->ow * p->oh, p->oc),
                     .tile = {(int)(p->ow * p->oh), (int)p->oc, {"x", 1}, {"w", (int)p->oc}}};
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
    c.overhead += gather_cycles(&l);
    c.cycles = overlapped(c.cycles + c.overhead, c.memory);
    return c;
}
