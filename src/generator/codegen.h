/* codegen: an emitted module to an ELF object or assembly; the only user of LLVM's target machine.
 * Knows nothing of caches. */
#ifndef KILN_GENERATOR_CODEGEN_H
#define KILN_GENERATOR_CODEGEN_H

#include "emit.h"

/* Before all else of a compilation. SYSTEM: some of LLVM's names lead to another LLVM. */
enum kiln_status codegen_begin(struct kiln_error *error);

/* Every stage leaves its artefact where LLVM has it; the caller disposes of *out. INTERNAL: what LLVM
 * says, which is a defect of an emitter. */
enum kiln_status codegen_verify(struct emit *e, struct kiln_error *error);
enum kiln_status codegen_passes(struct emit *e,
                                struct kiln_error *error); /* sets triple and data layout too */
enum kiln_status codegen_object(struct emit *e, bool assembly, LLVMMemoryBufferRef *out,
                                struct kiln_error *error);

/* "19.1.7" */
const char *codegen_llvm_version(void);
const char *codegen_llvm_file(void); /* where it was loaded from; NULL: not known */

#endif
