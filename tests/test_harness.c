/* The harness of the other tests can fail: pages that cannot be touched, writes beside a tensor, wrong
 * results, and kernels that do any of it are found. */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "conv.h"
#include "guard.h"
#include "tensors.h"

/* ---- guard ---- */

static void touch(void *at) { *(volatile char *)at = 1; }

static bool touched(const struct guard *g, ptrdiff_t offset)
{
    const char *at = NULL;
    bool fine = guard_call(touch, g->at + offset, &at);
    cr_expect(fine || at == g->at + offset);
    return fine;
}

Test(guard, pages_stand_where_asked)
{
    struct guard behind = guard_new(12, 4, GUARD_BEHIND), before = guard_new(12, 4, GUARD_BEFORE);
    cr_expect(touched(&behind, 0) && touched(&behind, 11) && !touched(&behind, 12));
    cr_expect(touched(&before, 0) && touched(&before, 11) && !touched(&before, -1));
    cr_expect(guard_intact(&behind) && guard_intact(&before));
    guard_free(&behind);
    guard_free(&before);
}

Test(guard, writes_beside_are_seen)
{
    struct guard behind = guard_new(12, 64, GUARD_BEHIND), before = guard_new(12, 64, GUARD_BEFORE);
    cr_expect_eq((uintptr_t)behind.at % 64, 0);
    cr_expect(touched(&behind, 12) && !guard_intact(&behind));
    cr_expect(touched(&before, 12) && !guard_intact(&before));
    guard_free(&behind);
    guard_free(&before);
}

Test(guard, read_only_and_poison)
{
    struct guard g = guard_new(8, 4, GUARD_BEHIND);
    memset(g.at, 0, g.bytes);
    guard_poison(&g);
    cr_expect_eq((unsigned char)g.at[7], GUARD_FILL);
    guard_read_only(&g);
    cr_expect(!touched(&g, 0));
    guard_free(&g);
}

Test(guard, nothing_is_no_memory)
{
    struct guard g = guard_new(0, 64, GUARD_BEFORE);
    cr_expect_null(g.at);
    cr_expect(guard_intact(&g));
    guard_free(&g);
}

/* ---- kernel_try, with kernels in C of y[i] = x[i] * w + add[i] ---- */

enum { PIXELS = 7, TASKS = PIXELS };

static void pack_one(const void *weights, void *packed) { *(float *)packed = *(const float *)weights; }

static void one(const struct kiln_args *args, size_t i, float error)
{
    float x = ((const float *)args->src)[i], w = *(const float *)args->weights;
    float add = args->add ? ((const float *)args->add)[i] : 0;
    ((float *)args->dst)[i] = x * w + add + error;
}

static void run_right(const struct kiln_args *args, size_t begin, size_t end, void *scratch)
{
    (void)scratch;
    for (size_t i = begin; i < end; i++) one(args, i, 0);
}

static void run_wrong_last(const struct kiln_args *args, size_t begin, size_t end, void *scratch)
{
    (void)scratch;
    for (size_t i = begin; i < end; i++) one(args, i, i == PIXELS - 1);
}

static void run_past_end(const struct kiln_args *args, size_t begin, size_t end, void *scratch)
{
    run_right(args, begin, end, scratch);
    (void)((const volatile float *)args->src)[PIXELS];
}

static void run_before_begin(const struct kiln_args *args, size_t begin, size_t end, void *scratch)
{
    run_right(args, begin, end, scratch);
    (void)((const volatile float *)args->src)[-1];
}

static void run_all_tasks(const struct kiln_args *args, size_t begin, size_t end, void *scratch)
{
    if (begin < end) run_right(args, 0, TASKS, scratch);
}

static void run_no_last_task(const struct kiln_args *args, size_t begin, size_t end, void *scratch)
{
    run_right(args, begin, end < TASKS ? end : TASKS - 1, scratch);
}

static void run_writes_src(const struct kiln_args *args, size_t begin, size_t end, void *scratch)
{
    run_right(args, begin, end, scratch);
    memset((void *)args->src, 0, 1);
}

static void run_unset_scratch(const struct kiln_args *args, size_t begin, size_t end, void *scratch)
{
    for (size_t i = begin; i < end; i++) one(args, i, *(float *)scratch);
}

static void run_clears_dst(const struct kiln_args *args, size_t begin, size_t end, void *scratch)
{
    memset(args->dst, 0, PIXELS * sizeof(float));
    run_right(args, begin, end, scratch);
}

static bool tried(kiln_kernel *run, const char *conv_text, char *why, size_t room)
{
    struct kiln_conv conv;
    cr_assert_eq(conv_parse(&conv, conv_text, NULL), KILN_STATUS_OK);
    struct kernel kernel = {
        .run = run, .pack = pack_one, .packed_bytes = 4, .scratch_bytes = 4, .tasks = TASKS, .exact = true};
    struct tensors t = tensors_make(&conv, DATA_INTEGERS);
    struct text w = text_into(why, room);
    bool fine = kernel_try(&kernel, &t, &w);
    tensors_free(&t);
    return fine;
}

static const char plain[] = "conv n1 ic1 iw7 oc1 kw1 f32 nhwc",
                  adds[] = "conv n1 ic1 iw7 oc1 kw1 f32 nhwc +add";

Test(kernel_try, passes_what_is_right)
{
    char why[KILN_TEXT_MAX] = "";
    cr_expect(tried(run_right, plain, why, sizeof why), "%s", why);
    cr_expect(tried(run_right, adds, why, sizeof why), "%s", why);
    cr_expect(tried(run_all_tasks, plain, why, sizeof why), "%s", why);
}

Test(kernel_try, finds_what_is_wrong)
{
    static const struct {
        kiln_kernel *run;
        const char *conv, *why; /* why: part of the sentence */
    } rows[] = {
        {run_wrong_last, plain, "dst[6] of 7 is"},
        {run_past_end, plain, "byte 28 of src, which has 28 (pages behind)"},
        {run_before_begin, plain, "byte -4 of src, which has 28 (pages before"},
        {run_all_tasks, adds, "(in place"}, /* adds twice */
        {run_no_last_task, plain, "dst[6] of 7 is"},
        {run_writes_src, plain, "byte 0 of src"},
        {run_unset_scratch, plain, "must be"},
        {run_clears_dst, adds, "must be"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char why[KILN_TEXT_MAX] = "";
        cr_expect(!tried(rows[i].run, rows[i].conv, why, sizeof why), "row %zu passed", i);
        cr_expect(strstr(why, rows[i].why), "row %zu: %s", i, why);
    }
}

/* ---- data ---- */

Test(tensors, small_integers_of_the_conv_alone)
{
    struct kiln_conv conv;
    cr_assert_eq(conv_parse(&conv, "conv n1 ic9 iw70 oc3 kw3 f32 nhwc +bias", NULL), KILN_STATUS_OK);
    struct tensors a = tensors_make(&conv, DATA_INTEGERS), b = tensors_make(&conv, DATA_INTEGERS);
    bool differ = false;
    for (int64_t i = 0; i < a.src_count; i++) {
        cr_expect(a.src[i] == (float)(int)a.src[i] && a.src[i] >= -6 && a.src[i] <= 6);
        differ |= a.src[i] != a.src[0];
    }
    cr_expect(differ);
    cr_expect_arr_eq(a.src, b.src, (size_t)a.src_count * sizeof(float));
    cr_expect_arr_eq(a.want, b.want, (size_t)a.dst_count * sizeof(float));
    tensors_free(&a);
    tensors_free(&b);
}
