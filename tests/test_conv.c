/* Compiled kernels equal the oracle: every case of tests/cases x every algorithm that applies x every
 * ISA that this machine has, on small integers exactly, between guard pages. A case that is a conv is
 * compiled as each algorithm's best schedule and as a random one; a case that is a plan, as it says
 * (and only for its machine, if it names one).
 *
 * A failure names its line and the plan: `kiln check 'PLAN'` repeats it. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "conv.h"
#include "harness.h"

#include <stdio.h>

static const char *const files[] = {"tails",     "edges",   "strides", "dilation", "groups", "depthwise",
                                    "pointwise", "layouts", "post",    "one_d",    "strict", "plans"};
static const char *const isas[] = {"avx512", "avx2", "sse2", "neon"};
enum { FILES = sizeof files / sizeof *files, ISAS = sizeof isas / sizeof *isas, BUDGET = 800 };

/* One file on one machine. */
struct trial {
    const char *file;
    struct cpu cpu;
    int plans;
};

static void try_plan(struct trial *t, int line, const struct plan *p, const struct tensors *tensors)
{
    char why[KILN_TEXT_MAX], text[KILN_TEXT_MAX];
    struct text w = text_into(why, sizeof why);
    t->plans++;
    if (plan_try(p, tensors, &w)) return;
    plan_print(p, text, sizeof text);
    cr_expect(false, "tests/cases/%s.txt:%d: %s\n    %s", t->file, line, text, why);
}

static void try_algo(struct trial *t, int line, const struct contender *c, const struct tensors *tensors)
{
    char text[KILN_TEXT_MAX];
    struct plan p = c->best;
    plan_print(&p, text, sizeof text);
    struct random r = random_from(text);
    try_plan(t, line, &p, tensors);
    if (plan_shake(&p, &r)) try_plan(t, line, &p, tensors);
}

static void try_conv(struct trial *t, const struct line *line, struct plan *p, const struct tensors *tensors)
{
    struct choice choice;
    struct kiln_error error;
    if (planner_choose(p, BUDGET, &choice, &error)) {
        cr_expect(false, "tests/cases/%s.txt:%d: %s", t->file, line->number, error.text);
        return;
    }
    for (int i = 0; i < algo_count; i++)
        if (choice.contenders[i].has_best) try_algo(t, line->number, &choice.contenders[i], tensors);
}

/* The plan a line states, if it is for this machine. */
static void try_schedule(struct trial *t, const struct line *line, struct plan *p,
                         const struct tensors *tensors)
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
        try_plan(t, line->number, p, tensors);
}

static void try_data(struct trial *t, const struct line *line, struct plan *p, enum data data)
{
    struct tensors tensors = tensors_make(&p->conv, data);
    if (strchr(line->text, '|'))
        try_schedule(t, line, p, &tensors);
    else
        try_conv(t, line, p, &tensors);
    tensors_free(&tensors);
}

static void try_line(struct trial *t, const struct line *line)
{
    struct plan p = {.cpu = t->cpu};
    struct kiln_error error;
    if (conv_parse(&p.conv, line->text, &error)) {
        cr_expect(false, "tests/cases/%s.txt:%d: %s", t->file, line->number, error.text);
        return;
    }
    try_data(t, line, &p, DATA_INTEGERS);
    if (p.conv.accuracy == KILN_ACCURACY_STRICT) try_data(t, line, &p, DATA_SPECIALS);
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
