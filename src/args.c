/* args: the one table of the tensors of struct kiln_args, in the order of its fields. */
#include "args.h"

#include <assert.h>

#include "status.h"

/* A tensor that a post-op reads, or that every convolution has. */
static const struct tensor {
    const char *name;
    size_t offset;
    bool always;
    enum kiln_post_kind kind;
} tensors[] = {
    {"src", offsetof(struct kiln_args, src), true, 0},
    {"weights", offsetof(struct kiln_args, weights), true, 0},
    {"bias", offsetof(struct kiln_args, bias), false, KILN_POST_BIAS},
    {"scale", offsetof(struct kiln_args, scale), false, KILN_POST_SCALE},
    {"add", offsetof(struct kiln_args, add), false, KILN_POST_ADD},
    {"prelu", offsetof(struct kiln_args, prelu), false, KILN_POST_PRELU},
    {"dst", offsetof(struct kiln_args, dst), true, 0},
};
static_assert(sizeof tensors / sizeof *tensors == ARGS_TENSORS, "a row for each tensor");

/* Bytes of one element of tensor i: bias, scale and slopes are f32, whatever the convolution's types. */
static size_t element_bytes(const struct kiln_conv *conv, const struct tensor *t)
{
    if (t->offset == offsetof(struct kiln_args, src)) return type_bytes(conv->src);
    if (t->offset == offsetof(struct kiln_args, dst) || t->kind == KILN_POST_ADD)
        return type_bytes(conv->dst);
    return type_bytes(KILN_TYPE_F32);
}

struct args_need args_need(const struct kiln_conv *conv, size_t weights_align)
{
    struct args_need need = {0};
    for (int i = 0; i < ARGS_TENSORS; i++) {
        const struct tensor *t = &tensors[i];
        assert(t->offset == (size_t)i * sizeof(void *));
        if (!t->always && !conv_has(conv, t->kind)) continue;
        bool weights = t->offset == offsetof(struct kiln_args, weights);
        need.there[i] = 1;
        need.low[i] = (weights ? weights_align : element_bytes(conv, t)) - 1;
    }
    return need;
}

enum kiln_status args_fail(const struct args_need *need, const struct kiln_args *args,
                           struct kiln_error *error)
{
    for (int i = 0; i < ARGS_TENSORS; i++) {
        uintptr_t at = args_address(args, i);
        if (need->there[i] && !at)
            return fail(error, KILN_STATUS_INVALID, "%s is NULL: this convolution needs it", tensors[i].name);
        if (at & need->low[i])
            return fail(error, KILN_STATUS_INVALID, "%s is at %#llx: must be aligned to %llu bytes",
                        tensors[i].name, (unsigned long long)at, (unsigned long long)need->low[i] + 1);
    }
    assert(!"args_fail called for args that fit");
    return KILN_STATUS_INTERNAL;
}
