/* direct: any convolution, on any machine. Pixels x vectors of output channels, in place in both
 * layouts, over the rows as they are. */
#include "algo.h"
#include "panel.h"

static const char *applicable(const struct kiln_conv *c, const struct cpu *cpu)
{
    (void)c, (void)cpu;
    return NULL;
}

static const char *check(const struct plan *p)
{
    struct geometry g = geometry_of(&p->conv);
    return panel_check(p, &g);
}

static void propose(const struct plan *p, algo_offer *offer, void *user)
{
    struct geometry g = geometry_of(&p->conv);
    panel_propose(p, &g, offer, user);
}

static struct cost cost(const struct plan *p)
{
    struct geometry g = geometry_of(&p->conv);
    return panel_cost(p, &g);
}

static struct plan_sizes sizes(const struct plan *p)
{
    struct geometry g = geometry_of(&p->conv);
    return panel_sizes(p, &g);
}

static void nest(const struct plan *p, struct text *t)
{
    struct geometry g = geometry_of(&p->conv);
    panel_nest(p, &g, t);
}

static void emit_run(struct emit *e, const struct plan *p)
{
    struct geometry g = geometry_of(&p->conv);
    panel_run(e, p, &g);
}

static void emit_pack(struct emit *e, const struct plan *p)
{
    struct geometry g = geometry_of(&p->conv);
    panel_pack(e, p, &g);
}

const struct algo algo_direct = {
    .name = "direct",
    .summary = "pixels x vectors of output channels, row by row; does everything",
    .exact = true,
    .knobs = "vec ow oh oc ic step unroll edge chunk",
    .applicable = applicable,
    .check = check,
    .propose = propose,
    .cost = cost,
    .sizes = sizes,
    .nest = nest,
    .emit_run = emit_run,
    .emit_pack = emit_pack,
};
