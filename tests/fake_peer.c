/* A peer whose answers are known: the oracle's, right or spoiled. In nhwc it is right; in nchw it has one
 * variant for each way of being wrong. */
#include "peer.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct handle {
    struct peer_task task;
    const char *variant;
};

static const char *variant(const struct kiln_conv *conv, int i)
{
    static const char *const nhwc[] = {"right", NULL}, *const nchw[] = {"wrong", "nan", "refuses", "right",
                                                                        NULL};
    return conv->layout == KILN_LAYOUT_NHWC ? nhwc[i] : nchw[i];
}

static enum kiln_status create(const struct peer_task *task, const char *name, void **handle,
                               struct kiln_error *error)
{
    if (!strcmp(name, "refuses")) {
        snprintf(error->text, sizeof error->text, "it \"refuses\"");
        return KILN_STATUS_UNSUPPORTED;
    }
    struct handle *h = malloc(sizeof *h);
    *h = (struct handle){*task, name};
    *handle = h;
    return KILN_STATUS_OK;
}

static void run(void *handle) { (void)handle; }

static enum kiln_status result(void *handle, float *dst, struct kiln_error *error)
{
    const struct handle *h = handle;
    const struct peer_task *t = &h->task;
    const struct kiln_args args = {
        .src = t->src, .bias = t->bias, .scale = t->scale, .add = t->add, .prelu = t->prelu, .dst = dst};
    enum kiln_status status = kiln_interpret(t->conv, t->weights, &args, error);
    size_t last = (size_t)(t->conv->n * t->conv->oc * t->out[0] * t->out[1] * t->out[2]) - 1;
    if (!strcmp(h->variant, "wrong")) dst[last] += 1;
    if (!strcmp(h->variant, "nan")) dst[last] = NAN;
    return status;
}

__attribute__((visibility("default"))) peer_entry_function peer_entry;

const struct peer *peer_entry(void)
{
    static const struct peer peer = {PEER_VERSION, "fake", variant, create, run, result, free};
    return &peer;
}
