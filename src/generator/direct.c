/* direct: any convolution, on any machine. Pixels x vectors of output channels, in place in both
 * layouts, over the rows as they are. */
#include "panel.h"

static const char *applicable(const struct kiln_conv *c, const struct cpu *cpu)
{
    (void)c, (void)cpu;
    return NULL;
}

const struct algo algo_direct = {
    .name = "direct",
    .summary = "pixels x vectors of output channels, row by row; does everything",
    .exact = true,
    .knobs = "vec ow oh oc ic step unroll edge chunk",
    .applicable = applicable,
    .geometry = geometry_of,
    .check = panel_check,
    .propose = panel_propose,
    .cost = panel_cost,
    .sizes = panel_sizes,
    .nest = panel_nest,
    .emit_run = panel_run,
    .emit_pack = panel_pack,
};
