/* debug: the words of KILN_DEBUG, from one table: what each asks for, for reading, for messages and for
 * help. */
#ifndef KILN_SRC_DEBUG_H
#define KILN_SRC_DEBUG_H

#include "kiln.h"

/* The first are logged; the last tell other programs which kernel lies where. */
enum debug {
    DEBUG_PLAN,
    DEBUG_CACHE,
    DEBUG_WISDOM,
    DEBUG_IR,
    DEBUG_ASM,
    DEBUG_PERF,
    DEBUG_JITDUMP,
    DEBUG_GDB,
};

/* Reads words with commas between them, NULL for none, into a bit for each. INVALID: another word; `name` is
 * what the message calls the place where the text was. */
enum kiln_status debug_parse(unsigned *debug, const char *text, const char *name, struct kiln_error *error);

const char *debug_name(enum debug what);

/* A line for each word, "  WORD  what it asks for". */
void debug_print(kiln_sink *sink, void *user);

#endif
