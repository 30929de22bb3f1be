/* Schedules as text, and the checks that concern every algorithm. */
#include "plan.h"

#include "algo.h"
#include "conv.h"
#include "door.h"
#include "post.h"
#include "status.h"
#include "text.h"

#include <string.h>

static const char *const by_words[] = {"oc", "px", "ic", NULL};
static const char *const unroll_words[] = {"ic", "kw", "kh", "all", NULL};
static const char *const edge_words[] = {"static", "zero", "bounds", NULL};
static const char *const prefetch_words[] = {"none", "rows", NULL};

#define KNOB(name) #name, offsetof(struct plan, name)
const struct knob plan_knobs[] = {
    {KNOB(by), 0, 2, BY_OC, by_words, "what vectors run over: output channels, pixels or input channels"},
    {KNOB(vec), 4, 16, 0, NULL, "f32 lanes of a vector: 4, 8 or 16 (the machine's widest)"},
    {KNOB(ow), 1, 32, 1, NULL,
     "columns of the register tile; vectors of them with by=px and in planes; tiles in winograd"},
    {KNOB(oh), 1, 32, 1, NULL, "rows of the register tile"},
    {KNOB(oc), 1, 32, 1, NULL,
     "vectors of output channels in the register tile; channels with by=px or by=ic, and in planes"},
    {KNOB(ic), 1, INT64_MAX, 0, NULL, "input channels of a packed panel (all of a group)"},
    {KNOB(step), 1, 64, 1, NULL, "input channels unrolled into one body"},
    {KNOB(unroll), 0, 3, UNROLL_IC, unroll_words, "the outermost loop of the reduction that is unrolled"},
    {KNOB(edge), 0, 2, EDGE_STATIC, edge_words, "columns whose taps reach outside the row"},
    {KNOB(m), 2, 6, 4, NULL, "outputs of a tile along each axis whose kernel is not 1: 2, 4 or 6"},
    {KNOB(block), 1, 1 << 16, 1, NULL, "tiles transformed and multiplied together"},
    {KNOB(chunk), 0, INT64_MAX, 0, NULL, "column tiles in one task; 0: a whole row"},
    {KNOB(prefetch), 0, 1, PREFETCH_NONE, prefetch_words, "what is asked for ahead of its use"},
};
const int plan_knob_count = sizeof plan_knobs / sizeof *plan_knobs;

static int64_t *knob_at(struct plan *p, const struct knob *knob)
{
    return (int64_t *)((char *)p + knob->offset);
}
static int64_t knob_value(const struct plan *p, const struct knob *knob)
{
    return *knob_at((struct plan *)p, knob);
}

/* What an omitted knob means. */
static int64_t knob_default(const struct plan *p, const struct knob *knob)
{
    if (knob->offset == offsetof(struct plan, vec)) return p->cpu.lanes;
    if (knob->offset == offsetof(struct plan, ic)) return p->conv.ic / p->conv.g;
    return knob->unset;
}

static bool knob_used(const struct algo *a, const struct knob *knob)
{
    struct words words = words_of(a->knobs);
    struct word w;
    while (words_next(&words, &w))
        if (word_is(w, knob->key)) return true;
    return false;
}

/* ---- text ---- */

static enum kiln_status fail_word(const struct knob *knob, struct word word, struct kiln_error *error)
{
    char room[64];
    struct text list = text_into(room, sizeof room);
    for (int i = 0; knob->words[i]; i++) text_put(&list, "%s%s", i ? ", " : "", knob->words[i]);
    return fail(error, KILN_STATUS_INVALID, "schedule: %s=%.*s is not one of its words, %s: %s", knob->key,
                WORD(word), room, knob->help);
}

static enum kiln_status parse_value(const struct knob *knob, struct word word, int64_t *to,
                                    struct kiln_error *error)
{
    for (int i = 0; knob->words && knob->words[i]; i++)
        if (word_is(word, knob->words[i])) return *to = i, KILN_STATUS_OK;
    if (knob->words) return fail_word(knob, word, error);
    if (word_number(word, to) == NUMBER_OK) return KILN_STATUS_OK;
    return fail(error, KILN_STATUS_INVALID, "schedule: %s=%.*s is not a number: %s", knob->key, WORD(word),
                knob->help);
}

