/* Every public function while the calls of our own code for memory, pages, files and threads fail: each in
 * turn, alone and with all that follow it. A status tells, outputs stay as they were, nothing is lost, and
 * the same call then works. What LLVM does without memory is out of reach: it ends the process. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "trial.h"

static char wisdom_line[2 * KILN_TEXT_MAX];
static float src[FLOATS], weights[16 * 16 * 9], bias[16], want[FLOATS];
static _Alignas(64) float packed[PACKED];

/* ---- parts of calls ---- */

static void hear(void *user, const char *bytes, size_t count)
{
    struct scene *s = user;
    s->said = s->said ? s->said : 1;
    for (size_t i = 0; i < count; i++)
        s->said = (s->said ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3);
}

static void in_turn(void *user, size_t count, void (*work)(void *arg, size_t i), void *arg)
{
    (void)user;
    for (size_t i = 0; i < count; i++) work(arg, i);
}

static enum kiln_status compile_by(struct scene *s, const char *schedule, struct kiln_plan **plan)
{
    const struct kiln_options options = {.size = sizeof options, .schedule = schedule};
    return kiln_compile(s->k, &s->conv, &options, plan, &s->error);
}

static enum kiln_status compile(struct scene *s) { return compile_by(s, SCHEDULE, &s->out.plan); }
static enum kiln_status compile_wisely(struct scene *s) { return compile_by(s, NULL, &s->out.plan); }

/* Puts the kernel into the caches; a context made anew finds it on disk alone. */
static void in_memory(struct scene *s)
{
    WORKS(compile(s));
    kiln_plan_release(s->out.plan);
}

static void on_disk(struct scene *s)
{
    struct kiln *old = s->k, *k;
    in_memory(s);
    WORKS(context_make(s, &k));
    s->k = k;
    kiln_destroy(old);
}

static void has_wisdom(struct scene *s)
{
    WORKS(kiln_wisdom_import(s->k, wisdom_line, strlen(wisdom_line), &s->error));
}

/* A plan and packed weights. */
static void has_plan(struct scene *s)
{
    WORKS(compile_by(s, SCHEDULE, &s->ready));
    NEED(kiln_plan_packed_size(s->ready) <= sizeof packed, "the packed weights are too many");
    if (!s->wrong[0]) WORKS(kiln_pack(s->ready, weights, packed, &s->error));
    s->args = (struct kiln_args){.src = src, .weights = packed, .bias = bias, .dst = s->out.dst};
}

static void right_values(struct scene *s)
{
    for (int i = 0; i < FLOATS; i++)
        NEED(fabsf(s->out.dst[i] - want[i]) < 0.01f, "dst[%d] is %f, not %f", i, (double)s->out.dst[i],
             (double)want[i]);
}

/* That a plan computes what it should. */
static void right_plan(struct scene *s)
{
    if (s->wrong[0]) return;
    s->ready = s->out.plan;
    NEED(kiln_plan_packed_size(s->ready) <= sizeof packed, "the packed weights are too many");
    if (!s->wrong[0]) WORKS(kiln_pack(s->ready, weights, packed, &s->error));
    s->args = (struct kiln_args){.src = src, .weights = packed, .bias = bias, .dst = s->out.dst};
    if (!s->wrong[0]) WORKS(kiln_run(s->ready, &s->args, &s->error));
    if (!s->wrong[0]) right_values(s);
    kiln_plan_release(s->ready);
    s->ready = NULL;
}

/* ---- contexts ---- */

static void nothing(struct scene *s) { (void)s; }

static enum kiln_status call_create(struct scene *s) { return context_make(s, &s->out.k); }

static void check_create(struct scene *s)
{
    s->k = s->out.k;
    WORKS(compile(s));
    right_plan(s);
    kiln_destroy(s->k);
    s->k = NULL;
}

