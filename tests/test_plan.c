/* Schedules as text: what is proposed round-trips, what is broken is refused with a sentence, leaving
 * the plan as it was; extreme convolutions neither overflow nor hang the planner. That accepted plans
 * compute what they should is test_conv's and the fuzz targets'. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conv.h"
#include "harness.h"

static struct plan plan_for(const char *conv, const char *isa)
{
    struct plan p = {0};
    struct kiln_error error;
    const char *arch = !strcmp(isa, "neon") ? "aarch64" : "x86_64";
    cr_assert_eq(cpu_target(&p.cpu, arch, isa, &error), KILN_STATUS_OK, "%s", error.text);
    cr_assert_eq(conv_parse(&p.conv, conv, &error), KILN_STATUS_OK, "%s", error.text);
    return p;
}

static bool knob_equal(const struct plan *a, const struct plan *b, const struct knob *knob)
{
    return !memcmp((const char *)a + knob->offset, (const char *)b + knob->offset, sizeof(int64_t));
}

static bool has_knob(const struct algo *a, const char *key)
{
    struct words words = words_of(a->knobs);
    struct word w;
    while (words_next(&words, &w))
        if (word_is(w, key)) return true;
    return false;
}

/* ---- round trips ---- */

/* Of the many that are offered, every seventh. */
enum { EACH_NTH = 7 };

struct trip {
    const struct plan *asked;
    int offered, accepted;
};

static void round_trip(void *user, const struct plan *p)
{
    struct trip *trip = user;
    struct cost cost;
    struct kiln_error error;
    if (trip->offered++ % EACH_NTH || plan_check(p, &cost, NULL)) return;
    char text[KILN_TEXT_MAX], again[KILN_TEXT_MAX];
    struct plan q = *trip->asked;
    trip->accepted++;
    cr_assert_lt(plan_print_schedule(p, text, sizeof text), sizeof text);
    cr_assert_eq(plan_parse(&q, text, &error), KILN_STATUS_OK, "%s: %s", text, error.text);
    cr_expect_eq(q.algo, p->algo);
    for (int i = 0; i < plan_knob_count; i++)
        if (has_knob(p->algo, plan_knobs[i].key))
            cr_expect(knob_equal(&q, p, &plan_knobs[i]), "%s: %s", text, plan_knobs[i].key);
    plan_print_schedule(&q, again, sizeof again);
    cr_expect_str_eq(text, again);
}

static int trips_of(const char *conv, const char *isa)
{
    struct plan p = plan_for(conv, isa);
    struct trip trip = {.asked = &p};
    for (int i = 0; i < algo_count; i++) {
        struct plan q = p;
        q.algo = algos[i];
        if (!q.algo->applicable(&q.conv, &q.cpu)) q.algo->propose(&q, round_trip, &trip);
    }
    return trip.accepted;
}

Test(plan, proposals_round_trip)
{
    static const char *const isas[] = {"avx512", "avx2", "sse2", "neon"};
    struct lines lines = lines_read("tests/cases/aarch64.txt");
    int accepted = 0;
    for (size_t i = 0; i < lines.count; i++)
        for (size_t j = 0; j < sizeof isas / sizeof *isas; j++)
            accepted += trips_of(lines.line[i].text, isas[j]);
    cr_expect_gt(accepted, 1000);
    lines_free(&lines);
}

Test(plan, line_holds_conv_schedule_and_machine)
{
    char line[KILN_TEXT_MAX];
    struct plan p = plan_for("conv iw9 ic4 oc8 kw3", "avx2");
    cr_assert_eq(plan_parse(&p, "direct ow=3 unroll=kw", NULL), KILN_STATUS_OK);
    size_t length = plan_print(&p, line, sizeof line);
    cr_expect_str_eq(line, "conv n1 ic4 iw9 oc8 kw3 f32 nhwc | direct ow=3 unroll=kw | avx2");
    cr_expect_eq(length, strlen(line));
    cr_expect_eq(plan_print(&p, line, 5), length);
    cr_expect_str_eq(line, "conv");
}

Test(plan, parse_stops_at_the_bar)
{
    struct plan p = plan_for("conv iw9 ic4 oc8 kw3", "avx2");
    cr_expect_eq(plan_parse(&p, " direct ow=3 | avx2", NULL), KILN_STATUS_OK);
    cr_expect_eq(p.ow, 3);
}

