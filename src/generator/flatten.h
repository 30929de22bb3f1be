/* flatten: an ELF object's code and constants as one flat image that needs nothing else. Knows ELF,
 * not LLVM. */
#ifndef KILN_GENERATOR_FLATTEN_H
#define KILN_GENERATOR_FLATTEN_H

#include "image.h"

/* Lays out the object's allocated sections, resolves their references to each other, and makes an
 * image with entry points `run` and `pack`; sizes and checksum are left to the caller, who frees it.
 * INTERNAL: a reference to anything outside (an emitter called a library function), a kind of
 * relocation or section that cannot be flat, or a malformed object. MEMORY. */
enum kiln_status flatten(const void *object, size_t bytes, const char *plan_text, struct image **made,
                         struct kiln_error *error);

#endif
