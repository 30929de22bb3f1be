/* kiln explain: what would run and why, or one output element term by term. */
#include "ask.h"
#include "commands.h"
#include "explain_page.h"
#include "output.h"
#include "tensors.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct explain {
    struct common common;
    struct tensor_files files;
    const char *at, *output;
    bool html;
};

static const struct flag flags[] = {
    {"at", "POSITION", "tell this output element: n,oc,oh,ow (1-D: n,oc,ow; 3-D: n,oc,od,oh,ow)", flag_text,
     offsetof(struct explain, at)},
    FLAGS_TENSORS(struct explain),
    {"html", NULL, "draw the plan, as a page that needs no other file", flag_true,
     offsetof(struct explain, html)},
    {"o", "FILE", "write the page to FILE; " OUTPUT_HELP ", which is the default", flag_text,
     offsetof(struct explain, output)},
    FLAG_ISA,
    FLAG_TARGET,
    FLAG_SCHEDULE,
    FLAG_BUDGET,
};

static const char about[] =
    "Without --at it prints the plan: its line, the loop nest with what is unrolled, registers,\n"
    "FMAs and loads of the inner body, flops, bytes; the estimate, what each part of it would take\n"
    "alone, and which one binds; every algorithm's best; and the runners-up, with what they lose on.\n"
    "Nothing is compiled. --html draws the same.\n" PLAN_LINE_HELP "\n"
    "With --at it prints how one output element comes about: for each input channel a line per\n"
    "tap with the position and value read, the weight and their product; subtotals; the post-ops;\n"
    "and last \"= VALUE\". The tensors come from .npy files, as for `kiln run`. No schedule or\n"
    "machine changes what it tells: a plan line's are passed over, and options for them refused.\n"
    "\n"
    "EXAMPLES\n"
    "  kiln explain conv ic64 ih56 iw56 oc64 kh3 kw3 ph1 pw1 f32 nhwc +bias +relu\n"
    "  kiln explain conv ic64 ih56 iw56 oc64 kh3 kw3 ph1 pw1 f32 nhwc --html -o plan.html\n"
    "  kiln explain conv ic2 ih4 iw4 oc4 kh2 kw2 sh2 sw2 f32 nchw --at 0,0,0,0 \\\n"
    "      --src x.npy --weights w.npy\n";

static const struct page page = {
    .name = "explain",
    .brief = "tell what would run and why, or one output element term by term",
    .usage = "CONV [--html [-o FILE]]\n  kiln explain CONV --at n,oc,oh,ow --src FILE --weights FILE ...",
    .about = about,
    .flags = flags,
    .count = sizeof flags / sizeof *flags,
    .most = 1};

/* n, oc, od, oh, ow: the most there can be. */
enum { AT_MAX = 5 };

/* Reads numbers separated by commas; returns how many, 0 if it is anything else. */
static int numbers_read(const char *text, int64_t number[AT_MAX])
{
    for (int count = 0; count < AT_MAX;) {
        char *end;
        errno = 0;
        number[count++] = strtoll(text, &end, 10);
        if (end == text || errno) return 0;
        if (*end == '\0') return count;
        if (*end != ',') return 0;
        text = end + 1;
    }
    return 0;
}

/* Dimensions that are not named are at 0. */
static bool at_read(const char *text, const struct kiln_conv *conv, int64_t at[AT_MAX])
{
    static const char *const forms[] = {NULL, "n,oc,ow", "n,oc,oh,ow", "n,oc,od,oh,ow"};
    int64_t number[AT_MAX];
    int count = numbers_read(text, number), dims = tensors_dims(conv);
    if (count < dims + 2)
        return complain("--at is '%s'; this convolution's outputs are at %s", text, forms[dims]), false;
    for (int i = 0; i < AT_MAX; i++) at[i] = 0;
    at[0] = number[0];
    at[1] = number[1];
    for (int i = 2; i < count; i++) at[AT_MAX - count + i] = number[i];
    return true;
}

static int element(const struct explain *e, const struct line *line)
{
    struct tensors tensors;
    struct kiln_error error;
    int64_t at[AT_MAX];
    const struct common *c = &e->common;
    if (e->html || e->output) return complain("--html draws a plan: give it, and -o, without --at");
    if (c->isa || c->target || c->schedule || c->budget)
        return complain("--at tells what the convolution means, which no schedule or machine changes: "
                        "give it without --schedule, --isa, --target and --budget");
    if (!at_read(e->at, &line->conv, at) || !tensors_read(&tensors, &line->conv, &e->files))
        return EXIT_USAGE;
    bool good = kiln_explain_at(&line->conv, tensors.weights, &tensors.args, at, sink_file, stdout, &error) ==
                KILN_STATUS_OK;
    tensors_free(&tensors);
    return good ? EXIT_GOOD : complain("%s", error.text);
}

static bool files_given(const struct tensor_files *f)
{
    return f->src || f->weights || f->bias || f->scale || f->add || f->prelu;
}

/* The page, from the text that would be printed. False: said on standard error. */
static bool page_write(const struct explain *e, struct kiln *k, const struct line *line,
                       const struct kiln_options *options)
{
    struct kiln_error error;
    struct output output;
    char *text = NULL;
    size_t size;
    FILE *memory = open_memstream(&text, &size);
    if (!memory) return complain("no memory for a page"), false;
    bool good = kiln_explain(k, &line->conv, options, sink_file, memory, &error) == KILN_STATUS_OK;
    if (!good) complain("%s", error.text);
    if (fclose(memory) && good) good = false, complain("no memory for a page");
    if (good && (good = output_open(&output, e->output ? e->output : "-"))) {
        good = explain_page(output.file, text);
        if (!good) complain("no memory for a page");
        good = output_close(&output, good) && good;
    }
    free(text);
    return good;
}

static bool text_write(struct kiln *k, const struct line *line, const struct kiln_options *options)
{
    struct kiln_error error;
    if (kiln_explain(k, &line->conv, options, sink_file, stdout, &error) == KILN_STATUS_OK) return true;
    return complain("%s", error.text), false;
}

static int plan(const struct explain *e, const struct line *line)
{
    struct kiln_options options;
    if (files_given(&e->files)) return complain("tensors are read only with --at POSITION");
    if (e->output && !e->html) return complain("-o names the file of --html");
    struct kiln *k = ask_kiln(&e->common);
    if (!k) return EXIT_USAGE;
    ask_options(&e->common, line, &options);
    bool good = e->html ? page_write(e, k, line, &options) : text_write(k, line, &options);
    kiln_destroy(k);
    return good ? EXIT_GOOD : EXIT_USAGE;
}

int cli_explain(int argc, char **argv)
{
    struct explain e = {0};
    int status = ask_one(&page, argc, argv, &e.common);
    if (status == ASK_GO_ON) status = (e.at ? element : plan)(&e, e.common.convs.at);
    lines_free(&e.common.convs);
    return status;
}
