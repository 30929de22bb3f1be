/* Compiled kernels equal the oracle: every case of tests/cases x every algorithm that applies x every
 * ISA that this machine has, between guard pages: on small integers exactly, or on N(0,1) data within the
 * bound of its accuracy where an algorithm is not exact on integers. A case that is a conv is
 * compiled as each algorithm's best schedule and as a random one; a case that is a plan, as it says
 * (and only for its machine, if it names one).
 *
 * A failure names its line and the plan: `kiln check 'PLAN'` repeats it. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "conv.h"
#include "harness.h"

#include <stdio.h>

static const char *const files[] = {"tails",     "edges",     "strides", "dilation", "groups",
                                    "depthwise", "pointwise", "layouts", "post",     "one_d",
                                    "strict",    "plans",     "winograd"};
static const char *const isas[] = {"avx512", "avx2", "sse2", "neon"};
enum { FILES = sizeof files / sizeof *files, ISAS = sizeof isas / sizeof *isas, BUDGET = 800 };

/* One file on one machine, and the tensors of the line at work, each kind made when first needed. */
struct trial {
    const char *file;
    struct cpu cpu;
    int plans;
    struct tensors tensors[DATA_KINDS];
};

static const struct tensors *tensors_of(struct trial *t, const struct kiln_conv *conv, enum data data)
{
    if (!t->tensors[data].want) t->tensors[data] = tensors_make(conv, data);
    return &t->tensors[data];
}

static void try_data(struct trial *t, int line, const struct plan *p, enum data data)
{
    char why[KILN_TEXT_MAX], text[KILN_TEXT_MAX];
    struct text w = text_into(why, sizeof why);
    if (plan_try(p, tensors_of(t, &p->conv, data), &w)) return;
    plan_print(p, text, sizeof text);
    cr_expect(false, "tests/cases/%s.txt:%d: %s\n    %s", t->file, line, text, why);
}

static void try_plan(struct trial *t, int line, const struct plan *p)
{
    t->plans++;
    try_data(t, line, p, data_for(p->algo->exact, &p->conv));
    if (p->conv.accuracy == KILN_ACCURACY_STRICT && post_exact(&p->conv)) try_data(t, line, p, DATA_SPECIALS);
}

static void try_algo(struct trial *t, int line, const struct contender *c)
{
    char text[KILN_TEXT_MAX];
    struct plan p = c->best;
    plan_print(&p, text, sizeof text);
    struct random r = random_from(text);
    try_plan(t, line, &p);
    if (plan_shake(&p, &r)) try_plan(t, line, &p);
}

static void try_conv(struct trial *t, const struct line *line, struct plan *p)
{
    struct choice choice;
    struct kiln_error error;
    if (planner_choose(p, &(struct limits){.fmas = BUDGET}, &choice, &error)) {
        cr_expect(false, "tests/cases/%s.txt:%d: %s", t->file, line->number, error.text);
        return;
    }
    for (int i = 0; i < algo_count; i++)
        if (choice.contenders[i].has_best) try_algo(t, line->number, &choice.contenders[i]);
}

/* The plan a line states, if it is for this machine. */
static void try_schedule(struct trial *t, const struct line *line, struct plan *p)
{
    struct words machine;
    struct word w;
    struct kiln_error error;
    bool named = words_part(line->text, 2, &machine) && words_next(&machine, &w);
    if (named && !word_is(w, isa_name(p->cpu.isa))) return;
    const char *schedule = strchr(line->text, '|') + 1;
    if (plan_parse(p, schedule, &error))
        cr_expect(false, "tests/cases/%s.txt:%d: %s", t->file, line->number, error.text);
    else
        try_plan(t, line->number, p);
}

static void try_line(struct trial *t, const struct line *line)
{
    struct plan p = {.cpu = t->cpu};
    struct kiln_error error;
    if (conv_parse(&p.conv, line->text, &error)) {
        cr_expect(false, "tests/cases/%s.txt:%d: %s", t->file, line->number, error.text);
        return;
    }
    if (strchr(line->text, '|'))
        try_schedule(t, line, &p);
    else
        try_conv(t, line, &p);
    for (int i = 0; i < DATA_KINDS; i++) tensors_free(&t->tensors[i]);
}

/* A parameter of the test: its numbers of a file and of an ISA. Criterion copies it bytewise. */
struct which {
    int file, isa;
};

ParameterizedTestParameters(conv, equals_oracle)
{
    static struct which all[FILES * ISAS];
    for (int i = 0; i < FILES * ISAS; i++) all[i] = (struct which){i / ISAS, i % ISAS};
    return cr_make_param_array(struct which, all, FILES * ISAS);
}

ParameterizedTest(struct which *which, conv, equals_oracle)
{
    struct trial t = {.file = files[which->file]};
    char path[128];
    if (!machine_capped(&t.cpu, isas[which->isa])) cr_skip("this machine has no %s", isas[which->isa]);
    snprintf(path, sizeof path, "tests/cases/%s.txt", t.file);
    struct lines lines = lines_read(path);
    cr_assert(lines.count > 0, "%s holds no case", path);
    for (size_t i = 0; i < lines.count; i++) try_line(&t, &lines.line[i]);
    cr_expect(t.plans > 0, "%s: no plan was tried", path);
    lines_free(&lines);
}
