/* Bytes as numbers: each chooses one extent, post-op or knob of a small convolution and its schedule,
 * for one algorithm and one of this machine's levels; what passes the checks must compute what the
 * oracle does. Any bytes are some convolution, and near bytes near ones. */
#include "fuzz.h"

#include "conv.h"

/* What is left of the input; behind its end there are zeros. */
struct input {
    const uint8_t *at, *end;
};

/* A number in [lo, hi]. */
static int64_t take(struct input *in, int64_t lo, int64_t hi)
{
    int64_t v = in->at < in->end ? *in->at++ : 0;
    return lo + v % (hi - lo + 1);
}

/* Mostly 1, so that convolutions are not all large. */
static int64_t take_rarely(struct input *in, int64_t hi)
{
    int64_t v = take(in, 1, 3 * hi);
    return v <= hi ? v : 1;
}

/* Kernels of 3 and 5 are what most algorithms of their own are for. */
static struct axis take_axis(struct input *in)
{
    static const int64_t kernels[] = {1, 2, 3, 3, 3, 4, 5, 5, 6, 7};
    struct axis a = {.in = take(in, 1, 40)};
    a.kernel = kernels[take(in, 0, sizeof kernels / sizeof *kernels - 1)];
    a.stride = take_rarely(in, 4);
    a.dilation = take_rarely(in, 3);
    a.low = take(in, 0, 4);
    a.high = take(in, 0, 4);
    return a;
}

static void take_posts(struct input *in, struct kiln_conv *c)
{
    static const struct kiln_post posts[] = {
        {KILN_POST_BIAS, 0, 0}, {KILN_POST_ADD, 0, 0}, {KILN_POST_RELU, 0, 0}, {KILN_POST_CLIP, -9, 17}};
    for (int left = (int)take(in, 0, 3); left > 0; left--) {
        const struct kiln_post *post = &posts[take(in, 0, 3)];
        if (post->kind == KILN_POST_CLIP || !conv_has(c, post->kind)) c->post[c->post_count++] = *post;
    }
}

static struct kiln_conv take_conv(struct input *in)
{
    struct kiln_conv c;
    conv_init(&c);
    c.g = take_rarely(in, 5);
    c.n = take_rarely(in, 3);
    c.ic = c.g * take(in, 1, 20);
    c.oc = c.g * take(in, 1, 40);
    c.layout = (enum kiln_layout)take(in, 0, 1);
    c.accuracy = (enum kiln_accuracy)take(in, 0, 2);
    if (take(in, 0, 3) == 0) c.g = c.ic, c.oc = c.ic * take_rarely(in, 4); /* depthwise */
    conv_set_axis(&c, 2, take_axis(in));
    if (take(in, 0, 3)) conv_set_axis(&c, 1, take_axis(in));
    take_posts(in, &c);
    return c;
}

static void take_knobs(struct input *in, struct plan *p)
{
    for (const struct knob *knob = plan_knobs; knob < plan_knobs + plan_knob_count; knob++) {
        int64_t *v = (int64_t *)((char *)p + knob->offset), hi = knob->hi < 32 ? knob->hi : 32;
        if (take(in, 0, 2) == 0) *v = take(in, knob->lo, hi);
    }
}

/* One of the algorithms that apply; NULL: there is none. */
static const struct contender *take_contender(struct input *in, const struct choice *choice)
{
    const struct contender *all[MAX_ALGOS];
    int count = 0;
    for (int i = 0; i < algo_count; i++)
        if (choice->contenders[i].has_best) all[count++] = &choice->contenders[i];
    return count ? all[take(in, 0, count - 1)] : NULL;
}

/* An algorithm's best schedule, with other knobs if that makes a plan; false: there is none. */
static bool take_plan(struct input *in, struct plan *p)
{
    struct choice choice;
    if (planner_choose(p, &(struct limits){.fmas = 400}, &choice, NULL)) return false;
    const struct contender *c = take_contender(in, &choice);
    if (!c) return false;
    struct plan best = c->best;
    struct cost cost;
    for (int tries = 0; tries < 8; tries++) {
        *p = best;
        char text[KILN_TEXT_MAX];
        take_knobs(in, p);
        plan_print_schedule(p, text, sizeof text); /* knobs that the algorithm has not are left out */
        *p = best;
        if (!plan_parse(p, text, NULL) && !plan_check(p, &cost, NULL)) return true;
    }
    *p = best;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct input in = {bytes, bytes + count};
    struct plan p = {.cpu = fuzz_cpu((unsigned)take(&in, 0, 2)), .conv = take_conv(&in)};
    if (conv_check(&p.conv, NULL) || !fuzz_cheap(&p.conv)) return 0;
    if (take_plan(&in, &p)) fuzz_compute(&p);
    return 0;
}
