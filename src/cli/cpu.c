/* kiln cpu: what this machine offers. */
#include "ask.h"
#include "commands.h"

#include <stdio.h>

static const struct flag flags[] = {FLAG_ISA, FLAG_TARGET};

static const char about[] =
    "Prints the machine as Kiln sees it: the ISA levels that can be used, lanes, registers, cache\n"
    "sizes, and the features and tuning that LLVM is told. With --isa or --target it prints\n"
    "the machine that kernels so asked for are compiled for.\n"
    "\n"
    "EXAMPLES\n"
    "  kiln cpu\n"
    "  kiln cpu --isa avx2\n"
    "  kiln cpu --target aarch64\n";

static const struct page page = {.name = "cpu",
                                 .brief = "print what this machine offers",
                                 .usage = "[--isa LEVEL] [--target ARCH]",
                                 .about = about,
                                 .flags = flags,
                                 .count = sizeof flags / sizeof *flags};

int cli_cpu(int argc, char **argv)
{
    struct common common = {0};
    struct kiln_options options;
    struct kiln_error error;
    int status = ask(&page, argc, argv, &common);
    if (status != ASK_GO_ON) return status;
    struct kiln *k = ask_kiln(&common);
    if (!k) return EXIT_USAGE;
    ask_options(&common, NULL, &options);
    bool good = kiln_cpu_print(k, &options, sink_file, stdout, &error) == KILN_STATUS_OK;
    kiln_destroy(k);
    return good ? EXIT_GOOD : complain("%s", error.text);
}
