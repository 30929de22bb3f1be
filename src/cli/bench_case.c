/* bench_case: one conv measured. Compiled cold, packed, timed in turns with every variant of every
 * peer, and compared with each of them in full. */
#include "bench.h"
#include "fill.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Largest difference from a peer that still agrees, in RMS of the output: that of `+fast`. Sums in
 * another order differ by far less. */
static const double worst_allowed = 1e-4;

/* Calls shorter than this show their own overhead; that of longer ones drowns in noise. */
static const double overhead_visible_us = 2;
static const double overhead_seconds = 0.02;

/* Peak runs of each thread in one run of the crew: so long together that starting them does not count. */
enum { CREW_SLICES = 40 };

/* ---- one compiled conv ---- */

struct subject {
    struct kiln *k;
    struct kiln_plan *plan;
    struct data data;
    void *packed, *scratch;
    kiln_kernel *kernel;
    size_t tasks;
    double compile_ms;
};

static void subject_free(struct subject *s)
{
    kiln_plan_release(s->plan);
    kiln_destroy(s->k);
    data_free(&s->data);
    free(s->packed);
    free(s->scratch);
}

/* Always cold: the context, and so its cache, is new. */
static enum kiln_status subject_compile(struct subject *s, const struct setup *setup,
                                        const struct kiln_conv *conv, const struct kiln_options *options,
                                        struct kiln_error *error)
{
    enum kiln_status status = kiln_create(&s->k, &setup->config, error);
    if (status == KILN_STATUS_OK) status = kiln_compile(s->k, conv, options, &s->plan, error);
    if (status != KILN_STATUS_OK) return status;
    struct kiln_stats stats;
    kiln_stats(s->k, &stats);
    s->compile_ms = stats.compile_ms;
    return KILN_STATUS_OK;
}

static enum kiln_status subject_fill(struct subject *s, const struct kiln_conv *conv,
                                     struct kiln_error *error)
{
    if (!data_make(&s->data, conv, FILL_NORMAL, error)) return error->status;
    s->packed = fill_try(kiln_plan_packed_size(s->plan), error);
    s->scratch = fill_try(kiln_plan_scratch_size(s->plan), error);
    if (!s->packed || !s->scratch) return error->status;
    s->data.args.weights = s->packed;
    s->kernel = kiln_plan_kernel(s->plan);
    s->tasks = kiln_plan_tasks(s->plan);
    enum kiln_status status = kiln_pack(s->plan, s->data.weights, s->packed, error);
    return status == KILN_STATUS_OK ? kiln_run(s->plan, &s->data.args, error) : status;
}

/* ---- contenders ---- */

static void run_ours(void *state)
{
    struct subject *s = state;
    kiln_run(s->plan, &s->data.args, NULL);
}

static void run_kernel(void *state)
{
    struct subject *s = state;
    s->kernel(&s->data.args, 0, s->tasks, s->scratch);
}

static void run_pack(void *state)
{
    struct subject *s = state;
    kiln_pack(s->plan, s->data.weights, s->packed, NULL);
}

/* What kiln_run costs beyond the kernel's own time. */
static double overhead_measure(struct subject *s)
{
    struct contender both[] = {{.run = run_ours, .state = s}, {.run = run_kernel, .state = s}};
    contenders_race(both, 2, overhead_seconds, false);
    return (both[0].us - both[1].us) * 1e3;
}

static double pack_measure(struct subject *s)
{
    struct contender pack = {.run = run_pack, .state = s};
    contenders_race(&pack, 1, 0, false);
    return pack.us;
}

/* ---- peers ---- */

/* One variant of one peer, ready to run; handle NULL where it refused. */
struct rival {
    const struct peer *peer;
    void *handle;
    struct timing *timing;
};

static struct peer_task task_of(const struct subject *s, const struct kiln_conv *conv, int threads)
{
    const struct kiln_args *a = &s->data.args;
    struct peer_task task = {.conv = conv, .src = a->src, .weights = s->data.weights, .threads = threads};
    task.bias = a->bias;
    task.scale = a->scale;
    task.add = a->add;
    task.prelu = a->prelu;
    kiln_conv_output(conv, task.out, NULL);
    return task;
}

static int rivals_make(struct rival *rivals, const struct peers *peers, const struct peer_task *task,
                       struct result *result)
{
    int count = 0;
    for (int p = 0; p < peers->count; p++) {
        const char *variant;
        for (int v = 0; (variant = peers->at[p]->variant(task->conv, v)) && count < TIMINGS_MAX; v++) {
            struct timing *timing = &result->timings[count];
            struct rival *r = &rivals[count++];
            struct kiln_error error;
            *timing = (struct timing){0};
            *r = (struct rival){peers->at[p], NULL, timing};
            snprintf(timing->name, sizeof timing->name, "%s:%s", r->peer->name, variant);
            if (r->peer->create(task, variant, &r->handle, &error) != KILN_STATUS_OK) {
                snprintf(timing->error, sizeof timing->error, "%s", error.text);
                r->handle = NULL;
            }
        }
    }
    return result->timing_count = count;
}

/* Compares a peer's whole output with ours; NaN agrees with nothing. theirs: room for it, or NULL. */
static void rival_compare(struct rival *r, const struct data *data, float *theirs)
{
    struct kiln_error error = {.text = "no memory to compare the outputs in"};
    if (!theirs || r->peer->result(r->handle, theirs, &error) != KILN_STATUS_OK) {
        snprintf(r->timing->error, sizeof r->timing->error, "%s", error.text);
        return;
    }
    double squares = 0, worst = 0;
    bool finite = true;
    for (size_t i = 0; i < data->dst_count; i++) {
        double difference = fabs((double)theirs[i] - (double)data->dst[i]);
        finite &= isfinite(difference);
        worst = fmax(worst, difference);
        squares += (double)theirs[i] * (double)theirs[i];
    }
    double rms = sqrt(squares / (double)data->dst_count);
    r->timing->worst = !finite ? INFINITY : worst > 0 ? worst / rms : 0;
    r->timing->agrees = finite && worst <= worst_allowed * rms;
}

