/* kiln run: one convolution of .npy files. */
#include "ask.h"
#include "commands.h"
#include "fill.h"
#include "output.h"
#include "tensors.h"

#include <stdlib.h>

struct run {
    struct common common;
    struct tensor_files files;
    const char *dst;
    bool oracle;
};

static const struct flag flags[] = {
    FLAGS_TENSORS(struct run),
    {"dst", "FILE", "output; it appears whole or not at all; " OUTPUT_HELP, flag_text,
     offsetof(struct run, dst)},
    {"oracle", NULL,
     "compute by the plain nest that compiled code is checked with: slow, and\nwithout LLVM; the flags that "
     "follow say nothing then",
     flag_true, offsetof(struct run, oracle)},
    FLAG_THREADS,
    FLAG_ISA,
    FLAG_SCHEDULE,
    FLAG_BUDGET,
};

static const char about[] =
    "Compiles CONV for this machine, reads its tensors from .npy files, runs it, and writes\n"
    "the output. Files hold '<f4' in C order: src and dst in the conv's layout with rank 3 for\n"
    "a 1-D convolution, 4 for 2-D, 5 for 3-D; weights are [oc][ic/g][kh][kw] in any layout.\n" PLAN_LINE_HELP
    "\n"
    "EXAMPLES\n"
    "  kiln run conv n1 ic1 ih8 iw8 oc2 kh2 kw2 sh2 sw2 f32 nchw \\\n"
    "      --src x.npy --weights w.npy --dst y.npy\n"
    "  kiln run 'conv ic3 ih32 iw32 oc8 kh3 kw3 pad=same f32 nhwc +bias +relu' \\\n"
    "      --src x.npy --weights w.npy --bias b.npy --dst y.npy --threads 4\n";

static const struct page page = {.name = "run",
                                 .brief = "run a convolution on .npy files",
                                 .usage = "CONV --src FILE --weights FILE [--bias FILE] ... --dst FILE",
                                 .about = about,
                                 .flags = flags,
                                 .count = sizeof flags / sizeof *flags,
                                 .most = 1};

/* Runs into y, with packed as room for the weights. */
static bool plan_run(const struct kiln_plan *plan, const struct tensors *tensors, void *packed, float *y)
{
    struct kiln_error error;
    struct kiln_args args = tensors->args;
    args.weights = packed;
    args.dst = y;
    if (kiln_pack(plan, tensors->weights, packed, &error) == KILN_STATUS_OK &&
        kiln_run(plan, &args, &error) == KILN_STATUS_OK)
        return true;
    return complain("%s", error.text), false;
}

static bool compiled_run(const struct run *r, const struct line *line, const struct tensors *tensors,
                         float *y)
{
    struct kiln *k = ask_kiln(&r->common);
    struct kiln_plan *plan = k ? ask_plan(k, &r->common, line) : NULL;
    void *packed = plan ? fill_memory(kiln_plan_packed_size(plan)) : NULL;
    bool good = plan && plan_run(plan, tensors, packed, y);
    free(packed);
    kiln_plan_release(plan);
    kiln_destroy(k);
    return good;
}

static bool oracle_run(const struct kiln_conv *conv, const struct tensors *tensors, float *y)
{
    struct kiln_error error;
    struct kiln_args args = tensors->args;
    args.dst = y;
    return kiln_interpret(conv, tensors->weights, &args, &error) == KILN_STATUS_OK ||
           (complain("%s", error.text), false);
}

static int run(const struct run *r, const struct line *line)
{
    struct tensors tensors;
    const struct kiln_conv *conv = &line->conv;
    if (!r->dst) return complain("the convolution needs --dst FILE to write to");
    if (!tensors_read(&tensors, conv, &r->files)) return EXIT_USAGE;
    struct npy y = {.data = fill_memory(conv_outputs(conv) * sizeof *y.data)};
    y.rank = tensors_dst_shape(conv, tensors.dims, y.shape);
    bool good = r->oracle ? oracle_run(conv, &tensors, y.data) : compiled_run(r, line, &tensors, y.data);
    good = good && npy_write(&y, r->dst);
    npy_free(&y);
    tensors_free(&tensors);
    return good ? EXIT_GOOD : EXIT_USAGE;
}

int cli_run(int argc, char **argv)
{
    struct run r = {0};
    int status = ask_one(&page, argc, argv, &r.common);
    if (status == ASK_GO_ON) status = run(&r, r.common.convs.at);
    lines_free(&r.common.convs);
    return status;
}
