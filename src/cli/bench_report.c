/* bench_report: each result as JSON lines or as a row of a table. Decides nothing. */
#include "ask.h"
#include "bench.h"
#include <stdio.h>
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

static void json_ours(const struct result *r, int threads)
{
    printf(", \"ours_us\": %.4g, \"gflops\": %.4g, \"compile_ms\": %.4g, \"pack_us\": %.4g, ", r->us,
           r->gflops, r->compile_ms, r->pack_us);
    printf("\"call_overhead_ns\": %.3g, \"peak_gflops\": %.4g, \"core_share\": %.3f, ", r->overhead_ns,
           r->peak_all_gflops, r->core_share);
    if (threads > 1)
        printf("\"single_us\": %.4g, \"speedup\": %.4g, \"peak_speedup\": %.4g, ", r->single_us,
               r->single_us / r->us, r->peak_all_gflops / r->peak_gflops);
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
        if (r->status == KILN_STATUS_OK) json_ours(r, threads);
        json_close(r->error);
    }
    for (const struct timing *t = r->timings; t < r->timings + r->timing_count; t++) {
        char text[KILN_ERROR_TEXT];
        json_open(r, threads);
        json_ours(r, threads);
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

/* Names of peer variants are longer than their numbers, sometimes. */
static int column_width(const struct timing *t) { return strlen(t->name) > 14 ? (int)strlen(t->name) : 14; }

void report_head(const struct result *r, int threads)
{
    printf("%-*s %10s %8s %6s", CONV_WIDTH, "", "us", "GFLOP/s", "% peak");
    if (threads > 1) printf(" %10s %7s %6s", "1 thread", "speedup", "FMA's");
    for (const struct timing *t = r->timings; t < r->timings + r->timing_count; t++)
        printf(" %*s  ratio", column_width(t), t->name);
    puts("  schedule");
}

static void row_failed(const struct result *r)
{
    printf(" %s: ", r->status == KILN_STATUS_UNSUPPORTED ? "skipped" : kiln_status_name(r->status));
    plain_put(stdout, r->error, 0);
    putchar('\n');
}

/* Why peers have no number in this row, but for what the row before has said. */
static void row_reasons(const struct result *r, const struct result *before)
{
    for (int i = 0; i < r->timing_count; i++) {
        char text[KILN_ERROR_TEXT];
        const char *reason = timing_error(&r->timings[i], text);
        const struct timing *same = before && i < before->timing_count ? &before->timings[i] : NULL;
        if (!*reason || (same && !strcmp(same->error, reason))) continue;
        printf("    %s: ", r->timings[i].name);
        plain_put(stdout, reason, 0);
        putchar('\n');
    }
}

void report_row(const struct result *r, const struct result *before, int threads)
{
    printf("%-*s", CONV_WIDTH, after_conv(r->text));
    if (r->status != KILN_STATUS_OK) {
        row_failed(r);
        return;
    }
    printf(" %10.2f %8.1f %6.1f", r->us, r->gflops, 100 * r->gflops / r->peak_all_gflops);
    if (threads > 1)
        printf(" %10.2f %7.2f %6.2f", r->single_us, r->single_us / r->us,
               r->peak_all_gflops / r->peak_gflops);
    for (const struct timing *t = r->timings; t < r->timings + r->timing_count; t++) {
        int width = column_width(t);
        *t->error ? printf(" %*s %6s", width, "-", "-") : printf(" %*.2f %6.2f", width, t->us, t->us / r->us);
    }
    const char *schedule;
    int length = schedule_of(r->plan, &schedule);
    printf("  %.*s\n", length, schedule);
    row_reasons(r, before);
    fflush(stdout);
}
