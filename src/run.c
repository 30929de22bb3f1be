/* run: plans as callers hold them, and running them. kiln_run checks what it is given, since nothing
 * behind it can; the rest of it is a call of the kernel. */
#include "run.h"

#include <stdlib.h>

#include "status.h"

enum kiln_status plan_new(struct kiln_plan **made, struct kernel *kernel, const struct kiln_conv *conv,
                          struct pool *pool, bool foreign, struct kiln_error *error)
{
    /* A share of less than this is over before another thread has woken up: some 5 us of work. */
    const double share_flops = 500e3;
    struct kiln_plan *p = calloc(1, sizeof *p);
    if (!p) {
        kernel_release(kernel);
        return fail(error, KILN_STATUS_MEMORY, "no memory for a plan");
    }
    double worth = conv_flops(conv) / share_flops;
    size_t shares = pool_shares(pool);
    if (shares > kernel->tasks) shares = kernel->tasks;
    if ((double)shares > worth) shares = worth < 1 ? 1 : (size_t)worth;
    p->run = foreign ? NULL : kernel->run;
    p->pack = foreign ? NULL : kernel->pack;
    p->tasks = kernel->tasks;
    p->scratch_bytes = kernel->scratch_bytes;
    p->shares = shares;
    p->need = args_need(conv, PACKED_ALIGN);
    p->pool = pool_retain(pool);
    p->kernel = kernel;
    p->conv = *conv;
    p->references = 1;
    *made = p;
    return KILN_STATUS_OK;
}

struct kiln_plan *kiln_plan_retain(struct kiln_plan *plan)
{
    if (plan) __atomic_add_fetch(&plan->references, 1, __ATOMIC_RELAXED);
    return plan;
}

void kiln_plan_release(struct kiln_plan *plan)
{
    if (!plan || __atomic_sub_fetch(&plan->references, 1, __ATOMIC_ACQ_REL)) return;
    kernel_release(plan->kernel);
    pool_release(plan->pool);
    free(plan);
}

/* ---- what a plan is ---- */

const char *kiln_plan_text(const struct kiln_plan *plan) { return plan ? plan->kernel->text : NULL; }
bool kiln_plan_exact(const struct kiln_plan *plan) { return plan && plan->kernel->exact; }
const struct kiln_conv *kiln_plan_conv(const struct kiln_plan *plan) { return plan ? &plan->conv : NULL; }
size_t kiln_plan_packed_size(const struct kiln_plan *plan) { return plan ? plan->kernel->packed_bytes : 0; }
size_t kiln_plan_scratch_size(const struct kiln_plan *plan) { return plan ? plan->scratch_bytes : 0; }
size_t kiln_plan_tasks(const struct kiln_plan *plan) { return plan ? plan->tasks : 0; }
kiln_kernel *kiln_plan_kernel(const struct kiln_plan *plan) { return plan ? plan->run : NULL; }
kiln_packer *kiln_plan_packer(const struct kiln_plan *plan) { return plan ? plan->pack : NULL; }

/* ---- checks ---- */

/* INVALID: no plan. UNSUPPORTED: one that this machine cannot run. */
static enum kiln_status plan_fail(const struct kiln_plan *plan, struct kiln_error *error)
{
    if (!plan) return fail(error, KILN_STATUS_INVALID, "plan is NULL");
    return fail(error, KILN_STATUS_UNSUPPORTED,
                "this plan was compiled for another target: it can be dumped, not run");
}

/* Everything that a run needs to be true, in the cheapest order. */
static inline enum kiln_status run_check(const struct kiln_plan *plan, const struct kiln_args *args,
                                         struct kiln_error *error)
{
    if (!plan || !plan->run) return plan_fail(plan, error);
    if (!args) return fail(error, KILN_STATUS_INVALID, "args is NULL");
    return args_fit(&plan->need, args) ? KILN_STATUS_OK : args_fail(&plan->need, args, error);
}

