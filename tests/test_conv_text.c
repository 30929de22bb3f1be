/* The text form of convolutions, their checks and derived sizes. Most cases are lines of text in
 * cases/text_*.txt: "TEXT => EXPECTED". */
#include "conv.h"
#include "fuzz/fuzz_conv.c"
#include "status.h"

#include <criterion/criterion.h>

#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- lines of a file ---- */

typedef void line_test(const char *at, const char *text, const char *expected);

/* Calls `test` for every line that is not empty or a comment; expected is NULL where there is no "=>".
 * Returns how many there were. */
static int each_line(const char *path, line_test *test)
{
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "%s", path);
    char line[2048], at[512];
    int count = 0;
    for (int number = 1; fgets(line, sizeof line, file); number++) {
        line[strcspn(line, "#\n")] = 0;
        if (line[strspn(line, " ")] == 0) continue;
        snprintf(at, sizeof at, "%s:%d", path, number);
        char *expected = strstr(line, "=>");
        if (expected) {
            *expected = 0;
            expected += 2 + strspn(expected + 2, " ");
        }
        test(at, line, expected);
        count++;
    }
    fclose(file);
    return count;
}

/* What is printed is a fixed point: read again it prints the same and is equal. */
static void assert_round_trip(const char *at, const struct kiln_conv *c, const char *canonical)
{
    struct kiln_conv back;
    struct kiln_error error = {0};
    char again[KILN_TEXT_MAX];
    cr_assert_eq(conv_parse(&back, canonical, &error), KILN_STATUS_OK, "%s: '%s': %s", at, canonical,
                 error.text);
    cr_assert_lt(conv_print(&back, again, sizeof again), sizeof again);
    cr_assert_str_eq(again, canonical, "%s", at);
    cr_assert(conv_equal(c, &back), "%s", at);
    cr_assert_eq(memcmp(&back, c, offsetof(struct kiln_conv, post)), 0, "%s: a member differs", at);
}

static void valid_line(const char *at, const char *text, const char *expected)
{
    struct kiln_conv c;
    struct kiln_error error = {0};
    char printed[KILN_TEXT_MAX];
    cr_assert_eq(conv_parse(&c, text, &error), KILN_STATUS_OK, "%s: %s", at, error.text);
    cr_assert_eq(conv_check(&c, &error), KILN_STATUS_OK, "%s: %s", at, error.text);
    size_t length = conv_print(&c, printed, sizeof printed);
    cr_assert_eq(length, strlen(printed), "%s", at);
    char trimmed[2048];
    snprintf(trimmed, sizeof trimmed, "%s", expected ? expected : text);
    while (strlen(trimmed) > 0 && trimmed[strlen(trimmed) - 1] == ' ') trimmed[strlen(trimmed) - 1] = 0;
    cr_assert_str_eq(printed, trimmed, "%s", at);
    assert_round_trip(at, &c, printed);
}

static void fails_with(const char *at, const char *text, const char *expected, enum kiln_status status)
{
    struct kiln_conv c, before;
    memset(&c, 0x5a, sizeof c);
    before = c;
    struct kiln_error error = {0};
    cr_assert_eq(conv_parse(&c, text, &error), status, "%s: '%s': %s", at, text, error.text);
    cr_assert_eq(error.status, status, "%s", at);
    cr_assert_not_null(expected, "%s", at);
    cr_assert(strstr(error.text, expected), "%s: '%s' is not in: %s", at, expected, error.text);
    cr_assert_eq(memcmp(&c, &before, sizeof c), 0, "%s: the convolution was touched", at);
    cr_assert_eq(conv_parse(&c, text, NULL), status, "%s: without an error to fill", at);
}

static void invalid_line(const char *at, const char *text, const char *expected)
{
    fails_with(at, text, expected, KILN_STATUS_INVALID);
}

static void unsupported_line(const char *at, const char *text, const char *expected)
{
    fails_with(at, text, expected, KILN_STATUS_UNSUPPORTED);
}

