/* kiln check: compiled kernels against the oracle, one line each. */
#include "ask.h"
#include "commands.h"
#include "reference.h"
#include "tensors.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_MAX = 16, NAME_ROOM = 32 };

/* Names of a list such as "sse2,avx2". */
struct names {
    int count;
    char at[LIST_MAX][NAME_ROOM];
};

struct check {
    struct common common;
    bool full;
    const char *layout;
    struct names isas, layouts;
    struct kiln *k;
    int passed, failed, skipped;
};

/* What is compared in one conv and one layout: the references are shared by all ISAs, made when needed. */
struct subject {
    const struct line *line;
    struct kiln_conv conv;
    char text[KILN_TEXT_MAX];
    struct reference references[2]; /* [exact] */
    bool made[2];
};

/* ---- lists ---- */

static bool names_add(struct names *names, const char *name, size_t length)
{
    if (length == 0 || length >= NAME_ROOM || names->count == LIST_MAX) return false;
    memcpy(names->at[names->count], name, length);
    names->at[names->count++][length] = '\0';
    return true;
}

static bool names_read(struct names *names, const char *list)
{
    for (;;) {
        size_t length = strcspn(list, ",");
        if (!names_add(names, list, length)) return false;
        if (!list[length]) return true;
        list += length + 1;
    }
}

/* A name that is in the list of --`flag` twice would be worked on twice. */
static bool names_differ(const struct names *names, const char *flag)
{
    for (int i = 0; i < names->count; i++)
        for (int j = 0; j < i; j++)
            if (strcmp(names->at[i], names->at[j]) == 0)
                return complain("--%s has '%s' twice", flag, names->at[i]), false;
    return true;
}

static void sink_nothing(void *user, const char *bytes, size_t count)
{
    (void)user, (void)bytes, (void)count;
}

static enum kiln_status isa_status(struct kiln *k, const char *isa, struct kiln_error *error)
{
    struct kiln_options options = {.size = sizeof options, .isa = isa};
    return kiln_cpu_print(k, &options, sink_nothing, NULL, error);
}

/* The levels that "all" stands for, of every architecture. */
static const char all_isas[] = "sse2,avx2,avx512,neon";

/* Leaves those ISAs of the list that this machine has; an unknown name is a mistake, except in "all". */
static bool isas_filter(struct kiln *k, struct names *isas, bool all)
{
    int kept = 0;
    for (int i = 0; i < isas->count; i++) {
        struct kiln_error error;
        enum kiln_status status = isa_status(k, isas->at[i], &error);
        if (status == KILN_STATUS_OK)
            memmove(isas->at[kept++], isas->at[i], NAME_ROOM);
        else if (!all)
            complain("%s", error.text);
        if (status == KILN_STATUS_INVALID && !all) return false;
    }
    isas->count = kept;
    return kept > 0 || (complain("this machine has none of the ISA levels of --isa"), false);
}

static bool layouts_check(const struct names *layouts)
{
    for (int i = 0; i < layouts->count; i++) {
        if (strcmp(layouts->at[i], "as-given") == 0)
            return complain("--layout has 'as-given' among others; it stands alone, for no other layouts"),
                   false;
        if (strcmp(layouts->at[i], "nhwc") != 0 && strcmp(layouts->at[i], "nchw") != 0)
            return complain("--layout has '%s'; it is as-given or a list of nhwc and nchw", layouts->at[i]),
                   false;
    }
    return names_differ(layouts, "layout");
}

static bool lists_read(struct check *check)
{
    const char *isas = check->common.isa, *layouts = check->layout;
    bool all = isas && strcmp(isas, "all") == 0;
    if (isas && !names_read(&check->isas, all ? all_isas : isas))
        return complain("--isa is '%s'; it is 'all' or a list such as sse2,avx2", isas), false;
    if (!names_differ(&check->isas, "isa")) return false;
    if (isas && !isas_filter(check->k, &check->isas, all)) return false;
    if (!layouts || strcmp(layouts, "as-given") == 0) return true;
    if (!names_read(&check->layouts, layouts))
        return complain("--layout is '%s'; it is as-given or a list of nhwc and nchw", layouts), false;
    return layouts_check(&check->layouts);
}

/* ---- the line of one kernel ---- */

/* The first word behind the index-th '|' of a plan line: its algorithm or its ISA. */
static const char *plan_word(const struct kiln_plan *plan, int index, char word[NAME_ROOM])
{
    const char *at = kiln_plan_text(plan);
    for (int i = 0; i < index && at; i++) at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL;
    if (!at) at = "?";
    at += strspn(at, " ");
    snprintf(word, NAME_ROOM, "%.*s", (int)strcspn(at, " |"), at);
    return word;
}

