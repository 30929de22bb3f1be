/* Laws that every convolution obeys, which need no oracle: what one compiled kernel computes is compared
 * with what others do, or with itself, on small integers: exactly, or where an algorithm is not exact on
 * them within the errors that it may make. An error that the oracle shared, in what an index means, would
 * show here. */
#include <criterion/criterion.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "conv.h"
#include "harness.h"
#include "interp.h" /* where elements lie: nothing is computed by it */
#include "run.h"

enum { BUDGET = 800, SMALL = 5 };

static const char *const convs[] = {
    "conv ic5 ih6 iw7 oc5 kh3 kw3 ph1 pw1 nhwc",
    "conv ic18 ih5 iw9 oc18 kh3 kw2 nchw",
    "conv n2 ic8 ih7 iw7 oc8 kh3 kw3 sh2 sw2 ph1 pw1 nhwc",
    "conv n2 ic4 ih9 iw8 oc4 kh2 kw3 sh2 sw3 pt1 pr2 nchw",
    "conv ic6 ih8 iw10 oc6 kh3 kw3 dh2 dw3 ph2 pw3 nhwc",
    "conv n3 ic17 ih3 iw5 oc17 kh1 kw1 nhwc",
    "conv n3 ic9 ih3 iw5 oc9 kh1 kw1 nchw",
    "conv ic3 iw40 oc3 kw5 dw2 pw4 nhwc",
    "conv g3 ic6 ih6 iw6 oc12 kh3 kw3 ph1 pw1 nhwc",
    "conv g4 ic8 ih6 iw6 oc8 kh3 kw3 ph1 pw1 nchw",
    "conv g20 ic20 ih6 iw7 oc20 kh3 kw3 ph1 pw1 nhwc",
    "conv g6 ic6 ih6 iw19 oc6 kh3 kw3 ph1 pw1 nchw",
    "conv g6 ic6 ih9 iw9 oc12 kh3 kw3 sh2 sw2 ph1 pw1 nhwc",
    "conv ic7 ih4 iw4 oc33 kh5 kw5 ph4 pw4 nchw",
    "conv n2 ic19 ih13 iw14 oc35 kh3 kw3 ph1 pw1 nhwc",
    "conv g2 ic10 ih11 iw9 oc36 kh3 kw3 nchw",
    "conv ic6 iw31 oc20 kw3 pw1 nhwc",
    "conv g8 ic32 ih6 iw7 oc32 kh3 kw3 ph1 pw1 nhwc",
    "conv n2 ic9 ih15 iw16 oc20 kh3 kw3 ph1 pw1 fast nhwc",
    "conv ic12 ih9 iw31 oc7 kh3 kw3 pw1 fast nchw",
};

/* Asked for where the accuracy is fast and it fits: planners hardly ever choose it for so little. */
static const char most_products[] = "winograd m=6 ow=2 block=4 step=2";

/* ---- computing ---- */

/* Convolutions of one schedule, if not NULL, where it fits; of one algorithm, where it applies: else of the
 * planner's choice. */
struct way {
    const char *schedule;
    const struct algo *algo;
    struct cpu cpu;
};

/* One convolution with its data; everything but out may be changed before law_run, which sets error: the
 * largest of one output, in what the laws make of outputs (linear: 3 of one and 2 of another). */
struct law {
    struct kiln_conv conv;
    const struct way *way;
    float *src, *weights, *out;
    double error;
};

static float *tensor(int64_t count, struct random *r)
{
    float *v = malloc((size_t)count * sizeof *v);
    cr_assert(v);
    for (int64_t i = 0; i < count; i++) v[i] = r ? (float)random_in(r, -SMALL, SMALL) : 0;
    return v;
}

static struct law law_new(const struct kiln_conv *conv, const struct way *way, struct random *r)
{
    struct kiln_error error;
    cr_assert_eq(conv_check(conv, &error), KILN_STATUS_OK, "%s", error.text);
    return (struct law){.conv = *conv,
                        .way = way,
                        .src = tensor(conv_src_count(conv), r),
                        .weights = tensor(conv_weights_count(conv), r),
                        .out = tensor(conv_dst_count(conv), NULL)};
}

static void law_free(struct law *l) { free(l->src), free(l->weights), free(l->out); }

static const struct contender *contender_of(const struct way *way, const struct choice *choice)
{
    for (int i = 0; i < algo_count; i++)
        if (choice->contenders[i].algo == way->algo && choice->contenders[i].has_best)
            return &choice->contenders[i];
    return &choice->contenders[choice->winner];
}