Test(conv_text, valid)
{
    cr_assert_geq(each_line(SOURCE_DIR "/tests/cases/text_valid.txt", valid_line), 100);
}
Test(conv_text, invalid)
{
    cr_assert_geq(each_line(SOURCE_DIR "/tests/cases/text_invalid.txt", invalid_line), 80);
}
Test(conv_text, unsupported)
{
    cr_assert_gt(each_line(SOURCE_DIR "/tests/cases/text_unsupported.txt", unsupported_line), 0);
}

Test(conv_text, shapes_of_the_bench)
{
    glob_t files;
    cr_assert_eq(glob(SOURCE_DIR "/bench/shapes/*.txt", 0, NULL, &files), 0);
    int count = 0;
    for (size_t i = 0; i < files.gl_pathc; i++) count += each_line(files.gl_pathv[i], valid_line);
    globfree(&files);
    cr_assert_geq(count, 100);
}

/* ---- printing ---- */

static struct kiln_conv parsed(const char *text)
{
    struct kiln_conv c;
    struct kiln_error error = {0};
    cr_assert_eq(conv_parse(&c, text, &error), KILN_STATUS_OK, "%s: %s", text, error.text);
    return c;
}

Test(conv_text, print_into_too_little_room)
{
    struct kiln_conv c = parsed("conv ic3 iw8 oc4 kw3 +clip(-0.5,6)");
    char whole[KILN_TEXT_MAX];
    size_t length = conv_print(&c, whole, sizeof whole);
    cr_assert_eq(conv_print(&c, NULL, 0), length);
    for (size_t room = 1; room < length + 2; room++) {
        char text[KILN_TEXT_MAX];
        memset(text, '#', sizeof text);
        cr_assert_eq(conv_print(&c, text, room), length);
        cr_assert_eq(strlen(text), room <= length ? room - 1 : length);
        cr_assert_eq(memcmp(text, whole, strlen(text)), 0);
        cr_assert_eq(text[room], '#');
    }
}

/* Every field at its longest, whether or not it makes sense. */
Test(conv_text, no_text_is_longer_than_promised)
{
    struct kiln_conv c;
    conv_init(&c);
    int64_t *numbers = &c.n;
    size_t count = (offsetof(struct kiln_conv, src) - offsetof(struct kiln_conv, n)) / sizeof *numbers;
    for (size_t i = 0; i < count; i++) numbers[i] = INT64_MIN + (int64_t)i;
    c.src = c.weights = c.dst = KILN_TYPE_BF16;
    c.dst = KILN_TYPE_F32;
    c.mode = KILN_MODE_REPLICATE;
    c.accuracy = KILN_ACCURACY_STRICT;
    c.post_count = KILN_POST_MAX;
    for (int i = 0; i < KILN_POST_MAX; i++)
        c.post[i] = (struct kiln_post){KILN_POST_CLIP, -1.17549435e-38f, -1.17549449e-38f};
    cr_assert_lt(conv_print(&c, NULL, 0), KILN_TEXT_MAX);
}

/* Printing is for error messages too: it survives what conv_check refuses. */
Test(conv_text, print_survives_nonsense)
{
    struct kiln_conv c;
    memset(&c, 0xff, sizeof c);
    char text[KILN_TEXT_MAX];
    cr_assert_gt(conv_print(&c, text, sizeof text), 0);
    c.post_count = 1 << 20;
    cr_assert_gt(conv_print(&c, text, sizeof text), 0);
}

Test(conv_text, help_tells_of_every_field)
{
    static const char *const words[] = {"\ng",     "ic",       "kd",     "sw",         "dh",
                                        "pt",      "pad=same", "mode=",  "reflect",    "f32",
                                        "u8",      "ndhwc",    "strict", "+bias",      "+scale",
                                        "+leaky(", "+prelu",   "+clip(", "+hardswish", "required"};
    char help[8192];
    size_t length = conv_help(help, sizeof help);
    cr_assert_lt(length, sizeof help);
    cr_assert_eq(help[length - 1], '\n');
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        cr_expect(strstr(help, words[i]), "%s", words[i]);
}

