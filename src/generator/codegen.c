/* The target machine is made once per compiling thread and target, and kept: it costs 0.5 ms. */
#include "codegen.h"

#include "status.h"

#include <llvm/Config/llvm-config.h>

#include <llvm-c/Analysis.h>
#include <llvm-c/Target.h>
#include <llvm-c/TargetMachine.h>
#include <llvm-c/Transforms/PassBuilder.h>

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Accumulators and pointers in slots become registers, and repeated address arithmetic is shared; more
 * passes cost time and win nothing on code that is already vectorised. */
static const char passes[] = "function(mem2reg,early-cse)";

struct target {
    const char *triple, *cpu; /* the baseline: features say the rest, the function's tune-cpu how to tune */
};
static const struct target targets[] = {
    [ARCH_X86_64] = {"x86_64-unknown-linux-gnu", "x86-64"},
    [ARCH_AARCH64] = {"aarch64-unknown-linux-gnu", "generic"},
};

static void initialize(void)
{
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeX86AsmParser(); /* inline assembly */
    LLVMInitializeAArch64TargetInfo();
    LLVMInitializeAArch64Target();
    LLVMInitializeAArch64TargetMC();
    LLVMInitializeAArch64AsmPrinter();
    LLVMInitializeAArch64AsmParser();
}

/* ---- one target machine per thread ---- */

struct machine {
    char features[sizeof((struct cpu *)0)->features];
    enum arch arch;
    LLVMTargetMachineRef tm;
};

static pthread_key_t machine_key;
static bool machine_keyed; /* the system had a key left */
static bool llvm_whole;    /* see below */
static char llvm_version[32];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void machine_free(void *p)
{
    struct machine *m = p;
    if (m->tm) LLVMDisposeTargetMachine(m->tm);
    free(m);
}

typedef void any_function(void);

/* The file that holds a function, and where it is loaded; NULL: not known. */
static const void *file_of(any_function *function, const char **name)
{
    Dl_info info;
    void *address;
    memcpy(&address, &function, sizeof address); /* ISO C does not let it be cast */
    if (!dladdr(address, &info)) return NULL;
    *name = info.dli_fname;
    return info.dli_fbase;
}

/* Whether what is called is one LLVM. Names that a program exports, such as those of an LLVM linked into it,
 * come before those of all libraries that are opened later. */
static bool all_of_one_file(void)
{
    static any_function *const called[] = {
        (any_function *)LLVMGetVersion, (any_function *)LLVMContextCreate,
        (any_function *)LLVMBuildAdd,   (any_function *)LLVMInitializeX86Target,
        (any_function *)LLVMRunPasses,  (any_function *)LLVMTargetMachineEmitToMemoryBuffer};
    const char *name;
    const void *file = file_of(called[0], &name);
    for (size_t i = 1; i < sizeof called / sizeof *called; i++)
        if (file_of(called[i], &name) != file) return false;
    return true;
}

static void begin(void)
{
    unsigned major, minor, patch;
    LLVMGetVersion(&major, &minor, &patch);
    snprintf(llvm_version, sizeof llvm_version, "%u.%u.%u", major, minor, patch);
    llvm_whole = major == LLVM_VERSION_MAJOR && all_of_one_file();
    if (llvm_whole) initialize();
    machine_keyed = !pthread_key_create(&machine_key, machine_free);
}

const char *codegen_llvm_version(void)
{
    pthread_once(&once, begin);
    return llvm_version;
}

const char *codegen_llvm_file(void)
{
    const char *name;
    return file_of((any_function *)LLVMGetVersion, &name) && name[0] == '/' ? name : NULL;
}

enum kiln_status codegen_begin(struct kiln_error *error)
{
    pthread_once(&once, begin);
    if (llvm_whole) return KILN_STATUS_OK;
    return fail(
        error, KILN_STATUS_SYSTEM,
        "another LLVM hides the LLVM %d that Kiln needs: this program, or a library that it was started "
        "with, exports LLVM's names; link it without --export-dynamic, or hide them",
        LLVM_VERSION_MAJOR);
}

