/* pointwise: 1x1, unpadded convolutions as a matrix product over pixels, which follow each other as one long
 * row, or in nhwc with strides are made to. */
#include "panel.h"

/* Floats of the pixels that strides leave, at most. Every thread copies all of them: of more than this, a
 * copy costs what it saves. */
enum { MAX_GATHERED = 1 << 22 };

static struct geometry geometry(const struct kiln_conv *c)
{
    return geometry_gathers(c) ? geometry_gathered(c) : geometry_flat(c);
}

static const char *applicable(const struct kiln_conv *c, const struct cpu *cpu)
{
    (void)cpu;
    if (geometry_flattens(c)) return NULL;
    if (!geometry_gathers(c)) return "it needs kh = kw = 1 and no padding, and in nchw strides of 1";
    struct geometry g = geometry(c);
    if (g.w.in > MAX_GATHERED / g.x.w) return "strides leave more than 16 MiB of pixels";
    return NULL;
}

const struct algo algo_pointwise = {
    .name = "pointwise",
    .summary = "1x1 as a matrix product over all pixels",
    .exact = true,
    .knobs = "vec ow oc ic step unroll chunk",
    .applicable = applicable,
    .geometry = geometry,
    .check = panel_check,
    .propose = panel_propose,
    .cost = panel_cost,
    .sizes = panel_sizes,
    .nest = panel_nest,
    .emit_run = panel_run,
    .emit_pack = panel_pack,
};
