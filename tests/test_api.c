/* The public functions around compiling: what they refuse, and what contexts, keys and plans promise. */
#include "api.h"

#include <pthread.h>

TestSuite(api);

Test(api, names_and_version)
{
    static const char *const names[] = {"ok",     "invalid",  "unsupported", "memory",
                                        "system", "internal", "unknown"};
    for (int i = 0; i < 7; i++) cr_assert_str_eq(kiln_status_name((enum kiln_status)i), names[i]);
    cr_assert_str_eq(kiln_status_name((enum kiln_status) - 1), "unknown");
    cr_assert_str_eq(kiln_version(), "0.1.0");
}

/* ---- contexts ---- */

Test(api, create_refuses)
{
    struct {
        struct kiln_config c;
        enum kiln_status status;
        const char *why;
    } rows[] = {
        {{.size = 0}, KILN_STATUS_INVALID, "size is 0"},
        {{.size = 4}, KILN_STATUS_INVALID, "size is 4"},
        {{.size = SIZE_MAX}, KILN_STATUS_INVALID, "size is"},
        {{.size = sizeof(struct kiln_config), .threads = -1}, KILN_STATUS_INVALID, "threads is -1"},
        {{.size = sizeof(struct kiln_config), .threads = 1025}, KILN_STATUS_INVALID, "threads is 1025"},
        {{.size = sizeof(struct kiln_config), .isa = "mmx"}, KILN_STATUS_INVALID, "isa is \"mmx\""},
        {{.size = sizeof(struct kiln_config), .isa = ""}, KILN_STATUS_INVALID, "isa is \"\""},
        {{.size = sizeof(struct kiln_config), .debug = "plan,frob"},
         KILN_STATUS_INVALID,
         "must be some of plan,cache,wisdom,ir,asm,perf,jitdump,gdb"},
        {{.size = sizeof(struct kiln_config), .debug = "plan,,ir"}, KILN_STATUS_INVALID, "debug is"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct kiln *k = (void *)rows;
        REFUSES(kiln_create(&k, &rows[i].c, &error), rows[i].status, rows[i].why);
        cr_assert_eq(k, (void *)rows, "a failure changed its output");
        cr_assert_eq(kiln_create(&k, &rows[i].c, NULL), rows[i].status);
    }
    REFUSES(kiln_create(NULL, NULL, &error), KILN_STATUS_INVALID, "k is NULL");
    kiln_destroy(NULL);
}

Test(api, create_reads_the_environment)
{
    static const char *const rows[][3] = {
        {"KILN_THREADS", "0", "KILN_THREADS is \"0\""}, {"KILN_THREADS", "2000", "1 to 1024"},
        {"KILN_THREADS", "2x", "KILN_THREADS"},         {"KILN_ISA", "sse9", "KILN_ISA is \"sse9\""},
        {"KILN_DEBUG", "all", "KILN_DEBUG is \"all\""},
    };
    struct kiln *k;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        setenv(rows[i][0], rows[i][1], 1);
        REFUSES(kiln_create(&k, NULL, &error), KILN_STATUS_INVALID, rows[i][2]);
        setenv(rows[i][0], "", 1);
        WORKS(kiln_create(&k, NULL, &error));
        kiln_destroy(k);
    }
}

Test(api, the_configuration_wins_over_the_environment)
{
    setenv("KILN_THREADS", "bad", 1);
    setenv("KILN_ISA", "bad", 1);
    setenv("KILN_DEBUG", "bad", 1);
    setenv("KILN_GENERATOR", "/nowhere", 1);
    struct kiln *k = context_with((struct kiln_config){.threads = 1, .isa = "sse2", .debug = ""});
    struct kiln_plan *plan = plan_of(k, SMALL, NULL);
    cr_assert(strstr(kiln_plan_text(plan), "| sse2"));
    kiln_plan_release(plan);
    kiln_destroy(k);
}

