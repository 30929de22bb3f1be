/* What ONNX Runtime wants to know of a custom op, and of a library of them: RegisterCustomOpsLibrary_V2 takes
 * the path of the library that this and conv.c make. */
#include "op.h"

static const char *name(const OrtCustomOp *op) { return "Conv"; }
static const char *provider(const OrtCustomOp *op) { return NULL; }
static size_t inputs(const OrtCustomOp *op) { return INPUTS; }
static size_t outputs(const OrtCustomOp *op) { return 1; }
static ONNXTensorElementDataType type(const OrtCustomOp *op, size_t i)
{
    return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
}

static OrtCustomOpInputOutputCharacteristic need(const OrtCustomOp *op, size_t i)
{
    return i == B ? INPUT_OUTPUT_OPTIONAL : INPUT_OUTPUT_REQUIRED;
}

static OrtMemType memory(const OrtCustomOp *op, size_t i) { return OrtMemTypeDefault; }

static const OrtCustomOp conv = {
    .version = API_VERSION,
    .CreateKernelV2 = conv_create,
    .KernelComputeV2 = conv_compute,
    .KernelDestroy = conv_destroy,
    .GetName = name,
    .GetExecutionProviderType = provider,
    .GetInputTypeCount = inputs,
    .GetOutputTypeCount = outputs,
    .GetInputType = type,
    .GetOutputType = type,
    .GetInputCharacteristic = need,
    .GetOutputCharacteristic = need,
    .GetInputMemoryType = memory,
};

KILN_API OrtStatus *RegisterCustomOps(OrtSessionOptions *options, const OrtApiBase *base);

OrtStatus *RegisterCustomOps(OrtSessionOptions *options, const OrtApiBase *base)
{
    static OrtCustomOpDomain *domain; /* must outlive the sessions */
    const OrtApi *api = base->GetApi(API_VERSION);
    OrtStatus *status = NULL;
    if (!domain) {
        TRY(CreateCustomOpDomain("kiln", &domain));
        TRY(CustomOpDomain_Add(domain, &conv));
    }
    TRY(AddCustomOpDomain(options, domain));
    return status;
}
