/* What explain prints, byte for byte, for some convolutions on typical machines (so that nothing depends
 * on the one that runs the test): tests/golden/NAME.txt. A change of the planner's model or of the text
 * changes them. To write them anew, and then read the difference with git:
 *
 *   KILN_UPDATE_GOLDEN=1 build/release/test_explain */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conv.h"
#include "harness.h"

const struct generator *kiln_generator(void);

static const struct golden {
    const char *name, *conv, *arch, *isa;
    const char *schedule; /* NULL: the planner's */
} goldens[] = {
    {"direct", "conv ic64 ih56 iw56 oc64 kh3 kw3 ph1 pw1 nhwc strict +bias +relu", "x86_64", "avx512"},
    {"direct_planes", "conv ic64 ih56 iw56 oc64 kh3 kw3 sh2 sw2 ph1 pw1 nchw +bias +relu", "x86_64", "avx2"},
    {"winograd", "conv ic64 ih56 iw56 oc64 kh3 kw3 ph1 pw1 nhwc +bias +relu", "x86_64", "avx512"},
    {"winograd_planes", "conv n2 ic512 ih13 iw13 oc500 kh3 kw3 ph1 pw1 nchw +bias +relu", "x86_64", "avx2"},
    {"first_layer", "conv ic3 ih224 iw224 oc64 kh7 kw7 sh2 sw2 ph3 pw3 nhwc +bias +relu", "x86_64", "avx512"},
    {"pointwise", "conv n16 ic256 ih14 iw14 oc1024 kh1 kw1 nhwc +bias +add +relu", "x86_64", "avx512"},
    {"depthwise", "conv g96 ic96 ih56 iw56 oc96 kh3 kw3 sh2 sw2 ph1 pw1 nhwc +bias +clip(0,6)", "x86_64",
     "avx2"},
    {"depthwise_rows", "conv g32 ic32 ih28 iw28 oc32 kh3 kw3 ph1 pw1 nchw +bias", "aarch64", "neon"},
    {"pointwise_strided", "conv ic1024 ih14 iw14 oc2048 kh1 kw1 sh2 sw2 nhwc +bias", "x86_64", "avx512"},
    {"planes", "conv ic16 ih112 iw112 oc90 kh1 kw1 nchw +bias +relu", "x86_64", "avx512"},
    {"lanewise", "conv g32 ic128 ih56 iw56 oc128 kh3 kw3 ph1 pw1 nhwc +bias +relu", "x86_64", "avx512"},
    {"lanewise_inputs", "conv ic320 ih64 iw64 oc4 kh3 kw3 ph1 pw1 nhwc +bias", "x86_64", "avx2"},
    {"one_d", "conv ic80 iw1500 oc384 kw3 pw1 nhwc +bias", "x86_64", "sse2"},
    {"strict", "conv ic16 ih9 iw9 oc20 kh3 kw3 ph1 pw1 nhwc strict", "x86_64", "avx2"},
    {"explicit", "conv ic3 ih4 iw5 oc5 kh3 kw3 ph1 pw1 nhwc", "x86_64", "avx2",
     "direct ow=5 oh=2 unroll=all"},
};
enum { GOLDENS = sizeof goldens / sizeof *goldens };

static struct bytes explained(const struct golden *g)
{
    char machine[KILN_TEXT_MAX];
    struct cpu cpu;
    struct kiln_error error;
    struct bytes b = {0};
    cr_assert_eq(cpu_target(&cpu, g->arch, g->isa, &error), KILN_STATUS_OK, "%s", error.text);
    cpu_print(&cpu, machine, sizeof machine);
    struct request r = {.conv = g->conv, .machine = machine, .schedule = g->schedule};
    enum kiln_status status = kiln_generator()->explain(&r, bytes_sink, &b, &error);
    cr_assert_eq(status, KILN_STATUS_OK, "%s: %s", g->name, error.text);
    return b;
}

static FILE *file_of(const struct golden *g, const char *mode)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/golden/%s.txt", SOURCE_DIR, g->name);
    FILE *f = fopen(path, mode);
    cr_assert(f, "%s cannot be opened; KILN_UPDATE_GOLDEN=1 writes it", path);
    return f;
}

