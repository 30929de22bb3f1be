/* symbol: one function of a kernel, as profilers and debuggers are told of it: in their own forms, by
 * perf, jitdump and gdb. */
#ifndef KILN_SRC_SYMBOL_H
#define KILN_SRC_SYMBOL_H

#include "kiln.h"

enum {
    SYMBOLS = 2,                     /* of each kernel: run and pack */
    SYMBOL_ROOM = KILN_TEXT_MAX + 16 /* "kiln run " and a plan line */
};

struct symbol {
    char name[SYMBOL_ROOM];
    const char *at;
    size_t bytes;
};

#endif
