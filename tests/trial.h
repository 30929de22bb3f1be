/* trial: one call of the library with what it needs, repeated while each of the calls within it fails that
 * tests/failing.c can make fail: alone, then with all that follow. */
#ifndef KILN_TESTS_TRIAL_H
#define KILN_TESTS_TRIAL_H

#include <stdio.h>

#include "failing.h"
#include "kiln.h"

/* With scratch, a bias, and enough work for two shares. */
#define CONV "conv n1 ic16 ih17 iw17 oc16 kh3 kw3 ph1 pw1 f32 nhwc +bias"
#define SCHEDULE "winograd"
enum { FLOATS = 17 * 17 * 16, PACKED = 1 << 16, CONVS = 4, FILL = 0x5a };

/* What calls write to; all FILL before each. */
struct outputs {
    struct kiln *k;
    struct kiln_plan *plan;
    struct kiln_tuned tuned;
    uint64_t removed;
    float value, dst[FLOATS];
};

struct trial;

/* One call with what it needs, on a thread of its own: so that what is kept for a thread is made anew. */
struct scene {
    const struct trial *trial;
    struct kiln *k;
    struct kiln_conv conv;
    struct kiln_plan *ready, *plans[CONVS];
    struct kiln_args args;
    struct outputs out;
    struct kiln_error error;
    uint64_t said;    /* a hash of what sinks were told; 0: nothing */
    char wrong[1024]; /* the first thing that was */
};

struct trial {
    struct kiln_config config;
    void (*prepare)(struct scene *s);
    enum kiln_status (*call)(struct scene *s);
    void (*check)(struct scene *s); /* what a call that worked has left, which it gives back */
    long least;                     /* calls that can fail: half of what there were, or they are not met */
    bool bare;                      /* without a context */
};

#define NEED(condition, ...) \
    if (!(condition) && !s->wrong[0]) snprintf(s->wrong, sizeof s->wrong, __VA_ARGS__)
#define WORKS(call) NEED((call) == KILN_STATUS_OK, "%s: %.500s", #call, s->error.text)

/* A folder of its own, in which a test runs. */
void trial_enter(void);
void trial_leave(void);

/* A context as the trial's configuration says, with a cache on disk that nothing is in if s->k is NULL, else
 * with that of the last. */
enum kiln_status context_make(struct scene *s, struct kiln **k);

void scene_open(struct scene *s, const struct trial *trial);
void scene_close(struct scene *s);

/* Asserts that nothing of ours is called that can fail. */
void trial_unfailing(const struct trial *trial);

/* The call as it is, then with every call within it failing. Asserts what the tests of memory promise. */
void trial_run(const struct trial *trial);

#define TRY(...) trial_run(&(const struct trial){__VA_ARGS__})

#endif
