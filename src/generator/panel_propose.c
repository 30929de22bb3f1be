/* Which panel plans are worth proposing, and how they read. */
#include "panel.h"

static int64_t chunk(const struct plan *p, const struct geometry *g)
{
    int64_t rows = p->unroll >= UNROLL_KH ? 1 : g->h.out;
    return chunk_of(g->g * ceil_div(g->oc, p->oc * p->vec) * g->n * rows, ceil_div(g->w.out, p->ow));
}

struct offering {
    const struct geometry *g;
    algo_offer *offer;
    void *user;
    int64_t panel; /* the most channels of one */
};

/* Whether registers remain for the broadcasts of pixels whose address is chosen: LLVM loads those early.
 * One at each end of a row is nothing to it. */
static bool choices_fit(const struct plan *p, const struct span *a)
{
    int64_t behind = (a->out - 1) * a->stride - a->pad + (a->kernel - 1) * a->dilation - (a->in - 1);
    int64_t choices = ceil_div(a->pad, a->stride) + (behind > 0 ? ceil_div(behind, a->stride) : 0);
    if (choices > p->ow) choices = p->ow;
    return panel_registers(p, p->ow * p->oh, p->oc) + (choices > 2 ? choices - 2 : 0) <= p->cpu.registers;
}

/* The ways to treat edges and unroll, for one tile. */
static void offer_nests(struct plan p, const struct offering *o)
{
    static const struct {
        enum unroll unroll;
        enum edge edge;
    } ways[] = {{UNROLL_IC, EDGE_STATIC}, {UNROLL_IC, EDGE_ZERO},   {UNROLL_KW, EDGE_STATIC},
                {UNROLL_KW, EDGE_ZERO},   {UNROLL_KH, EDGE_STATIC}, {UNROLL_IC, EDGE_BOUNDS},
                {UNROLL_ALL, EDGE_STATIC}};
    bool many_choices =
        o->g->x.c > 1 && p.step > 2; /* in nchw one for each channel: their loads would spill */
    bool padded = !axis_inside(&o->g->w), one_tap = o->g->w.kernel == 1 && o->g->h.kernel == 1;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        if (!padded && ways[i].edge != EDGE_STATIC) continue;
        if (ways[i].edge == EDGE_ZERO && (many_choices || !choices_fit(&p, &o->g->w))) continue;
        if (p.oh > 1 && ways[i].unroll < UNROLL_KH) continue;
        if (one_tap && (ways[i].unroll == UNROLL_KW || (ways[i].unroll == UNROLL_KH && p.oh == 1))) continue;
        p.unroll = ways[i].unroll, p.edge = ways[i].edge;
        p.chunk = p.unroll == UNROLL_ALL ? 0 : chunk(&p, o->g);
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

/* The most channels that divide all of them and make no sum too long for one accumulator. */
static int64_t widest_panel(const struct geometry *g)
{
    int64_t taps = g->h.kernel * g->w.kernel, n = g->ic * taps <= LONG_SUM ? g->ic : LONG_SUM / taps;
    while (n > 1 && g->ic % n) n--;
    return n < 1 ? 1 : n;
}

/* nchw reads each channel from another place: panels of few channels keep those lines for all taps. */
static void offer_panels(struct plan p, const struct offering *o)
{
    static const int64_t panels[] = {16, 8, 4};
    p.ic = o->panel;
    offer_steps(p, o);
    if (o->g->x.c == 1 || o->g->h.kernel * o->g->w.kernel == 1) return;
    for (size_t i = 0; i < sizeof panels / sizeof *panels; i++)
        if (p.ic > panels[i] && o->g->ic % panels[i] == 0) {
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
    struct offering o = {g, offer, user, widest_panel(g)};
    struct plan p = *asked;
    static const int64_t heights[] = {1, 2, 3, 4, 7};
    for (p.vec = p.cpu.lanes; p.vec >= 4; p.vec /= 2) {
        int64_t vecs = ceil_div(g->oc, p.vec);
        for (p.oc = 1; p.oc <= 6 && p.oc <= vecs; p.oc++)
            for (size_t h = 0; h < sizeof heights / sizeof *heights; h++) {
                p.oh = heights[h];
                if (p.oh > 1 && (p.oh > g->h.out || g->w.out > 16)) continue;
                int64_t most = panel_columns(&p, p.oc);
                if (most > 0) offer_widths(p, &o, most);
            }
        int64_t last = g->oc % p.vec; /* lanes; narrower vectors are only more of them if most are used */
        if (g->oc > p.vec / 2 && (!last || last > p.vec / 2)) break;
    }
}

/* ---- how it reads ---- */

static void put_segs(struct text *t, const char *name, const struct seg *segs, int n)
{
    text_put(t, ", %s in", name);
    for (int i = 0; i < n; i++)
        text_put(t, "%s %lld x %d", i ? " +" : "", (long long)segs[i].count, segs[i].n);
}

static int widest(const struct seg *segs, int n)
{
    int most = 0;
    for (int i = 0; i < n; i++) most = segs[i].n > most ? segs[i].n : most;
    return most;
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
    text_put(t, "\n    acc[%lld][%d] = 0\n",
             (long long)(l->n_rows ? widest(l->rows, l->n_rows) : 1) * widest(b->cols, b->n_cols), b->vecs);
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
    if (l.g.gathered)
        text_put(t, "  x = %lld pixels that strides leave of src, in scratch\n", (long long)l.g.w.in);
    for (const struct blocks *b = l.blocks; b < l.blocks + l.n_blocks; b++) put_blocks(&l, b, t);
}
