/* onnxruntime: ONNX Runtime as a peer of bench, in f32 NCHW, the layout of its convolutions. A model of
 * one convolution is made in memory, and its tensors bound once. Its optimiser packs the weights and fuses
 * post-ops. Variant "all" lets it use blocked layouts inside, whose reordering is then part of every run;
 * "plain" stops short of that. An NHWC convolution is measured on NCHW tensors, copied outside the timed
 * region. */
#include "onnx.h"
#include <onnxruntime_c_api.h>
#include <stdlib.h>
#include <string.h>

/* The first version of its interface with all that is called here. */
enum { API_VERSION = 8 };

enum { X, Z, Y, VALUES }; /* src, what +add reads, dst */

struct handle {
    struct peer_task task;
    const OrtApi *api;
    OrtEnv *env;
    OrtSessionOptions *options;
    OrtSession *session;
    OrtMemoryInfo *memory;
    OrtIoBinding *binding;
    OrtValue *values[VALUES];
    float *tensors[VALUES]; /* in NCHW, our own */
};

static const char *variant(const struct kiln_conv *conv, int i)
{
    static const char *const names[] = {"all", "plain", NULL}, *const nhwc[] = {"nchw-all", "nchw-plain",
                                                                                NULL};
    return conv->layout == KILN_LAYOUT_NHWC ? nhwc[i] : names[i];
}

/* `return` with the error of the first step that fails. */
#define TRY(step)                    \
    do {                             \
        OrtStatus *status_ = (step); \
        if (status_) return status_; \
    } while (0)

/* ---- tensors ---- */

/* Pixels and channels of the caller's tensors; z and y have the same. */
struct size {
    int64_t channels, h, w;
};

static struct size size_of(const struct peer_task *t, int value)
{
    const struct kiln_conv *c = t->conv;
    return value == X ? (struct size){c->ic, c->ih, c->iw} : (struct size){c->oc, t->out[1], t->out[2]};
}

/* Between the caller's layout and NCHW; `back`: from ours to the caller's. */
static void copy(const struct handle *h, int value, const float *from, float *to, bool back)
{
    const struct kiln_conv *c = h->task.conv;
    struct size s = size_of(&h->task, value);
    int64_t pixels = s.h * s.w;
    if (c->layout == KILN_LAYOUT_NCHW)
        memcpy(to, from, (size_t)(c->n * s.channels * pixels) * sizeof *to);
    else if (back)
        channels_move(from, to, c->n, s.channels, pixels);
    else
        channels_move(from, to, c->n, pixels, s.channels);
}

static OrtStatus *value_make(struct handle *h, int value, const float *from)
{
    struct size s = size_of(&h->task, value);
    const int64_t dims[] = {h->task.conv->n, s.channels, s.h, s.w};
    int64_t count = dims[0] * dims[1] * dims[2] * dims[3];
    h->tensors[value] = floats_make(count);
    if (!h->tensors[value]) return h->api->CreateStatus(ORT_FAIL, "out of memory");
    if (from) copy(h, value, from, h->tensors[value], false);
    return h->api->CreateTensorWithDataAsOrtValue(h->memory, h->tensors[value], (size_t)count * sizeof(float),
                                                  dims, 4, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
                                                  &h->values[value]);
}

static OrtStatus *tensors_bind(struct handle *h)
{
    TRY(h->api->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &h->memory));
    TRY(value_make(h, X, h->task.src));
    TRY(value_make(h, Y, NULL));
    TRY(h->api->CreateIoBinding(h->session, &h->binding));
    TRY(h->api->BindInput(h->binding, "x", h->values[X]));
    TRY(h->api->BindOutput(h->binding, "y", h->values[Y]));
    if (!h->task.add) return NULL;
    TRY(value_make(h, Z, h->task.add));
    return h->api->BindInput(h->binding, "z", h->values[Z]);
}

/* ---- the session ---- */

static OrtStatus *session_make(struct handle *h, const struct chain *chain, bool plain)
{
    struct bytes model;
    TRY(h->api->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "kiln", &h->env));
    TRY(h->api->CreateSessionOptions(&h->options));
    TRY(h->api->SetIntraOpNumThreads(h->options, h->task.threads));
    TRY(h->api->SetInterOpNumThreads(h->options, 1));
    TRY(h->api->SetSessionGraphOptimizationLevel(h->options, plain ? ORT_ENABLE_EXTENDED : ORT_ENABLE_ALL));
    OrtStatus *status =
        onnx_model(&model, &h->task, chain)
            ? h->api->CreateSessionFromArray(h->env, model.at, model.count, h->options, &h->session)
            : h->api->CreateStatus(ORT_FAIL, "out of memory");
    free(model.at);
    return status;
}

static OrtStatus *handle_fill(struct handle *h, const struct chain *chain, bool plain)
{
    TRY(session_make(h, chain, plain));
    return tensors_bind(h);
}

static void destroy(void *handle)
{
    struct handle *h = handle;
    h->api->ReleaseIoBinding(h->binding); /* all of them take NULL */
    for (int i = 0; i < VALUES; i++) {
        h->api->ReleaseValue(h->values[i]);
        free(h->tensors[i]);
    }
    h->api->ReleaseMemoryInfo(h->memory);
    h->api->ReleaseSession(h->session);
    h->api->ReleaseSessionOptions(h->options);
    h->api->ReleaseEnv(h->env);
    free(h);
}

/* Its status as ours; frees it. */
static enum kiln_status refuse_status(const OrtApi *api, OrtStatus *status, struct kiln_error *error)
{
    refuse(error, "ONNX Runtime: %s", api->GetErrorMessage(status));
    api->ReleaseStatus(status);
    return KILN_STATUS_UNSUPPORTED;
}

static enum kiln_status create(const struct peer_task *task, const char *name, void **handle,
                               struct kiln_error *error)
{
    struct chain chain;
    if (plain_conv(task->conv, &chain, error) != KILN_STATUS_OK) return KILN_STATUS_UNSUPPORTED;
    const OrtApi *api = OrtGetApiBase()->GetApi(API_VERSION);
    if (!api) return refuse(error, "this ONNX Runtime is older than its interface %d", API_VERSION);
    struct handle *h = calloc(1, sizeof *h);
    if (!h) return refuse(error, "out of memory");
    h->task = *task;
    h->api = api;
    OrtStatus *status = handle_fill(h, &chain, strstr(name, "plain"));
    if (status) return destroy(h), refuse_status(api, status, error);
    *handle = h;
    return KILN_STATUS_OK;
}

/* ---- running ---- */

static OrtStatus *bound_run(struct handle *h) { return h->api->RunWithBinding(h->session, NULL, h->binding); }

static void run(void *handle)
{
    struct handle *h = handle;
    h->api->ReleaseStatus(bound_run(h));
}

static enum kiln_status result(void *handle, float *dst, struct kiln_error *error)
{
    struct handle *h = handle;
    OrtStatus *status = bound_run(h);
    if (status) return refuse_status(h->api, status, error);
    copy(h, Y, h->tensors[Y], dst, true);
    return KILN_STATUS_OK;
}

__attribute__((visibility("default"))) peer_entry_function peer_entry;

const struct peer *peer_entry(void)
{
    static const struct peer peer = {PEER_VERSION, "onnxruntime", variant, create, run, result, destroy};
    return &peer;
}
