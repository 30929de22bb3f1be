/* What the emitted code is made of, for the convolutions of bench/shapes in both layouts as the planner
 * would compile them by default: as many FMAs as the plan says and as the IR's first line says, no vector
 * kept in memory for want of registers, and images that need nothing else. Machines are typical ones, so
 * nothing depends on the one that runs the test. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conv.h"
#include "harness.h"

const struct generator *kiln_generator(void);

enum { BUDGET = 800 };

/* ---- dumps ---- */

static struct bytes dump(const struct plan *p, enum kiln_dump what)
{
    struct request_text r;
    struct bytes b = {0};
    struct kiln_error error;
    request_of(&r, p);
    enum kiln_status status = kiln_generator()->dump(&r.request, what, bytes_sink, &b, &error);
    cr_assert_eq(status, KILN_STATUS_OK, "%s | %s: %s", r.conv, r.schedule, error.text);
    return b;
}

/* The lines of one function in assembly, cut out of the text: from its label to its end. */
static char *function_of(char *assembly, const char *label)
{
    char *begin = strstr(assembly, label);
    char *end = begin ? strstr(begin, ".Lfunc_end") : NULL;
    cr_assert(end, "no %s in:\n%.400s", label, assembly);
    *end = '\0';
    return begin;
}

/* ---- counts ---- */

/* LLVM multiplies one lane where only one is stored. */
static bool is_fma(const char *line)
{
    return strstr(line, "\tvfmadd") || strstr(line, "\tvfnmadd") || strstr(line, "\tmulps\t") ||
           strstr(line, "\tmulss\t");
}

/* Frames are found by %rsp: %rbp is a register like the others. */
static bool is_vector_on_stack(const char *line)
{
    bool vector = strstr(line, "%xmm") || strstr(line, "%ymm") || strstr(line, "%zmm");
    return vector && strstr(line, "(%rsp");
}

/* Of one function. Spills are counted in basic blocks that hold FMAs: epilogues may have some. */
struct counts {
    int fmas, spills;
};

static struct counts counts_of(char *text)
{
    struct counts all = {0}, block = {0};
    for (char *next = text, *line; (line = strsep(&next, "\n"));) {
        bool ends = line[0] == '.' || !strncmp(line, "\tj", 2); /* at a label, at a jump */
        if (ends) block = (struct counts){0};
        block.spills += is_vector_on_stack(line);
        block.fmas += is_fma(line);
        all.fmas += is_fma(line);
        if (block.fmas) all.spills += block.spills, block.spills = 0;
    }
    return all;
}

/* ---- one plan ---- */

static struct counts expect_code(const char *line, const struct plan *p, int64_t fmas)
{
    struct bytes b = dump(p, KILN_DUMP_ASM);
    struct counts counts = counts_of(function_of(b.at, "\nrun:"));
    cr_expect_eq(counts.fmas, fmas, "%s: %d FMAs in run, the plan says %lld", line, counts.fmas,
                 (long long)fmas);
    bytes_free(&b);
    return counts;
}

static void expect_image(const char *line, const struct plan *p)
{
    struct bytes b = dump(p, KILN_DUMP_IMAGE);
    const struct image *image = (const struct image *)b.at;
    struct kiln_error error;
    cr_assert_eq(image_check(image, b.count, &error), KILN_STATUS_OK, "%s: %s", line, error.text);
    struct plan_sizes sizes = p->algo->sizes(p);
    cr_expect_str_eq(image_text(image), line);
    cr_expect_eq(image->tasks, (uint64_t)sizes.tasks);
    cr_expect_eq(image->packed_bytes, (uint64_t)sizes.packed * sizeof(float));
    cr_expect_eq(image->scratch_bytes, (uint64_t)sizes.scratch * sizeof(float));
    cr_expect_eq(image->exact, p->algo->exact);
    bytes_free(&b);
}

/* ---- all shapes, on one machine, in one layout ---- */

/* Spills are LLVM's to make, for want of a register where a plan uses nearly all: how many for each 1000
 * FMAs are put up with, of exact plans and of those that transform. To be lowered whenever plans or
 * emission get better, never raised. */
static const struct machine {
    const char *isa;
    enum kiln_layout layout;
    int exact, transforming;
} machines[] = {
    {"avx512", KILN_LAYOUT_NHWC, 2, 0}, {"avx512", KILN_LAYOUT_NCHW, 9, 0},
    {"avx2", KILN_LAYOUT_NHWC, 9, 22},  {"avx2", KILN_LAYOUT_NCHW, 11, 25},
    {"sse2", KILN_LAYOUT_NHWC, 83, 25}, {"sse2", KILN_LAYOUT_NCHW, 154, 9},
};
enum { MACHINES = sizeof machines / sizeof *machines };

