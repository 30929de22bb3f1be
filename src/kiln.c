/* kiln: the way from a convolution to a plan, and what is told of it on the way. Thin: each stage is
 * another file's. */
#include "kiln.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "buffer.h"
#include "context.h"
#include "conv.h"
#include "disk.h"
#include "image.h"
#include "perf.h"
#include "run.h"
#include "status.h"
#include "text.h"

enum {
    CANDIDATES_MOST = 4096, /* more than there ever are */
    KEY_MAX = 2 * KILN_TEXT_MAX + MACHINE_TEXT_MAX + 256,
};

/* One compilation: what is asked, checked and as text. */
struct job {
    struct kiln *k;
    struct kiln_conv conv;
    struct kiln_options options;
    struct cpu cpu;
    char conv_text[KILN_TEXT_MAX], machine[MACHINE_TEXT_MAX], schedule[KILN_TEXT_MAX], key[KEY_MAX];
    struct request request;
    bool wise; /* schedule is wisdom's: */
    struct advice advice;
    enum origin { FROM_MEMORY, FROM_DISK, FROM_GENERATOR } origin; /* of the kernel */
    struct kiln_error found, kept; /* why the cache on disk was not read or not written; "": no reason */
};

/* ---- what is asked ---- */

static enum kiln_status options_read(struct kiln_options *to, const struct kiln_options *from,
                                     struct kiln_error *error)
{
    *to = (struct kiln_options){.size = sizeof *to};
    enum kiln_status status =
        from ? struct_read(to, sizeof *to, from, "kiln_options", error) : KILN_STATUS_OK;
    if (status) return status;
    if ((unsigned)to->effort > KILN_EFFORT_WISDOM_ONLY)
        return fail(error, KILN_STATUS_INVALID,
                    "effort is %d: must be KILN_EFFORT_ESTIMATE or KILN_EFFORT_WISDOM_ONLY; others are "
                    "kiln_tune's",
                    (int)to->effort);
    if (to->code_budget < 0 || to->code_budget > CODE_BUDGET_MOST)
        return fail(error, KILN_STATUS_INVALID, "code_budget is %d: must be 0 to %d", to->code_budget,
                    CODE_BUDGET_MOST);
    if (to->candidates < 0 || to->candidates > CANDIDATES_MOST)
        return fail(error, KILN_STATUS_INVALID, "candidates is %d: must be 0 to %d", to->candidates,
                    CANDIDATES_MOST);
    if (!to->code_budget) to->code_budget = CODE_BUDGET;
    return KILN_STATUS_OK;
}

/* This machine, capped by the context and then by the options; or the target. */
static enum kiln_status machine_choose(struct cpu *cpu, const struct kiln *k,
                                       const struct kiln_options *options, struct kiln_error *error)
{
    if (options->target) return cpu_target(cpu, options->target, options->isa, error);
    *cpu = k->cpu;
    return cpu_cap(cpu, options->isa, "isa", error);
}

/* That a whole plan line was made for this conv; the machine is lowered to the level it names. */
static enum kiln_status line_read(struct job *job, const char *line, struct kiln_error *error)
{
    char level[32];
    struct kiln_conv conv;
    struct words schedule;
    struct word isa;
    enum kiln_status status = conv_parse(&conv, line, error);
    if (status) return status;
    if (!conv_equal(&conv, &job->conv))
        return fail(error, KILN_STATUS_INVALID,
                    "schedule is a plan line of another conv: this one is \"%.300s\"", job->conv_text);
    if (!words_line(line, &schedule, &isa))
        return fail(error, KILN_STATUS_INVALID,
                    "schedule is a plan line without the form \"conv | schedule | isa\"");
    if ((size_t)snprintf(level, sizeof level, "%.*s", (int)isa.length, isa.at) >= sizeof level)
        return fail(error, KILN_STATUS_INVALID, "schedule is a plan line for \"%.*s\": not a machine",
                    WORD(isa));
    return cpu_cap(&job->cpu, level, "the plan line's isa", error);
}

/* Copies the schedule, which is opaque here, out of options->schedule; "" if there is none. */
static enum kiln_status schedule_read(struct job *job, struct kiln_error *error)
{
    const char *text = job->options.schedule;
    struct words part = {0};
    if (!text) return KILN_STATUS_OK;
    bool line = strchr(text, '|') != NULL;
    enum kiln_status status = line ? line_read(job, text, error) : KILN_STATUS_OK;
    if (status) return status;
    if (!words_part(text, line ? 1 : 0, &part) || part.at == part.end)
        return fail(
            error, KILN_STATUS_INVALID,
            "schedule is empty: must be as in a plan line, such as \"direct ow=4 unroll=kw\", or left out");
    size_t length = (size_t)(part.end - part.at);
    if (length >= sizeof job->schedule)
        return fail(error, KILN_STATUS_INVALID, "schedule has %zu bytes: at most %zu are allowed", length,
                    sizeof job->schedule - 1);
    memcpy(job->schedule, part.at, length);
    job->schedule[length] = '\0';
    return KILN_STATUS_OK;
}

