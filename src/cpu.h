/* cpu: one machine as data. ISA level, lanes, registers, caches, feature string; knows nothing of
 * convolutions. Features come from CPUID or HWCAP, never from a CPU's name. */
#ifndef KILN_SRC_CPU_H
#define KILN_SRC_CPU_H

#include "kiln.h"

#include "text.h"

enum arch { ARCH_X86_64, ARCH_AARCH64 };

/* ISA levels, each including those above it of the same architecture. */
enum isa { ISA_SSE2, ISA_AVX2, ISA_AVX512, ISA_VNNI, ISA_AVX512_BF16, ISA_AMX, ISA_NEON };

struct cpu {
    enum arch arch;
    enum isa isa;
    int lanes;           /* f32 in the widest vector */
    int registers;       /* vector registers */
    bool fma;            /* fused multiply-add hardware */
    bool masks;          /* masked loads and stores of f32 that do not fault on masked lanes */
    int fma_per_cycle;   /* widest-vector FMAs that can start in one cycle, as the planner believes */
    int load_per_cycle;  /* widest-vector loads, likewise */
    int l3_per_cycle;    /* bytes that stream from the last cache in one cycle, likewise */
    int64_t l1d, l2, l3; /* bytes of one core's data caches; l3 shared */
    char tune[32];       /* LLVM tuning CPU, derived from the features */
    char features[512];  /* LLVM feature string, explicit and complete: "+avx2,+fma,..." */
    const char *capped;  /* what lowered its level, for messages; NULL: nothing did. No part of its text */
};

/* This machine, at its highest level. */
void cpu_host(struct cpu *cpu);
const char *cpu_host_arch(void); /* "x86_64" or "aarch64" */

/* A machine of arch "x86_64" or "aarch64", or a GNU triple of Linux on it, at the level named, or at its
 * highest if isa is NULL, with typical caches: what --target compiles for. INVALID: an unknown name, or one
 * of another arch. */
enum kiln_status cpu_target(struct cpu *cpu, const char *arch, const char *isa, struct kiln_error *error);

/* Puts a C expression that is true on a machine, asked at run time, that has all that code of this level
 * needs: "cpu_saves(0x6) && cpu_has(0x7, 0, 1, 0x20)", of bits of XCR0, and bits of a register (enum
 * probe_register) of a leaf of CPUID; "1" where nothing need be asked. */
void cpu_put_test(struct text *t, enum isa isa);

/* Lowers cpu to the level named, which may be NULL: no change. `by`, a literal, is what asks for it, such as
 * "KILN_ISA". INVALID: an unknown name, the text lists them. UNSUPPORTED: a level that cpu does not have. */
enum kiln_status cpu_cap(struct cpu *cpu, const char *isa, const char *by, struct kiln_error *error);

/* One line of text and back: "x86_64 avx512 l1d=32768 l2=... l3=... tune=znver4 features=+sse2,...";
 * part of a kernel's key. Returns the length, as snprintf. */
enum { MACHINE_TEXT_MAX = 1024 }; /* bytes of it at most, since struct cpu bounds its parts */
size_t cpu_print(const struct cpu *cpu, char *text, size_t room);
enum kiln_status cpu_parse(struct cpu *cpu, const char *text, struct kiln_error *error);

const char *isa_name(enum isa isa);
bool isa_find(const char *name, size_t length, enum isa *isa); /* false: there is no such level */

/* The level that plan lines name: f32 code uses nothing of what the levels above avx512 add, so that its
 * plans serve them all. */
enum isa isa_code(enum isa isa);

#endif
