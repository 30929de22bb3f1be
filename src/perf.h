/* perf: tells the profiler `perf` which kernel lies where, in the map that it reads of the process's own
 * code: lines "address size name" in /tmp/perf-PID.map. */
#ifndef KILN_SRC_PERF_H
#define KILN_SRC_PERF_H

#include "load.h"

/* Adds a loaded kernel's two functions, named by its plan line. A file that cannot be written, or is another
 * user's, is left alone: a profile then only lacks the names. */
void perf_map(const struct kernel *kernel);

#endif
