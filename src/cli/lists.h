/* lists: the ISAs and layouts that a command on many convolutions works through. */
#ifndef KILN_CLI_LISTS_H
#define KILN_CLI_LISTS_H

#include "lines.h"

enum { LIST_MAX = 16, NAME_ROOM = 32 };

/* Names of a list such as "sse2,avx2". */
struct names {
    int count;
    char at[LIST_MAX][NAME_ROOM];
};

struct lists {
    struct names isas, layouts; /* empty: the best there is; the layout given */
};

#define FLAG_ISAS                                                                                     \
    {"isa", "LIST",                                                                                   \
     "each of these levels, such as sse2,avx2: " ISA_LEVELS                                           \
     ";\nor all: those of sse2, avx2, avx512 and neon that can be used here; default: the\nbest one", \
     flag_text, offsetof(struct common, isa)}
#define LAYOUTS_HELP "each of these layouts instead of those given, such as nhwc,nchw; or as-given"

/* Reads what --isa and --layout were given, NULL where they were not. "all" leaves out what the target, NULL
 * being this machine, lacks. False: said on standard error. */
bool lists_read(struct lists *lists, struct kiln *k, const char *target, const char *isas,
                const char *layouts);

/* The convolutions that a line stands for: itself, or in each layout of the list. */
int lists_convs(const struct lists *lists);
struct kiln_conv lists_conv(const struct lists *lists, const struct line *line, int i);

/* The ISAs it is for: the one that it names and no other, or those of the list, or NULL: the best. */
int lists_isas(const struct lists *lists, const struct line *line);
const char *lists_isa(const struct lists *lists, const struct line *line, int i);

/* Whether code for the ISA level can be made for the target and, if that is NULL, run here: as the status of
 * a question about it. */
enum kiln_status isa_status(struct kiln *k, const char *target, const char *isa, struct kiln_error *error);

#endif
