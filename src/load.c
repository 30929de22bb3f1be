/* load: the only place that makes memory executable. Code is copied into fresh pages of its own while
 * they are writable and becomes executable when they no longer are. */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gdb.h"
#include "status.h"

/* The image's code at the beginning of a page: AArch64's ADRP, which reaches constants by page, was
 * resolved for that. Sets code and code_room; on failure leaves nothing mapped. */
static enum kiln_status code_map(struct kernel *k, const struct image *image, struct kiln_error *error)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t room = (image->code_bytes + page - 1) / page * page;
    char *code = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (code == MAP_FAILED)
        return fail(error, KILN_STATUS_SYSTEM, "cannot map %zu bytes for code: %s", room, strerror(errno));
    memcpy(code, image_code(image), image->code_bytes);
    if (mprotect(code, room, PROT_READ | PROT_EXEC)) {
        int code_errno = errno;
        munmap(code, room);
        return fail(error, KILN_STATUS_SYSTEM, "cannot make memory executable: %s; does a policy forbid it?",
                    strerror(code_errno));
    }
    __builtin___clear_cache(code, code + image->code_bytes);
    k->code = code;
    k->code_room = room;
    return KILN_STATUS_OK;
}

/* The entry point at an offset. A data pointer is copied, since ISO C does not let it be cast. */
static void entry_set(void *function, const struct kernel *k, uint64_t offset)
{
    const char *at = k->code + offset;
    memcpy(function, &at, sizeof at);
}

enum kiln_status kernel_load(const struct image *image, struct kernel **made, struct kiln_error *error)
{
    struct kernel *k = calloc(1, sizeof *k);
    if (!k) return fail(error, KILN_STATUS_MEMORY, "no memory for a kernel");
    enum kiln_status status = KILN_STATUS_OK;
    k->text = strdup(image_text(image));
    if (!k->text)
        status = fail(error, KILN_STATUS_MEMORY, "no memory for a plan line");
    else if (image->elf_machine == HOST_MACHINE)
        status = code_map(k, image, error);
    k->references = 1;
    if (status) {
        kernel_release(k);
        return status;
    }
    if (k->code) {
        entry_set(&k->run, k, image->run);
        entry_set(&k->pack, k, image->pack);
    }
    k->code_bytes = image->code_bytes;
    k->packed_bytes = image->packed_bytes;
    k->scratch_bytes = image->scratch_bytes;
    k->tasks = image->tasks;
    k->exact = image->exact;
    k->bytes = sizeof *k + image->text_bytes + k->code_room;
    *made = k;
    return KILN_STATUS_OK;
}

/* Behind each function lies the other, or the constants and the end. */
static void symbol_fill(struct symbol *s, const struct kernel *k, const char *what, const void *function,
                        const void *other)
{
    const char *at, *behind, *end = k->code + k->code_bytes;
    memcpy(&at, function, sizeof at); /* ISO C lets no function's address be cast */
    memcpy(&behind, other, sizeof behind);
    snprintf(s->name, sizeof s->name, "kiln %s %s", what, k->text);
    s->at = at;
    s->bytes = (size_t)((behind > at ? behind : end) - at);
}

bool kernel_symbols(const struct kernel *k, struct symbol symbols[SYMBOLS])
{
    if (!k->code) return false;
    symbol_fill(&symbols[0], k, "run", &k->run, &k->pack);
    symbol_fill(&symbols[1], k, "pack", &k->pack, &k->run);
    return true;
}

struct kernel *kernel_retain(struct kernel *kernel)
{
    __atomic_add_fetch(&kernel->references, 1, __ATOMIC_RELAXED);
    return kernel;
}

void kernel_release(struct kernel *kernel)
{
    if (__atomic_sub_fetch(&kernel->references, 1, __ATOMIC_ACQ_REL)) return;
    gdb_remove(kernel->gdb);
    if (kernel->code) munmap(kernel->code, kernel->code_room);
    free(kernel->text);
    free(kernel);
}
