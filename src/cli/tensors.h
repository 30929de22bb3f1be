/* tensors: the .npy files of one convolution, read and compared with the shapes it needs. */
#ifndef KILN_CLI_TENSORS_H
#define KILN_CLI_TENSORS_H

#include "npy.h"

#include "kiln.h"

/* Paths, or NULL where none was given. */
struct tensor_files {
    const char *src, *weights, *bias, *scale, *add, *prelu;
};

/* The flags of a command whose struct `of` has a member `files`. */
#define FLAGS_TENSORS(of)                                                                                \
    {"src", "FILE", "input, in the conv's layout", flag_text, offsetof(of, files.src)},                  \
        {"weights", "FILE", "weights[oc][ic/g][kh][kw]", flag_text, offsetof(of, files.weights)},        \
        {"bias", "FILE", "bias[oc], for +bias", flag_text, offsetof(of, files.bias)},                    \
        {"scale", "FILE", "scale[oc], for +scale", flag_text, offsetof(of, files.scale)},                \
        {"add", "FILE", "a tensor of the output's shape, for +add", flag_text, offsetof(of, files.add)}, \
    {                                                                                                    \
        "prelu", "FILE", "slope[oc], for +prelu", flag_text, offsetof(of, files.prelu)                   \
    }

enum { TENSOR_FILES = sizeof(struct tensor_files) / sizeof(const char *) };

struct tensors {
    struct kiln_args args; /* all but weights and dst */
    const float *weights;  /* raw */
    int dims;              /* spatial dimensions of src as it was given: dst gets as many */
    struct npy npy[TENSOR_FILES];
};

/* Reads all that the conv needs. False: a file is missing, superfluous or wrong, said on standard error. */
bool tensors_read(struct tensors *tensors, const struct kiln_conv *conv, const struct tensor_files *files);
void tensors_free(struct tensors *tensors);

/* 1, 2 or 3: the spatial dimensions that are more than 1 somewhere. */
int tensors_dims(const struct kiln_conv *conv);

/* The shape of dst with `dims` spatial dimensions, in the conv's layout. Returns its rank. */
int tensors_dst_shape(const struct kiln_conv *conv, int dims, int64_t shape[NPY_RANK_MAX]);

#endif
