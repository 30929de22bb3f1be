#include "fuzz.h"

#include "conv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { ELEMENTS_MOST = 20000, FLOPS_MOST = 1000000, FMAS_MOST = 400 };

void must(bool holds, const char *format, ...)
{
    if (holds) return;
    va_list list;
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
    abort();
}

struct cpu fuzz_cpu(unsigned below)
{
    static const char *const isas[] = {"avx512", "avx2", "sse2", "neon"};
    enum { ISAS = sizeof isas / sizeof *isas };
    struct cpu cpus[ISAS];
    unsigned count = 0;
    for (int i = 0; i < ISAS; i++) count += machine_capped(&cpus[count], isas[i]);
    must(count > 0, "this machine has no level that is known");
    return cpus[below < count ? below : count - 1];
}

bool fuzz_cheap(const struct kiln_conv *conv)
{
    return conv_src_count(conv) <= ELEMENTS_MOST && conv_weights_count(conv) <= ELEMENTS_MOST &&
           conv_dst_count(conv) <= ELEMENTS_MOST && conv_flops(conv) <= FLOPS_MOST;
}

void fuzz_compute(const struct plan *p)
{
    char line[KILN_TEXT_MAX], why[KILN_TEXT_MAX];
    struct text w = text_into(why, sizeof why);
    struct cost cost;
    plan_print(p, line, sizeof line);
    must(!plan_check(p, &cost, NULL), "%s: is not a checked plan", line);
    if (cost.fmas > FMAS_MOST) return;
    struct tensors t = tensors_make(&p->conv, data_for(p->algo->exact, &p->conv));
    bool fine = plan_try(p, &t, &w);
    tensors_free(&t);
    must(fine, "%s\n    %s", line, why);
}
