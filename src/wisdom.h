/* wisdom: plans that were timed, as lines of text, and the best of them for a convolution:
 *
 *   conv n1 ic64 ... f32 nhwc | direct ow=14 oc=2 | avx512  # 123.4 us threads=1 2025-05-17 machine=...
 *
 * Knows what a line is, and nothing of what a schedule means. Anybody may have written a line: what is
 * wrong with it is told, and it is passed over. */
#ifndef KILN_SRC_WISDOM_H
#define KILN_SRC_WISDOM_H

#include "cpu.h"

struct wisdom;

enum {
    WISDOM_LINE_MAX = 2 * KILN_TEXT_MAX, /* a plan line and as long a comment; longer ones are passed over */
    WISDOM_LINES_MOST = 1 << 20,         /* kept: a gigabyte of text would say no more */
};

/* What a plan is known for. Of each key there is one line: that of the least time. */
struct wisdom_key {
    const struct kiln_conv *conv; /* as conv_canonical makes it */
    enum isa isa;                 /* as isa_code gives it */
    int threads;
};

/* What is known. */
struct advice {
    char schedule[KILN_TEXT_MAX];
    char comment[WISDOM_LINE_MAX]; /* as in its line, without the '#' */
    int threads;                   /* with which it was timed */
    double us;                     /* 0: the line does not say */
};

/* Is told what is wrong with a line, as a sentence; no lock is held. */
typedef void wisdom_tell(void *user, const char *sentence);

struct wisdom *wisdom_new(void); /* NULL: no memory */
void wisdom_free(struct wisdom *w);

/* Adds what the lines of a text say and is better than what is known. Blank lines and those that begin with
 * '#' say nothing. A line that says no time is worth less than any that does. MEMORY: what came before is
 * kept. */
enum kiln_status wisdom_read(struct wisdom *w, const char *text, size_t size, wisdom_tell *tell, void *user,
                             struct kiln_error *error);

/* Writes every line, in the order in which their keys came. */
void wisdom_write(struct wisdom *w, kiln_sink *sink, void *user);

/* The best line for a key; where there is none for as many threads, that for the nearest number: plans do
 * not depend on threads, only which is best may. False: there is none; *other_isa is then the name of a level
 * that there is one for, or NULL. */
bool wisdom_find(struct wisdom *w, const struct wisdom_key *key, struct advice *advice,
                 const char **other_isa);

#endif
