/* Running plans: what is refused, that every task runs exactly once however it is shared out, and the
 * oracle's checks. */
#include "api.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TASKS = 40 }; /* of the fake module's kernels, which count in dst[task] */

static _Alignas(64) char packed[64];
static float any[64];

static struct kiln_args args_into(int *dst)
{
    return (struct kiln_args){any, packed, any, any, any, any, dst};
}

static void each_ran(const int *dst, int times)
{
    for (int i = 0; i < TASKS; i++) cr_assert_eq(dst[i], times, "task %d ran %d times", i, dst[i]);
}

/* ---- what is refused ---- */

Test(run, tensors_are_checked)
{
    static const struct {
        const char *name;
        size_t offset;
        uintptr_t off; /* bytes by which it may not be misaligned */
    } rows[] = {
        {"src", offsetof(struct kiln_args, src), 2},   {"weights", offsetof(struct kiln_args, weights), 32},
        {"bias", offsetof(struct kiln_args, bias), 1}, {"scale", offsetof(struct kiln_args, scale), 2},
        {"add", offsetof(struct kiln_args, add), 3},   {"prelu", offsetof(struct kiln_args, prelu), 2},
        {"dst", offsetof(struct kiln_args, dst), 2},
    };
    struct kiln *k = context_with((struct kiln_config){0});
    struct kiln_plan *plan = plan_of(k, BIG, NULL);
    int dst[TASKS] = {0};
    char why[64];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct kiln_args args = args_into(dst);
        char **tensor = (char **)((char *)&args + rows[i].offset);
        *tensor += rows[i].off;
        snprintf(why, sizeof why, "%s is at ", rows[i].name);
        REFUSES(kiln_run(plan, &args, &error), KILN_STATUS_INVALID, why);
        *tensor = NULL;
        snprintf(why, sizeof why, "%s is NULL", rows[i].name);
        REFUSES(kiln_run(plan, &args, &error), KILN_STATUS_INVALID, why);
        REFUSES(kiln_run_part(plan, &args, NULL, 0, 1, &error), KILN_STATUS_INVALID, why);
        cr_assert_eq(kiln_run(plan, &args, NULL), KILN_STATUS_INVALID);
    }
    each_ran(dst, 0);
    kiln_plan_release(plan);
    kiln_destroy(k);
}

Test(run, unused_tensors_are_not_looked_at)
{
    struct kiln *k = context_with((struct kiln_config){0});
    struct kiln_plan *plan = plan_of(k, SMALL, NULL);
    int dst[TASKS] = {0};
    struct kiln_args args = {.src = any, .weights = packed, .bias = (char *)any + 1, .dst = dst};
    WORKS(kiln_run(plan, &args, &error));
    each_ran(dst, 1);
    kiln_plan_release(plan);
    kiln_destroy(k);
}

Test(run, other_bad_input)
{
    struct kiln *k = context_with((struct kiln_config){0});
    struct kiln_plan *plan = plan_of(k, SMALL, NULL), *huge = plan_of(k, SMALL, "huge");
    int dst[TASKS] = {0};
    struct kiln_args args = args_into(dst);
    REFUSES(kiln_run(NULL, &args, &error), KILN_STATUS_INVALID, "plan is NULL");
    REFUSES(kiln_run(plan, NULL, &error), KILN_STATUS_INVALID, "args is NULL");
    REFUSES(kiln_run(huge, &args, &error), KILN_STATUS_MEMORY, "scratch");
    REFUSES(kiln_run_part(NULL, &args, NULL, 0, 1, &error), KILN_STATUS_INVALID, "plan is NULL");
    REFUSES(kiln_run_part(plan, NULL, NULL, 0, 1, &error), KILN_STATUS_INVALID, "args is NULL");
    REFUSES(kiln_run_part(plan, &args, NULL, 0, 0, &error), KILN_STATUS_INVALID, "nth is 0");
    REFUSES(kiln_run_part(plan, &args, NULL, 3, 3, &error), KILN_STATUS_INVALID, "ith is 3");
    REFUSES(kiln_run_part(plan, &args, packed + 8, 0, 1, &error), KILN_STATUS_INVALID, "scratch is");
    REFUSES(kiln_run_part(huge, &args, NULL, 0, 1, &error), KILN_STATUS_MEMORY, "scratch");
    REFUSES(kiln_pack(NULL, any, packed, &error), KILN_STATUS_INVALID, "plan is NULL");
    REFUSES(kiln_pack(plan, NULL, packed, &error), KILN_STATUS_INVALID, "weights is");
    REFUSES(kiln_pack(plan, (char *)any + 2, packed, &error), KILN_STATUS_INVALID, "aligned to 4");
    REFUSES(kiln_pack(plan, any, NULL, &error), KILN_STATUS_INVALID, "packed is");
    REFUSES(kiln_pack(plan, any, packed + 4, &error), KILN_STATUS_INVALID, "aligned to 64");
    each_ran(dst, 0);
    any[0] = 3;
    WORKS(kiln_pack(plan, any, packed, &error));
    cr_assert_eq(*(float *)packed, 3);
    kiln_plan_release(plan);
    kiln_plan_release(huge);
    kiln_destroy(k);
}

