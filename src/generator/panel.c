/* What a panel plan means, and its checks and sizes. Emission is in panel_run.c, the model in
 * panel_cost.c. */
#include "panel.h"

#include <assert.h>

/* Taps of a row, or of a column, that may be unrolled: beyond it code outgrows what unrolling gains. */
enum { MAX_UNROLLED_TAPS = 64 };

int panel_registers(const struct plan *p, int64_t pixels, int64_t vecs)
{
    return (int)(pixels * vecs + vecs + 1 + !p->cpu.fma);
}

bool panel_splits_sums(const struct plan *p, const struct geometry *g)
{
    return g->ic > p->ic && g->ic * g->h.kernel * g->w.kernel > LONG_SUM;
}

int64_t panel_columns(const struct plan *p, int64_t vecs)
{
    int64_t spare = p->cpu.registers <= 16 ? 1 : 0;
    return (p->cpu.registers - spare - vecs - 1 - !p->cpu.fma) / vecs / p->oh;
}

/* A tail block's columns: as many as the registers hold, unless it is as wide as the others. */
static int tail_ow(const struct plan *p, int vecs)
{
    if (vecs == p->oc) return (int)p->ow;
    int64_t most = panel_columns(p, vecs);
    return (int)(most > 2 * p->ow ? 2 * p->ow : most);
}

static bool blocks_of(struct panel *l, struct blocks *b)
{
    const struct plan *p = l->p;
    const struct geometry *g = &l->g;
    b->ow = tail_ow(p, b->vecs);
    b->n_cols = axis_split(&g->w, b->ow, 1, (enum edge)p->edge, b->cols);
    int64_t tiles = segs_tiles(b->cols, b->n_cols);
    b->chunks = p->chunk ? ceil_div(tiles, p->chunk) : 1;
    b->tasks = g->g * b->count * g->n * panel_row_tasks(l) * b->chunks;
    b->floats = g->ic * g->h.kernel * g->w.kernel * b->vecs * p->vec;
    return b->n_cols > 0;
}

bool panel_of(const struct plan *p, struct panel *made)
{
    struct panel l = {.p = p, .g = p->algo->geometry(&p->conv)};
    const struct geometry *g = &l.g;
    int64_t block = p->oc * p->vec, full = g->oc / block, tail = g->oc % block;
    if (p->unroll >= UNROLL_KH) {
        l.n_rows = axis_split(&g->h, (int)p->oh, 1, EDGE_STATIC, l.rows);
        if (!l.n_rows) return false;
    }
    if (full)
        l.blocks[l.n_blocks++] = (struct blocks){.count = full, .vecs = (int)p->oc, .last = (int)p->vec};
    if (tail) {
        int vecs = (int)ceil_div(tail, p->vec);
        l.blocks[l.n_blocks++] = (struct blocks){
            .count = 1, .first = full * block, .vecs = vecs, .last = (int)(tail - (vecs - 1) * p->vec)};
    }
    for (int i = 0; i < l.n_blocks; i++)
        if (!blocks_of(&l, &l.blocks[i])) return false;
    if (l.n_blocks == 2) l.blocks[1].packed = g->g * full * l.blocks[0].floats;
    *made = l;
    return true;
}

int64_t panel_row_tasks(const struct panel *l) { return l->n_rows ? 1 : l->g.h.out; }

/* The conditions of each edge treatment. */
static const char *check_edge(const struct plan *p, const struct geometry *g)
{
    bool inside = axis_inside(&g->w);
    if (p->edge == EDGE_STATIC && p->unroll < UNROLL_KW && !inside)
        return "edge=static needs unroll=kw or more, since a loop over kw cannot leave taps out";
    if (p->edge == EDGE_ZERO && p->conv.accuracy == KILN_ACCURACY_STRICT && !inside)
        return "edge=zero multiplies padding by weights, which under strict must not meet NaN or Inf";
    if (p->edge == EDGE_BOUNDS && p->unroll >= UNROLL_KW && !inside)
        return "edge=bounds needs unroll=ic, since the bounds of kw are known only at run time";
    return NULL;
}

const char *panel_check(const struct plan *p)
{
    struct geometry seen = p->algo->geometry(&p->conv), *g = &seen;
    struct panel l;
    if (panel_registers(p, p->ow * p->oh, p->oc) > p->cpu.registers)
        return "ow * oh * oc accumulators, oc vectors of weights and a broadcast exceed the vector registers";
    if (p->oh > 1 && p->unroll < UNROLL_KH) return "oh > 1 needs unroll=kh or more";
    if (g->ic % p->ic) return "ic must divide the input channels of a group";
    if ((p->unroll >= UNROLL_KW && g->w.kernel > MAX_UNROLLED_TAPS) ||
        (p->unroll >= UNROLL_KH && g->h.kernel > MAX_UNROLLED_TAPS))
        return "kernels of more than 64 taps in one direction are not unrolled in it";
    if (p->step > p->ic) return "step must be at most ic";
    if (p->unroll == UNROLL_ALL && p->chunk) return "chunk must be 0 where everything is unrolled";
    const char *why = check_edge(p, g);
    if (why) return why;
    if (!panel_of(p, &l)) return "more than 32 static variants of one axis";
    return NULL;
}

struct plan_sizes panel_sizes(const struct plan *p)
{
    struct panel l;
    bool fits = panel_of(p, &l);
    assert(fits);
    (void)fits;
    const struct blocks *last = &l.blocks[l.n_blocks - 1];
    struct plan_sizes s = {.packed = last->packed + l.g.g * last->count * last->floats};
    s.packed += p->vec > p->step ? p->vec : p->step;
    s.scratch = l.g.gathered ? l.g.w.in * l.g.x.w : 0;
    for (int i = 0; i < l.n_blocks; i++) s.tasks += l.blocks[i].tasks;
    return s;
}
