/* jitdump: tells the profiler `perf` the names and the code of kernels, in the file that `perf inject --jit`
 * reads. Unlike the map (perf.h) it knows from when on a kernel was there, and `perf annotate` finds the code
 * after the process has gone. */
#ifndef KILN_SRC_JITDUMP_H
#define KILN_SRC_JITDUMP_H

#include <pthread.h>
#include <sys/types.h>

#include "symbol.h"

/* One context's file. It is made with the first kernel, and anew in a forked child. */
struct jitdump {
    pthread_mutex_t lock; /* guards what follows */
    pid_t pid;            /* the process that the file is of; 0: none yet */
    int file;             /* negative: it could not be made */
    void *mark;           /* a page of the file, mapped executable: how `perf record` learns of it */
    uint64_t count;       /* of functions in it */
};

void jitdump_init(struct jitdump *dump);
void jitdump_close(struct jitdump *dump);

/* Adds one kernel's functions. `news` is filled with a sentence when there is something to tell: where the
 * file is, or once why there is none or no more; else it becomes "". */
enum { JITDUMP_NEWS = 512 };
void jitdump_add(struct jitdump *dump, const struct symbol symbols[SYMBOLS], char news[JITDUMP_NEWS]);

#endif