/* ---- every task once ---- */

Test(run, parts_cover_all_tasks_once)
{
    static const size_t counts[] = {1, 2, 3, 7, 39, 40, 41, 1000, SIZE_MAX};
    struct kiln *k = context_with((struct kiln_config){0});
    struct kiln_plan *plan = plan_of(k, SMALL, NULL);
    for (size_t r = 0; r < sizeof counts / sizeof *counts; r++) {
        int dst[TASKS] = {0};
        struct kiln_args args = args_into(dst);
        size_t nth = counts[r], last = nth < 1000 ? nth : 1000; /* later shares of more are empty */
        for (size_t i = last; i-- > 0;) WORKS(kiln_run_part(plan, &args, NULL, i, nth, &error));
        each_ran(dst, 1);
        WORKS(kiln_run_part(plan, &args, NULL, nth - 1, nth, &error));
    }
    kiln_plan_release(plan);
    kiln_destroy(k);
}

Test(run, the_pool_runs_all_tasks_once)
{
    static const char *const schedules[] = {NULL, "scratch"};
    for (int threads = 1; threads <= 3; threads++) {
        for (int s = 0; s < 2; s++) {
            struct kiln *k = context_with((struct kiln_config){.threads = threads});
            struct kiln_plan *plan = plan_of(k, BIG, schedules[s]);
            int dst[TASKS] = {0};
            struct kiln_args args = args_into(dst);
            for (int i = 1; i <= 20; i++) {
                WORKS(kiln_run(plan, &args, &error));
                each_ran(dst, i);
            }
            kiln_plan_release(plan);
            kiln_destroy(k);
        }
    }
}

static int threads_of(struct kiln_config config)
{
    struct kiln_stats stats;
    struct kiln *k = context_with(config);
    kiln_stats(k, &stats);
    kiln_destroy(k);
    return stats.threads;
}

static void loop_run(void *user, size_t count, void (*work)(void *arg, size_t i), void *arg);

/* More would spin beside each other; the caller's own are the caller's business. */
Test(run, no_more_threads_than_processors)
{
    cpu_set_t set, one;
    cr_assert_eq(sched_getaffinity(0, sizeof set, &set), 0);
    int first = 0, all = CPU_COUNT(&set);
    cr_expect_eq(threads_of((struct kiln_config){.threads = 1}), 1);
    cr_expect_eq(threads_of((struct kiln_config){.threads = 1024}), all);
    while (!CPU_ISSET(first, &set)) first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    cr_assert_eq(sched_setaffinity(0, sizeof one, &one), 0);
    cr_expect_eq(threads_of((struct kiln_config){.threads = 2}), 1);
    cr_expect_eq(threads_of((struct kiln_config){.threads = 5, .parallel = loop_run}), 5);
    setenv("KILN_THREADS", "3", 1);
    cr_expect_eq(threads_of((struct kiln_config){0}), 1);
}

/* The caller's own threads: here none, in reverse, counting what was asked. */
struct loop {
    int calls;
    size_t most;
    const struct kiln_plan *inner; /* run from within, to see a busy pool */
    int inner_dst[TASKS];
};

