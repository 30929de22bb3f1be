/* onednn: oneDNN as a peer of bench, in f32. Variant "any" lets it choose the layouts of src and dst,
 * whose reordering is not timed; "plain" reads and writes the conv's own layout. Weights are always in
 * the layout it chooses, and post-ops are fused. */
#include "common.h"
#include "onednn_version.h"
#include <stdlib.h>
#include <string.h>

/* The conv in oneDNN's terms. */
struct shape {
    int rank[TENSORS];
    dnnl_dims_t dims[TENSORS];
    dnnl_format_tag_t tags[TENSORS]; /* of the plain layouts */
    dnnl_dims_t strides, dilates, low, high;
};

struct handle {
    struct peer_task task;
    struct shape shape;
    const float *tensors[TENSORS]; /* the caller's; DST: what `add` reads, or NULL */
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_attr_t attr;
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
    desc plain[TENSORS], wanted[TENSORS];
    dnnl_memory_t memory[TENSORS]; /* as the primitive reads and writes them */
    dnnl_exec_arg_t args[TENSORS];
    int arg_count;
};

/* `return` with the status of the first step that fails. */
#define TRY(step)                                    \
    do {                                             \
        dnnl_status_t status_ = (step);              \
        if (status_ != dnnl_success) return status_; \
    } while (0)

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
    bool deep = c->id > 1 || c->kd > 1 || task->out[0] > 1, groups = c->g > 1;
    int spatial = deep ? 3 : 2;
    dnnl_format_tag_t tag = tags[deep][c->layout == KILN_LAYOUT_NHWC];
    *s = (struct shape){.rank = {spatial + 2, spatial + 2 + groups, 1, spatial + 2},
                        .tags = {tag, weights_tags[deep][groups], dnnl_a, tag},
                        .dims = {{c->n, c->ic}, {0}, {c->oc}, {c->n, c->oc}}};
    put_spatial(s->dims[SRC] + 2, spatial, c->id, c->ih, c->iw);
    put_spatial(s->dims[DST] + 2, spatial, task->out[0], task->out[1], task->out[2]);
    int64_t *w = s->dims[WEIGHTS];
    if (groups) *w++ = c->g;
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
    if (post->kind == KILN_POST_ADD) return append_sum(ops);
    for (size_t i = 0; i < sizeof eltwise / sizeof *eltwise; i++)
        if (eltwise[i].kind == post->kind)
            return append_eltwise(ops, eltwise[i].alg, eltwise[i].alpha + post->a, post->b);
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

/* Weights in any layout; src and dst too if `any`. */
static dnnl_status_t primitive_make(struct handle *h, bool any)
{
    const struct shape *s = &h->shape;
    const bool free_choice[TENSORS] = {[SRC] = any, [WEIGHTS] = true, [DST] = any};
    desc_ref wanted[TENSORS] = {0};
    for (int i = 0; i < TENSORS; i++) {
        dnnl_format_tag_t tag = free_choice[i] ? dnnl_format_tag_any : s->tags[i];
        TRY(desc_make(&h->plain[i], s->rank[i], s->dims[i], s->tags[i]));
        TRY(desc_make(&h->wanted[i], s->rank[i], s->dims[i], tag));
        if (i != BIAS || h->task.bias) wanted[i] = desc_of(&h->wanted[i]);
    }
    TRY(conv_make(&h->desc, h->engine, h->attr, wanted, s->strides, s->dilates, s->low, s->high));
    return dnnl_primitive_create(&h->primitive, h->desc);
}

static dnnl_status_t reorder(struct handle *h, dnnl_memory_t from, dnnl_memory_t to)
{
    desc_ref from_desc, to_desc;
    dnnl_primitive_desc_t how;
    dnnl_primitive_t primitive;
    TRY(dnnl_memory_get_memory_desc(from, &from_desc));
    TRY(dnnl_memory_get_memory_desc(to, &to_desc));
    TRY(dnnl_reorder_primitive_desc_create(&how, from_desc, h->engine, to_desc, h->engine, NULL));
    dnnl_status_t status = dnnl_primitive_create(&primitive, how);
    dnnl_primitive_desc_destroy(how);
    TRY(status);
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    status = dnnl_primitive_execute(primitive, h->stream, 2, args);
    dnnl_primitive_destroy(primitive);
    TRY(status);
    return dnnl_stream_wait(h->stream);
}

/* Copies between the caller's plain tensor i and its memory in the primitive's layout, either way. */
static dnnl_status_t copy(struct handle *h, int i, const float *tensor, bool out)
{
    dnnl_memory_t plain;
    TRY(dnnl_memory_create(&plain, desc_of(&h->plain[i]), h->engine, (void *)tensor));
    dnnl_status_t status = out ? reorder(h, h->memory[i], plain) : reorder(h, plain, h->memory[i]);
    dnnl_memory_destroy(plain);
    return status;
}

/* Memory as the primitive reads it: the caller's tensor where that is so laid out, else a copy. `sum`
 * adds to what dst holds: what that is does not matter to the time, as long as it is finite. */
static dnnl_status_t memory_make(struct handle *h, int i, dnnl_query_t query, int arg)
{
    desc_ref chosen = dnnl_primitive_desc_query_md(h->desc, query, i == BIAS);
    bool wrap = i != DST && dnnl_memory_desc_equal(chosen, desc_of(&h->plain[i]));
    void *handle = wrap ? (void *)h->tensors[i] : DNNL_MEMORY_ALLOCATE;
    TRY(dnnl_memory_create(&h->memory[i], chosen, h->engine, handle));
    h->args[h->arg_count++] = (dnnl_exec_arg_t){arg, h->memory[i]};
    return wrap || !h->tensors[i] ? dnnl_success : copy(h, i, h->tensors[i], false);
}

static dnnl_status_t tensors_make(struct handle *h)
{
    static const struct {
        dnnl_query_t query;
        int arg;
    } rows[TENSORS] = {[SRC] = {dnnl_query_src_md, DNNL_ARG_SRC},
                       [WEIGHTS] = {dnnl_query_weights_md, DNNL_ARG_WEIGHTS},
                       [BIAS] = {dnnl_query_weights_md, DNNL_ARG_BIAS}, /* index 1 of the weights */
                       [DST] = {dnnl_query_dst_md, DNNL_ARG_DST}};
    const struct peer_task *t = &h->task;
    memcpy(h->tensors, (const float *[TENSORS]){t->src, t->weights, t->bias, t->add}, sizeof h->tensors);
    for (int i = 0; i < TENSORS; i++)
        if (i != BIAS || t->bias) TRY(memory_make(h, i, rows[i].query, rows[i].arg));
    return dnnl_success;
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
    for (int i = 0; i < TENSORS; i++) {
        if (h->memory[i]) dnnl_memory_destroy(h->memory[i]);
        desc_free(&h->plain[i]);
        desc_free(&h->wanted[i]);
    }
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
    if (h->task.add) TRY(copy(h, DST, h->task.add, false));
    TRY(dnnl_primitive_execute(h->primitive, h->stream, h->arg_count, h->args));
    TRY(dnnl_stream_wait(h->stream));
    return copy(h, DST, dst, true);
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
