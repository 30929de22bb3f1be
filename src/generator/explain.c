#include "explain.h"

#include "algo.h"
#include "conv.h"

#include <math.h>

/* Cycles of the vector FMAs alone if none were wasted and all units busy. */
static double peak_cycles(const struct plan *p)
{
    return conv_flops(&p->conv) / 2 / p->cpu.lanes / p->cpu.fma_per_cycle;
}

/* Decimals are put as scaled integers: the '.' of printf depends on the locale. */
static void put_fixed(struct text *t, double v, int decimals)
{
    if (v > 1e15) { /* beyond what counts in decimals */
        text_put(t, "%.0f", v);
        return;
    }
    long long scale = decimals ? 10 : 1, units = llround(v * (double)scale);
    if (decimals)
        text_put(t, "%lld.%lld", units / scale, units % scale);
    else
        text_put(t, "%lld", units);
}

static double conv_bytes(const struct kiln_conv *c)
{
    double add = conv_has(c, KILN_POST_ADD) ? 2 : 1;
    return 4 * ((double)conv_src_count(c) + (double)conv_weights_count(c) + add * (double)conv_dst_count(c));
}

static void put_cost(const struct plan *p, const struct cost *c, struct text *t)
{
    static const struct {
        const char *name;
        size_t offset;
    } parts[] = {{"fma", offsetof(struct cost, fma)},       {"loads", offsetof(struct cost, loads)},
                 {"issue", offsetof(struct cost, issue)},   {"latency", offsetof(struct cost, latency)},
                 {"memory", offsetof(struct cost, memory)}, {"overhead", offsetof(struct cost, overhead)}};
    text_put(t, "  estimate   ");
    put_fixed(t, c->cycles, 0);
    text_put(t, " cycles, ");
    put_fixed(t, 100 * peak_cycles(p) / c->cycles, 0);
    text_put(t, " %% of peak; alone:");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        text_put(t, "%s %s ", i ? "," : "", parts[i].name);
        put_fixed(t, *(const double *)((const char *)c + parts[i].offset), 0);
    }
    text_put(t, "\n");
}

void explain_plan(const struct plan *p, struct text *t)
{
    char line[KILN_TEXT_MAX];
    struct cost c = p->algo->cost(p);
    struct plan_sizes sizes = p->algo->sizes(p);
    double flops = conv_flops(&p->conv), bytes = conv_bytes(&p->conv);
    plan_print(p, line, sizeof line);
    text_put(t, "%s\n\n", line);
    p->algo->nest(p, t);
    text_put(t, "\n  registers  %d of %d\n", c.registers, p->cpu.registers);
    text_put(t, "  body       %lld fma, %lld loads\n", (long long)c.tile_fmas, (long long)c.tile_loads);
    text_put(t, "  code       %lld fma unrolled\n", (long long)c.fmas);
    text_put(t, "  tasks      %lld\n", (long long)sizes.tasks);
    text_put(t, "  memory     %lld bytes packed, %lld scratch\n", (long long)sizes.packed * 4,
             (long long)sizes.scratch * 4);
    text_put(t, "  work       %.0f flop, %.0f bytes, ", flops, bytes);
    put_fixed(t, flops / bytes, 1);
    text_put(t, " flop/byte\n");
    put_cost(p, &c, t);
}

static void put_schedule(const char *what, const struct plan *p, const struct cost *c, struct text *t)
{
    char schedule[KILN_TEXT_MAX];
    plan_print_schedule(p, schedule, sizeof schedule);
    text_put(t, "%s: ", what);
    put_fixed(t, c->cycles, 0);
    text_put(t, " cycles, %lld fma unrolled: %s", (long long)c->fmas, schedule);
}

/* The fastest schedule of an algorithm where another with less code was near enough. */
static void put_fastest(const struct contender *c, struct text *t)
{
    if (c->fastest_cost.fmas == c->cost.fmas) return;
    text_put(t, "\n  %-10s ", "");
    put_schedule("more code for little", &c->fastest, &c->fastest_cost, t);
}

static void put_contender(const struct contender *c, const struct contender *winner, struct text *t)
{
    text_put(t, "  %-10s ", c->algo->name);
    if (c->why) {
        text_put(t, "not applicable: %s\n", c->why);
        return;
    }
    if (!c->has_best) {
        text_put(t, "no schedule: %d offered, %d over the code budget, %d over the scratch limit\n",
                 c->offered, c->over_budget, c->over_scratch);
        return;
    }
    put_schedule(c == winner ? "chosen" : "slower", &c->best, &c->cost, t);
    put_fastest(c, t);
    text_put(t, "\n  %-10s of %d schedules, %d over the code budget", "", c->offered, c->over_budget);
    if (c->over_scratch) text_put(t, ", %d over the scratch limit", c->over_scratch);
    text_put(t, "\n");
}

void explain_choice(const struct choice *choice, bool given, struct text *t)
{
    const struct contender *winner = &choice->contenders[choice->winner];
    text_put(t, given ? "\n  the schedule was given; the planner's candidates\n" : "\n  candidates\n");
    for (int i = 0; i < algo_count; i++) put_contender(&choice->contenders[i], winner, t);
}