/* An older caller's struct ends earlier; a newer one's has fields that are zero, or that we lack. */
Test(api, structs_of_other_versions)
{
    struct {
        struct kiln_config config;
        char more[24];
    } newer = {.config = {.size = sizeof newer}};
    struct kiln *k;
    WORKS(kiln_create(&k, &newer.config, &error));
    kiln_destroy(k);
    newer.more[3] = 1;
    REFUSES(kiln_create(&k, &newer.config, &error), KILN_STATUS_INVALID, "struct kiln_config");
    struct kiln_config older = {.size = offsetof(struct kiln_config, debug), .debug = "not looked at"};
    WORKS(kiln_create(&k, &older, &error));
    kiln_destroy(k);
}

/* ---- the generator ---- */

static enum kiln_status compile_with(const char *generator)
{
    struct kiln_conv c = conv_of(SMALL);
    struct kiln_plan *plan = NULL;
    struct kiln_config config = {.size = sizeof config, .generator = generator};
    struct kiln *k;
    WORKS(kiln_create(&k, &config, &error));
    enum kiln_status status = kiln_compile(k, &c, NULL, &plan, &error);
    cr_assert_eq(status == KILN_STATUS_OK, plan != NULL);
    kiln_plan_release(plan);
    kiln_destroy(k);
    return status;
}

Test(api, a_missing_generator_is_told)
{
    REFUSES(compile_with("/nowhere/libkiln-generator.so"), KILN_STATUS_SYSTEM,
            "/nowhere/libkiln-generator.so");
    cr_assert(strstr(error.text, "LLVM 19") && strstr(error.text, "libllvm19"), "%s", error.text);
    REFUSES(compile_with(NOT_A_GENERATOR), KILN_STATUS_SYSTEM, "lacks kiln_generator");
    REFUSES(compile_with(OLD_GENERATOR), KILN_STATUS_SYSTEM, "is of version");
}

#ifndef KILN_STATIC_GENERATOR
Test(api, the_generator_is_looked_for)
{
    setenv("KILN_GENERATOR", "/elsewhere/x.so", 1);
    REFUSES(compile_with(NULL), KILN_STATUS_SYSTEM, "/elsewhere/x.so");
    setenv("KILN_GENERATOR", FAKE_GENERATOR, 1);
    WORKS(compile_with(NULL));
}
#endif

Test(api, a_failing_generator_is_passed_on)
{
    static const struct {
        const char *schedule;
        enum kiln_status status;
        const char *why;
    } rows[] = {
        {"invalid", KILN_STATUS_INVALID, "made to fail"},
        {"unsupported", KILN_STATUS_UNSUPPORTED, "made to fail"},
        {"memory", KILN_STATUS_MEMORY, "made to fail"},
        {"internal", KILN_STATUS_INTERNAL, "made to fail"},
        {"damaged", KILN_STATUS_INTERNAL, "checksum"},
        {"cut", KILN_STATUS_INTERNAL, "bytes"},
    };
    struct kiln *k = context_with((struct kiln_config){0});
    struct kiln_conv c = conv_of(SMALL);
    struct kiln_stats stats;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct kiln_options o = {.size = sizeof o, .schedule = rows[i].schedule};
        struct kiln_plan *plan = (void *)&c;
        struct said said = {0};
        REFUSES(kiln_compile(k, &c, &o, &plan, &error), rows[i].status, rows[i].why);
        cr_assert_eq(plan, (void *)&c, "a failure changed its output");
        if (i >= 4) continue;
        REFUSES(kiln_explain(k, &c, &o, say, &said, &error), rows[i].status, rows[i].why);
        REFUSES(kiln_dump(k, &c, &o, KILN_DUMP_IR, say, &said, &error), rows[i].status, rows[i].why);
        cr_assert_eq(said.length, 0);
    }
    kiln_stats(k, &stats);
    cr_assert_eq(stats.misses, sizeof rows / sizeof *rows);
    cr_assert_eq(stats.hits, 0);
    cr_assert_eq(stats.compiles, 0);
    cr_assert_eq(stats.compile_ms, 0);
    cr_assert_eq(stats.bytes, 0);
    kiln_destroy(k);
}

