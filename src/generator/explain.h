/* explain: what will run, why that and not another, and what it costs, as text derived from plans. */
#ifndef KILN_GENERATOR_EXPLAIN_H
#define KILN_GENERATOR_EXPLAIN_H

#include "planner.h"
#include "text.h"

/* The plan line, its nest, registers, work, estimate. */
void explain_plan(const struct plan *p, struct text *t);

/* A line per algorithm: the schedule chosen or the best of it with its estimate, or why not. `given`: the
 * plan explained before was not the planner's but the caller's. */
void explain_choice(const struct choice *choice, bool given, struct text *t);

#endif
