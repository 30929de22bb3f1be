/* The planner: what it chooses obeys what was asked, and convolutions of any extents neither overflow
 * nor hang it. That its choices are good is bench's. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "conv.h"
#include "harness.h"

const struct generator *kiln_generator(void);

static struct plan plan_for(const char *conv, const char *isa)
{
    struct plan p = {0};
    struct kiln_error error;
    cr_assert_eq(cpu_target(&p.cpu, "x86_64", isa, &error), KILN_STATUS_OK, "%s", error.text);
    cr_assert_eq(conv_parse(&p.conv, conv, &error), KILN_STATUS_OK, "%s: %s", conv, error.text);
    return p;
}

/* ---- choices ---- */

static void expect_sound(const char *line, const struct contender *c, int budget)
{
    struct cost cost;
    struct kiln_error error;
    if (!c->has_best) return;
    cr_expect_eq(plan_check(&c->best, &cost, &error), KILN_STATUS_OK, "%s: %s", line, error.text);
    cr_expect_leq(cost.fmas, budget, "%s: %s unrolls too much", line, c->algo->name);
    cr_expect(cost.cycles > 0 && cost.cycles < 1e30, "%s: %s", line, c->algo->name);
    struct plan_sizes sizes = c->algo->sizes(&c->best);
    cr_expect(sizes.tasks > 0 && sizes.packed > 0 && sizes.scratch >= 0, "%s: %s", line, c->algo->name);
}

Test(planner, choices_are_sound)
{
    static const int budgets[] = {4096, 800, 100};
    struct lines lines = lines_read("tests/cases/aarch64.txt");
    for (size_t i = 0; i < lines.count; i++)
        for (size_t j = 0; j < sizeof budgets / sizeof *budgets; j++) {
            struct plan p = plan_for(lines.line[i].text, j & 1 ? "avx2" : "avx512");
            struct choice choice;
            cr_assert_eq(planner_choose(&p, &(struct limits){.fmas = budgets[j]}, &choice, NULL),
                         KILN_STATUS_OK);
            const struct contender *winner = &choice.contenders[choice.winner];
            cr_expect(winner->has_best);
            for (int a = 0; a < algo_count; a++)
                expect_sound(lines.line[i].text, &choice.contenders[a], budgets[j]);
        }
    lines_free(&lines);
}

/* ---- lists ---- */

/* What a list is told, and that no schedule is told twice. */
struct told {
    int count, algorithms;
    const struct algo *seen[MAX_ALGOS];
    char lines[64][KILN_TEXT_MAX];
};

static void tell(void *user, const struct plan *p)
{
    struct told *t = user;
    struct cost cost;
    bool first = true;
    cr_assert_lt(t->count, 64);
    cr_expect_eq(plan_check(p, &cost, NULL), KILN_STATUS_OK);
    cr_expect_leq(cost.fmas, 800);
    plan_print(p, t->lines[t->count], KILN_TEXT_MAX);
    for (int i = 0; i < t->count; i++)
        cr_expect_str_neq(t->lines[i], t->lines[t->count], "%s is listed twice", t->lines[i]);
    for (int i = 0; i < t->algorithms; i++) first = first && t->seen[i] != p->algo;
    if (first) cr_expect_eq(t->algorithms, t->count, "the first of %s comes late", p->algo->name);
    if (first) t->seen[t->algorithms++] = p->algo;
    t->count++;
}

