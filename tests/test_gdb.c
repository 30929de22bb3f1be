/* What debuggers are told of kernels: KILN_DEBUG=gdb. The list and its files are read as gdb reads them;
 * where there is a gdb, it is asked as well. */
#include "api.h"

#include <elf.h>
#include <pthread.h>
#include <stdio.h>

#include "shell.h"

/* As gdb's manual has them. */
struct jit_code_entry {
    struct jit_code_entry *next_entry, *prev_entry;
    const char *symfile_addr;
    uint64_t symfile_size;
};

extern struct {
    uint32_t version, action_flag;
    struct jit_code_entry *relevant_entry, *first_entry;
} __jit_debug_descriptor __attribute__((visibility("hidden")));

enum { JIT_REGISTER = 1, JIT_UNREGISTER };

static int list_count(void)
{
    int count = 0;
    const struct jit_code_entry *before = NULL;
    for (const struct jit_code_entry *e = __jit_debug_descriptor.first_entry; e; e = e->next_entry) {
        cr_assert_eq(e->prev_entry, before);
        before = e;
        count++;
    }
    return count;
}

/* A part of a file, which must lie within it. */
static const void *part(const struct jit_code_entry *e, uint64_t offset, uint64_t bytes)
{
    cr_assert(offset <= e->symfile_size && bytes <= e->symfile_size - offset);
    return e->symfile_addr + offset;
}

static const char *name_at(const struct jit_code_entry *e, const Elf64_Shdr *names, uint32_t offset)
{
    cr_assert_lt(offset, names->sh_size);
    const char *all = part(e, names->sh_offset, names->sh_size);
    cr_assert_eq(all[names->sh_size - 1], '\0', "the last name ends");
    return all + offset;
}

/* The section of a name. */
static const Elf64_Shdr *section(const struct jit_code_entry *e, const char *name, uint32_t type)
{
    const Elf64_Ehdr *h = part(e, 0, sizeof *h);
    const Elf64_Shdr *s = part(e, h->e_shoff, (uint64_t)h->e_shnum * sizeof *s);
    int i = 1;
    while (i < h->e_shnum && strcmp(name_at(e, &s[h->e_shstrndx], s[i].sh_name), name) != 0) i++;
    cr_assert_lt(i, h->e_shnum, "no section %s", name);
    cr_assert_eq(s[i].sh_type, type, "%s", name);
    return &s[i];
}

static void head_expect(const struct jit_code_entry *e)
{
    const Elf64_Ehdr *h = part(e, 0, sizeof *h);
    const Elf64_Shdr *s = part(e, h->e_shoff, (uint64_t)h->e_shnum * sizeof *s);
    cr_assert_arr_eq(h->e_ident, ELFMAG, SELFMAG);
    cr_assert_eq(h->e_ident[EI_CLASS], ELFCLASS64);
    cr_assert_eq(h->e_ident[EI_DATA], ELFDATA2LSB);
    cr_assert_eq(h->e_ident[EI_VERSION], EV_CURRENT);
#if defined __x86_64__
    cr_assert_eq(h->e_machine, EM_X86_64);
#else
    cr_assert_eq(h->e_machine, EM_AARCH64);
#endif
    cr_assert_eq(h->e_type, ET_EXEC);
    cr_assert_eq(h->e_version, EV_CURRENT);
    cr_assert_eq(h->e_ehsize, sizeof *h);
    cr_assert_eq(h->e_shentsize, sizeof *s);
    cr_assert_eq(h->e_phnum, 0);
    cr_assert_eq(s[0].sh_type, SHT_NULL);
    cr_assert_lt(h->e_shstrndx, h->e_shnum);
}

