/* Sections are chosen by their flags, never by name: code first, then constants. Symbols are checked
 * before relocation types, so that a call out of the image is named. */
#include "flatten.h"

#include "status.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

enum { NOT_PLACED = -1, AARCH64_PAGE = 4096 };

struct object {
    const char *bytes;
    size_t size;
    const Elf64_Ehdr *head;
    const Elf64_Shdr *sections;
    int64_t *place; /* of each section in the image's code, or NOT_PLACED */
    int64_t code_bytes;
};

static bool within(const struct object *o, uint64_t offset, uint64_t bytes)
{
    return offset <= o->size && bytes <= o->size - offset;
}

/* ---- reading ELF ---- */

static enum kiln_status object_open(struct object *o, struct kiln_error *error)
{
    const Elf64_Ehdr *h = o->head = (const void *)o->bytes;
    bool elf =
        o->size >= sizeof *h && !memcmp(h->e_ident, ELFMAG, SELFMAG) && h->e_ident[EI_CLASS] == ELFCLASS64;
    if (!elf || !within(o, h->e_shoff, (uint64_t)h->e_shnum * sizeof *o->sections))
        return fail(error, KILN_STATUS_INTERNAL, "flatten: not a 64-bit ELF object");
    if (h->e_machine != EM_X86_64 && h->e_machine != EM_AARCH64)
        return fail(error, KILN_STATUS_INTERNAL, "flatten: an object of machine %d", h->e_machine);
    o->sections = (const void *)(o->bytes + h->e_shoff);
    for (int i = 0; i < h->e_shnum; i++) {
        const Elf64_Shdr *s = &o->sections[i];
        bool whole = s->sh_type == SHT_NOBITS || within(o, s->sh_offset, s->sh_size);
        if (!whole || s->sh_link >= h->e_shnum ||
            ((s->sh_type == SHT_RELA || s->sh_type == SHT_REL) && s->sh_info >= h->e_shnum))
            return fail(error, KILN_STATUS_INTERNAL, "flatten: section %d is malformed", i);
    }
    return KILN_STATUS_OK;
}

static const void *section_data(const struct object *o, const Elf64_Shdr *s)
{
    return o->bytes + s->sh_offset;
}

static const char *symbol_name(const struct object *o, const Elf64_Shdr *symbols, const Elf64_Sym *y)
{
    const Elf64_Shdr *names = &o->sections[symbols->sh_link];
    return y->st_name < names->sh_size ? (const char *)section_data(o, names) + y->st_name : "?";
}

/* Where a symbol lies in the code, or NOT_PLACED. */
static int64_t symbol_place(const struct object *o, const Elf64_Sym *y)
{
    if (y->st_shndx == SHN_UNDEF || y->st_shndx >= o->head->e_shnum || o->place[y->st_shndx] == NOT_PLACED)
        return NOT_PLACED;
    return o->place[y->st_shndx] + (int64_t)y->st_value;
}

/* ---- layout ---- */

static enum kiln_status section_place(struct object *o, int i, struct kiln_error *error)
{
    const Elf64_Shdr *s = &o->sections[i];
    if (s->sh_type != SHT_PROGBITS || s->sh_flags & (SHF_WRITE | SHF_TLS))
        return fail(error, KILN_STATUS_INTERNAL,
                    "flatten: section %d (type %u, flags %#llx) is neither code nor constants", i, s->sh_type,
                    (unsigned long long)s->sh_flags);
    int64_t align = s->sh_addralign ? (int64_t)s->sh_addralign : 1;
    if (align > IMAGE_CODE_ALIGN)
        return fail(error, KILN_STATUS_INTERNAL, "flatten: section %d wants an alignment of %lld", i,
                    (long long)align);
    o->place[i] = (o->code_bytes + align - 1) / align * align;
    o->code_bytes = o->place[i] + (int64_t)s->sh_size;
    return KILN_STATUS_OK;
}

/* Zeros in front of the first function: programs built with clang's -fsanitize=function read the 8 bytes
 * in front of whatever they call through a pointer. */
enum { FRONT_BYTES = IMAGE_CODE_ALIGN };

static enum kiln_status object_layout(struct object *o, struct kiln_error *error)
{
    o->code_bytes = FRONT_BYTES;
    for (int i = 0; i < o->head->e_shnum; i++) o->place[i] = NOT_PLACED;
    for (int text = 1; text >= 0; text--)
        for (int i = 0; i < o->head->e_shnum; i++) {
            const Elf64_Shdr *s = &o->sections[i];
            if (!(s->sh_flags & SHF_ALLOC) || !s->sh_size || !!(s->sh_flags & SHF_EXECINSTR) != text)
                continue;
            enum kiln_status status = section_place(o, i, error);
            if (status) return status;
        }
    return KILN_STATUS_OK;
}

/* ---- relocations, at `at`, of a reference to `to`: offsets from the code's start ---- */

static bool patch_x86(char *code, uint32_t type, int64_t to, int64_t at)
{
    if (type != R_X86_64_PC32 && type != R_X86_64_PLT32) return false;
    int32_t v = (int32_t)(to - at);
    memcpy(code + at, &v, sizeof v);
    return true;
}