static void memory_make(void)
{
    static struct scene scene;
    static const struct trial any = {.config.cache = KILN_CACHE_OFF};
    struct scene *s = &scene;
    trial_enter();
    unsetenv("KILN_WISDOM");
#ifdef FAILING_GENERATOR
    setenv("KILN_GENERATOR", FAILING_GENERATOR, 1);
#endif
    for (int i = 0; i < FLOATS; i++) src[i] = (float)(i % 7 - 3);
    for (int i = 0; i < 16 * 16 * 9; i++) weights[i] = (float)(i % 5 - 2);
    for (int i = 0; i < 16; i++) bias[i] = (float)i;
    scene_open(s, &any);
    has_plan(s);
    s->args.dst = want;
    WORKS(kiln_interpret(&s->conv, weights, &s->args, &s->error));
    cr_assert(!s->wrong[0], "%s", s->wrong);
    snprintf(wisdom_line, sizeof wisdom_line, "%s  # comment\n", kiln_plan_text(s->ready));
    scene_close(s);
    FILE *file = fopen("wisdom", "w");
    cr_assert(file && fputs(wisdom_line, file) >= 0 && fclose(file) == 0);
}

TestSuite(memory, .init = memory_make, .fini = trial_leave, .timeout = 600);

Test(memory, create)
{
    TRY(.config = {.cache = KILN_CACHE_ON,
                   .wisdom = "wisdom",
                   .threads = 2,
                   .generator = getenv("KILN_GENERATOR")},
        .call = call_create, .check = check_create, .least = 5, .bare = true);
}

Test(memory, create_where_the_environment_says)
{
    char here[64];
    cr_assert(getcwd(here, sizeof here));
    setenv("XDG_CACHE_HOME", here, 1);
    unsetenv("KILN_CACHE_DIR");
    TRY(.config = {.cache = KILN_CACHE_ON, .cache_dir = "", .parallel = in_turn}, .call = call_create,
        .check = check_create, .least = 3, .bare = true);
}

/* ---- compiling ---- */

Test(memory, compile)
{
    setenv("JITDUMPDIR", ".", 1);
    TRY(.config = {.cache = KILN_CACHE_ON, .debug = "plan,cache,wisdom,ir,asm,jitdump,gdb"}, .call = compile,
        .check = right_plan, .least = 8);
}

Test(memory, compile_by_choice)
{
    TRY(.config = {.cache = KILN_CACHE_OFF}, .call = compile_wisely, .check = right_plan, .least = 5);
}

Test(memory, compile_with_wisdom)
{
    TRY(.config = {.cache = KILN_CACHE_OFF}, .prepare = has_wisdom, .call = compile_wisely,
        .check = right_plan, .least = 4);
}

Test(memory, compile_from_memory)
{
    TRY(.config = {.cache = KILN_CACHE_ON}, .prepare = in_memory, .call = compile, .check = right_plan,
        .least = 1);
}

Test(memory, compile_from_disk)
{
    TRY(.config = {.cache = KILN_CACHE_ON}, .prepare = on_disk, .call = compile, .check = right_plan,
        .least = 3);
}

/* The first, the second and the last are the same. */
static enum kiln_status call_many(struct scene *s)
{
    const struct kiln_options by = {.size = sizeof by, .schedule = SCHEDULE};
    const struct kiln_options *options[CONVS] = {&by, &by, NULL, &by};
    struct kiln_conv convs[CONVS] = {s->conv, s->conv, s->conv, s->conv};
    convs[2].ih = 5;
    memset(s->plans, FILL, sizeof s->plans);
    enum kiln_status status =
        kiln_compile_many(s->k, convs, options, CONVS, 3, s->plans, NULL, NULL, &s->error);
    for (int i = 0; i < CONVS; i++) {
        NEED(status || s->plans[i], "no plan of convs[%d]", i);
        if (status) kiln_plan_release(s->plans[i]); /* those that have none have NULL */
    }
    return status;
}

static void check_many(struct scene *s)
{
    for (int i = 1; i < CONVS; i++) kiln_plan_release(s->plans[i]);
    s->out.plan = s->plans[0];
    right_plan(s);
}

