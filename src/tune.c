/* tune: finds the fastest of a convolution's plans by timing them, and leaves it as wisdom.
 *
 * Each candidate first runs a few times in turns with the planner's choice; the few that are best beside it
 * then run in turns with each other. The planner's choice stays unless it is beaten by more than the noise,
 * which is told by its running twice. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "buffer.h"
#include "context.h"
#include "conv.h"
#include "run.h"
#include "status.h"
#include "text.h"
#include "tune_race.h"

enum {
    MEASURE_CANDIDATES = 12,
    EXHAUSTIVE_CANDIDATES = 4096, /* all there are */
    FINALISTS = 8,
    HEAT_SAMPLES = 3,
    FINAL_FIRST = 8, /* samples until those far behind leave */
    RACES_MOST = 3,  /* of the finalists, while they are too noisy */
};

static const double hopeless = 1.4; /* so much slower than the best at first sight is not looked at again */
static const double heat_margin = 1.1; /* short heats are off by as much */
static const double final_margin = 1.04;
static const double spread_most = 0.3; /* of a plan's median over its least time: others took the rest */
static const double noise_most = 0.03; /* apart may be two times of one plan */
static const double gain_least = 0.01; /* less is none, however quiet the machine */
static const double heats_share = 0.6; /* of the time, for compiling and heats */
static const double whole_us = 100;    /* times below are told with three decimals, so that they differ */
static const double measure_seconds = 10, exhaustive_seconds = 120; /* where no limit is given */

/* ---- what is raced ---- */

struct candidate {
    struct kiln_plan *plan;
    struct racer racer;
    double ratio; /* to the planner's choice, in its heat */
};

struct tune {
    struct kiln *k;
    struct kiln_conv conv;
    struct kiln_options options;
    struct kiln_tuning tuning;
    enum isa isa;
    double begin, heats_end, end; /* seconds */
    struct course course;
    struct candidate base, twin; /* the planner's choice, twice */
    struct candidate best[FINALISTS];
    int best_count;
    struct kiln_tuned *result;
};

static double worth(const struct kiln_plan *plan, double us)
{
    return us * (kiln_plan_exact(plan) ? 1 : WORTH_INEXACT);
}

static void candidate_drop(struct candidate *c)
{
    racer_leave(&c->racer);
    kiln_plan_release(c->plan);
    *c = (struct candidate){0};
}

static enum kiln_status candidate_enter(struct tune *t, struct candidate *c, const char *line,
                                        struct kiln_error *error)
{
    struct kiln_options o = t->options;
    struct words part;
    char schedule[KILN_TEXT_MAX];
    /* Its schedule alone: a whole line would cap the machine to the level that it names. */
    if (!words_part(line, 1, &part)) part.at = part.end = line;
    snprintf(schedule, sizeof schedule, "%.*s", (int)(part.end - part.at), part.at);
    o.effort = KILN_EFFORT_ESTIMATE, o.schedule = schedule;
    *c = (struct candidate){0};
    enum kiln_status status = kiln_compile(t->k, &t->conv, &o, &c->plan, error);
    if (!status) status = racer_enter(&c->racer, &t->course, c->plan, error);
    if (status) candidate_drop(c);
    return status;
}

static void progress(struct tune *t)
{
    const struct kiln_tuned *r = t->result;
    if (t->tuning.progress) t->tuning.progress(t->tuning.user, r, race_seconds() - t->begin);
}

/* ---- heats ---- */

/* The least ratio so far; that of the planner's choice is 1. */
static double ratio_least(const struct tune *t)
{
    return t->best_count && t->best[0].ratio < 1 ? t->best[0].ratio : 1;
}

/* Runs a candidate beside the planner's choice, and takes it over if it is among the best. */
static void heat_run(struct tune *t, struct candidate *c)
{
    struct racer again = t->base.racer, *both[] = {&again, &c->racer};
    double first = worth(c->plan, c->racer.us) / worth(t->base.plan, t->base.racer.us);
    again.count = 0;
    if (first < ratio_least(t) * hopeless) race_turns(both, 2, &t->course, HEAT_SAMPLES, t->heats_end);
    c->ratio = again.count ? worth(c->plan, c->racer.us) / worth(t->base.plan, again.us) : INFINITY;
    int at = t->best_count;
    while (at > 0 && t->best[at - 1].ratio > c->ratio) at--;
    if (at == FINALISTS || c->ratio > ratio_least(t) * heat_margin) {
        candidate_drop(c);
        return;
    }
    if (t->best_count == FINALISTS) candidate_drop(&t->best[--t->best_count]);
    memmove(&t->best[at + 1], &t->best[at], (size_t)(t->best_count - at) * sizeof *t->best);
    t->best[at] = *c;
    t->best_count++;
    t->result->us = t->result->estimate_us * ratio_least(t); /* as far as is known: medians come last */
}

