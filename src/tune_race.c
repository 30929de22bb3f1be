/* tune: the timing itself. */
#include "tune_race.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conv.h"
#include "status.h"

/* Shorter samples are made of several calls: the clock's own cost and resolution drown in so long a time. */
static const double sample_us = 100;

enum { WARM_CALLS = 3 };

double race_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- tensors ---- */

/* Memory of `count` floats in [-1, 1); NULL: there is none. */
static float *tensor_add(struct course *course, int64_t count)
{
    size_t bytes = ((size_t)count * sizeof(float) + 63) / 64 * 64;
    float *x = aligned_alloc(64, bytes);
    uint32_t state = 1;
    if (!x) return NULL;
    course->tensors[course->tensor_count++] = x;
    for (int64_t i = 0; i < count; i++) {
        state = state * UINT32_C(1664525) + UINT32_C(1013904223);
        x[i] = (float)(int32_t)state * 0x1p-31f;
    }
    return x;
}

enum kiln_status course_make(struct course *course, const struct kiln_conv *conv, struct kiln_error *error)
{
    struct kiln_args *a = &course->args;
    const struct {
        const void **to;
        enum kiln_post_kind kind;
        int64_t count;
    } operands[] = {
        {&a->bias, KILN_POST_BIAS, conv->oc},
        {&a->scale, KILN_POST_SCALE, conv->oc},
        {&a->prelu, KILN_POST_PRELU, conv->oc},
        {&a->add, KILN_POST_ADD, conv_dst_count(conv)},
    };
    *course = (struct course){0};
    bool made = (a->src = tensor_add(course, conv_src_count(conv))) != NULL;
    made = made && (a->dst = tensor_add(course, conv_dst_count(conv)));
    made = made && (course->weights = tensor_add(course, conv_weights_count(conv)));
    for (size_t i = 0; i < sizeof operands / sizeof *operands; i++)
        if (made && conv_has(conv, operands[i].kind))
            made = (*operands[i].to = tensor_add(course, operands[i].count)) != NULL;
    if (made) return KILN_STATUS_OK;
    course_free(course);
    return fail(error, KILN_STATUS_MEMORY, "no memory for tensors to time with");
}

void course_free(struct course *course)
{
    while (course->tensor_count > 0) free(course->tensors[--course->tensor_count]);
}

/* ---- racers ---- */

/* Microseconds of one call, of `calls` together. What ran before has filled the caches and gone: the first
 * calls are not counted; one alone does not bring back a tensor of some MB. */
static double racer_time(const struct racer *r, const struct course *course, size_t calls)
{
    struct kiln_args args = course->args;
    args.weights = r->packed;
    for (int i = 0; i < WARM_CALLS; i++) kiln_run(r->plan, &args, NULL);
    double begin = race_seconds();
    for (size_t i = 0; i < calls; i++) kiln_run(r->plan, &args, NULL);
    return (race_seconds() - begin) * 1e6 / (double)calls;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void racer_sample(struct racer *r, const struct course *course)
{
    double sorted[RACE_SAMPLES];
    if (r->count == RACE_SAMPLES) return;
    r->samples[r->count++] = racer_time(r, course, r->batch);
    memcpy(sorted, r->samples, (size_t)r->count * sizeof *sorted);
    qsort(sorted, (size_t)r->count, sizeof *sorted, compare_doubles);
    r->us = (sorted[(r->count - 1) / 2] + sorted[r->count / 2]) / 2;
}

enum kiln_status racer_enter(struct racer *r, const struct course *course, const struct kiln_plan *plan,
                             struct kiln_error *error)
{
    size_t bytes = (kiln_plan_packed_size(plan) + 63) / 64 * 64;
    struct kiln_args args = course->args;
    *r = (struct racer){.plan = plan, .packed = aligned_alloc(64, bytes ? bytes : 64)};
    if (!r->packed) return fail(error, KILN_STATUS_MEMORY, "no memory for packed weights to time with");
    enum kiln_status status = kiln_pack(plan, course->weights, r->packed, error);
    args.weights = r->packed;
    if (!status) status = kiln_run(plan, &args, error);
    if (status) return racer_leave(r), status;
    double us = racer_time(r, course, 1);
    r->batch = us < sample_us ? (size_t)(sample_us / (us > 0.01 ? us : 0.01)) + 1 : 1;
    racer_sample(r, course);
    return KILN_STATUS_OK;
}

void racer_leave(struct racer *r)
{
    free(r->packed);
    r->packed = NULL;
}

void race_turns(struct racer **racers, int count, const struct course *course, int samples, double deadline)
{
    for (bool more = true; more && race_seconds() < deadline;) {
        more = false;
        for (int i = 0; i < count; i++) {
            if (!racers[i] || racers[i]->count >= samples) continue;
            racer_sample(racers[i], course);
            more = more || racers[i]->count < samples;
        }
    }
}
