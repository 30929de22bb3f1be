/* conv_text: the text form of a convolution. One table of fields drives reading, printing, the ranges
 * checked, the defaults and the help: a new field is a row of it. How the fields hang together is
 * checked in conv.c; here only what is written twice or against another word. */
#include "benchdnn.h"
#include "conv_field.h"
#include "status.h"

#include <assert.h>
#include <string.h>

/* ---- the table ---- */

static const struct choice layouts[] = {
    {"nchw", KILN_LAYOUT_NCHW}, {"nhwc", KILN_LAYOUT_NHWC},  {"ncw", KILN_LAYOUT_NCHW},
    {"nwc", KILN_LAYOUT_NHWC},  {"ncdhw", KILN_LAYOUT_NCHW}, {"ndhwc", KILN_LAYOUT_NHWC},
};
static const struct choice modes[] = {
    {"zeros", KILN_MODE_ZEROS},
    {"reflect", KILN_MODE_REFLECT},
    {"replicate", KILN_MODE_REPLICATE},
    {"circular", KILN_MODE_CIRCULAR},
};
/* The default accuracy has no word. */
static const struct choice accuracies[] = {{"strict", KILN_ACCURACY_STRICT}, {"fast", KILN_ACCURACY_FAST}};

#define AT(member) .at = offsetof(struct kiln_conv, member)
#define SIDES(member, other) AT(member), .opposite = offsetof(struct kiln_conv, other), .shown = SHOWN_NEVER
#define ONE .standard = 1, .least = 1

/* In the order of printing. */
static const struct field fields[] = {
    {"n", &form_number, "batch", AT(n), ONE, .shown = SHOWN_ALWAYS},
    {"g", &form_number, "groups, which divide ic and oc", AT(g), ONE, .shown = SHOWN_NEVER},
    {"ic", &form_number, "input channels of all groups", AT(ic), .least = 1, .shown = SHOWN_ALWAYS},
    {"id", &form_number, "input depth", AT(id), ONE, .shown = SHOWN_3D},
    {"ih", &form_number, "input height", AT(ih), ONE, .shown = SHOWN_2D},
    {"iw", &form_number, "input width", AT(iw), .least = 1, .shown = SHOWN_ALWAYS},
    {"oc", &form_number, "output channels of all groups", AT(oc), .least = 1, .shown = SHOWN_ALWAYS},
    {"kd", &form_number, "kernel depth", AT(kd), ONE, .shown = SHOWN_3D},
    {"kh", &form_number, "kernel height", AT(kh), ONE, .shown = SHOWN_2D},
    {"kw", &form_number, "kernel width", AT(kw), .least = 1, .shown = SHOWN_ALWAYS},
    {"sd", &form_number, "stride along depth", AT(sd), ONE, .shown = SHOWN_NEVER},
    {"sh", &form_number, "stride along height", AT(sh), ONE, .shown = SHOWN_NEVER},
    {"sw", &form_number, "stride along width", AT(sw), ONE, .shown = SHOWN_NEVER},
    {"dd", &form_number, "dilation along depth, 1 is dense", AT(dd), ONE, .shown = SHOWN_NEVER},
    {"dh", &form_number, "dilation along height, 1 is dense", AT(dh), ONE, .shown = SHOWN_NEVER},
    {"dw", &form_number, "dilation along width, 1 is dense", AT(dw), ONE, .shown = SHOWN_NEVER},
    {"pd", &form_both, "padding in front and at the back", SIDES(pf, pk), .pads = FRONT | BACK},
    {"pf", &form_side, "padding in front", SIDES(pf, pk), .pads = FRONT},
    {"pk", &form_side, "padding at the back", SIDES(pk, pf), .pads = BACK},
    {"ph", &form_both, "padding at top and bottom", SIDES(pt, pb), .pads = TOP | BOTTOM},
    {"pt", &form_side, "padding at the top", SIDES(pt, pb), .pads = TOP},
    {"pb", &form_side, "padding at the bottom", SIDES(pb, pt), .pads = BOTTOM},
    {"pw", &form_both, "padding at left and right", SIDES(pl, pr), .pads = LEFT | RIGHT},
    {"pl", &form_side, "padding at the left", SIDES(pl, pr), .pads = LEFT},
    {"pr", &form_side, "padding at the right", SIDES(pr, pl), .pads = RIGHT},
    {"pad", &form_same, "all padding so that out = ceil(in / stride)", .pads = EVERY_SIDE, .prefix = "pad="},
    {"mode", &form_choice, "what padding holds; default zeros", AT(mode), .standard = KILN_MODE_ZEROS,
     .shown = SHOWN_NEVER, .prefix = "mode=", .choices = modes, .count = COUNT(modes)},
    {"type", &form_types, "one type for all, or those of src, weights and dst, u8s8f32; default f32; of"},
    {"layout", &form_choice, "of src and dst; default nhwc", AT(layout), .standard = KILN_LAYOUT_NHWC,
     .shown = SHOWN_ALWAYS, .prefix = "", .choices = layouts, .count = COUNT(layouts)},
    {"accuracy", &form_choice, "accuracy, where the default is not wanted", AT(accuracy),
     .standard = KILN_ACCURACY_DEFAULT, .shown = SHOWN_NEVER, .prefix = "", .choices = accuracies,
     .count = COUNT(accuracies)},
    {"post-op", &form_posts, "post-op, applied in the order given"},
};
_Static_assert(COUNT(fields) <= 64, "struct reading has a bit for each row");

#define EACH(f) for (const struct field *f = fields; f < fields + COUNT(fields); f++)

/* ---- words that do not fit ---- */