Test(memory, compile_many)
{
    TRY(.config = {.cache = KILN_CACHE_ON}, .call = call_many, .check = check_many, .least = 10);
}

/* ---- telling ---- */

static enum kiln_status call_explain(struct scene *s)
{
    return kiln_explain(s->k, &s->conv, NULL, hear, s, &s->error);
}

static enum kiln_status call_explain_given(struct scene *s)
{
    const struct kiln_options options = {.size = sizeof options, .schedule = SCHEDULE};
    return kiln_explain(s->k, &s->conv, &options, hear, s, &s->error);
}

static enum kiln_status call_candidates(struct scene *s)
{
    return kiln_candidates(s->k, &s->conv, NULL, hear, s, &s->error);
}

static enum kiln_status call_list(struct scene *s)
{
    const struct kiln_options options = {.size = sizeof options, .candidates = 100};
    return kiln_candidates(s->k, &s->conv, &options, hear, s, &s->error);
}

static enum kiln_status dump(struct scene *s, enum kiln_dump what)
{
    return kiln_dump(s->k, &s->conv, NULL, what, hear, s, &s->error);
}
static enum kiln_status call_ir(struct scene *s) { return dump(s, KILN_DUMP_IR); }
static enum kiln_status call_ir_opt(struct scene *s) { return dump(s, KILN_DUMP_IR_OPT); }
static enum kiln_status call_asm(struct scene *s) { return dump(s, KILN_DUMP_ASM); }
static enum kiln_status call_object(struct scene *s) { return dump(s, KILN_DUMP_OBJECT); }
static enum kiln_status call_image(struct scene *s) { return dump(s, KILN_DUMP_IMAGE); }

Test(memory, explain) { TRY(.call = call_explain, .check = nothing, .least = 3); }
Test(memory, explain_given) { TRY(.call = call_explain_given, .check = nothing, .least = 2); }
Test(memory, candidates) { TRY(.call = call_candidates, .check = nothing, .least = 2); }
Test(memory, candidates_listed) { TRY(.call = call_list, .check = nothing, .least = 2); }

Test(memory, dump)
{
    TRY(.call = call_ir, .check = nothing, .least = 2);
    TRY(.call = call_ir_opt, .check = nothing, .least = 3);
    TRY(.call = call_asm, .check = nothing, .least = 3);
    TRY(.call = call_object, .check = nothing, .least = 3);
    TRY(.call = call_image, .check = nothing, .least = 4);
}

static void hear_file(void *user, const struct kiln_aot_file *file) { hear(user, file->bytes, file->count); }

/* For two ISAs of another machine, so that there is nothing to be made executable. */
static enum kiln_status call_aot(struct scene *s)
{
    const struct kiln_options low = {.size = sizeof low, .target = "x86_64", .isa = "sse2"};
    const struct kiln_options high = {.size = sizeof high, .target = "x86_64", .isa = "avx2"};
    const struct kiln_conv convs[] = {s->conv, s->conv};
    return kiln_aot(s->k, "net", convs, (const struct kiln_options *[]){&low, &high}, 2, hear_file, s,
                    &s->error);
}

Test(memory, aot) { TRY(.call = call_aot, .check = nothing, .least = 15); }

/* ---- wisdom and tuning ---- */

static enum kiln_status call_import(struct scene *s)
{
    return kiln_wisdom_import(s->k, wisdom_line, strlen(wisdom_line), &s->error);
}

static void check_import(struct scene *s)
{
    WORKS(compile_wisely(s));
    right_plan(s);
}

static enum kiln_status call_export(struct scene *s) { return kiln_wisdom_export(s->k, hear, s, &s->error); }

static enum kiln_status call_tune(struct scene *s)
{
    const struct kiln_options options = {.size = sizeof options, .effort = KILN_EFFORT_ESTIMATE};
    const struct kiln_tuning tuning = {.size = sizeof tuning, .seconds = 0.01, .noisy = true};
    return kiln_tune(s->k, &s->conv, &options, &tuning, &s->out.tuned, &s->error);
}