static void expect_golden(const struct golden *g, const struct bytes *b)
{
    char *want = NULL;
    size_t room = 0;
    FILE *f = file_of(g, "r");
    ssize_t count = getdelim(&want, &room, '\0', f);
    cr_expect(count == (ssize_t)b->count && !memcmp(want, b->at, b->count),
              "tests/golden/%s.txt differs; it is now\n%s", g->name, b->at);
    free(want);
    fclose(f);
}

static void write_golden(const struct golden *g, const struct bytes *b)
{
    FILE *f = file_of(g, "w");
    cr_expect_eq(fwrite(b->at, 1, b->count, f), b->count);
    cr_expect_eq(fclose(f), 0);
}

Test(explain, is_golden)
{
    for (int i = 0; i < GOLDENS; i++) {
        struct bytes b = explained(&goldens[i]);
        if (getenv("KILN_UPDATE_GOLDEN"))
            write_golden(&goldens[i], &b);
        else
            expect_golden(&goldens[i], &b);
        bytes_free(&b);
    }
}

/* What a reader needs is there whatever the numbers are. */
Test(explain, holds_what_it_promises)
{
    static const char *const parts[] = {" | direct ",       "acc[",
                                        "registers  ",      "of 32",
                                        "tasks      ",      "packed     144.06 KiB of weights",
                                        "scratch    none",  "flop/byte",
                                        "candidates",       "chosen",
                                        "not applicable: ", "of peak",
                                        "bound by   ",      "\n  fma   ",
                                        "\n  overhead ",    "runners-up",
                                        "other tile ",      " times the chosen: ",
                                        "loses on "};
    struct bytes b = explained(&goldens[0]);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        cr_expect(strstr(b.at, parts[i]), "no '%s' in\n%s", parts[i], b.at);
    bytes_free(&b);
}

/* How scratch compares with the caches, which are 32 KiB, 1 MiB and 16 MiB here. */
Test(explain, scratch_is_compared_with_caches)
{
    static const struct {
        const char *schedule, *says;
    } rows[] = {
        {"winograd m=2 block=1", "KiB for each thread: fits L1, 32.00 KiB\n"},
        {"winograd block=25", "fits L2, 1.00 MiB\n"},
        {"winograd block=100",
         "MiB for each thread: more than L2, 1.00 MiB; it lies in L3, which threads share\n"},
        {"winograd block=3136", "more than L2, 1.00 MiB; it lies in memory\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct golden g = {.conv = "conv ic64 ih224 iw224 oc64 kh3 kw3 ph1 pw1 nhwc",
                                 .arch = "x86_64",
                                 .isa = "avx512",
                                 .schedule = rows[i].schedule};
        struct bytes b = explained(&g);
        cr_expect(strstr(b.at, rows[i].says), "%s: no '%s' in\n%s", rows[i].schedule, rows[i].says, b.at);
        bytes_free(&b);
    }
}

/* The plan line alone is what explain shows of it, and the first of the candidates, each of which parses. */
Test(explain, parts_alone_are_the_same)
{
    struct bytes whole = explained(&goldens[0]), line = {0}, candidates = {0};
    struct cpu cpu;
    char machine[KILN_TEXT_MAX], conv[KILN_TEXT_MAX];
    struct kiln_conv c;
    struct request r = {.conv = conv, .machine = machine};
    cr_assert_eq(conv_parse(&c, goldens[0].conv, NULL), KILN_STATUS_OK);
    cr_assert_eq(cpu_target(&cpu, goldens[0].arch, goldens[0].isa, NULL), KILN_STATUS_OK);
    conv_print(&c, conv, sizeof conv);
    cpu_print(&cpu, machine, sizeof machine);
    cr_assert_eq(kiln_generator()->plan(&r, bytes_sink, &line, NULL), KILN_STATUS_OK);
    cr_assert_eq(kiln_generator()->candidates(&r, bytes_sink, &candidates, NULL), KILN_STATUS_OK);
    cr_expect(!strncmp(whole.at, line.at, line.count) && whole.at[line.count] == '\n', "%s", line.at);
    cr_expect(!strncmp(candidates.at, line.at, line.count), "%s", candidates.at);
    for (char *rest = candidates.at, *one; (one = strsep(&rest, "\n"));) {
        struct plan p = {.conv = c, .cpu = cpu};
        cr_expect_eq(plan_parse(&p, strchr(one, '|') + 1, NULL), KILN_STATUS_OK, "%s", one);
        cr_expect(strstr(whole.at, p.algo->name), "%s", one);
    }
    bytes_free(&whole), bytes_free(&line), bytes_free(&candidates);
}
