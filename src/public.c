/* public: the functions of kiln.h that need no context: statuses, what may be logged, convolutions and the
 * oracle. Each checks what its caller passed and hands on. */
#include "args.h"
#include "conv.h"
#include "debug.h"
#include "interp.h"
#include "status.h"

#define STRING(x) #x
#define VERSION(major, minor, patch) STRING(major) "." STRING(minor) "." STRING(patch)

const char *kiln_status_name(enum kiln_status status) { return status_name(status); }

const char *kiln_version(void) { return VERSION(KILN_VERSION_MAJOR, KILN_VERSION_MINOR, KILN_VERSION_PATCH); }

void kiln_debug_print(kiln_sink *sink, void *user)
{
    if (sink) debug_print(sink, user);
}

/* ---- convolutions ---- */

static enum kiln_status null_fail(const char *name, struct kiln_error *error)
{
    return fail(error, KILN_STATUS_INVALID, "%s is NULL", name);
}

void kiln_conv_init(struct kiln_conv *conv)
{
    if (conv) conv_init(conv);
}

enum kiln_status kiln_conv_parse(struct kiln_conv *conv, const char *text, struct kiln_error *error)
{
    if (!conv) return null_fail("conv", error);
    if (!text) return null_fail("text", error);
    return conv_parse(conv, text, error);
}

size_t kiln_conv_print(const struct kiln_conv *conv, char *text, size_t room)
{
    if (room && text) *text = '\0';
    return conv ? conv_print(conv, text, text ? room : 0) : 0;
}

enum kiln_status kiln_conv_check(const struct kiln_conv *conv, struct kiln_error *error)
{
    return conv ? conv_check(conv, error) : null_fail("conv", error);
}

enum kiln_status kiln_conv_output(const struct kiln_conv *conv, int64_t out[3], struct kiln_error *error)
{
    if (!out) return null_fail("out", error);
    enum kiln_status status = kiln_conv_check(conv, error);
    if (status) return status;
    out[0] = conv_od(conv);
    out[1] = conv_oh(conv);
    out[2] = conv_ow(conv);
    return KILN_STATUS_OK;
}

/* ---- the oracle ---- */

/* What every call of the oracle needs; dst: whether it is written. */
static enum kiln_status oracle_check(const struct kiln_conv *conv, const void *weights,
                                     const struct kiln_args *args, bool dst, struct kiln_error *error)
{
    enum kiln_status status = kiln_conv_check(conv, error);
    if (status) return status;
    if (conv->src != KILN_TYPE_F32 || conv->weights != KILN_TYPE_F32 || conv->dst != KILN_TYPE_F32)
        return fail(error, KILN_STATUS_UNSUPPORTED,
                    "the oracle computes f32 only: this conv is %s, %s and %s", type_name(conv->src),
                    type_name(conv->weights), type_name(conv->dst));
    if (!args) return null_fail("args", error);
    struct args_need need = args_need(conv, type_bytes(conv->weights));
    struct kiln_args raw = *args;
    raw.weights = weights;
    if (!dst) raw.dst = (void *)weights; /* anything that is there: it is not looked at */
    return args_fit(&need, &raw) ? KILN_STATUS_OK : args_fail(&need, &raw, error);
}

/* One element: also the coordinates. */
static enum kiln_status element_check(const struct kiln_conv *conv, const void *weights,
                                      const struct kiln_args *args, const int64_t at[5],
                                      struct kiln_error *error)
{
    static const char *const names[] = {"n", "oc", "od", "oh", "ow"};
    enum kiln_status status = oracle_check(conv, weights, args, false, error);
    if (status) return status;
    if (!at) return null_fail("at", error);
    const int64_t extents[] = {conv->n, conv->oc, conv_od(conv), conv_oh(conv), conv_ow(conv)};
    for (int i = 0; i < 5; i++)
        if (at[i] < 0 || at[i] >= extents[i])
            return fail(error, KILN_STATUS_INVALID, "%s is %lld: must be 0 to %lld", names[i],
                        (long long)at[i], (long long)extents[i] - 1);
    return KILN_STATUS_OK;
}

enum kiln_status kiln_interpret(const struct kiln_conv *conv, const void *weights,
                                const struct kiln_args *args, struct kiln_error *error)
{
    enum kiln_status status = oracle_check(conv, weights, args, true, error);
    if (!status) interp(conv, weights, args);
    return status;
}

enum kiln_status kiln_interpret_at(const struct kiln_conv *conv, const void *weights,
                                   const struct kiln_args *args, const int64_t at[5], float *value,
                                   struct kiln_error *error)
{
    enum kiln_status status = element_check(conv, weights, args, at, error);
    if (status) return status;
    if (!value) return null_fail("value", error);
    *value = interp_at(conv, weights, args, at[0], at[1], at + 2);
    return KILN_STATUS_OK;
}

enum kiln_status kiln_explain_at(const struct kiln_conv *conv, const void *weights,
                                 const struct kiln_args *args, const int64_t at[5], kiln_sink *sink,
                                 void *user, struct kiln_error *error)
{
    enum kiln_status status = element_check(conv, weights, args, at, error);
    if (status) return status;
    if (!sink) return null_fail("sink", error);
    interp_explain(conv, weights, args, at, sink, user);
    return KILN_STATUS_OK;
}
