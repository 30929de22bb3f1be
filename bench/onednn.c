/* onednn: oneDNN as a peer of bench, in f32. Variant "any" lets it choose the layouts of src and dst,
 * whose reordering is not timed; "plain" reads and writes the conv's own layout. Weights are always in
 * the layout it chooses, and post-ops are fused. */
#include "peer.h"
#include <oneapi/dnnl/dnnl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The conv in oneDNN's terms. */
struct shape {
    int rank; /* of src and dst; weights have one more where there are groups */
    bool groups;
    dnnl_dims_t src, weights, bias, dst, strides, dilates, low, high;
    dnnl_format_tag_t tag, weights_tag; /* plain layouts */
};

struct handle {
    struct peer_task task;
    struct shape shape;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_attr_t attr;
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
    dnnl_memory_t src, weights, bias, dst; /* as the primitive reads and writes them */
    dnnl_memory_desc_t plain_dst;
    dnnl_exec_arg_t args[4];
    int arg_count;
};

/* `return` with the status of the first step that fails. */
#define TRY(step)                                    \
    do {                                             \
        dnnl_status_t status_ = (step);              \
        if (status_ != dnnl_success) return status_; \
    } while (0)

__attribute__((format(printf, 2, 3))) static enum kiln_status refuse(struct kiln_error *error,
                                                                     const char *format, ...)
{
    if (error) {
        va_list rest;
        va_start(rest, format);
        vsnprintf(error->text, sizeof error->text, format, rest);
        va_end(rest);
        error->status = KILN_STATUS_UNSUPPORTED;
    }
    return KILN_STATUS_UNSUPPORTED;
}

static const char *variant(const struct kiln_conv *conv, int i)
{
    static const char *const nhwc[] = {"any", "plain", NULL}, *const nchw[] = {"plain", NULL};
    return conv->layout == KILN_LAYOUT_NHWC ? nhwc[i] : nchw[i];
}

/* ---- the shape ---- */

/* Puts the last `count` of three spatial values behind those that `to` has. */
static void put_spatial(int64_t *to, int count, int64_t d, int64_t h, int64_t w)
{
    const int64_t values[] = {d, h, w};
    memcpy(to, values + 3 - count, (size_t)count * sizeof *to);
}

static void shape_make(struct shape *s, const struct peer_task *task)
{
    static const dnnl_format_tag_t tags[2][2] = {{dnnl_nchw, dnnl_nhwc}, {dnnl_ncdhw, dnnl_ndhwc}};
    static const dnnl_format_tag_t weights_tags[2][2] = {{dnnl_oihw, dnnl_goihw}, {dnnl_oidhw, dnnl_goidhw}};
    const struct kiln_conv *c = task->conv;
    bool deep = c->id > 1 || c->kd > 1 || task->out[0] > 1;
    int spatial = deep ? 3 : 2;
    *s = (struct shape){.rank = spatial + 2, .groups = c->g > 1};
    s->tag = tags[deep][c->layout == KILN_LAYOUT_NHWC];
    s->weights_tag = weights_tags[deep][s->groups];
    s->src[0] = s->dst[0] = c->n;
    s->src[1] = c->ic;
    s->dst[1] = s->bias[0] = c->oc;
    put_spatial(s->src + 2, spatial, c->id, c->ih, c->iw);
    put_spatial(s->dst + 2, spatial, task->out[0], task->out[1], task->out[2]);
    int64_t *w = s->weights;
    if (s->groups) *w++ = c->g;
    *w++ = c->oc / c->g;
    *w++ = c->ic / c->g;
    put_spatial(w, spatial, c->kd, c->kh, c->kw);
    put_spatial(s->strides, spatial, c->sd, c->sh, c->sw);
    put_spatial(s->dilates, spatial, c->dd - 1, c->dh - 1, c->dw - 1);
    put_spatial(s->low, spatial, c->pf, c->pt, c->pl);
    put_spatial(s->high, spatial, c->pk, c->pb, c->pr);
}

/* ---- what a conv asks for, and whether this peer has it ---- */

static const struct {
    enum kiln_post_kind kind;
    dnnl_alg_kind_t alg;
    float alpha; /* where the post-op has no `a` of its own */
} eltwise[] = {
    {KILN_POST_RELU, dnnl_eltwise_relu, 0},     {KILN_POST_LEAKY, dnnl_eltwise_relu, 0},
    {KILN_POST_CLIP, dnnl_eltwise_clip, 0},     {KILN_POST_SIGMOID, dnnl_eltwise_logistic, 0},
    {KILN_POST_TANH, dnnl_eltwise_tanh, 0},     {KILN_POST_SILU, dnnl_eltwise_swish, 1},
    {KILN_POST_GELU, dnnl_eltwise_gelu_erf, 0}, {KILN_POST_HARDSWISH, dnnl_eltwise_hardswish, 0},
};