/* ---- sizes ---- */

/* Starts of windows that fit, counted. */
static int64_t windows(const struct axis *a)
{
    int64_t count = 0;
    for (int64_t at = -a->low; at + (a->kernel - 1) * a->dilation < a->in + a->high; at += a->stride) count++;
    return count;
}

static const struct {
    const char *text;
    int dims;
    int64_t out[3], src, weights, dst;
    double flops;
} sizes[] = {
    {"conv ic3 iw8 oc4 kw3", 1, {1, 1, 6}, 24, 36, 24, 2.0 * 24 * 9},
    {"conv n2 ic3 ih8 iw9 oc4 kh3 kw2 sh2 sw3 ph1", 2, {1, 4, 3}, 432, 72, 96, 2.0 * 96 * 18},
    {"conv n2 g3 ic6 ih5 iw5 oc9 kh5 kw5", 2, {1, 1, 1}, 300, 450, 18, 2.0 * 18 * 50},
    {"conv ic2 id4 ih5 iw6 oc3 kd2 kh3 kw4 dd2", 3, {2, 3, 3}, 240, 144, 54, 2.0 * 54 * 48},
    {"conv ic3 ih8 iw8 oc4 kh3 kw3 sh2 sw2 pad=same", 2, {1, 4, 4}, 192, 108, 64, 2.0 * 64 * 27},
    {"conv ic1 ih4 iw4 oc1 kh1 kw1 sh9 sw4", 2, {1, 1, 1}, 16, 1, 1, 2},
    {"conv ic1 iw4 oc1 kw1 pt2", 2, {1, 3, 4}, 4, 1, 12, 24},
    {"conv ic1 iw4 oc1 kw1 sd2", 3, {1, 1, 4}, 4, 1, 4, 8},
};

Test(conv, sizes)
{
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct kiln_conv c = parsed(sizes[i].text);
        const char *text = sizes[i].text;
        cr_expect_eq(conv_dims(&c), sizes[i].dims, "%s", text);
        cr_expect_eq(conv_od(&c), sizes[i].out[0], "%s", text);
        cr_expect_eq(conv_oh(&c), sizes[i].out[1], "%s", text);
        cr_expect_eq(conv_ow(&c), sizes[i].out[2], "%s", text);
        cr_expect_eq(conv_src_count(&c), sizes[i].src, "%s", text);
        cr_expect_eq(conv_weights_count(&c), sizes[i].weights, "%s", text);
        cr_expect_eq(conv_dst_count(&c), sizes[i].dst, "%s", text);
        cr_expect_float_eq(conv_flops(&c), sizes[i].flops, 0.0, "%s", text);
    }
}

Test(conv, same_gives_ceil_of_in_over_stride)
{
    for (int in = 1; in <= 12; in++)
        for (int kernel = 1; kernel <= 6; kernel++)
            for (int stride = 1; stride <= 4; stride++)
                for (int dilation = 1; dilation <= 3; dilation++) {
                    char text[128];
                    snprintf(text, sizeof text, "conv ic1 oc1 iw%d kw%d sw%d dw%d pad=same", in, kernel,
                             stride, dilation);
                    struct kiln_conv c = parsed(text);
                    cr_assert_eq(conv_ow(&c), (in + stride - 1) / stride, "%s", text);
                    cr_assert(c.pr == c.pl || c.pr == c.pl + 1, "%s", text);
                }
}

