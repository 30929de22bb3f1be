/* bench_page: the report's page: one file that needs no other, in light and dark. */
#include "ask.h"
#include "bench_dir.h"
#include "html.h"
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char css[] =
    "img { max-width: 100%; height: auto }\n"
    "tr.all td { border-top: 2px solid var(--line); font-weight: 600 }\n"
    "td.plan { text-align: left; color: var(--faint); font-family: ui-monospace, monospace }\n";

/* ---- pieces ---- */

static void put_number(FILE *file, const char *format, double value)
{
    fputs("<td>", file);
    if (value > 0 && isfinite(value))
        fprintf(file, format, value);
    else
        fputs("–", file);
    fputs("</td>", file);
}

/* A peer's time over ours. 5 % and less are what runs differ by. */
static void put_ratio(FILE *file, double ratio)
{
    if (!(ratio > 0)) {
        fputs("<td>–</td>", file);
        return;
    }
    fprintf(file, "<td class=\"%s\">%.2f</td>", ratio < 0.95 ? "bad" : ratio > 1.05 ? "good" : "even", ratio);
}

static void put_heads(FILE *file, const char *const *names, const char *class)
{
    for (; *names; names++) fprintf(file, "<th class=\"%s\">%s</th>", class, *names);
}

/* ---- the families ---- */

static void family_row(FILE *file, const char *path, const struct total *t, const struct findings *f,
                       const char *class)
{
    char name[64];
    const struct peers *peers = &f->setup->peers;
    family_name(path, name, sizeof name);
    fprintf(file, "<tr class=\"%s\">", class);
    html_cell(file, "text", name);
    fprintf(file, "<td>%zu</td><td>%zu</td>", t->convs, t->skipped);
    for (int p = -1; p < peers->count; p++) {
        const struct tally *tally = p < 0 ? &t->fastest : &t->peers[p];
        put_ratio(file, tally_mean(tally));
        put_ratio(file, tally->count ? tally->least : 0);
    }
    if (f->setup->threads > 1) {
        put_number(file, "%.2f", tally_mean(&t->speedup));
        put_number(file, "%.2f", tally_mean(&t->large_share));
        put_number(file, "%.2f", t->large_share.count ? t->large_share.least : 0);
    }
    for (int i = 0; i < 3; i++) put_number(file, "%.0f", t->compile_ms[i]);
    fputs("</tr>\n", file);
}

static void families_head(FILE *file, const struct findings *f)
{
    const struct peers *peers = &f->setup->peers;
    fputs("<h2>Families</h2><p>Time of a peer's fastest variant over ours: geometric mean and least. Above "
          "1, Kiln is faster.",
          file);
    if (f->setup->threads > 1)
        fprintf(
            file,
            " Threads: how much faster than one; and above %d Mflop, as a share of what an FMA loop gains.",
            LARGE_MFLOP);
    fputs(" Compile: CPU milliseconds, cold.</p><div class=\"wide\"><table><tr>", file);
    put_heads(file, (const char *const[]){"family", NULL}, "text");
    put_heads(file, (const char *const[]){"convs", "skipped", "fastest peer", "least", NULL}, "");
    for (int p = 0; p < peers->count; p++) {
        fputs("<th>", file);
        html_text(file, peers->at[p]->name);
        fputs("</th><th>least</th>", file);
    }
    if (f->setup->threads > 1) put_heads(file, (const char *const[]){"threads", "share", "least", NULL}, "");
    put_heads(file, (const char *const[]){"compile p50", "p95", "max", NULL}, "");
    fputs("</tr>\n", file);
}

static bool put_families(FILE *file, const struct findings *f)
{
    struct total total;
    families_head(file, f);
    for (size_t i = 0; i < f->count; i++) {
        if (!total_make(&total, &f->families[i], 1, &f->setup->peers)) return false;
        family_row(file, f->families[i].name, &total, f, "");
    }
    if (!total_make(&total, f->families, f->count, &f->setup->peers)) return false;
    if (f->count > 1) family_row(file, "all", &total, f, "all");
    fputs("</table></div>\n", file);
    if (total_disturbed(&total))
        fprintf(file,
                "<p>Other work ran on this core: it was ours for %.0f %% of the time, for one conv only %.0f "
                "%%.</p>\n",
                100 * total.core_share[1], 100 * total.core_share[0]);
    return true;
}

/* ---- the shapes ---- */