/* ---- compiling ---- */

Test(api, options_are_checked)
{
    static const struct {
        struct kiln_options o;
        enum kiln_status status;
        const char *why;
    } rows[] = {
        {{.size = 0}, KILN_STATUS_INVALID, "size is 0"},
        {{.size = sizeof(struct kiln_options), .effort = 7}, KILN_STATUS_INVALID, "effort is 7"},
        {{.size = sizeof(struct kiln_options), .code_budget = -1}, KILN_STATUS_INVALID, "code_budget is -1"},
        {{.size = sizeof(struct kiln_options), .code_budget = 4097}, KILN_STATUS_INVALID, "0 to 4096"},
        {{.size = sizeof(struct kiln_options), .isa = "mmx"}, KILN_STATUS_INVALID, "isa is \"mmx\""},
        {{.size = sizeof(struct kiln_options), .isa = "avx2"},
         KILN_STATUS_UNSUPPORTED,
         "the context's isa allows at most sse2"},
        {{.size = sizeof(struct kiln_options), .target = "vax"}, KILN_STATUS_INVALID, "target is \"vax\""},
        {{.size = sizeof(struct kiln_options), .target = "aarch64", .isa = "avx2"},
         KILN_STATUS_INVALID,
         "neon"},
        {{.size = sizeof(struct kiln_options), .schedule = ""}, KILN_STATUS_INVALID, "schedule is empty"},
        {{.size = sizeof(struct kiln_options), .schedule = "  "}, KILN_STATUS_INVALID, "schedule is empty"},
        {{.size = sizeof(struct kiln_options), .schedule = SMALL " |  | sse2"}, KILN_STATUS_INVALID, "empty"},
        {{.size = sizeof(struct kiln_options), .schedule = SMALL " | x"},
         KILN_STATUS_INVALID,
         "without the form"},
        {{.size = sizeof(struct kiln_options), .schedule = SMALL " | x | "},
         KILN_STATUS_INVALID,
         "without the form"},
        {{.size = sizeof(struct kiln_options), .schedule = SMALL " | x | sse2 | y"},
         KILN_STATUS_INVALID,
         "without the form"},
        {{.size = sizeof(struct kiln_options), .schedule = SMALL " | x | avx2"},
         KILN_STATUS_UNSUPPORTED,
         "at most sse2"},
        {{.size = sizeof(struct kiln_options), .schedule = SMALL " | x | mmx"},
         KILN_STATUS_INVALID,
         "isa is \"mmx\""},
        {{.size = sizeof(struct kiln_options), .schedule = SMALL " | x | neon"},
         KILN_STATUS_INVALID,
         "isa is \"neon\""},
        {{.size = sizeof(struct kiln_options),
          .schedule = SMALL " | x | abcdefghijklmnopqrstuvwxyzabcdefghijklmnop"},
         KILN_STATUS_INVALID,
         "not a machine"},
        {{.size = sizeof(struct kiln_options), .schedule = BIG " | x | sse2"},
         KILN_STATUS_INVALID,
         "another conv"},
        {{.size = sizeof(struct kiln_options), .schedule = "conv frob | x | sse2"},
         KILN_STATUS_INVALID,
         "frob"},
    };
    struct kiln *k = context_with((struct kiln_config){.isa = "sse2"});
    struct kiln_conv c = conv_of(SMALL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct kiln_plan *plan = NULL;
        struct said said = {0};
        REFUSES(kiln_compile(k, &c, &rows[i].o, &plan, &error), rows[i].status, rows[i].why);
        REFUSES(kiln_explain(k, &c, &rows[i].o, say, &said, &error), rows[i].status, rows[i].why);
        REFUSES(kiln_dump(k, &c, &rows[i].o, KILN_DUMP_ASM, say, &said, &error), rows[i].status, rows[i].why);
        if (!rows[i].o.schedule)
            REFUSES(kiln_cpu_print(k, &rows[i].o, say, &said, &error), rows[i].status, rows[i].why);
        cr_assert_eq(said.length, 0);
        cr_assert_null(plan);
    }
    kiln_destroy(k);
}

