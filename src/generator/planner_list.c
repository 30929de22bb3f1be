/* planner: more than one plan, for those who time them. Estimates are right about which schedules are worth
 * a try and wrong by some percent about their order; schedules with the same tile are wrong by the same
 * percents. So the list begins with what differs. */
#include "planner.h"

#include "status.h"

#include <stdlib.h>

/* Listed are those whose estimate is within this factor of the best; the model was never found to be wrong
 * by more within one algorithm, and seldom by more than half of it. */
static const double within = 1.5;

/* How much worse a schedule counts for each better one with the same tile. */
static const double repeated = 0.03;

struct listed {
    struct plan plan;
    double worth, rank;
};

struct list {
    const struct limits *limits;
    struct listed *at;
    size_t count, room;
    double best; /* worth */
    bool failed; /* no memory */
};

static void list_add(void *user, const struct plan *p)
{
    struct list *l = user;
    struct cost cost;
    if (l->failed || plan_check(p, &cost, NULL)) return;
    if (cost.fmas > l->limits->fmas || !planner_allows_scratch(l->limits, p)) return;
    double worth = planner_worth(p->algo, &cost);
    if (l->count && worth > l->best * within) return;
    if (!l->count || worth < l->best) l->best = worth;
    if (l->count == l->room) {
        size_t room = l->room ? 2 * l->room : 64;
        struct listed *at = realloc(l->at, room * sizeof *at);
        l->failed = !at;
        if (!at) return;
        l->at = at, l->room = room;
    }
    l->at[l->count++] = (struct listed){*p, worth, worth};
}

static int compare_listed(const void *a, const void *b)
{
    const struct listed *x = a, *y = b;
    if (x->rank != y->rank) return x->rank < y->rank ? -1 : 1;
    return (x->worth > y->worth) - (x->worth < y->worth);
}

/* Ranks what has been sorted: the first of each algorithm before all, and what is like a better one later
 * than its estimate says. */
static void list_rank(struct list *l)
{
    enum { REPEATS_MOST = 32 }; /* so much worse that more do not matter */
    for (size_t i = 0; i < l->count; i++) {
        int same = 0;
        bool first = true;
        for (size_t j = 0; j < i && same < REPEATS_MOST; j++) {
            if (l->at[j].plan.algo != l->at[i].plan.algo) continue;
            first = false;
            same += planner_same_tile(&l->at[j].plan, &l->at[i].plan);
        }
        l->at[i].rank = first ? l->best : l->at[i].worth * (1 + repeated * same);
    }
}

enum kiln_status planner_list(const struct plan *asked, const struct limits *limits, size_t most,
                              algo_offer *offer, void *user, struct kiln_error *error)
{
    struct list l = {.limits = limits};
    for (int i = 0; i < algo_count; i++) {
        struct plan p = {.conv = asked->conv, .cpu = asked->cpu, .algo = algos[i]};
        if (!plan_inapplicable(&p)) p.algo->propose(&p, list_add, &l);
    }
    if (l.failed) return free(l.at), fail(error, KILN_STATUS_MEMORY, "no memory to list plans in");
    qsort(l.at, l.count, sizeof *l.at, compare_listed);
    while (l.count && l.at[l.count - 1].worth > l.best * within) l.count--;
    list_rank(&l);
    qsort(l.at, l.count, sizeof *l.at, compare_listed);
    for (size_t i = 0; i < l.count && i < most; i++) offer(user, &l.at[i].plan);
    free(l.at);
    return KILN_STATUS_OK;
}
