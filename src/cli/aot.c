/* kiln aot: objects and C for programs that link neither Kiln nor LLVM. */
#include "ask.h"
#include "commands.h"
#include "library.h"
#include "lists.h"
#include "output.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct aot {
    struct common common;
    const char *dir, *name;
    bool archive;
    struct lists lists;
    struct kiln_conv *convs; /* each line for each of its ISAs */
    struct kiln_options *options;
    const struct kiln_options **each;
    size_t count;
    struct library library;
    unsigned long long code_bytes;
    size_t kernels;
    bool failed; /* to write a file: said on standard error */
};

static const struct flag flags[] = {
    FLAG_FILE,
    {"isa", "LIST",
     "a kernel for each of these levels, such as avx2,avx512; default: all, which is\n"
     "sse2,avx2,avx512, or neon. Programs take the best that their machine has",
     flag_text, offsetof(struct aot, common.isa)},
    {"target", "ARCH", "x86_64, aarch64 or a triple such as aarch64-linux-gnu; default: this machine's",
     flag_text, offsetof(struct aot, common.target)},
    {"out", "DIR", "where the files go; made if need be, in a directory that exists", flag_text,
     offsetof(struct aot, dir)},
    {"name", "NAME", "an identifier of C, the prefix of every name in the files; default: convs", flag_text,
     offsetof(struct aot, name)},
    {"static", NULL,
     "make DIR/libNAME.a of them as well, with the compiler and the archiver that CC and AR\n"
     "name; default: cc and ar, for another machine TRIPLE-gcc and TRIPLE-ar",
     flag_true, offsetof(struct aot, archive)},
    FLAG_BUDGET,
};

static const char about[] =
    "Compiles all convolutions ahead of time and writes an object for each and each ISA,\n"
    "DIR/NAME.h, which tells how they are called, and DIR/NAME.c, which chooses by what the\n"
    "machine offers that a program runs on. Programs are linked with these alone: neither Kiln\n"
    "nor LLVM need be there. Of equal convolutions one is made.\n"
    "\n"
    "Code is made for every machine of its ISA, with the planner's choice for a typical one.\n"
    "A plan line, as `kiln tune` finds it, is compiled with its own schedule, for its ISA alone;\n"
    "several, one for each ISA, may be given for one convolution. Of two for one ISA the first\n"
    "counts.\n"
    "\n"
    "EXAMPLES\n"
    "  kiln aot -f bench/shapes/tiny.txt --isa avx2,avx512 --out net --name mynet --static\n"
    "  cc -I net main.c net/libmynet.a\n"
    "  kiln aot -f bench/shapes/tiny.txt --target aarch64-linux-gnu --out net --static\n";

static const struct page page = {.name = "aot",
                                 .brief = "compile ahead of time, for programs without Kiln and LLVM",
                                 .usage = "[-f FILE] [CONV ...] --out DIR [--name NAME] [--isa LIST]",
                                 .about = about,
                                 .flags = flags,
                                 .count = sizeof flags / sizeof *flags,
                                 .most = INT_MAX};

/* ---- what is asked ---- */

/* Each line for each of its ISAs. False: no memory. */
static bool convs_make(struct aot *a)
{
    size_t room = a->common.convs.count * LIST_MAX;
    a->convs = calloc(room, sizeof *a->convs);
    a->options = calloc(room, sizeof *a->options);
    a->each = calloc(room, sizeof *a->each);
    if (!a->convs || !a->options || !a->each) return false;
    for (size_t i = 0; i < a->common.convs.count; i++) {
        const struct line *line = &a->common.convs.at[i];
        for (int j = 0; j < lists_isas(&a->lists, line); j++) {
            size_t at = a->count++;
            a->convs[at] = line->conv;
            ask_options(&a->common, line, &a->options[at]);
            a->options[at].isa = lists_isa(&a->lists, line, j);
            a->each[at] = &a->options[at];
        }
    }
    return true;
}

/* ---- files ---- */

static bool put_bytes(FILE *to, const void *arg)
{
    const struct kiln_aot_file *file = arg;
    return fwrite(file->bytes, 1, file->count, to) == file->count;
}

/* An object goes into the library, and a line tells of it. */
static bool object_tell(struct aot *a, const struct kiln_aot_file *file)
{
    printf("%s  %zu bytes of code  %s\n", file->name, file->code_bytes, file->plan);
    fflush(stdout);
    a->kernels++;
    a->code_bytes += file->code_bytes;
    return library_add(&a->library, a->dir, file->name);
}

static void file_write(void *user, const struct kiln_aot_file *file)
{
    struct aot *a = user;
    if (a->failed) return;
    a->failed = !output_into(a->dir, file->name, put_bytes, file) || (file->plan && !object_tell(a, file));
}

/* ---- the command ---- */

static int refuse(const struct aot *a)
{
    if (!a->common.convs.count)
        return complain("aot needs a convolution or -f FILE; `kiln aot --help` shows how");
    if (!a->dir) return complain("aot needs --out DIR; `kiln aot --help` shows how");
    if (a->dir[0] == '-')
        return complain("--out is '%.60s': compilers take that for an option; put ./ in front", a->dir);
    if (mkdir(a->dir, 0777) && errno != EEXIST)
        return complain("--out: cannot make '%.300s': %s", a->dir, strerror(errno));
    return ASK_GO_ON;
}

static int aot_make(struct aot *a, struct kiln *k)
{
    struct kiln_error error;
    if (isa_status(k, a->common.target, NULL, &error)) return complain("%s", error.text);
    if (!lists_read(&a->lists, k, a->common.target, a->common.isa, NULL)) return EXIT_USAGE;
    if (!convs_make(a)) return complain("no memory for %zu convolutions", a->common.convs.count);
    if (kiln_aot(k, a->name, a->convs, a->each, a->count, file_write, a, &error))
        return complain("%s", error.text);
    if (a->failed) return EXIT_USAGE;
    if (a->archive && !library_make(&a->library, a->dir, a->name, a->common.target)) return EXIT_USAGE;
    printf("%zu kernels, %llu bytes of code: %s/%s.h, %s.c%s\n", a->kernels, a->code_bytes, a->dir, a->name,
           a->name, a->archive ? " and the static library" : "");
    return EXIT_GOOD;
}

int cli_aot(int argc, char **argv)
{
    struct aot a = {.name = "convs", .common.isa = "all"};
    int status = ask(&page, argc, argv, &a.common);
    if (status == ASK_GO_ON) status = refuse(&a);
    if (!a.common.target) a.common.target = host_arch;
    if (status == ASK_GO_ON) {
        struct kiln *k = ask_kiln(&a.common);
        status = k ? aot_make(&a, k) : EXIT_USAGE;
        kiln_destroy(k);
    }
    library_free(&a.library);
    free(a.convs);
    free(a.options);
    free(a.each);
    lines_free(&a.common.convs);
    return status;
}
