/* onnx: a model of one convolution and its post-ops, as the bytes of an ONNX file. */
#ifndef KILN_BENCH_ONNX_H
#define KILN_BENCH_ONNX_H

#include "common.h"

/* Bytes that grow; `failed` once there was no memory for more. */
struct bytes {
    unsigned char *at;
    size_t count, room;
    bool failed;
};

/* The tensors of the model by name: x (and with +add: z) in NCHW, y out. 2-D if the conv has one or two
 * dimensions. False: no memory. The bytes are freed by the caller. */
bool onnx_model(struct bytes *model, const struct peer_task *task, const struct chain *chain);

#endif
