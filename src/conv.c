/* conv: the sizes that follow from a convolution, and the checks between its fields. What each field
 * may hold by itself is in the table of conv_text.c. Everything is int64; conv_check is the border:
 * after it no size computed here overflows. */
#include "conv_field.h"

#include "status.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

/* ---- sizes ---- */

struct axis conv_axis(const struct kiln_conv *c, int i)
{
    if (i == 0) return (struct axis){c->id, c->kd, c->sd, c->dd, c->pf, c->pk};
    if (i == 1) return (struct axis){c->ih, c->kh, c->sh, c->dh, c->pt, c->pb};
    return (struct axis){c->iw, c->kw, c->sw, c->dw, c->pl, c->pr};
}

void conv_set_axis(struct kiln_conv *c, int i, struct axis axis)
{
    int64_t *fields[AXES][6] = {
        {&c->id, &c->kd, &c->sd, &c->dd, &c->pf, &c->pk},
        {&c->ih, &c->kh, &c->sh, &c->dh, &c->pt, &c->pb},
        {&c->iw, &c->kw, &c->sw, &c->dw, &c->pl, &c->pr},
    };
    const int64_t values[] = {axis.in, axis.kernel, axis.stride, axis.dilation, axis.low, axis.high};
    for (int j = 0; j < 6; j++) *fields[i][j] = values[j];
}

/* The extent of the padded input, and what the dilated kernel spans of it; false: beyond int64. */
static bool axis_padded(const struct axis *a, int64_t *padded)
{
    return !__builtin_add_overflow(a->in, a->low, padded) &&
           !__builtin_add_overflow(*padded, a->high, padded);
}

static bool axis_span(const struct axis *a, int64_t *span)
{
    return !__builtin_mul_overflow(a->kernel - 1, a->dilation, span) &&
           !__builtin_add_overflow(*span, 1, span);
}

static int64_t axis_out(const struct kiln_conv *c, int i)
{
    struct axis a = conv_axis(c, i);
    int64_t padded, span;
    bool fits = axis_padded(&a, &padded) && axis_span(&a, &span);
    assert(fits && padded >= span);
    return fits ? (padded - span) / a.stride + 1 : 0;
}

int64_t conv_od(const struct kiln_conv *c) { return axis_out(c, 0); }
int64_t conv_oh(const struct kiln_conv *c) { return axis_out(c, 1); }
int64_t conv_ow(const struct kiln_conv *c) { return axis_out(c, 2); }

/* Whether a dimension is as if it were not there. */
static bool axis_trivial(const struct axis *a)
{
    const struct axis none = {.in = 1, .kernel = 1, .stride = 1, .dilation = 1};
    return memcmp(a, &none, sizeof none) == 0;
}

int conv_dims(const struct kiln_conv *c)
{
    struct axis depth = conv_axis(c, 0), height = conv_axis(c, 1);
    return !axis_trivial(&depth) ? 3 : !axis_trivial(&height) ? 2 : 1;
}

int64_t conv_src_count(const struct kiln_conv *c) { return c->n * c->ic * c->id * c->ih * c->iw; }
int64_t conv_weights_count(const struct kiln_conv *c)
{
    return c->oc * (c->ic / c->g) * c->kd * c->kh * c->kw;
}
int64_t conv_dst_count(const struct kiln_conv *c)
{
    return c->n * c->oc * conv_od(c) * conv_oh(c) * conv_ow(c);
}

double conv_flops(const struct kiln_conv *c)
{
    return 2.0 * (double)conv_dst_count(c) * (double)(c->ic / c->g) * (double)(c->kd * c->kh * c->kw);
}

bool conv_has(const struct kiln_conv *c, enum kiln_post_kind kind)
{
    for (int i = 0; i < c->post_count; i++)
        if (c->post[i].kind == kind) return true;
    return false;
}

bool conv_equal(const struct kiln_conv *a, const struct kiln_conv *b)
{
    struct kiln_conv x, y;
    conv_canonical(&x, a);
    conv_canonical(&y, b);
    return memcmp(&x, &y, sizeof x) == 0;
}

/* Leaves out what has no meaning: padding, post-ops beyond the count, arguments that a post-op does not
 * have. */
static_assert(offsetof(struct kiln_conv, post) == sizeof(size_t) + 22 * sizeof(int64_t) + 7 * sizeof(int),
              "padding in front of post: keys are compared as bytes");
void conv_canonical(struct kiln_conv *to, const struct kiln_conv *from)
{
    memset(to, 0, sizeof *to);
    memcpy(to, from, offsetof(struct kiln_conv, post));
    for (int i = 0; i < from->post_count; i++) {
        const struct kiln_post *p = &from->post[i];
        int args = post_args(p->kind);
        to->post[i] = (struct kiln_post){p->kind, args > 0 ? p->a : 0, args > 1 ? p->b : 0};
    }
}

/* ---- checks ---- */

