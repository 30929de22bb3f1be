/* ask: what a command was asked. One parser reads options and convolutions from a command's table of
 * flags into the command's own struct, and writes the help from the same table. */
#ifndef KILN_CLI_ASK_H
#define KILN_CLI_ASK_H

#include "lines.h"

#include <stdio.h>

/* Exit statuses of every command, worse ones larger; exit_of: that of a convolution that ended so, among
 * others, where what is unsupported is skipped. */
enum {
    EXIT_GOOD,
    EXIT_FAILED, /* a check ran and failed, or for want of memory could not */
    EXIT_USAGE   /* bad usage or bad input, an environment that names nothing usable included */
};
int exit_of(enum kiln_status status);
int exit_worse(int a, int b);

struct flag;

/* Stores one flag's value into a command's struct. False: the value is wrong, said on standard error. */
typedef bool flag_set(void *into, const struct flag *flag, const char *value);

struct flag {
    const char *name;  /* "isa" of --isa; a single letter is -f as well */
    const char *value; /* "LEVEL", as help shows it; NULL: the flag takes none */
    const char *help;  /* a sentence; lines after the first are indented by help */
    flag_set *set;
    size_t offset;     /* of the field stored into */
    int64_t low, high; /* of a number; flag_choice stores low */
    bool many;         /* each one given counts; of others only one is taken */
};

flag_set flag_text;   /* const char * */
flag_set flag_number; /* int, in [low, high] */
flag_set flag_choice; /* int: stores low, for flags that exclude each other; a second one is refused */
flag_set flag_true;   /* bool */
flag_set flag_file;   /* struct lines: reads a FILE of convolutions */

/* What most commands take: the first member of their structs, and rows of their tables. */
struct common {
    struct lines convs;
    const char *isa, *target, *schedule;
    int budget, threads;
    bool cold; /* kernels are compiled, not taken from the cache on disk: it is compiling that is looked at */
};

#define ISA_LEVELS \
    "sse2, avx2, avx512, vnni, avx512_bf16, amx;\non aarch64 neon (`kiln cpu` tells what is here)"
#define FLAG_ISA \
    {"isa", "LEVEL", "use no more than this one level: " ISA_LEVELS, flag_text, offsetof(struct common, isa)}
#define FLAG_TARGET \
    {"target", "ARCH", "for another machine: x86_64 or aarch64", flag_text, offsetof(struct common, target)}
#define FLAG_SCHEDULE                                                                \
    {"schedule", "TEXT", "this schedule instead of the planner's choice", flag_text, \
     offsetof(struct common, schedule)}
#define FLAG_BUDGET                                                             \
    {"budget",                                                                  \
     "N",                                                                       \
     "unrolled FMAs in the whole object, at most, in the planner's choice; a\n" \
     "schedule that is given may unroll up to 4096 whatever this says",         \
     flag_number,                                                               \
     offsetof(struct common, budget),                                           \
     1,                                                                         \
     4096}
#define FLAG_THREADS                                                                                       \
    {"threads",                                                                                            \
     "N",                                                                                                  \
     "threads to run on, no more than processors that the process may use; default\nKILN_THREADS, else 1", \
     flag_number,                                                                                          \
     offsetof(struct common, threads),                                                                     \
     1,                                                                                                    \
     1024}
#define FLAG_FILE                                                                       \
    {"f",                                                                               \
     "FILE",                                                                            \
     "convolutions from FILE, one per line; '#' begins a comment; - is standard input", \
     flag_file,                                                                         \
     offsetof(struct common, convs),                                                    \
     .many = true}

/* How a command on one convolution takes a plan line: what most pages say of it. */
#define PLAN_LINE_HELP                                                                       \
    "CONV may be a plan line; --schedule and --isa, where given, are taken instead of its\n" \
    "schedule and ISA.\n"

/* One command's page: how it is called and what its help says. */
struct page {
    const char *name;  /* "run" */
    const char *brief; /* one line: what for */
    const char *usage; /* "CONV --src FILE ...": what follows the name */
    const char *about; /* whole lines: what it does, then examples */
    const struct flag *flags;
    size_t count; /* of flags */
    int most;     /* convolutions at most */
};

enum { ASK_GO_ON = -1 };

/* Fills a command's struct, which is zero but for its defaults and begins with struct common. A CONV
 * is one argument, or a word "conv" and the words behind it up to the next option. ASK_GO_ON, or the
 * status to exit with: --help was printed, or the mistake was said on standard error. */
int ask(const struct page *page, int argc, char **argv, struct common *into);

/* The same for commands that need exactly one convolution. */
int ask_one(const struct page *page, int argc, char **argv, struct common *into);

/* The library's configuration and options, as common flags say and a line's own schedule and machine do. */
void ask_config(const struct common *common, struct kiln_config *config);
void ask_options(const struct common *common, const struct line *line, struct kiln_options *options);

/* A context, and the plan of one line in it; NULL: said on standard error. */
struct kiln *ask_kiln(const struct common *common);
struct kiln_plan *ask_plan(struct kiln *k, const struct common *common, const struct line *line);

/* Says on standard error "kiln: sentence" and returns EXIT_USAGE. */
__attribute__((format(printf, 1, 2))) int complain(const char *format, ...);

/* Says that fewer threads run than were asked for. */
void threads_fewer(int asked, int had);

/* Prints text that may hold words of the user's, padded to `width`: control bytes, which a terminal
 * would obey, as \xNN. */
void plain_put(FILE *file, const char *text, int width);

/* Sinks: one that writes to a FILE, its user pointer, and one that does not listen. */
kiln_sink sink_file;
kiln_sink sink_nothing;

#endif