/* The planner's choice is the first of the lines; all others have their heats. */
static enum kiln_status heats(struct tune *t, char *lines, struct kiln_error *error)
{
    char *at = lines, *line = strsep(&at, "\n");
    enum kiln_status status = candidate_enter(t, &t->base, line, error);
    if (status) return status;
    t->twin = (struct candidate){.plan = kiln_plan_retain(t->base.plan)};
    status = racer_enter(&t->twin.racer, &t->course, t->twin.plan, error);
    if (status) return status;
    t->result->us = t->result->estimate_us = t->base.racer.us;
    t->result->tried = 1;
    snprintf(t->result->estimate, sizeof t->result->estimate, "%s", kiln_plan_text(t->base.plan));
    while ((line = strsep(&at, "\n")) && race_seconds() < t->heats_end) {
        struct candidate c;
        struct kiln_error why;
        if (!candidate_enter(t, &c, line, &why)) heat_run(t, &c);
        t->result->tried++;
        progress(t);
    }
    return KILN_STATUS_OK;
}

/* ---- the final ---- */

static void racer_restart(struct racer *r) { r->count = 0; }

/* Turns of all finalists until the time is over; those far behind leave after a few. The noise: how far the
 * planner's choice and its twin are apart. */
static void final_run(struct tune *t)
{
    struct racer *racers[FINALISTS + 2] = {&t->base.racer, &t->twin.racer};
    int count = 2;
    for (int i = 0; i < t->best_count; i++) racers[count++] = &t->best[i].racer;
    for (int i = 0; i < count; i++) racer_restart(racers[i]);
    race_turns(racers, count, &t->course, FINAL_FIRST, INFINITY);
    double least = worth(t->base.plan, t->base.racer.us);
    for (int i = 0; i < t->best_count; i++) least = fmin(least, worth(t->best[i].plan, t->best[i].racer.us));
    for (int i = 0; i < t->best_count; i++)
        if (worth(t->best[i].plan, t->best[i].racer.us) > least * final_margin) racers[i + 2] = NULL;
    race_turns(racers, count, &t->course, RACE_SAMPLES, t->end);
    t->result->noise = fabs(t->base.racer.us / t->twin.racer.us - 1);
}

/* The planner's choice, or who beats it beyond the noise. */
static const struct candidate *winner_of(const struct tune *t)
{
    const struct candidate *winner = &t->base;
    double gain = fmax(gain_least, t->result->noise), us = fmin(t->base.racer.us, t->twin.racer.us);
    double least = worth(t->base.plan, us) * (1 - gain);
    for (int i = 0; i < t->best_count; i++) {
        double w = worth(t->best[i].plan, t->best[i].racer.us);
        if (w < least) winner = &t->best[i], least = w;
    }
    return winner;
}

/* By how much half of the times of the planner's choice, or more, exceed the least. */
static double spread_of(const struct tune *t)
{
    const struct racer *r = &t->base.racer;
    double least = r->us;
    for (int i = 0; i < r->count; i++) least = fmin(least, r->samples[i]);
    return r->us / least - 1;
}

static enum kiln_status final(struct tune *t, struct kiln_error *error)
{
    double spread = 0;
    for (int i = 0; i < RACES_MOST; i++) {
        final_run(t);
        progress(t);
        spread = spread_of(t);
        if ((t->result->noise <= noise_most && spread <= spread_most) || race_seconds() >= t->end) break;
    }
    int digits = t->base.racer.us < whole_us ? 3 : 0;
    if (spread > spread_most && !t->tuning.noisy)
        return fail(
            error, KILN_STATUS_SYSTEM,
            "the machine is too noisy to time on: half of one plan's times are %.0f %% above the least, "
            "at most %.0f %% are allowed: let nothing else run",
            spread * 100, spread_most * 100);
    if (t->result->noise > noise_most && !t->tuning.noisy)
        return fail(
            error, KILN_STATUS_SYSTEM,
            "the machine is too noisy to time on: in turns one plan took %.*f us and %.*f us, %.1f %% "
            "apart, at most %.0f %% are allowed: let nothing else run",
            digits, t->base.racer.us, digits, t->twin.racer.us, t->result->noise * 100, noise_most * 100);
    return KILN_STATUS_OK;
}

