/* Scanning and printing words. */
#include "text.h"

#include <criterion/criterion.h>

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static struct word word_of(const char *text) { return (struct word){text, strlen(text)}; }

/* ---- printing ---- */

Test(text, put_counts_what_does_not_fit)
{
    char to[6];
    memset(to, '#', sizeof to);
    struct text t = text_into(to, 5);
    text_put(&t, "%s%d", "ab", 12);
    cr_assert_str_eq(to, "ab12");
    text_put(&t, "xyz");
    cr_assert_str_eq(to, "ab12");
    cr_assert_eq(t.length, 7);
    text_put(&t, "%s", "");
    text_put(&t, "more");
    cr_assert_eq(t.length, 11);
    cr_assert_eq(to[5], '#');
}

Test(text, put_into_nothing_only_counts)
{
    struct text t = text_into(NULL, 0);
    text_put(&t, "%d", 12345);
    text_put_float(&t, 0.5f);
    cr_assert_eq(t.length, 8);
}

Test(text, into_terminates)
{
    char to[2] = "x";
    text_into(to, 1);
    cr_assert_str_eq(to, "");
}

static void float_text(float v, char *to, size_t room)
{
    struct text t = text_into(to, room);
    text_put_float(&t, v);
    cr_assert_lt(t.length, room);
}

static const struct {
    float v;
    const char *text;
} floats[] = {
    {0, "0"},
    {-0.0f, "-0"},
    {1, "1"},
    {-6, "-6"},
    {10, "10"},
    {0.1f, "0.1"},
    {-0.25f, "-0.25"},
    {123.456f, "123.456"},
    {0.001f, "0.001"},
    {0.0001f, "0.0001"},
    {0.00001f, "1e-5"},
    {1.0f / 3, "0.33333334"},
    {16777216, "16777216"},
    {1e8f, "100000000"},
    {1e9f, "1e9"},
    {1.5e20f, "1.5e20"},
    {3.40282347e38f, "3.4028235e38"},
    {1.17549435e-38f, "1.1754944e-38"},
    {1e-45f, "1e-45"},
};

Test(text, floats_print_shortest)
{
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) {
        char text[64];
        float_text(floats[i].v, text, sizeof text);
        cr_expect_str_eq(text, floats[i].text);
    }
}

/* Any 32 bits that are a finite float are read back as the same bits. */
static void round_trip(uint32_t bits)
{
    float v, back;
    memcpy(&v, &bits, sizeof v);
    if (!isfinite(v)) return;
    char text[64];
    float_text(v, text, sizeof text);
    cr_assert_eq(word_float(word_of(text), &back), NUMBER_OK, "%s", text);
    cr_assert(memcmp(&v, &back, sizeof v) == 0, "%s is not %08x", text, bits);
}

Test(text, floats_round_trip)
{
    uint32_t bits = 1;
    for (int i = 0; i < 100000; i++) {
        round_trip(bits);
        bits = bits * UINT32_C(1664525) + UINT32_C(1013904223);
    }
    for (uint32_t exponent = 0; exponent < 255; exponent++)
        for (uint32_t low = 0; low < 4; low++) {
            round_trip(exponent << 23 | low);
            round_trip(exponent << 23 | (0x7fffff - low));
        }
}

Test(text, floats_ignore_the_locale)
{
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "ru_RU.UTF-8", "de_DE"};
    for (size_t i = 0; i < sizeof names / sizeof *names && !setlocale(LC_ALL, names[i]); i++) continue;
    char text[64];
    float v = 0;
    float_text(-1.5f, text, sizeof text);
    cr_assert_str_eq(text, "-1.5");
    cr_assert_eq(word_float(word_of("2.75"), &v), NUMBER_OK);
    cr_assert_eq(v, 2.75f);
    cr_assert_eq(word_float(word_of("2,75"), &v), NUMBER_NONE);
    setlocale(LC_ALL, "C");
}

/* ---- scanning ---- */

Test(text, words_are_separated_by_blanks_and_end_at_the_bar)
{
    static const char *const expected[] = {"conv", "n1", "ic64"};
    struct words words = words_of(" \tconv n1\r\n ic64 | direct");
    struct word w;
    for (size_t i = 0; i < 3; i++) {
        cr_assert(words_next(&words, &w));
        cr_assert(word_is(w, expected[i]));
    }
    cr_assert_not(words_next(&words, &w));
    cr_assert_not(words_next(&words, &w));
}

