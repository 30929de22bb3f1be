/* What a program that uses an installed Kiln needs: compile a box filter, run it, look at the answer. */
#include <kiln.h>
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    static const float src[8] = {0, 1, 2, 3, 4, 5, 6, 7}, weights[3] = {1, 1, 1};
    float dst[8] = {0};
    struct kiln *k = NULL;
    struct kiln_plan *plan = NULL;
    struct kiln_conv conv;
    struct kiln_error error;
    if (kiln_conv_parse(&conv, "conv ic1 iw8 oc1 kw3 pw1 f32 nhwc", &error) ||
        kiln_create(&k, NULL, &error) || kiln_compile(k, &conv, NULL, &plan, &error))
        return fprintf(stderr, "%s\n", error.text), 1;

    void *packed = aligned_alloc(64, (kiln_plan_packed_size(plan) + 63) / 64 * 64);
    struct kiln_args args = {.src = src, .weights = packed, .dst = dst};
    if (kiln_pack(plan, weights, packed, &error) || kiln_run(plan, &args, &error))
        return fprintf(stderr, "%s\n", error.text), 1;
    printf("C, Kiln %s: %g %g\n", kiln_version(), (double)dst[0], (double)dst[6]);
    kiln_plan_release(plan), kiln_destroy(k), free(packed);
    return dst[0] == 1 && dst[6] == 18 ? 0 : 1;
}
