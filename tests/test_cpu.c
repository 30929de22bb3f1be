/* cpu: levels, caps, targets and the text form. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "cpu.h"
#include "probe.h"

static struct kiln_error error;

static void prints_and_reads(const struct cpu *cpu)
{
    char once[1024], twice[1024];
    struct cpu back;
    cr_assert_lt(cpu_print(cpu, once, sizeof once), sizeof once);
    cr_assert_eq(cpu_parse(&back, once, &error), KILN_STATUS_OK, "%s", error.text);
    cpu_print(&back, twice, sizeof twice);
    cr_assert_str_eq(once, twice);
    cr_assert_eq(back.arch, cpu->arch);
    cr_assert_eq(back.isa, cpu->isa);
    cr_assert_eq(back.lanes, cpu->lanes);
    cr_assert_eq(back.registers, cpu->registers);
    cr_assert_eq(back.fma, cpu->fma);
    cr_assert_eq(back.masks, cpu->masks);
    cr_assert_eq(back.fma_per_cycle, cpu->fma_per_cycle);
    cr_assert_eq(back.load_per_cycle, cpu->load_per_cycle);
    cr_assert_eq(back.l3_per_cycle, cpu->l3_per_cycle);
    cr_assert_eq(back.l1d, cpu->l1d);
    cr_assert_eq(back.l2, cpu->l2);
    cr_assert_eq(back.l3, cpu->l3);
    cr_assert_str_eq(back.tune, cpu->tune);
    cr_assert_str_eq(back.features, cpu->features);
}

Test(cpu, host_is_sane)
{
    struct cpu cpu;
    cpu_host(&cpu);
    cr_assert_geq(cpu.lanes, 4);
    cr_assert_geq(cpu.registers, 16);
    cr_assert_geq(cpu.fma_per_cycle, 1);
    cr_assert_geq(cpu.load_per_cycle, 1);
    cr_assert(cpu.l1d >= 8 << 10 && cpu.l1d <= 1 << 20);
    cr_assert_geq(cpu.l2, cpu.l1d);
    cr_assert_geq(cpu.l3, cpu.l2);
    cr_assert_eq(cpu.features[0], '+');
    prints_and_reads(&cpu);
}

#ifdef __x86_64__
/* The compiler's own reading of CPUID, as a second witness. */
Test(cpu, host_agrees_with_the_compiler)
{
    struct cpu cpu;
    cpu_host(&cpu);
    __builtin_cpu_init();
    bool avx2 =
        __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
    bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                  __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
    cr_assert_eq(cpu.isa >= ISA_AVX2, avx2);
    cr_assert_eq(cpu.isa >= ISA_AVX512, avx512);
}

/* What was asked before, more than is remembered of it, changes no answer. */
Test(cpu, probes_answer_the_same_again)
{
    static const uint32_t leaves[] = {1, 7, 0xd, 0x80000001, 0x80000008, 0x7fffffff, 0xffffffff};
    enum { LEAVES = sizeof leaves / sizeof *leaves, SUBLEAVES = 6, QUESTIONS = LEAVES * SUBLEAVES * 128 };
    struct probe old = {0};
    for (int i = 0; i < 2 * QUESTIONS; i++) {
        struct probe new = {0};
        int q = i * 1021 % QUESTIONS; /* each in turn, 1021 being prime, and no two like ones in a row */
        struct probe_bit where = {leaves[q % LEAVES], (uint32_t)(q / LEAVES % SUBLEAVES),
                                  (enum probe_register)(q / LEAVES / SUBLEAVES / 32),
                                  q / LEAVES / SUBLEAVES % 32};
        bool apic = where.leaf == 1 && where.reg == PROBE_EBX; /* which core asks: that may change */
        cr_assert(apic || probe_feature(&old, where) == probe_feature(&new, where), "question %d", q);
    }
}
#endif

