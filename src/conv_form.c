/* conv_form: the ways of writing one field, each as functions: does a word belong to the field, read it,
 * print it, check what the field holds, tell how it is written. */
#include "conv_field.h"

#include "status.h"

#include <inttypes.h>
#include <string.h>

/* ---- form: letters and a number, ic64 ---- */

static int64_t number_load(const struct kiln_conv *c, size_t at)
{
    int64_t value;
    memcpy(&value, (const char *)c + at, sizeof value);
    return value;
}

static void number_store_at(struct kiln_conv *c, size_t at, int64_t value)
{
    memcpy((char *)c + at, &value, sizeof value);
}

static bool number_takes(const struct field *f, struct word w, struct word *value)
{
    struct word letters;
    word_split(w, &letters, value);
    return word_is(letters, f->name);
}

static enum kiln_status number_value(struct reading *r, const struct field *f, struct word w, int64_t *value)
{
    enum number number = word_number(w, value);
    if (number == NUMBER_OK) return KILN_STATUS_OK;
    if (number == NUMBER_OVERFLOW)
        return fail(r->error, KILN_STATUS_INVALID, "%s is %.*s: it must be from %" PRId64 " to %" PRId64,
                    f->name, WORD(w), f->least, INT64_MAX);
    return fail(r->error, KILN_STATUS_INVALID, "%s is '%.*s': it must be a whole number, such as %s%" PRId64,
                f->name, WORD(w), f->name, f->least);
}

static enum kiln_status number_read(struct reading *r, const struct field *f, struct word w)
{
    int64_t value;
    enum kiln_status status = number_value(r, f, w, &value);
    if (!status) number_store_at(&r->c, f->at, value);
    return status;
}

static void number_store(struct kiln_conv *c, const struct field *f, int64_t value)
{
    number_store_at(c, f->at, value);
}

static void number_put(struct text *t, const struct field *f, const struct kiln_conv *c)
{
    int64_t value = number_load(c, f->at);
    bool shown = f->shown == SHOWN_ALWAYS || (f->shown < SHOWN_NEVER && conv_dims(c) >= f->shown);
    if (value != f->standard || shown) text_put(t, " %s%" PRId64, f->name, value);
}

static enum kiln_status number_check(const struct field *f, const struct kiln_conv *c,
                                     struct kiln_error *error)
{
    int64_t value = number_load(c, f->at);
    if (value >= f->least) return KILN_STATUS_OK;
    return fail(error, KILN_STATUS_INVALID, "%s is %" PRId64 ": it must be at least %" PRId64, f->name, value,
                f->least);
}

static void number_usage(struct text *t, const struct field *f)
{
    text_put(t, "%s%-*s%s; ", f->name, USAGE_WIDTH - (int)strlen(f->name), "N", f->help);
    if (f->standard < f->least)
        text_put(t, "required, at least %" PRId64 "\n", f->least);
    else
        text_put(t, "at least %" PRId64 ", default %" PRId64 "\n", f->least, f->standard);
}

const struct form form_number = {.takes = number_takes,
                                 .read = number_read,
                                 .store = number_store,
                                 .put = number_put,
                                 .check = number_check,
                                 .usage = number_usage};

/* ---- forms: padding on both sides, ph1, and on one, pt1; each printed where the other would not do ---- */

static enum kiln_status both_read(struct reading *r, const struct field *f, struct word w)
{
    int64_t value;
    enum kiln_status status = number_value(r, f, w, &value);
    if (status) return status;
    number_store_at(&r->c, f->at, value);
    number_store_at(&r->c, f->opposite, value);
    return KILN_STATUS_OK;
}

static void both_put(struct text *t, const struct field *f, const struct kiln_conv *c)
{
    if (number_load(c, f->at) == number_load(c, f->opposite)) number_put(t, f, c);
}

static void side_put(struct text *t, const struct field *f, const struct kiln_conv *c)
{
    if (number_load(c, f->at) != number_load(c, f->opposite)) number_put(t, f, c);
}

/* Its sides are checked by their own rows. */
const struct form form_both = {
    .takes = number_takes, .read = both_read, .put = both_put, .usage = number_usage};

const struct form form_side = {.takes = number_takes,
                               .read = number_read,
                               .store = number_store,
                               .put = side_put,
                               .check = number_check,
                               .usage = number_usage};

/* ---- form: pad=same, which is resolved when all is read ---- */

static bool key_takes(const struct field *f, struct word w, struct word *value)
{
    return word_starts(w, f->prefix, value);
}

static enum kiln_status same_read(struct reading *r, const struct field *f, struct word w)
{
    if (word_is(w, "same")) return KILN_STATUS_OK;
    return fail(r->error, KILN_STATUS_INVALID, "%s is '%.*s': it must be same", f->name, WORD(w));
}

