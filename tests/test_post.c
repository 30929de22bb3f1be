/* Post-ops that are functions of one number: their errors over all sizes of numbers, on every ISA that is
 * here. A convolution of one tap, whose weight is 1, is the function itself. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "interp.h"
#include "kiln.h"

enum { COUNT = 1 << 16, SPECIALS = 9 };

static float x[COUNT], y[COUNT];
static _Alignas(64) float packed[1024];
static const char *const isas[] = {"sse2", "avx2", "avx512", "neon"};

/* The largest error, as a part of the result; where that is less than `floor`, as a part of the floor: the
 * tail of gelu is a difference of nearly equal numbers in the argument of exp, and of sigmoid's and silu's
 * what f32 holds. */
static const struct {
    const char *post;
    double most, floor;
} rows[] = {
    {"+leaky(0.1)", 1e-7, FLT_MIN}, {"+leaky(-3)", 1e-7, FLT_MIN}, {"+hardswish", 4e-7, 1e-6},
    {"+sigmoid", 1e-6, 1e-30},      {"+silu", 1e-6, 1e-30},        {"+tanh", 4e-7, FLT_MIN},
    {"+gelu", 3e-6, 1e-6},
};

static const float specials[SPECIALS] = {NAN,     INFINITY, -INFINITY, 0,     -0.0F,
                                         FLT_MAX, -FLT_MAX, 88.5F,     -88.5F};

/* Both signs of every power of two from 2^-40 to 2^8, with fractions between. */
static void fill_x(void)
{
    memcpy(x, specials, sizeof specials);
    for (int i = SPECIALS; i < COUNT; i++) {
        float size = (float)exp2(-40 + 48.0 * (i / 2) / (COUNT / 2));
        x[i] = i % 2 ? size : -size;
    }
}

static void hear_nothing(void *user, const char *bytes, size_t count)
{
    (void)user, (void)bytes, (void)count;
}

/* False: this machine lacks the ISA. */
static bool compute_y(const struct kiln_conv *conv, const char *isa)
{
    struct kiln *k;
    struct kiln_plan *plan;
    struct kiln_error error;
    const struct kiln_config config = {.size = sizeof config};
    const struct kiln_options options = {.size = sizeof options, .isa = isa};
    const struct kiln_args args = {.src = x, .weights = packed, .dst = y};
    static const float one = 1;
    cr_assert_eq(kiln_create(&k, &config, &error), KILN_STATUS_OK, "%s", error.text);
    bool here = kiln_cpu_print(k, &options, hear_nothing, NULL, NULL) == KILN_STATUS_OK;
    if (here) {
        cr_assert_eq(kiln_compile(k, conv, &options, &plan, &error), KILN_STATUS_OK, "%s", error.text);
        cr_assert_leq(kiln_plan_packed_size(plan), sizeof packed);
        cr_assert_eq(kiln_pack(plan, &one, packed, &error), KILN_STATUS_OK, "%s", error.text);
        cr_assert_eq(kiln_run(plan, &args, &error), KILN_STATUS_OK, "%s", error.text);
        kiln_plan_release(plan);
    }
    kiln_destroy(k);
    return here;
}

/* The error as a part of what was wanted; not a number and infinite where that is. */
static double error_at(const struct kiln_post *post, int i, double floor)
{
    double want = interp_post(post, NULL, x[i], 0, 0);
    if (fabs(want) > FLT_MAX) want = copysign(INFINITY, want);
    if (isnan(want)) return isnan(y[i]) ? 0 : INFINITY;
    if (isinf(want)) return y[i] == want ? 0 : INFINITY;
    return isnan(y[i]) ? INFINITY : fabs(y[i] - want) / fmax(fabs(want), floor);
}

Test(post, functions_of_one_number, .timeout = 120)
{
    fill_x();
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
        for (size_t j = 0; j < sizeof isas / sizeof *isas; j++) {
            char text[128];
            struct kiln_conv conv;
            double worst = 0;
            int where = 0;
            snprintf(text, sizeof text, "conv ic1 iw%d oc1 kw1 f32 nhwc strict %s", COUNT, rows[r].post);
            cr_assert_eq(kiln_conv_parse(&conv, text, NULL), KILN_STATUS_OK);
            if (!compute_y(&conv, isas[j])) continue;
            for (int i = 0; i < COUNT; i++) {
                double error = error_at(conv.post, i, rows[r].floor);
                if (error > worst) worst = error, where = i;
            }
            cr_expect(worst <= rows[r].most, "%s on %s: %g at %.9g: %.9g", rows[r].post, isas[j], worst,
                      (double)x[where], (double)y[where]);
        }
}