static dnnl_status_t post_append(dnnl_post_ops_t ops, const struct kiln_post *post)
{
    if (post->kind == KILN_POST_ADD) return dnnl_post_ops_append_sum(ops, 1);
    for (size_t i = 0; i < sizeof eltwise / sizeof *eltwise; i++)
        if (eltwise[i].kind == post->kind)
            return dnnl_post_ops_append_eltwise(ops, 1, eltwise[i].alg, eltwise[i].alpha + post->a, post->b);
    return dnnl_unimplemented;
}

/* Bias is part of the convolution, so it comes first or not at all. */
static dnnl_status_t attr_make(struct handle *h)
{
    const struct kiln_conv *c = h->task.conv;
    dnnl_post_ops_t ops;
    TRY(dnnl_primitive_attr_create(&h->attr));
    TRY(dnnl_post_ops_create(&ops));
    dnnl_status_t status = dnnl_success;
    for (int i = 0; i < c->post_count && status == dnnl_success; i++)
        if (i || c->post[i].kind != KILN_POST_BIAS) status = post_append(ops, &c->post[i]);
    if (status == dnnl_success) status = dnnl_primitive_attr_set_post_ops(h->attr, ops);
    dnnl_post_ops_destroy(ops);
    return status;
}

static bool conv_supported(const struct kiln_conv *c)
{
    return c->src == KILN_TYPE_F32 && c->weights == KILN_TYPE_F32 && c->dst == KILN_TYPE_F32 &&
           c->mode == KILN_MODE_ZEROS;
}

/* ---- the primitive and its tensors ---- */

static dnnl_status_t primitive_make(struct handle *h, bool any)
{
    const struct shape *s = &h->shape;
    dnnl_format_tag_t tag = any ? dnnl_format_tag_any : s->tag;
    dnnl_memory_desc_t src, weights, bias, dst;
    TRY(dnnl_memory_desc_init_by_tag(&src, s->rank, s->src, dnnl_f32, tag));
    TRY(dnnl_memory_desc_init_by_tag(&dst, s->rank, s->dst, dnnl_f32, tag));
    TRY(dnnl_memory_desc_init_by_tag(&weights, s->rank + s->groups, s->weights, dnnl_f32,
                                     dnnl_format_tag_any));
    TRY(dnnl_memory_desc_init_by_tag(&bias, 1, s->bias, dnnl_f32, dnnl_a));
    dnnl_convolution_desc_t conv;
    TRY(dnnl_dilated_convolution_forward_desc_init(&conv, dnnl_forward_inference, dnnl_convolution_auto, &src,
                                                   &weights, h->task.bias ? &bias : NULL, &dst, s->strides,
                                                   s->dilates, s->low, s->high));
    TRY(dnnl_primitive_desc_create(&h->desc, &conv, h->attr, h->engine, NULL));
    return dnnl_primitive_create(&h->primitive, h->desc);
}

static dnnl_status_t reorder(struct handle *h, dnnl_memory_t from, dnnl_memory_t to)
{
    const dnnl_memory_desc_t *from_desc, *to_desc;
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
    TRY(dnnl_memory_get_memory_desc(from, &from_desc));
    TRY(dnnl_memory_get_memory_desc(to, &to_desc));
    TRY(dnnl_reorder_primitive_desc_create(&desc, from_desc, h->engine, to_desc, h->engine, NULL));
    dnnl_status_t status = dnnl_primitive_create(&primitive, desc);
    dnnl_primitive_desc_destroy(desc);
    TRY(status);
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    status = dnnl_primitive_execute(primitive, h->stream, 2, args);
    dnnl_primitive_destroy(primitive);
    TRY(status);
    return dnnl_stream_wait(h->stream);
}

/* Copies between the caller's plain tensor and memory in the primitive's layout, either way. */
static dnnl_status_t copy(struct handle *h, const dnnl_memory_desc_t *plain, void *tensor,
                          dnnl_memory_t memory, bool out)
{
    dnnl_memory_t wrapped;
    TRY(dnnl_memory_create(&wrapped, plain, h->engine, tensor));
    dnnl_status_t status = out ? reorder(h, memory, wrapped) : reorder(h, wrapped, memory);
    dnnl_memory_destroy(wrapped);
    return status;
}

/* Memory as the primitive reads it: the caller's tensor where that is so laid out, else a copy. */
static dnnl_status_t input_make(struct handle *h, dnnl_query_t which, const dnnl_memory_desc_t *plain,
                                const float *tensor, dnnl_memory_t *memory)
{
    const dnnl_memory_desc_t *desc = dnnl_primitive_desc_query_md(h->desc, which, 0);
    if (dnnl_memory_desc_equal(desc, plain))
        return dnnl_memory_create(memory, desc, h->engine, (void *)tensor);
    TRY(dnnl_memory_create(memory, desc, h->engine, DNNL_MEMORY_ALLOCATE));
    return copy(h, plain, (void *)tensor, *memory, false);
}

