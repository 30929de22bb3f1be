/* xnnpack: XNNPACK as a peer of bench, in f32 NHWC, the layout of its convolutions. It packs the weights
 * when an operator is made, fuses bias and clamp, and has an operator of its own for +add. */
#include "common.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xnnpack.h>

struct handle {
    struct peer_task task;
    xnn_operator_t conv, add; /* add: NULL where the conv has none */
    pthreadpool_t pool;       /* NULL: the calling thread */
    float *src, *dst;         /* of our own: XNNPACK may read a few bytes behind a tensor */
};

static const char *variant(const struct kiln_conv *conv, int i)
{
    (void)conv;
    return i == 0 ? "nhwc" : NULL;
}

static int64_t dst_count(const struct peer_task *t)
{
    return t->conv->n * t->conv->oc * t->out[1] * t->out[2];
}

/* ---- making ---- */

static enum xnn_status conv_make(struct handle *h, const struct chain *chain, const float *weights)
{
    const struct kiln_conv *c = h->task.conv;
    bool last = !chain->add; /* of the post-ops, the clamp is behind the addition */
    const uint32_t pad[] = {(uint32_t)c->pt, (uint32_t)c->pr, (uint32_t)c->pb, (uint32_t)c->pl};
    return xnn_create_convolution2d_nhwc_f32(
        pad[0], pad[1], pad[2], pad[3], (uint32_t)c->kh, (uint32_t)c->kw, (uint32_t)c->sh, (uint32_t)c->sw,
        (uint32_t)c->dh, (uint32_t)c->dw, (uint32_t)c->g, (size_t)(c->ic / c->g), (size_t)(c->oc / c->g),
        (size_t)c->ic, (size_t)c->oc, weights, h->task.bias, last ? chain->low : -INFINITY,
        last ? chain->high : INFINITY, 0, &h->conv);
}

static enum xnn_status add_make(struct handle *h, const struct chain *chain)
{
    const size_t count = (size_t)dst_count(&h->task);
    enum xnn_status status = xnn_create_add_nd_f32(chain->low, chain->high, 0, &h->add);
    if (status != xnn_status_success) return status;
    return xnn_setup_add_nd_f32(h->add, 1, &count, 1, &count, h->dst, h->task.add, h->dst, h->pool);
}

static enum xnn_status operators_make(struct handle *h, const struct chain *chain, const float *weights)
{
    const struct kiln_conv *c = h->task.conv;
    enum xnn_status status = xnn_initialize(NULL);
    if (status == xnn_status_success) status = conv_make(h, chain, weights);
    if (status == xnn_status_success)
        status = xnn_setup_convolution2d_nhwc_f32(h->conv, (size_t)c->n, (size_t)c->ih, (size_t)c->iw, h->src,
                                                  h->dst, h->pool);
    if (status == xnn_status_success && chain->add) status = add_make(h, chain);
    return status;
}

static void destroy(void *handle)
{
    struct handle *h = handle;
    if (h->conv) xnn_delete_operator(h->conv);
    if (h->add) xnn_delete_operator(h->add);
    if (h->pool) pthreadpool_destroy(h->pool);
    free(h->src);
    free(h->dst);
    free(h);
}

static enum kiln_status handle_fill(struct handle *h, const struct chain *chain, struct kiln_error *error)
{
    const struct kiln_conv *c = h->task.conv;
    int64_t src_count = c->n * c->ic * c->ih * c->iw;
    float *weights = weights_last(c, h->task.weights);
    h->src = floats_make(src_count);
    h->dst = floats_make(dst_count(&h->task));
    if (h->task.threads > 1) h->pool = pthreadpool_create((size_t)h->task.threads);
    enum xnn_status status = xnn_status_out_of_memory;
    if (weights && h->src && h->dst && (h->pool || h->task.threads == 1)) {
        memcpy(h->src, h->task.src, (size_t)src_count * sizeof *h->src);
        status = operators_make(h, chain, weights);
    }
    free(weights);
    if (status == xnn_status_success) return KILN_STATUS_OK;
    return refuse(error, "XNNPACK answers status %d to this convolution", (int)status);
}

static enum kiln_status create(const struct peer_task *task, const char *name, void **handle,
                               struct kiln_error *error)
{
    (void)name;
    struct chain chain;
    if (plain_conv(task->conv, &chain, error) != KILN_STATUS_OK) return KILN_STATUS_UNSUPPORTED;
    if (task->conv->layout != KILN_LAYOUT_NHWC) return refuse(error, "XNNPACK's convolutions are NHWC");
    struct handle *h = calloc(1, sizeof *h);
    if (!h) return refuse(error, "out of memory");
    h->task = *task;
    if (handle_fill(h, &chain, error) != KILN_STATUS_OK) return destroy(h), KILN_STATUS_UNSUPPORTED;
    *handle = h;
    return KILN_STATUS_OK;
}

/* ---- running ---- */

static void run(void *handle)
{
    struct handle *h = handle;
    xnn_run_operator(h->conv, h->pool);
    if (h->add) xnn_run_operator(h->add, h->pool);
}

static enum kiln_status result(void *handle, float *dst, struct kiln_error *error)
{
    struct handle *h = handle;
    (void)error;
    run(h);
    memcpy(dst, h->dst, (size_t)dst_count(&h->task) * sizeof *dst);
    return KILN_STATUS_OK;
}

__attribute__((visibility("default"))) peer_entry_function peer_entry;

const struct peer *peer_entry(void)
{
    static const struct peer peer = {PEER_VERSION, "xnnpack", variant, create, run, result, destroy};
    return &peer;
}
