/* gdb: the names, the layout and the values of the list are the interface's ("JIT Compilation Interface" in
 * gdb's manual), and so it is the one list of the process and the library's one lock: the interface has no
 * other way. Both symbols are hidden: were they exported, they and those of another compiler in the process,
 * such as LLVM's own, would become one list with two locks. gdb looks into every object's symbol table, so it
 * finds ours unless it was stripped. */
#include "gdb.h"

#include <elf.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"

enum { JIT_VERSION = 1 };
enum jit_action { JIT_NOACTION, JIT_REGISTER, JIT_UNREGISTER };

struct jit_code_entry {
    struct jit_code_entry *next, *previous;
    const char *file;
    uint64_t file_bytes;
};

struct jit_descriptor {
    uint32_t version, action;
    struct jit_code_entry *relevant, *first;
};

/* NOLINTBEGIN(bugprone-reserved-identifier): the interface's */
extern struct jit_descriptor __jit_debug_descriptor;
void __jit_debug_register_code(void);

__attribute__((used)) struct jit_descriptor __jit_debug_descriptor = {.version = JIT_VERSION};

/* gdb stops here, and reads what the descriptor says. */
__attribute__((noinline, used)) void __jit_debug_register_code(void) { __asm__ volatile("" ::: "memory"); }
/* NOLINTEND(bugprone-reserved-identifier) */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- the object file ---- */

enum section { SECTION_NONE, SECTION_TEXT, SECTION_SYMBOLS, SECTION_NAMES, SECTION_COUNT };

/* Names of sections and of symbols, in one table. */
static const char section_names[] = "\0.text\0.symtab\0.strtab";
enum { NAME_TEXT = 1, NAME_SYMBOLS = 7, NAME_NAMES = 15 };

struct file {
    Elf64_Ehdr head;
    Elf64_Shdr sections[SECTION_COUNT];
    Elf64_Sym symbols[1 + SYMBOLS]; /* the first is ELF's undefined one */
    char names[];
};

struct gdb_code {
    struct jit_code_entry entry;
    struct file file;
};

static Elf64_Ehdr file_head(void)
{
    return (Elf64_Ehdr){
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT, ELFOSABI_NONE},
        .e_type = ET_EXEC, /* whose symbols are addresses */
        .e_machine = HOST_MACHINE,
        .e_version = EV_CURRENT,
        .e_shoff = offsetof(struct file, sections),
        .e_ehsize = sizeof(Elf64_Ehdr),
        .e_shentsize = sizeof(Elf64_Shdr),
        .e_shnum = SECTION_COUNT,
        .e_shstrndx = SECTION_NAMES,
    };
}

/* Copies the names behind the file; returns the bytes of all of them. */
static size_t names_put(struct file *file, const struct symbol symbols[SYMBOLS])
{
    size_t length = sizeof section_names;
    memcpy(file->names, section_names, length);
    for (int i = 0; i < SYMBOLS; i++) {
        size_t bytes = strlen(symbols[i].name) + 1;
        memcpy(file->names + length, symbols[i].name, bytes);
        file->symbols[1 + i] = (Elf64_Sym){
            .st_name = (Elf64_Word)length,
            .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
            .st_shndx = SECTION_TEXT,
            .st_value = (uintptr_t)symbols[i].at,
            .st_size = symbols[i].bytes,
        };
        length += bytes;
    }
    return length;
}

static void sections_put(struct file *file, const struct symbol symbols[SYMBOLS], size_t names_bytes)
{
    const char *begin = symbols[0].at, *end = begin + symbols[0].bytes;
    for (int i = 1; i < SYMBOLS; i++) {
        if (symbols[i].at < begin) begin = symbols[i].at;
        if (symbols[i].at + symbols[i].bytes > end) end = symbols[i].at + symbols[i].bytes;
    }
    file->sections[SECTION_TEXT] = (Elf64_Shdr){
        .sh_name = NAME_TEXT,
        .sh_type = SHT_NOBITS, /* the code is where it is, not in the file */
        .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
        .sh_addr = (uintptr_t)begin,
        .sh_size = (size_t)(end - begin),
        .sh_addralign = 1,
    };
    file->sections[SECTION_SYMBOLS] = (Elf64_Shdr){
        .sh_name = NAME_SYMBOLS,
        .sh_type = SHT_SYMTAB,
        .sh_offset = offsetof(struct file, symbols),
        .sh_size = sizeof file->symbols,
        .sh_link = SECTION_NAMES,
        .sh_info = 1, /* the first global one */
        .sh_addralign = sizeof(uint64_t),
        .sh_entsize = sizeof(Elf64_Sym),
    };
    file->sections[SECTION_NAMES] = (Elf64_Shdr){
        .sh_name = NAME_NAMES,
        .sh_type = SHT_STRTAB,
        .sh_offset = offsetof(struct file, names),
        .sh_size = names_bytes,
        .sh_addralign = 1,
    };
}

/* ---- the list ---- */

/* With the lock held. */
static void tell(enum jit_action action, struct jit_code_entry *entry)
{
    __jit_debug_descriptor.action = action;
    __jit_debug_descriptor.relevant = entry;
    __jit_debug_register_code();
}

struct gdb_code *gdb_add(const struct symbol symbols[SYMBOLS])
{
    size_t room = sizeof section_names;
    for (int i = 0; i < SYMBOLS; i++) room += strlen(symbols[i].name) + 1;
    struct gdb_code *code = calloc(1, sizeof *code + room);
    if (!code) return NULL;
    code->file.head = file_head();
    sections_put(&code->file, symbols, names_put(&code->file, symbols));
    code->entry.file = (const char *)&code->file;
    code->entry.file_bytes = sizeof code->file + room;
    pthread_mutex_lock(&lock);
    code->entry.next = __jit_debug_descriptor.first;
    if (code->entry.next) code->entry.next->previous = &code->entry;
    __jit_debug_descriptor.first = &code->entry;
    tell(JIT_REGISTER, &code->entry);
    pthread_mutex_unlock(&lock);
    return code;
}

void gdb_remove(struct gdb_code *code)
{
    if (!code) return;
    struct jit_code_entry *e = &code->entry;
    pthread_mutex_lock(&lock);
    if (e->next) e->next->previous = e->previous;
    if (e->previous)
        e->previous->next = e->next;
    else
        __jit_debug_descriptor.first = e->next;
    tell(JIT_UNREGISTER, e);
    pthread_mutex_unlock(&lock);
    free(code);
}