/* The names of a dimension's fields, in the order of struct axis. */
static const struct {
    const char *in, *kernel, *dilation, *low, *high;
} axis_names[AXES] = {
    {"id", "kd", "dd", "pf", "pk"},
    {"ih", "kh", "dh", "pt", "pb"},
    {"iw", "kw", "dw", "pl", "pr"},
};

#define N PRId64

static enum kiln_status output_check(const struct kiln_conv *c, int i, struct kiln_error *error)
{
    struct axis a = conv_axis(c, i);
    const char *in = axis_names[i].in, *kernel = axis_names[i].kernel, *dilation = axis_names[i].dilation;
    const char *low = axis_names[i].low, *high = axis_names[i].high;
    int64_t padded, span;
    if (!axis_padded(&a, &padded))
        return fail(error, KILN_STATUS_INVALID,
                    "%s is %" N " and %s is %" N ": with %s, which is %" N ", their sum must be at most %" N,
                    low, a.low, high, a.high, in, a.in, INT64_MAX);
    if (!axis_span(&a, &span))
        return fail(error, KILN_STATUS_INVALID,
                    "%s is %" N ": with %s, which is %" N ", the kernel must span at most %" N " inputs",
                    kernel, a.kernel, dilation, a.dilation, INT64_MAX);
    if (span > padded)
        return fail(error, KILN_STATUS_INVALID,
                    "%s is %" N ": with %s, which is %" N ", the kernel spans %" N
                    " inputs; to leave an output it must span at most %" N ", which is %s with its padding",
                    kernel, a.kernel, dilation, a.dilation, span, padded, in);
    return KILN_STATUS_OK;
}

/* The most padding that a mode can fill from an extent. */
static enum kiln_status mode_check(const struct kiln_conv *c, int i, struct kiln_error *error)
{
    struct axis a = conv_axis(c, i);
    bool reflect = c->mode == KILN_MODE_REFLECT;
    if (!reflect && c->mode != KILN_MODE_CIRCULAR) return KILN_STATUS_OK;
    int64_t most = reflect ? a.in - 1 : a.in;
    bool low = a.low > most;
    if (!low && a.high <= most) return KILN_STATUS_OK;
    return fail(error, KILN_STATUS_INVALID,
                "%s is %" N ": with mode=%s it must be at most %" N ", as %s is %" N,
                low ? axis_names[i].low : axis_names[i].high, low ? a.low : a.high, mode_name(c->mode), most,
                axis_names[i].in, a.in);
}

static enum kiln_status groups_check(const struct kiln_conv *c, struct kiln_error *error)
{
    bool input = c->ic % c->g != 0;
    if (!input && c->oc % c->g == 0) return KILN_STATUS_OK;
    return fail(error, KILN_STATUS_INVALID, "g is %" N ": it must divide %s, which is %" N, c->g,
                input ? "ic" : "oc", input ? c->ic : c->oc);
}

/* A tensor as the product of its extents and the bytes of an element. */
struct tensor {
    const char *name, *extents;
    int64_t factors[5];
    enum kiln_type type;
};

static enum kiln_status tensor_check(const struct tensor *t, struct kiln_error *error)
{
    int64_t bytes = (int64_t)type_bytes(t->type);
    bool overflow = false;
    for (int i = 0; i < 5; i++) overflow |= __builtin_mul_overflow(bytes, t->factors[i], &bytes);
    if (!overflow && bytes <= PTRDIFF_MAX) return KILN_STATUS_OK;
    const int64_t *f = t->factors;
    return fail(error, KILN_STATUS_INVALID,
                "%s has %s = %" N " * %" N " * %" N " * %" N " * %" N
                " elements of %s: it must have at most %" N " bytes",
                t->name, t->extents, f[0], f[1], f[2], f[3], f[4], type_name(t->type), (int64_t)PTRDIFF_MAX);
}

static enum kiln_status tensors_check(const struct kiln_conv *c, struct kiln_error *error)
{
    const struct tensor tensors[] = {
        {"src", "n * ic * id * ih * iw", {c->n, c->ic, c->id, c->ih, c->iw}, c->src},
        {"weights", "oc * ic/g * kd * kh * kw", {c->oc, c->ic / c->g, c->kd, c->kh, c->kw}, c->weights},
        {"dst", "n * oc * od * oh * ow", {c->n, c->oc, conv_od(c), conv_oh(c), conv_ow(c)}, c->dst},
    };
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        enum kiln_status status = tensor_check(&tensors[i], error);
        if (status) return status;
    }
    return KILN_STATUS_OK;
}

enum kiln_status conv_check(const struct kiln_conv *c, struct kiln_error *error)
{
    if (c->size != sizeof *c)
        return fail(error, KILN_STATUS_INVALID,
                    "size is %zu: it must be sizeof(struct kiln_conv), %zu, as kiln_conv_init sets it",
                    c->size, sizeof *c);
    enum kiln_status status = fields_check(c, error);
    if (!status) status = groups_check(c, error);
    for (int i = 0; i < AXES && !status; i++) status = output_check(c, i, error);
    for (int i = 0; i < AXES && !status; i++) status = mode_check(c, i, error);
    return status ? status : tensors_check(c, error);
}
