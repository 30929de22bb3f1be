/* kiln: the way from a convolution to a plan, and what is told of it on the way. Thin: each stage is
 * another file's. */
#include "kiln.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "buffer.h"
#include "image.h"
#include "job.h"
#include "run.h"
#include "status.h"
#include "text.h"

/* ---- compiling ---- */

/* How the kernel of a job was found. */
struct lookup {
    struct job *job;
    struct kernel *kernel;
    enum { FROM_MEMORY, FROM_DISK, FROM_GENERATOR } origin;
    struct kiln_error found, kept; /* why the cache on disk was not read or not written; "": no reason */
    char news[JITDUMP_NEWS];       /* of the file for profilers; "": none */
    char key[JOB_KEY_ROOM];
};

/* Not all of it need be cleared. */
static void lookup_begin(struct lookup *l, struct job *job)
{
    l->job = job;
    l->found.text[0] = l->kept.text[0] = l->news[0] = '\0';
}

static double thread_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* Logs what KILN_DEBUG asks for of a kernel just compiled; what cannot be had is left out. */
static void kernel_log(struct job *job, const struct kernel *kernel)
{
    const struct generator *generator;
    const struct request request = job_request(job);
    if (context_generator(job->k, &generator, NULL)) return;
    static const struct {
        enum debug debug;
        enum kiln_dump dump;
    } dumps[] = {{DEBUG_IR, KILN_DUMP_IR_OPT}, {DEBUG_ASM, KILN_DUMP_ASM}};
    context_log(job->k, DEBUG_PLAN, kernel->text);
    for (size_t i = 0; i < sizeof dumps / sizeof *dumps; i++) {
        struct buffer text = {0};
        if (!context_logs(job->k, dumps[i].debug)) continue;
        if (!generator->dump(&request, dumps[i].dump, buffer_sink, &text, NULL) && !text.failed && text.count)
            context_log(job->k, dumps[i].debug, text.bytes);
        free(text.bytes);
    }
}

/* An image the generator made must be sound: if it is not, the defect is ours. */
static enum kiln_status image_load(const struct buffer *image, struct kernel **kernel,
                                   struct kiln_error *error)
{
    struct kiln_error why;
    if (image->failed) return fail(error, KILN_STATUS_MEMORY, "no memory for an image");
    const struct image *i = (const void *)image->bytes;
    if (image_check(i, image->count, &why)) return fail(error, KILN_STATUS_INTERNAL, "%s", why.text);
    return kernel_load(i, kernel, error);
}

/* The only way into the generator's compiler; the image goes to the disk as well. */
static enum kiln_status kernel_compile(struct lookup *l, struct kernel **kernel, struct kiln_error *error)
{
    struct job *job = l->job;
    struct buffer image = {0};
    const struct generator *generator;
    const struct request request = job_request(job);
    enum kiln_status status = context_generator(job->k, &generator, error);
    if (status) return status;
    double start = thread_ms();
    status = generator->compile(&request, buffer_sink, &image, error);
    if (!status) status = image_load(&image, kernel, error);
    if (!status) context_compiled(job->k, thread_ms() - start);
    if (!status) disk_put(&job->k->disk, l->key, generator->llvm_file, (const void *)image.bytes, &l->kept);
    free(image.bytes);
    return status;
}

/* cache_make: what is not in memory comes from the disk, else from the generator. */
static enum kiln_status kernel_make(void *user, struct kernel **kernel, struct kiln_error *error)
{
    struct lookup *l = user;
    struct kiln *k = l->job->k;
    job_print(l->job, l->key);
    enum kiln_status status = disk_get(&k->disk, l->key, kernel, &l->found);
    if (status) return fail(error, status, "%s", l->found.text);
    l->origin = *kernel ? FROM_DISK : FROM_GENERATOR;
    if (!*kernel) status = kernel_compile(l, kernel, error);
    if (!status) context_show(k, *kernel, l->news);
    return status;
}