/* Sums over all shapes, and the worst of them. */
struct total {
    struct counts sum, worst;
    char worst_line[KILN_TEXT_MAX];
};

struct totals {
    const struct machine *machine;
    struct cpu cpu;
    struct total exact, transforming;
};

static void try_contender(struct totals *t, const struct contender *c)
{
    char line[KILN_TEXT_MAX];
    struct total *one = c->algo->exact ? &t->exact : &t->transforming;
    plan_print(&c->best, line, sizeof line);
    expect_image(line, &c->best);
    struct counts n = expect_code(line, &c->best, c->cost.fmas);
    one->sum.fmas += n.fmas, one->sum.spills += n.spills;
    if (n.spills <= one->worst.spills) return;
    one->worst = n;
    memcpy(one->worst_line, line, sizeof line);
}

static const struct contender *best_exact(const struct choice *choice)
{
    const struct contender *best = NULL;
    for (const struct contender *c = choice->contenders; c < choice->contenders + algo_count; c++)
        if (c->has_best && c->algo->exact && (!best || c->cost.cycles < best->cost.cycles)) best = c;
    return best;
}

/* What is chosen, and what would be under strict. */
static void try_shape(struct totals *t, const char *text)
{
    struct plan p = {.cpu = t->cpu};
    struct choice choice;
    struct kiln_error error;
    cr_assert_eq(conv_parse(&p.conv, text, &error), KILN_STATUS_OK, "%s: %s", text, error.text);
    p.conv.layout = t->machine->layout;
    cr_assert_eq(planner_choose(&p, &(struct limits){.fmas = BUDGET}, &choice, &error), KILN_STATUS_OK,
                 "%s: %s", text, error.text);
    const struct contender *winner = &choice.contenders[choice.winner];
    try_contender(t, best_exact(&choice));
    if (!winner->algo->exact) try_contender(t, winner);
}

static void try_file(struct totals *t, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "bench/shapes/%s.txt", name);
    struct lines lines = lines_read(path);
    cr_assert_gt(lines.count, 0);
    for (size_t i = 0; i < lines.count; i++) try_shape(t, lines.line[i].text);
    lines_free(&lines);
}

static void expect_spills(const struct total *t, int most, const struct machine *machine)
{
    double rate = 1000.0 * t->sum.spills / t->sum.fmas;
    cr_expect(rate <= most, "%s %s: %.1f spills for 1000 FMAs, not %d; most, %d for %d, in\n    %s",
              machine->isa, machine->layout == KILN_LAYOUT_NHWC ? "nhwc" : "nchw", rate, most,
              t->worst.spills, t->worst.fmas, t->worst_line);
}

ParameterizedTestParameters(code, is_as_planned)
{
    static int all[MACHINES]; /* a parameter is copied into another process, where pointers mean nothing */
    for (int i = 0; i < MACHINES; i++) all[i] = i;
    return cr_make_param_array(int, all, MACHINES);
}

ParameterizedTest(const int *index, code, is_as_planned)
{
    const struct machine *machine = &machines[*index];
    static const char *const files[] = {"conv1d", "convnext_dw", "dilated",  "grouped",
                                        "large",  "mobilenetv2", "resnet50", "sd_unet",
                                        "seed",   "tiny",        "vgg16",    "yolov8"};
    struct totals t = {.machine = machine};
    cr_assert_eq(cpu_target(&t.cpu, "x86_64", machine->isa, NULL), KILN_STATUS_OK);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) try_file(&t, files[i]);
    expect_spills(&t.exact, machine->exact, machine);
    expect_spills(&t.transforming, machine->transforming, machine);
}

/* ---- the IR reads as the nest ---- */

static struct plan plan_of(const char *conv, const char *schedule)
{
    struct plan p = {0};
    struct kiln_error error;
    cr_assert_eq(cpu_target(&p.cpu, "x86_64", "avx2", NULL), KILN_STATUS_OK);
    cr_assert_eq(conv_parse(&p.conv, conv, &error), KILN_STATUS_OK, "%s", error.text);
    cr_assert_eq(plan_parse(&p, schedule, &error), KILN_STATUS_OK, "%s: %s", schedule, error.text);
    return p;
}

Test(code, ir_opens_with_the_plan)
{
    struct plan p = plan_of("conv ic8 iw20 oc16 kw3 nhwc +bias", "direct ow=2 oc=2 step=2");
    struct bytes b = dump(&p, KILN_DUMP_IR);
    const char *first = "; ModuleID = 'conv n1 ic8 iw20 oc16 kw3 f32 nhwc +bias | direct ow=2 oc=2 step=2 "
                        "| avx2 ; run: 8 vector fma, ";
    cr_expect(!strncmp(b.at, first, strlen(first)), "%.200s", b.at);
    bytes_free(&b);
}

