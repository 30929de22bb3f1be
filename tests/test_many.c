/* kiln_compile_many: each once, each told, whatever became of the others. */
#include "api.h"

TestSuite(many);

/* What kiln_compile_many told of each convolution. */
struct told {
    int times[8];
    size_t done;
    bool failed[8];
};

static void tell(void *user, size_t index, size_t done, size_t count, const struct kiln_error *why)
{
    struct told *told = user;
    cr_assert_lt(index, 8);
    cr_assert_eq(done, ++told->done);
    cr_assert_eq(count, 8);
    told->times[index]++;
    told->failed[index] = why != NULL;
}

Test(many, are_compiled_once_each)
{
    static const struct kiln_options other = {.size = sizeof other, .isa = "sse2"};
    static const struct kiln_options bad = {.size = sizeof bad, .isa = "fry"};
    const struct kiln_options *options[8] = {NULL, NULL, NULL, &bad, NULL, &other};
    struct kiln_conv convs[8];
    for (int jobs = 0; jobs < 4; jobs++) {
        struct kiln_plan *plans[8];
        struct kiln_stats stats;
        struct told told = {0};
        struct kiln *k = context_with((struct kiln_config){0});
        for (int i = 0; i < 8; i++) convs[i] = conv_of(i < 4 ? SMALL : BIG);
        convs[7].oc = 0;
        REFUSES(kiln_compile_many(k, convs, options, 8, jobs, plans, tell, &told, &error),
                KILN_STATUS_INVALID, "convs[3]: isa is \"fry\"");
        for (int i = 0; i < 8; i++) {
            cr_assert_eq(told.times[i], 1);
            cr_assert_eq(told.failed[i], i == 3 || i == 7);
            cr_assert_eq(plans[i] == NULL, told.failed[i]);
            if (plans[i]) cr_assert_eq(kiln_plan_conv(plans[i])->ic, convs[i].ic);
            kiln_plan_release(plans[i]);
        }
        kiln_stats(k, &stats);
        cr_assert_eq(stats.compiles, 3, "%d compiles", (int)stats.compiles);
        WORKS(kiln_compile_many(k, convs, NULL, 7, jobs, plans, NULL, NULL, &error));
        for (int i = 0; i < 7; i++) kiln_plan_release(plans[i]);
        kiln_destroy(k);
    }
}

Test(many, refuses)
{
    struct kiln_conv conv = conv_of(SMALL);
    struct kiln_plan *plan = (void *)&conv;
    struct kiln *k = context_with((struct kiln_config){0});
    REFUSES(kiln_compile_many(NULL, &conv, NULL, 1, 1, &plan, NULL, NULL, &error), KILN_STATUS_INVALID,
            "k is NULL");
    REFUSES(kiln_compile_many(k, NULL, NULL, 1, 1, &plan, NULL, NULL, &error), KILN_STATUS_INVALID,
            "convs is NULL and count is 1");
    REFUSES(kiln_compile_many(k, &conv, NULL, 1, 1, NULL, NULL, NULL, &error), KILN_STATUS_INVALID,
            "plans is NULL");
    REFUSES(kiln_compile_many(k, &conv, NULL, SIZE_MAX, 1, &plan, NULL, NULL, &error), KILN_STATUS_INVALID,
            "count is 18446744073709551615");
    REFUSES(kiln_compile_many(k, &conv, NULL, 1, -1, &plan, NULL, NULL, &error), KILN_STATUS_INVALID,
            "jobs is -1: must be 0 to 1024");
    REFUSES(kiln_compile_many(k, &conv, NULL, 1, 1025, &plan, NULL, NULL, &error), KILN_STATUS_INVALID,
            "jobs is 1025");
    cr_assert_eq(plan, (void *)&conv, "a failure changed its output");
    WORKS(kiln_compile_many(k, NULL, NULL, 0, 0, NULL, NULL, NULL, &error));
    kiln_destroy(k);
}
