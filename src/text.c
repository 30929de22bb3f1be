/* text: scanning and printing words. Texts come from people and files: anything may stand in them.
 * Nothing here depends on the locale, and nothing allocates. */
#include "text.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- printing ---- */

struct text text_into(char *to, size_t room)
{
    if (room > 0) *to = 0;
    return (struct text){to, room, 0};
}

static void bytes_put(struct text *t, const char *bytes, size_t count)
{
    if (t->length + 1 < t->room) {
        size_t left = t->room - 1 - t->length, fits = count < left ? count : left;
        memcpy(t->to + t->length, bytes, fits);
        t->to[t->length + fits] = '\0';
    }
    t->length += count;
}

static void number_put(struct text *t, int64_t v)
{
    char digits[24], *at = digits + sizeof digits;
    uint64_t left = v < 0 ? -(uint64_t)v : (uint64_t)v;
    do *--at = (char)('0' + left % 10);
    while (left /= 10);
    if (v < 0) *--at = '-';
    bytes_put(t, at, (size_t)(digits + sizeof digits - at));
}

/* One conversion of words and whole numbers, which is nearly all there is; false: it is another one. */
static bool conversion_put(struct text *t, const char **format, va_list *args)
{
    const char *at = *format + 1;
    size_t length = 1;
    if (*at == 's') {
        const char *word = va_arg(*args, const char *);
        bytes_put(t, word, strlen(word));
    } else if (*at == 'd') {
        number_put(t, va_arg(*args, int));
    } else if (!strncmp(at, PRId64, length = sizeof PRId64 - 1)) {
        number_put(t, va_arg(*args, int64_t));
    } else {
        return false;
    }
    *format = at + length;
    return true;
}

/* What is left of a format, from a conversion on. */
static void rest_put(struct text *t, const char *format, va_list args)
{
    size_t at = t->length < t->room ? t->length : t->room;
    int length = vsnprintf(t->room ? t->to + at : NULL, t->room - at, format, args);
    assert(length >= 0);
    t->length += (size_t)length;
}

/* printf takes as long for a word as all of this for a line, and each kiln_compile prints a kernel's key. */
void text_put(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    for (;;) {
        size_t plain = (size_t)(strchrnul(format, '%') - format);
        bytes_put(t, format, plain);
        format += plain;
        if (*format && conversion_put(t, &format, &args)) continue;
        if (*format) rest_put(t, format, args);
        break;
    }
    va_end(args);
}

/* Significant digits that tell any two floats apart (FLT_DECIMAL_DIG), and room for them in "%e". */
enum { FLOAT_DIGITS = 9, FLOAT_ROOM = 32 };

/* v = 0.d1d2d3... * 10^point, with no trailing zeros. */
struct decimal {
    char digits[FLOAT_ROOM];
    int count, point;
};

/* The digits of |v| in `precision` digits. Skips whatever the locale writes for a '.'. */
static struct decimal decimal_of(float v, int precision)
{
    char text[FLOAT_ROOM];
    snprintf(text, sizeof text, "%.*e", precision - 1, (double)fabsf(v));
    struct decimal d = {.count = 0};
    const char *c = text;
    for (; *c && *c != 'e'; c++)
        if (*c >= '0' && *c <= '9') d.digits[d.count++] = *c;
    assert(*c == 'e');
    d.point = atoi(c + 1) + 1;
    while (d.count > 1 && d.digits[d.count - 1] == '0') d.count--;
    return d;
}

/* Without a '.', so that strtof reads the same in every locale. */
static float decimal_value(const struct decimal *d)
{
    char text[2 * FLOAT_ROOM];
    snprintf(text, sizeof text, "%.*se%d", d->count, d->digits, d->point - d->count);
    return strtof(text, NULL);
}

