/* The oracle against cases computed by hand, and against a second way of computing: it lays the
 * padded input out in memory and scatters every element to the outputs that it reaches. */
#include "conv.h"
#include "interp.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- cases in lines of text ---- */

enum { COUNT_MAX = 64, LINE_MAX = 1024 };

struct tensor {
    const char *name;
    int count;
    float value[COUNT_MAX];
};

enum { X, W, BIAS, SCALE, ADD, PRELU, Y, TENSORS };

/* Reads " x 1 2 3" into the tensor of that name. */
static void tensor_read(struct tensor *tensors, char *text)
{
    char *rest, *word = strtok_r(text, " \n", &rest);
    int i = 0;
    while (i < TENSORS && strcmp(tensors[i].name, word) != 0) i++;
    cr_assert(i < TENSORS, "no tensor is named %s", word);
    while ((word = strtok_r(NULL, " \n", &rest))) {
        cr_assert(tensors[i].count < COUNT_MAX);
        tensors[i].value[tensors[i].count++] = strtof(word, NULL);
    }
}

static bool near(float got, float want)
{
    if (isnan(want)) return isnan(got);
    return got == want || fabs((double)got - want) <= 1e-6 * fmax(1, fabs((double)want));
}

static void case_run(char *line)
{
    struct tensor t[TENSORS] = {{"x"}, {"w"}, {"bias"}, {"scale"}, {"add"}, {"prelu"}, {"y"}};
    char *rest, *conv = strtok_r(line, ":", &rest), *part;
    while ((part = strtok_r(NULL, ":", &rest))) tensor_read(t, part);
    struct kiln_conv c;
    struct kiln_error error;
    cr_assert(conv_parse(&c, conv, &error) == KILN_STATUS_OK, "%s: %s", conv, error.text);
    cr_assert(t[X].count == conv_src_count(&c) && t[W].count == conv_weights_count(&c), "%s", conv);
    cr_assert(t[Y].count == conv_dst_count(&c), "%s has %d outputs", conv, (int)conv_dst_count(&c));
    float got[COUNT_MAX];
    struct kiln_args args = {.src = t[X].value,
                             .bias = t[BIAS].value,
                             .scale = t[SCALE].value,
                             .add = t[ADD].value,
                             .prelu = t[PRELU].value,
                             .dst = got};
    interp(&c, t[W].value, &args);
    for (int i = 0; i < t[Y].count; i++)
        cr_assert(near(got[i], t[Y].value[i]), "%s: output %d is %g, not %g", conv, i, got[i], t[Y].value[i]);
}

static int file_run(const char *path)
{
    FILE *file = fopen(path, "r");
    cr_assert(file, "%s", path);
    char line[LINE_MAX];
    int count = 0;
    while (fgets(line, sizeof line, file)) {
        if (*line == '#' || *line == '\n') continue;
        case_run(line);
        count++;
    }
    fclose(file);
    return count;
}

Test(interp, by_hand) { cr_assert_gt(file_run(SOURCE_DIR "/tests/cases/interp_hand.txt"), 30); }
Test(interp, post_ops) { cr_assert_gt(file_run(SOURCE_DIR "/tests/cases/interp_post.txt"), 15); }

/* ---- padding modes, one position at a time ---- */

/* Walks from 0 to `at`, one step each, and says where it stands: an independent way of saying what a
 * mode reads. */
static int64_t walk(enum kiln_mode mode, int64_t at, int64_t extent)
{
    int64_t here = 0, step = at < 0 ? -1 : 1, turn = step;
    for (int64_t i = 0; i != at; i += step) {
        bool leaves = here + turn < 0 || here + turn >= extent;
        if (leaves && mode == KILN_MODE_ZEROS) return -1;
        if (leaves && mode == KILN_MODE_REPLICATE) continue;
        if (leaves && mode == KILN_MODE_REFLECT) turn = -turn;
        here = (here + turn + extent) % extent;
    }
    return here;
}

Test(interp, index_of_every_mode)
{
    for (int64_t extent = 1; extent <= 7; extent++)
        for (int64_t at = -extent + 1; at < 2 * extent - 1; at++)
            for (enum kiln_mode mode = KILN_MODE_ZEROS; mode <= KILN_MODE_CIRCULAR; mode++)
                cr_assert_eq(interp_index(mode, at, extent), walk(mode, at, extent), "%s %lld of %lld",
                             mode_name(mode), (long long)at, (long long)extent);
    cr_assert_eq(interp_index(KILN_MODE_CIRCULAR, -4, 4), 0);
    cr_assert_eq(interp_index(KILN_MODE_CIRCULAR, 7, 4), 3);
    cr_assert_eq(interp_index(KILN_MODE_REPLICATE, -100, 4), 0);
    cr_assert_eq(interp_index(KILN_MODE_REPLICATE, 100, 4), 3);
}

/* ---- the second way: scatter ---- */

static uint64_t state = 1;