static struct kernel *kernel_of(const struct law *l)
{
    struct plan p = {.conv = l->conv, .cpu = l->way->cpu};
    struct choice choice;
    struct kernel *kernel;
    struct kiln_error error;
    cr_assert_eq(planner_choose(&p, &(struct limits){.fmas = BUDGET}, &choice, &error), KILN_STATUS_OK, "%s",
                 error.text);
    if (!l->way->schedule || plan_parse(&p, l->way->schedule, NULL)) p = contender_of(l->way, &choice)->best;
    cr_assert_eq(plan_compile(&p, &kernel, &error), KILN_STATUS_OK, "%s", error.text);
    return kernel;
}

static void *aligned(size_t bytes)
{
    void *p = aligned_alloc(IMAGE_CODE_ALIGN, (bytes / IMAGE_CODE_ALIGN + 1) * IMAGE_CODE_ALIGN);
    cr_assert(p);
    return p;
}

/* What a kernel that is not exact on integers may err by: 2e-5, or 1e-4, of the RMS of sums, for src of up
 * to 5 times SMALL, as linearity has it. */
static double error_most(const struct kiln_conv *c)
{
    double square = SMALL * (SMALL + 1) / 3.0, products = (double)(c->ic / c->g * c->kh * c->kw);
    double bound = c->accuracy == KILN_ACCURACY_FAST ? 1e-4 : 2e-5;
    return bound * 5 * square * sqrt(products);
}

/* out = conv(src, weights): all tasks at once, or one by one in a random order. */
static void law_run(struct law *l, struct random *order)
{
    struct kernel *k = kernel_of(l);
    void *packed = aligned(k->packed_bytes), *scratch = aligned(k->scratch_bytes);
    struct kiln_args args = {.src = l->src, .weights = packed, .dst = l->out};
    size_t *tasks = aligned(k->tasks * sizeof *tasks);
    l->error = k->exact ? 0 : error_most(&l->conv);
    k->pack(l->weights, packed);
    for (size_t i = 0; i < k->tasks; i++) {
        size_t j = order ? (size_t)random_in(order, 0, (int64_t)i) : i;
        tasks[i] = tasks[j], tasks[j] = i;
    }
    if (!order) k->run(&args, 0, k->tasks, scratch);
    for (size_t i = 0; order && i < k->tasks; i++) k->run(&args, tasks[i], tasks[i] + 1, scratch);
    free(packed), free(scratch), free(tasks);
    kernel_release(k);
}

/* ---- elements ---- */

static int64_t src_at(const struct kiln_conv *c, int64_t n, int64_t ic, int64_t h, int64_t w)
{
    return interp_src_offset(c, n, ic, (const int64_t[]){0, h, w});
}

static int64_t out_at(const struct kiln_conv *c, int64_t n, int64_t oc, int64_t h, int64_t w)
{
    return interp_dst_offset(c, n, oc, (const int64_t[]){0, h, w});
}

static int64_t weight_at(const struct kiln_conv *c, int64_t oc, int64_t ic, int64_t kh, int64_t kw)
{
    return ((oc * (c->ic / c->g) + ic) * c->kh + kh) * c->kw + kw;
}

#define EACH_SRC(c)                               \
    for (int64_t n = 0; n < (c)->n; n++)          \
        for (int64_t i = 0; i < (c)->ic; i++)     \
            for (int64_t h = 0; h < (c)->ih; h++) \
                for (int64_t w = 0; w < (c)->iw; w++)
#define EACH_OUT(c)                                  \
    for (int64_t n = 0; n < (c)->n; n++)             \
        for (int64_t o = 0; o < (c)->oc; o++)        \
            for (int64_t h = 0; h < conv_oh(c); h++) \
                for (int64_t w = 0; w < conv_ow(c); w++)
#define EACH_WEIGHT(c)                                 \
    for (int64_t o = 0; o < (c)->oc; o++)              \
        for (int64_t i = 0; i < (c)->ic / (c)->g; i++) \
            for (int64_t h = 0; h < (c)->kh; h++)      \
                for (int64_t w = 0; w < (c)->kw; w++)

/* By value: a zero may have either sign. `error`: of both together. */
static void expect_near(float got, float want, double error)
{
    cr_assert(fabs((double)got - (double)want) <= error, "an element is %g, not %g within %g", (double)got,
              (double)want, error);
}

static void expect_same(const float *got, const float *want, int64_t count, double error)
{
    for (int64_t i = 0; i < count; i++) expect_near(got[i], want[i], error);
}

