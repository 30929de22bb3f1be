/* A convolution of ONNX Runtime's, computed by Kiln on the session's threads: what a node does when its
 * session is made, when it runs, and when it goes. */
#include "op.h"
#include <stdlib.h>

struct node {
    const OrtApi *api;
    struct kiln *k;
    struct kiln_plan *plan;
    void *packed;
};

static _Thread_local OrtKernelContext *running;

/* The session's threads as Kiln's. */
static void parallel(void *api, size_t count, void (*work)(void *arg, size_t i), void *arg)
{
    OrtStatus *status = ((const OrtApi *)api)->KernelContext_ParallelFor(running, work, count, 0, arg);
    if (status) abort(); /* only if `running` were none */
}

/* The elements of an input, which must be so many. */
static OrtStatus *data_get(const OrtApi *api, const OrtValue *value, int64_t count, const void **data)
{
    size_t bytes = 0;
    OrtStatus *status = api->GetTensorSizeInBytes(value, &bytes);
    if (bytes != (size_t)count * sizeof(float)) TRY(CreateStatus(ORT_FAIL, "X, W or B is not as conv says"));
    TRY(GetTensorData(value, data));
    return status;
}

void conv_destroy(void *kernel)
{
    struct node *node = kernel;
    kiln_plan_release(node->plan), kiln_destroy(node->k), free(node->packed), free(node);
}

/* Machine code and packed weights. */
static OrtStatus *node_make(struct node *node, const char *text, const OrtValue *w)
{
    const OrtApi *api = node->api;
    struct kiln_config config = {.size = sizeof config, .parallel = parallel, .parallel_user = (void *)api};
    struct kiln_conv c;
    struct kiln_error error;
    const void *weights;
    if (kiln_conv_parse(&c, text, &error)) return api->CreateStatus(ORT_FAIL, error.text);
    if (c.layout != KILN_LAYOUT_NCHW || c.kd != 1) return api->CreateStatus(ORT_FAIL, "conv is not 2-D nchw");
    OrtStatus *status = data_get(api, w, c.oc * (c.ic / c.g) * c.kh * c.kw, &weights);
    if (status) return status;
    if (kiln_create(&node->k, &config, &error) || kiln_compile(node->k, &c, NULL, &node->plan, &error))
        return api->CreateStatus(ORT_FAIL, error.text);
    node->packed = aligned_alloc(64, (kiln_plan_packed_size(node->plan) + 63) / 64 * 64);
    return kiln_pack(node->plan, weights, node->packed, &error) ? api->CreateStatus(ORT_FAIL, error.text)
                                                                : NULL;
}

OrtStatus *conv_create(const OrtCustomOp *op, const OrtApi *api, const OrtKernelInfo *info, void **kernel)
{
    char text[KILN_TEXT_MAX];
    size_t size = sizeof text;
    const OrtValue *w;
    int constant = 0;
    struct node *node = calloc(1, sizeof *node);
    if (!node) return api->CreateStatus(ORT_FAIL, "out of memory");
    node->api = api;
    OrtStatus *status = api->KernelInfoGetAttribute_string(info, "conv", text, &size);
    TRY(KernelInfoGetConstantInput_tensor(info, W, &constant, &w));
    if (!constant) TRY(CreateStatus(ORT_FAIL, "W is not constant"));
    if (!status) status = node_make(node, text, w);
    if (status) return conv_destroy(node), status;
    *kernel = node;
    return NULL;
}

OrtStatus *conv_compute(void *kernel, OrtKernelContext *context)
{
    const struct node *node = kernel;
    const OrtApi *api = node->api;
    const struct kiln_conv *c = kiln_plan_conv(node->plan);
    struct kiln_args args = {.weights = node->packed};
    struct kiln_error error;
    const OrtValue *x, *b = NULL;
    OrtValue *y;
    int64_t out[3];
    kiln_conv_output(c, out, NULL);
    const int64_t dims[] = {c->n, c->oc, out[1], out[2]};
    OrtStatus *status = api->KernelContext_GetInput(context, X, &x);
    TRY(KernelContext_GetInput(context, B, &b));
    TRY(KernelContext_GetOutput(context, 0, dims, 4, &y));
    if (!status) status = data_get(api, x, c->n * c->ic * c->ih * c->iw, &args.src);
    if (!status && b) status = data_get(api, b, c->oc, &args.bias);
    TRY(GetTensorMutableData(y, &args.dst));
    running = context;
    if (!status && kiln_run(node->plan, &args, &error)) TRY(CreateStatus(ORT_FAIL, error.text));
    return status;
}
