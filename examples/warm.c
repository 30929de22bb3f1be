/* What the cache on disk saves: one convolution compiled by a child process, then found by this one, again
 * and again, without LLVM. The cache is a new one, which is removed again. */
#include <kiln.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 200, HITS = 2000, THREADS = 2 };

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

/* Microseconds of making a context, of kiln_compile in it, and then from memory. */
struct times {
    double created, found, memory[THREADS]; /* for each number of threads */
};

/* Of one of the times of each round, that `offset` bytes into it. */
static double median(const struct times *rounds, size_t offset)
{
    double values[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) memcpy(&values[i], (const char *)&rounds[i] + offset, sizeof *values);
    qsort(values, ROUNDS, sizeof *values, by_value);
    return values[ROUNDS / 2];
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

static int compile(const struct kiln_config *config, const struct kiln_conv *conv, struct times *times)
{
    struct kiln *k;
    struct kiln_plan *plan;
    struct kiln_error error;
    double begin = now_us();
    if (kiln_create(&k, config, &error)) return fail(&error);
    times->created = now_us() - begin;
    if (kiln_compile(k, conv, NULL, &plan, &error)) return fail(&error);
    times->found = now_us() - begin - times->created;
    kiln_plan_release(plan);
    for (int i = 0; i < THREADS; i++) times->memory[i] = memory_us(k, conv, i + 1);
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
    struct times times[ROUNDS];
    const char *text = argc > 1 ? argv[1] : "conv ic64 ih56 iw56 oc64 kh3 kw3 ph1 pw1 f32 nhwc +bias +relu";
    struct kiln_config config = {.size = sizeof config, .cache = KILN_CACHE_ON, .cache_dir = dir};
    if (kiln_conv_parse(&conv, text, &error)) return fail(&error);
    if (!mkdtemp(dir)) return perror(dir), 1;
    if (fork() == 0) {
        int status = compile(&config, &conv, times);
        printf("compiled             %8.1f us, with opening LLVM\n", times->found);
        return status;
    }
    int status;
    wait(&status);
    for (int i = 0; i < ROUNDS && !status; i++) status = compile(&config, &conv, &times[i]);
    struct kiln *k;
    if (!status && !kiln_create(&k, &config, &error)) {
        kiln_cache_prune(k, 0, NULL, &error);
        kiln_destroy(k);
    }
    rmdir(dir);
    if (status) return 1;
    printf("a context is made    %8.1f us, medians of %d\n", median(times, offsetof(struct times, created)),
           ROUNDS);
    printf("found on disk        %8.1f us\n", median(times, offsetof(struct times, found)));
    for (int i = 0; i < THREADS; i++)
        printf("found in memory      %8.2f us, by each of %d threads at once\n",
               median(times, offsetof(struct times, memory) + (size_t)i * sizeof(double)), i + 1);
    puts(llvm_mapped() ? "libLLVM is in memory" : "no libLLVM is in memory");
}
