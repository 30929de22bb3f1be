/* Owns the choice of outputs that are compared and the bounds of the comparison. */
#include "reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The oracle takes about a second for this much; beyond it a sample has to do. */
static const double FULL_FLOPS = 2e9;

/* A single output costs the oracle several times its share of all: a larger part than one in so many
 * is no sample. */
enum { SAMPLE_SHARE = 5 };

enum {
    SAMPLE_RANDOM = 20000, /* outputs anywhere, besides all on borders */
    BORDER_MOST = 1 << 19, /* border outputs beyond which these too are a sample: some seconds' work */
    FEW = 1024             /* outputs whose RMS is not telling: they are made of few numbers */
};

/* ---- positions and offsets ---- */

/* Extents of dst, as {n, oc, od, oh, ow}. */
static void extents_of(const struct kiln_conv *c, int64_t extent[5])
{
    extent[0] = c->n;
    extent[1] = c->oc;
    kiln_conv_output(c, extent + 2, NULL);
}

/* The dimensions from the outermost to the innermost in memory. */
static const int orders[][5] = {[KILN_LAYOUT_NCHW] = {0, 1, 2, 3, 4}, [KILN_LAYOUT_NHWC] = {0, 2, 3, 4, 1}};

static size_t offset_of(const struct kiln_conv *c, const int64_t at[5])
{
    int64_t extent[5], offset = 0;
    extents_of(c, extent);
    for (int i = 0; i < 5; i++) offset = offset * extent[orders[c->layout][i]] + at[orders[c->layout][i]];
    return (size_t)offset;
}

static void position_of(const struct kiln_conv *c, size_t offset, int64_t at[5])
{
    int64_t extent[5], left = (int64_t)offset;
    extents_of(c, extent);
    for (int i = 4; i >= 0; i--) {
        int dimension = orders[c->layout][i];
        at[dimension] = left % extent[dimension];
        left /= extent[dimension];
    }
}

/* ---- the sample ---- */

/* Outputs at one end of a spatial dimension (0: d, 1: h, 2: w) that can read padding, at least one. */
static int64_t border_width(const struct kiln_conv *c, int dimension, bool low)
{
    const int64_t lows[] = {c->pf, c->pt, c->pl}, highs[] = {c->pk, c->pb, c->pr};
    const int64_t strides[] = {c->sd, c->sh, c->sw};
    int64_t pad = low ? lows[dimension] : highs[dimension];
    int64_t width = pad / strides[dimension] + (pad % strides[dimension] != 0);
    return width < 1 ? 1 : width;
}

static bool on_border(const struct kiln_conv *c, const int64_t extent[5], const int64_t at[5])
{
    for (int i = 0; i < 3; i++) {
        if (extent[2 + i] == 1) continue;
        if (at[2 + i] < border_width(c, i, true)) return true;
        if (at[2 + i] >= extent[2 + i] - border_width(c, i, false)) return true;
    }
    return false;
}

/* The pixels {n, oc = 0, d, h, w} on borders, as offsets among pixels; all of them count all channels. */
static size_t border_pixels(const struct kiln_conv *c, const int64_t extent[5], size_t *where)
{
    size_t n = 0, pixel = 0;
    int64_t at[5] = {0};
    for (at[0] = 0; at[0] < extent[0]; at[0]++)
        for (at[2] = 0; at[2] < extent[2]; at[2]++)
            for (at[3] = 0; at[3] < extent[3]; at[3]++)
                for (at[4] = 0; at[4] < extent[4]; at[4]++, pixel++)
                    if (on_border(c, extent, at)) {
                        if (where) where[n] = pixel;
                        n++;
                    }
    return n;
}