/* ---- the race ---- */

static void work_peak(void *arg, int i)
{
    const struct peak *peak = arg;
    (void)i;
    for (int slice = 0; slice < CREW_SLICES; slice++) peak->run(NULL);
}

/* Contenders that are not peers; the last two only with more threads than one. */
enum { OURS, PEAK, SINGLE, CREW, OWN };

static void own_report(const struct setup *setup, const struct contender *own, struct result *result)
{
    double flops = setup->peak.flops;
    result->us = own[OURS].us;
    result->peak_gflops = result->peak_all_gflops = flops / own[PEAK].us * 1e-3;
    result->single_us = result->us;
    if (!setup->crew) return;
    result->single_us = own[SINGLE].us;
    result->peak_all_gflops = flops * setup->threads * CREW_SLICES / own[CREW].us * 1e-3;
}

/* Ours, the peak and every peer that runs, in turns. */
static void race(const struct setup *setup, struct subject *s, struct rival *rivals, int count,
                 struct result *result)
{
    struct contender contenders[OWN + TIMINGS_MAX] = {[OURS] = {.run = run_ours, .state = s},
                                                      [PEAK] = {.run = setup->peak.run},
                                                      [SINGLE] = {.run = run_kernel, .state = s},
                                                      [CREW] = {.run = crew_run, .state = setup->crew}};
    const size_t own = setup->crew ? OWN : SINGLE;
    size_t racing = own;
    for (int i = 0; i < count; i++)
        if (rivals[i].handle)
            contenders[racing++] = (struct contender){.run = rivals[i].peer->run, .state = rivals[i].handle};
    result->core_share = contenders_race(contenders, racing, setup->seconds, setup->threads > 1);
    own_report(setup, contenders, result);
    racing = own;
    for (int i = 0; i < count; i++)
        if (rivals[i].handle) rivals[i].timing->us = contenders[racing++].us;
}

static void subject_measure(const struct setup *setup, struct subject *s, const struct kiln_conv *conv,
                            struct result *result)
{
    struct rival rivals[TIMINGS_MAX];
    struct peer_task task = task_of(s, conv, setup->threads);
    int count = rivals_make(rivals, &setup->peers, &task, result);
    race(setup, s, rivals, count, result);
    struct kiln_error none;
    float *theirs = fill_try(s->data.dst_count * sizeof *theirs, &none);
    for (int i = 0; i < count; i++) {
        if (!rivals[i].handle) continue;
        rival_compare(&rivals[i], &s->data, theirs);
        rivals[i].peer->destroy(rivals[i].handle);
    }
    free(theirs);
    result->gflops = conv_work(conv) / result->us * 1e-3;
    result->compile_ms = s->compile_ms;
    result->pack_us = pack_measure(s);
    result->overhead_ns = result->us < overhead_visible_us ? overhead_measure(s) : setup->tiny_overhead_ns;
}

void conv_measure(const struct setup *setup, const struct line *line, const struct kiln_options *options,
                  struct result *result)
{
    struct subject subject = {0};
    struct kiln_error error = {0};
    *result = (struct result){.layout = line->conv.layout};
    kiln_conv_print(&line->conv, result->text, sizeof result->text);
    result->status = subject_compile(&subject, setup, &line->conv, options, &error);
    if (result->status == KILN_STATUS_OK) result->status = subject_fill(&subject, &line->conv, &error);
    if (result->status == KILN_STATUS_OK) {
        snprintf(result->plan, sizeof result->plan, "%s", kiln_plan_text(subject.plan));
        subject_measure(setup, &subject, &line->conv, result);
    } else {
        snprintf(result->error, sizeof result->error, "%s", error.text);
    }
    subject_free(&subject);
}

enum kiln_status setup_warm(struct setup *setup, const char *isa, struct kiln_error *error)
{
    struct subject subject = {0};
    const struct kiln_options options = {.size = sizeof options, .isa = isa};
    struct kiln_conv tiny;
    kiln_conv_parse(&tiny, "conv ic1 iw2 oc1 kw1 f32 nhwc", NULL);
    enum kiln_status status = subject_compile(&subject, setup, &tiny, &options, error);
    if (status == KILN_STATUS_OK) status = subject_fill(&subject, &tiny, error);
    if (status == KILN_STATUS_OK) setup->tiny_overhead_ns = overhead_measure(&subject);
    subject_free(&subject);
    if (status != KILN_STATUS_OK || setup->threads == 1) return status;
    setup->crew = crew_make(setup->threads, work_peak, &setup->peak, error);
    return setup->crew ? KILN_STATUS_OK : error->status;
}

void setup_free(struct setup *setup) { crew_free(setup->crew); }

bool timing_counts(const struct timing *t) { return !*t->error && t->agrees; }

double result_best(const struct result *result, const char *peer)
{
    double best = 0;
    size_t length = peer ? strlen(peer) : 0;
    for (const struct timing *t = result->timings; t < result->timings + result->timing_count; t++) {
        bool asked = !peer || (!strncmp(t->name, peer, length) && t->name[length] == ':');
        if (asked && timing_counts(t) && (best == 0 || t->us < best)) best = t->us;
    }
    return best;
}
