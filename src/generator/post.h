/* post: post-ops in emitted code, on a vector of output channels of one pixel or of pixels of one
 * output channel: whoever calls brings the operands in the same shape. */
#ifndef KILN_GENERATOR_POST_H
#define KILN_GENERATOR_POST_H

#include "emit.h"

/* NULL, or which post-op of c is not compiled yet, as a sentence. */
const char *post_supported(const struct kiln_conv *c);

/* Instructions that the post-ops of c take for each vector of outputs, but for loads of operands. */
double post_cost(const struct kiln_conv *c);

/* The pointers that c's post-ops need, or NULL; loaded once at the start of a function. */
struct operands {
    value bias, add;
};
struct operands post_operands(struct emit *e, const struct kiln_conv *c);

/* v after the post-ops; bias and add as vectors, NULL where c has no such post-op. */
value post_apply(struct emit *e, const struct kiln_conv *c, value v, value bias, value add);

#endif
