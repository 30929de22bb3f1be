/* aot: convolutions compiled ahead of time, as they appear in the files that are made of them. */
#ifndef KILN_SRC_AOT_H
#define KILN_SRC_AOT_H

#include "buffer.h"
#include "cpu.h"

enum { AOT_NAME_MOST = 64, AOT_SYMBOL_ROOM = AOT_NAME_MOST + 64 };

/* A kernel of one function, for one ISA. */
struct aot_kernel {
    size_t function, order; /* its number; the kernel's place in the list that was given */
    enum isa isa;
    struct kiln_plan *plan;
    char symbol[AOT_SYMBOL_ROOM]; /* NAME_0_avx2 */
};

struct aot {
    const char *name;
    struct aot_kernel *kernels; /* by function, the highest ISA first; none twice */
    size_t count, functions;
};

/* NAME.h and NAME.c. Nothing in them depends on anything but the kernels. */
void aot_put_header(const struct aot *aot, struct buffer *to);
void aot_put_source(const struct aot *aot, struct buffer *to);

#endif