/* This thread's scratch for the plan, NULL if it needs none. MEMORY. */
static inline enum kiln_status scratch_get(const struct kiln_plan *plan, void **scratch,
                                           struct kiln_error *error)
{
    *scratch = plan->scratch_bytes ? arena(plan->scratch_bytes) : NULL;
    if (*scratch || !plan->scratch_bytes) return KILN_STATUS_OK;
    return fail(error, KILN_STATUS_MEMORY, "no memory for %zu bytes of scratch", plan->scratch_bytes);
}

enum kiln_status kiln_pack(const struct kiln_plan *plan, const void *weights, void *packed,
                           struct kiln_error *error)
{
    if (!plan || !plan->pack) return plan_fail(plan, error);
    uintptr_t element = type_bytes(plan->conv.weights);
    if (!weights || (uintptr_t)weights % element)
        return fail(error, KILN_STATUS_INVALID, "weights is %p: must not be NULL and be aligned to %zu bytes",
                    weights, (size_t)element);
    if (!packed || (uintptr_t)packed % PACKED_ALIGN)
        return fail(error, KILN_STATUS_INVALID, "packed is %p: must not be NULL and be aligned to %d bytes",
                    packed, PACKED_ALIGN);
    plan->pack(weights, packed);
    return KILN_STATUS_OK;
}

/* ---- running ---- */

/* Runs the ith of nth shares that differ by one task at most; no product here can overflow. */
static void share_run(const struct kiln_plan *plan, const struct kiln_args *args, void *scratch, size_t ith,
                      size_t nth)
{
    size_t each = plan->tasks / nth, rest = plan->tasks % nth;
    size_t begin = each * ith + (ith < rest ? ith : rest);
    size_t end = begin + each + (ith < rest);
    if (begin < end) plan->run(args, begin, end, scratch);
}

/* One run on many threads. */
struct shared_run {
    const struct kiln_plan *plan;
    const struct kiln_args *args;
    bool left[POOL_SHARES_MAX]; /* not done, since its thread found no memory for scratch */
};

static void shared_work(void *arg, size_t i)
{
    struct shared_run *r = arg;
    void *scratch;
    r->left[i] = scratch_get(r->plan, &scratch, NULL) != KILN_STATUS_OK;
    if (!r->left[i]) share_run(r->plan, r->args, scratch, i, r->plan->shares);
}

/* False: the pool is busy, nothing was done. Not inlined, for the sake of kiln_run's stack frame. */
__attribute__((noinline)) static bool run_shared(const struct kiln_plan *plan, const struct kiln_args *args,
                                                 void *scratch)
{
    struct shared_run r;
    r.plan = plan;
    r.args = args;
    if (!pool_try(plan->pool, plan->shares, shared_work, &r)) return false;
    for (size_t i = 0; i < plan->shares; i++)
        if (r.left[i]) share_run(plan, args, scratch, i, plan->shares);
    return true;
}

enum kiln_status kiln_run(const struct kiln_plan *plan, const struct kiln_args *args,
                          struct kiln_error *error)
{
    void *scratch;
    enum kiln_status status = run_check(plan, args, error);
    if (!status) status = scratch_get(plan, &scratch, error);
    if (status) return status;
    if (plan->shares > 1 && run_shared(plan, args, scratch)) return KILN_STATUS_OK;
    plan->run(args, 0, plan->tasks, scratch);
    return KILN_STATUS_OK;
}

enum kiln_status kiln_run_part(const struct kiln_plan *plan, const struct kiln_args *args, void *scratch,
                               size_t ith, size_t nth, struct kiln_error *error)
{
    enum kiln_status status = run_check(plan, args, error);
    if (status) return status;
    if (ith >= nth)
        return fail(error, KILN_STATUS_INVALID, "ith is %zu and nth is %zu: must be ith < nth", ith, nth);
    if ((uintptr_t)scratch % PACKED_ALIGN)
        return fail(error, KILN_STATUS_INVALID, "scratch is %p: must be aligned to %d bytes", scratch,
                    PACKED_ALIGN);
    if (!scratch) status = scratch_get(plan, &scratch, error);
    if (!status) share_run(plan, args, scratch, ith, nth);
    return status;
}
