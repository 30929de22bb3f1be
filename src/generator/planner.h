/* planner: candidates -> estimate -> the plan, and a reason for every one that was not taken. Only
 * estimates; nothing is timed. */
#ifndef KILN_GENERATOR_PLANNER_H
#define KILN_GENERATOR_PLANNER_H

#include "plan.h"

/* One algorithm's part in a choice. */
struct contender {
    const struct algo *algo;
    const char *why; /* not applicable: the reason */
    int offered;     /* schedules that pass plan_check */
    int over_budget; /* of these, those that unroll more than the budget allows */
    bool has_best;
    struct plan best; /* the least code that is nearly as fast as the fastest, within the budget */
    struct plan fastest;
    struct cost cost, fastest_cost; /* of best, of fastest */
};

enum { MAX_ALGOS = 16 };

struct choice {
    struct contender contenders[MAX_ALGOS]; /* in the order of the table */
    int winner;                             /* index of a contender */
};

/* Chooses among all algorithms for p's conv and cpu, with at most `budget` unrolled FMAs, if any
 * schedule stays within it. UNSUPPORTED: what nothing compiles, with the reason. */
enum kiln_status planner_choose(const struct plan *p, int budget, struct choice *choice,
                                struct kiln_error *error);

#endif
