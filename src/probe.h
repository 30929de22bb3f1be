/* probe: what this machine says of itself, uninterpreted: CPUID and XCR0 on x86-64, HWCAP and sysfs on
 * AArch64. cpu.c gives it meaning. */
#ifndef KILN_SRC_PROBE_H
#define KILN_SRC_PROBE_H

#include <stdbool.h>
#include <stdint.h>

enum probe_register { PROBE_EAX, PROBE_EBX, PROBE_ECX, PROBE_EDX, PROBE_REGISTERS };

/* Where one feature is announced. x86-64: a bit of a CPUID register. AArch64: a bit of AT_HWCAP, the
 * rest is 0. */
struct probe_bit {
    uint32_t leaf, subleaf;
    enum probe_register reg;
    int bit;
};

/* What CPUID has answered so far, all zero to begin with: to be asked again costs a virtual machine some
 * microseconds each time. Nothing on AArch64. */
struct probe {
    int count;
    struct probe_answer {
        uint32_t leaf, subleaf, r[PROBE_REGISTERS];
    } answers[16]; /* more than are asked for twice; of others the last one goes */
};

bool probe_feature(struct probe *p, struct probe_bit where);

/* The vector state that the operating system saves for a thread, as bits of XCR0. Without it a feature
 * that CPUID announces still traps. All ones on AArch64, where HWCAP has accounted for it. */
uint64_t probe_state(struct probe *p);

/* Bytes of one core's data caches of level 1 to 3; 0 for one that is not told. */
void probe_caches(struct probe *p, int64_t bytes[3]);

#endif
