/* kiln dump: the artefacts between a convolution and its kernel. */
#include "ask.h"
#include "commands.h"
#include "output.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct dump {
    struct common common;
    int what; /* 1 + enum kiln_dump; 0: not asked */
    const char *output;
};

#define FLAG_DUMP(name, kind, help) {name, NULL, help, flag_choice, offsetof(struct dump, what), 1 + (kind)}

static const struct flag flags[] = {
    FLAG_DUMP("ir", KILN_DUMP_IR, "LLVM IR as emitted, its blocks named after the loops"),
    FLAG_DUMP("ir-opt", KILN_DUMP_IR_OPT, "LLVM IR after the passes"),
    FLAG_DUMP("asm", KILN_DUMP_ASM, "assembly"),
    FLAG_DUMP("obj", KILN_DUMP_OBJECT, "the ELF object"),
    FLAG_DUMP("image", KILN_DUMP_IMAGE, "the flat image: header, plan line, code"),
    {"o", "FILE", "write to FILE; " OUTPUT_HELP ", which is the default", flag_text,
     offsetof(struct dump, output)},
    FLAG_ISA,
    FLAG_TARGET,
    FLAG_SCHEDULE,
    FLAG_BUDGET,
};

static const char about[] =
    "Compiles CONV and writes one of the things made on the way. A plan line shows the\n"
    "convolution as another schedule computes it, --target as another machine runs it.\n" PLAN_LINE_HELP "\n"
    "EXAMPLES\n"
    "  kiln dump conv ic64 ih56 iw56 oc64 kh3 kw3 ph1 pw1 f32 nhwc --ir | less\n"
    "  kiln dump conv ic64 ih56 iw56 oc64 kh3 kw3 ph1 pw1 f32 nhwc --asm --isa avx2\n"
    "  kiln dump mb1ic64ih56oc64oh56kh3ph1 --obj --target aarch64 -o conv.o\n";

static const struct page page = {.name = "dump",
                                 .brief = "write IR, assembly, object or image of a kernel",
                                 .usage = "CONV --ir|--ir-opt|--asm|--obj|--image [-o FILE]",
                                 .about = about,
                                 .flags = flags,
                                 .count = sizeof flags / sizeof *flags,
                                 .most = 1};

static bool dump_into(FILE *file, const struct dump *d, const struct line *line)
{
    struct kiln_options options;
    struct kiln_error error;
    struct kiln *k = ask_kiln(&d->common);
    if (!k) return false;
    ask_options(&d->common, line, &options);
    enum kiln_dump what = (enum kiln_dump)(d->what - 1);
    bool good = kiln_dump(k, &line->conv, &options, what, sink_file, file, &error) == KILN_STATUS_OK;
    kiln_destroy(k);
    return good || (complain("%s", error.text), false);
}

static int dump(const struct dump *d, const struct line *line)
{
    const char *path = d->output ? d->output : "-";
    bool binary = d->what == 1 + KILN_DUMP_OBJECT || d->what == 1 + KILN_DUMP_IMAGE;
    if (!d->what) return complain("say what to dump: --ir, --ir-opt, --asm, --obj or --image");
    if (strcmp(path, "-") == 0 && binary && isatty(STDOUT_FILENO))
        return complain("that is binary: send it elsewhere than to a terminal, with -o FILE");
    struct output output;
    if (!output_open(&output, path)) return EXIT_USAGE;
    bool good = dump_into(output.file, d, line);
    return output_close(&output, good) && good ? EXIT_GOOD : EXIT_USAGE;
}

int cli_dump(int argc, char **argv)
{
    struct dump d = {0};
    int status = ask_one(&page, argc, argv, &d.common);
    if (status == ASK_GO_ON) status = dump(&d, d.common.convs.at);
    lines_free(&d.common.convs);
    return status;
}