static int64_t pick(int64_t low, int64_t high)
{
    state = state * 6364136223846793005 + 1442695040888963407;
    return low + (int64_t)(state >> 33) % (high - low + 1);
}

static float *integers(int64_t count)
{
    float *x = malloc((size_t)count * sizeof *x);
    for (int64_t i = 0; i < count; i++) x[i] = (float)pick(-4, 4);
    return x;
}

/* A random small conv of 1 to 3 dimensions that passes conv_check. */
static struct kiln_conv conv_random(void)
{
    for (;;) {
        struct kiln_conv c;
        conv_init(&c);
        int64_t dims = pick(1, 3);
        c.n = pick(1, 2);
        c.g = pick(1, 3);
        c.ic = c.g * pick(1, 3);
        c.oc = c.g * pick(1, pick(0, 9) ? 3 : 70);
        c.iw = pick(1, pick(0, 4) ? 6 : 40), c.kw = pick(1, 4), c.sw = pick(1, 3), c.dw = pick(1, 3);
        c.pl = pick(0, 3), c.pr = pick(0, 3);
        c.ih = c.kh = c.id = c.kd = 1;
        if (dims > 1)
            c.ih = pick(1, 5), c.kh = pick(1, 3), c.sh = pick(1, 2), c.dh = pick(1, 2), c.pt = pick(0, 2),
            c.pb = pick(0, 2);
        if (dims > 2)
            c.id = pick(1, 4), c.kd = pick(1, 3), c.sd = pick(1, 2), c.dd = pick(1, 2), c.pf = pick(0, 2),
            c.pk = pick(0, 2);
        c.layout = pick(0, 1) ? KILN_LAYOUT_NHWC : KILN_LAYOUT_NCHW;
        c.mode = (enum kiln_mode)pick(KILN_MODE_ZEROS, KILN_MODE_CIRCULAR);
        if (conv_check(&c, NULL) == KILN_STATUS_OK) return c;
    }
}

/* Element (n, channel, at) of a dense tensor, by multiplying strides. */
static int64_t element(enum kiln_layout layout, int64_t channels, const int64_t extent[3], int64_t n,
                       int64_t channel, const int64_t at[3])
{
    int64_t space = extent[0] * extent[1] * extent[2];
    int64_t place = at[0] * extent[1] * extent[2] + at[1] * extent[2] + at[2];
    bool last = layout == KILN_LAYOUT_NHWC;
    return n * channels * space + (last ? place * channels + channel : channel * space + place);
}

/* The output position along one dimension that tap k of padded position p contributes to, or -1. */
static int64_t reached(int64_t p, int64_t k, int64_t stride, int64_t dilation, int64_t outputs)
{
    int64_t from = p - k * dilation;
    return from >= 0 && from % stride == 0 && from / stride < outputs ? from / stride : -1;
}

/* Adds the products of one padded input element x at p with all weights that meet it. */
static void scatter_element(const struct kiln_conv *c, const float *w, double *y, int64_t n, int64_t ic,
                            const int64_t p[3], double x)
{
    const int64_t out[3] = {conv_od(c), conv_oh(c), conv_ow(c)};
    int64_t icg = c->ic / c->g, ocg = c->oc / c->g, taps = c->kd * c->kh * c->kw;
    for (int64_t k = 0; k < taps; k++) {
        const int64_t to[3] = {reached(p[0], k / (c->kw * c->kh), c->sd, c->dd, out[0]),
                               reached(p[1], k / c->kw % c->kh, c->sh, c->dh, out[1]),
                               reached(p[2], k % c->kw, c->sw, c->dw, out[2])};
        if (to[0] < 0 || to[1] < 0 || to[2] < 0) continue;
        for (int64_t j = 0; j < ocg; j++) {
            int64_t oc = ic / icg * ocg + j;
            y[element(c->layout, c->oc, out, n, oc, to)] += x * w[(oc * icg + ic % icg) * taps + k];
        }
    }
}

static void scatter(const struct kiln_conv *c, const float *x, const float *w, double *y)
{
    const int64_t in[3] = {c->id, c->ih, c->iw}, before[3] = {c->pf, c->pt, c->pl};
    const int64_t padded[3] = {c->id + c->pf + c->pk, c->ih + c->pt + c->pb, c->iw + c->pl + c->pr};
    for (int64_t i = 0; i < c->n * c->ic * padded[0] * padded[1] * padded[2]; i++) {
        int64_t plane = padded[1] * padded[2], volume = padded[0] * plane;
        const int64_t p[3] = {i % volume / plane, i % plane / padded[2], i % padded[2]};
        int64_t from[3], channel = i / volume % c->ic, n = i / volume / c->ic;
        for (int d = 0; d < 3; d++) from[d] = walk(c->mode, p[d] - before[d], in[d]);
        if (from[0] < 0 || from[1] < 0 || from[2] < 0) continue;
        scatter_element(c, w, y, n, channel, p, x[element(c->layout, c->ic, in, n, channel, from)]);
    }
}

