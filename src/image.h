/* image: one kernel as one block of bytes, which needs nothing else: a header, the plan line, and
 * the code with its constants, position-independent. What the cache holds and `kiln dump --image`
 * writes. Knows nothing of LLVM. */
#ifndef KILN_SRC_IMAGE_H
#define KILN_SRC_IMAGE_H

#include <elf.h>

#include "kiln.h"

enum { IMAGE_VERSION = 1, IMAGE_CODE_ALIGN = 64 };

/* This machine, in struct image's elf_machine. */
#if defined __x86_64__
enum { HOST_MACHINE = EM_X86_64 };
#else
enum { HOST_MACHINE = EM_AARCH64 };
#endif

struct image {
    char magic[8];             /* "kilnimg" */
    uint32_t version;          /* IMAGE_VERSION */
    uint32_t elf_machine;      /* EM_X86_64 or EM_AARCH64 */
    uint64_t checksum;         /* XXH3 of everything after this field */
    uint64_t bytes;            /* of the whole image, this header included */
    uint64_t text, text_bytes; /* the plan line: offset from the image's start; length with its terminator */
    uint64_t code, code_bytes; /* offset from the image's start, aligned to IMAGE_CODE_ALIGN; length */
    uint64_t run, pack;        /* entry points: offsets from the code's start */
    uint64_t packed_bytes, scratch_bytes, tasks;
    uint64_t exact; /* 1: no error on small integers */
};

/* Allocates a whole image from its parts, with room for code_bytes of code, zeroed, to be filled in
 * before image_seal; the caller frees it. NULL: no memory. */
struct image *image_new(const char *plan_text, size_t code_bytes);
void image_seal(struct image *image); /* sets the checksum */

/* OK, or INVALID with what is wrong: magic, version, sizes, offsets or checksum. `bytes` is what is there. */
enum kiln_status image_check(const struct image *image, size_t bytes, struct kiln_error *error);

static inline const char *image_text(const struct image *i) { return (const char *)i + i->text; }
static inline char *image_code(const struct image *i) { return (char *)i + i->code; }

#endif
