/* tune: its line on a terminal, and its report. */
#include "lines.h"
#include "tune.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- while it works ---- */

double show_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void show_clear(const struct show *show)
{
    if (show->terminal) fputs("\r\x1b[K", stderr);
}

/* Seconds that are left, as those gone by promise; a share of the convolution at work counts as done. */
static double left(const struct show *show, double done)
{
    double gone = show_seconds() - show->begin;
    double rest = done > 0 ? gone / done * ((double)show->count - done) : 0;
    return show->total > 0 ? fmin(rest, fmax(show->total - gone, 0)) : rest;
}

void show_put(const struct show *show, const struct kiln_tuned *so_far)
{
    enum { BAR = 20, SHOWN = 48 }; /* what wraps around is not erased */
    char bar[BAR + 1];
    if (!show->terminal) return;
    double part = so_far->candidates ? (double)so_far->tried / so_far->candidates : 0;
    double done = (double)show->done + part;
    int filled = (int)(done / (double)show->count * BAR), rest = (int)left(show, done);
    for (int i = 0; i < BAR; i++) bar[i] = i < filled ? '#' : '.';
    bar[BAR] = '\0';
    fprintf(stderr, "\r\x1b[K[%s] %zu/%zu  plan %d/%d", bar, show->done, show->count, so_far->tried,
            so_far->candidates);
    if (so_far->estimate_us > 0)
        fprintf(stderr, "  best %.3f us, %.2f x", so_far->us, so_far->estimate_us / so_far->us);
    fprintf(stderr, "  %d:%02d left  %.*s", rest / 60, rest % 60, SHOWN, show->text);
    fflush(stderr);
}

/* ---- the report ---- */

struct report_row {
    char conv[KILN_TEXT_MAX], best[KILN_TEXT_MAX], estimate[KILN_TEXT_MAX]; /* schedules */
    double us, ratio;
    bool held;
};

bool report_held(const char *conv)
{
    uint32_t hash = UINT32_C(2166136261); /* FNV-1a */
    for (const char *c = conv; *c; c++) hash = (hash ^ (unsigned char)*c) * UINT32_C(16777619);
    return hash % 3 == 0;
}

/* The part of a plan line between its bars. */
static void schedule_copy(char *to, const char *line)
{
    const char *bar = strchr(line, '|');
    bar = bar ? bar + 1 + strspn(bar + 1, " ") : line;
    size_t length = strcspn(bar, "|");
    while (length && bar[length - 1] == ' ') length--;
    snprintf(to, KILN_TEXT_MAX, "%.*s", (int)length, bar);
}

bool report_add(struct report *report, const char *conv, const struct kiln_tuned *tuned)
{
    if (report->count == report->room) {
        size_t room = report->room ? 2 * report->room : 32;
        struct report_row *rows = realloc(report->rows, room * sizeof *rows);
        if (!rows) return false;
        report->rows = rows, report->room = room;
    }
    struct report_row *row = &report->rows[report->count++];
    snprintf(row->conv, sizeof row->conv, "%s", conv);
    schedule_copy(row->best, tuned->line);
    schedule_copy(row->estimate, tuned->estimate);
    row->us = tuned->us, row->ratio = tuned->estimate_us / tuned->us;
    row->held = report_held(conv);
    return true;
}

static int compare_rows(const void *a, const void *b)
{
    double x = ((const struct report_row *)a)->ratio, y = ((const struct report_row *)b)->ratio;
    return (x > y) - (x < y);
}

/* Those of which held is `held`, or all if `any`. */
static void sum_print(const struct report *report, const char *name, bool any, bool held)
{
    double sum = 0, worst = 0;
    size_t count = 0;
    for (const struct report_row *r = report->rows; r < report->rows + report->count; r++) {
        if (!any && r->held != held) continue;
        sum += log(r->ratio), count++;
        worst = fmax(worst, r->ratio);
    }
    if (count)
        printf("%-9s %4zu convs: estimate / best geomean %.3f, worst %.3f\n", name, count,
               exp(sum / (double)count), worst);
}

void report_print(const struct report *report)
{
    if (report->count) qsort(report->rows, report->count, sizeof *report->rows, compare_rows);
    puts("ratio     best us  held  conv");
    for (const struct report_row *r = report->rows; r < report->rows + report->count; r++) {
        printf("%5.3f  %10.3f  %-4s  %s\n", r->ratio, r->us, r->held ? "held" : "", r->conv);
        if (strcmp(r->best, r->estimate) == 0) continue;
        printf("%19s estimate  %s\n%19s best      %s\n", "", r->estimate, "", r->best);
    }
    sum_print(report, "fitted", false, false);
    sum_print(report, "held out", false, true);
    sum_print(report, "all", true, false);
}

void report_free(struct report *report) { free(report->rows); }
