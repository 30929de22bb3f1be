/* examples/onnxruntime in ONNX Runtime itself: models of two nodes, kiln's Conv and ONNX's own, on the same
 * input and weights. They are integers, so the results must be equal. The argument is the path of the
 * library. */
#include "onnx.c"

#include <onnxruntime_c_api.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { API_VERSION = 23, ATTRIBUTE_STRING = 3, ELEMENTS = 4096 /* of the largest tensor */ };

/* The first fields of a trial. */
#define PADDED {1, 4, 9, 8}, {6, 4, 3, 3}, {1, 6, 9, 8}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 1
#define STRIDED {2, 8, 14, 15}, {12, 4, 3, 2}, {2, 12, 8, 13}, {2, 1}, {1, 0, 2, 1}, {1, 3}, 2
#define POINTWISE {1, 4, 5, 5}, {8, 4, 1, 1}, {1, 8, 5, 5}, {1, 1}, {0}, {1, 1}, 1

static const struct trial {
    int64_t x[4], w[4], y[4]; /* shapes; b has the first of w */
    int64_t strides[2], pads[4], dilations[2], group;
    bool bias, constant;      /* whether there is a bias, and w is a constant */
    const char *conv, *error; /* what ONNX Runtime must say; NULL: nothing, and the results must be equal */
} trials[] = {
    {PADDED, true, true, "conv ic4 ih9 iw8 oc6 kh3 kw3 ph1 pw1 nchw strict +bias", NULL},
    {STRIDED, true, true, "conv n2 g2 ic8 ih14 iw15 oc12 kh3 kw2 sh2 dw3 pt1 pb2 pr1 nchw +bias", NULL},
    {POINTWISE, false, true, "conv ic4 ih5 iw5 oc8 kw1 nchw", NULL},
    {POINTWISE, false, true, "conv ic4 ih5 iw5 oc8 kw1 nchw +bias", "bias"},
    {POINTWISE, true, true, "conv ic4 ih5 iw5 oc9 kw1 nchw +bias", "X, W or B is not as conv says"},
    {POINTWISE, true, true, "conv ic4 ih6 iw5 oc8 kw1 nchw +bias", "X, W or B is not as conv says"},
    {POINTWISE, true, true, "conv ic4 ih5 iw5 oc8 kw1 nhwc +bias", "conv is not 2-D nchw"},
    {POINTWISE, true, true, "conv ic4 oc8", "iw"},
    {POINTWISE, true, false, "conv ic4 ih5 iw5 oc8 kw1 nchw +bias", "W is not constant"},
};

static const OrtApi *api;

static void must(OrtStatus *status)
{
    if (!status) return;
    fprintf(stderr, "%s\n", api->GetErrorMessage(status));
    exit(1);
}

/* ---- models ---- */

static float weights[ELEMENTS], x[ELEMENTS];

static struct bytes model_node(const struct trial *t, const char *output)
{
    struct bytes node =
        node_make("Conv", (const char *const[]){"x", "w", t->bias ? "b" : NULL, NULL}, output);
    put_text(&node, 3, output); /* its name: the last one given counts */
    return node;
}

static void put_kiln(struct bytes *graph, const struct trial *t)
{
    struct bytes node = model_node(t, "kiln"), attribute = {0};
    put_text(&node, 7, "kiln");
    put_text(&attribute, 1, "conv");
    put_text(&attribute, 4, t->conv);
    put_number(&attribute, 20, ATTRIBUTE_STRING);
    put_message(&node, 5, &attribute);
    put_message(graph, 1, &node);
}

static void put_onnx(struct bytes *graph, const struct trial *t)
{
    struct bytes node = model_node(t, "onnx");
    put_attribute_ints(&node, "strides", t->strides, 2);
    put_attribute_ints(&node, "pads", t->pads, 4);
    put_attribute_ints(&node, "dilations", t->dilations, 2);
    put_attribute_int(&node, "group", t->group);
    put_message(graph, 1, &node);
}

static void put_opset(struct bytes *model, const char *domain, int version)
{
    struct bytes opset = {0};
    put_text(&opset, 1, domain);
    put_number(&opset, 2, version);
    put_message(model, 8, &opset);
}

