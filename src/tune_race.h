/* tune: plans of one convolution timed in turns. The clock of a machine drifts over seconds and others use
 * it too: so only times from the same seconds are compared, by medians, and one plan runs twice among the
 * others to tell how far two times of the same thing are apart. */
#ifndef KILN_SRC_TUNE_RACE_H
#define KILN_SRC_TUNE_RACE_H

#include "kiln.h"

enum { RACE_SAMPLES = 32 }; /* more do not steady a median */

/* One plan. */
struct racer {
    const struct kiln_plan *plan;
    void *packed;
    size_t batch; /* calls in a sample */
    double us;    /* of one call: the median of its samples */
    double samples[RACE_SAMPLES];
    int count; /* of samples */
};

/* The tensors that they all run on. */
struct course {
    struct kiln_args args;
    void *weights, *tensors[8];
    int tensor_count;
};

double race_seconds(void); /* of a clock that only goes forward */

/* Statuses as kiln_run. */
enum kiln_status course_make(struct course *course, const struct kiln_conv *conv, struct kiln_error *error);
void course_free(struct course *course);

/* Packs, runs, and takes a first sample. */
enum kiln_status racer_enter(struct racer *r, const struct course *course, const struct kiln_plan *plan,
                             struct kiln_error *error);
void racer_leave(struct racer *r);

/* One turn: all racers once, until each has `samples` of them or the time is over. NULL racers have left. */
void race_turns(struct racer **racers, int count, const struct course *course, int samples, double deadline);

#endif