static enum kiln_status parse_knob(struct plan *p, struct word w, unsigned *seen, struct kiln_error *error)
{
    struct word key, setting;
    if (!word_pair(w, &key, &setting))
        return fail(error, KILN_STATUS_INVALID, "schedule: '%.*s' is not of the form key=value", WORD(w));
    for (int i = 0; i < plan_knob_count; i++) {
        if (!word_is(key, plan_knobs[i].key) || !knob_used(p->algo, &plan_knobs[i])) continue;
        if (*seen >> i & 1)
            return fail(error, KILN_STATUS_INVALID, "schedule: %s is given twice", plan_knobs[i].key);
        *seen |= 1u << i;
        return parse_value(&plan_knobs[i], setting, knob_at(p, &plan_knobs[i]), error);
    }
    return fail(error, KILN_STATUS_INVALID, "schedule: %s has no '%.*s'; its keys are: %s", p->algo->name,
                WORD(key), p->algo->knobs);
}

static enum kiln_status parse_algo(struct plan *p, struct words *words, struct kiln_error *error)
{
    struct word name = {"", 0};
    words_next(words, &name);
    for (int i = 0; i < algo_count; i++)
        if (word_is(name, algos[i]->name)) return p->algo = algos[i], KILN_STATUS_OK;
    struct text known_names = {0};
    char room[128];
    known_names = text_into(room, sizeof room);
    for (int i = 0; i < algo_count; i++) text_put(&known_names, "%s%s", i ? ", " : "", algos[i]->name);
    return fail(error, KILN_STATUS_INVALID, "schedule: '%.*s' is not an algorithm; there are: %s", WORD(name),
                room);
}

enum kiln_status plan_parse(struct plan *p, const char *schedule, struct kiln_error *error)
{
    struct plan q = *p;
    struct words words = words_of(schedule);
    struct word w;
    unsigned seen = 0;
    enum kiln_status status = parse_algo(&q, &words, error);
    for (int i = 0; !status && i < plan_knob_count; i++)
        *knob_at(&q, &plan_knobs[i]) = knob_default(&q, &plan_knobs[i]);
    while (!status && words_next(&words, &w)) status = parse_knob(&q, w, &seen, error);
    struct cost cost;
    if (!status) status = plan_check(&q, &cost, error);
    if (!status) *p = q;
    return status;
}

/* The knobs that are not as if omitted, or all of them. */
static void put_schedule(const struct plan *p, bool all, struct text *t)
{
    text_put(t, "%s", p->algo->name);
    for (const struct knob *knob = plan_knobs; knob < plan_knobs + plan_knob_count; knob++) {
        int64_t v = knob_value(p, knob);
        if (!knob_used(p->algo, knob) || (v == knob_default(p, knob) && !all)) continue;
        if (knob->words)
            text_put(t, " %s=%s", knob->key, knob->words[v]);
        else
            text_put(t, " %s=%lld", knob->key, (long long)v);
    }
}

size_t plan_print_schedule(const struct plan *p, char *text, size_t room)
{
    struct text t = text_into(text, room);
    put_schedule(p, false, &t);
    return t.length;
}

size_t plan_print(const struct plan *p, char *text, size_t room)
{
    char conv[KILN_TEXT_MAX];
    conv_print(&p->conv, conv, sizeof conv);
    struct text t = text_into(text, room);
    text_put(&t, "%s | ", conv);
    put_schedule(p, false, &t);
    text_put(&t, " | %s", isa_name(isa_code(p->cpu.isa)));
    return t.length;
}

/* ---- checks ---- */