static void scattered_equals_gathered(const struct kiln_conv *c)
{
    char text[KILN_TEXT_MAX];
    conv_print(c, text, sizeof text);
    int64_t count = conv_dst_count(c);
    float *x = integers(conv_src_count(c)), *w = integers(conv_weights_count(c)), *got = integers(count);
    double *want = calloc((size_t)count, sizeof *want);
    struct kiln_args args = {.src = x, .dst = got};
    interp(c, w, &args);
    scatter(c, x, w, want);
    for (int64_t i = 0; i < count; i++)
        cr_assert((double)got[i] == want[i], "%s: output %lld is %g, not %g", text, (long long)i, got[i],
                  want[i]);
    free(x), free(w), free(got), free(want);
}

Test(interp, gather_equals_scatter)
{
    for (int i = 0; i < 3000; i++) {
        struct kiln_conv c = conv_random();
        scattered_equals_gathered(&c);
    }
}

/* ---- one element, and its breakdown ---- */

/* What a sink has received. */
struct told {
    char text[1 << 16];
    size_t length;
};

static void hear(void *user, const char *bytes, size_t count)
{
    struct told *told = user;
    cr_assert(told->length + count < sizeof told->text);
    memcpy(told->text + told->length, bytes, count);
    told->text[told->length += count] = '\0';
}

static float last_value(const struct told *told)
{
    const char *last = strstr(told->text, "\n= ");
    cr_assert(last && strchr(last + 1, '\n')[1] == '\0', "the last line is \"= VALUE\"");
    return strtof(last + 3, NULL);
}

/* Both agree with the whole tensor to the last bit, whatever the numbers. */
Test(interp, one_element_equals_all)
{
    for (int i = 0; i < 300; i++) {
        struct kiln_conv c = conv_random();
        c.post[c.post_count++] = (struct kiln_post){.kind = KILN_POST_BIAS};
        c.post[c.post_count++] = (struct kiln_post){.kind = KILN_POST_TANH};
        float *x = integers(conv_src_count(&c)), *w = integers(conv_weights_count(&c)),
              *bias = integers(c.oc);
        float *y = integers(conv_dst_count(&c));
        for (int64_t j = 0; j < conv_src_count(&c); j++) x[j] = x[j] * 0.1f + 0.3f;
        struct kiln_args args = {.src = x, .bias = bias, .dst = y};
        interp(&c, w, &args);
        const int64_t at[5] = {pick(0, c.n - 1), pick(0, c.oc - 1), pick(0, conv_od(&c) - 1),
                               pick(0, conv_oh(&c) - 1), pick(0, conv_ow(&c) - 1)};
        float want = y[interp_dst_offset(&c, at[0], at[1], at + 2)];
        static struct told told;
        told.length = 0;
        interp_explain(&c, w, &args, at, hear, &told);
        cr_assert(interp_at(&c, w, &args, at[0], at[1], at + 2) == want);
        cr_assert(last_value(&told) == want, "%g in\n%s", want, told.text);
        free(x), free(w), free(bias), free(y);
    }
}

Test(interp, breakdown)
{
    static const char want[] = "conv n1 ic2 ih2 iw2 oc1 kh2 kw2 pt1 f32 nchw +bias +relu\n"
                               "output element 0,0,0,0 (n,oc,oh,ow); taps are kh,kw, they read ih,iw\n"
                               "input channel 0\n"
                               "  tap 0,0 reads -1,0 outside: adds nothing\n"
                               "  tap 0,1 reads -1,1 outside: adds nothing\n"
                               "  tap 1,0 reads 0,0: 1 * 3 = 3\n"
                               "  tap 1,1 reads 0,1: 2 * 4 = 8\n"
                               "  subtotal 11\n"
                               "input channel 1\n"
                               "  tap 0,0 reads -1,0 outside: adds nothing\n"
                               "  tap 0,1 reads -1,1 outside: adds nothing\n"
                               "  tap 1,0 reads 0,0: 5 * -3 = -15\n"
                               "  tap 1,1 reads 0,1: 6 * -0.5 = -3\n"
                               "  subtotal -18\n"
                               "sum of 2 channels: -7\n"
                               "+bias: -7 becomes -6.75\n"
                               "+relu: -6.75 becomes 0\n"
                               "= 0\n";
    struct kiln_conv c;
    static struct told told;
    cr_assert(conv_parse(&c, "conv ic2 ih2 iw2 oc1 kh2 kw2 pt1 f32 nchw +bias +relu", NULL) ==
              KILN_STATUS_OK);
    const float x[] = {1, 2, 3, 4, 5, 6, 7, 8}, w[] = {INFINITY, NAN, 3, 4, -1, -2, -3, -0.5f},
                bias[] = {0.25f};
    interp_explain(&c, w, &(struct kiln_args){.src = x, .bias = bias}, (const int64_t[]){0, 0, 0, 0, 0}, hear,
                   &told);
    cr_assert_str_eq(told.text, want);
}
