#include "explain.h"

#include "algo.h"
#include "conv.h"
#include "machine.h"

#include <math.h>

/* Cycles of the vector FMAs alone if none were wasted and all units busy. */
static double peak_cycles(const struct plan *p)
{
    return conv_flops(&p->conv) / 2 / p->cpu.lanes / p->cpu.fma_per_cycle;
}

/* Two decimals, as scaled integers: the '.' of printf depends on the locale. */
static void put_ratio(struct text *t, double v)
{
    if (v > 1e15) { /* beyond what counts in decimals */
        text_put(t, "%.0f", v);
        return;
    }
    long long hundredths = llround(v * 100);
    text_put(t, "%lld.%02lld", hundredths / 100, hundredths % 100);
}

/* "466.56 KiB": in the unit that leaves one to four digits. */
static void put_bytes(struct text *t, double bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    enum { UNITS = sizeof units / sizeof *units };
    int unit = 0;
    for (; bytes >= 1024 && unit + 1 < UNITS; unit++) bytes /= 1024;
    if (unit)
        put_ratio(t, bytes);
    else
        text_put(t, "%.0f", bytes);
    text_put(t, " %s", units[unit]);
}

/* Each thread has its own, and writes and reads all of it: a cache that it exceeds costs. */
static void put_scratch(struct text *t, const struct cpu *cpu, double bytes)
{
    const struct {
        const char *name;
        int64_t bytes;
    } caches[] = {{"L1", cpu->l1d}, {"L2", cpu->l2}, {"L3, which threads share", cpu->l3}};
    enum { CACHES = sizeof caches / sizeof *caches };
    int home = 0; /* the first that can hold it */
    text_put(t, "  scratch    ");
    if (bytes == 0) {
        text_put(t, "none\n");
        return;
    }
    while (home < CACHES && bytes > (double)caches[home].bytes) home++;
    put_bytes(t, bytes);
    text_put(t, " for each thread: ");
    if (home == 0 || home == 1) {
        text_put(t, "fits %s, ", caches[home].name);
        put_bytes(t, (double)caches[home].bytes);
    } else {
        text_put(t, "more than L2, ");
        put_bytes(t, (double)cpu->l2);
        text_put(t, "; it lies in %s", home < CACHES ? caches[home].name : "memory");
    }
    text_put(t, "\n");
}

/* What the tile keeps: accumulators, each factor, and what is needed beside them. */
static void put_registers(struct text *t, const struct plan *p, const struct cost *c)
{
    const struct register_tile *tile = &c->tile;
    int rest = c->registers - tile->rows * tile->columns - tile->left.held - tile->top.held;
    text_put(t, "  registers  %d of %d: %d x %d of acc, %d of %s, %d of %s", c->registers, p->cpu.registers,
             tile->rows, tile->columns, tile->left.held, tile->left.name, tile->top.held, tile->top.name);
    if (rest) text_put(t, ", %d besides", rest);
    text_put(t, "\n");
}

/* What the core can do at most, as the estimate takes it. */
static void put_machine(struct text *t, const struct cpu *cpu)
{
    text_put(t, "  machine    %d flop a cycle; bytes a cycle: L1 %d, L2 %.0f, L3 %d, memory ",
             2 * cpu->lanes * cpu->fma_per_cycle, 4 * cpu->lanes * cpu->load_per_cycle, L2_RATE,
             cpu->l3_per_cycle);
    put_ratio(t, MEMORY_RATE);
    text_put(t, "\n");
}

static double conv_bytes(const struct kiln_conv *c)
{
    double add = conv_has(c, KILN_POST_ADD) ? 2 : 1;
    return 4 * ((double)conv_src_count(c) + (double)conv_weights_count(c) + add * (double)conv_dst_count(c));
}

/* ---- the parts of an estimate ---- */

/* What a part's cycles go by, and what it means that no other part has more; %s: numbers of the plan. */
struct part {
    const char *name;
    size_t offset;
    void (*put_what)(const struct plan *p, const struct cost *c, struct text *t);
    const char *why;
};

static void put_fma(const struct plan *p, const struct cost *c, struct text *t)
{
    text_put(t, "%d vector%s a cycle, of %d lanes", p->cpu.fma_per_cycle, p->cpu.fma_per_cycle > 1 ? "s" : "",
             p->cpu.lanes);
    (void)c;
}

static void put_loads(const struct plan *p, const struct cost *c, struct text *t)
{
    text_put(t, "%lld for %lld fma in a body, %d a cycle where L1 has them", (long long)c->tile_loads,
             (long long)c->tile_fmas, p->cpu.load_per_cycle);
}

static void put_issue(const struct plan *p, const struct cost *c, struct text *t)
{
    (void)p, (void)c;
    text_put(t, "%d instructions a cycle", ISSUE_WIDTH);
}

