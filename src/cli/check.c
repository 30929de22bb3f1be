/* kiln check: compiled kernels against the oracle, one line each. */
#include "ask.h"
#include "commands.h"
#include "lists.h"
#include "reference.h"
#include "tensors.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct check {
    struct common common;
    bool full;
    const char *layout;
    struct lists lists;
    struct kiln *k;
    int passed, failed, skipped;
    int status;    /* to exit with: the worst so far */
    bool terminal; /* standard error is one, and is told what is being worked on */
};

/* What is compared in one conv and one layout: the references are shared by all ISAs, made when needed. */
struct subject {
    const struct line *line;
    struct kiln_conv conv;
    char text[KILN_TEXT_MAX];
    struct reference references[2]; /* [exact] */
    bool made[2];
};

/* ---- what is being worked on ---- */

/* Shown until its own line is there: slow convolutions take minutes. The text may be NULL: erased. */
static void show(const struct check *check, const char *isa, const char *text)
{
    enum { WIDTH = 60 }; /* what wraps around is not erased */
    if (!check->terminal) return;
    fputs("\r\x1b[K", stderr);
    if (text) fprintf(stderr, "checking %s%s%.*s", isa ? isa : "", isa ? " " : "", WIDTH, text);
    fflush(stderr);
}

/* ---- the line of one kernel ---- */

static void print_head(const struct check *check, const char *verdict, const struct kiln_plan *plan,
                       const char *isa, bool exact)
{
    char algorithm[WORD_ROOM], level[WORD_ROOM];
    show(check, NULL, NULL);
    if (plan)
        printf("%-4s %-11s %-9s %-5s  ", verdict, plan_word(kiln_plan_text(plan), 2, level),
               plan_word(kiln_plan_text(plan), 1, algorithm), exact ? "exact" : "bound");
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
    print_head(check, "ok", plan, NULL, r->exact);
    printf("%s  (%zu outputs)\n", s->text, r->count);
}

static void report_difference(struct check *check, const struct subject *s, const struct kiln_plan *plan,
                              const struct reference *r, const struct difference *d)
{
    check->failed++;
    check->status = exit_worse(check->status, EXIT_FAILED);
    print_head(check, "FAIL", plan, NULL, r->exact);
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
    check->status = exit_worse(check->status, exit_of(status));
    if (skip)
        check->skipped++;
    else
        check->failed++;
    print_head(check, skip ? "skip" : "FAIL", NULL, isa, false);
    printf("%s: ", s->text);
    plain_put(stdout, error->text, 0);
    putchar('\n');
}

/* ---- one kernel ---- */

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
    char isa[WORD_ROOM];
    struct reference *r = reference_for(check, s, plan, &error);
    if (r) reference_clear(r);
    enum kiln_status status = r ? data_run(&r->data, plan, &error) : error.status;
    if (status != KILN_STATUS_OK)
        report_error(check, s, plan_word(kiln_plan_text(plan), 2, isa), status, &error);
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
    show(check, isa, s->text);
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

static void subject_check(struct check *check, const struct line *line, const struct kiln_conv *conv)
{
    struct subject s = {.line = line, .conv = *conv};
    kiln_conv_print(&s.conv, s.text, sizeof s.text);
    for (int i = 0; i < lists_isas(&check->lists, line); i++)
        isa_check(check, &s, lists_isa(&check->lists, line, i));
    for (int i = 0; i < 2; i++)
        if (s.made[i]) reference_free(&s.references[i]);
}

static void line_check(struct check *check, const struct line *line)
{
    for (int i = 0; i < lists_convs(&check->lists); i++) {
        struct kiln_conv conv = lists_conv(&check->lists, line, i);
        subject_check(check, line, &conv);
    }
}

static int check_all(struct check *check)
{
    if (!lists_read(&check->lists, check->k, NULL, check->common.isa, check->layout)) return EXIT_USAGE;
    for (size_t i = 0; i < check->common.convs.count; i++) line_check(check, &check->common.convs.at[i]);
    printf("%d passed, %d failed, %d skipped\n", check->passed, check->failed, check->skipped);
    return check->status;
}

static const struct flag flags[] = {
    FLAG_FILE,
    FLAG_ISAS,
    {"layout", "LIST", LAYOUTS_HELP, flag_text, offsetof(struct check, layout)},
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
    "memory has no room for has failed. The last line is \"N passed, N failed, N skipped\". A terminal\n"
    "is shown what is being checked, on standard error.\n"
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
    struct check check = {.common.cold = true, .terminal = isatty(STDERR_FILENO)};
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