Test(cpu, every_target)
{
    static const struct {
        const char *arch, *isa;
        int lanes, registers;
        bool fma, masks;
        const char *tune, *has, *lacks;
    } rows[] = {
        {"x86_64", "sse2", 4, 16, false, false, "x86-64", "+sse2", "+avx"},
        {"x86_64", "avx2", 8, 16, true, true, "alderlake", "+fma", "+avx512f"},
        {"x86_64", "avx512", 16, 32, true, true, "sapphirerapids", "+avx512vl", "+avx512vnni"},
        {"x86_64", "vnni", 16, 32, true, true, "sapphirerapids", "+avx512vnni", "+avx512bf16"},
        {"x86_64", "avx512_bf16", 16, 32, true, true, "sapphirerapids", "+avx512bf16", "+amx-tile"},
        {"x86_64", "amx", 16, 32, true, true, "sapphirerapids", "+amx-int8", "+neon"},
        {"aarch64", "neon", 4, 32, true, false, "neoverse-n1", "+neon", "+sse2"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cpu cpu;
        cr_assert_eq(cpu_target(&cpu, rows[i].arch, rows[i].isa, &error), KILN_STATUS_OK, "%s", error.text);
        cr_assert_str_eq(isa_name(cpu.isa), rows[i].isa);
        cr_assert_eq(cpu.lanes, rows[i].lanes);
        cr_assert_eq(cpu.registers, rows[i].registers);
        cr_assert_eq(cpu.fma, rows[i].fma);
        cr_assert_eq(cpu.masks, rows[i].masks);
        cr_assert_str_eq(cpu.tune, rows[i].tune);
        cr_assert(strstr(cpu.features, rows[i].has), "%s lacks %s", rows[i].isa, rows[i].has);
        cr_assert_not(strstr(cpu.features, rows[i].lacks), "%s has %s", rows[i].isa, rows[i].lacks);
        cr_assert_eq(cpu.l1d, 32 << 10);
        cr_assert_eq(cpu.l2, 1 << 20);
        cr_assert_eq(cpu.l3, 16 << 20);
        prints_and_reads(&cpu);
    }
}

Test(cpu, target_without_a_level_is_the_highest)
{
    struct cpu cpu;
    cr_assert_eq(cpu_target(&cpu, "x86_64", NULL, &error), KILN_STATUS_OK);
    cr_assert_eq(cpu.isa, ISA_AMX);
    cr_assert_eq(cpu_target(&cpu, "aarch64", NULL, &error), KILN_STATUS_OK);
    cr_assert_eq(cpu.isa, ISA_NEON);
}

Test(cpu, target_refuses)
{
    static const char *const rows[][3] = {
        {"x86_64", "neon", "isa is \"neon\""},
        {"aarch64", "avx2", "must be one of neon"},
        {"riscv64", NULL, "target is \"riscv64\""},
        {"x86_64", "", "isa is \"\""},
        {"x86_64", "AVX2", "sse2, avx2, avx512, vnni, avx512_bf16, amx"},
        {"", "avx2", "target is \"\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cpu cpu = {.lanes = 77};
        cr_assert_eq(cpu_target(&cpu, rows[i][0], rows[i][1], &error), KILN_STATUS_INVALID);
        cr_assert(strstr(error.text, rows[i][2]), "%s", error.text);
        cr_assert_eq(cpu.lanes, 77, "a failure changed its output");
    }
}

Test(cpu, caps_lower_and_keep_what_remains)
{
    struct cpu cpu;
    cr_assert_eq(
        cpu_parse(&cpu,
                  "x86_64 avx512_bf16 fma_per_cycle=1 load_per_cycle=1 l3_per_cycle=24 l1d=49152 l2=2097152 "
                  "l3=9999999 "
                  "tune=sapphirerapids "
                  "features=+sse2,+sse4.2,+avx,+avx2,+fma,+f16c,+bmi,+bmi2,+lzcnt,+popcnt,+vaes,"
                  "+avx512f,+avx512cd,+avx512vl,+avx512bw,+avx512dq,+avx512vbmi2,+avx512vnni,+avx512bf16",
                  &error),
        KILN_STATUS_OK, "%s", error.text);
    cr_assert_eq(cpu_cap(&cpu, NULL, "isa", &error), KILN_STATUS_OK);
    cr_assert_eq(cpu.isa, ISA_AVX512_BF16);
    cr_assert_eq(cpu_cap(&cpu, "avx512", "isa", &error), KILN_STATUS_OK);
    cr_assert_eq(cpu.fma_per_cycle, 1, "vectors as wide as before: the same core");
    cr_assert_str_eq(cpu.tune, "sapphirerapids");
    cr_assert_not(strstr(cpu.features, "bf16"));
    cr_assert_eq(cpu_cap(&cpu, "avx2", "a test", &error), KILN_STATUS_OK);
    cr_assert_eq(cpu.lanes, 8);
    cr_assert_eq(cpu.fma_per_cycle, 2);
    cr_assert_str_eq(cpu.tune, "alderlake");
    cr_assert_eq(cpu.l2, 2097152);
    cr_assert_not(strstr(cpu.features, "avx512"));
    prints_and_reads(&cpu);
    cr_assert_eq(cpu_cap(&cpu, "avx512", "isa", &error), KILN_STATUS_UNSUPPORTED);
    cr_assert_str_eq(error.text, "isa is \"avx512\": a test allows at most avx2");
    cr_assert_eq(cpu_cap(&cpu, "neon", "isa", &error), KILN_STATUS_INVALID);
    cr_assert_eq(cpu_cap(&cpu, "fast", "isa", &error), KILN_STATUS_INVALID);
    cr_assert_eq(cpu.isa, ISA_AVX2, "a failure changed its output");
    cr_assert_eq(cpu_cap(&cpu, "sse2", "isa", &error), KILN_STATUS_OK);
    cr_assert_str_eq(cpu.features, "+sse2");
    cr_assert_not(cpu.fma);
}

Test(cpu, parse_refuses)
{
#define SSE2                                                                                        \
    "x86_64 sse2 fma_per_cycle=1 load_per_cycle=1 l3_per_cycle=24 l1d=32768 l2=1048576 l3=1048576 " \
    "tune=x86-64"
    static const char *const rows[] = {
        "",
        "x86_64",
        "x86_64 neon",
        "sse2 x86_64",
        "x86_64 sse2 features=",
        "x86_64 sse2 features=sse2",
        "x86_64 sse2 features=+sse2,",
        "x86_64 sse2 features=,+sse2",
        "x86_64 sse2 features=+sse2,+frob",
        "x86_64 sse2 features=+sse2,+avx",
        "x86_64 avx2 features=+sse2,+avx2",
        "aarch64 neon features=+sse2",
        "x86_64 sse2 tune=",
        "x86_64 sse2 tune=a-name-that-is-longer-than-any-tuning-has",
        "x86_64 sse2 l1d=0",
        "x86_64 sse2 l1d=-1",
        "x86_64 sse2 l1d=99999999999999999999",
        "x86_64 sse2 l1d=32k",
        "x86_64 sse2 fma_per_cycle=17",
        "x86_64 sse2 frob=1",
        "x86_64 sse2 l1d",
        "x86_64 a-name-that-is-longer-than-any-level-has",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cpu cpu = {.lanes = 77};
        cr_assert_eq(cpu_parse(&cpu, rows[i], &error), KILN_STATUS_INVALID, "%s", rows[i]);
        cr_assert_gt(strlen(error.text), 10);
        cr_assert_eq(cpu.lanes, 77);
    }
    struct cpu cpu;
    cr_assert_eq(cpu_parse(&cpu, SSE2 " features=+sse2", &error), KILN_STATUS_OK, "%s", error.text);
}

Test(cpu, print_fits_any_room)
{
    struct cpu cpu;
    char text[16];
    cpu_host(&cpu);
    size_t length = cpu_print(&cpu, NULL, 0);
    cr_assert_gt(length, sizeof text);
    cr_assert_eq(cpu_print(&cpu, text, sizeof text), length);
    cr_assert_eq(strlen(text), sizeof text - 1);
}