static void put_latency(const struct plan *p, const struct cost *c, struct text *t)
{
    (void)p, (void)c;
    text_put(t, "%d cycles from one fma of an accumulator to its next", FMA_LATENCY);
}

static const char *home_name(const struct cpu *cpu, double floats)
{
    static const char *const names[] = {
        [HOME_L1] = "L1", [HOME_L2] = "L2", [HOME_L3] = "L3", [HOME_MEMORY] = "memory"};
    return names[home_of(cpu, 4 * floats)];
}

static void put_memory(const struct plan *p, const struct cost *c, struct text *t)
{
    (void)c;
    text_put(t, "src in %s, weights in %s, dst in %s", home_name(&p->cpu, (double)conv_src_count(&p->conv)),
             home_name(&p->cpu, (double)p->algo->sizes(p).packed),
             home_name(&p->cpu, (double)conv_dst_count(&p->conv)));
}

static void put_transform(const struct plan *p, const struct cost *c, struct text *t)
{
    (void)p, (void)c;
    text_put(t, "of src before the sums, of few blocks by each thread; and of sums behind them");
}

static void put_overhead(const struct plan *p, const struct cost *c, struct text *t)
{
    (void)p, (void)c;
    text_put(t, "loops, edges, prologues and epilogues");
}

#define PART(name, why) {#name, offsetof(struct cost, name), put_##name, why}
static const struct part parts[] = {
    PART(fma, "the FMA units have the most to do"),
    PART(loads, "reading has the most to do: the ports, or the cache that the weights come from"),
    PART(issue, "there are more instructions than the core starts"),
    PART(latency, "there are too few accumulators: each waits for its own last fma"),
    PART(memory, "what lies beyond L1 does not come and go faster"),
    PART(transform, "transforming data takes longer than the sums"),
    PART(overhead, "what is around the tiles takes longer than they do"),
};
#undef PART
enum { PARTS = sizeof parts / sizeof *parts };

static double part_cycles(const struct cost *c, const struct part *part)
{
    return *(const double *)((const char *)c + part->offset);
}

/* The part that would take longest alone. */
static const struct part *part_binding(const struct cost *c)
{
    const struct part *most = parts;
    for (const struct part *part = parts; part < parts + PARTS; part++)
        if (part_cycles(c, part) > part_cycles(c, most)) most = part;
    return most;
}

static void put_share(struct text *t, double part, double whole)
{
    text_put(t, "%3.0f %%", 100 * part / whole);
}

static void put_estimate(const struct plan *p, const struct cost *c, struct text *t)
{
    const struct part *binding = part_binding(c);
    text_put(t, "  estimate   %.0f cycles, %.0f %% of peak, ", c->cycles, 100 * peak_cycles(p) / c->cycles);
    put_ratio(t, conv_flops(&p->conv) / c->cycles);
    text_put(t, " flop a cycle\n");
    text_put(t, "  bound by   %s: %s\n\n", binding->name, binding->why);
    text_put(t, "  part             cycles  share, of parts that overlap\n");
    for (const struct part *part = parts; part < parts + PARTS; part++) {
        double cycles = part_cycles(c, part);
        if (cycles == 0) continue;
        text_put(t, "  %-9s  %12.0f  ", part->name, cycles);
        put_share(t, cycles, c->cycles);
        text_put(t, "  ");
        part->put_what(p, c, t);
        text_put(t, "\n");
    }
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
    text_put(t, "\n");
    put_registers(t, p, &c);
    text_put(t, "  body       %lld fma, %lld loads\n", (long long)c.tile_fmas, (long long)c.tile_loads);
    text_put(t, "  code       %lld fma unrolled\n", (long long)c.fmas);
    text_put(t, "  tasks      %lld\n", (long long)sizes.tasks);
    text_put(t, "  packed     ");
    put_bytes(t, 4 * (double)sizes.packed);
    text_put(t, " of weights\n");
    put_scratch(t, &p->cpu, 4 * (double)sizes.scratch);
    text_put(t, "  work       %.0f flop, %.0f bytes, ", flops, bytes);
    put_ratio(t, flops / bytes);
    text_put(t, " flop/byte\n");
    put_machine(t, &p->cpu);
    put_estimate(p, &c, t);
}

/* ---- candidates ---- */

static void put_schedule(const struct plan *p, const struct cost *c, struct text *t)
{
    char schedule[KILN_TEXT_MAX];
    plan_print_schedule(p, schedule, sizeof schedule);
    text_put(t, "%.0f cycles, %.0f %% of peak, %lld fma unrolled: %s", c->cycles,
             100 * peak_cycles(p) / c->cycles, (long long)c->fmas, schedule);
}

