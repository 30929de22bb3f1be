/* planner: candidates -> estimate -> the plan, and a reason for every one that was not taken. Only
 * estimates; nothing is timed. */
#ifndef KILN_GENERATOR_PLANNER_H
#define KILN_GENERATOR_PLANNER_H

#include "algo.h"

/* One algorithm's part in a choice. */
struct contender {
    const struct algo *algo;
    const char *why;  /* not applicable: the reason */
    int offered;      /* schedules that pass plan_check */
    int over_budget;  /* of these, those that unroll more than the limits allow */
    int over_scratch; /* and of the rest, those that need more scratch */
    bool has_best;
    struct plan best; /* the least code that is nearly as fast as the fastest, within the budget */
    struct plan fastest;
    struct cost cost, fastest_cost; /* of best, of fastest */
};

/* What a plan may take. */
struct limits {
    int fmas;       /* unrolled in the whole object */
    size_t scratch; /* bytes for each thread; 0: no limit */
};

enum { MAX_ALGOS = 16 };

struct choice {
    struct contender contenders[MAX_ALGOS]; /* in the order of the table */
    int winner;                             /* index of a contender */
};

/* Chooses among all algorithms for p's conv and cpu, within the limits. UNSUPPORTED: what nothing
 * compiles, or not within them, with the reason. */
enum kiln_status planner_choose(const struct plan *p, const struct limits *limits, struct choice *choice,
                                struct kiln_error *error);

/* What its algorithm would offer in place of a chosen plan, with another tile: the same tile in other loops
 * is no other idea. other->has_best is false where there is none. */
enum kiln_status planner_alternative(const struct plan *chosen, const struct limits *limits,
                                     struct contender *other, struct kiln_error *error);

/* Offers at most so many schedules of all algorithms that are worth a try, those that most probably are the
 * fastest first, but different ones before those that are alike. MEMORY. */
enum kiln_status planner_list(const struct plan *asked, const struct limits *limits, size_t most,
                              algo_offer *offer, void *user, struct kiln_error *error);

/* Cycles by which algorithms are compared: see WORTH_INEXACT. */
double planner_worth(const struct algo *algo, const struct cost *cost);

bool planner_same_tile(const struct plan *p, const struct plan *q);

/* Whether a checked plan's scratch is within the limits. */
bool planner_allows_scratch(const struct limits *limits, const struct plan *p);

#endif