/* The 12-bit immediates of loads and stores count in units of the access. */
static int lo12_shift(uint32_t type)
{
    static const struct {
        uint32_t type;
        int shift;
    } rows[] = {
        {R_AARCH64_ADD_ABS_LO12_NC, 0},    {R_AARCH64_LDST8_ABS_LO12_NC, 0},
        {R_AARCH64_LDST16_ABS_LO12_NC, 1}, {R_AARCH64_LDST32_ABS_LO12_NC, 2},
        {R_AARCH64_LDST64_ABS_LO12_NC, 3}, {R_AARCH64_LDST128_ABS_LO12_NC, 4},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].type == type) return rows[i].shift;
    return -1;
}

static bool patch_aarch64(char *code, uint32_t type, int64_t to, int64_t at)
{
    uint32_t v;
    int shift = lo12_shift(type);
    memcpy(&v, code + at, sizeof v);
    if (type == R_AARCH64_ADR_PREL_PG_HI21) {
        int64_t pages = to / AARCH64_PAGE - at / AARCH64_PAGE;
        v |= (uint32_t)(pages & 3) << 29 | (uint32_t)(pages >> 2 & 0x7ffff) << 5;
    } else if (shift >= 0) {
        v |= (uint32_t)(to % AARCH64_PAGE >> shift) << 10;
    } else {
        return false;
    }
    memcpy(code + at, &v, sizeof v);
    return true;
}

static enum kiln_status relocate(const struct object *o, const Elf64_Shdr *rela, char *code,
                                 struct kiln_error *error)
{
    const Elf64_Rela *r = section_data(o, rela);
    const Elf64_Shdr *symbols = &o->sections[rela->sh_link];
    int64_t base = o->place[rela->sh_info];
    for (size_t i = 0; i < rela->sh_size / sizeof *r; i++) {
        if (ELF64_R_SYM(r[i].r_info) >= symbols->sh_size / sizeof(Elf64_Sym) ||
            r[i].r_offset + 4 > o->sections[rela->sh_info].sh_size)
            return fail(error, KILN_STATUS_INTERNAL, "flatten: relocation %zu is malformed", i);
        const Elf64_Sym *y = (const Elf64_Sym *)section_data(o, symbols) + ELF64_R_SYM(r[i].r_info);
        int64_t to = symbol_place(o, y);
        if (to == NOT_PLACED)
            return fail(error, KILN_STATUS_INTERNAL,
                        "flatten: the code refers to '%s', which is outside the image",
                        symbol_name(o, symbols, y));
        uint32_t type = ELF64_R_TYPE(r[i].r_info);
        bool (*patch)(char *, uint32_t, int64_t, int64_t) =
            o->head->e_machine == EM_X86_64 ? patch_x86 : patch_aarch64;
        if (!patch(code, type, to + r[i].r_addend, base + (int64_t)r[i].r_offset))
            return fail(error, KILN_STATUS_INTERNAL,
                        "flatten: relocation type %u is not relative to the code", type);
    }
    return KILN_STATUS_OK;
}

static enum kiln_status object_relocate(const struct object *o, char *code, struct kiln_error *error)
{
    for (int i = 0; i < o->head->e_shnum; i++) {
        const Elf64_Shdr *s = &o->sections[i];
        bool placed = (s->sh_type == SHT_RELA || s->sh_type == SHT_REL) && o->place[s->sh_info] != NOT_PLACED;
        if (!placed) continue;
        if (s->sh_type == SHT_REL)
            return fail(error, KILN_STATUS_INTERNAL, "flatten: relocations without addends");
        enum kiln_status status = relocate(o, s, code, error);
        if (status) return status;
    }
    return KILN_STATUS_OK;
}

/* ---- entry points ---- */

static int64_t entry(const struct object *o, const char *name)
{
    for (int i = 0; i < o->head->e_shnum; i++) {
        const Elf64_Shdr *s = &o->sections[i];
        const Elf64_Sym *y = section_data(o, s);
        for (size_t n = 0; s->sh_type == SHT_SYMTAB && n < s->sh_size / sizeof *y; n++)
            if (!strcmp(symbol_name(o, s, &y[n]), name)) return symbol_place(o, &y[n]);
    }
    return NOT_PLACED;
}

static enum kiln_status fill(const struct object *o, struct image *image, struct kiln_error *error)
{
    char *code = image_code(image);
    for (int i = 0; i < o->head->e_shnum; i++)
        if (o->place[i] != NOT_PLACED)
            memcpy(code + o->place[i], section_data(o, &o->sections[i]), o->sections[i].sh_size);
    int64_t run = entry(o, "run"), pack = entry(o, "pack");
    if (run == NOT_PLACED || pack == NOT_PLACED)
        return fail(error, KILN_STATUS_INTERNAL, "flatten: the object has no run or no pack");
    image->elf_machine = o->head->e_machine;
    image->run = (uint64_t)run, image->pack = (uint64_t)pack;
    return object_relocate(o, code, error);
}

enum kiln_status flatten(const void *object, size_t bytes, const char *plan_text, struct image **made,
                         struct kiln_error *error)
{
    struct object o = {.bytes = object, .size = bytes};
    enum kiln_status status = object_open(&o, error);
    if (status) return status;
    o.place = malloc(((size_t)o.head->e_shnum + 1) * sizeof *o.place);
    if (!o.place)
        return fail(error, KILN_STATUS_MEMORY, "flatten: no memory for %d sections", o.head->e_shnum);
    status = object_layout(&o, error);
    struct image *image = status ? NULL : image_new(plan_text, (size_t)o.code_bytes);
    if (!status && !image) status = fail(error, KILN_STATUS_MEMORY, "flatten: no memory for the image");
    if (!status) status = fill(&o, image, error);
    if (status)
        free(image);
    else
        *made = image;
    free(o.place);
    return status;
}
