/* What check and bench stand on: the data, the oracle's answers, and that a wrong output is found. */
#include "cli/fill.c"
#include "cli/reference.c"

#include <criterion/criterion.h>
#include <stdarg.h>

/* What went wrong last. */
static struct kiln_error error;

/* Only for memory that must be had. */
int complain(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    return EXIT_USAGE;
}

static struct kiln_conv conv_of(const char *text)
{
    struct kiln_conv c;
    cr_assert(kiln_conv_parse(&c, text, &error) == KILN_STATUS_OK, "%s", error.text);
    return c;
}

/* The oracle itself is the kernel. */
static void run(const struct reference *r, const struct kiln_conv *c)
{
    cr_assert(kiln_interpret(c, r->data.weights, &r->data.args, NULL) == KILN_STATUS_OK);
}

/* ---- data ---- */

Test(fill, integers_are_within_their_limit_and_take_all_values)
{
    float x[1000];
    int seen[7] = {0};
    fill_integers(x, 1000, 3, 1);
    for (int i = 0; i < 1000; i++) {
        cr_assert(x[i] >= -3 && x[i] <= 3 && x[i] == truncf(x[i]));
        seen[(int)x[i] + 3]++;
    }
    for (int i = 0; i < 7; i++) cr_assert_gt(seen[i], 50);
}

Test(fill, normal_is_normal)
{
    enum { COUNT = 100001 }; /* odd: the last has no partner */
    static float x[COUNT];
    double sum = 0, squares = 0, fourth = 0;
    fill_normal(x, COUNT, 7);
    for (int i = 0; i < COUNT; i++) {
        double square = (double)x[i] * x[i];
        sum += x[i], squares += square, fourth += square * square;
    }
    cr_assert_float_eq(sum / COUNT, 0, 0.02);
    cr_assert_float_eq(squares / COUNT, 1, 0.02);
    cr_assert_float_eq(fourth / COUNT, 3, 0.2);
}

/* The largest sum that the data could make, all signs alike, stays where f32 counts exactly. */
Test(fill, exact_sums_stay_exact)
{
    static const char *const convs[] = {
        "conv ic1 iw1 oc1 kw1 f32 nhwc",
        "conv ic512 ih7 iw7 oc8 kh3 kw3 ph1 pw1 f32 nhwc +bias",
        "conv ic2560 ih5 iw5 oc8 kh5 kw5 ph1 pw1 f32 nhwc +bias +scale +add +relu +clip(-100,1000)",
        "conv ic1000000 iw1 oc1 kw1 f32 nhwc +scale",
    };
    for (size_t i = 0; i < sizeof convs / sizeof *convs; i++) {
        struct kiln_conv c = conv_of(convs[i]);
        struct data data;
        cr_assert(fill_exact(&c) && data_make(&data, &c, FILL_INTEGERS, &error));
        double x = 0, w = 0;
        for (size_t j = 0; j < data.src_count; j++)
            x = fmax(x, fabs((double)((const float *)data.args.src)[j]));
        for (size_t j = 0; j < data.weights_count; j++) w = fmax(w, fabs((double)data.weights[j]));
        cr_assert(x >= 1 && w >= 1 && x * w * (double)conv_products(&c) <= EXACT_MAX, "%s", convs[i]);
        data_free(&data);
    }
}