Test(api, a_plan_line_caps_the_machine)
{
    struct kiln *k = context_with((struct kiln_config){0});
    struct kiln_conv c = conv_of(SMALL);
    struct kiln_plan *plan;
    struct kiln_options o = {.size = sizeof o, .target = "x86_64", .schedule = SMALL " | some ow=3 | avx2"};
    WORKS(kiln_compile(k, &c, &o, &plan, &error));
    cr_assert_str_eq(kiln_plan_text(plan), SMALL " | some ow=3 | avx2");
    kiln_plan_release(plan);
    o.isa = "sse2";
    REFUSES(kiln_compile(k, &c, &o, &plan, &error), KILN_STATUS_UNSUPPORTED, "at most sse2");
    kiln_destroy(k);
}

Test(api, a_schedule_too_long_is_refused)
{
    struct kiln *k = context_with((struct kiln_config){0});
    struct kiln_conv c = conv_of(SMALL);
    struct kiln_plan *plan;
    char *schedule = malloc(100001);
    memset(schedule, 'x', 100000);
    schedule[100000] = '\0';
    struct kiln_options o = {.size = sizeof o, .schedule = schedule};
    REFUSES(kiln_compile(k, &c, &o, &plan, &error), KILN_STATUS_INVALID, "100000 bytes");
    free(schedule);
    kiln_destroy(k);
}

Test(api, null_is_refused)
{
    struct kiln *k = context_with((struct kiln_config){0});
    struct kiln_conv c = conv_of(SMALL), bad = c;
    struct kiln_plan *plan;
    struct said said;
    bad.ic = 0;
    REFUSES(kiln_compile(NULL, &c, NULL, &plan, &error), KILN_STATUS_INVALID, "k is NULL");
    REFUSES(kiln_compile(k, NULL, NULL, &plan, &error), KILN_STATUS_INVALID, "conv is NULL");
    REFUSES(kiln_compile(k, &c, NULL, NULL, &error), KILN_STATUS_INVALID, "plan is NULL");
    REFUSES(kiln_compile(k, &bad, NULL, &plan, &error), KILN_STATUS_INVALID, "ic is 0");
    REFUSES(kiln_explain(NULL, &c, NULL, say, &said, &error), KILN_STATUS_INVALID, "k is NULL");
    REFUSES(kiln_explain(k, NULL, NULL, say, &said, &error), KILN_STATUS_INVALID, "conv is NULL");
    REFUSES(kiln_explain(k, &c, NULL, NULL, NULL, &error), KILN_STATUS_INVALID, "sink is NULL");
    REFUSES(kiln_candidates(NULL, &c, NULL, say, &said, &error), KILN_STATUS_INVALID, "k is NULL");
    REFUSES(kiln_candidates(k, &bad, NULL, say, &said, &error), KILN_STATUS_INVALID, "ic is 0");
    REFUSES(kiln_candidates(k, &c, NULL, NULL, NULL, &error), KILN_STATUS_INVALID, "sink is NULL");
    REFUSES(kiln_dump(NULL, &c, NULL, KILN_DUMP_IR, say, &said, &error), KILN_STATUS_INVALID, "k is NULL");
    REFUSES(kiln_dump(k, NULL, NULL, KILN_DUMP_IR, say, &said, &error), KILN_STATUS_INVALID, "conv is NULL");
    REFUSES(kiln_dump(k, &c, NULL, KILN_DUMP_IR, NULL, NULL, &error), KILN_STATUS_INVALID, "sink is NULL");
    REFUSES(kiln_dump(k, &c, NULL, 5, say, &said, &error), KILN_STATUS_INVALID, "what is 5");
    REFUSES(kiln_cpu_print(NULL, NULL, say, &said, &error), KILN_STATUS_INVALID, "k is NULL");
    REFUSES(kiln_cpu_print(k, NULL, NULL, NULL, &error), KILN_STATUS_INVALID, "sink is NULL");
    kiln_stats(NULL, NULL);
    kiln_stats(k, NULL);
    kiln_plan_release(NULL);
    cr_assert_null(kiln_plan_retain(NULL));
    cr_assert_null(kiln_plan_text(NULL));
    cr_assert_null(kiln_plan_conv(NULL));
    cr_assert_null(kiln_plan_kernel(NULL));
    cr_assert_null(kiln_plan_packer(NULL));
    cr_assert_not(kiln_plan_exact(NULL));
    cr_assert_eq(kiln_plan_tasks(NULL) + kiln_plan_packed_size(NULL) + kiln_plan_scratch_size(NULL), 0);
    kiln_destroy(k);
}

