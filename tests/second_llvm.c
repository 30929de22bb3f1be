/* Kiln in a process that has an LLVM of its own, of another version and with its names open to all: neither
 * harms the other, whichever is there first. Linked with the shared library alone, since a program linked
 * with LLVM itself would show nothing.
 *
 *   second_llvm before|after      the other LLVM is loaded before Kiln compiles, or after
 *
 * Exit status 77: there is no other LLVM on this machine. */
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kiln.h"

enum { UNABLE = 77 };

/* ---- the other one ---- */

/* What is used of it: the same C functions, of whatever version. Opaque pointers are all alike here. */
static struct {
    void *(*context_create)(void);
    void (*context_dispose)(void *context);
    void *(*buffer_copy)(const char *bytes, size_t count, const char *name);
    int (*parse)(void *context, void *buffer, void **module, char **message);
    void (*module_dispose)(void *module);
    int (*target_find)(const char *triple, void **target, char **message);
    void *(*machine_create)(void *target, const char *triple, const char *cpu, const char *features,
                            int level, int reloc, int model);
    void (*machine_dispose)(void *machine);
    int (*emit)(void *machine, void *module, int type, char **message, void **object);
    const char *(*buffer_start)(void *buffer);
    void (*buffer_dispose)(void *buffer);
} other;

#if defined __x86_64__
#define TARGET "X86"
static const char triple[] = "x86_64-unknown-linux-gnu";
#else
#define TARGET "AArch64"
static const char triple[] = "aarch64-unknown-linux-gnu";
#endif

static void *find(void *library, const char *name)
{
    void *symbol = dlsym(library, name);
    if (symbol) return symbol;
    fprintf(stderr, "the other LLVM lacks %s\n", name);
    exit(1);
}

static void function_get(void *to, void *library, const char *name)
{
    void *symbol = find(library, name);
    memcpy(to, &symbol, sizeof symbol); /* ISO C does not let it be cast */
}

/* Loads it with its names seen by everything that is loaded later. */
static void other_open(void)
{
    static const char *const names[] = {"libLLVM-14.so.1", "libLLVM-15.so.1", "libLLVM-16.so.1",
                                        "libLLVM-17.so.1", "libLLVM.so.18.1", "libLLVM.so.20.1"};
    static const char *const starts[] = {"LLVMInitialize" TARGET "TargetInfo",
                                         "LLVMInitialize" TARGET "Target", "LLVMInitialize" TARGET "TargetMC",
                                         "LLVMInitialize" TARGET "AsmPrinter"};
    void *l = NULL;
    for (size_t i = 0; !l && i < sizeof names / sizeof *names; i++) {
        l = dlopen(names[i], RTLD_NOW | RTLD_GLOBAL);
        if (l) printf("beside %s\n", names[i]);
    }
    if (!l) {
        fputs("SKIPPED: there is no second LLVM here; on Debian, libllvm14, 15 or 16 is one\n", stderr);
        exit(UNABLE);
    }
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        void (*start)(void);
        function_get(&start, l, starts[i]);
        start();
    }
    function_get(&other.context_create, l, "LLVMContextCreate");
    function_get(&other.context_dispose, l, "LLVMContextDispose");
    function_get(&other.buffer_copy, l, "LLVMCreateMemoryBufferWithMemoryRangeCopy");
    function_get(&other.parse, l, "LLVMParseIRInContext");
    function_get(&other.module_dispose, l, "LLVMDisposeModule");
    function_get(&other.target_find, l, "LLVMGetTargetFromTriple");
    function_get(&other.machine_create, l, "LLVMCreateTargetMachine");
    function_get(&other.machine_dispose, l, "LLVMDisposeTargetMachine");
    function_get(&other.emit, l, "LLVMTargetMachineEmitToMemoryBuffer");
    function_get(&other.buffer_start, l, "LLVMGetBufferStart");
    function_get(&other.buffer_dispose, l, "LLVMDisposeMemoryBuffer");
}