static enum kiln_status wisdom_fail(const struct job *job, const char *why, struct kiln_error *error)
{
    return fail(error, KILN_STATUS_UNSUPPORTED,
                "wisdom-only was asked for \"%.200s\" on %s: %.128s; `kiln tune` makes wisdom",
                job->conv_text, isa_name(isa_code(job->cpu.isa)), why);
}

static void wisdom_log(const struct job *job, const char *what)
{
    char line[KILN_TEXT_MAX + KILN_ERROR_TEXT];
    if (!context_logs(job->k, DEBUG_WISDOM)) return;
    snprintf(line, sizeof line, "%s on %s: %s", job->conv_text, isa_name(isa_code(job->cpu.isa)), what);
    context_log(job->k, DEBUG_WISDOM, line);
}

/* Takes the schedule from wisdom, as if it had been given, where none was. */
static enum kiln_status wisdom_take(struct job *job, struct kiln_error *error)
{
    const struct kiln_options *o = &job->options;
    const struct wisdom_key key = {job->conv_text, isa_code(job->cpu.isa), job->k->threads};
    const char *other = NULL;
    bool only = o->effort == KILN_EFFORT_WISDOM_ONLY, small = o->code_budget < CODE_BUDGET;
    char why[64] = "there is none";
    job->wise = !o->schedule && !small && wisdom_find(job->k->wisdom, &key, &job->advice, &other);
    if (job->wise) memcpy(job->schedule, job->advice.schedule, sizeof job->schedule);
    if (o->schedule || job->wise || !(only || other)) return KILN_STATUS_OK;
    if (other) snprintf(why, sizeof why, "there is some for %s only", other);
    if (small) snprintf(why, sizeof why, "none is used with a code_budget below %d", CODE_BUDGET);
    if (only) return wisdom_fail(job, why, error);
    wisdom_log(job, why);
    return KILN_STATUS_OK;
}

/* The machine as text, which the context has ready for its own. */
static const char *machine_print(struct job *job)
{
    if (!memcmp(&job->cpu, &job->k->cpu, sizeof job->cpu)) return job->k->machine;
    cpu_print(&job->cpu, job->machine, sizeof job->machine);
    return job->machine;
}

/* The request, and the key: all that decides the code, in full, and nothing else. The module stands for the
 * planner, the emitters and their choice of LLVM; which LLVM it opens is known only then, so disk_put notes
 * that file and disk_get compares. */
static void job_print(struct job *job)
{
    const struct kiln_options *o = &job->options;
    struct text key = text_into(job->key, sizeof job->key);
    const char *machine = machine_print(job);
    job->request = (struct request){
        .conv = job->conv_text,
        .machine = machine,
        .schedule = job->schedule[0] ? job->schedule : NULL,
        .scratch_limit = o->scratch_limit,
        .code_budget = o->code_budget,
        .candidates = o->candidates,
    };
    text_put(&key, "%s | %s | %s | scratch=%" PRId64 " budget=%d generator=%d image=%d module=%s",
             job->conv_text, job->schedule, machine, (int64_t)o->scratch_limit, o->code_budget,
             GENERATOR_VERSION, IMAGE_VERSION, job->k->module);
    assert(key.length < sizeof job->key);
}

/* Leaves wisdom aside: the planner chooses. */
static void wisdom_drop(struct job *job)
{
    job->wise = false;
    job->schedule[0] = '\0';
    job_print(job);
}

static enum kiln_status job_read(struct job *job, struct kiln *k, const struct kiln_conv *conv,
                                 const struct kiln_options *options, struct kiln_error *error)
{
    if (!k) return fail(error, KILN_STATUS_INVALID, "k is NULL: must be a context");
    if (!conv) return fail(error, KILN_STATUS_INVALID, "conv is NULL");
    enum kiln_status status = conv_check(conv, error);
    if (!status) status = options_read(&job->options, options, error);
    if (!status) status = machine_choose(&job->cpu, k, &job->options, error);
    if (status) return status;
    job->k = k;
    job->origin = FROM_MEMORY;
    job->found.text[0] = job->kept.text[0] = '\0';
    job->conv = *conv;
    job->schedule[0] = '\0';
    conv_print(conv, job->conv_text, sizeof job->conv_text);
    status = schedule_read(job, error);
    if (!status) status = wisdom_take(job, error);
    if (!status) job_print(job);
    return status;
}

typedef enum kiln_status job_work(struct job *job, void *arg, struct kiln_error *error);

