/* kiln dump: the artefacts between a convolution and its kernel. */
#include "ask.h"
#include "commands.h"
#include "output.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Bytes of a file's name at most, but for its ending: of the 255 that file systems take, that leaves room for
 * the endings of kinds, of temporary files and of the user's own. */
enum { NAME_MOST = 200, HASH_DIGITS = 16 };

struct dump {
    struct common common;
    int what; /* 1 + enum kiln_dump; 0: not asked */
    const char *output, *dir;
};

static const struct kind {
    const char *ending;
    bool binary;
} kinds[] = {
    [KILN_DUMP_IR] = {".ll"},          [KILN_DUMP_IR_OPT] = {".opt.ll"},   [KILN_DUMP_ASM] = {".s"},
    [KILN_DUMP_OBJECT] = {".o", true}, [KILN_DUMP_IMAGE] = {".img", true},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

#define FLAG_DUMP(name, kind, help) {name, NULL, help, flag_choice, offsetof(struct dump, what), 1 + (kind)}

static const struct flag flags[] = {
    FLAG_DUMP("ir", KILN_DUMP_IR, "LLVM IR as emitted, its blocks named after the loops"),
    FLAG_DUMP("ir-opt", KILN_DUMP_IR_OPT, "LLVM IR after the passes"),
    FLAG_DUMP("asm", KILN_DUMP_ASM, "assembly"),
    FLAG_DUMP("obj", KILN_DUMP_OBJECT, "the ELF object"),
    FLAG_DUMP("image", KILN_DUMP_IMAGE, "the flat image: header, plan line, code"),
    {"o", "FILE", "write to FILE; " OUTPUT_HELP ", which is the default", flag_text,
     offsetof(struct dump, output)},
    {"out", "DIR",
     "write files named after conv and plan into DIR, which is made if need be, and\n"
     "print their names: of the one thing asked for, else of all five",
     flag_text, offsetof(struct dump, dir)},
    FLAG_FILE,
    FLAG_ISA,
    FLAG_TARGET,
    FLAG_SCHEDULE,
    FLAG_BUDGET,
};

static const char about[] =
    "Compiles CONV and writes one of the things made on the way. A plan line shows the\n"
    "convolution as another schedule computes it, --target as another machine runs it.\n" PLAN_LINE_HELP
    "Each of the things holds its plan line: text in its first line, the object as the name\n"
    "of its source file (`readelf -s`), the image in its header. Several CONVs need --out.\n\n"
    "EXAMPLES\n"
    "  kiln dump conv ic64 ih56 iw56 oc64 kh3 kw3 ph1 pw1 f32 nhwc --ir | less\n"
    "  kiln dump conv ic64 ih56 iw56 oc64 kh3 kw3 ph1 pw1 f32 nhwc --asm --isa avx2\n"
    "  kiln dump mb1ic64ih56oc64oh56kh3ph1 --obj --target aarch64 -o conv.o\n"
    "  kiln dump -f layers.txt --asm --out listings\n";

static const struct page page = {.name = "dump",
                                 .brief = "write IR, assembly, object or image of a kernel",
                                 .usage = "CONV --ir|--ir-opt|--asm|--obj|--image [-o FILE]\n"
                                          "  kiln dump [-f FILE] [CONV ...] [--ir|...] --out DIR",
                                 .about = about,
                                 .flags = flags,
                                 .count = sizeof flags / sizeof *flags,
                                 .most = INT_MAX};

static bool dump_into(FILE *file, struct kiln *k, const struct dump *d, const struct line *line,
                      enum kiln_dump what)
{
    struct kiln_options options;
    struct kiln_error error;
    ask_options(&d->common, line, &options);
    if (kiln_dump(k, &line->conv, &options, what, sink_file, file, &error) == KILN_STATUS_OK) return true;
    return complain("%s", error.text), false;
}

static bool file_dump(const char *path, struct kiln *k, const struct dump *d, const struct line *line,
                      enum kiln_dump what)
{
    struct output output;
    if (!output_open(&output, path)) return false;
    bool good = dump_into(output.file, k, d, line, what);
    return output_close(&output, good) && good;
}

/* ---- files named after their plans ---- */

/* "conv n1 ... | direct ow=4 | avx2" becomes "conv_n1_....direct_ow=4.avx2": nothing in it needs quotes. What
 * is too long ends in a hash of all of it. */
static void name_make(char name[KILN_TEXT_MAX], const char *plan)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789=+-.";
    size_t length = 0;
    for (const char *c = plan; *c; c++) {
        bool bar = !strncmp(c, " | ", 3);
        name[length++] = bar ? '.' : strchr(safe, *c) ? *c : '_';
        if (bar) c += 2;
    }
    name[length] = '\0';
    if (length <= NAME_MOST) return;
    sprintf(name + NAME_MOST - HASH_DIGITS - 1, "-%016" PRIx64, (uint64_t)XXH3_64bits(plan, strlen(plan)));
}

