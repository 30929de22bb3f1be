/* A custom op of ONNX Runtime: Conv of the domain "kiln", f32 and two-dimensional.
 *
 *   inputs      X, W, which must be constant, and B, if conv says +bias
 *   attribute   conv = "conv ic3 ih224 iw224 oc64 kh3 kw3 ph1 pw1 nchw +bias +relu", for example */
#ifndef OP_H
#define OP_H

#include <kiln.h>
#include <onnxruntime_c_api.h>

enum { API_VERSION = 23 }; /* the first with all that is called here */

enum { X, W, B, INPUTS };

#define TRY(call) status = status ? status : api->call /* the first error stays */

/* Once, when a session is made: machine code and packed weights. */
OrtStatus *conv_create(const OrtCustomOp *op, const OrtApi *api, const OrtKernelInfo *info, void **kernel);

OrtStatus *conv_compute(void *kernel, OrtKernelContext *context);

void conv_destroy(void *kernel);

#endif
