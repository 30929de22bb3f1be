/* openblas: what many programs do without a library of convolutions: columns of patches (im2col), one
 * matrix multiplication by OpenBLAS, and a plain pass for bias and clamp while the block is still in the
 * caches. A 1x1 convolution with stride 1 needs no columns. In both layouts; weights are laid out once. */
#include "common.h"
#include <cblas.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Columns are made for as many rows of output as fit here: half of a small L3, and still wide enough that
 * OpenBLAS packs the weights seldom. */
static const int64_t columns_most = 1 << 21;

struct handle {
    struct peer_task task;
    struct chain chain;
    bool last;        /* channels last: NHWC */
    bool direct;      /* src is its own columns */
    int64_t icg, ocg; /* of one group */
    int64_t depth;    /* of the sums: icg * kh * kw */
    int64_t rows;     /* of output in one block */
    float *weights;   /* nchw: [oc][depth]; nhwc: [g][depth][ocg] */
    float *columns;   /* nchw: [depth][rows * ow]; nhwc: [rows * ow][depth]; NULL: direct */
    float *bias;      /* [oc], zeros where the conv has none */
    float *dst;
};

/* A part of the output: image n, group g, rows [row, row + rows). */
struct block {
    int64_t n, g, row, rows;
};

static const char *variant(const struct kiln_conv *conv, int i)
{
    (void)conv;
    return i == 0 ? "im2col" : NULL;
}

/* ---- columns ---- */

/* One tap of one input channel for a row of output, channels first. src: the channel's row, or NULL where
 * that is padding; first: where the row's first output reads. */
static void columns_row(float *to, const float *src, int64_t first, const struct kiln_conv *c, int64_t ow)
{
    if (!src) {
        memset(to, 0, (size_t)ow * sizeof *to);
        return;
    }
    for (int64_t x = 0, iw = first; x < ow; x++, iw += c->sw) to[x] = iw >= 0 && iw < c->iw ? src[iw] : 0;
}

/* The first column and the first row that a tap reads, from a row of output on. */
static int64_t tap_row(const struct kiln_conv *c, int64_t row, int64_t kh)
{
    return row * c->sh - c->pt + kh * c->dh;
}

static void columns_first(const struct handle *h, const struct block *b)
{
    const struct kiln_conv *c = h->task.conv;
    int64_t ow = h->task.out[2];
    float *to = h->columns;
    for (int64_t k = 0; k < h->depth; k++) {
        int64_t ic = k / (c->kh * c->kw), kh = k / c->kw % c->kh, kw = k % c->kw;
        const float *plane = h->task.src + (b->n * c->ic + b->g * h->icg + ic) * c->ih * c->iw;
        for (int64_t row = b->row; row < b->row + b->rows; row++, to += ow) {
            int64_t ih = tap_row(c, row, kh);
            const float *src = ih >= 0 && ih < c->ih ? plane + ih * c->iw : NULL;
            columns_row(to, src, kw * c->dw - c->pl, c, ow);
        }
    }
}

/* The taps of one pixel of output, channels last. */
static void columns_pixel(float *to, const float *image, int64_t icg, int64_t ih, int64_t iw,
                          const struct kiln_conv *c)
{
    for (int64_t kh = 0; kh < c->kh; kh++, ih += c->dh)
        for (int64_t kw = 0, x = iw; kw < c->kw; kw++, x += c->dw, to += icg) {
            bool inside = ih >= 0 && ih < c->ih && x >= 0 && x < c->iw;
            if (inside)
                memcpy(to, image + (ih * c->iw + x) * c->ic, (size_t)icg * sizeof *to);
            else
                memset(to, 0, (size_t)icg * sizeof *to);
        }
}

static void columns_last(const struct handle *h, const struct block *b)
{
    const struct kiln_conv *c = h->task.conv;
    const float *image = h->task.src + b->n * c->ih * c->iw * c->ic + b->g * h->icg;
    float *to = h->columns;
    for (int64_t row = b->row; row < b->row + b->rows; row++)
        for (int64_t x = 0; x < h->task.out[2]; x++, to += h->depth)
            columns_pixel(to, image, h->icg, tap_row(c, row, 0), x * c->sw - c->pl, c);
}

/* ---- blocks ---- */

/* step 0: one bias for all; 1: one for each. */
static inline void finish_row(float *y, const float *add, const float *bias, int64_t step, int64_t count,
                              const struct chain *chain)
{
    float low = chain->low, high = chain->high;
    for (int64_t i = 0; i < count; i++) {
        float v = y[i] + bias[i * step] + (add ? add[i] : 0);
        v = v < low ? low : v;
        y[i] = v > high ? high : v;
    }
}

/* Weights [ocg][depth] times columns [depth][pixels]. */
static void block_first(const struct handle *h, const struct block *b)
{
    int64_t ow = h->task.out[2], plane = h->task.out[1] * ow, pixels = b->rows * ow;
    int64_t channel = b->n * h->task.conv->oc + b->g * h->ocg, at = channel * plane + b->row * ow;
    const float *columns = h->columns;
    if (h->direct)
        columns = h->task.src + (b->n * h->task.conv->ic + b->g * h->icg) * plane + b->row * ow;
    else
        columns_first(h, b);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)h->ocg, (int)pixels, (int)h->depth, 1,
                h->weights + b->g * h->ocg * h->depth, (int)h->depth, columns,
                (int)(h->direct ? plane : pixels), 0, h->dst + at, (int)plane);
    for (int64_t oc = 0; oc < h->ocg; oc++, at += plane)
        finish_row(h->dst + at, h->chain.add ? h->task.add + at : NULL, h->bias + b->g * h->ocg + oc, 0,
                   pixels, &h->chain);
}