static void print_head(const char *verdict, const struct kiln_plan *plan, const char *isa, bool exact)
{
    char algorithm[NAME_ROOM], level[NAME_ROOM];
    if (plan)
        printf("%-4s %-11s %-9s %-5s  ", verdict, plan_word(plan, 2, level), plan_word(plan, 1, algorithm),
               exact ? "exact" : "bound");
    else {
        printf("%-4s ", verdict);
        plain_put(stdout, isa ? isa : "-", 12);
    }
}

static void print_position(const struct kiln_conv *conv, const int64_t at[5])
{
    static const char *const forms[] = {"", "n,oc,ow", "n,oc,oh,ow", "n,oc,od,oh,ow"};
    int dims = tensors_dims(conv);
    printf("%s %lld,%lld", forms[dims], (long long)at[0], (long long)at[1]);
    for (int i = 5 - dims; i < 5; i++) printf(",%lld", (long long)at[i]);
}

static void report_pass(struct check *check, const struct subject *s, const struct kiln_plan *plan,
                        const struct reference *r)
{
    check->passed++;
    print_head("ok", plan, NULL, r->exact);
    printf("%s  (%zu outputs)\n", s->text, r->count);
}

static void report_difference(struct check *check, const struct subject *s, const struct kiln_plan *plan,
                              const struct reference *r, const struct difference *d)
{
    check->failed++;
    print_head("FAIL", plan, NULL, r->exact);
    printf("%s  first difference at ", kiln_plan_text(plan));
    print_position(&s->conv, d->at);
    printf(": got %.9g, want %.9g", (double)d->got, (double)d->want);
    if (!r->exact) printf(" within %.3g", r->tolerance);
    putchar('\n');
}

/* What could not be compiled or run: skipped if Kiln does not do that, else failed. */
static void report_error(struct check *check, const struct subject *s, const char *isa,
                         enum kiln_status status, const struct kiln_error *error)
{
    bool skip = status == KILN_STATUS_UNSUPPORTED;
    if (skip)
        check->skipped++;
    else
        check->failed++;
    print_head(skip ? "skip" : "FAIL", NULL, isa, false);
    printf("%s: ", s->text);
    plain_put(stdout, error->text, 0);
    putchar('\n');
}

/* ---- one kernel ---- */

static enum kiln_status kernel_run(const struct kiln_plan *plan, struct data *data, struct kiln_error *error)
{
    void *packed = fill_try(kiln_plan_packed_size(plan), error);
    if (!packed) return error->status;
    struct kiln_args args = data->args;
    args.weights = packed;
    enum kiln_status status = kiln_pack(plan, data->weights, packed, error);
    if (status == KILN_STATUS_OK) status = kiln_run(plan, &args, error);
    free(packed);
    return status;
}

/* The reference that suits a plan; NULL: said in *error. */
static struct reference *reference_for(const struct check *check, struct subject *s,
                                       const struct kiln_plan *plan, struct kiln_error *error)
{
    bool exact = kiln_plan_exact(plan) && fill_exact(&s->conv);
    struct reference *r = &s->references[exact];
    if (!s->made[exact]) s->made[exact] = reference_make(r, &s->conv, exact, check->full, error);
    return s->made[exact] ? r : NULL;
}

static void plan_check(struct check *check, struct subject *s, const struct kiln_plan *plan)
{
    struct kiln_error error;
    struct difference difference;
    char isa[NAME_ROOM];
    struct reference *r = reference_for(check, s, plan, &error);
    if (r) reference_clear(r);
    enum kiln_status status = r ? kernel_run(plan, &r->data, &error) : error.status;
    if (status != KILN_STATUS_OK)
        report_error(check, s, plan_word(plan, 2, isa), status, &error);
    else if (reference_differs(r, &s->conv, &difference))
        report_difference(check, s, plan, r, &difference);
    else
        report_pass(check, s, plan, r);
}

static void isa_check(struct check *check, struct subject *s, const char *isa)
{
    struct kiln_options options;
    struct kiln_error error;
    struct kiln_plan *plan;
    ask_options(&check->common, s->line, &options);
    options.isa = isa;
    enum kiln_status status = kiln_compile(check->k, &s->conv, &options, &plan, &error);
    if (status == KILN_STATUS_OK) {
        plan_check(check, s, plan);
        kiln_plan_release(plan);
    } else {
        report_error(check, s, isa, status, &error);
    }
    fflush(stdout);
}

