/* perf: tells the profiler `perf` which kernel lies where, in the map that it reads of the process's own
 * code: lines "address size name" in /tmp/perf-PID.map. */
#ifndef KILN_SRC_PERF_H
#define KILN_SRC_PERF_H

#include "symbol.h"

/* Adds one kernel's functions. A file that cannot be written, or is another
 * user's, is left alone: a profile then only lacks the names. */
void perf_map(const struct symbol symbols[SYMBOLS]);

#endif
