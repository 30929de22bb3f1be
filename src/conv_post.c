/* conv_post: the forms of the two fields that are lists: types of src, weights and dst, u8s8u8, and
 * post-ops in their order, +bias +clip(0,6). */
#include "conv_field.h"

#include "status.h"

#include <math.h>
#include <string.h>

/* ---- types ---- */

static const struct type_row {
    const char *name;
    size_t bytes;
    bool alone; /* the word for all three */
} types[] = {
    [KILN_TYPE_F32] = {"f32", 4, true}, [KILN_TYPE_BF16] = {"bf16", 2, true},
    [KILN_TYPE_F16] = {"f16", 2, true}, [KILN_TYPE_U8] = {"u8", 1},
    [KILN_TYPE_S8] = {"s8", 1},         [KILN_TYPE_S32] = {"s32", 4},
};

static bool type_known(enum kiln_type type) { return (size_t)type < COUNT(types); }
const char *type_name(enum kiln_type type) { return type_known(type) ? types[type].name : "?"; }
size_t type_bytes(enum kiln_type type) { return type_known(type) ? types[type].bytes : 0; }

/* Takes the type that w begins with off it. */
static bool type_next(struct word *w, enum kiln_type *type)
{
    for (size_t i = 0; i < COUNT(types); i++)
        if (word_starts(*w, types[i].name, w)) {
            *type = (enum kiln_type)i;
            return true;
        }
    return false;
}

static bool types_takes(const struct field *f, struct word w, struct word *value)
{
    (void)f;
    *value = w;
    enum kiln_type type;
    return type_next(&w, &type);
}

static enum kiln_status types_read(struct reading *r, const struct field *f, struct word value)
{
    enum kiln_type three[3];
    int count = 0;
    struct word w = value;
    while (count < 3 && type_next(&w, &three[count])) count++;
    bool one = count == 1 && types[three[0]].alone;
    if (w.length > 0 || !(one || count == 3))
        return fail(
            r->error, KILN_STATUS_INVALID,
            "%s is '%.*s': it must be f32, bf16 or f16, or those of src, weights and dst, such as u8s8f32",
            f->name, WORD(value));
    r->c.src = three[0];
    r->c.weights = three[one ? 0 : 1];
    r->c.dst = three[one ? 0 : 2];
    return KILN_STATUS_OK;
}

static void types_put(struct text *t, const struct field *f, const struct kiln_conv *c)
{
    (void)f;
    text_put(t, " %s", type_name(c->src));
    bool one = c->src == c->weights && c->src == c->dst && type_known(c->src) && types[c->src].alone;
    if (!one) text_put(t, "%s%s", type_name(c->weights), type_name(c->dst));
}

static enum kiln_status types_check(const struct field *f, const struct kiln_conv *c,
                                    struct kiln_error *error)
{
    (void)f;
    static const char *const names[] = {"src", "weights", "dst"};
    const enum kiln_type three[] = {c->src, c->weights, c->dst};
    for (int i = 0; i < 3; i++)
        if (!type_known(three[i]))
            return fail(error, KILN_STATUS_INVALID,
                        "%s is %d: it must be one of enum kiln_type, from 0 to %zu", names[i], (int)three[i],
                        COUNT(types) - 1);
    return KILN_STATUS_OK;
}

static void types_usage(struct text *t, const struct field *f)
{
    for (size_t i = 0; i < COUNT(types); i++)
        if (types[i].alone) text_put(t, "%s|", types[i].name);
    text_put(t, "three   %s", f->help);
    for (size_t i = 0; i < COUNT(types); i++) text_put(t, " %s", types[i].name);
    text_put(t, "\n");
}

const struct form form_types = {
    .takes = types_takes, .read = types_read, .put = types_put, .check = types_check, .usage = types_usage};

/* ---- post-ops ---- */

enum { POST_ARGS_MAX = 2 };