/* out = ceil(in / stride); the padding that takes is split evenly, the odd one behind. Fields out of
 * range are left for the check that follows. */
static void same_resolve(struct axis *a)
{
    if (a->in < 1 || a->kernel < 1 || a->stride < 1 || a->dilation < 1) return;
    int64_t span;
    if (__builtin_mul_overflow(a->kernel - 1, a->dilation, &span) || __builtin_add_overflow(span, 1, &span))
        return;
    int64_t last = (a->in - 1) / a->stride * a->stride; /* where the last output's window would start */
    int64_t total = span - (a->in - last);
    if (total < 0) total = 0;
    a->low = total / 2;
    a->high = total - a->low;
}

static void same_finish(struct reading *r)
{
    for (int i = 0; i < AXES; i++) {
        struct axis a = conv_axis(&r->c, i);
        same_resolve(&a);
        conv_set_axis(&r->c, i, a);
    }
}

static void same_usage(struct text *t, const struct field *f)
{
    text_put(t, "%s%-*s%s\n", f->prefix, USAGE_WIDTH - (int)strlen(f->prefix), "same", f->help);
}

const struct form form_same = {
    .takes = key_takes, .read = same_read, .finish = same_finish, .usage = same_usage};

int choice_of(const struct choice *choices, size_t count, int value)
{
    for (size_t i = 0; i < count; i++)
        if (choices[i].value == value) return (int)i;
    return -1;
}

/* ---- form: one word of several, nhwc, with or without a key, mode=reflect ---- */

_Static_assert(sizeof(enum kiln_mode) == sizeof(int) && sizeof(enum kiln_layout) == sizeof(int) &&
                   sizeof(enum kiln_accuracy) == sizeof(int),
               "choice_load and choice_store copy enums as ints");

static int choice_load(const struct kiln_conv *c, const struct field *f)
{
    int value;
    memcpy(&value, (const char *)c + f->at, sizeof value);
    return value;
}

static void choice_store(struct kiln_conv *c, const struct field *f, int64_t value)
{
    int narrow = (int)value;
    memcpy((char *)c + f->at, &narrow, sizeof narrow);
}

static const struct choice *choice_named(const struct field *f, struct word w)
{
    for (size_t i = 0; i < f->count; i++)
        if (word_is(w, f->choices[i].name)) return &f->choices[i];
    return NULL;
}

static bool choice_takes(const struct field *f, struct word w, struct word *value)
{
    return word_starts(w, f->prefix, value) && (*f->prefix || choice_named(f, *value));
}

/* The names of a field's choices, with `between` between them. */
static void choices_put(struct text *t, const struct field *f, const char *between)
{
    for (size_t i = 0; i < f->count; i++) text_put(t, "%s%s", i ? between : "", f->choices[i].name);
}

static enum kiln_status choice_fail(const struct field *f, struct kiln_error *error, int shown,
                                    const char *value)
{
    char names[KILN_ERROR_TEXT / 4];
    struct text t = text_into(names, sizeof names);
    choices_put(&t, f, ", ");
    return fail(error, KILN_STATUS_INVALID, "%s is %.*s: it must be one of %s", f->name, shown, value, names);
}

static enum kiln_status choice_read(struct reading *r, const struct field *f, struct word w)
{
    const struct choice *choice = choice_named(f, w);
    if (!choice) return choice_fail(f, r->error, WORD(w));
    choice_store(&r->c, f, choice->value);
    return KILN_STATUS_OK;
}

static void choice_put(struct text *t, const struct field *f, const struct kiln_conv *c)
{
    int value = choice_load(c, f);
    if (value == f->standard && conv_dims(c) < f->shown) return;
    int i = choice_of(f->choices, f->count, value);
    text_put(t, " %s%s", f->prefix, i < 0 ? "?" : f->choices[i].name);
}

static enum kiln_status choice_check(const struct field *f, const struct kiln_conv *c,
                                     struct kiln_error *error)
{
    int value = choice_load(c, f);
    if (value == f->standard || choice_of(f->choices, f->count, value) >= 0) return KILN_STATUS_OK;
    char text[32];
    struct text t = text_into(text, sizeof text);
    text_put(&t, "%d", value);
    return choice_fail(f, error, (int)t.length, text);
}

static void choice_usage(struct text *t, const struct field *f)
{
    text_put(t, "%s", f->prefix);
    choices_put(t, f, "|");
    text_put(t, "   %s\n", f->help);
}

const struct form form_choice = {.takes = choice_takes,
                                 .read = choice_read,
                                 .store = choice_store,
                                 .put = choice_put,
                                 .check = choice_check,
                                 .usage = choice_usage};
