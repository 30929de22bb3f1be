/* benchdnn: reads problem descriptors of oneDNN's benchdnn, whose rules are documented in its
 * doc/knobs_desc.md and doc/driver_conv.md: letters and numbers in one word, '_' ignored, the rest
 * behind an 'n' a name. Sizes of depth alone stand for height and width too, those of height for
 * width; dilation counts from 0; missing outputs follow from the padding, missing padding from the
 * outputs; what is padded behind follows from the output. */
#include "benchdnn.h"

#include "conv.h"
#include "status.h"

#include <inttypes.h>
#include <string.h>

/* ---- the word as numbers ---- */

/* The kinds of size that a dimension has: the first letter of their fields. */
enum { OUT, IN, KERNEL, STRIDE, PAD, DILATION, SIZES };
static const char size_letters[] = "oikspd", axis_letters[] = "dhw";

/* The fields that no dimension has. */
enum { GROUPS, BATCH, IN_CHANNELS, OUT_CHANNELS, PLAIN };
static const char *const plain_names[PLAIN] = {"g", "mb", "ic", "oc"};

struct descriptor {
    int64_t plain[PLAIN], sizes[AXES][SIZES];
    uint32_t given; /* a bit for each of them */
};
_Static_assert(PLAIN + AXES * SIZES <= 32, "struct descriptor has a bit for each field");

/* What fields hold that are not given: UNKNOWN follows from the others. */
enum { UNKNOWN = -1 };

static struct descriptor descriptor_standard(void)
{
    struct descriptor d = {.plain = {[GROUPS] = 1, [BATCH] = 2}};
    for (int i = 0; i < AXES; i++) {
        d.sizes[i][STRIDE] = 1;
        d.sizes[i][PAD] = UNKNOWN;
    }
    return d;
}

/* Takes the name of a field off w and tells where its value belongs and its bit; NULL: there is none. */
static int64_t *name_take(struct descriptor *d, struct word *w, struct word *name, int *bit)
{
    *name = *w;
    for (int i = 0; i < PLAIN; i++)
        if (word_starts(*w, plain_names[i], w)) {
            name->length -= w->length;
            *bit = i;
            return &d->plain[i];
        }
    if (w->length < 2) return NULL;
    const char *size = memchr(size_letters, w->at[0], SIZES);
    const char *axis = memchr(axis_letters, w->at[1], AXES);
    if (!size || !axis) return NULL;
    *bit = PLAIN + (int)(axis - axis_letters) * SIZES + (int)(size - size_letters);
    name->length = 2;
    *w = (struct word){w->at + 2, w->length - 2};
    return &d->sizes[axis - axis_letters][size - size_letters];
}

/* Takes a number, not negative, off w. */
static enum kiln_status value_take(struct word *w, struct word name, int64_t *value, struct kiln_error *error)
{
    struct word digits = {w->at, 0};
    while (digits.length < w->length && w->at[digits.length] >= '0' && w->at[digits.length] <= '9')
        digits.length++;
    *w = (struct word){w->at + digits.length, w->length - digits.length};
    enum number number = word_number(digits, value);
    if (number == NUMBER_OK) return KILN_STATUS_OK;
    if (number == NUMBER_OVERFLOW)
        return fail(error, KILN_STATUS_INVALID, "%.*s is %.*s: it must be from 0 to %" PRId64, WORD(name),
                    WORD(digits), INT64_MAX);
    return fail(error, KILN_STATUS_INVALID, "%.*s is '%.*s': it must be a whole number, not negative",
                WORD(name), WORD(*w));
}

static enum kiln_status descriptor_read(struct descriptor *d, struct word whole, struct kiln_error *error)
{
    for (struct word w = whole; w.length > 0 && w.at[0] != 'n';) {
        if (word_starts(w, "_", &w)) continue;
        struct word name;
        int bit;
        int64_t *field = name_take(d, &w, &name, &bit);
        if (!field)
            return fail(
                error, KILN_STATUS_INVALID,
                "'%.*s' is neither the word conv, which a conv begins with, nor a benchdnn word: no field of "
                "one begins with '%.*s'",
                WORD(whole), WORD(w));
        if (d->given >> bit & 1)
            return fail(error, KILN_STATUS_INVALID, "%.*s is given twice in '%.*s'", WORD(name), WORD(whole));
        enum kiln_status status = value_take(&w, name, field, error);
        if (status) return status;
        d->given |= UINT32_C(1) << bit;
    }
    return KILN_STATUS_OK;
}

/* ---- numbers as a convolution ---- */