/* ---- what is found ---- */

/* "AMD-EPYC-9R14": the processor's name, for people. */
static void machine_name(char *name, size_t room)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "re");
    snprintf(name, room, "unknown");
    while (file && fgets(line, sizeof line, file)) {
        char *value = strchr(line, ':');
        if (strncmp(line, "model name", strlen("model name")) != 0 || !value) continue;
        value += 1 + strspn(value + 1, " ");
        value[strcspn(value, "\n")] = '\0';
        for (char *c = value; *c; c++)
            if (*c <= ' ' || *c > '~' || *c == '#' || *c == '|') *c = '-';
        snprintf(name, room, "%s", value);
        break;
    }
    if (file) fclose(file);
}

/* To the nanosecond, as the smallest kernels take 40; the '.' of printf depends on the locale. */
static void put_us(struct text *t, const char *before, double us, const char *behind)
{
    long long ns = llround(us * 1000);
    text_put(t, "%s%lld.%03lld%s", before, ns / 1000, ns % 1000, behind);
}

static enum kiln_status found_keep(struct tune *t, struct kiln_error *error)
{
    struct kiln_tuned *r = t->result;
    const struct candidate *winner = winner_of(t);
    char machine[64], date[16] = "";
    time_t now = time(NULL);
    struct tm day;
    machine_name(machine, sizeof machine);
    if (gmtime_r(&now, &day)) strftime(date, sizeof date, "%Y-%m-%d", &day);
    r->us = winner->racer.us;
    r->estimate_us = fmin(t->base.racer.us, t->twin.racer.us);
    if (winner == &t->base) r->us = r->estimate_us;
    struct text line = text_into(r->line, sizeof r->line);
    text_put(&line, "%s", kiln_plan_text(winner->plan));
    put_us(&line, "  # ", r->us, " us");
    put_us(&line, " estimate=", r->estimate_us, "");
    text_put(&line, " threads=%d %s machine=%s", t->k->threads, date, machine);
    assert(line.length < sizeof r->line);
    return kiln_wisdom_import(t->k, r->line, line.length, error);
}

/* ---- the way ---- */

static void tune_free(struct tune *t)
{
    candidate_drop(&t->base);
    candidate_drop(&t->twin);
    for (int i = 0; i < t->best_count; i++) candidate_drop(&t->best[i]);
    course_free(&t->course);
}

static enum kiln_status tune_read(struct tune *t, const struct kiln_options *options,
                                  const struct kiln_tuning *tuning, struct kiln_error *error)
{
    enum kiln_status status = KILN_STATUS_OK;
    struct kiln_options *o = &t->options;
    *o = (struct kiln_options){.size = sizeof *o, .effort = KILN_EFFORT_MEASURE};
    t->tuning = (struct kiln_tuning){.size = sizeof t->tuning};
    if (options) status = struct_read(o, sizeof *o, options, "kiln_options", error);
    if (!status && tuning) status = struct_read(&t->tuning, sizeof t->tuning, tuning, "kiln_tuning", error);
    if (status) return status;
    if ((unsigned)o->effort > KILN_EFFORT_EXHAUSTIVE || o->effort == KILN_EFFORT_WISDOM_ONLY)
        return fail(error, KILN_STATUS_INVALID,
                    "effort is %d: must be KILN_EFFORT_ESTIMATE, _MEASURE or _EXHAUSTIVE", (int)o->effort);
    if (o->schedule || o->target)
        return fail(error, KILN_STATUS_INVALID, "%s is given: what is tuned is chosen, and on this machine",
                    o->schedule ? "schedule" : "target");
    if (!(t->tuning.seconds >= 0 && t->tuning.seconds < INFINITY))
        return fail(error, KILN_STATUS_INVALID, "seconds is %g: must be 0 or more, and finite",
                    t->tuning.seconds);
    return KILN_STATUS_OK;
}