static void check_tune(struct scene *s)
{
    NEED(s->out.tuned.us > 0 && strstr(s->out.tuned.line, " us estimate="), "no line of wisdom");
    WORKS(compile_wisely(s));
    right_plan(s);
}

Test(memory, wisdom_import) { TRY(.call = call_import, .check = check_import, .least = 3); }
Test(memory, wisdom_export) { TRY(.prepare = has_wisdom, .call = call_export, .check = nothing); }

Test(memory, tune) { TRY(.prepare = has_wisdom, .call = call_tune, .check = check_tune, .least = 13); }

/* ---- the cache on disk ---- */

static void say_entry(void *user, const struct kiln_cache_entry *entry)
{
    hear(user, entry->plan ? entry->plan : "not sound", 9);
}

static enum kiln_status call_cache_list(struct scene *s)
{
    enum kiln_status status = kiln_cache_list(s->k, say_entry, s, &s->error);
    if (status) s->said = 0; /* files before the one that there was no memory for have been told */
    return status;
}

static enum kiln_status call_prune(struct scene *s)
{
    return kiln_cache_prune(s->k, 0, &s->out.removed, &s->error);
}

static void check_prune(struct scene *s)
{
    NEED(s->out.removed <= 1, "%d were removed", (int)s->out.removed);
    WORKS(compile(s));
    right_plan(s);
}

Test(memory, cache_list)
{
    TRY(.config = {.cache = KILN_CACHE_ON}, .prepare = on_disk, .call = call_cache_list, .check = nothing,
        .least = 2);
}

Test(memory, cache_prune)
{
    TRY(.config = {.cache = KILN_CACHE_ON}, .prepare = on_disk, .call = call_prune, .check = check_prune,
        .least = 1);
}

/* ---- running ---- */

static enum kiln_status call_run(struct scene *s) { return kiln_run(s->ready, &s->args, &s->error); }

static enum kiln_status call_run_part(struct scene *s)
{
    return kiln_run_part(s->ready, &s->args, NULL, 0, 1, &s->error);
}

/* What is said not to need memory: a first failure would be one too many. */
static enum kiln_status call_others(struct scene *s)
{
    struct kiln_stats stats;
    struct kiln_conv conv;
    int64_t out[3];
    char text[KILN_TEXT_MAX];
    const int64_t at[5] = {0, 0, 0, 1, 1};
    struct kiln_args args = s->args;
    enum kiln_status status = kiln_conv_parse(&conv, CONV, &s->error);
    kiln_conv_init(&conv);
    kiln_conv_print(&s->conv, text, sizeof text);
    kiln_stats(s->k, &stats);
    if (!status) status = kiln_conv_output(&s->conv, out, &s->error);
    if (!status) status = kiln_pack(s->ready, weights, packed, &s->error);
    args.weights = NULL;
    if (!status) status = kiln_interpret(&s->conv, weights, &args, &s->error);
    if (!status) status = kiln_interpret_at(&s->conv, weights, &args, at, &s->out.value, &s->error);
    if (!status) status = kiln_explain_at(&s->conv, weights, &args, at, hear, s, &s->error);
    if (!status) status = kiln_cpu_print(s->k, NULL, hear, s, &s->error);
    kiln_plan_release(kiln_plan_retain(s->ready));
    NEED(kiln_cache_path(s->k) && kiln_plan_text(s->ready), "a name is missing");
    kiln_plan_release(s->ready);
    kiln_destroy(s->k);
    s->ready = NULL, s->k = NULL;
    return status;
}

Test(memory, run)
{
    TRY(.config = {.parallel = in_turn, .threads = 2}, .prepare = has_plan, .call = call_run,
        .check = right_values, .least = 1);
}

Test(memory, run_part) { TRY(.prepare = has_plan, .call = call_run_part, .check = right_values, .least = 1); }

Test(memory, others_need_none)
{
    trial_unfailing(&(const struct trial){.prepare = has_plan, .call = call_others, .check = right_values});
}
