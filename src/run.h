/* run: struct kiln_plan, a loaded kernel with all that running it needs. */
#ifndef KILN_SRC_RUN_H
#define KILN_SRC_RUN_H

#include "args.h"
#include "load.h"
#include "pool.h"

/* Immutable but for the count. Holds on to its kernel and pool, so that it outlives eviction and the
 * context. What a run reads comes first. */
struct kiln_plan {
    kiln_kernel *run; /* NULL: compiled for another machine */
    size_t tasks, scratch_bytes;
    size_t shares; /* that a run is cut into when the pool is free; 1: never */
    struct args_need need;
    struct pool *pool;
    struct kernel *kernel;
    kiln_packer *pack;
    struct kiln_conv conv;
    int references; /* atomic */
};

/* Takes over the caller's reference to kernel, also when it fails. foreign: compiled for another machine
 * that merely has this one's architecture, so not to be run. MEMORY. */
enum kiln_status plan_new(struct kiln_plan **made, struct kernel *kernel, const struct kiln_conv *conv,
                          struct pool *pool, bool foreign, struct kiln_error *error);

#endif