static void shape_row(FILE *file, const struct result *r, const struct peers *peers)
{
    fputs("<tr>", file);
    html_cell(file, "text", strncmp(r->text, "conv ", 5) ? r->text : r->text + 5);
    if (r->status != KILN_STATUS_OK) {
        fprintf(file, "<td class=\"text\" colspan=\"%d\">", peers->count + 4);
        html_text(file, r->error);
        fputs("</td></tr>\n", file);
        return;
    }
    put_number(file, "%.2f", r->us);
    put_number(file, "%.1f", r->gflops);
    put_number(file, "%.0f", 100 * r->gflops / r->peak_all_gflops);
    for (int p = 0; p < peers->count; p++) put_ratio(file, result_best(r, peers->at[p]->name) / r->us);
    const char *bar = strchr(r->plan, '|');
    html_cell(file, "plan", bar ? bar + 1 : r->plan);
    fputs("</tr>\n", file);
}

static void put_shapes(FILE *file, const struct findings *f)
{
    const struct peers *peers = &f->setup->peers;
    fputs("<h2>Shapes</h2><p>Microseconds of a run, and each peer's time over ours. The plan is Kiln's "
          "choice.</p><div class=\"wide\"><table><tr>",
          file);
    put_heads(file, (const char *const[]){"conv", NULL}, "text");
    put_heads(file, (const char *const[]){"µs", "GFLOP/s", "% peak", NULL}, "");
    for (int p = 0; p < peers->count; p++) {
        fputs("<th>", file);
        html_text(file, peers->at[p]->name);
        fputs("</th>", file);
    }
    put_heads(file, (const char *const[]){"plan", NULL}, "text");
    fputs("</tr>\n", file);
    for (const struct family *family = f->families; family < f->families + f->count; family++)
        for (size_t i = 0; i < family->count; i++) shape_row(file, &family->results[i], peers);
    fputs("</table></div>\n", file);
}

/* ---- pictures ---- */

static void put_base64(FILE *file, FILE *from)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned char b[3];
    for (size_t got; (got = fread(b, 1, 3, from));) {
        if (got < 3) memset(b + got, 0, 3 - got);
        unsigned bits = (unsigned)b[0] << 16 | (unsigned)b[1] << 8 | b[2];
        for (int i = 0; i < 4; i++) fputc(i <= (int)got ? digits[bits >> (18 - 6 * i) & 63] : '=', file);
    }
}

/* As an image of its own: ids in the pictures are then no one else's. Nothing where it was not drawn. */
static void put_plot(FILE *file, const char *dir, const struct plot *plot)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s.svg", dir, plot->name);
    FILE *picture = fopen(path, "rb");
    if (!picture) return;
    fprintf(file, "<h2>%s</h2><p>%s</p>\n<img alt=\"%s\" src=\"data:image/svg+xml;base64,", plot->title,
            plot->about, plot->title);
    put_base64(file, picture);
    fputs("\">\n", file);
    fclose(picture);
}

/* ---- the page ---- */

/* The machine's model, as Linux tells it on x86-64; else nothing. */
static void put_machine(FILE *file)
{
    char line[256];
    FILE *info = fopen("/proc/cpuinfo", "r");
    while (info && fgets(line, sizeof line, info)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) || !colon) continue;
        html_text(file, colon + 2);
        fputs("· ", file);
        break;
    }
    if (info) fclose(info);
}

static void put_circumstances(FILE *file, const struct page_parts *page)
{
    char day[32];
    time_t now = time(NULL);
    struct tm parts;
    strftime(day, sizeof day, "%Y-%m-%d %H:%M", localtime_r(&now, &parts));
    const struct setup *setup = page->findings->setup;
    fputs("<h1>kiln bench</h1><p>", file);
    put_machine(file);
    fprintf(file, "%d thread%s", setup->threads, setup->threads > 1 ? "s" : "");
    if (page->roofs->peak_gflops > 0) fprintf(file, " · FMA peak %.0f GFLOP/s", page->roofs->peak_gflops);
    if (page->roofs->memory_gbs > 0) fprintf(file, " · memory %.1f GB/s", page->roofs->memory_gbs);
    fprintf(file, " · Kiln %s · %s</p>\n", kiln_version(), day);
}

bool page_write(FILE *file, const void *arg)
{
    const struct page_parts *page = arg;
    html_begin(file, "kiln bench", css);
    put_circumstances(file, page);
    if (!put_families(file, page->findings)) return false;
    for (const struct plot *plot = plots; plot < plots + PLOTS; plot++)
        if (plot_wanted(plot, page->findings)) put_plot(file, page->dir, plot);
    put_shapes(file, page->findings);
    html_end(file);
    return true;
}