/* Does the work; where it refuses wisdom's schedule, again without. */
static enum kiln_status job_do(struct job *job, job_work *work, void *arg, struct kiln_error *error)
{
    struct kiln_error why;
    char line[KILN_ERROR_TEXT + 32];
    if (!job->wise) return work(job, arg, error);
    enum kiln_status status = work(job, arg, &why);
    if (!status) return wisdom_log(job, job->schedule), status;
    if (status != KILN_STATUS_INVALID) return fail(error, status, "%s", why.text);
    if (job->options.effort == KILN_EFFORT_WISDOM_ONLY) return wisdom_fail(job, why.text, error);
    snprintf(line, sizeof line, "passed over: %s", why.text);
    wisdom_log(job, line);
    wisdom_drop(job);
    return work(job, arg, error);
}

/* ---- compiling ---- */

static double thread_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* Logs what KILN_DEBUG asks for of a kernel just compiled; what cannot be had is left out. */
static void job_log(const struct job *job, const struct kernel *kernel)
{
    const struct generator *generator;
    if (context_generator(job->k, &generator, NULL)) return;
    static const struct {
        enum debug debug;
        enum kiln_dump dump;
    } dumps[] = {{DEBUG_IR, KILN_DUMP_IR_OPT}, {DEBUG_ASM, KILN_DUMP_ASM}};
    context_log(job->k, DEBUG_PLAN, kernel->text);
    for (size_t i = 0; i < sizeof dumps / sizeof *dumps; i++) {
        struct buffer text = {0};
        if (!context_logs(job->k, dumps[i].debug)) continue;
        if (!generator->dump(&job->request, dumps[i].dump, buffer_sink, &text, NULL) && !text.failed &&
            text.count)
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
static enum kiln_status job_compile(struct job *job, struct kernel **kernel, struct kiln_error *error)
{
    struct buffer image = {0};
    const struct generator *generator;
    enum kiln_status status = context_generator(job->k, &generator, error);
    if (status) return status;
    double start = thread_ms();
    status = generator->compile(&job->request, buffer_sink, &image, error);
    if (!status) status = image_load(&image, kernel, error);
    if (!status) context_compiled(job->k, thread_ms() - start);
    if (!status)
        disk_put(&job->k->disk, job->key, generator->llvm_file, (const void *)image.bytes, &job->kept);
    free(image.bytes);
    return status;
}

/* cache_make: what is not in memory comes from the disk, else from the generator. */
static enum kiln_status job_make(void *user, struct kernel **kernel, struct kiln_error *error)
{
    struct job *job = user;
    enum kiln_status status = disk_get(&job->k->disk, job->key, kernel, &job->found);
    if (status) return fail(error, status, "%s", job->found.text);
    job->origin = *kernel ? FROM_DISK : FROM_GENERATOR;
    if (!*kernel) status = job_compile(job, kernel, error);
    if (!status && context_logs(job->k, DEBUG_PERF)) perf_map(*kernel);
    return status;
}

/* After the cache has been left: a log callback may call back, and need not be waited for. */
static void lookup_log(const struct job *job, const struct kernel *kernel)
{
    static const char *const origins[] = {
        [FROM_MEMORY] = "hit", [FROM_DISK] = "disk", [FROM_GENERATOR] = "miss"};
    char line[KILN_TEXT_MAX + KILN_ERROR_TEXT];
    if (job->found.text[0]) {
        snprintf(line, sizeof line, "ignored %s", job->found.text);
        context_log(job->k, DEBUG_CACHE, line);
    }
    snprintf(line, sizeof line, "%s %s", origins[job->origin], job->conv_text);
    context_log(job->k, DEBUG_CACHE, line);
    if (job->kept.text[0] && strcmp(job->kept.text, job->found.text) != 0)
        context_log(job->k, DEBUG_CACHE, job->kept.text);
    if (job->origin == FROM_GENERATOR) job_log(job, kernel);
}

static enum kiln_status work_compile(struct job *job, void *kernel, struct kiln_error *error)
{
    return cache_get(job->k->cache, job->key, job_make, job, kernel, error);
}

enum kiln_status kiln_compile(struct kiln *k, const struct kiln_conv *conv,
                              const struct kiln_options *options, struct kiln_plan **plan,
                              struct kiln_error *error)
{
    struct job job;
    struct kernel *kernel;
    if (!plan) return fail(error, KILN_STATUS_INVALID, "plan is NULL: must point to where the plan goes");
    enum kiln_status status = job_read(&job, k, conv, options, error);
    if (!status) status = job_do(&job, work_compile, &kernel, error);
    if (!status) lookup_log(&job, kernel);
    if (!status) status = plan_new(plan, kernel, &job.conv, k->pool, job.options.target != NULL, error);
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
    return t->generator->explain(&job->request, t->sink, t->user, error);
}

static enum kiln_status work_candidates(struct job *job, void *arg, struct kiln_error *error)
{
    const struct telling *t = arg;
    return t->generator->candidates(&job->request, t->sink, t->user, error);
}

static enum kiln_status work_dump(struct job *job, void *arg, struct kiln_error *error)
{
    const struct telling *t = arg;
    return t->generator->dump(&job->request, t->what, t->sink, t->user, error);
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