/* The field that pads one of the sides that f pads, or f itself, if it was read before; else NULL. */
static const struct field *rival(const struct reading *r, const struct field *f)
{
    EACH (other) {
        bool seen = r->seen >> (other - fields) & 1;
        if (seen && !f->form->many && (other == f || (other->pads & f->pads))) return other;
    }
    return NULL;
}

static enum kiln_status rival_fail(struct reading *r, const struct field *f, const struct field *other,
                                   struct word w)
{
    if (other == f)
        return fail(r->error, KILN_STATUS_INVALID, "%s is given twice, the second time as '%.*s'", f->name,
                    WORD(w));
    return fail(r->error, KILN_STATUS_INVALID,
                "'%.*s' contradicts %s, given before: both say the same padding", WORD(w), other->name);
}

/* What a word may have been meant to be: a word by itself, or letters in front of a number; or NULL. */
static const char *meant(struct word w)
{
    const char *alone[64], *numbered[COUNT(fields)];
    size_t words = 0, numbers = 0;
    EACH (f) {
        if (f->form->takes == form_number.takes) numbered[numbers++] = f->name;
        if (f->form == &form_types) alone[words++] = type_name(KILN_TYPE_F32);
        for (size_t i = 0; i < f->count && !*f->prefix; i++) alone[words++] = f->choices[i].name;
    }
    for (size_t i = 0; post_example(i); i++) alone[words++] = post_example(i);
    assert(words <= COUNT(alone));
    struct word letters, rest;
    word_split(w, &letters, &rest);
    int whole = word_nearest(w, alone, words), lettered = word_nearest(letters, numbered, numbers);
    return whole >= 0 ? alone[whole] : lettered >= 0 ? numbered[lettered] : NULL;
}

static enum kiln_status word_unknown(struct reading *r, struct word w)
{
    struct word letters, rest;
    word_split(w, &letters, &rest);
    if (word_is(letters, "od") || word_is(letters, "oh") || word_is(letters, "ow"))
        return fail(r->error, KILN_STATUS_INVALID,
                    "'%.*s': output sizes follow from the other fields; leave it out", WORD(w));
    const char *near = meant(w);
    if (near)
        return fail(r->error, KILN_STATUS_INVALID, "unknown word '%.*s': did you mean %s?", WORD(w), near);
    return fail(r->error, KILN_STATUS_INVALID,
                "unknown word '%.*s': a field such as ic64, ph1, f32, nhwc or +relu is expected", WORD(w));
}

/* ---- reading ---- */

static enum kiln_status field_read(struct reading *r, struct word w)
{
    EACH (f) {
        struct word value;
        if (!f->form->takes(f, w, &value)) continue;
        const struct field *other = rival(r, f);
        if (other) return rival_fail(r, f, other, w);
        r->seen |= UINT64_C(1) << (f - fields);
        return f->form->read(r, f, value);
    }
    return word_unknown(r, w);
}

/* When all words are read: nothing missing, and what depends on other fields resolved. */
static enum kiln_status fields_finish(struct reading *r)
{
    EACH (f) {
        bool seen = r->seen >> (f - fields) & 1;
        if (!seen && f->standard < f->least)
            return fail(r->error, KILN_STATUS_INVALID, "%s is missing: ic, iw, oc and kw have no default",
                        f->name);
        if (seen && f->form->finish) f->form->finish(r);
    }
    return KILN_STATUS_OK;
}

static enum kiln_status fields_read(struct reading *r, struct words words)
{
    struct word w;
    enum kiln_status status = KILN_STATUS_OK;
    while (!status && words_next(&words, &w)) status = field_read(r, w);
    return status ? status : fields_finish(r);
}

static bool alone(struct words words)
{
    struct word w;
    return !words_next(&words, &w);
}

enum kiln_status conv_parse(struct kiln_conv *c, const char *text, struct kiln_error *error)
{
    struct reading r = {.error = error};
    conv_init(&r.c);
    struct words words = words_of(text);
    struct word first;
    enum kiln_status status;
    if (!words_next(&words, &first))
        status = fail(error, KILN_STATUS_INVALID, "the text is empty: a conv begins with the word conv");
    else if (word_is(first, "conv"))
        status = fields_read(&r, words);
    else if (alone(words))
        status = benchdnn_read(&r.c, first, error);
    else
        status = fail(error, KILN_STATUS_INVALID,
                      "the first word is '%.*s': a conv begins with the word conv", WORD(first));
    if (!status) status = conv_check(&r.c, error);
    if (!status) *c = r.c;
    return status;
}

/* ---- the rest of what the table drives ---- */

const char *mode_name(enum kiln_mode mode)
{
    int i = choice_of(modes, COUNT(modes), (int)mode);
    return i < 0 ? "?" : modes[i].name;
}

void conv_init(struct kiln_conv *c)
{
    memset(c, 0, sizeof *c);
    c->size = sizeof *c;
    EACH (f)
        if (f->form->store) f->form->store(c, f, f->standard);
}

size_t conv_print(const struct kiln_conv *c, char *text, size_t room)
{
    struct text t = text_into(text, room);
    text_put(&t, "conv");
    EACH (f)
        if (f->form->put) f->form->put(&t, f, c);
    return t.length;
}

enum kiln_status fields_check(const struct kiln_conv *c, struct kiln_error *error)
{
    enum kiln_status status = KILN_STATUS_OK;
    EACH (f)
        if (!status && f->form->check) status = f->form->check(f, c, error);
    return status;
}

size_t conv_help(char *text, size_t room)
{
    struct text t = text_into(text, room);
    EACH (f) f->form->usage(&t, f);
    return t.length;
}
