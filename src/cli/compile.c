/* kiln compile: a whole list of convolutions at once, on several threads. */
#include "ask.h"
#include "commands.h"
#include "lists.h"
#include "tune.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct compile {
    struct common common;
    int jobs;
    bool terminal;             /* standard error is one, and is told how far it is */
    struct kiln_error *errors; /* of each convolution; status OK: none */
};

static void show(void *user, size_t index, size_t done, size_t count, const struct kiln_error *error)
{
    struct compile *c = user;
    if (error) c->errors[index] = *error;
    if (!c->terminal) return;
    fprintf(stderr, done < count ? "\r\x1b[Kcompiled %zu of %zu" : "\r\x1b[K", done, count);
    fflush(stderr);
}

/* In the order of the list. Returns the status to exit with. */
static int report(const struct compile *c, struct kiln_plan **plans)
{
    int status = EXIT_GOOD;
    for (size_t i = 0; i < c->common.convs.count; i++) {
        const struct kiln_error *error = &c->errors[i];
        if (plans[i]) {
            printf("ok   %s\n", kiln_plan_text(plans[i]));
            continue;
        }
        status = exit_worse(status, exit_of(error->status));
        printf("%s ", error->status == KILN_STATUS_UNSUPPORTED ? "skip" : "FAIL");
        plain_put(stdout, c->common.convs.at[i].text, 0);
        fputs(": ", stdout);
        plain_put(stdout, error->text, 0);
        putchar('\n');
    }
    return status;
}

static void report_sums(const struct compile *c, struct kiln *k, double seconds)
{
    struct kiln_stats stats;
    kiln_stats(k, &stats);
    printf("%zu convolutions, %llu compiled in %.0f ms of CPU, %llu found on disk; %.0f ms passed\n",
           c->common.convs.count, (unsigned long long)stats.compiles, stats.compile_ms,
           (unsigned long long)stats.disk_hits, seconds * 1e3);
}

static void entry_skip(void *user, const struct kiln_cache_entry *entry) { (void)user, (void)entry; }

/* To fill the cache on disk is what the command is for: that it could not is told, unless nobody asked. */
static void report_unwritten(struct kiln *k)
{
    const char *cache = getenv("KILN_CACHE");
    struct kiln_stats stats;
    struct kiln_error error = {.text = "KILN_DEBUG=cache tells why"};
    kiln_stats(k, &stats);
    if (stats.disk_writes >= stats.compiles || (cache && *cache && strcmp(cache, "on") != 0)) return;
    kiln_cache_list(k, entry_skip, NULL, &error);
    complain("%llu of the kernels compiled are not kept on disk: %s",
             (unsigned long long)(stats.compiles - stats.disk_writes), error.text);
}

/* What kiln_compile_many is given and gives: arrays of as many as there are convolutions. */
struct arrays {
    struct kiln_conv *convs;
    struct kiln_options *options;
    const struct kiln_options **each;
    struct kiln_plan **plans;
};

static void arrays_free(struct arrays *a, size_t count)
{
    for (size_t i = 0; a->plans && i < count; i++) kiln_plan_release(a->plans[i]);
    free(a->convs);
    free(a->options);
    free(a->each);
    free(a->plans);
}

static bool arrays_make(struct arrays *a, const struct common *common)
{
    size_t count = common->convs.count;
    *a = (struct arrays){calloc(count, sizeof *a->convs), calloc(count, sizeof *a->options),
                         calloc(count, sizeof *a->each), calloc(count, sizeof *a->plans)};
    if (!a->convs || !a->options || !a->each || !a->plans) return false;
    for (size_t i = 0; i < count; i++) {
        a->convs[i] = common->convs.at[i].conv;
        ask_options(common, &common->convs.at[i], &a->options[i]);
        a->each[i] = &a->options[i];
    }
    return true;
}

static int compile_all(struct compile *c, struct kiln *k)
{
    size_t count = c->common.convs.count;
    struct kiln_error error;
    if (c->common.isa && !c->common.target && isa_status(k, NULL, c->common.isa, &error) != KILN_STATUS_OK)
        return complain("%s", error.text);
    struct arrays a;
    c->errors = calloc(count, sizeof *c->errors);
    int status = EXIT_FAILED;
    if (!arrays_make(&a, &c->common) || !c->errors) {
        complain("no memory for %zu convolutions", count);
    } else {
        double start = show_seconds();
        kiln_compile_many(k, a.convs, a.each, count, c->jobs, a.plans, show, c, NULL);
        double seconds = show_seconds() - start;
        status = report(c, a.plans);
        report_sums(c, k, seconds);
        report_unwritten(k);
    }
    arrays_free(&a, count);
    free(c->errors);
    return status;
}

static const struct flag flags[] = {
    FLAG_FILE,
    {"jobs", "N", "threads that compile; default: one for each processor", flag_number,
     offsetof(struct compile, jobs), 1, 1024},
    FLAG_ISA,
    FLAG_TARGET,
    FLAG_SCHEDULE,
    FLAG_BUDGET,
};

static const char about[] =
    "Compiles all convolutions, equal ones once, and prints the plan of each in the order given,\n"
    "or why there is none. The last line tells how many were compiled, the CPU time that took, how\n"
    "many the cache on disk had, and the time that passed. Other processes then find all of them\n"
    "there; standard error tells if they cannot be kept. A terminal is shown how far it is.\n"
    "\n"
    "A plan line is compiled with its own schedule and ISA, unless --schedule or --isa is given.\n"
    "\n"
    "EXAMPLES\n"
    "  kiln compile -f bench/shapes/resnet50.txt --jobs 2\n"
    "  kiln compile conv ic64 ih56 iw56 oc64 kh3 kw3 ph1 pw1 f32 nhwc --isa avx2\n";

static const struct page page = {.name = "compile",
                                 .brief = "compile a list of convolutions on several threads",
                                 .usage = "[-f FILE] [CONV ...] [--jobs N]",
                                 .about = about,
                                 .flags = flags,
                                 .count = sizeof flags / sizeof *flags,
                                 .most = INT_MAX};

int cli_compile(int argc, char **argv)
{
    struct compile c = {.terminal = isatty(STDERR_FILENO)};
    int status = ask(&page, argc, argv, &c.common);
    if (status != ASK_GO_ON) return status;
    struct kiln *k = NULL;
    if (c.common.convs.count == 0)
        status = complain("compile needs a convolution or -f FILE; `kiln compile --help` shows how");
    if (status == ASK_GO_ON) k = ask_kiln(&c.common);
    if (status == ASK_GO_ON) status = k ? compile_all(&c, k) : EXIT_USAGE;
    kiln_destroy(k);
    lines_free(&c.common.convs);
    return status;
}
