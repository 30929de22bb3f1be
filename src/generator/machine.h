/* machine: what the planner believes of cores, in cycles and bytes per cycle. Rounded from measurements
 * on server cores; only ratios between candidates matter. */
#ifndef KILN_GENERATOR_MACHINE_H
#define KILN_GENERATOR_MACHINE_H

#include "conv.h"
#include "cpu.h"

#include <math.h>

/* Cycles that each turn of an innermost loop costs beside its instructions' throughput. */
static const double BODY_OVERHEAD = 0.7;

enum {
    FMA_LATENCY = 4,    /* cycles from an accumulator to itself */
    ISSUE_WIDTH = 5,    /* instructions a cycle, sustained */
    TILE_OVERHEAD = 32, /* cycles around one register tile: addresses, zeroing, exits mispredicted */
    ENTER_TAP = 6,      /* cycles to enter the steps of one tap of a loop over taps */
    ENTER_STEPS = 5,    /* and of one unrolled tap */
};

/* Operations a cycle on vectors of `lanes` where a machine does `per_cycle` of its widest: those that do
 * one of 512 bits do it in two halves, so that narrower ones go twice as fast. */
static inline double rate(const struct cpu *cpu, int per_cycle, int64_t lanes)
{
    return per_cycle == 1 && cpu->lanes == 16 && lanes < 16 ? 2 : per_cycle;
}

/* Instructions that bring a broadcast for `uses` FMAs: AVX-512 makes one that is used once part of its FMA;
 * what has no FMA has no broadcasting load either. */
static inline int broadcast_issues(const struct cpu *cpu, int uses)
{
    if (cpu->lanes == 16 && uses == 1) return 0;
    return cpu->fma ? 1 : 2;
}

/* Whether so much does not stay in L2, which other things share. */
static inline bool beyond_l2(const struct cpu *cpu, double bytes) { return bytes > 0.7 * (double)cpu->l2; }

/* The innermost cache able to hold `bytes` beside other things. */
enum home { HOME_L1, HOME_L2, HOME_L3, HOME_MEMORY };
static inline enum home home_of(const struct cpu *cpu, double bytes)
{
    if (bytes <= 0.6 * (double)cpu->l1d) return HOME_L1;
    if (!beyond_l2(cpu, bytes)) return HOME_L2;
    return bytes <= 0.7 * (double)cpu->l3 ? HOME_L3 : HOME_MEMORY;
}

/* Bytes a cycle that stream from L2 and from memory. */
static const double L2_RATE = 24, MEMORY_RATE = 5.5;

/* Bytes a cycle that stream from where `bytes` live that are used again and again; those in L1 are counted
 * as loads. What nearly fills L3, or more, is there in part: other tensors and other cores want it too. */
static inline double stream_rate(const struct cpu *cpu, double bytes)
{
    static const double whole = 0.3, none = 1.2; /* shares of L3 */
    enum home home = home_of(cpu, bytes);
    if (home <= HOME_L2) return home == HOME_L1 ? 1e9 : L2_RATE;
    double share = bytes / (double)cpu->l3, l3 = cpu->l3_per_cycle;
    if (share <= whole || l3 <= MEMORY_RATE) return l3;
    return share >= none ? MEMORY_RATE : l3 - (l3 - MEMORY_RATE) * (share - whole) / (none - whole);
}

/* Cycles of parts that overlap: the largest, and more where others come near it, since none of them
 * is ever busy all the time. The 4-norm. */
static inline double together(const double *parts, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += parts[i] * parts[i] * parts[i] * parts[i];
    return sqrt(sqrt(sum));
}

/* Bytes of whole f32 tensors. */
static inline double src_bytes(const struct kiln_conv *c) { return 4.0 * (double)conv_src_count(c); }
static inline double dst_bytes(const struct kiln_conv *c) { return 4.0 * (double)conv_dst_count(c); }

static inline double larger(double x, double y) { return x > y ? x : y; }

/* Cycles of computing while memory streams: prefetchers hide most of the shorter. */
static inline double overlapped(double compute, double memory)
{
    return larger(compute, memory) + 0.3 * (compute < memory ? compute : memory);
}

#endif
