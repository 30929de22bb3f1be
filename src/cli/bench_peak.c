/* bench_peak: the most that one core could do, as a contender beside the others: FMAs that wait for
 * nothing but each other. In assembly, so that no compiler or optimisation level changes what is
 * measured. */
#include "bench.h"
#include <string.h>

enum {
    CHAINS = 12,  /* independent sums: more than latency times FMAs per cycle of any core so far */
    ROUNDS = 8000 /* of all chains: about 25 to 100 microseconds */
};

/* One peak run: `body` works on registers \r, each row of `first` and `again` a chain; register 12
 * holds ones. */
#define PEAK(name, setup, zero, body, next)                                                   \
    static void name(void *unused)                                                            \
    {                                                                                         \
        (void)unused;                                                                         \
        long rounds = ROUNDS;                                                                 \
        float one = 1;                                                                        \
        __asm__ volatile(setup "\n.irp r,0,1,2,3,4,5,6,7,8,9,10,11\n" zero "\n.endr\n"        \
                               "1:\n.irp r,0,1,2,3,4,5,6,7,8,9,10,11\n" body "\n.endr\n" next \
                         : "+r"(rounds)                                                       \
                         : "m"(one), "r"(&one)                                                \
                         : CLOBBERS);                                                         \
    }

#if defined __x86_64__
#define CLOBBERS                                                                                            \
    "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", \
        "xmm12"
#define NEXT "dec %0\njnz 1b\n"
PEAK(run_avx512, "vbroadcastss %1, %%zmm12", "vpxord %%zmm\\r, %%zmm\\r, %%zmm\\r",
     "vfmadd231ps %%zmm12, %%zmm12, %%zmm\\r", NEXT "vzeroupper\n")
PEAK(run_avx2, "vbroadcastss %1, %%ymm12", "vxorps %%ymm\\r, %%ymm\\r, %%ymm\\r",
     "vfmadd231ps %%ymm12, %%ymm12, %%ymm\\r", NEXT "vzeroupper\n")
/* A multiplication and an addition each round: chains of both kinds side by side. */
PEAK(run_sse2, "movss %1, %%xmm12\nshufps $0, %%xmm12, %%xmm12", "xorps %%xmm\\r, %%xmm\\r",
     ".if \\r & 1\nmulps %%xmm12, %%xmm\\r\n.else\naddps %%xmm12, %%xmm\\r\n.endif", NEXT)
static bool have_avx512(void) { return __builtin_cpu_supports("avx512f"); }
static bool have_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#elif defined __aarch64__
#define CLOBBERS "cc", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12"
PEAK(run_neon, "ld1r {v12.4s}, [%2]", "movi v\\r\\().4s, #0", "fmla v\\r\\().4s, v12.4s, v12.4s",
     "subs %0, %0, #1\nb.ne 1b\n")
#endif
static bool have_always(void) { return true; }

static void run_nothing(void *unused) { (void)unused; }

/* Widest first; those up to the ISA asked for are tried. Levels between two rows use the lower one. */
static const struct {
    const char *isa;
    bool (*have)(void);
    void (*run)(void *);
    int flops; /* of one instruction */
} peaks[] = {
#if defined __x86_64__
    {"avx512", have_avx512, run_avx512, 32},
    {"avx2", have_avx2, run_avx2, 16},
    {"sse2", have_always, run_sse2, 4},
#elif defined __aarch64__
    {"neon", have_always, run_neon, 8},
#endif
    {"", have_always, run_nothing, 0},
};

struct peak peak_find(const char *isa)
{
    size_t i = 0, count = sizeof peaks / sizeof *peaks;
    for (size_t j = 0; isa && j < count - 1; j++)
        if (!strcmp(peaks[j].isa, isa)) i = j;
    while (!peaks[i].have()) i++;
    return (struct peak){peaks[i].run, (double)peaks[i].flops * CHAINS * ROUNDS};
}