Test(plan, omitted_knobs_have_defaults)
{
    struct plan p = plan_for("conv iw9 g2 ic12 oc8 kw3", "avx2");
    cr_assert_eq(plan_parse(&p, "direct", NULL), KILN_STATUS_OK);
    cr_expect(p.vec == 8 && p.ic == 6 && p.ow == 1 && p.oc == 1 && p.step == 1 && p.unroll == UNROLL_IC);
}

/* ---- refusals ---- */

/* plan_parse refuses, with `part` in its sentence, and leaves the plan as it was. */
static void expect_refused(const char *conv, const char *isa, const char *schedule, const char *part)
{
    struct plan p = plan_for(conv, isa), before = p;
    struct kiln_error error = {.text = ""};
    enum kiln_status status = plan_parse(&p, schedule, &error);
    cr_expect_eq(status, KILN_STATUS_INVALID, "%s | %.60s | %s: accepted", conv, schedule, isa);
    cr_expect(strstr(error.text, part), "%s | %.60s | %s: '%s' does not say '%s'", conv, schedule, isa,
              error.text, part);
    cr_expect_arr_eq(&p, &before, sizeof p);
}

static const char padded[] = "conv ic12 ih9 iw9 oc32 kh3 kw3 ph1 pw1",
                  plain[] = "conv ic12 ih9 iw9 oc32 kh3 kw3", one[] = "conv ic12 ih9 iw9 oc32 kh1 kw1",
                  deep[] = "conv g16 ic16 ih9 iw9 oc16 kh3 kw3 ph1 pw1 nhwc",
                  few[] = "conv g4 ic16 ih9 iw9 oc16 kh3 kw3 ph1 pw1 nhwc",
                  rows[] = "conv g16 ic16 ih9 iw9 oc16 kh3 kw3 ph1 pw1 nchw";