Test(conv, has_and_names)
{
    struct kiln_conv c = parsed("conv ic3 iw8 oc4 kw3 +bias +gelu");
    cr_assert(conv_has(&c, KILN_POST_BIAS) && conv_has(&c, KILN_POST_GELU));
    cr_assert_not(conv_has(&c, KILN_POST_RELU));
    cr_assert_str_eq(type_name(KILN_TYPE_BF16), "bf16");
    cr_assert_str_eq(post_name(KILN_POST_HARDSWISH), "hardswish");
    cr_assert_str_eq(mode_name(KILN_MODE_CIRCULAR), "circular");
    cr_assert_str_eq(type_name((enum kiln_type)99), "?");
    static const size_t bytes[] = {[KILN_TYPE_F32] = 4, [KILN_TYPE_BF16] = 2, [KILN_TYPE_F16] = 2,
                                   [KILN_TYPE_U8] = 1,  [KILN_TYPE_S8] = 1,   [KILN_TYPE_S32] = 4};
    for (int i = 0; i < 6; i++) cr_assert_eq(type_bytes((enum kiln_type)i), bytes[i]);
}

Test(conv, equal_is_the_same_text)
{
    struct kiln_conv a = parsed("conv ic3 iw8 oc4 kw3 +leaky(0.5)"), b = a;
    cr_assert(conv_equal(&a, &b));
    b.post[0].b = 7;                 /* not an argument of leaky */
    b.post[3].kind = KILN_POST_GELU; /* behind post_count */
    cr_assert(conv_equal(&a, &b));
    b.post[0].a = 0.25f;
    cr_assert_not(conv_equal(&a, &b));
    b = a;
    b.pr = 1;
    cr_assert_not(conv_equal(&a, &b));
}

/* Whatever lies in bytes that mean nothing. */
Test(conv, equal_ones_have_the_same_canonical_bytes)
{
    struct kiln_conv a = parsed("conv ic3 iw8 oc4 kw3 +bias +leaky(0.5)"), b, x, y;
    memset(&b, 0xa5, sizeof b);
    memcpy(&b, &a, offsetof(struct kiln_conv, post));
    b.post[0].kind = KILN_POST_BIAS;
    b.post[1].kind = KILN_POST_LEAKY, b.post[1].a = 0.5f;
    conv_canonical(&x, &a);
    conv_canonical(&y, &b);
    cr_assert_eq(memcmp(&x, &y, sizeof x), 0);
    cr_assert(conv_equal(&x, &a));
    memset(&y, 0x5a, sizeof y);
    conv_canonical(&y, &x);
    cr_assert_eq(memcmp(&x, &y, sizeof x), 0);
}

/* ---- checks of what no text can say ---- */

static void check_fails(const struct kiln_conv *c, const char *expected)
{
    struct kiln_error error = {0};
    cr_expect_eq(conv_check(c, &error), KILN_STATUS_INVALID, "%s", expected);
    cr_expect_eq(error.status, KILN_STATUS_INVALID);
    cr_expect(strstr(error.text, expected), "'%s' is not in: %s", expected, error.text);
    cr_expect_eq(conv_check(c, NULL), KILN_STATUS_INVALID);
}

#define REFUSED(expected, ...)                                                    \
    do {                                                                          \
        struct kiln_conv c = parsed("conv ic3 iw8 oc4 kw3 +leaky(1) +clip(0,1)"); \
        __VA_ARGS__;                                                              \
        check_fails(&c, expected);                                                \
    } while (0)