static struct bytes model_make(const struct trial *t)
{
    struct bytes graph = {0}, model = {0};
    put_kiln(&graph, t);
    put_onnx(&graph, t);
    put_text(&graph, 2, "two convolutions");
    if (t->constant) put_constant(&graph, "w", t->w, 4, weights);
    if (t->bias) put_constant(&graph, "b", t->w, 1, weights);
    put_value(&graph, 11, "x", t->x, 4);
    if (!t->constant) put_value(&graph, 11, "w", t->w, 4);
    put_value(&graph, 12, "kiln", t->y, 4);
    put_value(&graph, 12, "onnx", t->y, 4);
    put_number(&model, 1, IR_VERSION);
    put_message(&model, 7, &graph);
    put_opset(&model, "", OPSET);
    put_opset(&model, "kiln", 1);
    return model;
}

/* ---- trials ---- */

static OrtStatus *results_get(OrtSession *session, const struct trial *t, OrtValue *results[2])
{
    OrtMemoryInfo *memory;
    OrtValue *value;
    int64_t bytes = t->x[0] * t->x[1] * t->x[2] * t->x[3] * (int64_t)sizeof *x;
    must(api->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &memory));
    must(api->CreateTensorWithDataAsOrtValue(memory, x, (size_t)bytes, t->x, 4,
                                             ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &value));
    OrtStatus *status = api->Run(session, NULL, (const char *[]){"x"}, (const OrtValue *const[]){value}, 1,
                                 (const char *[]){"kiln", "onnx"}, 2, results);
    api->ReleaseValue(value);
    api->ReleaseMemoryInfo(memory);
    return status;
}

static const float *elements(const OrtValue *value)
{
    const void *data;
    must(api->GetTensorData(value, &data));
    return data;
}

/* How many elements of the results differ. */
static int results_compare(OrtValue *results[2], const struct trial *t)
{
    int64_t count = t->y[0] * t->y[1] * t->y[2] * t->y[3];
    const float *kiln = elements(results[0]), *onnx = elements(results[1]);
    int wrong = 0;
    for (int64_t i = 0; i < count; i++) wrong += kiln[i] != onnx[i];
    printf("%s: %d of %d elements are wrong\n", t->conv, wrong, (int)count);
    return wrong;
}

/* Whether the status is what the trial wants; releases it. */
static bool status_expected(OrtStatus *status, const struct trial *t)
{
    const char *said = status ? api->GetErrorMessage(status) : "nothing";
    bool expected = status ? t->error && strstr(said, t->error) : !t->error;
    if (!expected) printf("%s: ONNX Runtime says: %s\n", t->conv, said);
    api->ReleaseStatus(status);
    return expected;
}

static bool trial_run(const OrtEnv *env, const OrtSessionOptions *options, const struct trial *t)
{
    struct bytes model = model_make(t);
    OrtSession *session = NULL;
    OrtValue *results[2] = {NULL, NULL};
    OrtStatus *status = api->CreateSessionFromArray(env, model.at, model.count, options, &session);
    if (!status) status = results_get(session, t, results);
    bool good = status_expected(status, t) && (t->error || results_compare(results, t) == 0);
    for (int i = 0; i < 2; i++) api->ReleaseValue(results[i]);
    api->ReleaseSession(session);
    free(model.at);
    return good;
}

int main(int argc, char **argv)
{
    OrtEnv *env;
    OrtSessionOptions *options;
    bool good = true;
    if (argc != 2 || !(api = OrtGetApiBase()->GetApi(API_VERSION))) return 1;
    for (int i = 0; i < ELEMENTS; i++) {
        x[i] = (float)(i * 7 % 19 - 9);
        weights[i] = (float)(i * 5 % 13 - 6);
    }
    must(api->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "test", &env));
    must(api->CreateSessionOptions(&options));
    must(api->SetIntraOpNumThreads(options, 2));
    must(api->RegisterCustomOpsLibrary_V2(options, argv[1]));
    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++) good &= trial_run(env, options, &trials[i]);
    api->ReleaseSessionOptions(options);
    api->ReleaseEnv(env);
    return !good;
}
