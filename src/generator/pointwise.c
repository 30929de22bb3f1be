/* pointwise: 1x1, stride 1, unpadded convolutions as a matrix product over pixels, which follow each
 * other as one long row. */
#include "algo.h"
#include "panel.h"

static const char *applicable(const struct kiln_conv *c, const struct cpu *cpu)
{
    (void)cpu;
    if (!geometry_flattens(c)) return "it needs kh = kw = 1, strides of 1 and no padding";
    return NULL;
}

static const char *check(const struct plan *p)
{
    struct geometry g = geometry_flat(&p->conv);
    return panel_check(p, &g);
}

static void propose(const struct plan *p, algo_offer *offer, void *user)
{
    struct geometry g = geometry_flat(&p->conv);
    panel_propose(p, &g, offer, user);
}

static struct cost cost(const struct plan *p)
{
    struct geometry g = geometry_flat(&p->conv);
    return panel_cost(p, &g);
}

static struct plan_sizes sizes(const struct plan *p)
{
    struct geometry g = geometry_flat(&p->conv);
    return panel_sizes(p, &g);
}

static void nest(const struct plan *p, struct text *t)
{
    struct geometry g = geometry_flat(&p->conv);
    panel_nest(p, &g, t);
}

static void emit_run(struct emit *e, const struct plan *p)
{
    struct geometry g = geometry_flat(&p->conv);
    panel_run(e, p, &g);
}

static void emit_pack(struct emit *e, const struct plan *p)
{
    struct geometry g = geometry_flat(&p->conv);
    panel_pack(e, p, &g);
}

const struct algo algo_pointwise = {
    .name = "pointwise",
    .summary = "1x1 as a matrix product over all pixels",
    .exact = true,
    .knobs = "vec ow oc ic step unroll chunk",
    .applicable = applicable,
    .check = check,
    .propose = propose,
    .cost = cost,
    .sizes = sizes,
    .nest = nest,
    .emit_run = emit_run,
    .emit_pack = emit_pack,
};