/* ---- all of them ---- */

/* A line that names its machine is checked as that machine and no other. */
static void subject_check(struct check *check, const struct line *line, const enum kiln_layout *layout)
{
    struct subject s = {.line = line, .conv = line->conv};
    if (layout) s.conv.layout = *layout;
    kiln_conv_print(&s.conv, s.text, sizeof s.text);
    if (line->machine || check->isas.count == 0)
        isa_check(check, &s, line->machine);
    else
        for (int i = 0; i < check->isas.count; i++) isa_check(check, &s, check->isas.at[i]);
    for (int i = 0; i < 2; i++)
        if (s.made[i]) reference_free(&s.references[i]);
}

static void line_check(struct check *check, const struct line *line)
{
    if (check->layouts.count == 0) subject_check(check, line, NULL);
    for (int i = 0; i < check->layouts.count; i++) {
        enum kiln_layout layout =
            strcmp(check->layouts.at[i], "nchw") == 0 ? KILN_LAYOUT_NCHW : KILN_LAYOUT_NHWC;
        subject_check(check, line, &layout);
    }
}

static int check_all(struct check *check)
{
    if (!lists_read(check)) return EXIT_USAGE;
    for (size_t i = 0; i < check->common.convs.count; i++) line_check(check, &check->common.convs.at[i]);
    printf("%d passed, %d failed, %d skipped\n", check->passed, check->failed, check->skipped);
    return check->failed ? EXIT_FAILED : EXIT_GOOD;
}

static const struct flag flags[] = {
    FLAG_FILE,
    {"isa", "LIST",
     "'all' (sse2, avx2, avx512 and neon, as far as this machine has them) or a list\nof these: " ISA_LEVELS
     ";\ndefault: the best there is",
     flag_text, offsetof(struct common, isa)},
    {"layout", "LIST", "nhwc, nchw, or both as a list, instead of the layouts given; or as-given", flag_text,
     offsetof(struct check, layout)},
    {"full", NULL, "compare every output, however long that takes", flag_true, offsetof(struct check, full)},
    FLAG_THREADS,
    FLAG_SCHEDULE,
    FLAG_BUDGET,
};

static const char about[] =
    "Compiles each convolution, runs it, and compares the output with the oracle's, the plain\n"
    "loop nest with f64 sums. One line each names the ISA, the algorithm and how it was compared:\n"
    "\n"
    "  exact  on small integers, whose sums f32 holds exactly; outputs must be equal\n"
    "  bound  on N(0,1) data; errors stay within 2e-5 of the output's RMS, 1e-4 for 'fast'\n"
    "\n"
    "Every output is compared up to 2 GFLOP, beyond that all on borders and 20000 at random\n"
    "(--full: all). A convolution that Kiln does not do is skipped, with the reason; one that the\n"
    "memory has no room for has failed. The last line is \"N passed, N failed, N skipped\".\n"
    "\n"
    "A plan line is checked with its own ISA whatever --isa says, and with its own schedule unless\n"
    "--schedule is given.\n"
    "\n"
    "A FILE has one convolution, benchdnn word or plan line per line; '#' begins a comment.\n"
    "\n"
    "EXAMPLES\n"
    "  kiln check -f bench/shapes/tiny.txt --isa all --layout nhwc,nchw\n"
    "  kiln check conv n1 ic64 ih56 iw56 oc64 kh3 kw3 ph1 pw1 f32 nhwc +bias\n"
    "  kiln check 'conv ic8 ih9 iw9 oc8 kh3 kw3 f32 nhwc' 'conv ic8 ih9 iw9 oc8 kh3 kw3 f32 nchw'\n";

static const struct page page = {.name = "check",
                                 .brief = "compile and compare with the oracle",
                                 .usage = "[-f FILE] [CONV ...] [--isa all|LIST] [--layout LIST] [--full]",
                                 .about = about,
                                 .flags = flags,
                                 .count = sizeof flags / sizeof *flags,
                                 .most = INT_MAX};

int cli_check(int argc, char **argv)
{
    struct check check = {0};
    int status = ask(&page, argc, argv, &check.common);
    if (status != ASK_GO_ON) return status;
    if (check.common.convs.count == 0)
        status = complain("check needs a convolution or -f FILE; `kiln check --help` shows how");
    if (status == ASK_GO_ON) check.k = ask_kiln(&check.common);
    if (status == ASK_GO_ON) status = check.k ? check_all(&check) : EXIT_USAGE;
    kiln_destroy(check.k);
    lines_free(&check.common.convs);
    return status;
}