static enum kiln_status check_knobs(const struct plan *p, struct kiln_error *error)
{
    for (const struct knob *knob = plan_knobs; knob < plan_knobs + plan_knob_count; knob++) {
        int64_t v = knob_value(p, knob);
        if ((v < knob->lo || v > knob->hi) && knob_used(p->algo, knob))
            return fail(error, KILN_STATUS_INVALID, "schedule: %s=%lld is outside [%lld, %lld]: %s",
                        knob->key, (long long)v, (long long)knob->lo, (long long)knob->hi, knob->help);
    }
    if (p->vec & (p->vec - 1) || p->vec > p->cpu.lanes)
        return fail(error, KILN_STATUS_INVALID,
                    "schedule: vec=%lld must be 4, 8 or 16, and at most the %d lanes of %s",
                    (long long)p->vec, p->cpu.lanes, isa_name(p->cpu.isa));
    return KILN_STATUS_OK;
}

/* What no machine holds; below, sizes of packed weights and offsets of taps outside src fit 64 bits. */
static const char *beyond_memory(const struct kiln_conv *c)
{
    /* Packing may make a vector of 16 of a channel, and of 3x3 taps the 8x8 of winograd. */
    enum { PACKING = 128 };
    const int64_t factors[] = {c->ic, c->ih + c->pt + c->pb, c->iw + c->pl + c->pr};
    int64_t bytes = sizeof(float);
    if (conv_weights_count(c) > PTRDIFF_MAX / (int64_t)sizeof(float) / PACKING)
        return "the packed weights would exceed PTRDIFF_MAX bytes";
    for (size_t i = 0; i < sizeof factors / sizeof *factors; i++)
        if (__builtin_mul_overflow(bytes, factors[i], &bytes))
            return "an image of src with its padding would exceed PTRDIFF_MAX bytes";
    return NULL;
}

const char *plan_unsupported(const struct kiln_conv *c)
{
    if (c->src != KILN_TYPE_F32 || c->weights != KILN_TYPE_F32 || c->dst != KILN_TYPE_F32)
        return "types other than f32 are not compiled yet";
    if (conv_dims(c) == 3) return "3-D convolutions are not compiled yet";
    if (c->mode != KILN_MODE_ZEROS) return "padding modes other than zeros are not compiled yet";
    const char *why = beyond_memory(c);
    return why ? why : post_supported(c);
}

/* What an algorithm leaves of the promises of a conv's accuracy concerns them all, so it is said here. */
const char *plan_inapplicable(const struct plan *p)
{
    if (p->conv.accuracy == KILN_ACCURACY_STRICT && !p->algo->exact)
        return "it computes something else than the plain sum, which strict asks for";
    return p->algo->applicable(&p->conv, &p->cpu);
}

size_t plan_scratch(const struct plan *p) { return (size_t)p->algo->sizes(p).scratch * sizeof(float); }

/* What an algorithm's own check found, and the knobs, some of which may have been left out. */
static enum kiln_status fail_check(const struct plan *p, const char *why, struct kiln_error *error)
{
    if (!error) return KILN_STATUS_INVALID; /* the planner tries many */
    char room[256];
    struct text all = text_into(room, sizeof room);
    put_schedule(p, true, &all);
    return fail(error, KILN_STATUS_INVALID, "schedule: %s: %s; in full it is \"%s\"", p->algo->name, why,
                room);
}

enum kiln_status plan_check(const struct plan *p, struct cost *cost, struct kiln_error *error)
{
    const char *why = plan_unsupported(&p->conv);
    if (why) return fail(error, KILN_STATUS_UNSUPPORTED, "%s", why);
    why = plan_inapplicable(p);
    if (why) return fail(error, KILN_STATUS_INVALID, "schedule: %s cannot do this: %s", p->algo->name, why);
    if (check_knobs(p, error)) return KILN_STATUS_INVALID;
    why = p->algo->check(p);
    if (why) return fail_check(p, why, error);
    *cost = p->algo->cost(p);
    if (cost->fmas > CODE_BUDGET_MOST)
        return fail(error, KILN_STATUS_INVALID, "schedule: it unrolls %lld FMAs, at most %d are allowed",
                    (long long)cost->fmas, CODE_BUDGET_MOST);
    return KILN_STATUS_OK;
}