Test(conv, check_of_structs)
{
    REFUSED("size is 0: it must be sizeof(struct kiln_conv)", c.size = 0);
    REFUSED("size is 8:", c.size = 8);
    REFUSED("layout is 7: it must be one of nchw, nhwc", c.layout = (enum kiln_layout)7);
    REFUSED("mode is 4: it must be one of zeros", c.mode = (enum kiln_mode)4);
    REFUSED("mode is -1: it must be one of zeros", c.mode = (enum kiln_mode) - 1);
    REFUSED("accuracy is 3: it must be one of strict, fast", c.accuracy = (enum kiln_accuracy)3);
    REFUSED("src is 6: it must be", c.src = (enum kiln_type)6);
    REFUSED("weights is -1: it must be", c.weights = (enum kiln_type) - 1);
    REFUSED("dst is 100: it must be", c.dst = (enum kiln_type)100);
    REFUSED("post_count is -1: it must be from 0 to 8", c.post_count = -1);
    REFUSED("post_count is 9: it must be from 0 to 8", c.post_count = 9);
    REFUSED("post[1].kind is 12: it must be", c.post[1].kind = (enum kiln_post_kind)12);
    REFUSED("+leaky has NaN as its a: it must be finite", c.post[0].a = NAN);
    REFUSED("+clip has an infinity as its b: it must be finite", c.post[1].b = INFINITY);
    REFUSED("+clip has an infinity as its a: it must be finite", c.post[1].a = -INFINITY);
    REFUSED("+clip is (2,1): its a must be at most its b", c.post[1].a = 2);
    REFUSED("iw is 0: it must be at least 1", c.iw = 0);
    REFUSED("ic is 0: it must be at least 1", conv_init(&c));
}

Test(conv, check_leaves_the_error_alone_when_all_is_well)
{
    struct kiln_conv c = parsed("conv ic3 iw8 oc4 kw3");
    struct kiln_error error = {KILN_STATUS_SYSTEM, "before"};
    cr_assert_eq(conv_check(&c, &error), KILN_STATUS_OK);
    cr_assert_eq(error.status, KILN_STATUS_SYSTEM);
    cr_assert_str_eq(error.text, "before");
}

/* ---- random convolutions ---- */

static uint64_t state;

