/* bench_time: contenders timed in turns. The clock of the machine drifts over seconds, so whoever is
 * compared is timed in the same seconds, and only medians of the turns are compared. */
#include "bench.h"
#include "fill.h"
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    SAMPLES_MIN = 7,  /* a median of fewer is not one */
    SAMPLES_MAX = 99, /* more do not steady it */
    WARM_CALLS = 3,
};
static const double batch_below_us = 20; /* shorter calls are timed in batches */
static const double batch_us = 200;      /* of about this length: 1e4 times the clock's resolution */

/* Idle threads of a pool may spin for milliseconds before they sleep, and slow the next contender. They
 * count as asleep once the process uses less than a tenth of the time of a wait. */
enum {
    SETTLE_US = 1000,
    SETTLE_TRIES = 100,
    SETTLE_USUAL_US = 20000, /* what settling takes most of the time: a part of the turn's length */
};

/* Threads that were woken may share a core until the system moves one of them, at its next tick. */
static const double spread_us = 20000;

static double clock_us(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static double now_us(void) { return clock_us(CLOCK_MONOTONIC); }

/* Waits until no thread of this process runs, or as long as makes sense. */
static void settle(void)
{
    for (int i = 0; i < SETTLE_TRIES; i++) {
        double used = clock_us(CLOCK_PROCESS_CPUTIME_ID);
        usleep(SETTLE_US);
        if (clock_us(CLOCK_PROCESS_CPUTIME_ID) - used < SETTLE_US / 10.0) return;
    }
}

/* Microseconds that `calls` calls take, all together. */
static double run_timed(const struct contender *c, size_t calls)
{
    double begin = now_us();
    for (size_t i = 0; i < calls; i++) c->run(c->state);
    return now_us() - begin;
}

/* Warms up, chooses the batch, and returns how long a batch takes. */
static double calibrate(struct contender *c)
{
    run_timed(c, WARM_CALLS);
    size_t calls = 1;
    double us = run_timed(c, calls);
    while (us < batch_below_us) {
        calls *= 2;
        us = run_timed(c, calls);
    }
    double call_us = us / (double)calls;
    c->batch = call_us < batch_below_us ? (size_t)(batch_us / call_us) + 1 : 1;
    return call_us * (double)c->batch;
}

/* Brings back the caches that the others used, and wakes its own threads. One call is not enough: what it
 * brings back of a tensor of some MB, L3 may drop before the next. */
static void revive(const struct contender *c, bool threads)
{
    double end = now_us() + (threads ? spread_us : 0);
    do run_timed(c, WARM_CALLS);
    while (now_us() < end);
}

static size_t samples_wanted(double seconds, double longest_us)
{
    double wanted = seconds * 1e6 / longest_us;
    return wanted < SAMPLES_MIN ? SAMPLES_MIN : wanted > SAMPLES_MAX ? SAMPLES_MAX : (size_t)wanted;
}

/* Turn by turn, all of them. */
static void turns_run(struct contender *contenders, size_t count, size_t samples, bool threads)
{
    for (size_t s = 0; s < samples; s++)
        for (struct contender *c = contenders; c < contenders + count; c++) {
            if (threads) settle();
            revive(c, threads);
            c->samples[s] = run_timed(c, c->batch) / (double)c->batch;
        }
}

double contenders_race(struct contender *contenders, size_t count, double seconds, bool threads)
{
    double longest = 0;
    for (size_t i = 0; i < count; i++) {
        double us = calibrate(&contenders[i]);
        longest = us > longest ? us : longest;
    }
    size_t samples = samples_wanted(seconds, longest + (threads ? SETTLE_USUAL_US + spread_us : 0));
    for (size_t i = 0; i < count; i++) contenders[i].samples = fill_memory(samples * sizeof(double));
    double begin = now_us(), used = clock_us(CLOCK_PROCESS_CPUTIME_ID);
    turns_run(contenders, count, samples, threads);
    double share = (clock_us(CLOCK_PROCESS_CPUTIME_ID) - used) / (now_us() - begin);
    for (size_t i = 0; i < count; i++) {
        contenders[i].us = quantile(contenders[i].samples, samples, 0.5);
        free(contenders[i].samples);
        contenders[i].samples = NULL;
    }
    return threads || share > 1 ? 1 : share;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void pin_to_one_core(void)
{
    cpu_set_t one;
    int core = sched_getcpu();
    CPU_ZERO(&one);
    if (core >= 0 && core < CPU_SETSIZE) CPU_SET(core, &one);
    sched_setaffinity(0, sizeof one, &one);
}

double quantile(double *values, size_t count, double p)
{
    if (!count) return 0;
    qsort(values, count, sizeof *values, compare_doubles);
    return values[(size_t)(p * (double)(count - 1) + 0.5)];
}
