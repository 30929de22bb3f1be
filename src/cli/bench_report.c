/* bench_report: results as JSON lines or as a table with a summary. Decides nothing. */
#include "ask.h"
#include "bench.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *layout_name(enum kiln_layout layout)
{
    return layout == KILN_LAYOUT_NCHW ? "nchw" : "nhwc";
}

/* ---- JSON ---- */

static void json_text(const char *key, const char *value)
{
    printf("\"%s\": \"", key);
    for (const char *c = value; *c; c++) {
        if (*c == '"' || *c == '\\') putchar('\\');
        if ((unsigned char)*c < ' ')
            printf("\\u%04x", *c);
        else
            putchar(*c);
    }
    putchar('"');
}

/* The fields that every line has; the line stays open. */
static void json_open(const struct result *r, int threads)
{
    putchar('{');
    json_text("conv", r->text);
    printf(", \"layout\": \"%s\", \"threads\": %d", layout_name(r->layout), threads);
}

static void json_close(const char *error)
{
    if (error && *error) {
        printf(", ");
        json_text("error", error);
    }
    puts("}");
}

static void json_ours(const struct result *r)
{
    printf(", \"ours_us\": %.4g, \"gflops\": %.4g, \"compile_ms\": %.4g, \"pack_us\": %.4g, ", r->us,
           r->gflops, r->compile_ms, r->pack_us);
    printf("\"call_overhead_ns\": %.3g, ", r->overhead_ns);
    json_text("plan", r->plan);
}

static void json_timing(const struct timing *t, double ours_us)
{
    printf(", ");
    json_text("peer", t->name);
    if (!*t->error) printf(", \"peer_us\": %.4g, \"ratio\": %.4g", t->us, t->us / ours_us);
}

/* Why a timing does not count, or an empty text. */
static const char *timing_error(const struct timing *t, char text[KILN_ERROR_TEXT])
{
    if (*t->error) return t->error;
    *text = 0;
    if (!t->agrees) snprintf(text, KILN_ERROR_TEXT, "outputs differ by %.2g of their RMS", t->worst);
    return text;
}

void report_json(const struct result *r, int threads)
{
    if (r->status != KILN_STATUS_OK || !r->timing_count) {
        json_open(r, threads);
        if (r->status == KILN_STATUS_OK) json_ours(r);
        json_close(r->error);
    }
    for (const struct timing *t = r->timings; t < r->timings + r->timing_count; t++) {
        char text[KILN_ERROR_TEXT];
        json_open(r, threads);
        json_ours(r);
        json_timing(t, r->us);
        json_close(timing_error(t, text));
    }
    fflush(stdout);
}

/* ---- the table ---- */

enum { CONV_WIDTH = 77 }; /* holds most convs; longer ones push their row to the right */

/* A text without its first word where that is "conv ", which every row would repeat. */
static const char *after_conv(const char *text) { return strncmp(text, "conv ", 5) ? text : text + 5; }

/* The middle part of a plan line: "conv | schedule | machine". */
static int schedule_of(const char *plan, const char **begin)
{
    const char *bar = strchr(plan, '|'), *end = bar ? strchr(bar + 1, '|') : NULL;
    if (!end) return *begin = plan, (int)strlen(plan);
    *begin = bar + 2;
    return end > bar + 2 ? (int)(end - 1 - *begin) : 0;
}

void report_head(const struct result *r)
{
    printf("%-*s %10s %8s %6s", CONV_WIDTH, "", "us", "GFLOP/s", "% peak");
    for (const struct timing *t = r->timings; t < r->timings + r->timing_count; t++)
        printf(" %14s  ratio", t->name);
    puts("  schedule");
}

void report_row(const struct result *r, int threads)
{
    printf("%-*s", CONV_WIDTH, after_conv(r->text));
    if (r->status != KILN_STATUS_OK) {
        bool skipped = r->status == KILN_STATUS_UNSUPPORTED;
        printf(" %s: ", skipped ? "skipped" : kiln_status_name(r->status));
        plain_put(stdout, r->error, 0);
        putchar('\n');
        return;
    }
    printf(" %10.2f %8.1f %6.1f", r->us, r->gflops, 100 * r->gflops / (r->peak_gflops * threads));
    for (const struct timing *t = r->timings; t < r->timings + r->timing_count; t++)
        *t->error ? printf(" %14s %6s", "-", "-") : printf(" %14.2f %6.2f", t->us, t->us / r->us);
    const char *schedule;
    int length = schedule_of(r->plan, &schedule);
    printf("  %.*s\n", length, schedule);
    for (const struct timing *t = r->timings; t < r->timings + r->timing_count; t++) {
        char text[KILN_ERROR_TEXT];
        if (*timing_error(t, text)) printf("    %s: %s\n", t->name, timing_error(t, text));
    }
    fflush(stdout);
}

/* ---- the summary ---- */

struct total {
    double log_sum, least;
    size_t ratios, convs, skipped;
    double *compile_ms;
};

static void total_add(struct total *t, const struct result *r)
{
    if (r->status != KILN_STATUS_OK) {
        t->skipped++;
        return;
    }
    t->compile_ms[t->convs++] = r->compile_ms;
    double ratio = result_ratio(r);
    if (ratio <= 0) return;
    t->log_sum += log(ratio);
    t->least = t->ratios++ && t->least < ratio ? t->least : ratio;
}

static void total_print(const char *name, struct total *t)
{
    plain_put(stdout, name, 40);
    printf(" %6zu %8zu", t->convs, t->skipped);
    if (t->ratios)
        printf(" %8.3f %8.3f", exp(t->log_sum / (double)t->ratios), t->least);
    else
        printf(" %8s %8s", "-", "-");
    printf(" %11.1f %8.1f %8.1f\n", quantile(t->compile_ms, t->convs, 0.5),
           quantile(t->compile_ms, t->convs, 0.95), quantile(t->compile_ms, t->convs, 1));
}

void report_summary(const struct family *families, size_t count)
{
    size_t most = 0;
    for (size_t i = 0; i < count; i++) most += families[i].count;
    double *both = calloc(2 * most + 1, sizeof *both);
    if (!both) return;
    struct total all = {.compile_ms = both};
    puts("\nratio = time of the fastest peer variant / ours; compile: CPU milliseconds, cold");
    printf("%-40s %6s %8s %8s %8s %11s %8s %8s\n", "", "convs", "skipped", "geomean", "least", "compile p50",
           "p95", "max");
    for (const struct family *f = families; f < families + count; f++) {
        struct total one = {.compile_ms = both + most};
        for (size_t i = 0; i < f->count; i++) {
            total_add(&one, &f->results[i]);
            total_add(&all, &f->results[i]);
        }
        total_print(f->name, &one);
    }
    if (count > 1) total_print("all", &all);
    free(both);
}