static uint64_t draw(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

static struct kiln_conv random_conv(void)
{
    struct kiln_conv c;
    conv_init(&c);
    c.n = 1 + (int64_t)draw(3);
    c.g = 1 + (int64_t)draw(3);
    c.ic = c.g * (1 + (int64_t)draw(5));
    c.oc = c.g * (1 + (int64_t)draw(5));
    for (int i = AXES - 1 - (int)draw(3); i < AXES; i++) {
        struct axis a = {.in = 1 + (int64_t)draw(12), .kernel = 1 + (int64_t)draw(5)};
        a.stride = 1 + (int64_t)draw(3), a.dilation = 1 + (int64_t)draw(3);
        a.low = (int64_t)draw(4), a.high = draw(2) ? a.low : (int64_t)draw(4);
        conv_set_axis(&c, i, a);
    }
    c.src = (enum kiln_type)draw(6), c.weights = (enum kiln_type)draw(6), c.dst = (enum kiln_type)draw(6);
    c.layout = (enum kiln_layout)draw(2);
    c.mode = (enum kiln_mode)draw(4);
    c.accuracy = (enum kiln_accuracy)draw(3);
    c.post_count = (int)draw(4);
    for (int i = 0; i < c.post_count; i++) {
        c.post[i] = (struct kiln_post){(enum kiln_post_kind)draw(12), 0, 0};
        if (c.post[i].kind == KILN_POST_LEAKY || c.post[i].kind == KILN_POST_CLIP)
            c.post[i].a = ((float)draw(2000) - 1000) / 777;
        if (c.post[i].kind == KILN_POST_CLIP) c.post[i].b = c.post[i].a + (float)draw(9);
    }
    return c;
}

Test(conv, random_ones_round_trip)
{
    state = 88172645463325252u;
    int valid = 0;
    for (int i = 0; i < 20000; i++) {
        struct kiln_conv c = random_conv();
        if (conv_check(&c, NULL)) continue;
        valid++;
        char text[KILN_TEXT_MAX];
        cr_assert_lt(conv_print(&c, text, sizeof text), sizeof text);
        assert_round_trip(text, &c, text);
        const int64_t out[AXES] = {conv_od(&c), conv_oh(&c), conv_ow(&c)};
        for (int j = 0; j < AXES; j++) {
            struct axis a = conv_axis(&c, j);
            cr_assert_eq(out[j], windows(&a), "%s", text);
        }
    }
    cr_assert_gt(valid, 5000);
}

/* Any 64 bits in any fields: refused with a sentence, or exact to the last size. */
Test(conv, extreme_numbers_never_overflow)
{
    static const int64_t extremes[] = {INT64_MAX,
                                       INT64_MIN,
                                       INT64_MAX - 1,
                                       INT64_MAX / 2,
                                       INT64_MAX / 4,
                                       INT64_C(3037000500),
                                       INT64_C(2147483648),
                                       -1,
                                       0,
                                       2};
    state = 362436069u;
    for (int i = 0; i < 50000; i++) {
        struct kiln_conv c = random_conv();
        int64_t *numbers = &c.n;
        size_t count = (offsetof(struct kiln_conv, src) - offsetof(struct kiln_conv, n)) / sizeof *numbers;
        for (uint64_t j = 1 + draw(3); j > 0; j--)
            numbers[draw(count)] = extremes[draw(sizeof extremes / sizeof *extremes)];
        struct kiln_error error = {0};
        if (conv_check(&c, &error)) {
            cr_assert_gt(strlen(error.text), 10);
            continue;
        }
        cr_assert(conv_src_count(&c) > 0 && conv_weights_count(&c) > 0 && conv_dst_count(&c) > 0);
        cr_assert(conv_flops(&c) > 0);
        char text[KILN_TEXT_MAX];
        cr_assert_lt(conv_print(&c, text, sizeof text), sizeof text);
        assert_round_trip(text, &c, text);
    }
}

/* ---- the lines of the cases as inputs of the fuzz target: cut short, and with letters changed ---- */

static void replay_line(const char *at, const char *text, const char *expected)
{
    static const char letters[] = "0123456789-+=|_(),. acdfghiknoprstuw8\xff";
    (void)at, (void)expected;
    char changed[2048];
    size_t length = strlen(text);
    for (size_t i = 0; i <= length; i++) LLVMFuzzerTestOneInput((const uint8_t *)text, i);
    for (size_t i = 0; i < length; i++) {
        memcpy(changed, text, length);
        changed[i] = letters[draw(sizeof letters - 1)];
        changed[draw(length)] = letters[draw(sizeof letters - 1)];
        LLVMFuzzerTestOneInput((const uint8_t *)changed, length);
    }
}

Test(conv_text, fuzz_corpus)
{
    state = 521288629u;
    cr_assert_geq(each_line(SOURCE_DIR "/tests/cases/text_valid.txt", replay_line), 100);
    cr_assert_geq(each_line(SOURCE_DIR "/tests/cases/text_invalid.txt", replay_line), 80);
}

/* ---- statuses ---- */

Test(status, names)
{
    cr_assert_str_eq(status_name(KILN_STATUS_OK), "ok");
    cr_assert_str_eq(status_name(KILN_STATUS_INVALID), "invalid");
    cr_assert_str_eq(status_name(KILN_STATUS_INTERNAL), "internal");
    cr_assert_str_eq(status_name((enum kiln_status)99), "unknown");
    cr_assert_str_eq(status_name((enum kiln_status) - 1), "unknown");
}

Test(status, fail_fills_and_cuts)
{
    struct kiln_error error;
    memset(&error, '#', sizeof error);
    cr_assert_eq(fail(&error, KILN_STATUS_MEMORY, "%s is %d", "x", 3), KILN_STATUS_MEMORY);
    cr_assert_eq(error.status, KILN_STATUS_MEMORY);
    cr_assert_str_eq(error.text, "x is 3");
    fail(&error, KILN_STATUS_INVALID, "again: %s", error.text);
    cr_assert_str_eq(error.text, "again: x is 3");
    fail(&error, KILN_STATUS_INVALID, "%*d", 3 * KILN_ERROR_TEXT, 1);
    cr_assert_eq(strlen(error.text), KILN_ERROR_TEXT - 1);
    cr_assert_eq(fail(NULL, KILN_STATUS_SYSTEM, "nobody reads this"), KILN_STATUS_SYSTEM);
}
