/* kiln accuracy: the errors of every algorithm on N(0,1) data, against the oracle. */
#include "ask.h"
#include "commands.h"
#include "lists.h"
#include "reference.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Algorithms and variants of them at most: rows of the summary. */
enum { ROWS_MAX = 32 };

/* Knobs that choose other arithmetic, not only another order of it: each value is a row of its own. */
static const char *const variant_keys[] = {"m"};

/* One algorithm's errors on all convolutions. */
struct row {
    char name[2 * WORD_ROOM];
    int kernels, beyond; /* tried; of these, beyond their bound */
    int erring;          /* of these, with any error at all */
    struct errors worst; /* the largest of either */
    double logs[2];      /* sums of the logarithms of max and mean of those that err */
    double share;        /* the largest part of its bound that any max was */
};

struct accuracy {
    struct common common;
    const char *layout;
    struct lists lists;
    struct kiln *k;
    struct row rows[ROWS_MAX];
    int count, skipped, failed; /* failed: to compile or to run */
    int status;                 /* to exit with: the worst so far */
};

/* What is measured on one convolution: the reference is shared by all its plans. */
struct subject {
    const struct line *line;
    struct kiln_conv conv;
    struct reference reference;
    bool made;
};

/* ---- rows ---- */

/* "winograd m=4": the algorithm, and what of its schedule chooses the arithmetic. */
static void name_of(const char *plan, char name[2 * WORD_ROOM])
{
    char algorithm[WORD_ROOM];
    size_t length = (size_t)snprintf(name, 2 * WORD_ROOM, "%s", plan_word(plan, 1, algorithm));
    const char *schedule = strchr(plan, '|');
    for (size_t i = 0; schedule && i < sizeof variant_keys / sizeof *variant_keys; i++) {
        char key[WORD_ROOM];
        snprintf(key, sizeof key, " %s=", variant_keys[i]);
        const char *at = strstr(schedule, key);
        if (at && length < 2 * WORD_ROOM)
            length += (size_t)snprintf(name + length, 2 * WORD_ROOM - length, " %.*s",
                                       (int)strcspn(at + 1, " |"), at + 1);
    }
}

static struct row *row_of(struct accuracy *a, const char *plan)
{
    char name[2 * WORD_ROOM];
    name_of(plan, name);
    for (int i = 0; i < a->count; i++)
        if (strcmp(a->rows[i].name, name) == 0) return &a->rows[i];
    struct row *row = &a->rows[a->count < ROWS_MAX ? a->count++ : ROWS_MAX - 1];
    *row = (struct row){0};
    memcpy(row->name, name, sizeof name);
    return row;
}

static bool row_add(struct row *row, const struct errors *e, double bound)
{
    bool within = e->max <= bound;
    row->kernels++;
    row->beyond += !within;
    row->worst.max = fmax(row->worst.max, e->max);
    row->worst.mean = fmax(row->worst.mean, e->mean);
    if (e->max > 0) row->erring++, row->logs[0] += log(e->max), row->logs[1] += log(e->mean);
    row->share = fmax(row->share, e->max / bound);
    return within;
}

/* "3.1e-07 ", or "none" where there is no error at all, as where all outputs are zero. */
static void print_error(double error)
{
    if (error > 0)
        printf("%8.1e ", error);
    else
        printf("%8s ", "none");
}

static void print_row(const struct row *r)
{
    const double worst[] = {r->worst.max, r->worst.mean};
    printf("%-14s %7d ", r->name, r->kernels);
    for (int i = 0; i < 2; i++) {
        putchar(' ');
        print_error(worst[i]);
        print_error(r->erring ? exp(r->logs[i] / r->erring) : 0);
    }
    printf(" %4.0f %%\n", 100 * r->share);
}

static void print_rows(const struct accuracy *a)
{
    printf("\n%-14s %7s  %8s %8s  %8s %8s  %s\n", "", "", "max", "max", "mean", "mean", "of its");
    printf("%-14s %7s  %8s %8s  %8s %8s  %s\n", "algorithm", "kernels", "largest", "geomean", "largest",
           "geomean", "bound");
    for (const struct row *r = a->rows; r < a->rows + a->count; r++) print_row(r);
    putchar('\n');
}

/* ---- one plan ---- */

/* What could not be compiled or run: skipped if Kiln does not do that, else failed. */
static void report_error(struct accuracy *a, const struct subject *s, const struct kiln_error *error)
{
    char text[KILN_TEXT_MAX];
    bool skip = error->status == KILN_STATUS_UNSUPPORTED;
    a->skipped += skip;
    a->failed += !skip;
    a->status = exit_worse(a->status, exit_of(error->status));
    kiln_conv_print(&s->conv, text, sizeof text);
    printf("%-4s %s: ", skip ? "skip" : "FAIL", text);
    plain_put(stdout, error->text, 0);
    putchar('\n');
}

static void report_errors(struct accuracy *a, const struct subject *s, const char *plan)
{
    struct errors e = reference_errors(&s->reference);
    struct row *row = row_of(a, plan);
    bool within = row_add(row, &e, s->reference.bound);
    printf("%-4s %-14s ", within ? "ok" : "FAIL", row->name);
    print_error(e.max), print_error(e.mean);
    printf("%8.0e  %s\n", s->reference.bound, plan);
}