/* Adds to the lines those that kiln_candidates tells for an effort. */
static enum kiln_status lines_add(struct tune *t, struct buffer *l, enum kiln_effort effort, int count,
                                  struct kiln_error *error)
{
    struct kiln_options o = t->options;
    o.effort = effort, o.candidates = count;
    if (l->count) buffer_sink(l, "\n", 1);
    enum kiln_status status = kiln_candidates(t->k, &t->conv, &o, buffer_sink, l, error);
    if (status == KILN_STATUS_OK && l->failed)
        return fail(error, KILN_STATUS_MEMORY, "no memory for a list of plans");
    return status;
}

/* Whether wisdom has just this: then it is told and nothing is timed. */
static bool known_tell(struct tune *t)
{
    struct kiln_tuned *r = t->result;
    struct buffer l = {0};
    struct advice advice;
    const char *other;
    const struct wisdom_key key = {&t->conv, t->isa, t->k->threads};
    if (t->tuning.again || !wisdom_find(t->k->wisdom, &key, &advice, &other)) return false;
    if (advice.threads != t->k->threads || advice.us <= 0) return false;
    r->known = !lines_add(t, &l, KILN_EFFORT_WISDOM_ONLY, 0, NULL);
    r->us = advice.us;
    if (r->known) snprintf(r->line, sizeof r->line, "%s  # %s", l.bytes, advice.comment);
    free(l.bytes);
    return r->known;
}

static enum kiln_status tune_run(struct tune *t, struct kiln_error *error)
{
    static const int counts[] = {[KILN_EFFORT_ESTIMATE] = 1,
                                 [KILN_EFFORT_MEASURE] = MEASURE_CANDIDATES,
                                 [KILN_EFFORT_EXHAUSTIVE] = EXHAUSTIVE_CANDIDATES};
    struct buffer l = {0}, wise = {0};
    enum kiln_status status = lines_add(t, &l, KILN_EFFORT_ESTIMATE, counts[t->options.effort], error);
    if (!status && !lines_add(t, &wise, KILN_EFFORT_WISDOM_ONLY, 0, NULL)) {
        buffer_sink(&l, "\n", 1);
        buffer_sink(&l, wise.bytes, wise.count);
    }
    for (const char *c = l.bytes; !status && c; c = strchr(c + 1, '\n')) t->result->candidates++;
    if (!status) status = course_make(&t->course, &t->conv, error);
    if (!status) status = heats(t, l.bytes, error);
    if (!status) status = final(t, error);
    if (!status) status = found_keep(t, error);
    free(l.bytes);
    free(wise.bytes);
    return status;
}

enum kiln_status kiln_tune(struct kiln *k, const struct kiln_conv *conv, const struct kiln_options *options,
                           const struct kiln_tuning *tuning, struct kiln_tuned *tuned,
                           struct kiln_error *error)
{
    struct tune t = {.k = k, .begin = race_seconds()};
    if (!k) return fail(error, KILN_STATUS_INVALID, "k is NULL: must be a context");
    if (!conv) return fail(error, KILN_STATUS_INVALID, "conv is NULL");
    struct kiln_tuned *result = calloc(1, sizeof *result);
    if (!result) return fail(error, KILN_STATUS_MEMORY, "no memory to tune in");
    enum kiln_status status = conv_check(conv, error);
    if (!status) status = tune_read(&t, options, tuning, error);
    struct cpu cpu = k->cpu;
    if (!status) status = cpu_cap(&cpu, t.options.isa, "isa", error);
    if (!status) {
        double usual = t.options.effort == KILN_EFFORT_EXHAUSTIVE ? exhaustive_seconds : measure_seconds;
        double seconds = t.tuning.seconds > 0 ? t.tuning.seconds : usual;
        t.heats_end = t.begin + seconds * heats_share, t.end = t.begin + seconds;
        t.isa = isa_code(cpu.isa), t.result = result;
        conv_canonical(&t.conv, conv);
        if (!known_tell(&t)) status = tune_run(&t, error);
        tune_free(&t);
    }
    if (!status && tuned) *tuned = *result;
    free(result);
    return status;
}
