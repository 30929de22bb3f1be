#include "planner.h"

#include "algo.h"
#include "conv.h"
#include "post.h"
#include "status.h"

/* The default is the least code within this factor of the best estimate: code costs compile time and
 * instruction cache, which the model does not see. */
static const double near_best = 1.03;

/* What no algorithm compiles yet, or NULL. */
static const char *unsupported(const struct kiln_conv *c)
{
    if (c->src != KILN_TYPE_F32 || c->weights != KILN_TYPE_F32 || c->dst != KILN_TYPE_F32)
        return "types other than f32 are not compiled yet";
    if (conv_dims(c) == 3) return "3-D convolutions are not compiled yet";
    if (c->mode != KILN_MODE_ZEROS) return "padding modes other than zeros are not compiled yet";
    return post_supported(c);
}

/* ---- one algorithm's schedules ---- */

struct search {
    struct contender *contender;
    int budget;
    double least_cycles; /* second pass: take the least code within near_best of it; 0: first pass */
};

static bool better(const struct search *s, const struct cost *cost)
{
    const struct contender *c = s->contender;
    if (!s->least_cycles) return !c->has_best || cost->cycles < c->cost.cycles;
    if (cost->cycles > s->least_cycles * near_best) return false;
    return cost->fmas < c->cost.fmas || (cost->fmas == c->cost.fmas && cost->cycles < c->cost.cycles);
}

static void consider(void *user, const struct plan *p)
{
    struct search *s = user;
    struct contender *c = s->contender;
    if (plan_check(p, NULL)) return;
    struct cost cost = p->algo->cost(p);
    c->offered += !s->least_cycles;
    if (cost.fmas > s->budget) {
        c->over_budget += !s->least_cycles;
        return;
    }
    if (better(s, &cost)) c->best = *p, c->cost = cost, c->has_best = true;
}

static void contend(struct contender *c, const struct plan *asked, int budget)
{
    struct plan p = *asked;
    p.algo = c->algo;
    struct search s = {.contender = c, .budget = budget};
    c->algo->propose(&p, consider, &s);
    if (!c->has_best) return;
    s.least_cycles = c->cost.cycles;
    c->algo->propose(&p, consider, &s);
}

/* ---- all of them ---- */

enum kiln_status planner_choose(const struct plan *p, int budget, struct choice *choice,
                                struct kiln_error *error)
{
    const char *why = unsupported(&p->conv);
    if (why) return fail(error, KILN_STATUS_UNSUPPORTED, "%s", why);
    choice->winner = -1;
    for (int i = 0; i < algo_count; i++) {
        struct contender *c = &choice->contenders[i];
        *c = (struct contender){.algo = algos[i], .why = algos[i]->applicable(&p->conv, &p->cpu)};
        if (!c->why) contend(c, p, budget);
        const struct contender *best = choice->winner < 0 ? NULL : &choice->contenders[choice->winner];
        if (c->has_best && (!best || c->cost.cycles < best->cost.cycles)) choice->winner = i;
    }
    if (choice->winner >= 0) return KILN_STATUS_OK;
    return fail(error, KILN_STATUS_UNSUPPORTED,
                "no schedule unrolls at most code_budget=%d FMAs; try a larger one", budget);
}