/* Columns [pixels][depth] times weights [depth][ocg]. */
static void block_last(const struct handle *h, const struct block *b)
{
    const struct kiln_conv *c = h->task.conv;
    int64_t ow = h->task.out[2], pixels = b->rows * ow;
    int64_t pixel = (b->n * h->task.out[1] + b->row) * ow, at = pixel * c->oc + b->g * h->ocg;
    const float *columns = h->columns;
    if (h->direct)
        columns = h->task.src + pixel * c->ic + b->g * h->icg;
    else
        columns_last(h, b);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)pixels, (int)h->ocg, (int)h->depth, 1,
                columns, (int)(h->direct ? c->ic : h->depth), h->weights + b->g * h->ocg * h->depth,
                (int)h->ocg, 0, h->dst + at, (int)c->oc);
    for (int64_t x = 0; x < pixels; x++, at += c->oc)
        finish_row(h->dst + at, h->chain.add ? h->task.add + at : NULL, h->bias + b->g * h->ocg, 1, h->ocg,
                   &h->chain);
}

static void run(void *handle)
{
    const struct handle *h = handle;
    const int64_t oh = h->task.out[1];
    struct block b = {0};
    for (b.n = 0; b.n < h->task.conv->n; b.n++)
        for (b.g = 0; b.g < h->task.conv->g; b.g++)
            for (b.row = 0; b.row < oh; b.row += b.rows) {
                b.rows = oh - b.row < h->rows ? oh - b.row : h->rows;
                h->last ? block_last(h, &b) : block_first(h, &b);
            }
}

/* ---- making ---- */

static void destroy(void *handle)
{
    struct handle *h = handle;
    free(h->weights);
    free(h->columns);
    free(h->bias);
    free(h->dst);
    free(h);
}

/* nchw: as they are, [oc][icg][kh][kw]; nhwc: [g][kh][kw][icg][ocg]. */
static bool weights_fill(struct handle *h)
{
    const struct kiln_conv *c = h->task.conv;
    if (!h->last) {
        memcpy(h->weights, h->task.weights, (size_t)(c->oc * h->depth) * sizeof *h->weights);
        return true;
    }
    float *taps_first = weights_last(c, h->task.weights);
    bool good = taps_first != NULL;
    if (good) channels_move(taps_first, h->weights, c->g, h->ocg, h->depth);
    free(taps_first);
    return good;
}

static void shape_fill(struct handle *h)
{
    const struct kiln_conv *c = h->task.conv;
    h->last = c->layout == KILN_LAYOUT_NHWC;
    h->icg = c->ic / c->g;
    h->ocg = c->oc / c->g;
    h->depth = h->icg * c->kh * c->kw;
    h->direct = c->kh * c->kw * c->sh * c->sw == 1 && !(c->pt || c->pb || c->pl || c->pr);
    h->rows = columns_most / (h->depth * h->task.out[2]);
    if (h->rows < 1) h->rows = 1;
    if (h->direct || h->rows > h->task.out[1]) h->rows = h->task.out[1];
}

static bool tensors_make(struct handle *h)
{
    const struct kiln_conv *c = h->task.conv;
    h->weights = floats_make(c->oc * h->depth);
    h->bias = floats_make(c->oc);
    h->dst = floats_make(c->n * c->oc * h->task.out[1] * h->task.out[2]);
    if (!h->direct) h->columns = floats_make(h->depth * h->rows * h->task.out[2]);
    if (!h->weights || !h->bias || !h->dst || (!h->direct && !h->columns)) return false;
    for (int64_t i = 0; i < c->oc; i++) h->bias[i] = h->chain.bias ? h->task.bias[i] : 0;
    return weights_fill(h);
}

static enum kiln_status create(const struct peer_task *task, const char *name, void **handle,
                               struct kiln_error *error)
{
    (void)name;
    struct chain chain;
    if (plain_conv(task->conv, &chain, error) != KILN_STATUS_OK) return KILN_STATUS_UNSUPPORTED;
    struct handle *h = calloc(1, sizeof *h);
    if (!h) return refuse(error, "out of memory");
    h->task = *task;
    h->chain = chain;
    shape_fill(h);
    if (h->depth > INT_MAX || h->ocg > INT_MAX || task->out[1] * task->out[2] > INT_MAX)
        return free(h), refuse(error, "a matrix of more rows or columns than OpenBLAS counts");
    if (!tensors_make(h)) return destroy(h), refuse(error, "out of memory");
    openblas_set_num_threads(task->threads);
    *handle = h;
    return KILN_STATUS_OK;
}

/* ---- the table ---- */

static enum kiln_status result(void *handle, float *dst, struct kiln_error *error)
{
    struct handle *h = handle;
    (void)error;
    run(h);
    memcpy(dst, h->dst,
           (size_t)(h->task.conv->n * h->task.conv->oc * h->task.out[1] * h->task.out[2]) * sizeof *dst);
    return KILN_STATUS_OK;
}

__attribute__((visibility("default"))) peer_entry_function peer_entry;

const struct peer *peer_entry(void)
{
    static const struct peer peer = {PEER_VERSION, "openblas", variant, create, run, result, destroy};
    return &peer;
}