static dnnl_status_t tensors_make(struct handle *h)
{
    const struct shape *s = &h->shape;
    dnnl_memory_desc_t src, weights, bias;
    TRY(dnnl_memory_desc_init_by_tag(&src, s->rank, s->src, dnnl_f32, s->tag));
    TRY(dnnl_memory_desc_init_by_tag(&weights, s->rank + s->groups, s->weights, dnnl_f32, s->weights_tag));
    TRY(dnnl_memory_desc_init_by_tag(&bias, 1, s->bias, dnnl_f32, dnnl_a));
    TRY(dnnl_memory_desc_init_by_tag(&h->plain_dst, s->rank, s->dst, dnnl_f32, s->tag));
    TRY(input_make(h, dnnl_query_src_md, &src, h->task.src, &h->src));
    TRY(input_make(h, dnnl_query_weights_md, &weights, h->task.weights, &h->weights));
    h->args[h->arg_count++] = (dnnl_exec_arg_t){DNNL_ARG_SRC, h->src};
    h->args[h->arg_count++] = (dnnl_exec_arg_t){DNNL_ARG_WEIGHTS, h->weights};
    if (h->task.bias) {
        TRY(dnnl_memory_create(&h->bias, &bias, h->engine, (void *)h->task.bias));
        h->args[h->arg_count++] = (dnnl_exec_arg_t){DNNL_ARG_BIAS, h->bias};
    }
    const dnnl_memory_desc_t *dst = dnnl_primitive_desc_query_md(h->desc, dnnl_query_dst_md, 0);
    TRY(dnnl_memory_create(&h->dst, dst, h->engine, DNNL_MEMORY_ALLOCATE));
    h->args[h->arg_count++] = (dnnl_exec_arg_t){DNNL_ARG_DST, h->dst};
    /* `sum` adds to what dst holds: what that is does not matter to the time, as long as it is finite. */
    return h->task.add ? copy(h, &h->plain_dst, (void *)h->task.add, h->dst, false) : dnnl_success;
}

static dnnl_status_t handle_fill(struct handle *h, bool any)
{
    TRY(dnnl_engine_create(&h->engine, dnnl_cpu, 0));
    TRY(dnnl_stream_create(&h->stream, h->engine, dnnl_stream_default_flags));
    TRY(attr_make(h));
    TRY(primitive_make(h, any));
    return tensors_make(h);
}

/* ---- the table ---- */

static void destroy(void *handle)
{
    struct handle *h = handle;
    dnnl_memory_t memories[] = {h->src, h->weights, h->bias, h->dst};
    for (size_t i = 0; i < sizeof memories / sizeof *memories; i++)
        if (memories[i]) dnnl_memory_destroy(memories[i]);
    if (h->primitive) dnnl_primitive_destroy(h->primitive);
    if (h->desc) dnnl_primitive_desc_destroy(h->desc);
    if (h->attr) dnnl_primitive_attr_destroy(h->attr);
    if (h->stream) dnnl_stream_destroy(h->stream);
    if (h->engine) dnnl_engine_destroy(h->engine);
    free(h);
}

static enum kiln_status create(const struct peer_task *task, const char *name, void **handle,
                               struct kiln_error *error)
{
    if (!conv_supported(task->conv)) return refuse(error, "this peer measures f32 with zero padding only");
    struct handle *h = calloc(1, sizeof *h);
    if (!h) return refuse(error, "out of memory");
    h->task = *task;
    shape_make(&h->shape, task);
    dnnl_status_t status = handle_fill(h, !strcmp(name, "any"));
    if (status != dnnl_success) {
        destroy(h);
        return refuse(error, "oneDNN answers status %d to this convolution", (int)status);
    }
    *handle = h;
    return KILN_STATUS_OK;
}

static void run(void *handle)
{
    struct handle *h = handle;
    dnnl_primitive_execute(h->primitive, h->stream, h->arg_count, h->args);
}

static dnnl_status_t result_fill(struct handle *h, float *dst)
{
    if (h->task.add) TRY(copy(h, &h->plain_dst, (void *)h->task.add, h->dst, false));
    TRY(dnnl_primitive_execute(h->primitive, h->stream, h->arg_count, h->args));
    TRY(dnnl_stream_wait(h->stream));
    return copy(h, &h->plain_dst, dst, h->dst, true);
}

static enum kiln_status result(void *handle, float *dst, struct kiln_error *error)
{
    dnnl_status_t status = result_fill(handle, dst);
    return status == dnnl_success ? KILN_STATUS_OK
                                  : refuse(error, "oneDNN failed with status %d", (int)status);
}

__attribute__((visibility("default"))) peer_entry_function peer_entry;

const struct peer *peer_entry(void)
{
    static const struct peer peer = {PEER_VERSION, "onednn", variant, create, run, result, destroy};
    return &peer;
}