static const struct {
    const char *text;
    int skip;
    const char *part; /* NULL: there is none */
} parts[] = {
    {"a b | c d | e", 0, "a b"},
    {"a b | c d | e", 1, "c d"},
    {"a b | c d | e", 2, "e"},
    {"a b | c d | e", 3, NULL},
    {"", 0, ""},
    {"", 1, NULL},
    {"|", 0, ""},
    {"|", 1, ""},
    {" a |", 1, ""},
    {"  a  ", 0, "a"},
    {"a|b", 1, "b"},
};

Test(text, parts_are_trimmed)
{
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct words part;
        bool found = words_part(parts[i].text, parts[i].skip, &part);
        cr_assert_eq(found, parts[i].part != NULL, "part %d of '%s'", parts[i].skip, parts[i].text);
        if (!found) continue;
        struct word w = {part.at, (size_t)(part.end - part.at)};
        cr_expect(word_is(w, parts[i].part), "part %d of '%s' is '%.*s'", parts[i].skip, parts[i].text,
                  WORD(w));
    }
}

Test(text, pairs_split_at_the_first_equals)
{
    struct word key, value;
    cr_assert(word_pair(word_of("ow=14"), &key, &value));
    cr_assert(word_is(key, "ow") && word_is(value, "14"));
    cr_assert(word_pair(word_of("a=b=c"), &key, &value));
    cr_assert(word_is(key, "a") && word_is(value, "b=c"));
    cr_assert(word_pair(word_of("a="), &key, &value));
    cr_assert(word_is(key, "a") && word_is(value, ""));
    cr_assert_not(word_pair(word_of("=a"), &key, &value));
    cr_assert_not(word_pair(word_of("a"), &key, &value));
    cr_assert_not(word_pair(word_of(""), &key, &value));
}

Test(text, letters_split_from_numbers)
{
    struct word letters, rest;
    word_split(word_of("ic64"), &letters, &rest);
    cr_assert(word_is(letters, "ic") && word_is(rest, "64"));
    word_split(word_of("ic-1"), &letters, &rest);
    cr_assert(word_is(letters, "ic") && word_is(rest, "-1"));
    word_split(word_of("64"), &letters, &rest);
    cr_assert(word_is(letters, "") && word_is(rest, "64"));
    word_split(word_of("nhwc"), &letters, &rest);
    cr_assert(word_is(letters, "nhwc") && word_is(rest, ""));
}

Test(text, starts)
{
    struct word rest;
    cr_assert(word_starts(word_of("mode=zeros"), "mode=", &rest) && word_is(rest, "zeros"));
    cr_assert(word_starts(word_of("x"), "", &rest) && word_is(rest, "x"));
    cr_assert(word_starts(word_of("x"), "x", &rest) && word_is(rest, ""));
    cr_assert_not(word_starts(word_of("x"), "xy", &rest));
    cr_assert_not(word_is(word_of("x"), "xy") || word_is(word_of("xy"), "x"));
}

static const struct {
    const char *text;
    enum number number;
    int64_t value;
} numbers[] = {
    {"0", NUMBER_OK, 0},
    {"-0", NUMBER_OK, 0},
    {"007", NUMBER_OK, 7},
    {"-12", NUMBER_OK, -12},
    {"9223372036854775807", NUMBER_OK, INT64_MAX},
    {"-9223372036854775808", NUMBER_OK, INT64_MIN},
    {"9223372036854775808", NUMBER_OVERFLOW, 99},
    {"-9223372036854775809", NUMBER_OVERFLOW, 99},
    {"99999999999999999999999999", NUMBER_OVERFLOW, 99},
    {"99999999999999999999999999x", NUMBER_NONE, 99},
    {"", NUMBER_NONE, 99},
    {"-", NUMBER_NONE, 99},
    {"+1", NUMBER_NONE, 99},
    {"1.0", NUMBER_NONE, 99},
    {" 1", NUMBER_NONE, 99},
    {"1 ", NUMBER_NONE, 99},
    {"0x1", NUMBER_NONE, 99},
    {"--1", NUMBER_NONE, 99},
};