/* The next basic block of this name; LLVM puts numbers behind names that there are already. */
static const char *loop_behind(const char *ir, const char *name)
{
    char label[32];
    snprintf(label, sizeof label, "\n%s", name);
    for (const char *at = ir; (at = strstr(at, label)); at++) {
        const char *end = at + strlen(label);
        if (end[strspn(end, "0123456789")] == ':') return at + 1;
    }
    return NULL;
}

Test(code, ir_names_its_loops)
{
    static const struct {
        const char *conv, *schedule;
        const char *loops[8];
    } table[] = {
        {"conv ic8 ih9 iw9 oc16 kh3 kw3 ph1 pw1",
         "direct ow=3 ic=4 edge=zero",
         {"ow", "panel", "kh", "kw", "ic"}},
        {"conv ic8 ih9 iw9 oc16 kh3 kw3", "direct ow=3 unroll=kh", {"oh", "ow", "ic"}},
        {"conv ic8 ih9 iw9 oc16 kh1 kw1", "pointwise ow=4", {"ow", "ic"}},
        {"conv g8 ic8 ih9 iw9 oc8 kh3 kw3 ph1", "depthwise ow=3 oc=1 unroll=kw", {"ow", "kh"}},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct plan p = plan_of(table[i].conv, table[i].schedule);
        struct bytes b = dump(&p, KILN_DUMP_IR);
        const char *at = b.at;
        for (int j = 0; table[i].loops[j] && at; j++) {
            at = loop_behind(at, table[i].loops[j]);
            cr_expect(at, "%s: no loop %s behind the last", table[i].schedule, table[i].loops[j]);
        }
        bytes_free(&b);
    }
}

Test(code, unroll_all_has_no_loops)
{
    struct plan p = plan_of("conv ic3 ih4 iw5 oc5 kh3 kw3 ph1 pw1", "direct ow=5 oh=2 unroll=all");
    struct bytes b = dump(&p, KILN_DUMP_ASM);
    char *run = function_of(b.at, "\nrun:");
    for (char *line = run; line; line = strchr(line + 1, '\n'))
        cr_expect(strncmp(line, "\n\tj", 3) || strstr(line, ".LBB") > line, "%.40s", line);
    cr_expect_null(strstr(run, "\tjmp"));
    bytes_free(&b);
}

/* Edges and strides leave whole vectors out: neither the model nor the code has FMAs for them. */
Test(code, edges_along_rows_are_as_planned)
{
    static const char *const table[][2] = {
        {"conv ic1 iw20 oc1 kw3 sw2 pl7 nchw", "planes vec=4 ow=1"},
        {"conv ic2 iw20 oc3 kw3 sw4 pl14 nchw", "planes vec=4 ow=1 oc=3 step=2"},
        {"conv ic2 iw40 oc3 kw5 dw3 pw9 nchw", "planes vec=8 ow=2 oc=3"},
        {"conv g2 ic2 ih5 iw20 oc2 kh3 kw3 sw2 ph1 pl7 nchw", "depthwise by=px vec=4 unroll=kw"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct plan p = plan_of(table[i][0], table[i][1]);
        struct kiln_error error;
        struct cost cost;
        cr_assert_eq(plan_check(&p, &cost, &error), KILN_STATUS_OK, "%s", error.text);
        expect_code(table[i][0], &p, cost.fmas);
    }
}

static int count_of(const char *text, const char *part)
{
    int count = 0;
    for (; (text = strstr(text, part)); text += strlen(part)) count++;
    return count;
}

/* Nothing but time would tell that they are missing. */
Test(code, rows_are_asked_for_ahead)
{
    static const struct {
        const char *conv, *schedule;
        int reads, writes;
    } table[] = {
        {"conv g8 ic8 ih9 iw9 oc8 kh3 kw3", "depthwise ow=7 unroll=kh prefetch=rows", 7, 7},
        {"conv g8 ic8 ih9 iw9 oc8 kh3 kw3 sh2 sw2", "depthwise ow=2 oh=2 unroll=kh prefetch=rows", 16, 4},
        {"conv g8 ic8 ih9 iw9 oc8 kh3 kw3", "depthwise ow=7 unroll=kh", 0, 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct plan p = plan_of(table[i].conv, table[i].schedule);
        struct bytes b = dump(&p, KILN_DUMP_ASM);
        const char *run = function_of(b.at, "\nrun:");
        int reads = count_of(run, "\tprefetcht1\t"), all = count_of(run, "\tprefetch");
        cr_expect_eq(reads, table[i].reads, "%s: %d reads", table[i].schedule, reads);
        cr_expect_eq(all - reads, table[i].writes, "%s: %d writes", table[i].schedule, all - reads);
        bytes_free(&b);
    }
}