Test(planner, lists_begin_with_what_differs)
{
    static const struct {
        const char *conv;
        int most, count, algorithms; /* at most; listed; of these at least */
    } rows[] = {
        {"conv ic64 ih28 iw28 oc64 kh3 kw3 ph1 pw1 f32 nhwc", 12, 12, 1},
        {"conv ic64 ih28 iw28 oc64 kh3 kw3 ph1 pw1 f32 nhwc strict", 12, 12, 1},
        {"conv ic64 ih28 iw28 oc64 kh1 kw1 f32 nhwc", 12, 12, 2},
        {"conv ic64 ih28 iw28 oc64 kh1 kw1 f32 nhwc", 1, 1, 1},
        {"conv ic64 ih28 iw28 oc64 kh1 kw1 f32 nhwc", 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        static struct told t;
        struct plan p = plan_for(rows[i].conv, "avx512");
        t.count = t.algorithms = 0;
        const struct limits limits = {.fmas = 800};
        cr_assert_eq(planner_list(&p, &limits, (size_t)rows[i].most, tell, &t, NULL), KILN_STATUS_OK);
        cr_expect_eq(t.count, rows[i].count, "%s: %d", rows[i].conv, t.count);
        cr_expect_geq(t.algorithms, rows[i].algorithms, "%s: %d", rows[i].conv, t.algorithms);
    }
}

Test(planner, says_when_the_budget_is_too_small)
{
    struct plan p = plan_for("conv ic16 ih9 iw9 oc16 kh3 kw3 ph1 pw1", "avx2");
    struct choice choice;
    struct kiln_error error;
    cr_expect_eq(planner_choose(&p, &(struct limits){.fmas = 0}, &choice, &error), KILN_STATUS_UNSUPPORTED);
    cr_expect(strstr(error.text, "code_budget=0"), "%s", error.text);
}

/* `strict` is refused to every algorithm that is not the plain sum; the default and `fast` are not. */
Test(planner, strict_takes_no_other_than_the_plain_sum)
{
    static const char *const words[] = {"", " strict", " fast"};
    static const char *const convs[] = {"conv ic64 ih28 iw28 oc64 kh3 kw3 ph1 pw1",
                                        "conv ic64 ih28 iw28 oc64 kh5 kw5 ph2 pw2 nchw",
                                        "conv ic64 iw512 oc64 kw3 pw1"};
    for (size_t i = 0; i < sizeof convs / sizeof *convs * (sizeof words / sizeof *words); i++) {
        char text[KILN_TEXT_MAX];
        struct choice choice;
        bool strict = i % 3 == 1;
        snprintf(text, sizeof text, "%s%s", convs[i / 3], words[i % 3]);
        struct plan p = plan_for(text, "avx512");
        cr_assert_eq(planner_choose(&p, &(struct limits){.fmas = 800}, &choice, NULL), KILN_STATUS_OK);
        cr_expect(!strict || choice.contenders[choice.winner].algo->exact, "%s", text);
        for (const struct contender *c = choice.contenders; strict && c < choice.contenders + algo_count; c++)
            cr_expect(c->algo->exact || (c->why && strstr(c->why, "plain sum")), "%s: %s", text,
                      c->algo->name);
    }
}

/* With a limit below what an algorithm's best needs, what is offered of it stays within that. */
Test(planner, scratch_stays_within_its_limit)
{
    struct plan p = plan_for("conv ic64 ih28 iw28 oc64 kh3 kw3 ph1 pw1", "avx512");
    struct choice all, some;
    cr_assert_eq(planner_choose(&p, &(struct limits){.fmas = 800}, &all, NULL), KILN_STATUS_OK);
    for (int i = 0; i < algo_count; i++) {
        const struct contender *c = &all.contenders[i];
        size_t need = c->has_best ? plan_scratch(&c->best) : 0;
        if (!need) continue;
        struct limits limits = {.fmas = 800, .scratch = need - 1};
        cr_assert_eq(planner_choose(&p, &limits, &some, NULL), KILN_STATUS_OK);
        cr_expect_gt(some.contenders[i].over_scratch, 0);
        cr_expect(!some.contenders[i].has_best || plan_scratch(&some.contenders[i].best) < need);
        struct request_text r;
        request_of(&r, &c->best);
        r.request.scratch_limit = need - 1;
        struct bytes b = {0};
        struct kiln_error error = {.text = ""};
        cr_expect_eq(kiln_generator()->plan(&r.request, bytes_sink, &b, &error), KILN_STATUS_INVALID);
        cr_expect(strstr(error.text, "scratch_limit is"), "%s", error.text);
        r.request.scratch_limit = need;
        cr_expect_eq(kiln_generator()->plan(&r.request, bytes_sink, &b, &error), KILN_STATUS_OK);
        bytes_free(&b);
    }
}

Test(planner, is_the_same_every_time)
{
    struct plan p = plan_for("conv ic64 ih28 iw28 oc96 kh3 kw3 ph1 pw1 +bias", "avx512");
    struct choice a, b;
    cr_assert_eq(planner_choose(&p, &(struct limits){.fmas = 800}, &a, NULL), KILN_STATUS_OK);
    cr_assert_eq(planner_choose(&p, &(struct limits){.fmas = 800}, &b, NULL), KILN_STATUS_OK);
    cr_expect_eq(a.winner, b.winner);
    cr_expect_arr_eq(&a.contenders[a.winner].best, &b.contenders[b.winner].best, sizeof(struct plan));
}

/* ---- extents that nobody has ---- */

static const char *const extreme_convs[] = {
    "conv ic6 iw958893492 oc1 kw8 pw11 nhwc",
    "conv ic1 iw2305843009213693951 oc1 kw1",
    "conv ic1 iw2305843009213693951 oc1 kw3 pw1",
    "conv ic1 iw4611686018427387904 oc1 kw1 sw4611686018427387904 u8s8u8",
    "conv ic1 iw9 oc1 kw3 sw9223372036854775807",
    "conv ic1 iw9 oc1 kw3 pw1 sw9223372036854775807",
    "conv ic1 iw9 oc1 kw3 pw5 sw9223372036854775800",
    "conv ic1 ih9 iw9 oc1 kh3 kw3 ph2 sh9223372036854775807",
    "conv ic1 iw9 oc1 kw1 pl4611686018427387903 sw2305843009213693952",
    "conv ic1 iw9 oc1 kw2 dw4611686018427387904 pl4611686018427387904",
    "conv ic1 iw9 oc1 kw2 dw4611686018427387904 pr4611686018427387904",
    "conv ic1 iw9 oc1 kw1 dw9223372036854775807",
    "conv ic1 iw9 oc1 kw1 pl9223372036854775 sw9223372036",
    "conv ic1 iw9 oc1 kw4294967296 pw4294967296",
    "conv ic1 iw8589934592 oc1 kw4294967296",
    "conv ic1 iw8589934592 oc1 kw4294967296 pw1",
    "conv ic1 ih8589934592 iw1 oc1 kh4294967296 kw1 ph1",
    "conv g4294967296 ic4294967296 iw3 oc4294967296 kw3",
    "conv g4294967296 ic4294967296 iw3 oc4294967296 kw3 pw1 nchw",
    "conv ic2147483648 iw1 oc1 kw1",
    "conv ic1 iw1 oc2147483648 kw1",
    "conv ic2147483649 iw1 oc33 kw3 pw1 nchw",
    "conv ic1073741824 iw1 oc1073741824 kw1",
    "conv n2305843009213693951 ic1 iw1 oc1 kw1",
    "conv n1152921504606846975 ic1 iw1 oc1 kw1 nchw",
    "conv ic1 ih1518500249 iw1518500249 oc1 kh1 kw1",
    "conv ic3 ih65536 iw65536 oc8 kh3 kw3 ph65536 pw65536",
    "conv ic1 ih3 iw65536 oc1 kh3 kw32768 pw16384",
    "conv ic2 iw1000003 oc2 kw1000 dw997 pw500000 nchw",
    "conv ic288230376151711743 iw1 oc1 kw3 pw1",
    "conv ic2 iw1 oc288230376151711743 kw3 pw1 fast",
    "conv ic1125899906842624 ih30 iw30 oc1 kh3 kw3 ph1 pw1 fast",
    "conv ic1125899906842624 ih30 iw30 oc1 kh3 kw3 ph1 pw1 fast nchw",
    "conv ic68719476735 iw1 oc1 kw3 pw1 fast",
    "conv ic2 ih3 iw17179869183 oc1 kh3 kw3 dh1000 ph1000 pw1 fast",
    "conv ic2 ih3 iw1125899906842624 oc256 kh3 kw3 dh1000 ph1000 pw1 fast",
    "conv n34359738368 ic4096 ih3 iw3 oc4096 kh3 kw3 ph1 pw1 nchw",
    "conv g288230376151711744 ic576460752303423488 iw1 oc576460752303423488 kw1",
    "conv g2 ic16 ih9 iw9 oc16 kh2 kw2 dw4611686018427387904 pl4611686018427387904",
    "conv g2 ic16 ih9 iw9 oc16 kh2 kw2 sh2305843009213693952 pt4611686018427387904",
};

static const char *const schedules_of_them[] = {
    "direct",
    "direct edge=zero",
    "direct edge=bounds",
    "direct edge=bounds chunk=9223372036854775807",
    "direct edge=zero chunk=9223372036854775807",
    "direct edge=bounds chunk=1",
    "direct unroll=kw chunk=2147483648",
    "direct unroll=kh oh=2 ow=2 edge=zero",
    "direct unroll=all",
    "pointwise chunk=9223372036854775807",
    "pointwise chunk=1 ow=3",
    "pointwise unroll=all",
    "depthwise unroll=kw ow=3",
    "depthwise unroll=kh ow=2 oh=3",
    "depthwise by=px unroll=kh ow=2 oh=3",
    "winograd m=2 block=65536",
    "winograd m=6 block=65536 ow=8 oc=2",
    "winograd m=6 ic=16",
    "lanewise unroll=kh oh=2 oc=32",
    "planes ow=2 oc=8 chunk=1",
    "lanewise by=ic unroll=kh oh=2 chunk=1",
};

/* Whatever conv_check lets pass gets a sound plan, with sizes that fit, or a sentence, in no time. */
Test(planner, survives_extreme_convolutions, .timeout = 60)
{
    for (size_t i = 0; i < sizeof extreme_convs / sizeof *extreme_convs; i++) {
        struct plan p = plan_for(extreme_convs[i], "avx512");
        struct choice choice;
        struct kiln_error error;
        if (!planner_choose(&p, &(struct limits){.fmas = 800}, &choice, &error))
            for (int a = 0; a < algo_count; a++) expect_sound(extreme_convs[i], &choice.contenders[a], 800);
        else
            cr_expect_gt(strlen(error.text), 0);
        for (size_t j = 0; j < sizeof schedules_of_them / sizeof *schedules_of_them; j++) {
            struct plan q = p;
            if (plan_parse(&q, schedules_of_them[j], NULL)) continue;
            struct plan_sizes sizes = q.algo->sizes(&q);
            cr_expect(sizes.tasks > 0 && sizes.packed > 0, "%s | %s", extreme_convs[i], schedules_of_them[j]);
        }
    }
}

/* ---- the generator's table ---- */

Test(generator, refuses_what_is_no_request)
{
    static const struct {
        const char *conv, *machine, *schedule;
        size_t scratch;
        enum kiln_status status;
    } table[] = {
        {"conv", "x86_64 sse2", NULL, 0, KILN_STATUS_INVALID},
        {"", "", NULL, 0, KILN_STATUS_INVALID},
        {"conv ic1 iw1 oc1 kw1", "", NULL, 0, KILN_STATUS_INVALID},
        {"conv ic1 iw1 oc1 kw1", "vax", NULL, 0, KILN_STATUS_INVALID},
        {"conv ic1 iw1 oc1 kw1", "MACHINE", "direct ow=0", 0, KILN_STATUS_INVALID},
        {"conv ic1 iw1 oc1 kw1 bf16", "MACHINE", NULL, 0, KILN_STATUS_UNSUPPORTED},
        {"conv ic1 iw1 oc1 kw1", "MACHINE", NULL, 0, KILN_STATUS_OK},
    };
    char machine[KILN_TEXT_MAX];
    struct cpu cpu;
    cr_assert_eq(cpu_target(&cpu, "x86_64", "sse2", NULL), KILN_STATUS_OK);
    cpu_print(&cpu, machine, sizeof machine);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct bytes b = {0};
        struct kiln_error error = {.text = ""};
        const char *which = strcmp(table[i].machine, "MACHINE") ? table[i].machine : machine;
        struct request r = {table[i].conv, which, table[i].schedule, table[i].scratch, 0};
        cr_expect_eq(kiln_generator()->compile(&r, bytes_sink, &b, &error), table[i].status, "row %zu: %s", i,
                     error.text);
        cr_expect_eq(b.count > 0, table[i].status == KILN_STATUS_OK);
        cr_expect_eq(strlen(error.text) > 0, table[i].status != KILN_STATUS_OK);
        bytes_free(&b);
    }
}