/* The fastest schedule of an algorithm where another with less code was near enough. */
static void put_fastest(const struct contender *c, struct text *t)
{
    if (c->fastest_cost.fmas == c->cost.fmas) return;
    text_put(t, "\n  %-10s more code for little: ", "");
    put_schedule(&c->fastest, &c->fastest_cost, t);
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
    bool slower = c->cost.cycles >= winner->cost.cycles;
    text_put(t, c == winner ? "chosen: " : slower ? "slower: " : "not chosen: ");
    put_schedule(&c->best, &c->cost, t);
    put_fastest(c, t);
    text_put(t, "\n  %-10s of %d schedules, %d over the code budget", "", c->offered, c->over_budget);
    if (c->over_scratch) text_put(t, ", %d over the scratch limit", c->over_scratch);
    text_put(t, "\n");
}

/* ---- who came second, and why ---- */

/* A plan and what it costs. */
struct rival {
    const struct plan *plan;
    const struct cost *cost;
};

/* Differences below this would be told as none. */
static const double LEAST_CYCLES = 0.5;

/* The part of which `lost` has the most cycles more than `won`, or NULL: it has more of none. */
static const struct part *part_lost(const struct cost *lost, const struct cost *won)
{
    const struct part *most = NULL;
    double worst = LEAST_CYCLES;
    for (const struct part *part = parts; part < parts + PARTS; part++) {
        double more = part_cycles(lost, part) - part_cycles(won, part);
        if (more > worst) worst = more, most = part;
    }
    return most;
}

/* Where `lost` is behind `won`, in a line. */
static void put_loss(const struct rival *lost, const struct rival *won, struct text *t)
{
    const struct part *part = part_lost(lost->cost, won->cost);
    bool as_fast = lost->cost->cycles < won->cost->cycles + LEAST_CYCLES;
    text_put(t, "\n  %-10s loses on ", "");
    if (as_fast && won->plan->algo->exact && !lost->plan->algo->exact)
        text_put(t, "accuracy: plain sums are preferred where others save little");
    else if (as_fast && lost->cost->fmas > won->cost->fmas)
        text_put(t, "code: %lld fma unrolled, not %lld", (long long)lost->cost->fmas,
                 (long long)won->cost->fmas);
    else if (as_fast)
        text_put(t, "nothing that the estimate sees");
    else if (part)
        text_put(t, "%s: %.0f cycles, not %.0f", part->name, part_cycles(lost->cost, part),
                 part_cycles(won->cost, part));
    else
        text_put(t, "no part alone: they hide each other less");
    text_put(t, "\n");
}

static void put_rival(const char *what, const struct rival *lost, const struct rival *won, struct text *t)
{
    text_put(t, "  %-10s ", what);
    put_ratio(t, lost->cost->cycles / won->cost->cycles);
    text_put(t, " times the chosen: ");
    put_schedule(lost->plan, lost->cost, t);
    put_loss(lost, won, t);
}

/* The best of another algorithm, or NULL. */
static const struct contender *second_of(const struct choice *choice)
{
    const struct contender *second = NULL;
    for (int i = 0; i < algo_count; i++) {
        const struct contender *c = &choice->contenders[i];
        if (i == choice->winner || !c->has_best) continue;
        if (!second || c->cost.cycles < second->cost.cycles) second = c;
    }
    return second;
}

static enum kiln_status put_runners_up(const struct choice *choice, const struct limits *limits,
                                       struct text *t, struct kiln_error *error)
{
    const struct contender *winner = &choice->contenders[choice->winner], *second = second_of(choice);
    const struct rival chosen = {&winner->best, &winner->cost};
    struct contender other;
    text_put(t, "\n  runners-up\n");
    if (second) put_rival(second->algo->name, &(struct rival){&second->best, &second->cost}, &chosen, t);
    enum kiln_status status = planner_alternative(&winner->best, limits, &other, error);
    if (status) return status;
    if (other.has_best)
        put_rival("other tile", &(struct rival){&other.best, &other.cost}, &chosen, t);
    else if (!second)
        text_put(t, "  none\n");
    return KILN_STATUS_OK;
}

enum kiln_status explain_choice(const struct choice *choice, const struct limits *limits,
                                const struct plan *given, struct text *t, struct kiln_error *error)
{
    const struct contender *winner = &choice->contenders[choice->winner];
    text_put(t, given ? "\n  the schedule was given; the planner's candidates\n" : "\n  candidates\n");
    for (int i = 0; i < algo_count; i++) put_contender(&choice->contenders[i], winner, t);
    if (!given) return put_runners_up(choice, limits, t, error);
    struct cost cost = given->algo->cost(given);
    text_put(t, "\n  beside the planner's choice\n");
    put_rival("given", &(struct rival){given, &cost}, &(struct rival){&winner->best, &winner->cost}, t);
    return KILN_STATUS_OK;
}
