/* pointwise: 1x1, stride 1, unpadded convolutions as a matrix product over pixels, which follow each
 * other as one long row. */
#include "panel.h"

static const char *applicable(const struct kiln_conv *c, const struct cpu *cpu)
{
    (void)cpu;
    if (!geometry_flattens(c)) return "it needs kh = kw = 1, strides of 1 and no padding";
    return NULL;
}

const struct algo algo_pointwise = {
    .name = "pointwise",
    .summary = "1x1 as a matrix product over all pixels",
    .exact = true,
    .knobs = "vec ow oc ic step unroll chunk",
    .applicable = applicable,
    .geometry = geometry_flat,
    .check = panel_check,
    .propose = panel_propose,
    .cost = panel_cost,
    .sizes = panel_sizes,
    .nest = panel_nest,
    .emit_run = panel_run,
    .emit_pack = panel_pack,
};
