/* load: image bytes to executable memory, never writable and executable at once; and back to the
 * system. Does not know how the bytes were made. */
#ifndef KILN_SRC_LOAD_H
#define KILN_SRC_LOAD_H

#include "image.h"
#include "symbol.h"

/* A loaded kernel: immutable, reference-counted. */
struct kernel {
    kiln_kernel *run;
    kiln_packer *pack;
    size_t packed_bytes, scratch_bytes, tasks;
    bool exact;                   /* no error on small integers */
    char *text;                   /* the plan line */
    size_t bytes;                 /* memory held, for the cache's capacity */
    char *code;                   /* NULL: another machine's image, kept but not executable */
    size_t code_room, code_bytes; /* mapped; code and constants */
    struct gdb_code *gdb;         /* NULL: no debugger is told; set before others have the kernel */
    int references;               /* atomic */
};

/* A new kernel with one reference, from a checked image, which may be freed afterwards. An image of
 * another architecture gets run = pack = NULL. SYSTEM: memory cannot be mapped or made executable. MEMORY. */
enum kiln_status kernel_load(const struct image *image, struct kernel **made, struct kiln_error *error);

/* Its functions, named by its plan line. False: it is another machine's. */
bool kernel_symbols(const struct kernel *kernel, struct symbol symbols[SYMBOLS]);

struct kernel *kernel_retain(struct kernel *kernel);
void kernel_release(struct kernel *kernel);

#endif
