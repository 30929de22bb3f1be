/* explain: what will run, why that and not another, and what it costs, as text derived from plans. */
#ifndef KILN_GENERATOR_EXPLAIN_H
#define KILN_GENERATOR_EXPLAIN_H

#include "planner.h"
#include "text.h"

/* The plan line, its nest, registers, work, estimate and the parts of it. */
void explain_plan(const struct plan *p, struct text *t);

/* A line per algorithm: the schedule chosen or the best of it with its estimate, or why not; then the
 * runners-up, each with what it loses on: the best of another algorithm, and of the chosen one with another
 * tile. `given`: the plan explained before was the caller's, and is compared with the choice instead. MEMORY.
 */
enum kiln_status explain_choice(const struct choice *choice, const struct limits *limits,
                                const struct plan *given, struct text *t, struct kiln_error *error);

#endif
