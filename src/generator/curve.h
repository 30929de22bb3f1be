/* curve: functions of one number in emitted code, on every lane of a vector: what post-ops need beyond sums
 * and comparisons. NaN stays NaN, and nothing is called. docs/accuracy.md tells the errors. */
#ifndef KILN_GENERATOR_CURVE_H
#define KILN_GENERATOR_CURVE_H

#include "emit.h"

value vleaky(struct emit *e, value v, float a); /* v < 0 ? a * v : v */
value vsigmoid(struct emit *e, value v);        /* 1 / (1 + exp(-v)) */
value vsilu(struct emit *e, value v);           /* v / (1 + exp(-v)) */
value vtanh(struct emit *e, value v);
value vgelu(struct emit *e, value v);      /* v * (1 + erf(v / sqrt(2))) / 2 */
value vhardswish(struct emit *e, value v); /* v * clip(v + 3, 0, 6) / 6 */

#endif
