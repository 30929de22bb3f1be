/* What the cache on disk saves: one convolution compiled by a child process, then found by this one, again
 * and again, without LLVM. The cache is a new one, which is removed again. */
#include <kiln.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 200, HITS = 1000 };

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static int fail(const struct kiln_error *error) { return fprintf(stderr, "%s\n", error->text), 1; }

/* Microseconds of kiln_compile in a new context, and if `again` of one more, from memory, then. */
static int compile(const struct kiln_config *config, const struct kiln_conv *conv, double *us, double *again)
{
    struct kiln *k;
    struct kiln_plan *plan;
    struct kiln_error error;
    if (kiln_create(&k, config, &error)) return fail(&error);
    *us = -now_us();
    if (kiln_compile(k, conv, NULL, &plan, &error)) return fail(&error);
    *us += now_us();
    kiln_plan_release(plan);
    if (again) *again = -now_us();
    for (int i = 0; again && i < HITS; i++) {
        if (kiln_compile(k, conv, NULL, &plan, &error)) return fail(&error);
        kiln_plan_release(plan);
    }
    if (again) *again = (*again + now_us()) / HITS;
    kiln_destroy(k);
    return 0;
}

static bool llvm_mapped(void)
{
    char line[4096];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof line, maps)) found |= strstr(line, "libLLVM") != NULL;
    if (maps) fclose(maps);
    return found;
}

int main(int argc, char **argv)
{
    char dir[] = "/tmp/kiln-warm-XXXXXX";
    struct kiln_conv conv;
    struct kiln_error error;
    double us[ROUNDS], hit = 0;
    const char *text = argc > 1 ? argv[1] : "conv ic64 ih56 iw56 oc64 kh3 kw3 ph1 pw1 f32 nhwc +bias +relu";
    struct kiln_config config = {.size = sizeof config, .cache = KILN_CACHE_ON, .cache_dir = dir};
    if (kiln_conv_parse(&conv, text, &error)) return fail(&error);
    if (!mkdtemp(dir)) return perror(dir), 1;
    if (fork() == 0) {
        int status = compile(&config, &conv, us, NULL);
        printf("compiled             %8.1f us, with opening LLVM\n", us[0]);
        return status;
    }
    int status;
    wait(&status);
    for (int i = 0; i < ROUNDS && !status; i++) status = compile(&config, &conv, &us[i], i ? NULL : &hit);
    qsort(us, ROUNDS, sizeof *us, by_value);
    struct kiln *k;
    if (!status && !kiln_create(&k, &config, &error)) {
        kiln_cache_prune(k, 0, NULL, &error);
        kiln_destroy(k);
    }
    rmdir(dir);
    if (status) return 1;
    printf("found on disk        %8.1f us, median of %d\nfound in memory      %8.1f us\n", us[ROUNDS / 2],
           ROUNDS, hit);
    puts(llvm_mapped() ? "libLLVM is in memory" : "no libLLVM is in memory");
}