/* After the cache has been left: a log callback may call back, and need not be waited for. */
static void lookup_log(const struct lookup *l)
{
    static const char *const origins[] = {
        [FROM_MEMORY] = "hit", [FROM_DISK] = "disk", [FROM_GENERATOR] = "miss"};
    char line[KILN_TEXT_MAX + KILN_ERROR_TEXT];
    const struct kiln *k = l->job->k;
    if (l->news[0]) context_log(k, DEBUG_JITDUMP, l->news);
    if (!context_logs(k, DEBUG_CACHE)) return;
    if (l->found.text[0]) {
        snprintf(line, sizeof line, "ignored %s", l->found.text);
        context_log(k, DEBUG_CACHE, line);
    }
    snprintf(line, sizeof line, "%s %s", origins[l->origin], job_conv(l->job));
    context_log(k, DEBUG_CACHE, line);
    if (l->kept.text[0] && strcmp(l->kept.text, l->found.text) != 0)
        context_log(k, DEBUG_CACHE, l->kept.text);
}

/* job_work. What it was called for before, with a schedule of wisdom's that was refused, counts no more. */
static enum kiln_status kernel_find(struct job *job, void *lookup, struct kiln_error *error)
{
    struct lookup *l = lookup;
    l->origin = FROM_MEMORY;
    return cache_get(job->k->cache, &job->asked, job_bytes(job), kernel_make, l, &l->kernel, error);
}

enum kiln_status kiln_compile(struct kiln *k, const struct kiln_conv *conv,
                              const struct kiln_options *options, struct kiln_plan **plan,
                              struct kiln_error *error)
{
    struct job job;
    struct lookup l;
    if (!plan) return fail(error, KILN_STATUS_INVALID, "plan is NULL: must point to where the plan goes");
    enum kiln_status status = job_read(&job, k, conv, options, error);
    lookup_begin(&l, &job);
    if (!status) status = job_do(&job, kernel_find, &l, error);
    if (!status) lookup_log(&l);
    if (!status && l.origin == FROM_GENERATOR) kernel_log(&job, l.kernel);
    if (!status) status = plan_new(plan, l.kernel, &job.asked.conv, k->pool, job.asked.machine, error);
    return status;
}

/* ---- telling ---- */

/* What is to be told into a sink, and the generator, which tells it. */
static enum kiln_status job_open(struct job *job, struct kiln *k, const struct kiln_conv *conv,
                                 const struct kiln_options *options, kiln_sink *sink,
                                 const struct generator **generator, struct kiln_error *error)
{
    if (!sink) return fail(error, KILN_STATUS_INVALID, "sink is NULL");
    enum kiln_status status = job_read(job, k, conv, options, error);
    return status ? status : context_generator(k, generator, error);
}

/* What the generator is to tell. */
struct telling {
    const struct generator *generator;
    enum kiln_dump what; /* of a dump */
    kiln_sink *sink;
    void *user;
};

static enum kiln_status work_explain(struct job *job, void *arg, struct kiln_error *error)
{
    const struct telling *t = arg;
    const struct request request = job_request(job);
    return t->generator->explain(&request, t->sink, t->user, error);
}

static enum kiln_status work_candidates(struct job *job, void *arg, struct kiln_error *error)
{
    const struct telling *t = arg;
    const struct request request = job_request(job);
    return t->generator->candidates(&request, t->sink, t->user, error);
}

static enum kiln_status work_dump(struct job *job, void *arg, struct kiln_error *error)
{
    const struct telling *t = arg;
    const struct request request = job_request(job);
    return t->generator->dump(&request, t->what, t->sink, t->user, error);
}

enum kiln_status kiln_explain(struct kiln *k, const struct kiln_conv *conv,
                              const struct kiln_options *options, kiln_sink *sink, void *user,
                              struct kiln_error *error)
{
    struct job job;
    struct telling t = {.sink = sink, .user = user};
    enum kiln_status status = job_open(&job, k, conv, options, sink, &t.generator, error);
    if (!status) status = job_do(&job, work_explain, &t, error);
    if (status || !job.wise) return status;
    static const char decided[] = "\n  wisdom     this schedule: ";
    sink(user, decided, strlen(decided));
    sink(user, job.advice.comment, strlen(job.advice.comment));
    sink(user, "\n", 1);
    return status;
}

