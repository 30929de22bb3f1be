/* One output element told term by term: every input channel, every tap, the value read, the weight
 * and their product, then the post-ops. It makes the same sum, in the same order, as interp. */
#include "interp.h"

#include "conv.h"
#include "text.h"

#include <math.h>

/* Bytes of one line: the conv's text is the longest part of any. */
enum { LINE_MAX = KILN_TEXT_MAX + 128 };

/* The telling: what is told of, and to whom. Coordinates are named and shown without the dimensions
 * that the conv does not have, `skip` of three. */
struct telling {
    const struct kiln_conv *conv;
    const float *src, *weights;
    int64_t n, oc, at[3];
    int skip;
    kiln_sink *sink;
    void *user;
    char line[LINE_MAX];
    struct text text;
};

static const char *const output_names[] = {"od", "oh", "ow"}, *const input_names[] = {"id", "ih", "iw"},
                         *const tap_names[] = {"kd", "kh", "kw"};

static void tell(struct telling *t)
{
    text_put(&t->text, "\n");
    t->sink(t->user, t->line, t->text.length);
    t->text = text_into(t->line, sizeof t->line);
}

static void put_names(struct telling *t, const char *const names[3])
{
    for (int i = t->skip; i < 3; i++) text_put(&t->text, i > t->skip ? ",%s" : "%s", names[i]);
}

static void put_position(struct telling *t, const int64_t at[3])
{
    for (int i = t->skip; i < 3; i++) text_put(&t->text, i > t->skip ? ",%lld" : "%lld", (long long)at[i]);
}

/* As a float, since that is what tensors hold: "-8", "0.1", "nan", "-inf". */
static void put_value(struct telling *t, double value)
{
    float v = (float)value;
    if (isfinite(v))
        text_put_float(&t->text, v);
    else
        text_put(&t->text, isnan(v) ? "nan" : v < 0 ? "-inf" : "inf");
}

static void tell_head(struct telling *t)
{
    char conv[KILN_TEXT_MAX];
    conv_print(t->conv, conv, sizeof conv);
    text_put(&t->text, "%s", conv);
    tell(t);
    text_put(&t->text, "output element %lld,%lld,", (long long)t->n, (long long)t->oc);
    put_position(t, t->at);
    text_put(&t->text, " (n,oc,");
    put_names(t, output_names);
    text_put(&t->text, "); taps are ");
    put_names(t, tap_names);
    text_put(&t->text, ", they read ");
    put_names(t, input_names);
    tell(t);
}

/* Where a tap reads: the position in the padded input, and what stands for it if that is outside. */
static void put_reads(struct telling *t, const int64_t k[3], const int64_t tap[3], bool inside)
{
    const struct kiln_conv *c = t->conv;
    const int64_t asked[3] = {t->at[0] * c->sd - c->pf + k[0] * c->dd,
                              t->at[1] * c->sh - c->pt + k[1] * c->dh,
                              t->at[2] * c->sw - c->pl + k[2] * c->dw};
    bool moved = asked[0] != tap[0] || asked[1] != tap[1] || asked[2] != tap[2];
    put_position(t, asked);
    if (!inside)
        text_put(&t->text, " outside");
    else if (moved) {
        text_put(&t->text, " outside, %s ", mode_name(c->mode));
        put_position(t, tap);
    }
}

/* One term; returns the product. A tap outside has none: zero times an infinite weight is not told, as
 * it is not computed. */
static double tell_tap(struct telling *t, int64_t ic, const int64_t k[3], float weight)
{
    int64_t tap[3];
    bool inside = interp_tap(t->conv, t->at, k, tap);
    text_put(&t->text, "  tap ");
    put_position(t, k);
    text_put(&t->text, " reads ");
    put_reads(t, k, tap, inside);
    if (!inside) {
        text_put(&t->text, ": adds nothing");
        tell(t);
        return 0;
    }
    float x = t->src[interp_src_offset(t->conv, t->n, ic, tap)];
    double product = (double)x * weight + 0.0; /* + 0.0 tells -0 as 0 */
    text_put(&t->text, ": ");
    put_value(t, x);
    text_put(&t->text, " * ");
    put_value(t, weight);
    text_put(&t->text, " = ");
    put_value(t, product);
    tell(t);
    return product;
}

/* Tells the terms of one input channel and adds them to *sum; w: its weights for this output channel. */
static void tell_channel(struct telling *t, int64_t ic, const float *w, double *sum)
{
    const struct kiln_conv *c = t->conv;
    double subtotal = 0;
    text_put(&t->text, "input channel %lld", (long long)ic);
    tell(t);
    for (int64_t kd = 0; kd < c->kd; kd++)
        for (int64_t kh = 0; kh < c->kh; kh++)
            for (int64_t kw = 0; kw < c->kw; kw++, w++) {
                double product = tell_tap(t, ic, (const int64_t[]){kd, kh, kw}, *w);
                subtotal += product;
                *sum += product;
            }
    text_put(&t->text, "  subtotal ");
    put_value(t, subtotal);
    tell(t);
}

static double tell_sum(struct telling *t)
{
    const struct kiln_conv *c = t->conv;
    int64_t icg = c->ic / c->g, taps = c->kd * c->kh * c->kw, first = t->oc / (c->oc / c->g) * icg;
    double sum = 0;
    for (int64_t i = 0; i < icg; i++) tell_channel(t, first + i, t->weights + (t->oc * icg + i) * taps, &sum);
    text_put(&t->text, "sum of %lld channel%s: ", (long long)icg, icg == 1 ? "" : "s");
    put_value(t, sum);
    tell(t);
    return sum;
}

static double tell_post(struct telling *t, const struct kiln_post *post, const struct kiln_args *args,
                        double v)
{
    double after = interp_post(post, args, v, t->oc, interp_dst_offset(t->conv, t->n, t->oc, t->at));
    text_put(&t->text, "+%s: ", post_name(post->kind));
    put_value(t, v);
    text_put(&t->text, " becomes ");
    put_value(t, after);
    tell(t);
    return after;
}

void interp_explain(const struct kiln_conv *c, const float *weights, const struct kiln_args *args,
                    const int64_t at[5], kiln_sink *sink, void *user)
{
    struct telling t = {.conv = c,
                        .src = args->src,
                        .weights = weights,
                        .sink = sink,
                        .user = user,
                        .n = at[0],
                        .oc = at[1],
                        .at = {at[2], at[3], at[4]},
                        .skip = 3 - conv_dims(c)};
    t.text = text_into(t.line, sizeof t.line);
    tell_head(&t);
    double v = tell_sum(&t);
    for (int i = 0; i < c->post_count; i++) v = tell_post(&t, &c->post[i], args, v);
    text_put(&t.text, "= ");
    put_value(&t, v);
    tell(&t);
}