Test(fill, what_can_be_exact)
{
    static const struct {
        const char *conv;
        bool exact;
    } cases[] = {
        {"conv ic4 iw4 oc4 kw1 f32 nhwc", true},
        {"conv ic4 iw4 oc4 kw1 f32 nhwc +bias +scale +add +relu +prelu", true},
        {"conv ic4 iw4 oc4 kw1 f32 nhwc +leaky(0.1)", true},
        {"conv ic4 iw4 oc4 kw1 f32 nhwc +leaky(0.1) +bias", false},
        {"conv ic4 iw4 oc4 kw1 f32 nhwc +leaky(2) +bias", true},
        {"conv ic4 iw4 oc4 kw1 f32 nhwc +clip(0,6) +bias", true},
        {"conv ic4 iw4 oc4 kw1 f32 nhwc +clip(0,0.1) +bias", false},
        {"conv ic4 iw4 oc4 kw1 f32 nhwc +sigmoid", false},
        {"conv ic4 iw4 oc4 kw1 f32 nhwc +hardswish", false},
        {"conv ic20000000 iw1 oc1 kw1 f32 nhwc", false},
        {"conv ic4 iw4 oc4 kw1 f32 nhwc +leaky(100000000)", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct kiln_conv c = conv_of(cases[i].conv);
        cr_expect_eq(fill_exact(&c), cases[i].exact, "%s", cases[i].conv);
    }
}

Test(fill, the_same_every_time_and_only_what_is_needed)
{
    struct kiln_conv c = conv_of("conv ic3 iw9 oc5 kw3 f32 nhwc +bias +add");
    struct data a, b;
    cr_assert(data_make(&a, &c, FILL_NORMAL, &error) && data_make(&b, &c, FILL_NORMAL, &error));
    cr_assert(memcmp(a.args.src, b.args.src, a.src_count * sizeof(float)) == 0);
    cr_assert(memcmp(a.weights, b.weights, a.weights_count * sizeof(float)) == 0);
    cr_assert(memcmp(a.args.src, a.weights, a.src_count * sizeof(float)) != 0, "tensors differ");
    cr_assert(a.args.bias && a.args.add && !a.args.scale && !a.args.prelu && !a.args.weights);
    cr_assert(isnan(a.dst[0]) && isnan(a.dst[a.dst_count - 1]));
    data_free(&a);
    data_free(&b);
    c = conv_of("conv ic3 iw9 oc5 kw3 s8s8s8 nhwc");
    cr_assert_not(data_make(&a, &c, FILL_NORMAL, &error));
    cr_assert(strstr(error.text, "f32"));
    cr_assert_eq(error.status, KILN_STATUS_UNSUPPORTED);
}

/* ---- finding what is wrong ---- */

static const char *const convs[] = {
    "conv n2 ic3 iw9 oc5 kw3 pw1 f32 nhwc +relu",
    "conv n2 ic3 ih4 iw5 oc4 kh3 kw2 f32 nchw +bias",
    "conv g2 ic4 id3 ih4 iw5 oc6 kd2 kh3 kw2 f32 nhwc",
    "conv n2 ic2 id3 ih4 iw3 oc3 kd2 kh2 kw2 pd1 f32 nchw",
    "conv ic8 ih200 iw200 oc8 kh3 kw3 ph1 pw1 f32 nhwc",
};

/* An error in any output is found, and found where it is. */
static void errors_are_found(const char *text, bool exact)
{
    struct kiln_conv c = conv_of(text);
    struct reference r;
    struct difference d;
    cr_assert(reference_make(&r, &c, exact, true, &error));
    cr_assert_eq(r.count, r.data.dst_count);
    cr_assert(reference_differs(&r, &c, &d), "nothing has been written yet");
    run(&r, &c);
    cr_assert_not(reference_differs(&r, &c, &d), "%s", text);
    uint64_t state = 3;
    for (int i = 0; i < 100; i++) {
        size_t wrong = random_next(&state) % r.data.dst_count;
        float right = r.data.dst[wrong];
        r.data.dst[wrong] += exact ? 1 : (float)(1.5 * r.tolerance);
        cr_assert(reference_differs(&r, &c, &d), "%s", text);
        cr_assert(offset_of(&c, d.at) == wrong && d.want == right && d.got == r.data.dst[wrong], "%s", text);
        r.data.dst[wrong] = NAN;
        cr_assert(reference_differs(&r, &c, &d) && isnan(d.got), "%s", text);
        r.data.dst[wrong] = right;
    }
    reference_clear(&r);
    cr_assert(reference_differs(&r, &c, &d) && isnan(d.got));
    reference_free(&r);
}

Test(reference, errors_are_found)
{
    for (size_t i = 0; i < sizeof convs / sizeof *convs; i++)
        for (int exact = 0; exact < 2; exact++) errors_are_found(convs[i], exact);
}

Test(reference, an_error_within_the_bound_passes)
{
    struct kiln_conv c = conv_of("conv ic16 ih8 iw8 oc16 kh3 kw3 f32 nhwc");
    struct reference r;
    struct difference d;
    cr_assert(reference_make(&r, &c, false, false, &error));
    cr_assert_float_eq(r.tolerance, 2e-5 * 12, 3e-5, "sums of 144 products have an RMS of 12");
    run(&r, &c);
    r.data.dst[5] += (float)(0.5 * r.tolerance);
    cr_assert_not(reference_differs(&r, &c, &d));
    double usual = r.tolerance;
    reference_free(&r);
    c.accuracy = KILN_ACCURACY_FAST;
    cr_assert(reference_make(&r, &c, false, false, &error));
    cr_assert_float_eq(r.tolerance, 5 * usual, 1e-9);
    reference_free(&r);
}

/* Few outputs, and those that post-ops make small, are measured by what sums of so many products come to. */
Test(reference, errors_are_measured_by_what_chance_does_not_decide)
{
    static const struct {
        const char *conv;
        double least, most; /* of the scale */
    } rows[] = {
        {"conv ic16 iw1 oc4 kw1 f32 nhwc", 4, 12},                     /* four outputs of 16 products */
        {"conv ic4 ih1 iw1 oc4 kh3 kw3 ph1 pw1 f32 nhwc", 2, 8},       /* of 9 taps, one is inside */
        {"conv ic25 ih20 iw20 oc16 kh1 kw1 f32 nhwc", 4, 6},           /* as they are: 5 */
        {"conv ic25 ih20 iw20 oc16 kh1 kw1 f32 nhwc +relu", 2.8, 4.2}, /* half of them 0 */
        {"conv ic25 ih20 iw20 oc16 kh1 kw1 f32 nhwc +clip(-0.1,0.1)", 5, 5.1}, /* as if not clipped */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct kiln_conv c = conv_of(rows[i].conv);
        struct reference r;
        cr_assert(reference_make(&r, &c, false, false, &error));
        cr_expect(r.scale >= rows[i].least && r.scale <= rows[i].most, "%s: %g", rows[i].conv, r.scale);
        cr_expect_float_eq(r.tolerance, r.bound * r.scale, 1e-12);
        reference_free(&r);
    }
}

Test(reference, errors_are_measured)
{
    struct kiln_conv c = conv_of("conv ic4 ih20 iw20 oc16 kh1 kw1 f32 nhwc");
    struct reference r;
    cr_assert(reference_make(&r, &c, false, false, &error));
    run(&r, &c);
    struct errors e = reference_errors(&r);
    cr_expect(e.max == 0 && e.mean == 0);
    r.data.dst[7] += (float)(0.5 * r.scale);
    r.data.dst[9] -= (float)(0.25 * r.scale);
    e = reference_errors(&r);
    cr_expect_float_eq(e.max, 0.5, 1e-6);
    cr_expect_float_eq(e.mean, 0.75 / (double)r.count, 1e-9);
    r.data.dst[3] = NAN;
    e = reference_errors(&r);
    cr_expect(isinf(e.max) && isinf(e.mean));
    reference_free(&r);
}

/* A sample has every output at the ends of the spatial dimensions, and others anywhere. */
static void sample_is_good(const char *text)
{
    struct kiln_conv c = conv_of(text);
    struct reference r = {0};
    cr_assert(data_make(&r.data, &c, FILL_INTEGERS, &error));
    cr_assert(sample_choose(&r, &c, &error));
    int64_t extent[5], at[5], ends = 0;
    int64_t low[5] = {0}, high[5] = {0};
    extents_of(&c, extent);
    for (size_t i = 0; i < r.count; i++) {
        cr_assert_lt(r.where[i], r.data.dst_count);
        if (i && r.where[i] == r.where[i - 1]) continue;
        position_of(&c, r.where[i], at);
        for (int j = 0; j < 5; j++) low[j] += at[j] == 0, high[j] += at[j] == extent[j] - 1;
    }
    for (int j = 2; j < 5; j++) {
        if (extent[j] == 1) continue;
        ends = (int64_t)r.data.dst_count / extent[j];
        cr_assert(low[j] >= ends && high[j] >= ends, "%s: dimension %d: not the whole border", text, j);
    }
    cr_assert_geq(r.count, (size_t)ends + 20000);
    reference_free(&r);
}

Test(reference, samples)
{
    sample_is_good("conv n2 ic1 ih300 iw300 oc16 kh3 kw3 ph1 pw1 f32 nhwc");
    sample_is_good("conv n2 ic1 ih300 iw300 oc16 kh3 kw3 ph1 pw1 f32 nchw");
    sample_is_good("conv ic1 iw300000 oc4 kw5 pl4 f32 nhwc");
    sample_is_good("conv ic1 id40 ih50 iw60 oc4 kd3 kh3 kw3 pd1 f32 nchw");
}

Test(reference, unwritten_outputs_outside_the_sample_are_found)
{
    struct kiln_conv c = conv_of("conv ic1024 ih96 iw96 oc128 kh1 kw1 f32 nhwc");
    struct reference r;
    struct difference d;
    cr_assert(reference_make(&r, &c, true, false, &error));
    cr_assert_lt(r.count, r.data.dst_count, "it is sampled");
    for (size_t i = 0; i < r.data.dst_count; i++) r.data.dst[i] = 0;
    for (size_t i = 0; i < r.count; i++) r.data.dst[r.where[i]] = r.want[i];
    cr_assert_not(reference_differs(&r, &c, &d));
    size_t unseen = 0;
    while (r.data.dst[unseen] != 0) unseen++;
    r.data.dst[unseen] = NAN;
    cr_assert(reference_differs(&r, &c, &d));
    cr_assert_eq(offset_of(&c, d.at), unseen);
    reference_free(&r);
}