Test(api, what_changes_the_code_changes_the_key)
{
    static const struct {
        const char *conv;
        struct kiln_options o;
        bool new; /* not asked for before */
    } rows[] = {
        {SMALL, {0}, true},
        {SMALL, {0}, false},
        {"conv f32 kw1 oc2 n1 iw4 ic2 nhwc", {0}, false},
        {SMALL, {.code_budget = 800}, false},
        {SMALL, {.code_budget = 100}, true},
        {SMALL, {.scratch_limit = 1000}, true},
        {SMALL, {.schedule = "fast ow=3"}, true},
        {SMALL, {.schedule = " fast ow=3 "}, false},
        {SMALL, {.schedule = SMALL " | fast ow=3 | sse2"}, false},
        {SMALL, {.schedule = "fast ow=33"}, true},
        {SMALL, {.isa = "sse2"}, false},
        {SMALL, {.target = "aarch64"}, true},
        {SMALL, {.target = "x86_64", .isa = "sse2"}, true},
        {SMALL, {.target = "x86_64", .isa = "avx2"}, true},
        {SMALL, {.target = "x86_64", .isa = "sse2"}, false},
        {SMALL " +relu", {0}, true},
        {SMALL " +clip(0,6)", {0}, true},
        {SMALL " +clip(0,7)", {0}, true},
        {"conv ic2 iw4 oc2 kw1 f32 nchw", {0}, true},
        {SMALL, {0}, false},
    };
    struct kiln *k = context_with((struct kiln_config){.isa = "sse2"});
    uint64_t compiles = 0, hits = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct kiln_options o = rows[i].o;
        struct kiln_conv c = conv_of(rows[i].conv);
        struct kiln_plan *plan;
        struct kiln_stats stats;
        c.post[c.post_count].b = (float)i; /* means nothing */
        o.size = sizeof o;
        WORKS(kiln_compile(k, &c, &o, &plan, &error));
        kiln_plan_release(plan);
        kiln_stats(k, &stats);
        compiles += rows[i].new;
        hits += !rows[i].new;
        cr_assert_eq(stats.compiles, compiles, "row %zu", i);
        cr_assert_eq(stats.hits, hits, "row %zu", i);
        cr_assert_eq(stats.misses, compiles);
        cr_assert_gt(stats.bytes, 0);
        cr_assert_gt(stats.compile_ms, 0);
    }
    kiln_destroy(k);
}

Test(api, plans_outlive_eviction_and_the_context)
{
    struct kiln *k = context_with((struct kiln_config){.cache_bytes = 7000, .threads = 2}); /* one kernel */
    struct kiln_plan *a = plan_of(k, SMALL, "one"), *b = plan_of(k, SMALL, "two"), *c = plan_of(k, BIG, NULL);
    struct kiln_stats stats;
    kiln_stats(k, &stats);
    cr_assert_geq(stats.evictions, 1);
    kiln_plan_retain(a);
    kiln_plan_release(a);
    kiln_destroy(k);
    struct kiln_conv conv = conv_of(SMALL);
    cr_assert(strstr(kiln_plan_text(a), "| one |") && strstr(kiln_plan_text(b), "| two |"));
    cr_assert_eq(kiln_plan_conv(a)->ic, conv.ic);
    cr_assert(kiln_plan_exact(a));
    cr_assert_eq(kiln_plan_tasks(a), 40);
    cr_assert_eq(kiln_plan_packed_size(a), 64);
    int dst[40] = {0};
    _Alignas(64) char packed[64];
    struct kiln_args args = {dst, packed, dst, dst, dst, dst, dst};
    WORKS(kiln_run(a, &args, &error));
    WORKS(kiln_run(c, &args, &error));
    for (int i = 0; i < 40; i++) cr_assert_eq(dst[i], 2);
    kiln_plan_release(a);
    kiln_plan_release(b);
    kiln_plan_release(c);
}

