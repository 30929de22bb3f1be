/* fuzz: what the fuzz targets share. A target aborts, having said why, when something does not hold. */
#ifndef KILN_TESTS_FUZZ_H
#define KILN_TESTS_FUZZ_H

#include "harness.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

/* Aborts with the sentence if the condition does not hold. */
void must(bool holds, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* This machine at its highest level that is `below` steps below its best, or at the lowest. */
struct cpu fuzz_cpu(unsigned below);

/* Whether the conv can be computed, by the oracle too, in about a millisecond. */
bool fuzz_cheap(const struct kiln_conv *conv);

/* A checked plan of a cheap conv computes what the oracle does, if it is quickly compiled. */
void fuzz_compute(const struct plan *p);

#endif