static bool kind_dump(const char *name, struct kiln *k, const struct dump *d, const struct line *line,
                      enum kiln_dump what)
{
    char *path;
    if (asprintf(&path, "%s/%s%s", d->dir, name, kinds[what].ending) < 0)
        return complain("no memory for the name of a file"), false;
    bool good = file_dump(path, k, d, line, what);
    if (good) puts(path);
    free(path);
    return good;
}

struct first_line {
    char text[KILN_TEXT_MAX];
    size_t length;
    bool ended;
};

static void sink_first_line(void *user, const char *bytes, size_t count)
{
    struct first_line *l = user;
    for (size_t i = 0; i < count && !l->ended; i++) {
        l->ended = bytes[i] == '\n' || l->length == sizeof l->text - 1;
        if (!l->ended) l->text[l->length++] = bytes[i];
    }
}

/* Of the plan line, with which an explanation begins. False: there is no plan, said on standard error. */
static bool name_find(char name[KILN_TEXT_MAX], struct kiln *k, const struct dump *d, const struct line *line)
{
    struct first_line plan = {0};
    struct kiln_options options;
    struct kiln_error error;
    ask_options(&d->common, line, &options);
    if (kiln_explain(k, &line->conv, &options, sink_first_line, &plan, &error))
        return complain("%s", error.text), false;
    name_make(name, plan.text);
    return true;
}

/* ---- the command ---- */

static const char *output_path(const struct dump *d) { return d->output ? d->output : "-"; }

static bool line_dump(struct kiln *k, const struct dump *d, const struct line *line)
{
    char name[KILN_TEXT_MAX];
    bool good = !d->dir || name_find(name, k, d, line);
    for (int i = 0; good && i < KINDS; i++) {
        enum kiln_dump what = (enum kiln_dump)i;
        if (d->what && d->what != 1 + i) continue;
        good = d->dir ? kind_dump(name, k, d, line, what) : file_dump(output_path(d), k, d, line, what);
    }
    return good;
}

static int refuse(const struct dump *d)
{
    size_t count = d->common.convs.count;
    bool terminal = strcmp(output_path(d), "-") == 0 && isatty(STDOUT_FILENO);
    if (!count) return complain("dump needs a convolution; `kiln dump --help` shows how");
    if (d->dir && d->output) return complain("-o and --out exclude each other");
    if (d->dir) return ASK_GO_ON;
    if (count > 1)
        return complain("dump takes one convolution, not %zu, unless --out names a directory", count);
    if (!d->what) return complain("say what to dump: --ir, --ir-opt, --asm, --obj or --image");
    if (kinds[d->what - 1].binary && terminal)
        return complain("that is binary: send it elsewhere than to a terminal, with -o FILE");
    return ASK_GO_ON;
}

static int dump(const struct dump *d)
{
    int status = refuse(d);
    if (status != ASK_GO_ON) return status;
    if (d->dir && mkdir(d->dir, 0777) && errno != EEXIST)
        return complain("--out: cannot make '%.300s': %s", d->dir, strerror(errno));
    struct kiln *k = ask_kiln(&d->common);
    bool good = k;
    for (size_t i = 0; k && i < d->common.convs.count; i++) good &= line_dump(k, d, &d->common.convs.at[i]);
    kiln_destroy(k);
    return good ? EXIT_GOOD : EXIT_USAGE;
}

int cli_dump(int argc, char **argv)
{
    struct dump d = {0};
    int status = ask(&page, argc, argv, &d.common);
    if (status == ASK_GO_ON) status = dump(&d);
    lines_free(&d.common.convs);
    return status;
}