/* The i-th symbol is the function, and lies within .text. */
static void symbol_expect(const struct jit_code_entry *e, int i, const char *name, const void *function)
{
    const Elf64_Ehdr *h = part(e, 0, sizeof *h);
    const Elf64_Shdr *sections = part(e, h->e_shoff, sizeof *sections);
    const Elf64_Shdr *text = section(e, ".text", SHT_NOBITS), *names = section(e, ".strtab", SHT_STRTAB);
    const Elf64_Shdr *table = section(e, ".symtab", SHT_SYMTAB);
    const Elf64_Sym *y = part(e, table->sh_offset, table->sh_size);
    uint64_t at;
    memcpy(&at, function, sizeof at);
    cr_assert_eq(table->sh_size, 3 * sizeof *y);
    cr_assert_eq(table->sh_entsize, sizeof *y);
    cr_assert_eq(&sections[table->sh_link], names);
    cr_assert_eq(table->sh_info, 1, "the first global symbol");
    cr_assert_eq(text->sh_flags, SHF_ALLOC | SHF_EXECINSTR);
    cr_assert_str_eq(name_at(e, names, y[i].st_name), name);
    cr_assert_eq(y[i].st_info, ELF64_ST_INFO(STB_GLOBAL, STT_FUNC));
    cr_assert_eq(&sections[y[i].st_shndx], text);
    cr_assert_eq(y[i].st_value, at);
    cr_assert(y[i].st_size > 0 && at >= text->sh_addr && at + y[i].st_size <= text->sh_addr + text->sh_size);
}

Test(gdb, is_told_of_a_kernel_as_long_as_it_is_there)
{
    struct kiln *k = context_with((struct kiln_config){.isa = "sse2", .debug = "gdb"});
    cr_assert_eq(__jit_debug_descriptor.version, 1);
    cr_assert_eq(list_count(), 0);
    struct kiln_plan *plan = plan_of(k, SMALL, NULL);
    const struct jit_code_entry *e = __jit_debug_descriptor.first_entry;
    cr_assert_eq(list_count(), 1);
    cr_assert_eq(__jit_debug_descriptor.action_flag, JIT_REGISTER);
    cr_assert_eq(__jit_debug_descriptor.relevant_entry, e);
    kiln_kernel *run = kiln_plan_kernel(plan);
    kiln_packer *pack = kiln_plan_packer(plan);
    head_expect(e);
    symbol_expect(e, 1, "kiln run " SMALL " | fake | sse2", &run);
    symbol_expect(e, 2, "kiln pack " SMALL " | fake | sse2", &pack);

    kiln_plan_release(plan_of(k, SMALL " +relu", NULL));
    kiln_plan_release(plan_of(k, SMALL " +bias", NULL));
    cr_assert_eq(list_count(), 3);
    kiln_destroy(k);
    cr_assert_eq(list_count(), 1, "the plan keeps its kernel");
    cr_assert_eq(__jit_debug_descriptor.first_entry, e);
    kiln_plan_release(plan);
    cr_assert_eq(list_count(), 0);
    cr_assert_eq(__jit_debug_descriptor.action_flag, JIT_UNREGISTER);
}

Test(gdb, is_told_nothing_unless_asked)
{
    struct kiln *k = context_with((struct kiln_config){.debug = "wisdom"});
    kiln_plan_release(plan_of(k, SMALL, NULL));
    cr_assert_eq(list_count(), 0);
    kiln_destroy(k);
}

enum { THREADS = 8, TIMES = 200 };

static void *add_and_remove(void *user)
{
    (void)user;
    struct kiln *k = context_with((struct kiln_config){.debug = "gdb", .cache_bytes = 1});
    for (int i = 0; i < TIMES; i++) kiln_plan_release(plan_of(k, SMALL, NULL));
    kiln_destroy(k);
    return NULL;
}

Test(gdb, threads_share_one_list)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, add_and_remove, NULL);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    cr_assert_eq(list_count(), 0);
}

/* ---- gdb itself; the plan is for x86-64 ---- */

#if defined __x86_64__
#define PLAN SMALL " | lanewise by=px ow=2 unroll=kw | sse2"

Test(gdb, names_what_it_stops_in, .timeout = 120)
{
    static const char line[] =
        "KILN_DEBUG=gdb gdb -nx -batch -ex 'set breakpoint pending on' "
        "-ex 'break -function \"kiln run " PLAN "\"' -ex run -ex 'info symbol $pc' -ex kill "
        "--args \"$KILN\" check '" PLAN "'";
    if (shell(
            "gdb --version && gdb -nx -batch -ex starti -ex kill --args /bin/true | grep 'Program stopped'"))
        cr_skip_test("there is no gdb, or it may not trace");
    shell(line);
    cr_assert(strstr(wrote, "in kiln run " PLAN " ()"), "%s", wrote);
    cr_assert(strstr(wrote, "\nkiln run " PLAN " in section .text of "), "%s", wrote);
}

#endif
