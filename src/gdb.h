/* gdb: tells debuggers which kernel lies where, through gdb's interface for code made at run time, which LLDB
 * reads too: a list of object files in memory. Ours hold two symbols. */
#ifndef KILN_SRC_GDB_H
#define KILN_SRC_GDB_H

#include "symbol.h"

struct gdb_code;

/* Adds one kernel's functions; NULL: no memory, and the kernel only lacks its name. */
struct gdb_code *gdb_add(const struct symbol symbols[SYMBOLS]);

/* Before the memory of the functions goes. NULL is allowed. */
void gdb_remove(struct gdb_code *code);

#endif