/* ---- the laws: each is given a conv with random data that has been run ---- */

static void linear(struct law *l, struct random *r)
{
    struct law a = law_new(&l->conv, l->way, r), b = law_new(&l->conv, l->way, NULL);
    memcpy(a.weights, l->weights, (size_t)conv_weights_count(&l->conv) * sizeof(float));
    memcpy(b.weights, l->weights, (size_t)conv_weights_count(&l->conv) * sizeof(float));
    for (int64_t i = 0; i < conv_src_count(&l->conv); i++) b.src[i] = 3 * l->src[i] - 2 * a.src[i];
    law_run(&a, NULL);
    law_run(&b, NULL);
    for (int64_t i = 0; i < conv_dst_count(&l->conv); i++)
        expect_near(b.out[i], 3 * l->out[i] - 2 * a.out[i], b.error + 3 * l->error + 2 * a.error);
    law_free(&a), law_free(&b);
}

/* A one at one tap copies the input, or zeros where that tap lies outside. */
static void impulse(struct law *l, struct random *r)
{
    const struct kiln_conv *c = &l->conv;
    struct law one = law_new(c, l->way, r);
    int64_t kh = random_in(r, 0, c->kh - 1), kw = random_in(r, 0, c->kw - 1), m = c->oc / c->g,
            from = c->ic / c->g;
    memset(one.weights, 0, (size_t)conv_weights_count(c) * sizeof(float));
    for (int64_t o = 0; o < c->oc; o++) one.weights[weight_at(c, o, o % m % from, kh, kw)] = 1;
    law_run(&one, NULL);
    EACH_OUT(c)
    {
        int64_t ih = h * c->sh - c->pt + kh * c->dh, iw = w * c->sw - c->pl + kw * c->dw;
        bool inside = ih >= 0 && ih < c->ih && iw >= 0 && iw < c->iw;
        float want = inside ? one.src[src_at(c, n, o / m * from + o % m % from, ih, iw)] : 0;
        expect_near(one.out[out_at(c, n, o, h, w)], want, one.error);
    }
    law_free(&one);
}

/* Columns moved by a stride move the output by one column. */
static void shift(struct law *l, struct random *r)
{
    const struct kiln_conv *c = &l->conv;
    struct law here = law_new(c, l->way, r), moved = law_new(c, l->way, NULL);
    memcpy(moved.weights, here.weights, (size_t)conv_weights_count(c) * sizeof(float));
    EACH_SRC(c)
    {
        if (w >= c->iw - c->sw) here.src[src_at(c, n, i, h, w)] = 0; /* what would leave on the right */
        if (w >= c->sw) moved.src[src_at(c, n, i, h, w)] = here.src[src_at(c, n, i, h, w - c->sw)];
    }
    law_run(&here, NULL);
    law_run(&moved, NULL);
    EACH_OUT(c)
    {
        if (w > 0)
            expect_near(moved.out[out_at(c, n, o, h, w)], here.out[out_at(c, n, o, h, w - 1)],
                        here.error + moved.error);
    }
    law_free(&here), law_free(&moved);
}

/* Output channels go where their weights go; input channels and their weights may change places. */
static void permute(struct law *l, struct random *r)
{
    const struct kiln_conv *c = &l->conv;
    struct law p = law_new(c, l->way, r);
    int64_t icg = c->ic / c->g, ocg = c->oc / c->g, a = random_in(r, 0, ocg - 1),
            b = random_in(r, 0, icg - 1);
    EACH_WEIGHT(c)
    {
        int64_t to = o / ocg * ocg + (o + a) % ocg;
        p.weights[weight_at(c, to, (i + b) % icg, h, w)] = l->weights[weight_at(c, o, i, h, w)];
    }
    EACH_SRC(c) { p.src[src_at(c, n, i / icg * icg + (i + b) % icg, h, w)] = l->src[src_at(c, n, i, h, w)]; }
    law_run(&p, NULL);
    EACH_OUT(c)
    {
        int64_t to = o / ocg * ocg + (o + a) % ocg;
        expect_near(p.out[out_at(c, n, to, h, w)], l->out[out_at(c, n, o, h, w)], p.error + l->error);
    }
    law_free(&p);
}