static void plan_measure(struct accuracy *a, struct subject *s, const struct kiln_options *options)
{
    struct kiln_error error;
    struct kiln_plan *plan = NULL;
    struct reference *r = &s->reference;
    enum kiln_status status = kiln_compile(a->k, &s->conv, options, &plan, &error);
    if (status == KILN_STATUS_OK && !s->made) {
        s->made = reference_make(r, &s->conv, false, false, &error);
        if (!s->made) status = error.status;
    }
    if (status == KILN_STATUS_OK) {
        reference_clear(r);
        status = data_run(&r->data, plan, &error);
    }
    if (status == KILN_STATUS_OK)
        report_errors(a, s, kiln_plan_text(plan));
    else
        report_error(a, s, &error);
    kiln_plan_release(plan);
    fflush(stdout);
}

/* ---- all of them ---- */

/* The plan lines of all algorithms. */
struct candidates {
    char text[16 * KILN_TEXT_MAX];
    size_t length;
};

static void candidates_sink(void *user, const char *bytes, size_t count)
{
    struct candidates *c = user;
    if (count >= sizeof c->text - c->length) return;
    memcpy(c->text + c->length, bytes, count);
    c->text[c->length += count] = '\0';
}

static void isa_measure(struct accuracy *a, struct subject *s, const char *isa)
{
    struct kiln_options options;
    struct kiln_error error;
    struct candidates candidates = {.length = 0};
    ask_options(&a->common, s->line, &options);
    options.isa = isa;
    if (kiln_candidates(a->k, &s->conv, &options, candidates_sink, &candidates, &error) != KILN_STATUS_OK) {
        report_error(a, s, &error);
        return;
    }
    for (char *rest = candidates.text; (options.schedule = strsep(&rest, "\n"));)
        plan_measure(a, s, &options);
}

static void line_measure(struct accuracy *a, const struct line *line)
{
    for (int i = 0; i < lists_convs(&a->lists); i++) {
        struct subject s = {.line = line, .conv = lists_conv(&a->lists, line, i)};
        for (int j = 0; j < lists_isas(&a->lists, line); j++)
            isa_measure(a, &s, lists_isa(&a->lists, line, j));
        if (s.made) reference_free(&s.reference);
    }
}

static int measure_all(struct accuracy *a)
{
    int within = 0, beyond = 0;
    if (!lists_read(&a->lists, a->k, NULL, a->common.isa, a->layout)) return EXIT_USAGE;
    printf("%-4s %-14s %8s %8s %8s  %s\n", "", "algorithm", "max", "mean", "bound", "plan");
    for (size_t i = 0; i < a->common.convs.count; i++) line_measure(a, &a->common.convs.at[i]);
    for (int i = 0; i < a->count; i++) {
        within += a->rows[i].kernels - a->rows[i].beyond;
        beyond += a->rows[i].beyond;
    }
    print_rows(a);
    printf("%d passed, %d failed, %d skipped\n", within, beyond + a->failed, a->skipped);
    return exit_worse(a->status, beyond ? EXIT_FAILED : EXIT_GOOD);
}

static const struct flag flags[] = {
    FLAG_FILE,
    FLAG_ISAS,
    {"layout", "LIST", LAYOUTS_HELP, flag_text, offsetof(struct accuracy, layout)},
    FLAG_THREADS,
    FLAG_SCHEDULE,
    FLAG_BUDGET,
};

static const char about[] =
    "Compiles each convolution with the best schedule of every algorithm that can do it, runs it on\n"
    "N(0,1) data, and prints how far the output is from the oracle's, which sums in f64: the largest\n"
    "and the mean difference, in parts of the output's RMS, and the largest that the convolution's\n"
    "accuracy allows: 2e-5, or 1e-4 for 'fast'. Where few outputs, or post-ops such as clip, make the\n"
    "RMS a matter of chance, it is taken to be at least that of sums of so many products.\n"
    "\n"
    "Then a summary: for each algorithm the largest of all convolutions and their geometric mean, and\n"
    "how much of the bound was used at most. Where there is no error at all, as where every output is\n"
    "zero, it says none, and geometric means leave it out. The last line is \"N passed, N failed, N\n"
    "skipped\".\n"
    "\n"
    "A plan line is measured with its own schedule alone. Beyond 2 GFLOP, all outputs on borders and\n"
    "20000 at random are compared.\n"
    "\n"
    "EXAMPLES\n"
    "  kiln accuracy -f bench/shapes/resnet50.txt\n"
    "  kiln accuracy conv ic64 ih56 iw56 oc64 kh3 kw3 ph1 pw1 f32 nhwc --isa all\n"
    "  kiln accuracy 'conv ic64 ih8 iw8 oc16 kh3 kw3 f32 nhwc | direct ow=6 oc=1'\n";

static const struct page page = {.name = "accuracy",
                                 .brief = "measure the errors of every algorithm",
                                 .usage = "[-f FILE] [CONV ...] [--isa all|LIST] [--layout LIST]",
                                 .about = about,
                                 .flags = flags,
                                 .count = sizeof flags / sizeof *flags,
                                 .most = INT_MAX};

int cli_accuracy(int argc, char **argv)
{
    struct accuracy a = {.common.cold = true};
    int status = ask(&page, argc, argv, &a.common);
    if (status != ASK_GO_ON) return status;
    if (a.common.convs.count == 0)
        status = complain("accuracy needs a convolution or -f FILE; `kiln accuracy --help` shows how");
    if (status == ASK_GO_ON) a.k = ask_kiln(&a.common);
    if (status == ASK_GO_ON) status = a.k ? measure_all(&a) : EXIT_USAGE;
    kiln_destroy(a.k);
    lines_free(&a.common.convs);
    return status;
}