static enum kiln_status machine_make(LLVMTargetMachineRef *tm, const struct cpu *cpu,
                                     struct kiln_error *error)
{
    const struct target *t = &targets[cpu->arch];
    LLVMTargetRef target;
    char *message = NULL;
    if (LLVMGetTargetFromTriple(t->triple, &target, &message)) {
        fail(error, KILN_STATUS_UNSUPPORTED, "this LLVM has no target %s: %s", t->triple, message);
        LLVMDisposeMessage(message);
        return KILN_STATUS_UNSUPPORTED;
    }
    *tm = LLVMCreateTargetMachine(target, t->triple, t->cpu, cpu->features, LLVMCodeGenLevelLess,
                                  LLVMRelocPIC, LLVMCodeModelDefault);
    if (*tm) return KILN_STATUS_OK;
    return fail(error, KILN_STATUS_INTERNAL, "LLVM made no target machine for %s %s", t->triple,
                cpu->features);
}

/* This thread's machine for cpu, made anew if the last was for another. */
static enum kiln_status machine_get(LLVMTargetMachineRef *tm, const struct cpu *cpu, struct kiln_error *error)
{
    struct machine *m = machine_keyed ? pthread_getspecific(machine_key) : NULL;
    if (!m) {
        m = calloc(1, sizeof *m);
        if (!m || !machine_keyed || pthread_setspecific(machine_key, m)) {
            free(m);
            return fail(error, KILN_STATUS_MEMORY, "no memory for a target machine");
        }
    }
    enum kiln_status status = KILN_STATUS_OK;
    if (!m->tm || m->arch != cpu->arch || strcmp(m->features, cpu->features) != 0) {
        if (m->tm) LLVMDisposeTargetMachine(m->tm);
        m->tm = NULL;
        m->arch = cpu->arch;
        memcpy(m->features, cpu->features, sizeof m->features);
        status = machine_make(&m->tm, cpu, error);
    }
    *tm = m->tm;
    return status;
}

/* ---- stages ---- */

enum kiln_status codegen_verify(struct emit *e, struct kiln_error *error)
{
    enum kiln_status status = KILN_STATUS_OK;
    if (e->open) return fail(error, KILN_STATUS_INTERNAL, "%d loops were left open by an emitter", e->open);
#ifndef NDEBUG /* 1 % of a compilation; tests run with assertions too */
    char *message = NULL;
    if (LLVMVerifyModule(e->module, LLVMReturnStatusAction, &message))
        status = fail(error, KILN_STATUS_INTERNAL, "the emitted module does not verify: %s", message);
    LLVMDisposeMessage(message);
#endif
    return status;
}

enum kiln_status codegen_passes(struct emit *e, struct kiln_error *error)
{
    LLVMTargetMachineRef tm;
    enum kiln_status status = machine_get(&tm, e->cpu, error);
    if (status) return status;
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(tm);
    LLVMSetModuleDataLayout(e->module, layout);
    LLVMDisposeTargetData(layout);
    LLVMSetTarget(e->module, targets[e->cpu->arch].triple);
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMErrorRef failed = LLVMRunPasses(e->module, passes, tm, options);
    LLVMDisposePassBuilderOptions(options);
    if (!failed) return KILN_STATUS_OK;
    char *message = LLVMGetErrorMessage(failed);
    status = fail(error, KILN_STATUS_INTERNAL, "LLVM's passes failed: %s", message);
    LLVMDisposeErrorMessage(message);
    return status;
}

enum kiln_status codegen_object(struct emit *e, bool assembly, LLVMMemoryBufferRef *out,
                                struct kiln_error *error)
{
    LLVMTargetMachineRef tm;
    enum kiln_status status = machine_get(&tm, e->cpu, error);
    if (status) return status;
    char *message = NULL;
    LLVMCodeGenFileType type = assembly ? LLVMAssemblyFile : LLVMObjectFile;
    if (!LLVMTargetMachineEmitToMemoryBuffer(tm, e->module, type, &message, out)) {
        if (!e->defect[0]) return KILN_STATUS_OK;
        LLVMDisposeMemoryBuffer(*out);
        return fail(error, KILN_STATUS_INTERNAL, "LLVM refused the code: %s", e->defect);
    }
    status = fail(error, KILN_STATUS_INTERNAL, "LLVM made no code: %s", message);
    LLVMDisposeMessage(message);
    return status;
}
