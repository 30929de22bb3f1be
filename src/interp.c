/* The oracle. Every sum is made in f64, in the order ic, kd, kh, kw, and rounded once, to f32, behind
 * the post-ops; a tap that reads a padded zero is skipped, so that an infinite weight there makes no
 * NaN. May assume a checked conv of f32 and tensors that are there. */
#include "interp.h"

#include "conv.h"

#include <math.h>
#include <string.h>

/* ---- where elements lie ---- */

static int64_t mirror(int64_t at, int64_t extent)
{
    if (at < 0) at = -at;
    return at < extent ? at : 2 * (extent - 1) - at;
}

int64_t interp_index(enum kiln_mode mode, int64_t at, int64_t extent)
{
    if (at >= 0 && at < extent) return at;
    switch (mode) {
    case KILN_MODE_ZEROS: return -1;
    case KILN_MODE_REFLECT: return mirror(at, extent);
    case KILN_MODE_REPLICATE: return at < 0 ? 0 : extent - 1;
    case KILN_MODE_CIRCULAR: return at < 0 ? at + extent : at - extent;
    }
    return -1;
}

static int64_t offset_in(enum kiln_layout layout, int64_t n, int64_t c, const int64_t at[3], int64_t channels,
                         const int64_t extent[3])
{
    if (layout == KILN_LAYOUT_NHWC)
        return (((n * extent[0] + at[0]) * extent[1] + at[1]) * extent[2] + at[2]) * channels + c;
    return (((n * channels + c) * extent[0] + at[0]) * extent[1] + at[1]) * extent[2] + at[2];
}

int64_t interp_src_offset(const struct kiln_conv *c, int64_t n, int64_t ic, const int64_t at[3])
{
    return offset_in(c->layout, n, ic, at, c->ic, (const int64_t[]){c->id, c->ih, c->iw});
}

int64_t interp_dst_offset(const struct kiln_conv *c, int64_t n, int64_t oc, const int64_t at[3])
{
    return offset_in(c->layout, n, oc, at, c->oc, (const int64_t[]){conv_od(c), conv_oh(c), conv_ow(c)});
}

/* From one element of a row of src to the next. */
static int64_t row_step(const struct kiln_conv *c) { return c->layout == KILN_LAYOUT_NHWC ? c->ic : 1; }

/* The depth, row or column of src that tap k of output position o reads, or -1 for a zero. */
static int64_t src_d(const struct kiln_conv *c, int64_t o, int64_t k)
{
    return interp_index(c->mode, o * c->sd - c->pf + k * c->dd, c->id);
}

static int64_t src_h(const struct kiln_conv *c, int64_t o, int64_t k)
{
    return interp_index(c->mode, o * c->sh - c->pt + k * c->dh, c->ih);
}

static int64_t src_w(const struct kiln_conv *c, int64_t o, int64_t k)
{
    return interp_index(c->mode, o * c->sw - c->pl + k * c->dw, c->iw);
}

bool interp_tap(const struct kiln_conv *c, const int64_t at[3], const int64_t k[3], int64_t tap[3])
{
    tap[0] = src_d(c, at[0], k[0]);
    tap[1] = src_h(c, at[1], k[1]);
    tap[2] = src_w(c, at[2], k[2]);
    return tap[0] >= 0 && tap[1] >= 0 && tap[2] >= 0;
}

/* ---- post-ops ---- */

static double clip(double v, double low, double high) { return v < low ? low : v > high ? high : v; }

/* What a post-op reads beside the sum: its operand for channel oc, or the element at `offset` of dst. */
static double operand(enum kiln_post_kind kind, const struct kiln_args *args, int64_t oc, int64_t offset)
{
    switch (kind) {
    case KILN_POST_BIAS: return ((const float *)args->bias)[oc];
    case KILN_POST_SCALE: return ((const float *)args->scale)[oc];
    case KILN_POST_ADD: return ((const float *)args->add)[offset];
    case KILN_POST_PRELU: return ((const float *)args->prelu)[oc];
    default: return 0;
    }
}

double interp_post(const struct kiln_post *post, const struct kiln_args *args, double v, int64_t oc,
                   int64_t offset)
{
    double x = operand(post->kind, args, oc, offset);
    switch (post->kind) {
    case KILN_POST_BIAS:
    case KILN_POST_ADD: return v + x;
    case KILN_POST_SCALE: return v * x;
    case KILN_POST_RELU: return v < 0 ? 0 : v;
    case KILN_POST_LEAKY: return v < 0 ? post->a * v : v;
    case KILN_POST_PRELU: return v < 0 ? x * v : v;
    case KILN_POST_CLIP: return clip(v, post->a, post->b);
    case KILN_POST_SIGMOID: return 1 / (1 + exp(-v));
    case KILN_POST_TANH: return tanh(v);
    case KILN_POST_SILU: return v / (1 + exp(-v));
    case KILN_POST_GELU: return v * (1 + erf(v / sqrt(2))) / 2;
    case KILN_POST_HARDSWISH: return v * clip(v + 3, 0, 6) / 6;
    }
    return NAN;
}

/* The sum v of output channel oc, whose element of dst is at `offset`, through all post-ops. */
static float finish(const struct kiln_conv *c, const struct kiln_args *args, double v, int64_t oc,
                    int64_t offset)
{
    for (int i = 0; i < c->post_count; i++) v = interp_post(&c->post[i], args, v, oc, offset);
    return (float)v;
}

/* ---- one element ---- */