/* Has it compile something. */
static void other_use(void)
{
    static const char ir[] = "define i32 @twice(i32 %x) {\n  %y = add i32 %x, %x\n  ret i32 %y\n}\n";
    void *context = other.context_create(), *module, *target, *object;
    char *message = NULL;
    bool good = !other.parse(context, other.buffer_copy(ir, sizeof ir - 1, "ir"), &module, &message) &&
                !other.target_find(triple, &target, &message);
    void *machine = good ? other.machine_create(target, triple, "", "", 1, 0, 0) : NULL;
    good = machine && !other.emit(machine, module, 1, &message, &object);
    good = good && !memcmp(other.buffer_start(object), "\177ELF", 4);
    if (!good) {
        fprintf(stderr, "the other LLVM failed: %s\n", message ? message : "no reason given");
        exit(1);
    }
    other.buffer_dispose(object);
    other.machine_dispose(machine);
    other.module_dispose(module);
    other.context_dispose(context);
}

/* ---- Kiln ---- */

static struct kiln_error error;

static void works(enum kiln_status status)
{
    if (!status) return;
    fprintf(stderr, "%s: %s\n", kiln_status_name(status), error.text);
    exit(1);
}

/* Compiles a convolution and compares what it computes with the oracle. */
static void kiln_use(struct kiln *k, const char *text)
{
    enum { FLOATS = 8192 };
    static float src[FLOATS], weights[FLOATS], want[FLOATS], got[FLOATS];
    static _Alignas(64) float packed[4 * FLOATS];
    struct kiln_conv conv;
    struct kiln_plan *plan;
    for (int i = 0; i < FLOATS; i++) src[i] = (float)(i % 7 - 3), weights[i] = (float)(i % 5 - 2);
    struct kiln_args args = {.src = src, .weights = packed, .dst = got};
    works(kiln_conv_parse(&conv, text, &error));
    works(kiln_compile(k, &conv, NULL, &plan, &error));
    if (kiln_plan_packed_size(plan) > sizeof packed) exit(1);
    works(kiln_pack(plan, weights, packed, &error));
    works(kiln_run(plan, &args, &error));
    args.dst = want;
    works(kiln_interpret(&conv, weights, &args, &error));
    for (int i = 0; i < FLOATS; i++) {
        if (fabsf(got[i] - want[i]) < 0.01f) continue;
        fprintf(stderr, "%s: dst[%d] is %f, not %f\n", text, i, (double)got[i], (double)want[i]);
        exit(1);
    }
    kiln_plan_release(plan);
}

/* That nobody else meets the LLVM that Kiln has opened. */
static void ours_hidden(void)
{
#ifndef KILN_STATIC_GENERATOR
    if (!dlsym(RTLD_DEFAULT, "LLVMContextCreate")) return;
    fputs("Kiln's LLVM is seen by all\n", stderr);
    exit(1);
#endif
}

/* That what was to be shown could have happened: two of them are mapped. */
static void both_mapped(void)
{
    char line[512], first[512] = "";
    bool two = false;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof line, maps)) {
        const char *name = strstr(line, "libLLVM");
        if (!name) continue;
        if (!*first) memcpy(first, name, strlen(name) + 1);
        two |= strcmp(first, name) != 0;
    }
    if (maps) fclose(maps);
    if (two) return;
    fputs("there are not two LLVMs in this process\n", stderr);
    exit(1);
}

int main(int argc, char **argv)
{
    const struct kiln_config config = {.size = sizeof config, .cache = KILN_CACHE_OFF};
    struct kiln *k;
    bool before = argc > 1 && !strcmp(argv[1], "before");
    if (before) other_open();
    if (before) other_use();
    works(kiln_create(&k, &config, &error));
    kiln_use(k, "conv ic16 ih9 iw9 oc16 kh3 kw3 ph1 pw1 f32 nhwc");
    if (!before) ours_hidden(), other_open();
    other_use();
    kiln_use(k, "conv ic8 ih9 iw9 oc8 kh3 kw3 f32 nchw +relu");
    other_use();
    both_mapped();
    kiln_destroy(k);
    return 0;
}