static const struct post_row {
    const char *name, *example;
    int args;
    bool once; /* it reads a tensor, and struct kiln_args holds one of each */
    const char *help;
} posts[] = {
    [KILN_POST_BIAS] = {"bias", "+bias", 0, true, "v + bias[oc]"},
    [KILN_POST_SCALE] = {"scale", "+scale", 0, true, "v * scale[oc]"},
    [KILN_POST_ADD] = {"add", "+add", 0, true, "v + add[...], a tensor of dst's shape"},
    [KILN_POST_RELU] = {"relu", "+relu", 0, false, "v < 0 ? 0 : v"},
    [KILN_POST_LEAKY] = {"leaky", "+leaky(0.1)", 1, false, "v < 0 ? a * v : v"},
    [KILN_POST_PRELU] = {"prelu", "+prelu", 0, true, "v < 0 ? prelu[oc] * v : v"},
    [KILN_POST_CLIP] = {"clip", "+clip(0,6)", 2, false, "v < a ? a : v > b ? b : v"},
    [KILN_POST_SIGMOID] = {"sigmoid", "+sigmoid", 0, false, "1 / (1 + exp(-v))"},
    [KILN_POST_TANH] = {"tanh", "+tanh", 0, false, "tanh(v)"},
    [KILN_POST_SILU] = {"silu", "+silu", 0, false, "v / (1 + exp(-v))"},
    [KILN_POST_GELU] = {"gelu", "+gelu", 0, false, "v * (1 + erf(v / sqrt(2))) / 2"},
    [KILN_POST_HARDSWISH] = {"hardswish", "+hardswish", 0, false, "v * clip(v + 3, 0, 6) / 6"},
};

static bool post_known(enum kiln_post_kind kind) { return (size_t)kind < COUNT(posts); }
const char *post_name(enum kiln_post_kind kind) { return post_known(kind) ? posts[kind].name : "?"; }

int post_args(enum kiln_post_kind kind) { return post_known(kind) ? posts[kind].args : 0; }
const char *post_example(size_t i) { return i < COUNT(posts) ? posts[i].example : NULL; }

static bool posts_takes(const struct field *f, struct word w, struct word *value)
{
    (void)f;
    return word_starts(w, "+", value);
}

static enum kiln_status post_unknown(struct reading *r, struct word name)
{
    const char *names[COUNT(posts)];
    for (size_t i = 0; i < COUNT(posts); i++) names[i] = posts[i].name;
    int near = word_nearest(name, names, COUNT(posts));
    if (near >= 0)
        return fail(r->error, KILN_STATUS_INVALID, "unknown post-op '+%.*s': did you mean %s?", WORD(name),
                    posts[near].example);
    struct text t = text_into((char[KILN_ERROR_TEXT / 2]){0}, KILN_ERROR_TEXT / 2);
    for (size_t i = 0; i < COUNT(posts); i++) text_put(&t, " %s", posts[i].example);
    return fail(r->error, KILN_STATUS_INVALID, "unknown post-op '+%.*s': it must be one of%s", WORD(name),
                t.to);
}

/* Takes what stands in front of `until` off w; false: there is no such letter. */
static bool take_until(struct word *w, char until, struct word *taken)
{
    const char *end = w->length ? memchr(w->at, until, w->length) : NULL;
    if (!end) return false;
    *taken = (struct word){w->at, (size_t)(end - w->at)};
    *w = (struct word){end + 1, w->length - taken->length - 1};
    return true;
}

/* "0,6)": exactly `count` finite numbers. */
static bool args_read(struct word w, int count, float *to)
{
    for (int i = 0; i < count; i++) {
        struct word arg;
        if (!take_until(&w, i + 1 < count ? ',' : ')', &arg) || word_float(arg, &to[i]) != NUMBER_OK)
            return false;
    }
    return w.length == 0;
}

static int post_named(struct word name)
{
    for (size_t i = 0; i < COUNT(posts); i++)
        if (word_is(name, posts[i].name)) return (int)i;
    return -1;
}

