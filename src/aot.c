/* aot: objects for programs that have neither Kiln nor LLVM. Plans are kiln_compile_many's, so that all is
 * known to compile before anything is handed out; here they become objects whose functions have names of
 * their own. */
#include "aot.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conv.h"
#include "job.h"
#include "load.h"
#include "run.h"
#include "status.h"

enum { TEXTS = 2 }; /* files beside the objects */

/* What is asked, and what became of it. */
struct work {
    struct kiln *k;
    struct aot aot;
    const struct kiln_conv *convs;
    struct kiln_options *options; /* copies, each with a target */
    const struct kiln_options **each;
    struct kiln_plan **plans;
    struct buffer *files; /* as they are handed out */
    size_t count, failed; /* failed: the least index that did, or count */
    struct kiln_error why;
    kiln_aot_visit *visit;
    void *user;
};

/* ---- what is asked ---- */

static bool name_good(const char *name)
{
    size_t length = strlen(name);
    bool good = length && length <= AOT_NAME_MOST && !isdigit((unsigned char)name[0]);
    for (size_t i = 0; i < length && good; i++)
        good = isascii((unsigned char)name[i]) && (isalnum((unsigned char)name[i]) || name[i] == '_');
    return good;
}

static enum kiln_status call_check(const struct work *w, struct kiln_error *error)
{
    if (!w->k) return fail(error, KILN_STATUS_INVALID, "k is NULL: must be a context");
    if (!w->aot.name || !name_good(w->aot.name))
        return fail(error, KILN_STATUS_INVALID,
                    "name is \"%.80s\": must be an identifier of C of at most %d letters, such as mynet",
                    w->aot.name ? w->aot.name : "", AOT_NAME_MOST);
    if (!w->convs || !w->count || w->count > PTRDIFF_MAX / sizeof *w->convs)
        return fail(error, KILN_STATUS_INVALID, "convs are none: there must be one at least");
    if (!w->visit) return fail(error, KILN_STATUS_INVALID, "visit is NULL");
    return KILN_STATUS_OK;
}

/* Copies the options, with a target in each. */
static enum kiln_status options_copy(struct work *w, const struct kiln_options *const *given,
                                     struct kiln_error *error)
{
    struct cpu first, cpu;
    for (size_t i = 0; i < w->count; i++) {
        struct kiln_options *o = &w->options[i];
        enum kiln_status status = options_read(o, given ? given[i] : NULL, error);
        if (!o->target) o->target = cpu_host_arch();
        if (!status) status = cpu_target(&cpu, o->target, NULL, error);
        if (status) return status;
        if (!i) first = cpu;
        if (cpu.arch != first.arch)
            return fail(error, KILN_STATUS_INVALID,
                        "target is \"%.32s\": must be the same in all options, \"%s\"", o->target,
                        w->options[0].target);
        w->each[i] = o;
    }
    return KILN_STATUS_OK;
}

static bool work_begin(struct work *w)
{
    w->options = calloc(w->count, sizeof *w->options);
    w->each = calloc(w->count, sizeof *w->each);
    w->plans = calloc(w->count, sizeof *w->plans);
    w->aot.kernels = calloc(w->count, sizeof *w->aot.kernels);
    w->files = calloc(w->count + TEXTS, sizeof *w->files);
    w->failed = w->count;
    return w->options && w->each && w->plans && w->aot.kernels && w->files;
}

static void work_end(struct work *w)
{
    for (size_t i = 0; w->plans && i < w->count; i++) kiln_plan_release(w->plans[i]);
    for (size_t i = 0; w->files && i < w->count + TEXTS; i++) free(w->files[i].bytes);
    free(w->options);
    free(w->each);
    free(w->plans);
    free(w->aot.kernels);
    free(w->files);
}

/* ---- plans ---- */

static void plan_note(void *user, size_t index, size_t done, size_t count, const struct kiln_error *error)
{
    struct work *w = user;
    (void)done, (void)count;
    if (error && index < w->failed) w->failed = index, w->why = *error;
}

static enum kiln_status plans_make(struct work *w, struct kiln_error *error)
{
    char conv[KILN_TEXT_MAX];
    enum kiln_status status =
        kiln_compile_many(w->k, w->convs, w->each, w->count, 0, w->plans, plan_note, w, error);
    if (!status || w->failed == w->count) return status;
    kiln_conv_print(&w->convs[w->failed], conv, sizeof conv);
    return fail(error, status, "%.200s: %.300s", conv, w->why.text);
}

/* ---- which kernels there are ---- */