Test(text, whole_numbers)
{
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        int64_t value = 99;
        cr_expect_eq(word_number(word_of(numbers[i].text), &value), numbers[i].number, "'%s'",
                     numbers[i].text);
        cr_expect_eq(value, numbers[i].value, "'%s'", numbers[i].text);
    }
}

static const struct {
    const char *text;
    enum number number;
    float value;
} decimals[] = {
    {"0", NUMBER_OK, 0},
    {"6", NUMBER_OK, 6},
    {"-0.5", NUMBER_OK, -0.5f},
    {".5", NUMBER_OK, 0.5f},
    {"5.", NUMBER_OK, 5},
    {"1e3", NUMBER_OK, 1000},
    {"1e+3", NUMBER_OK, 1000},
    {"1.25e-1", NUMBER_OK, 0.125f},
    {"0.00000000000000000000000000000000000000000000000001e50", NUMBER_OK, 1},
    {"1e-99999999999999999999", NUMBER_OK, 0},
    {"0e99999999999999999999", NUMBER_OK, 0},
    {"1e38", NUMBER_OK, 1e38f},
    {"1e39", NUMBER_OVERFLOW, 99},
    {"-1e39", NUMBER_OVERFLOW, 99},
    {"1e99999999999999999999", NUMBER_OVERFLOW, 99},
    {"", NUMBER_NONE, 99},
    {"-", NUMBER_NONE, 99},
    {".", NUMBER_NONE, 99},
    {"-.", NUMBER_NONE, 99},
    {"1e", NUMBER_NONE, 99},
    {"1e+", NUMBER_NONE, 99},
    {"1e+-3", NUMBER_NONE, 99},
    {"1e1.5", NUMBER_NONE, 99},
    {"e5", NUMBER_NONE, 99},
    {"1.2.3", NUMBER_NONE, 99},
    {"1,5", NUMBER_NONE, 99},
    {"+1", NUMBER_NONE, 99},
    {" 1", NUMBER_NONE, 99},
    {"1f", NUMBER_NONE, 99},
    {"0x10", NUMBER_NONE, 99},
    {"inf", NUMBER_NONE, 99},
    {"nan", NUMBER_NONE, 99},
    {"1E3", NUMBER_NONE, 99},
};

Test(text, decimal_numbers)
{
    for (size_t i = 0; i < sizeof decimals / sizeof *decimals; i++) {
        float value = 99;
        cr_expect_eq(word_float(word_of(decimals[i].text), &value), decimals[i].number, "'%s'",
                     decimals[i].text);
        cr_expect_eq(value, decimals[i].value, "'%s' is %g", decimals[i].text, (double)value);
    }
}

Test(text, decimals_of_any_length_do_not_overflow)
{
    char digits[2000];
    memset(digits, '1', sizeof digits);
    for (size_t length = 0; length < sizeof digits; length++) {
        float value = 99;
        enum number number = word_float((struct word){digits, length}, &value);
        cr_assert(length > 0 && length <= 39 ? number == NUMBER_OK : number != NUMBER_OK, "%zu", length);
    }
}

Test(text, shown_words_are_cut)
{
    char text[200] = {0}, shown[200];
    memset(text, 'x', sizeof text - 1);
    snprintf(shown, sizeof shown, "%.*s", WORD(word_of(text)));
    cr_assert_eq(strlen(shown), WORD_SHOWN_MAX);
}

Test(text, nearest_is_what_was_meant)
{
    static const char *const names[] = {"nchw", "nhwc", NULL, "strict", "fast"};
    enum { COUNT = sizeof names / sizeof *names };
    cr_expect_eq(word_nearest(word_of("strickt"), names, COUNT), 3);
    cr_expect_eq(word_nearest(word_of("nhwcc"), names, COUNT), 1);
    cr_expect_eq(word_nearest(word_of("fast"), names, COUNT), 4);
    cr_expect_eq(word_nearest(word_of("elephant"), names, COUNT), -1);
    cr_expect_eq(word_nearest(word_of("n"), names, COUNT), -1);
    cr_expect_eq(word_nearest(word_of(""), names, COUNT), -1);
    char text[200] = {0};
    memset(text, 'x', sizeof text - 1);
    cr_expect_eq(word_nearest(word_of(text), names, COUNT), -1);
}