/* Adds the taps of one row of the kernel, which reads the row of src that begins at `row`. */
static double row_sum(const struct kiln_conv *c, double sum, const float *row, const float *w, int64_t ow)
{
    int64_t step = row_step(c);
    for (int64_t kw = 0; kw < c->kw; kw++) {
        int64_t iw = src_w(c, ow, kw);
        if (iw >= 0) sum += (double)row[iw * step] * w[kw];
    }
    return sum;
}

double interp_sum(const struct kiln_conv *c, const float *src, const float *weights, int64_t n, int64_t oc,
                  const int64_t at[3])
{
    int64_t icg = c->ic / c->g, first = oc / (c->oc / c->g) * icg;
    const float *w = weights + oc * icg * c->kd * c->kh * c->kw;
    double sum = 0;
    for (int64_t ic = first; ic < first + icg; ic++)
        for (int64_t kd = 0; kd < c->kd; kd++)
            for (int64_t kh = 0; kh < c->kh; kh++, w += c->kw) {
                int64_t id = src_d(c, at[0], kd), ih = src_h(c, at[1], kh);
                if (id < 0 || ih < 0) continue;
                int64_t row = interp_src_offset(c, n, ic, (const int64_t[]){id, ih, 0});
                sum = row_sum(c, sum, src + row, w, at[2]);
            }
    return sum;
}

float interp_at(const struct kiln_conv *c, const float *weights, const struct kiln_args *args, int64_t n,
                int64_t oc, const int64_t at[3])
{
    return finish(c, args, interp_sum(c, args->src, weights, n, oc, at), oc, interp_dst_offset(c, n, oc, at));
}

/* ---- the whole tensor: the same sums in the same order, a tile of outputs at a time for speed ---- */

/* Columns and channels of a tile: the sums take 8 KiB, well within any L1 cache. */
enum { TILE_OW = 16, TILE_OC = 64 };

/* Outputs ow to ow + columns of one row, channels oc to oc + channels of one group. */
struct tile {
    int64_t n, oc, od, oh, ow;
    int channels, columns;
    double sum[TILE_OW][TILE_OC];
};

/* Adds input channel ic, tap (kd, kh, kw), whose row of src begins at `row`; w[tile->channels]. */
static void tile_add(struct tile *t, const struct kiln_conv *c, const float *row, int64_t kw, const double *w)
{
    int64_t step = row_step(c);
    for (int i = 0; i < t->columns; i++) {
        int64_t iw = src_w(c, t->ow + i, kw);
        if (iw < 0) continue;
        double x = row[iw * step];
        for (int j = 0; j < t->channels; j++) t->sum[i][j] += x * w[j];
    }
}

/* Adds input channel ic, of which `weights` points to the first one of channel t->oc. */
static void tile_add_channel(struct tile *t, const struct kiln_conv *c, const float *src,
                             const float *weights, int64_t ic)
{
    int64_t next = c->ic / c->g * c->kd * c->kh * c->kw; /* from one output channel's weights to the next's */
    for (int64_t kd = 0; kd < c->kd; kd++)
        for (int64_t kh = 0; kh < c->kh; kh++)
            for (int64_t kw = 0; kw < c->kw; kw++, weights++) {
                int64_t id = src_d(c, t->od, kd), ih = src_h(c, t->oh, kh);
                if (id < 0 || ih < 0) continue;
                double w[TILE_OC];
                for (int j = 0; j < t->channels; j++) w[j] = weights[j * next];
                int64_t row = interp_src_offset(c, t->n, ic, (const int64_t[]){id, ih, 0});
                tile_add(t, c, src + row, kw, w);
            }
}

static void tile_store(const struct tile *t, const struct kiln_conv *c, const struct kiln_args *args)
{
    float *dst = args->dst;
    for (int i = 0; i < t->columns; i++)
        for (int j = 0; j < t->channels; j++) {
            int64_t to = interp_dst_offset(c, t->n, t->oc + j, (const int64_t[]){t->od, t->oh, t->ow + i});
            dst[to] = finish(c, args, t->sum[i][j], t->oc + j, to);
        }
}

/* The whole of one tile: sums over the input channels of its group, then post-ops. */
static void tile_make(struct tile *t, const struct kiln_conv *c, const float *weights,
                      const struct kiln_args *args)
{
    int64_t icg = c->ic / c->g, taps = c->kd * c->kh * c->kw, first = t->oc / (c->oc / c->g) * icg;
    memset(t->sum, 0, sizeof t->sum);
    for (int64_t i = 0; i < icg; i++)
        tile_add_channel(t, c, args->src, weights + (t->oc * icg + i) * taps, first + i);
    tile_store(t, c, args);
}

static int least(int64_t a, int64_t b) { return (int)(a < b ? a : b); }

void interp(const struct kiln_conv *c, const float *weights, const struct kiln_args *args)
{
    int64_t ocg = c->oc / c->g, od = conv_od(c), oh = conv_oh(c), ow = conv_ow(c);
    struct tile t;
    for (t.n = 0; t.n < c->n; t.n++)
        for (t.oc = 0; t.oc < c->oc; t.oc += t.channels) {
            t.channels = least(TILE_OC, ocg - t.oc % ocg);
            for (t.od = 0; t.od < od; t.od++)
                for (t.oh = 0; t.oh < oh; t.oh++)
                    for (t.ow = 0; t.ow < ow; t.ow += t.columns) {
                        t.columns = least(TILE_OW, ow - t.ow);
                        tile_make(&t, c, weights, args);
                    }
        }
}
