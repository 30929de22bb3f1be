#include <kiln.h>
#include <stdio.h>
#include <stdlib.h>

static float src[56][56][64], weights[64][64][3][3], bias[64] = {[7] = 1}, dst[56][56][64];

int main(void)
{
    struct kiln *k = NULL;
    struct kiln_plan *plan = NULL;
    struct kiln_conv conv;
    struct kiln_error error;
    if (kiln_conv_parse(&conv, "conv ic64 ih56 iw56 oc64 kh3 kw3 ph1 pw1 f32 nhwc +bias +relu", &error) ||
        kiln_create(&k, NULL, &error) || kiln_compile(k, &conv, NULL, &plan, &error))
        return fprintf(stderr, "%s\n", error.text), 1;

    void *packed = aligned_alloc(64, (kiln_plan_packed_size(plan) + 63) / 64 * 64);
    struct kiln_args args = {.src = src, .weights = packed, .bias = bias, .dst = dst};
    if (kiln_pack(plan, weights, packed, &error) /* once */ || kiln_run(plan, &args, &error) /* many times */)
        return fprintf(stderr, "%s\n", error.text), 1;
    printf("%s\ndst[0][0][7] = %g\n", kiln_plan_text(plan), dst[0][0][7]);
    kiln_plan_release(plan), kiln_destroy(k), free(packed);
}
