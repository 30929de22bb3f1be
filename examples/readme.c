#include <kiln.h>
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    struct kiln_error error;
    struct kiln_conv conv;
    struct kiln *k = NULL;
    struct kiln_plan *plan = NULL;
    if (kiln_conv_parse(&conv, "conv ic64 ih56 iw56 oc64 kh3 kw3 ph1 pw1 f32 nhwc +bias +relu", &error) ||
        kiln_create(&k, NULL, &error) || kiln_compile(k, &conv, NULL, &plan, &error))
        return fprintf(stderr, "%s\n", error.text), 1;

    float *src = calloc(56 * 56 * 64, sizeof *src), *weights = calloc(64 * 64 * 3 * 3, sizeof *weights);
    float *dst = calloc(56 * 56 * 64, sizeof *dst), bias[64] = {[7] = 1};
    void *packed = aligned_alloc(64, kiln_plan_packed_size(plan)); /* once per set of weights */
    struct kiln_args args = {.src = src, .weights = packed, .bias = bias, .dst = dst};
    if (kiln_pack(plan, weights, packed, &error) || kiln_run(plan, &args, &error))
        return fprintf(stderr, "%s\n", error.text), 1;
    printf("%s\ndst[0][0][0][7] = %g\n", kiln_plan_text(plan), dst[7]);
}
