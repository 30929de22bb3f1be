/* The accuracy that kiln.h promises, on N(0,1) data and by every algorithm: errors against the f64
 * oracle of at most 2e-5 of the results' RMS, however long the sums. */
#include <criterion/criterion.h>

#include "conv.h"
#include "harness.h"

enum { BUDGET = 800 };

static const char *const convs[] = {
    "conv ic64 ih14 iw14 oc64 kh3 kw3 ph1 pw1 nhwc +bias +relu",
    "conv ic64 ih14 iw14 oc64 kh3 kw3 ph1 pw1 nchw +bias +relu",
    "conv ic512 ih8 iw8 oc64 kh3 kw3 ph1 pw1 nhwc", /* the longest sum of one accumulator */
    "conv ic2560 ih8 iw8 oc96 kh3 kw3 ph1 pw1 nhwc +bias",
    "conv ic2560 ih8 iw8 oc40 kh3 kw3 ph1 pw1 nchw +bias",
    "conv ic16384 ih8 iw8 oc48 kh1 kw1 nhwc",
    "conv ic65536 ih4 iw4 oc20 kh1 kw1 nchw",
    "conv ic128 ih40 iw40 oc16 kh11 kw11 nhwc",
    "conv g256 ic256 ih14 iw14 oc256 kh7 kw7 ph3 pw3 nhwc",
    "conv g64 ic64 ih28 iw28 oc64 kh31 kw31 ph15 pw15 nchw",
};

static void try_all(const struct kiln_conv *conv, const char *isa)
{
    struct plan asked = {.conv = *conv};
    struct choice choice;
    struct kiln_error error;
    char room[1024] = "";
    struct text why = text_into(room, sizeof room);
    if (!machine_capped(&asked.cpu, isa)) return;
    cr_assert_eq(planner_choose(&asked, &(struct limits){.fmas = BUDGET}, &choice, &error), KILN_STATUS_OK,
                 "%s", error.text);
    struct tensors t = tensors_make(conv, DATA_NORMAL);
    for (int i = 0; i < algo_count; i++)
        if (choice.contenders[i].has_best)
            cr_assert(plan_try(&choice.contenders[i].best, &t, &why), "%s: %s", isa, room);
    tensors_free(&t);
}

Test(accuracy, within_the_promise)
{
    static const char *const isas[] = {"sse2", "avx2", "avx512"};
    for (size_t i = 0; i < sizeof convs / sizeof *convs; i++) {
        struct kiln_conv conv;
        cr_assert_eq(conv_parse(&conv, convs[i], NULL), KILN_STATUS_OK);
        for (size_t j = 0; j < sizeof isas / sizeof *isas; j++) try_all(&conv, isas[j]);
    }
}