Test(plan, refuses_text_that_is_no_schedule)
{
    static const char *const table[][2] = {
        {"", "is not an algorithm"},
        {" ", "is not an algorithm"},
        {"| avx512", "is not an algorithm"},
        {"ow=4", "'ow=4' is not an algorithm; there are: "},
        {"Direct", "is not an algorithm"},
        {"directly ow=4", "is not an algorithm"},
        {"direct direct", "'direct' is not of the form key=value"},
        {"direct ow", "'ow' is not of the form key=value"},
        {"direct =4", "'=4' is not of the form key=value"},
        {"direct ow =4", "'ow' is not of the form key=value"},
        {"direct wo=4", "direct has no 'wo'; its keys are: "},
        {"direct ow4=4", "direct has no 'ow4'"},
        {"direct OW=4", "direct has no 'OW'"},
        {"direct ow=4 ow=4", "ow is given twice"},
        {"direct unroll=kw ow=4 unroll=ic", "unroll is given twice"},
        {"direct ow==4", "ow==4 is not a number"},
        {"direct by=oc", "direct has no 'by'"},
        {"direct \x80\xff=\x01", "direct has no"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        expect_refused(plain, "avx2", table[i][0], table[i][1]);
    expect_refused(one, "avx2", "pointwise oh=1", "pointwise has no 'oh'");
}

static void refuse_setting(const struct algo *a, const char *conv, const char *key, const char *setting,
                           const char *part)
{
    char schedule[256];
    snprintf(schedule, sizeof schedule, "%s %s=%s", a->name, key, setting);
    expect_refused(conv, "avx2", schedule, part);
}

/* Every knob of every algorithm, with every kind of wrong setting. */
Test(plan, refuses_settings_out_of_range)
{
    static const char *const not_numbers[] = {"",
                                              "x",
                                              "+4",
                                              "4.5",
                                              "0x4",
                                              "4x",
                                              "--4",
                                              "1e1",
                                              "four",
                                              "4,4",
                                              "2147483648x",
                                              "-",
                                              "ic4",
                                              "\xb2",
                                              "9223372036854775808",
                                              "18446744073709551617",
                                              "-9223372036854775809"};
    static const char *const far[] = {"-1", "-2147483648", "-9223372036854775808"};
    const char *convs[] = {plain, one, deep, few, "conv ic4 iw9 oc4 kw3 nchw", plain}; /* as algos */
    cr_assert_eq(algo_count, sizeof convs / sizeof *convs);
    for (int i = 0; i < algo_count; i++)
        for (const struct knob *k = plan_knobs; k < plan_knobs + plan_knob_count; k++) {
            if (!has_knob(algos[i], k->key)) continue;
            for (size_t j = 0; j < sizeof not_numbers / sizeof *not_numbers; j++)
                refuse_setting(algos[i], convs[i], k->key, not_numbers[j], " is not ");
            for (size_t j = 0; j < sizeof far / sizeof *far; j++)
                refuse_setting(algos[i], convs[i], k->key, far[j], k->words ? "its words" : "is outside");
            if (k->words) continue;
            char most[32];
            snprintf(most, sizeof most, "%lld", (long long)k->hi + (k->hi < INT64_MAX));
            if (k->hi < INT64_MAX) refuse_setting(algos[i], convs[i], k->key, most, "is outside");
            if (k->hi < INT64_MAX) refuse_setting(algos[i], convs[i], k->key, "2147483648", "is outside");
            if (k->lo > 0) refuse_setting(algos[i], convs[i], k->key, "0", "is outside");
        }
}

Test(plan, refuses_what_emitters_cannot_do)
{
    static const struct {
        const char *conv, *isa, *schedule, *part;
    } table[] = {
        {plain, "avx2", "direct vec=5", "vec=5 must be 4, 8 or 16"},
        {plain, "avx2", "direct vec=12", "vec=12 must be 4, 8 or 16"},
        {plain, "avx2", "direct vec=16", "at most the 8 lanes of avx2"},
        {plain, "sse2", "direct vec=8", "at most the 4 lanes of sse2"},
        {plain, "neon", "direct vec=8", "at most the 4 lanes of neon"},
        {plain, "avx512", "direct ow=30 oc=2", "exceed the vector registers"},
        {plain, "avx512", "direct ow=16 oc=2", "exceed the vector registers"},
        {plain, "avx512", "direct ow=31", "exceed the vector registers"},
        {plain, "avx2", "direct ow=15", "exceed the vector registers"},
        {plain, "sse2", "direct ow=14", "exceed the vector registers"},
        {plain, "avx512", "direct ow=8 oh=4 unroll=kh", "exceed the vector registers"},
        {plain, "avx2", "direct oh=2", "oh > 1 needs unroll=kh"},
        {plain, "avx2", "direct oh=2 unroll=kw", "oh > 1 needs unroll=kh"},
        {plain, "avx2", "direct ic=5", "ic must divide"},
        {plain, "avx2", "direct ic=13", "ic must divide"},
        {plain, "avx2", "direct ic=9223372036854775807", "ic must divide"},
        {plain, "avx2", "direct step=13", "step must be at most ic"},
        {plain, "avx2", "direct ic=4 step=5", "step must be at most ic"},
        {plain, "avx512", "direct ow=7 unroll=all chunk=1", "chunk must be 0"},
        {plain, "avx512", "direct vec=32", "lanes of a vector: 4, 8 or 16"},
        {plain, "avx512", "direct unroll=fry", "unroll=fry is not one of its words, ic, kw, kh, all: the"},
        {padded, "avx2", "direct", "edge=static needs unroll=kw"},
        {padded, "avx2", "direct edge=bounds unroll=kw", "edge=bounds needs unroll=ic"},
        {padded, "avx2", "direct edge=bounds unroll=all", "edge=bounds needs unroll=ic"},
        {"conv ic12 ih9 iw9 oc32 kh3 kw3 ph1 pw1 strict", "avx2", "direct edge=zero", "strict"},
        {"conv ic1 iw99 oc1 kw65", "avx2", "direct unroll=kw", "more than 64 taps"},
        {"conv ic1 ih99 iw1 oc1 kh65 kw1", "avx2", "direct unroll=kh", "more than 64 taps"},
        {"conv ic1 iw70 oc1 kw64 pw63", "avx2", "direct unroll=kw", "more than 32 static variants"},
        {"conv ic8 ih60 iw60 oc8 kh3 kw3", "avx2", "direct unroll=all", "FMAs, at most 4096"},
        {plain, "avx2", "pointwise",
         "pointwise cannot do this: it needs kh = kw = 1 and no padding, and in nchw strides of 1"},
        {"conv ic4 ih9 iw9 oc4 kh1 kw1 sh2 nchw", "avx2", "pointwise", "in nchw strides of 1"},
        {"conv n99 ic512 ih99 iw99 oc4 kh1 kw1 sh2 nhwc", "avx2", "pointwise", "more than 16 MiB"},
        {"conv ic4 ih9 iw9 oc4 kh1 kw1 pl1", "avx2", "pointwise", "pointwise cannot do this"},
        {plain, "avx2", "depthwise unroll=kw", "it needs one input channel per group"},
        {"conv g4 ic4 iw99 oc4 kw33", "avx2", "depthwise unroll=kw", "at most 31x31"},
        {"conv g4 ic4 iw9 oc4 kw2 dw1025 pw1025", "avx2", "depthwise unroll=kw", "dilations of at most 1024"},
        {"conv g4 ic4 iw9 oc4 kw3 sw1025", "avx2", "depthwise unroll=kw", "strides and dilations"},
        {"conv g4 ic4 iw9 oc4 kw3 sw3 nchw", "avx2", "depthwise by=px unroll=kw", "sw of 1 or 2"},
        {"conv g4 ic4 iw9 oc12 kw3 nhwc", "avx2", "depthwise unroll=kw", "oc / g of 1, 2 or 4"},
        {"conv g4 ic4 iw9 oc4 kw3 pw1 strict nchw", "avx2", "depthwise by=px unroll=kw", "strict"},
        {deep, "avx2", "depthwise by=px unroll=kw", "by must be px where"},
        {rows, "avx2", "depthwise unroll=kw", "by must be px where"},
        {deep, "avx2", "depthwise", "unroll must be kw or kh"},
        {deep, "avx2", "depthwise unroll=all", "unroll must be kw or kh"},
        {deep, "avx2", "depthwise unroll=kw oh=2", "oh > 1 needs unroll=kh"},
        {deep, "avx2", "depthwise unroll=kh oh=5 ow=3", "exceed the vector registers"},
        {deep, "avx2", "depthwise by=ic unroll=kw", "by must be px where"},
        {"conv ic4 iw9 oc4 kw3 nhwc", "avx2", "planes", "it needs nchw"},
        {"conv ic4 iw99 oc4 kw32 nchw", "avx2", "planes", "kw of at most 31"},
        {"conv ic4 iw99 oc4 kw3 sw5 nchw", "avx2", "planes", "sw of at most 4"},
        {"conv ic4 iw9 oc4 kw2 dw1025 pw1025 nchw", "avx2", "planes", "dw of at most 1024"},
        {"conv ic4 iw9 oc4 kw3 pw1 strict nchw", "avx2", "planes", "strict"},
        {"conv ic6145 iw9 oc4 kw1 nchw", "avx2", "planes", "6144 terms"},
        {"conv ic4 iw99 oc4 kw3 nchw", "avx2", "planes ow=5 oc=3", "exceed the vector registers"},
        {"conv ic4 iw99 oc4 kw3 nchw", "avx2", "planes step=5", "step must be at most"},
        {rows, "avx2", "depthwise by=px unroll=kw edge=bounds", "edge=bounds needs unroll=kh"},
        {rows, "avx2", "depthwise by=px unroll=kw edge=zero", "edge must be static or bounds"},
        {rows, "avx2", "depthwise by=px unroll=kw prefetch=rows", "prefetch=rows needs by=oc"},
        {"conv g4 ic4 iw9 oc4 kw3 sw3 nhwc", "avx2", "depthwise unroll=kw prefetch=rows",
         "strides of 1 or 2"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        expect_refused(table[i].conv, table[i].isa, table[i].schedule, table[i].part);
}

Test(plan, refuses_what_winograd_cannot_do)
{
    static const struct {
        const char *conv, *isa, *schedule, *part;
    } table[] = {
        {plain, "avx512", "winograd m=3", "m must be 2 or 4 for a kernel of 3; 6 needs"},
        {plain, "avx512", "winograd m=6", "6 needs the accuracy fast"},
        {"conv ic12 ih9 iw9 oc32 kh5 kw5", "avx512", "winograd m=4", "m must be 2 for a kernel of 5"},
        {"conv ic12 ih9 iw9 oc32 kh5 kw5 fast", "avx512", "winograd m=6",
         "m must be 2 or 4 for a kernel of 5"},
        {plain, "avx512", "winograd ow=30 oc=2", "exceed the vector registers"},
        {"conv ic12 ih9 iw9 oc32 kh1 kw5", "avx512", "winograd m=4", "m must be 2 for a kernel of 5"},
        {"conv ic12 ih9 iw9 oc32 kh3 kw1 fast", "avx512", "winograd m=5", "m must be 2, 4 or 6 for a kernel"},
        {plain, "avx512", "winograd m=7",
         "m=7 is outside [2, 6]: outputs of a tile along each axis whose kernel "
         "is not 1: 2, 4 or 6"},
        {plain, "avx512", "winograd step=3",
         "in full it is \"winograd vec=16 ow=1 oc=1 ic=12 step=3 m=4 block=1"},
        {plain, "avx512", "winograd step=3", "step must divide vec"},
        {plain, "avx512", "winograd ic=6", "ic must be a multiple of vec"},
        {"conv ic1024 ih9 iw9 oc32 kh3 kw3", "avx512", "winograd", "ic must be at most 96, or 512"},
        {"conv ic12 ih9 iw9 oc32 kh3 kw3 sh2", "avx512", "winograd", "strides of 1"},
        {"conv ic12 ih9 iw9 oc32 kh3 kw3 dw2 nchw", "avx512", "winograd", "dw of 1"},
        {"conv ic12 ih9 iw9 oc32 kh3 kw3 strict", "avx512", "winograd", "strict"},
        {"conv n99 ic9999 ih99 iw99 oc32 kh3 kw3", "avx512", "winograd ic=96 block=65536", "1 GiB"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        expect_refused(table[i].conv, table[i].isa, table[i].schedule, table[i].part);
}

Test(plan, refuses_what_lanewise_cannot_do)
{
    static const struct {
        const char *conv, *isa, *schedule, *part;
    } table[] = {
        {"conv g4 ic16 iw9 oc16 kw3 nchw", "avx2", "lanewise unroll=kw", "to follow each other: nhwc"},
        {"conv g4 ic16 iw99 oc16 kw32 nhwc", "avx2", "lanewise unroll=kw", "at most 31x31"},
        {"conv g4 ic12 iw9 oc132 kw3 nhwc", "avx2", "lanewise unroll=kw", "it needs groups of"},
        {"conv g4 ic12 iw9 oc12 kw3 nhwc", "avx2", "lanewise unroll=kw", "it needs groups of"},
        {"conv ic32 iw9 oc4 kw3 nhwc", "avx2", "lanewise unroll=kw", "by=oc and by=px need groups"},
        {"conv ic32 iw9 oc4 kw3 nhwc", "avx2", "lanewise by=px unroll=kw", "by=oc and by=px need groups"},
        {"conv g4 ic8 iw9 oc8 kw3 nhwc", "avx2", "lanewise by=ic unroll=kw", "by=ic needs groups"},
        {"conv ic32 iw9 oc6 kw3 nhwc", "avx2", "lanewise by=ic oc=4 unroll=kw", "oc must divide"},
        {"conv ic32 iw9 oc12 kw3 nhwc", "avx2", "lanewise by=ic oc=12 unroll=kw", "oc must divide"},
        {"conv ic9600 ih99 iw99 oc1 kh31 kw31 nhwc", "avx2", "lanewise by=ic unroll=kw", "6144 terms"},
        {"conv g4 ic64 iw9 oc64 kw3 nhwc", "avx2", "lanewise unroll=kw", "vec must be at least a group's"},
        {"conv g4 ic64 iw9 oc64 kw3 nhwc", "avx2", "lanewise by=px unroll=kw", "channels in all"},
        {few, "avx2", "lanewise by=px unroll=kw", "vec must be at least all channels"},
        {"conv ic4 iw9 oc4 kw3 sw2 nhwc", "avx2", "lanewise by=px unroll=kw", "needs sw of 1"},
        {"conv ic4 iw9 oc4 kw3 pw1 nhwc strict", "avx2", "lanewise by=px unroll=kw", "strict"},
        {few, "avx2", "lanewise", "unroll must be kw or kh"},
        {few, "avx2", "lanewise oh=2 unroll=kw", "oh > 1 needs unroll=kh"},
        {few, "avx2", "lanewise ow=4 unroll=kw", "exceed the vector registers"},
        {"conv ic4 iw2000 oc4 kw31 pw900 nhwc", "avx512", "lanewise by=ic unroll=kw", "32 static variants"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        expect_refused(table[i].conv, table[i].isa, table[i].schedule, table[i].part);
}

/* An explicit schedule is no way around what nothing compiles. */
Test(plan, refuses_what_is_not_compiled)
{
    static const char *const convs[][2] = {
        {"conv ic4 iw9 oc4 kw3 pw1 mode=reflect", "padding modes"},
        {"conv ic4 iw9 oc4 kw3 bf16", "types other than f32"},
        {"conv ic4 iw9 oc4 kw3 u8s8f32", "types other than f32"},
        {"conv ic4 id3 ih5 iw9 oc4 kd2 kh3 kw3", "3-D"},
        {"conv ic4 iw9 oc4 kw3 +scale", "scale and prelu are not compiled"},
        {"conv g4 ic4 iw9 oc4 kw3 pw1 +bias +prelu", "scale and prelu"},
    };
    for (size_t i = 0; i < sizeof convs / sizeof *convs; i++) {
        struct plan p = plan_for(convs[i][0], "avx2");
        struct kiln_error error = {.text = ""};
        cr_expect_eq(plan_parse(&p, "direct unroll=kw", &error), KILN_STATUS_UNSUPPORTED);
        cr_expect(strstr(error.text, convs[i][1]), "%s: %s", convs[i][0], error.text);
        struct choice choice;
        cr_expect_eq(planner_choose(&p, &(struct limits){.fmas = 800}, &choice, &error),
                     KILN_STATUS_UNSUPPORTED);
        cr_expect(strstr(error.text, convs[i][1]), "%s: %s", convs[i][0], error.text);
    }
}

/* An algorithm that is not the plain sum and needs scratch, which nothing need emit. */
static struct plan_sizes sizes_of_rough(const struct plan *p)
{
    (void)p;
    return (struct plan_sizes){.packed = 1, .scratch = 100, .tasks = 1};
}

static struct plan plan_of_rough(struct algo *rough, const char *conv)
{
    struct plan p = plan_for(conv, "avx2");
    *rough = algo_direct;
    rough->exact = false;
    rough->sizes = sizes_of_rough;
    cr_assert_eq(plan_parse(&p, "direct unroll=kw", NULL), KILN_STATUS_OK);
    p.algo = rough;
    return p;
}

Test(plan, strict_is_the_plain_sum)
{
    static const struct {
        const char *conv;
        enum kiln_status status;
    } asked[] = {
        {"conv ic4 iw9 oc4 kw3 strict", KILN_STATUS_INVALID},
        {"conv ic4 iw9 oc4 kw3", KILN_STATUS_OK},
        {"conv ic4 iw9 oc4 kw3 fast", KILN_STATUS_OK},
    };
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        struct algo rough;
        struct plan p = plan_of_rough(&rough, asked[i].conv);
        struct kiln_error error = {.text = ""};
        struct cost cost;
        cr_expect_eq(plan_check(&p, &cost, &error), asked[i].status, "%s: %s", asked[i].conv, error.text);
        cr_expect_eq(plan_inapplicable(&p) != NULL, asked[i].status != KILN_STATUS_OK);
        if (asked[i].status) cr_expect(strstr(error.text, "plain sum"), "%s", error.text);
    }
}

Test(plan, scratch_is_limited)
{
    struct algo rough;
    struct plan p = plan_of_rough(&rough, "conv ic4 iw9 oc4 kw3");
    cr_expect_eq(plan_scratch(&p), 400);
    cr_expect(planner_allows_scratch(&(struct limits){0}, &p));
    cr_expect(planner_allows_scratch(&(struct limits){.scratch = 400}, &p));
    cr_expect(!planner_allows_scratch(&(struct limits){.scratch = 399}, &p));
}

Test(plan, refuses_very_long_text)
{
    enum { LONG = 100000 };
    char *text = malloc(LONG + 1);
    cr_assert(text);
    memset(text, 'x', LONG), text[LONG] = '\0';
    expect_refused(plain, "avx2", text, "is not an algorithm");
    memcpy(text, "direct ow=", strlen("direct ow="));
    expect_refused(plain, "avx2", text, "is not a number");
    memset(text + strlen("direct ow="), '1', LONG - strlen("direct ow="));
    expect_refused(plain, "avx2", text, "is not a number");
    memset(text, ' ', LONG);
    expect_refused(plain, "avx2", text, "is not an algorithm");
    memcpy(text + LONG - strlen("direct ow=0"), "direct ow=0", strlen("direct ow=0"));
    expect_refused(plain, "avx2", text, "is outside");
    free(text);
}
