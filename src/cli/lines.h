/* lines: the convolutions a command works on, from CONV arguments and from files of lines. */
#ifndef KILN_CLI_LINES_H
#define KILN_CLI_LINES_H

#include "kiln.h"

/* One convolution asked for: a conv, a benchdnn word, or a plan line. */
struct line {
    char *text;            /* as written, comment and outer blanks removed */
    struct kiln_conv conv; /* its conv, parsed and checked */
    char *schedule;        /* between the first '|' and the second, or NULL: the planner chooses */
    char *machine;         /* behind the second '|', such as "avx512", or NULL */
};

struct lines {
    struct line *at;
    size_t count, room;
};

/* Adds every line of a file ("-" is standard input): one conv, plan or benchdnn word per line; '#'
 * begins a comment, also behind a line; blank lines are skipped. False: said on standard error, with
 * file and line number, and nothing else is to be done but exit with 2. */
bool lines_read(struct lines *lines, const char *path);

/* Adds one convolution; `where` (such as "shapes.txt:7", or NULL) opens the sentence if it is malformed. */
bool lines_add(struct lines *lines, const char *text, const char *where);

void lines_free(struct lines *lines);

/* The first word behind the index-th '|' of a plan line, such as its algorithm (1) or its ISA (2), or "?".
 * Returns `word`. */
enum { WORD_ROOM = 32 };
const char *plan_word(const char *plan, int index, char word[WORD_ROOM]);

#endif