/* Whether a dimension is there: anything of it differs from what it is when not given. */
static bool axis_there(const int64_t *s)
{
    return s[OUT] || s[IN] || s[KERNEL] || s[DILATION] || s[STRIDE] != 1 || s[PAD] > 0;
}

/* Padding in front and behind from an output that is given; false: beyond int64. */
static bool padding_follows(struct axis *a, int64_t out, int64_t pad)
{
    int64_t span, reach; /* what the dilated kernel spans; where the last output's window ends */
    if (__builtin_mul_overflow(a->kernel - 1, a->dilation, &span) || __builtin_add_overflow(span, 1, &span) ||
        __builtin_mul_overflow(out - 1, a->stride, &reach) || __builtin_add_overflow(reach, span, &reach))
        return false;
    int64_t missing = reach > a->in ? reach - a->in : 0;
    a->low = pad == UNKNOWN ? missing / 2 : pad;
    return !__builtin_sub_overflow(reach - a->in, a->low, &a->high);
}

/* Inputs behind the last window that are too few for another output change nothing. */
static enum kiln_status padding_check(struct axis *a, char axis, struct kiln_error *error)
{
    if (a->high >= 0) return KILN_STATUS_OK;
    if (a->high <= -a->stride)
        return fail(error, KILN_STATUS_UNSUPPORTED,
                    "o%c leaves out %" PRIu64 " at the end of i%c: fewer than s%c, which is %" PRId64
                    ", can be left out",
                    axis, UINT64_C(0) - (uint64_t)a->high, axis, axis, a->stride);
    a->high = 0;
    return KILN_STATUS_OK;
}

static enum kiln_status axis_resolve(const int64_t *s, char axis, struct axis *a, struct kiln_error *error)
{
    static const int needed[] = {IN, KERNEL, STRIDE};
    for (int i = 0; i < 3; i++)
        if (s[needed[i]] < 1)
            return fail(error, KILN_STATUS_INVALID, "%c%c is missing or 0: it must be at least 1",
                        size_letters[needed[i]], axis);
    *a = (struct axis){s[IN], s[KERNEL], s[STRIDE], 1, 0, 0};
    bool fits = !__builtin_add_overflow(s[DILATION], 1, &a->dilation);
    if (s[OUT] == 0)
        a->low = a->high = s[PAD] == UNKNOWN ? 0 : s[PAD];
    else
        fits = fits && padding_follows(a, s[OUT], s[PAD]);
    if (!fits)
        return fail(error, KILN_STATUS_INVALID, "o%c, k%c, s%c and d%c reach beyond %" PRId64 " inputs", axis,
                    axis, axis, axis, INT64_MAX);
    return padding_check(a, axis, error);
}

/* Dimensions that are not there: like the one in front if that is, which makes squares and cubes. */
static enum kiln_status axes_resolve(const struct descriptor *d, struct axis axes[AXES],
                                     struct kiln_error *error)
{
    bool there[AXES];
    for (int i = 0; i < AXES; i++) {
        there[i] = axis_there(d->sizes[i]);
        axes[i] = (struct axis){.in = 1, .kernel = 1, .stride = 1, .dilation = 1};
        enum kiln_status status = there[i] ? axis_resolve(d->sizes[i], axis_letters[i], &axes[i], error) : 0;
        if (status) return status;
    }
    if (!there[0] && !there[1] && !there[2])
        return fail(error, KILN_STATUS_INVALID, "iw and kw are missing: at least one dimension is needed");
    if (there[0] && there[1] != there[2])
        return fail(error, KILN_STATUS_INVALID,
                    "%s are missing: with depth, both height and width are given or none",
                    there[1] ? "iw and kw" : "ih and kh");
    if (there[0] && !there[1]) axes[1] = axes[0];
    if (!there[2]) axes[2] = axes[1];
    return KILN_STATUS_OK;
}

enum kiln_status benchdnn_read(struct kiln_conv *c, struct word word, struct kiln_error *error)
{
    struct descriptor d = descriptor_standard();
    struct axis a[AXES];
    enum kiln_status status = descriptor_read(&d, word, error);
    if (!status) status = axes_resolve(&d, a, error);
    if (status) return status;
    conv_init(c);
    c->g = d.plain[GROUPS];
    c->n = d.plain[BATCH];
    c->ic = d.plain[IN_CHANNELS];
    c->oc = d.plain[OUT_CHANNELS];
    conv_set_axis(c, 0, a[0]);
    conv_set_axis(c, 1, a[1]);
    conv_set_axis(c, 2, a[2]);
    return KILN_STATUS_OK;
}
