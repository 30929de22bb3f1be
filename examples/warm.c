/* What the cache on disk saves: one convolution compiled by a child process, then found by this one, again
 * and again, without LLVM. The cache is a new one, which is removed again. */
#include <kiln.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 200, HITS = 100000, THREADS = 2 };

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

/* What a thread is to find again and again. */
struct hits {
    struct kiln *k;
    const struct kiln_conv *conv;
};

static void *find(void *arg)
{
    const struct hits *hits = arg;
    struct kiln_plan *plan;
    struct kiln_error error;
    for (int i = 0; i < HITS; i++) {
        if (kiln_compile(hits->k, hits->conv, NULL, &plan, &error)) exit(fail(&error));
        kiln_plan_release(plan);
    }
    return NULL;
}

/* Microseconds of kiln_compile where memory has it, on so many threads at once. */
static double memory_us(struct kiln *k, const struct kiln_conv *conv, int threads)
{
    struct hits hits = {k, conv};
    pthread_t others[THREADS];
    double begin = now_us();
    for (int i = 1; i < threads; i++)
        if (pthread_create(&others[i], NULL, find, &hits)) exit(1);
    find(&hits);
    for (int i = 1; i < threads; i++) pthread_join(others[i], NULL);
    return (now_us() - begin) / HITS;
}

/* Microseconds of making a context, and of kiln_compile in it; and then from memory, if `memory`, which has
 * room for each number of threads. */
static int compile(const struct kiln_config *config, const struct kiln_conv *conv, double *created,
                   double *us, double *memory)
{
    struct kiln *k;
    struct kiln_plan *plan;
    struct kiln_error error;
    double begin = now_us();
    if (kiln_create(&k, config, &error)) return fail(&error);
    *created = now_us() - begin;
    if (kiln_compile(k, conv, NULL, &plan, &error)) return fail(&error);
    *us = now_us() - begin - *created;
    kiln_plan_release(plan);
    for (int i = 0; memory && i < THREADS; i++) memory[i] = memory_us(k, conv, i + 1);
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
    double created[ROUNDS], us[ROUNDS], memory[THREADS] = {0};
    const char *text = argc > 1 ? argv[1] : "conv ic64 ih56 iw56 oc64 kh3 kw3 ph1 pw1 f32 nhwc +bias +relu";
    struct kiln_config config = {.size = sizeof config, .cache = KILN_CACHE_ON, .cache_dir = dir};
    if (kiln_conv_parse(&conv, text, &error)) return fail(&error);
    if (!mkdtemp(dir)) return perror(dir), 1;
    if (fork() == 0) {
        int status = compile(&config, &conv, created, us, NULL);
        printf("compiled             %8.1f us, with opening LLVM\n", us[0]);
        return status;
    }
    int status;
    wait(&status);
    for (int i = 0; i < ROUNDS && !status; i++)
        status = compile(&config, &conv, &created[i], &us[i], i ? NULL : memory);
    qsort(us, ROUNDS, sizeof *us, by_value);
    qsort(created, ROUNDS, sizeof *created, by_value);
    struct kiln *k;
    if (!status && !kiln_create(&k, &config, &error)) {
        kiln_cache_prune(k, 0, NULL, &error);
        kiln_destroy(k);
    }
    rmdir(dir);
    if (status) return 1;
    printf("a context is made    %8.1f us, median of %d\n", created[ROUNDS / 2], ROUNDS);
    printf("found on disk        %8.1f us, median of %d\n", us[ROUNDS / 2], ROUNDS);
    printf("found in memory      %8.2f us\n", memory[0]);
    for (int i = 1; i < THREADS; i++)
        printf("  by %d threads at once %5.2f us, for each of them\n", i + 1, memory[i]);
    puts(llvm_mapped() ? "libLLVM is in memory" : "no libLLVM is in memory");
}
