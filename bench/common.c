/* common: plain helpers of the peers; nothing here is timed. */
#include "common.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum kiln_status refuse(struct kiln_error *error, const char *format, ...)
{
    if (error) {
        va_list rest;
        va_start(rest, format);
        vsnprintf(error->text, sizeof error->text, format, rest);
        va_end(rest);
        error->status = KILN_STATUS_UNSUPPORTED;
    }
    return KILN_STATUS_UNSUPPORTED;
}

bool chain_of(const struct kiln_conv *conv, struct chain *chain)
{
    const struct kiln_post *p = conv->post, *end = p + conv->post_count;
    *chain = (struct chain){.low = -INFINITY, .high = INFINITY};
    if (p < end && p->kind == KILN_POST_BIAS) chain->bias = true, p++;
    if (p < end && p->kind == KILN_POST_ADD) chain->add = true, p++;
    if (p < end && p->kind == KILN_POST_RELU) {
        chain->low = 0, p++;
    } else if (p < end && p->kind == KILN_POST_CLIP) {
        chain->low = p->a, chain->high = p->b, p++;
    }
    return p == end;
}

enum kiln_status plain_conv(const struct kiln_conv *c, struct chain *chain, struct kiln_error *error)
{
    if (c->src != KILN_TYPE_F32 || c->weights != KILN_TYPE_F32 || c->dst != KILN_TYPE_F32 ||
        c->mode != KILN_MODE_ZEROS)
        return refuse(error, "this peer measures f32 with zero padding only");
    if (c->id > 1 || c->kd > 1 || c->pf || c->pk)
        return refuse(error, "this peer measures one and two dimensions only");
    if (!chain_of(c, chain)) return refuse(error, "this peer measures +bias +add +relu (or +clip) only");
    return KILN_STATUS_OK;
}

void channels_move(const float *x, float *y, int64_t n, int64_t channels, int64_t pixels)
{
    for (int64_t image = 0; image < n; image++, x += channels * pixels, y += channels * pixels)
        for (int64_t c = 0; c < channels; c++)
            for (int64_t p = 0; p < pixels; p++) y[p * channels + c] = x[c * pixels + p];
}

float *weights_last(const struct kiln_conv *c, const float *weights)
{
    int64_t icg = c->ic / c->g, taps = c->kh * c->kw;
    float *last = floats_make(c->oc * icg * taps);
    if (last) channels_move(weights, last, c->oc, icg, taps);
    return last;
}

float *floats_make(int64_t count)
{
    size_t bytes = ((size_t)count * sizeof(float) + 63) / 64 * 64 + 64;
    return aligned_alloc(64, bytes);
}