enum kiln_status kiln_candidates(struct kiln *k, const struct kiln_conv *conv,
                                 const struct kiln_options *options, kiln_sink *sink, void *user,
                                 struct kiln_error *error)
{
    struct job job;
    struct telling t = {.sink = sink, .user = user};
    enum kiln_status status = job_open(&job, k, conv, options, sink, &t.generator, error);
    if (!status && job.options.effort != KILN_EFFORT_WISDOM_ONLY && job.wise) wisdom_drop(&job);
    return status ? status : job_do(&job, work_candidates, &t, error);
}

enum kiln_status kiln_dump(struct kiln *k, const struct kiln_conv *conv, const struct kiln_options *options,
                           enum kiln_dump what, kiln_sink *sink, void *user, struct kiln_error *error)
{
    struct job job;
    struct telling t = {.what = what, .sink = sink, .user = user};
    if ((unsigned)what > KILN_DUMP_IMAGE)
        return fail(error, KILN_STATUS_INVALID, "what is %d: must be one of enum kiln_dump", (int)what);
    enum kiln_status status = job_open(&job, k, conv, options, sink, &t.generator, error);
    return status ? status : job_do(&job, work_dump, &t, error);
}

/* "sse2 avx2 ...", the levels that a machine can be capped to, itself included. */
static void levels_print(struct text *t, const struct cpu *cpu)
{
    for (int i = 0; i <= ISA_NEON; i++) {
        struct cpu capped = *cpu;
        if (!cpu_cap(&capped, isa_name((enum isa)i), "isa", NULL)) text_put(t, " %s", isa_name((enum isa)i));
    }
}

static void generator_print(struct text *t, struct kiln *k)
{
    struct kiln_error why;
    const struct generator *generator;
    if (context_generator(k, &generator, &why))
        text_put(t, "generator  not found: %s\n", why.text);
    else
        text_put(t, "generator  LLVM %s\n", generator->llvm);
}

enum kiln_status kiln_cpu_print(struct kiln *k, const struct kiln_options *options, kiln_sink *sink,
                                void *user, struct kiln_error *error)
{
    struct kiln_options o;
    struct cpu cpu;
    char lines[4 * KILN_TEXT_MAX];
    struct text t = text_into(lines, sizeof lines);
    if (!k) return fail(error, KILN_STATUS_INVALID, "k is NULL: must be a context");
    if (!sink) return fail(error, KILN_STATUS_INVALID, "sink is NULL");
    enum kiln_status status = options_read(&o, options, error);
    if (!status) status = machine_choose(&cpu, k, &o, error);
    if (status) return status;
    text_put(&t, "levels    ");
    levels_print(&t, o.target ? &cpu : &k->cpu);
    text_put(&t, "\nisa        %s\n", isa_name(cpu.isa));
    text_put(&t, "vectors    %d lanes of f32, %d registers%s%s\n", cpu.lanes, cpu.registers,
             cpu.fma ? ", fma" : "", cpu.masks ? ", masks" : "");
    text_put(&t, "per cycle  %d FMAs, %d loads, %d bytes from l3\n", cpu.fma_per_cycle, cpu.load_per_cycle,
             cpu.l3_per_cycle);
    text_put(&t, "caches     l1d %lld KiB, l2 %lld KiB, l3 %lld KiB\n", (long long)cpu.l1d >> 10,
             (long long)cpu.l2 >> 10, (long long)cpu.l3 >> 10);
    text_put(&t, "tune       %s\nfeatures   %s\n", cpu.tune, cpu.features);
    generator_print(&t, k);
    assert(t.length < sizeof lines);
    sink(user, lines, t.length);
    return KILN_STATUS_OK;
}
