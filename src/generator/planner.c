#include "planner.h"

#include "door.h"
#include "status.h"

#include <stdlib.h>
#include <string.h>

/* The default is the least code within this factor of the best estimate: code costs compile time and
 * instruction cache, which the model does not see. */
static const double near_best = 1.03;

/* ---- one algorithm's schedules ---- */

/* The least cycles met for each amount of code, as far as code that is larger is also faster: what a
 * choice between speed and code can be made from. Kept in ascending order of code. */
enum { MAX_FRONT = 64 };
struct front {
    struct contender *contender;
    const struct limits *limits;
    const struct plan *except; /* not with this one's tile; NULL: any */
    int n;
    struct plan plans[MAX_FRONT];
    struct cost costs[MAX_FRONT];
};

static void front_remove(struct front *f, int i)
{
    f->n--;
    memmove(&f->plans[i], &f->plans[i + 1], (size_t)(f->n - i) * sizeof *f->plans);
    memmove(&f->costs[i], &f->costs[i + 1], (size_t)(f->n - i) * sizeof *f->costs);
}

static void front_insert(struct front *f, int i, const struct plan *p, const struct cost *cost)
{
    memmove(&f->plans[i + 1], &f->plans[i], (size_t)(f->n - i) * sizeof *f->plans);
    memmove(&f->costs[i + 1], &f->costs[i], (size_t)(f->n - i) * sizeof *f->costs);
    f->n++;
    f->plans[i] = *p, f->costs[i] = *cost;
}

bool planner_allows_scratch(const struct limits *limits, const struct plan *p)
{
    return !limits->scratch || plan_scratch(p) <= limits->scratch;
}

bool planner_same_tile(const struct plan *p, const struct plan *q)
{
    return p->by == q->by && p->vec == q->vec && p->ow == q->ow && p->oh == q->oh && p->oc == q->oc;
}

static void consider(void *user, const struct plan *p)
{
    struct front *f = user;
    struct cost cost;
    if (f->except && planner_same_tile(p, f->except)) return;
    if (plan_check(p, &cost, NULL)) return;
    f->contender->offered++;
    bool over_budget = cost.fmas > f->limits->fmas;
    bool over_scratch = !over_budget && !planner_allows_scratch(f->limits, p);
    f->contender->over_budget += over_budget;
    f->contender->over_scratch += over_scratch;
    if (over_budget || over_scratch) return;
    int i = 0; /* of the first with more code */
    while (i < f->n && f->costs[i].fmas <= cost.fmas) i++;
    if (i && f->costs[i - 1].cycles <= cost.cycles) return;
    while (i < f->n && f->costs[i].cycles >= cost.cycles) front_remove(f, i);
    if (i && f->costs[i - 1].fmas == cost.fmas) front_remove(f, --i);
    if (f->n == MAX_FRONT) front_remove(f, 0); /* the slowest */
    if (i > f->n) i = f->n;
    front_insert(f, i, p, &cost);
}

static enum kiln_status contend(struct contender *c, const struct plan *asked, const struct limits *limits,
                                const struct plan *except, struct kiln_error *error)
{
    struct plan p = {.conv = asked->conv, .cpu = asked->cpu, .algo = c->algo};
    c->why = plan_inapplicable(&p);
    if (c->why) return KILN_STATUS_OK;
    struct front *f = malloc(sizeof *f);
    if (!f) return fail(error, KILN_STATUS_MEMORY, "no memory to plan in");
    f->contender = c, f->limits = limits, f->except = except, f->n = 0;
    c->algo->propose(&p, consider, f);
    for (int i = 0; i < f->n && !c->has_best; i++)
        if (f->costs[i].cycles <= f->costs[f->n - 1].cycles * near_best)
            c->best = f->plans[i], c->cost = f->costs[i], c->has_best = true;
    if (f->n) c->fastest = f->plans[f->n - 1], c->fastest_cost = f->costs[f->n - 1];
    free(f);
    return KILN_STATUS_OK;
}

/* ---- all of them ---- */

double planner_worth(const struct algo *algo, const struct cost *cost)
{
    return cost->cycles * (algo->exact ? 1 : WORTH_INEXACT);
}

static double worth(const struct contender *c) { return planner_worth(c->algo, &c->cost); }

static enum kiln_status fail_limits(const struct limits *limits, const struct choice *choice,
                                    struct kiln_error *error)
{
    int over_scratch = 0;
    for (int i = 0; i < algo_count; i++) over_scratch += choice->contenders[i].over_scratch;
    if (!over_scratch)
        return fail(error, KILN_STATUS_UNSUPPORTED,
                    "no schedule unrolls at most code_budget=%d FMAs; try a larger one", limits->fmas);
    return fail(error, KILN_STATUS_UNSUPPORTED,
                "no schedule unrolls at most code_budget=%d FMAs and needs at most scratch_limit=%zu bytes; "
                "try larger ones",
                limits->fmas, limits->scratch);
}

enum kiln_status planner_choose(const struct plan *p, const struct limits *limits, struct choice *choice,
                                struct kiln_error *error)
{
    const char *why = plan_unsupported(&p->conv);
    if (why) return fail(error, KILN_STATUS_UNSUPPORTED, "%s", why);
    choice->winner = -1;
    for (int i = 0; i < algo_count; i++) {
        struct contender *c = &choice->contenders[i];
        *c = (struct contender){.algo = algos[i]};
        enum kiln_status status = contend(c, p, limits, NULL, error);
        if (status) return status;
        const struct contender *best = choice->winner < 0 ? NULL : &choice->contenders[choice->winner];
        if (c->has_best && (!best || worth(c) < worth(best))) choice->winner = i;
    }
    return choice->winner >= 0 ? KILN_STATUS_OK : fail_limits(limits, choice, error);
}

enum kiln_status planner_alternative(const struct plan *chosen, const struct limits *limits,
                                     struct contender *other, struct kiln_error *error)
{
    *other = (struct contender){.algo = chosen->algo};
    return contend(other, chosen, limits, chosen, error);
}