static enum kiln_status posts_read(struct reading *r, const struct field *f, struct word value)
{
    struct word name = value, args = value;
    bool bracket = take_until(&args, '(', &name);
    int kind = post_named(name);
    if (kind < 0) return post_unknown(r, name);
    float numbers[POST_ARGS_MAX] = {0, 0};
    if (bracket ? posts[kind].args == 0 || !args_read(args, posts[kind].args, numbers) : posts[kind].args > 0)
        return fail(r->error, KILN_STATUS_INVALID,
                    "%s is '+%.*s': it must be written like %s, with finite numbers", f->name, WORD(value),
                    posts[kind].example);
    if (r->c.post_count == KILN_POST_MAX)
        return fail(r->error, KILN_STATUS_INVALID, "'+%.*s' is one post-op too many: there may be at most %d",
                    WORD(value), KILN_POST_MAX);
    r->c.post[r->c.post_count++] = (struct kiln_post){(enum kiln_post_kind)kind, numbers[0], numbers[1]};
    return KILN_STATUS_OK;
}

static void posts_put(struct text *t, const struct field *f, const struct kiln_conv *c)
{
    (void)f;
    for (int i = 0; i < c->post_count && i < KILN_POST_MAX; i++) {
        const struct kiln_post *p = &c->post[i];
        const float numbers[POST_ARGS_MAX] = {p->a, p->b};
        text_put(t, " +%s", post_name(p->kind));
        int args = post_args(p->kind);
        for (int j = 0; j < args; j++) {
            text_put(t, j ? "," : "(");
            if (isfinite(numbers[j]))
                text_put_float(t, numbers[j]);
            else
                text_put(t, "?");
        }
        if (args) text_put(t, ")");
    }
}

static enum kiln_status post_check(const struct kiln_conv *c, int i, struct kiln_error *error)
{
    const struct kiln_post *p = &c->post[i];
    if (!post_known(p->kind))
        return fail(error, KILN_STATUS_INVALID,
                    "post[%d].kind is %d: it must be one of enum kiln_post_kind, from 0 to %zu", i,
                    (int)p->kind, COUNT(posts) - 1);
    const struct post_row *row = &posts[p->kind];
    const float numbers[POST_ARGS_MAX] = {p->a, p->b};
    for (int j = 0; j < row->args; j++)
        if (!isfinite(numbers[j]))
            return fail(error, KILN_STATUS_INVALID, "+%s has %s as its %c: it must be finite", row->name,
                        isnan(numbers[j]) ? "NaN" : "an infinity", 'a' + j);
    if (p->kind == KILN_POST_CLIP && p->a > p->b) {
        struct text t = text_into((char[64]){0}, 64);
        text_put_float(&t, p->a);
        text_put(&t, ",");
        text_put_float(&t, p->b);
        return fail(error, KILN_STATUS_INVALID, "+clip is (%s): its a must be at most its b", t.to);
    }
    for (int before = 0; before < i && row->once; before++)
        if (c->post[before].kind == p->kind)
            return fail(error, KILN_STATUS_INVALID,
                        "+%s is given twice: it reads a tensor, of which there is one", row->name);
    return KILN_STATUS_OK;
}

static enum kiln_status posts_check(const struct field *f, const struct kiln_conv *c,
                                    struct kiln_error *error)
{
    (void)f;
    if (c->post_count < 0 || c->post_count > KILN_POST_MAX)
        return fail(error, KILN_STATUS_INVALID, "post_count is %d: it must be from 0 to %d", c->post_count,
                    KILN_POST_MAX);
    enum kiln_status status = KILN_STATUS_OK;
    for (int i = 0; i < c->post_count && !status; i++) status = post_check(c, i, error);
    return status;
}

static void posts_usage(struct text *t, const struct field *f)
{
    for (size_t i = 0; i < COUNT(posts); i++)
        text_put(t, "%-*s%s: %s\n", USAGE_WIDTH, posts[i].example, f->help, posts[i].help);
}

const struct form form_posts = {.takes = posts_takes,
                                .read = posts_read,
                                .put = posts_put,
                                .check = posts_check,
                                .usage = posts_usage,
                                .many = true};