static void put_plain(struct text *t, const struct decimal *d)
{
    int whole = d->point > 0 ? d->point : 0;
    int known = whole < d->count ? whole : d->count;
    if (whole == 0) text_put(t, "0");
    text_put(t, "%.*s", known, d->digits);
    for (int i = known; i < whole; i++) text_put(t, "0");
    if (known == d->count) return;
    text_put(t, ".");
    for (int i = d->point; i < 0; i++) text_put(t, "0");
    text_put(t, "%.*s", d->count - known, d->digits + known);
}

static void put_scientific(struct text *t, const struct decimal *d)
{
    text_put(t, "%c", d->digits[0]);
    if (d->count > 1) text_put(t, ".%.*s", d->count - 1, d->digits + 1);
    text_put(t, "e%d", d->point - 1);
}

void text_put_float(struct text *t, float v)
{
    assert(isfinite(v));
    struct decimal d = decimal_of(v, 1);
    for (int precision = 2; precision <= FLOAT_DIGITS && decimal_value(&d) != fabsf(v); precision++)
        d = decimal_of(v, precision);
    if (signbit(v)) text_put(t, "-");
    bool plain = v == 0 || (d.point > -4 && d.point <= FLOAT_DIGITS);
    (plain ? put_plain : put_scientific)(t, &d);
}

/* ---- scanning ---- */

static bool blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static bool digit(char c) { return c >= '0' && c <= '9'; }

int word_shown(struct word w) { return (int)(w.length < WORD_SHOWN_MAX ? w.length : WORD_SHOWN_MAX); }

struct words words_of(const char *text)
{
    struct words part;
    words_part(text, 0, &part);
    return part;
}

bool words_next(struct words *words, struct word *w)
{
    while (words->at < words->end && blank(*words->at)) words->at++;
    if (words->at == words->end) return false;
    const char *start = words->at;
    while (words->at < words->end && !blank(*words->at)) words->at++;
    *w = (struct word){start, (size_t)(words->at - start)};
    return true;
}

bool words_part(const char *text, int skip, struct words *part)
{
    for (; skip > 0; skip--) {
        text = strchr(text, '|');
        if (!text) return false;
        text++;
    }
    const char *end = text + strcspn(text, "|");
    while (text < end && blank(*text)) text++;
    while (end > text && blank(end[-1])) end--;
    *part = (struct words){text, end};
    return true;
}

bool words_line(const char *line, struct words *schedule, struct word *isa)
{
    struct words machine, more;
    struct word extra;
    return words_part(line, 1, schedule) && words_part(line, 2, &machine) && !words_part(line, 3, &more) &&
           words_next(&machine, isa) && !words_next(&machine, &extra);
}

bool word_is(struct word w, const char *expected)
{
    return strlen(expected) == w.length && memcmp(w.at, expected, w.length) == 0;
}

bool word_starts(struct word w, const char *prefix, struct word *rest)
{
    size_t length = strlen(prefix);
    if (w.length < length || memcmp(w.at, prefix, length) != 0) return false;
    *rest = (struct word){w.at + length, w.length - length};
    return true;
}

bool word_pair(struct word w, struct word *key, struct word *value)
{
    const char *equals = memchr(w.at, '=', w.length);
    if (!equals || equals == w.at) return false;
    *key = (struct word){w.at, (size_t)(equals - w.at)};
    *value = (struct word){equals + 1, w.length - key->length - 1};
    return true;
}

void word_split(struct word w, struct word *letters, struct word *rest)
{
    size_t n = 0;
    while (n < w.length && ((w.at[n] >= 'a' && w.at[n] <= 'z') || w.at[n] == '_')) n++;
    *letters = (struct word){w.at, n};
    *rest = (struct word){w.at + n, w.length - n};
}

enum number word_number(struct word w, int64_t *value)
{
    bool negative = w.length > 0 && w.at[0] == '-';
    if (w.length == negative) return NUMBER_NONE;
    int64_t sum = 0;
    bool overflow = false;
    for (size_t i = negative; i < w.length; i++) {
        if (!digit(w.at[i])) return NUMBER_NONE;
        int step = negative ? '0' - w.at[i] : w.at[i] - '0';
        overflow |= __builtin_mul_overflow(sum, 10, &sum) || __builtin_add_overflow(sum, step, &sum);
    }
    if (overflow) return NUMBER_OVERFLOW;
    *value = sum;
    return NUMBER_OK;
}