/* Groups are a dense convolution whose weights are zero between groups. */
static void block_diagonal(struct law *l, struct random *r)
{
    const struct kiln_conv *c = &l->conv;
    struct kiln_conv dense = *c;
    int64_t icg = c->ic / c->g, ocg = c->oc / c->g;
    (void)r;
    dense.g = 1;
    struct law d = law_new(&dense, l->way, NULL);
    memcpy(d.src, l->src, (size_t)conv_src_count(c) * sizeof(float));
    EACH_WEIGHT(c)
    {
        d.weights[weight_at(&dense, o, o / ocg * icg + i, h, w)] = l->weights[weight_at(c, o, i, h, w)];
    }
    law_run(&d, NULL);
    expect_same(d.out, l->out, conv_dst_count(c), d.error + l->error);
    law_free(&d);
}

/* A stride picks from the outputs of stride 1. */
static void subsampled(struct law *l, struct random *r)
{
    const struct kiln_conv *c = &l->conv;
    struct kiln_conv each = *c;
    (void)r;
    each.sh = each.sw = 1;
    struct law e = law_new(&each, l->way, NULL);
    memcpy(e.src, l->src, (size_t)conv_src_count(c) * sizeof(float));
    memcpy(e.weights, l->weights, (size_t)conv_weights_count(c) * sizeof(float));
    law_run(&e, NULL);
    EACH_OUT(c)
    {
        expect_near(l->out[out_at(c, n, o, h, w)], e.out[out_at(&each, n, o, h * c->sh, w * c->sw)],
                    e.error + l->error);
    }
    law_free(&e);
}

/* Dilation is a larger kernel with zeros between its taps. */
static void dilated(struct law *l, struct random *r)
{
    const struct kiln_conv *c = &l->conv;
    struct kiln_conv full = *c;
    (void)r;
    full.kh = (c->kh - 1) * c->dh + 1, full.kw = (c->kw - 1) * c->dw + 1, full.dh = full.dw = 1;
    struct law f = law_new(&full, l->way, NULL);
    memcpy(f.src, l->src, (size_t)conv_src_count(c) * sizeof(float));
    EACH_WEIGHT(c)
    {
        f.weights[weight_at(&full, o, i, h * c->dh, w * c->dw)] = l->weights[weight_at(c, o, i, h, w)];
    }
    law_run(&f, NULL);
    expect_same(f.out, l->out, conv_dst_count(c), f.error + l->error);
    law_free(&f);
}

/* Padding is an image with a border of zeros. */
static void bordered(struct law *l, struct random *r)
{
    const struct kiln_conv *c = &l->conv;
    struct kiln_conv large = *c;
    (void)r;
    large.ih += c->pt + c->pb, large.iw += c->pl + c->pr;
    large.pt = large.pb = large.pl = large.pr = 0;
    struct law b = law_new(&large, l->way, NULL);
    memcpy(b.weights, l->weights, (size_t)conv_weights_count(c) * sizeof(float));
    EACH_SRC(c) { b.src[src_at(&large, n, i, h + c->pt, w + c->pl)] = l->src[src_at(c, n, i, h, w)]; }
    law_run(&b, NULL);
    expect_same(b.out, l->out, conv_dst_count(c), b.error + l->error);
    law_free(&b);
}

static void transposed(struct law *l, struct random *r)
{
    const struct kiln_conv *c = &l->conv;
    struct kiln_conv other = *c;
    (void)r;
    other.layout = c->layout == KILN_LAYOUT_NHWC ? KILN_LAYOUT_NCHW : KILN_LAYOUT_NHWC;
    struct law t = law_new(&other, l->way, NULL);
    memcpy(t.weights, l->weights, (size_t)conv_weights_count(c) * sizeof(float));
    EACH_SRC(c) { t.src[src_at(&other, n, i, h, w)] = l->src[src_at(c, n, i, h, w)]; }
    law_run(&t, NULL);
    EACH_OUT(c)
    {
        expect_near(t.out[out_at(&other, n, o, h, w)], l->out[out_at(c, n, o, h, w)], t.error + l->error);
    }
    law_free(&t);
}

/* Images of a batch know nothing of each other. */
static void batched(struct law *l, struct random *r)
{
    const struct kiln_conv *c = &l->conv;
    struct kiln_conv single = *c;
    (void)r;
    single.n = 1;
    struct law s = law_new(&single, l->way, NULL);
    memcpy(s.weights, l->weights, (size_t)conv_weights_count(c) * sizeof(float));
    for (int64_t n = 0; n < c->n; n++) {
        memcpy(s.src, l->src + n * conv_src_count(&single), (size_t)conv_src_count(&single) * sizeof(float));
        law_run(&s, NULL);
        expect_same(s.out, l->out + n * conv_dst_count(&single), conv_dst_count(&single), s.error + l->error);
    }
    law_free(&s);
}