static void loop_run(void *user, size_t count, void (*work)(void *arg, size_t i), void *arg)
{
    struct loop *l = user;
    struct kiln_args args = args_into(l->inner_dst);
    l->calls++;
    if (count > l->most) l->most = count;
    if (l->inner) WORKS(kiln_run(l->inner, &args, &error));
    for (size_t i = count; i-- > 0;) work(arg, i);
}

Test(run, the_caller_s_threads_are_used_instead)
{
    struct loop loop = {0};
    struct kiln *k =
        context_with((struct kiln_config){.threads = 2, .parallel = loop_run, .parallel_user = &loop});
    struct kiln_plan *big = plan_of(k, BIG, NULL), *small = plan_of(k, SMALL, NULL);
    int dst[TASKS] = {0};
    struct kiln_args args = args_into(dst);
    WORKS(kiln_run(big, &args, &error));
    cr_assert_eq(loop.calls, 1);
    cr_assert(loop.most > 1 && loop.most <= TASKS);
    each_ran(dst, 1);
    WORKS(kiln_run(small, &args, &error));
    cr_assert_eq(loop.calls, 1, "too little work to share");
    each_ran(dst, 2);
    kiln_plan_release(big);
    kiln_plan_release(small);
    kiln_destroy(k);
}

Test(run, a_busy_pool_is_not_waited_for)
{
    struct loop loop = {0};
    struct kiln *k =
        context_with((struct kiln_config){.threads = 4, .parallel = loop_run, .parallel_user = &loop});
    struct kiln_plan *plan = plan_of(k, BIG, NULL);
    int dst[TASKS] = {0};
    struct kiln_args args = args_into(dst);
    loop.inner = plan;
    WORKS(kiln_run(plan, &args, &error));
    cr_assert_eq(loop.calls, 1, "the inner run was not inline");
    each_ran(dst, 1);
    each_ran(loop.inner_dst, 1);
    kiln_plan_release(plan);
    kiln_destroy(k);
}