static int by_size(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

/* Appends the outputs of the border's pixels, in nhwc: every one, or every so many of too many. */
static void add_borders(struct reference *r, const int64_t extent[5], const size_t *pixels, size_t count)
{
    size_t channels = (size_t)extent[1], step = count * channels / BORDER_MOST + 1;
    for (size_t i = 0; i < count * channels; i += step)
        r->where[r->count++] = pixels[i / channels] * channels + i % channels;
}

static void add_random(struct reference *r, const struct kiln_conv *places, const int64_t extent[5])
{
    uint64_t state = 1;
    int64_t at[5];
    for (int i = 0; i < SAMPLE_RANDOM; i++) {
        for (int j = 0; j < 5; j++) at[j] = (int64_t)(random_next(&state) % (uint64_t)extent[j]);
        r->where[r->count++] = offset_of(places, at);
    }
}

/* All outputs on borders and some anywhere; sorted so that outputs of one place follow each other, whatever
 * the layout: they read the same inputs. */
static bool sample_choose(struct reference *r, const struct kiln_conv *c, struct kiln_error *error)
{
    int64_t extent[5], at[5];
    struct kiln_conv places = *c;
    places.layout = KILN_LAYOUT_NHWC;
    extents_of(c, extent);
    size_t count = border_pixels(c, extent, NULL);
    size_t *pixels = fill_try((count + 1) * sizeof *pixels, error);
    size_t most = count * (size_t)extent[1] < BORDER_MOST ? count * (size_t)extent[1] : BORDER_MOST;
    r->where = pixels ? fill_try((most + SAMPLE_RANDOM) * sizeof *r->where, error) : NULL;
    if (r->where) {
        border_pixels(c, extent, pixels);
        add_borders(r, extent, pixels, count);
        add_random(r, &places, extent);
        qsort(r->where, r->count, sizeof *r->where, by_size);
    }
    free(pixels);
    for (size_t i = 0; i < r->count; i++) {
        position_of(&places, r->where[i], at);
        r->where[i] = offset_of(c, at);
    }
    return r->where != NULL;
}

/* ---- asking the oracle ---- */

static float want_at(const struct reference *r, const struct kiln_conv *c, size_t offset)
{
    int64_t at[5];
    float value = NAN;
    position_of(c, offset, at);
    kiln_interpret_at(c, r->data.weights, &r->data.args, at, &value, NULL);
    return value;
}

static bool want_all(struct reference *r, const struct kiln_conv *c, struct kiln_error *error)
{
    struct kiln_args args = r->data.args;
    r->count = r->data.dst_count;
    args.dst = r->want = fill_try(r->count * sizeof *r->want, error);
    return r->want && kiln_interpret(c, r->data.weights, &args, error) == KILN_STATUS_OK;
}

static bool want_sample(struct reference *r, const struct kiln_conv *c, struct kiln_error *error)
{
    if (!sample_choose(r, c, error)) return false;
    r->want = fill_try(r->count * sizeof *r->want, error);
    if (!r->want) return false;
    for (size_t i = 0; i < r->count; i++) r->want[i] = want_at(r, c, r->where[i]);
    return true;
}

/* ---- bounds ---- */

/* Post-ops that make the output smaller than the sums, whose error they inherit. */
static bool squashes(enum kiln_post_kind kind)
{
    return kind == KILN_POST_CLIP || kind == KILN_POST_SIGMOID || kind == KILN_POST_TANH;
}

/* The most by which a post-op multiplies an error. */
static double slope(const struct kiln_post *post)
{
    const double steepest = 1.5; /* of hardswish, at 3; gelu's and silu's are 1.13 and 1.1 */
    if (post->kind == KILN_POST_LEAKY) return fmax(1, fabs((double)post->a));
    bool curved =
        post->kind == KILN_POST_HARDSWISH || post->kind == KILN_POST_GELU || post->kind == KILN_POST_SILU;
    return curved ? steepest : 1;
}

/* Taps of all outputs along one dimension that read src, and not a zero outside of it. */
static double taps_inside(int64_t out, int64_t in, int64_t kernel, int64_t stride, int64_t dilation,
                          int64_t pad)
{
    double inside = 0;
    for (int64_t o = 0; o < out; o++)
        for (int64_t k = 0; k < kernel; k++) {
            int64_t at = o * stride - pad + k * dilation;
            inside += at >= 0 && at < in;
        }
    return inside;
}

/* The mean number of products of an output, those of zeros outside of src not counted. */
static double mean_products(const struct kiln_conv *c)
{
    int64_t out[3];
    kiln_conv_output(c, out, NULL);
    if (c->mode != KILN_MODE_ZEROS) return (double)conv_products(c);
    double taps = taps_inside(out[0], c->id, c->kd, c->sd, c->dd, c->pf) *
                  taps_inside(out[1], c->ih, c->kh, c->sh, c->dh, c->pt) *
                  taps_inside(out[2], c->iw, c->kw, c->sw, c->dw, c->pl);
    return (double)(c->ic / c->g) * taps / (double)(out[0] * out[1] * out[2]);
}

/* The RMS of the outputs; where chance or post-ops decide that, at least that of sums of N(0,1) products,
 * times what the post-ops make of its error. */
static double scale_of(const struct reference *r, const struct kiln_conv *c)
{
    double squares = 0, slopes = 1;
    bool squashed = false;
    for (int i = 0; i < c->post_count; i++) {
        squashed |= squashes(c->post[i].kind);
        slopes *= slope(&c->post[i]);
    }
    for (size_t i = 0; i < r->count; i++) squares += (double)r->want[i] * r->want[i];
    double rms = sqrt(squares / (double)r->count);
    return r->count < FEW || squashed ? fmax(rms, slopes * sqrt(mean_products(c))) : rms;
}

static const double bounds[] = {
    [KILN_ACCURACY_DEFAULT] = 2e-5, [KILN_ACCURACY_STRICT] = 2e-5, [KILN_ACCURACY_FAST] = 1e-4};

bool reference_make(struct reference *r, const struct kiln_conv *c, bool exact, bool full,
                    struct kiln_error *error)
{
    *r = (struct reference){.exact = exact};
    if (!data_make(&r->data, c, exact ? FILL_INTEGERS : FILL_NORMAL, error)) return false;
    bool all = full || conv_work(c) <= FULL_FLOPS || r->data.dst_count <= SAMPLE_SHARE * SAMPLE_RANDOM;
    bool made = (all ? want_all : want_sample)(r, c, error);
    if (!made) return reference_free(r), false;
    r->scale = scale_of(r, c);
    r->bound = bounds[c->accuracy];
    r->tolerance = exact ? 0 : r->bound * r->scale;
    return true;
}

void reference_free(struct reference *r)
{
    data_free(&r->data);
    free(r->where);
    free(r->want);
    *r = (struct reference){0};
}

/* ---- comparing ---- */

void reference_clear(struct reference *r)
{
    for (size_t i = 0; i < r->data.dst_count; i++) r->data.dst[i] = NAN;
}

struct errors reference_errors(const struct reference *r)
{
    struct errors e = {0, 0};
    for (size_t i = 0; i < r->count; i++) {
        double error = fabs((double)r->data.dst[r->where ? r->where[i] : i] - r->want[i]);
        if (isnan(error)) return (struct errors){INFINITY, INFINITY};
        e.max = fmax(e.max, error);
        e.mean += error / (double)r->count;
    }
    if (r->scale > 0) e.max /= r->scale, e.mean /= r->scale;
    return e;
}

/* The first output that differs: its offset, or dst_count if none does. Written so that NaN differs. */
static size_t differing(const struct reference *r)
{
    for (size_t i = 0; i < r->count; i++) {
        size_t offset = r->where ? r->where[i] : i;
        if (!(fabs((double)r->data.dst[offset] - r->want[i]) <= r->tolerance)) return offset;
    }
    for (size_t i = 0; i < r->data.dst_count; i++)
        if (isnan(r->data.dst[i])) return i;
    return r->data.dst_count;
}

bool reference_differs(const struct reference *r, const struct kiln_conv *c, struct difference *d)
{
    size_t offset = differing(r);
    if (offset == r->data.dst_count) return false;
    position_of(c, offset, d->at);
    d->got = r->data.dst[offset];
    d->want = want_at(r, c, offset);
    return true;
}
