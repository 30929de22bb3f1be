/* args: which tensors a convolution reads and writes, and whether they are there and aligned. */
#ifndef KILN_SRC_ARGS_H
#define KILN_SRC_ARGS_H

#include "conv.h"

enum { ARGS_TENSORS = sizeof(struct kiln_args) / sizeof(void *), PACKED_ALIGN = 64 };

/* Per tensor, in the order of struct kiln_args: 1 if it must not be NULL, and the low bits of its
 * address that must be 0. Neither is asked of a tensor that the convolution does not use. */
struct args_need {
    uintptr_t there[ARGS_TENSORS], low[ARGS_TENSORS];
};

/* weights_align: of what args->weights will point to, packed or raw. conv has passed conv_check. */
struct args_need args_need(const struct kiln_conv *conv, size_t weights_align);

/* INVALID naming the first tensor that is not as needed; call it when args_fit is false. */
enum kiln_status args_fail(const struct args_need *need, const struct kiln_args *args,
                           struct kiln_error *error);

static inline uintptr_t args_address(const struct kiln_args *args, int i)
{
    return (uintptr_t)((const void *const *)args)[i];
}

/* On the path of every run: no branch but the caller's. */
static inline bool args_fit(const struct args_need *need, const struct kiln_args *args)
{
    uintptr_t wrong = 0;
    for (int i = 0; i < ARGS_TENSORS; i++) {
        uintptr_t at = args_address(args, i);
        wrong |= (at & need->low[i]) | (need->there[i] & (at == 0));
    }
    return wrong == 0;
}

#endif