/* A target is another machine even if it has this one's architecture. */
Test(api, plans_of_another_target_do_not_run)
{
    static const char *const targets[] = {"x86_64", "aarch64"};
    struct kiln *k = context_with((struct kiln_config){0});
    struct kiln_conv c = conv_of(SMALL);
    for (int i = 0; i < 2; i++) {
        struct kiln_options o = {.size = sizeof o, .target = targets[i]};
        struct kiln_plan *plan;
        struct kiln_args args = {0};
        WORKS(kiln_compile(k, &c, &o, &plan, &error));
        cr_assert_null(kiln_plan_kernel(plan));
        cr_assert_null(kiln_plan_packer(plan));
        REFUSES(kiln_run(plan, &args, &error), KILN_STATUS_UNSUPPORTED, "another target");
        REFUSES(kiln_run_part(plan, &args, NULL, 0, 1, &error), KILN_STATUS_UNSUPPORTED, "another target");
        REFUSES(kiln_pack(plan, &c, &c, &error), KILN_STATUS_UNSUPPORTED, "another target");
        kiln_plan_release(plan);
    }
    kiln_destroy(k);
}

/* ---- telling ---- */

Test(api, explain_dump_and_cpu)
{
    struct kiln *k = context_with((struct kiln_config){.isa = "sse2"});
    struct kiln_conv c = conv_of(SMALL);
    struct said explained = {0}, candidates = {0}, dumped = {0}, cpu = {0}, target = {0};
    WORKS(kiln_explain(k, &c, NULL, say, &explained, &error));
    cr_assert(strstr(explained.text, "| fake | sse2"), "%s", explained.text);
    WORKS(kiln_candidates(k, &c, NULL, say, &candidates, &error));
    cr_assert(strstr(candidates.text, "| fake | sse2"), "%s", candidates.text);
    WORKS(kiln_dump(k, &c, NULL, KILN_DUMP_IMAGE, say, &dumped, &error));
    cr_assert_str_eq(dumped.text, "dump 4\nline 2");
    WORKS(kiln_cpu_print(k, NULL, say, &cpu, &error));
    static const char *const lines[] = {"isa        sse2\n",   "vectors    4 lanes", "16 registers\n",
                                        "tune       x86-64\n", "features   +sse2\n", "KiB",
                                        "LLVM 0.fake\n"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        cr_assert(strstr(cpu.text, lines[i]), "%s", cpu.text);
    struct kiln_options o = {.size = sizeof o, .target = "aarch64"};
    WORKS(kiln_cpu_print(k, &o, say, &target, &error));
    cr_assert(strstr(target.text, "isa        neon\n"), "%s", target.text);
    kiln_destroy(k);
}

/* ---- many threads ---- */

static void *compile_thread(void *user)
{
    struct kiln *k = user;
    kiln_plan_release(plan_of(k, SMALL, NULL));
    return NULL;
}

Test(api, eight_threads_compile_once)
{
    pthread_t threads[8];
    struct kiln_stats stats;
    struct kiln *k = context_with((struct kiln_config){0});
    for (int i = 0; i < 8; i++) pthread_create(&threads[i], NULL, compile_thread, k);
    for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
    kiln_stats(k, &stats);
    cr_assert_eq(stats.compiles, 1);
    cr_assert_eq(stats.hits, 7);
    kiln_destroy(k);
}