/* The same bits, whatever the order. */
static void any_order(struct law *l, struct random *r)
{
    struct law o = law_new(&l->conv, l->way, NULL);
    memcpy(o.src, l->src, (size_t)conv_src_count(&l->conv) * sizeof(float));
    memcpy(o.weights, l->weights, (size_t)conv_weights_count(&l->conv) * sizeof(float));
    law_run(&o, r);
    expect_same(o.out, l->out, conv_dst_count(&l->conv), 0);
    law_free(&o);
}

/* The same bits, in however many shares. */
static void in_parts(struct law *l, struct random *r)
{
    struct pool *pool;
    struct kiln_plan *plan;
    struct kernel *kernel = kernel_of(l);
    void *packed = aligned(kernel->packed_bytes);
    struct law p = law_new(&l->conv, l->way, NULL);
    struct kiln_args args = {.src = l->src, .weights = packed, .dst = p.out};
    (void)r;
    kernel->pack(l->weights, packed);
    cr_assert_eq(pool_new(&pool, 1, NULL, NULL, NULL), KILN_STATUS_OK);
    cr_assert_eq(plan_new(&plan, kernel, &l->conv, pool, false, NULL), KILN_STATUS_OK);
    for (size_t nth = 2; nth <= 7; nth++) {
        for (int64_t i = 0; i < conv_dst_count(&l->conv); i++) p.out[i] = NAN;
        for (size_t ith = nth; ith-- > 0;)
            cr_assert_eq(kiln_run_part(plan, &args, NULL, ith, nth, NULL), KILN_STATUS_OK);
        cr_assert_arr_eq(p.out, l->out, (size_t)conv_dst_count(&l->conv) * sizeof(float));
    }
    kiln_plan_release(plan), pool_release(pool);
    law_free(&p), free(packed);
}

/* ---- all of them ---- */

typedef void law_rule(struct law *, struct random *);

static void obey_by(law_rule *rule, const char *text, const struct kiln_conv *conv, const struct way *way)
{
    struct random r = random_from(text);
    struct law l = law_new(conv, way, &r);
    law_run(&l, NULL);
    rule(&l, &r);
    law_free(&l);
}

/* By the planner's choice, by every algorithm whose results are not exact, and with as many products as are
 * allowed. */
static void obey_conv(law_rule *rule, const char *text, const struct cpu *cpu)
{
    struct plan p = {.cpu = *cpu};
    struct choice choice;
    cr_assert_eq(conv_parse(&p.conv, text, NULL), KILN_STATUS_OK);
    cr_assert_eq(planner_choose(&p, &(struct limits){.fmas = BUDGET}, &choice, NULL), KILN_STATUS_OK);
    for (int i = 0; i < algo_count; i++) {
        const struct contender *c = &choice.contenders[i];
        if (c->has_best && (i == choice.winner || !c->algo->exact))
            obey_by(rule, text, &p.conv, &(struct way){NULL, c->algo, *cpu});
    }
    if (p.conv.accuracy == KILN_ACCURACY_FAST)
        obey_by(rule, text, &p.conv, &(struct way){most_products, NULL, *cpu});
}

static void obey(law_rule *rule)
{
    static const char *const isas[] = {"avx512", "avx2", "sse2", "neon"};
    int machines = 0;
    for (size_t j = 0; j < sizeof isas / sizeof *isas; j++) {
        struct cpu cpu;
        if (!machine_capped(&cpu, isas[j])) continue;
        machines++;
        for (size_t i = 0; i < sizeof convs / sizeof *convs; i++) obey_conv(rule, convs[i], &cpu);
    }
    cr_expect_gt(machines, 0);
}

Test(laws, linearity) { obey(linear); }
Test(laws, impulse) { obey(impulse); }
Test(laws, shift) { obey(shift); }
Test(laws, permutation_of_channels) { obey(permute); }
Test(laws, groups_are_block_diagonal) { obey(block_diagonal); }
Test(laws, stride_is_subsampling) { obey(subsampled); }
Test(laws, dilation_is_zeros_between_taps) { obey(dilated); }
Test(laws, padding_is_a_border_of_zeros) { obey(bordered); }
Test(laws, layouts_are_transposed) { obey(transposed); }
Test(laws, batches_are_images) { obey(batched); }
Test(laws, tasks_in_any_order) { obey(any_order); }
Test(laws, tasks_in_shares) { obey(in_parts); }