Test(run, a_forked_child_runs)
{
    struct kiln *k = context_with((struct kiln_config){.threads = 4});
    struct kiln_plan *plan = plan_of(k, BIG, "scratch");
    int dst[TASKS] = {0}, status = -1;
    struct kiln_args args = args_into(dst);
    WORKS(kiln_run(plan, &args, &error));
    pid_t child = fork();
    if (child == 0) {
        alarm(20); /* a hang is a failure */
        bool good = kiln_run(plan, &args, NULL) == KILN_STATUS_OK;
        for (int i = 0; i < TASKS; i++) good = good && dst[i] == 2;
        kiln_plan_release(plan);
        kiln_destroy(k);
        _exit(good ? 0 : 1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", status);
    each_ran(dst, 1);
    kiln_plan_release(plan);
    kiln_destroy(k);
}

/* Threads that come, run with scratch of growing size, and go: leaks show under a sanitizer. */
struct runner {
    struct kiln_plan *plan;
    int dst[TASKS];
};

static void *run_thread(void *user)
{
    struct runner *r = user;
    struct kiln_args args = args_into(r->dst);
    for (int i = 0; i < 20; i++) WORKS(kiln_run(r->plan, &args, NULL));
    return NULL;
}

Test(run, many_threads_run_one_plan)
{
    struct kiln *k = context_with((struct kiln_config){.threads = 2});
    struct kiln_plan *plan = plan_of(k, BIG, "scratch");
    struct runner runners[8] = {0};
    pthread_t threads[8];
    for (int i = 0; i < 8; i++) {
        runners[i].plan = plan;
        pthread_create(&threads[i], NULL, run_thread, &runners[i]);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        each_ran(runners[i].dst, 20);
    }
    kiln_plan_release(plan);
    kiln_destroy(k);
}

/* ---- convolutions and the oracle ---- */

Test(run, conv_functions_refuse_null)
{
    struct kiln_conv c = conv_of(SMALL);
    int64_t out[3];
    REFUSES(kiln_conv_parse(NULL, SMALL, &error), KILN_STATUS_INVALID, "conv is NULL");
    REFUSES(kiln_conv_parse(&c, NULL, &error), KILN_STATUS_INVALID, "text is NULL");
    REFUSES(kiln_conv_check(NULL, &error), KILN_STATUS_INVALID, "conv is NULL");
    REFUSES(kiln_conv_output(NULL, out, &error), KILN_STATUS_INVALID, "conv is NULL");
    REFUSES(kiln_conv_output(&c, NULL, &error), KILN_STATUS_INVALID, "out is NULL");
    cr_assert_eq(kiln_conv_print(NULL, NULL, 0), 0);
    cr_assert_eq(kiln_conv_print(&c, NULL, 9), strlen(SMALL));
    kiln_conv_init(NULL);
    WORKS(kiln_conv_output(&c, out, &error));
    cr_assert(out[0] == 1 && out[1] == 1 && out[2] == 4);
    c.iw = 0;
    out[2] = 77;
    REFUSES(kiln_conv_output(&c, out, &error), KILN_STATUS_INVALID, "iw is 0");
    cr_assert_eq(out[2], 77);
}

Test(run, the_oracle_checks)
{
    struct kiln_conv c = conv_of(SMALL), bf16 = c;
    float src[8] = {1, 2, 3, 4, 5, 6, 7, 8}, weights[4] = {1, 10, 100, 1000}, dst[8] = {0}, value = 77;
    struct kiln_args args = {.src = src, .dst = dst}, none = {0};
    const int64_t at[5] = {0, 1, 0, 0, 2};
    struct said said = {0};
    bf16.src = KILN_TYPE_BF16;
    REFUSES(kiln_interpret(NULL, weights, &args, &error), KILN_STATUS_INVALID, "conv is NULL");
    REFUSES(kiln_interpret(&c, NULL, &args, &error), KILN_STATUS_INVALID, "weights is NULL");
    REFUSES(kiln_interpret(&c, (char *)weights + 1, &args, &error), KILN_STATUS_INVALID, "weights is at");
    REFUSES(kiln_interpret(&c, weights, NULL, &error), KILN_STATUS_INVALID, "args is NULL");
    REFUSES(kiln_interpret(&c, weights, &none, &error), KILN_STATUS_INVALID, "src is NULL");
    REFUSES(kiln_interpret(&c, weights, &(struct kiln_args){.src = src}, &error), KILN_STATUS_INVALID,
            "dst is NULL");
    REFUSES(kiln_interpret_at(&c, weights, &args, NULL, &value, &error), KILN_STATUS_INVALID, "at is NULL");
    REFUSES(kiln_interpret_at(&c, weights, &args, at, NULL, &error), KILN_STATUS_INVALID, "value is NULL");
    REFUSES(kiln_explain_at(&c, weights, &args, at, NULL, NULL, &error), KILN_STATUS_INVALID, "sink is NULL");
    cr_assert_neq(kiln_interpret(&bf16, weights, &args, &error), KILN_STATUS_OK);
    static const char *const names[] = {"n is", "oc is", "od is", "oh is", "ow is"};
    for (int i = 0; i < 10; i++) {
        int64_t bad[5] = {0, 1, 0, 0, 2};
        bad[i % 5] = i < 5 ? -1 : 4;
        REFUSES(kiln_interpret_at(&c, weights, &args, bad, &value, &error), KILN_STATUS_INVALID,
                names[i % 5]);
        REFUSES(kiln_explain_at(&c, weights, &args, bad, say, &said, &error), KILN_STATUS_INVALID,
                names[i % 5]);
    }
    cr_assert_eq(value, 77);
    args.dst = NULL;
    WORKS(kiln_interpret_at(&c, weights, &args, at, &value, &error));
    cr_assert_eq(value, 5 * 100 + 6 * 1000);
    WORKS(kiln_explain_at(&c, weights, &args, at, say, &said, &error));
    cr_assert(strstr(said.text, "= 6500"), "%s", said.text);
    args.dst = dst;
    WORKS(kiln_interpret(&c, weights, &args, &error));
    cr_assert_eq(dst[0], 21);
    cr_assert_eq(dst[5], 6500);
}
