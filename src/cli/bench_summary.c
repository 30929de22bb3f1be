/* bench_summary: results summed up by family: geometric means, leasts, quantiles; and told as text. */
#include "ask.h"
#include "bench.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- totals ---- */

/* Interrupts take less than the rest of a core. */
static const double quiet_share = 0.98;

static void tally_add(struct tally *t, double ratio)
{
    if (!(ratio > 0)) return;
    t->log_sum += log(ratio);
    t->least = t->count && t->least < ratio ? t->least : ratio;
    t->most = t->count && t->most > ratio ? t->most : ratio;
    t->count++;
}

double tally_mean(const struct tally *t) { return t->count ? exp(t->log_sum / (double)t->count) : 0; }

static void threads_add(struct total *t, const struct result *r)
{
    double speedup = r->single_us / r->us, peak = r->peak_all_gflops / r->peak_gflops;
    tally_add(&t->speedup, speedup);
    if (r->gflops * r->us < LARGE_MFLOP * 1e3) return;
    tally_add(&t->large_speedup, speedup);
    tally_add(&t->large_peak, peak);
    tally_add(&t->large_share, speedup / peak);
}

/* Its compile time and peak go to where they are sorted. */
static void total_add(struct total *t, const struct result *r, const struct peers *peers, double *compile_ms,
                      double *peak, double *share)
{
    if (r->status != KILN_STATUS_OK) {
        t->skipped++;
        return;
    }
    compile_ms[t->convs] = r->compile_ms;
    share[t->convs] = r->core_share;
    peak[t->convs++] = r->peak_gflops;
    t->peak_all_gflops = fmax(t->peak_all_gflops, r->peak_all_gflops);
    tally_add(&t->fastest, result_best(r, NULL) / r->us);
    for (int p = 0; p < peers->count; p++)
        tally_add(&t->peers[p], result_best(r, peers->at[p]->name) / r->us);
    threads_add(t, r);
}

bool total_make(struct total *t, const struct family *families, size_t count, const struct peers *peers)
{
    static const double compile_at[] = {0.5, 0.95, 1}, peak_at[] = {0, 0.5, 1};
    size_t most = 0;
    *t = (struct total){0};
    for (size_t i = 0; i < count; i++) most += families[i].count;
    double *compile_ms = calloc(3 * most + 1, sizeof *compile_ms);
    double *peak = compile_ms + most, *share = peak + most;
    if (!compile_ms) return false;
    for (const struct family *f = families; f < families + count; f++)
        for (size_t i = 0; i < f->count; i++) total_add(t, &f->results[i], peers, compile_ms, peak, share);
    for (int i = 0; i < 3; i++) {
        t->compile_ms[i] = quantile(compile_ms, t->convs, compile_at[i]);
        t->peak_gflops[i] = quantile(peak, t->convs, peak_at[i]);
    }
    t->core_share[0] = quantile(share, t->convs, 0);
    t->core_share[1] = quantile(share, t->convs, 0.5);
    free(compile_ms);
    return true;
}

bool total_disturbed(const struct total *t) { return t->convs && t->core_share[0] < quiet_share; }

/* ---- as text ---- */

enum { NAME_WIDTH = 40 };

static void tally_print(const struct tally *t)
{
    if (t->count)
        printf(" %12.3f %8.3f", tally_mean(t), t->least);
    else
        printf(" %12s %8s", "-", "-");
}

static void peers_head(const struct peers *peers)
{
    puts("\nratio = time of the peer's fastest variant / ours: geometric mean and least;"
         " compile: CPU milliseconds, cold");
    printf("%-*s %6s %8s", NAME_WIDTH, "", "convs", "skipped");
    if (peers->count > 1) printf(" %12s %8s", "fastest", "least");
    for (int p = 0; p < peers->count; p++) printf(" %12s %8s", peers->at[p]->name, "least");
    printf(" %11s %8s %8s\n", "compile p50", "p95", "max");
}

static void peers_row(const char *name, const struct total *t, const struct peers *peers)
{
    plain_put(stdout, name, NAME_WIDTH);
    printf(" %6zu %8zu", t->convs, t->skipped);
    if (peers->count > 1) tally_print(&t->fastest);
    for (int p = 0; p < peers->count; p++) tally_print(&t->peers[p]);
    if (t->convs)
        printf(" %11.1f %8.1f %8.1f\n", t->compile_ms[0], t->compile_ms[1], t->compile_ms[2]);
    else
        printf(" %11s %8s %8s\n", "-", "-", "-");
}

static void threads_head(int threads)
{
    printf("\n%d threads: times as fast as one; and for convs above %d Mflop, what an FMA loop gains in the "
           "same turns,\nand ours as a share of that\n",
           threads, LARGE_MFLOP);
    printf("%-*s %12s %8s %12s %12s %12s %8s\n", NAME_WIDTH, "", "all convs", "least", "large convs",
           "FMA loop", "share", "least");
}

static void threads_row(const char *name, const struct total *t)
{
    plain_put(stdout, name, NAME_WIDTH);
    tally_print(&t->speedup);
    if (t->large_share.count)
        printf(" %12.3f %12.3f", tally_mean(&t->large_speedup), tally_mean(&t->large_peak));
    else
        printf(" %12s %12s", "-", "-");
    tally_print(&t->large_share);
    putchar('\n');
}

/* How far the machine was quiet: what a reader must know before believing a ratio. */
static void quiet_print(const struct total *all)
{
    printf("\nFMA peak of one core: %.1f GFLOP/s, %.1f to %.1f over the convs", all->peak_gflops[1],
           all->peak_gflops[0], all->peak_gflops[2]);
    if (total_disturbed(all))
        printf(
            "; other work ran on this core: it was ours for %.0f %% of the time, for one conv only %.0f %%",
            100 * all->core_share[1], 100 * all->core_share[0]);
    putchar('\n');
}

/* totals: one for each family, and then that of all. */
static void totals_print(const struct findings *f, const struct total *totals)
{
    const struct total *all = &totals[f->count];
    const struct peers *peers = &f->setup->peers;
    peers_head(peers);
    for (size_t i = 0; i < f->count; i++) peers_row(f->families[i].name, &totals[i], peers);
    if (f->count > 1) peers_row("all", all, peers);
    if (f->setup->threads > 1) {
        threads_head(f->setup->threads);
        for (size_t i = 0; i < f->count; i++) threads_row(f->families[i].name, &totals[i]);
        if (f->count > 1) threads_row("all", all);
    }
    if (all->convs) quiet_print(all);
}

void summary_print(const struct findings *f)
{
    struct total *totals = calloc(f->count + 1, sizeof *totals);
    bool good = totals && total_make(&totals[f->count], f->families, f->count, &f->setup->peers);
    for (size_t i = 0; good && i < f->count; i++)
        good = total_make(&totals[i], &f->families[i], 1, &f->setup->peers);
    if (good)
        totals_print(f, totals);
    else
        complain("no memory to sum up in");
    free(totals);
}
