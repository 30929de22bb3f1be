/* bench_plot: the report's plots. Each is a script for gnuplot, written beside the data that it reads, so
 * that it can be run again and changed by hand. Inks are of a middle tone: they read on white and on black.
 */
#include "ask.h"
#include "bench_dir.h"
#include <limits.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

const struct plot plots[PLOTS] = {
    {"peers", "Against each peer", true,
     "The time of each peer's fastest variant over ours, by family of shapes.", &scripts.peers},
    {"ratios", "Every shape", true,
     "The same for every shape, sorted by the fastest peer's ratio, which the bars show.", &scripts.ratios},
    {"roofline", "Roofline", false,
     "Speed beside what the machine allows. Tensors that stay in the caches are not held by memory, and "
     "algorithms with fewer multiplications than the direct one may pass the peak.",
     &scripts.roofline},
};

/* ---- writing ---- */

struct script {
    const struct plot *plot;
    const struct findings *findings;
    const struct roofs *roofs;
};

static bool script_write(FILE *file, const void *arg)
{
    const struct script *s = arg;
    const struct findings *f = s->findings;
    const struct peers *opened = &f->setup->peers;
    fprintf(file, "# gnuplot %s.gp draws %s.svg\npeers = \"", s->plot->name, s->plot->name);
    for (int p = 0; p < opened->count; p++) fprintf(file, "%s%s", p ? " " : "", opened->at[p]->name);
    fprintf(file, "\"\nshapes = %zu\nfamilies = %zu\n", ranked_count(f), f->count + (f->count > 1));
    fprintf(file, "peak = %.6g    # GFLOP/s\nmemory = %.6g  # GB/s\n%s", s->roofs->peak_gflops,
            s->roofs->memory_gbs, scripts.style);
    fputs(*s->plot->script, file);
    return true;
}

/* Runs gnuplot on a script in its directory. False: it could not be started, or failed. */
static bool script_run(const char *dir, const char *name)
{
    char *arguments[] = {(char *)"gnuplot", (char *)"-d" /* no ~/.gnuplot */, (char *)name, NULL};
    posix_spawn_file_actions_t actions;
    pid_t child;
    int status;
    if (posix_spawn_file_actions_init(&actions)) return false;
    bool started = !posix_spawn_file_actions_addchdir_np(&actions, dir) &&
                   !posix_spawnp(&child, "gnuplot", &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    return started && waitpid(child, &status, 0) == child && WIFEXITED(status) && !WEXITSTATUS(status);
}

bool plot_wanted(const struct plot *plot, const struct findings *findings)
{
    return ranked_count(findings) && (!plot->beside || findings->setup->peers.count);
}

/* What an earlier report drew must not pass for this one's. */
static void plot_remove(const char *dir, const struct plot *plot)
{
    static const char *const endings[] = {"gp", "svg"};
    for (int i = 0; i < 2; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/%s.%s", dir, plot->name, endings[i]);
        unlink(path);
    }
}

bool plots_write(const char *dir, const struct findings *findings, const struct roofs *roofs)
{
    bool drawn = true;
    for (const struct plot *p = plots; p < plots + PLOTS; p++) {
        char name[64];
        struct script script = {p, findings, roofs};
        plot_remove(dir, p);
        if (!plot_wanted(p, findings)) continue;
        snprintf(name, sizeof name, "%s.gp", p->name);
        if (!output_into(dir, name, script_write, &script)) return false;
        drawn = drawn && script_run(dir, name);
    }
    if (!drawn)
        complain("--report: no plots: gnuplot is not there or failed (Debian: apt install gnuplot-nox); "
                 "data and scripts are in '%s'",
                 dir);
    return drawn;
}