/* Every float written out in full has fewer characters; so has any number that a person writes. */
enum { NUMBER_LENGTH_MAX = 200 };

/* The exponent behind an 'e'; far beyond every float it is clamped, as it then decides alone. */
static bool exponent_read(struct word w, int *exponent)
{
    enum { FAR = 10000 };
    struct word positive;
    if (word_starts(w, "+", &positive) && positive.length > 0 && digit(positive.at[0])) w = positive;
    int64_t value = 0;
    enum number number = word_number(w, &value);
    if (number == NUMBER_NONE) return false;
    if (number == NUMBER_OVERFLOW) value = w.at[0] == '-' ? -FAR : FAR;
    *exponent = (int)(value < -FAR ? -FAR : value > FAR ? FAR : value);
    return true;
}

/* Copies the sign and the digits in front of an exponent; *digits counts them, *fraction those behind
 * the point. Returns what is left of w. */
static struct word mantissa_read(struct word w, char *to, int *digits, int *fraction)
{
    size_t i = 0;
    bool point = false;
    *digits = *fraction = 0;
    if (w.length > 0 && w.at[0] == '-') *to++ = w.at[i++];
    for (; i < w.length && (digit(w.at[i]) || (w.at[i] == '.' && !point)); i++) {
        if (w.at[i] == '.') {
            point = true;
            continue;
        }
        *to++ = w.at[i];
        *digits += 1;
        *fraction += point;
    }
    *to = 0;
    return (struct word){w.at + i, w.length - i};
}

enum number word_float(struct word w, float *value)
{
    if (w.length > NUMBER_LENGTH_MAX) return NUMBER_NONE;
    char text[NUMBER_LENGTH_MAX + FLOAT_ROOM];
    int digits, fraction, exponent = 0;
    struct word rest = mantissa_read(w, text, &digits, &fraction);
    if (digits == 0) return NUMBER_NONE;
    struct word behind;
    if (rest.length > 0 && !(word_starts(rest, "e", &behind) && exponent_read(behind, &exponent)))
        return NUMBER_NONE;
    size_t length = strlen(text);
    snprintf(text + length, sizeof text - length, "e%d", exponent - fraction); /* no '.', as above */
    float v = strtof(text, NULL);
    if (!isfinite(v)) return NUMBER_OVERFLOW;
    *value = v;
    return NUMBER_OK;
}

/* ---- what was meant ---- */

static int least(int a, int b) { return a < b ? a : b; }

/* Letters to insert, delete or replace to make `name` of w; both are at most WORD_SHOWN_MAX long. */
static int edits(struct word w, const char *name)
{
    int row[WORD_SHOWN_MAX + 1];
    int length = (int)strlen(name);
    for (int j = 0; j <= length; j++) row[j] = j;
    for (int i = 1; i <= (int)w.length; i++) {
        int corner = row[0];
        row[0] = i;
        for (int j = 1; j <= length; j++) {
            int replaced = corner + (w.at[i - 1] != name[j - 1]);
            corner = row[j];
            row[j] = least(replaced, 1 + least(row[j], row[j - 1]));
        }
    }
    return row[length];
}

/* Shorter words are near to too many. */
enum { MEANT_LENGTH_MIN = 3 };

int word_nearest(struct word w, const char *const *names, size_t count)
{
    if (w.length < MEANT_LENGTH_MIN || w.length > WORD_SHOWN_MAX) return -1;
    int nearest = -1;
    int fewest = 1 + (int)w.length / 3; /* more edits than this make another word */
    for (size_t i = 0; i < count; i++) {
        if (!names[i] || strlen(names[i]) > WORD_SHOWN_MAX) continue;
        int n = edits(w, names[i]);
        if (n < fewest || (n == fewest && nearest < 0)) {
            nearest = (int)i;
            fewest = n;
        }
    }
    return nearest;
}