/* By function, then the highest ISA first, then as given. */
static int kernels_compare(const void *a, const void *b)
{
    const struct aot_kernel *x = a, *y = b;
    if (x->function != y->function) return x->function < y->function ? -1 : 1;
    if (x->isa != y->isa) return x->isa > y->isa ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

static enum isa isa_of(const struct kiln_plan *plan)
{
    struct words schedule;
    struct word name;
    enum isa isa = ISA_SSE2;
    if (words_line(kiln_plan_text(plan), &schedule, &name)) isa_find(name.at, name.length, &isa);
    return isa;
}

/* The number of the function of kernel i: that of an equal convolution before it, or a new one. */
static size_t function_of(struct work *w, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (conv_equal(kiln_plan_conv(w->plans[i]), kiln_plan_conv(w->plans[j])))
            return w->aot.kernels[j].function;
    return w->aot.functions++;
}

static void kernels_make(struct work *w)
{
    struct aot *aot = &w->aot;
    for (size_t i = 0; i < w->count; i++)
        aot->kernels[i] = (struct aot_kernel){function_of(w, i), i, isa_of(w->plans[i]), w->plans[i], ""};
    qsort(aot->kernels, w->count, sizeof *aot->kernels, kernels_compare);
    for (size_t i = 0; i < w->count; i++) {
        struct aot_kernel *k = &aot->kernels[aot->count];
        *k = aot->kernels[i];
        if (aot->count && k[-1].function == k->function && k[-1].isa == k->isa) continue;
        snprintf(k->symbol, sizeof k->symbol, "%s_%zu_%s", aot->name, k->function, isa_name(k->isa));
        aot->count++;
    }
}

/* ---- files ---- */

/* By the whole plan line: the object is of that plan and no other, and uses nothing beyond the plan's ISA,
 * which is what NAME.c asks for. */
static enum kiln_status object_make(const struct work *w, const struct aot_kernel *k, struct buffer *object,
                                    struct kiln_error *error)
{
    struct job job;
    struct kiln_options options = w->options[k->order];
    const struct generator *generator;
    options.schedule = kiln_plan_text(k->plan);
    enum kiln_status status = context_generator(w->k, &generator, error);
    if (!status) status = job_read(&job, w->k, kiln_plan_conv(k->plan), &options, error);
    if (status) return status;
    struct request request = job_request(&job);
    request.symbol = k->symbol;
    return generator->dump(&request, KILN_DUMP_OBJECT, buffer_sink, object, error);
}

/* The objects in the order of the kernels, then NAME.c and NAME.h. */
static enum kiln_status files_make(struct work *w, struct kiln_error *error)
{
    enum kiln_status status = KILN_STATUS_OK;
    const struct aot *aot = &w->aot;
    for (size_t i = 0; i < aot->count && !status; i++)
        status = object_make(w, &aot->kernels[i], &w->files[i], error);
    if (status) return status;
    aot_put_source(aot, &w->files[aot->count]);
    aot_put_header(aot, &w->files[aot->count + 1]);
    for (size_t i = 0; i < aot->count + TEXTS; i++)
        if (w->files[i].failed)
            return fail(error, KILN_STATUS_MEMORY, "no memory for the files of %s", aot->name);
    return KILN_STATUS_OK;
}

static void file_visit(const struct work *w, size_t i)
{
    static const char *const endings[TEXTS] = {".c", ".h"};
    const struct aot *aot = &w->aot;
    const struct aot_kernel *k = i < aot->count ? &aot->kernels[i] : NULL;
    char name[AOT_SYMBOL_ROOM + sizeof ".o"];
    snprintf(name, sizeof name, "%s%s", k ? k->symbol : aot->name, k ? ".o" : endings[i - aot->count]);
    w->visit(w->user, &(struct kiln_aot_file){.name = name,
                                              .bytes = w->files[i].bytes,
                                              .count = w->files[i].count,
                                              .plan = k ? kiln_plan_text(k->plan) : NULL,
                                              .code_bytes = k ? k->plan->kernel->code_bytes : 0});
}

enum kiln_status kiln_aot(struct kiln *k, const char *name, const struct kiln_conv *convs,
                          const struct kiln_options *const *options, size_t count, kiln_aot_visit *visit,
                          void *user, struct kiln_error *error)
{
    struct work w = {.k = k, .aot.name = name, .convs = convs, .count = count, .visit = visit, .user = user};
    enum kiln_status status = call_check(&w, error);
    if (status) return status;
    if (!work_begin(&w)) status = fail(error, KILN_STATUS_MEMORY, "no memory for %zu convolutions", count);
    if (!status) status = options_copy(&w, options, error);
    if (!status) status = plans_make(&w, error);
    if (!status) kernels_make(&w);
    if (!status) status = files_make(&w, error);
    for (size_t i = 0; !status && i < w.aot.count + TEXTS; i++) file_visit(&w, i);
    work_end(&w);
    return status;
}
