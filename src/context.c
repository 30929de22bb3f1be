/* context: makes struct kiln from a configuration and the environment, which gives what the
 * configuration leaves open. */
#include "context.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gdb.h"
#include "perf.h"
#include "status.h"
#include "text.h"

enum {
    CACHE_BYTES = 64 << 20,   /* some five thousand kernels */
    STRUCT_BYTES_MOST = 4096, /* a caller's struct of more is one whose size was not set */
    COUNTS_ROOM = 512,        /* eight numbers and their words */
};

enum kiln_status struct_read(void *to, size_t room, const void *from, const char *name,
                             struct kiln_error *error)
{
    size_t size;
    memcpy(&size, from, sizeof size);
    if (size < sizeof size || size > STRUCT_BYTES_MOST)
        return fail(error, KILN_STATUS_INVALID, "size is %zu: must be sizeof(struct %s), %zu", size, name,
                    room);
    for (size_t i = room; i < size; i++)
        if (((const char *)from)[i])
            return fail(
                error, KILN_STATUS_INVALID,
                "size is %zu: a field of struct %s that this library does not know, at byte %zu, is not 0",
                size, name, i);
    memcpy(to, from, size < room ? size : room);
    memcpy(to, &room, sizeof room);
    return KILN_STATUS_OK;
}

/* ---- settings ---- */

/* A text that was set, or NULL, and what messages call the place where it was. */
struct setting {
    const char *text, *name;
};

/* The configuration's, else the environment's; an empty variable is one not set. */
static struct setting setting_of(const char *text, const char *name, const char *variable)
{
    if (text) return (struct setting){text, name};
    const char *value = getenv(variable);
    return (struct setting){value && *value ? value : NULL, variable};
}

/* ---- the log ---- */

static void log_stderr(void *user, const char *line)
{
    (void)user;
    fprintf(stderr, "%s\n", line);
}

bool context_logs(const struct kiln *k, enum debug what) { return k->debug >> what & 1; }

void context_log(const struct kiln *k, enum debug what, const char *text)
{
    char line[2 * KILN_TEXT_MAX]; /* longer lines are cut */
    if (!context_logs(k, what)) return;
    for (const char *at = text; *at;) {
        size_t length = strcspn(at, "\n");
        snprintf(line, sizeof line, "kiln: %s: %.*s", debug_name(what), (int)length, at);
        k->log(k->log_user, line);
        at += length + (at[length] == '\n');
    }
}

void context_show(struct kiln *k, struct kernel *kernel, char news[JITDUMP_NEWS])
{
    struct symbol symbols[SYMBOLS];
    if (!(k->debug & (1u << DEBUG_PERF | 1u << DEBUG_JITDUMP | 1u << DEBUG_GDB))) return;
    if (!kernel_symbols(kernel, symbols)) return;
    if (context_logs(k, DEBUG_PERF)) perf_map(symbols);
    if (context_logs(k, DEBUG_JITDUMP)) jitdump_add(&k->jitdump, symbols, news);
    if (context_logs(k, DEBUG_GDB)) kernel->gdb = gdb_add(symbols);
}

/* ---- the configuration ---- */

int64_t context_processors(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) ? POOL_THREADS_MAX /* more than a set holds */
                                                  : CPU_COUNT(&set);
}

static enum kiln_status threads_read(int *threads, const struct kiln_config *config, struct kiln_error *error)
{
    const char *text = getenv("KILN_THREADS");
    int64_t v = config->threads;
    if (v == 0 && text && *text) {
        if (word_number((struct word){text, strlen(text)}, &v) != NUMBER_OK || v < 1 || v > POOL_THREADS_MAX)
            return fail(error, KILN_STATUS_INVALID, "KILN_THREADS is \"%.32s\": must be 1 to %d", text,
                        POOL_THREADS_MAX);
    }
    if (v < 0 || v > POOL_THREADS_MAX)
        return fail(error, KILN_STATUS_INVALID, "threads is %lld: must be 0 to %d", (long long)v,
                    POOL_THREADS_MAX);
    int64_t all =
        config->parallel ? sysconf(_SC_NPROCESSORS_ONLN) : 1; /* the caller's threads: one a processor */
    if (!v) v = all < 1 ? 1 : all > POOL_THREADS_MAX ? POOL_THREADS_MAX : all;
    /* Threads of a pool spin for a while: more of them than processors take turns at that. */
    if (!config->parallel && v > context_processors()) v = context_processors();
    *threads = (int)v;
    return KILN_STATUS_OK;
}

/* Fills k; what it has made on failure, kiln_destroy frees. */
static enum kiln_status context_fill(struct kiln *k, const struct kiln_config *config,
                                     struct kiln_error *error)
{
    const struct setting debug = setting_of(config->debug, "debug", "KILN_DEBUG");
    const struct setting isa = setting_of(config->isa, "the context's isa", "KILN_ISA");
    const struct setting wisdom = setting_of(config->wisdom, "wisdom", "KILN_WISDOM");
    k->log = config->log ? config->log : log_stderr;
    k->log_user = config->log_user;
    enum kiln_status status = debug_parse(&k->debug, debug.text, debug.name, error);
    if (!status) status = threads_read(&k->threads, config, error);
    cpu_host(&k->cpu);
    if (!status) status = cpu_cap(&k->cpu, isa.text, isa.name, error);
    cpu_print(&k->cpu, k->machine, sizeof k->machine);
    if (!status) status = disk_open(&k->disk, config, error);
    if (!status) status = pool_new(&k->pool, k->threads, config->parallel, config->parallel_user, error);
    if (status) return status;
    k->cache = cache_new(config->cache_bytes ? config->cache_bytes : CACHE_BYTES);
    k->generator_path = config->generator ? strdup(config->generator) : NULL;
    k->wisdom = wisdom_new();
    if (!k->cache || !k->wisdom || (config->generator && !k->generator_path))
        return fail(error, KILN_STATUS_MEMORY, "no memory for a context");
    if (k->disk.mode != KILN_CACHE_OFF) door_stamp(k->generator_path, k->module);
    return wisdom.text && *wisdom.text ? context_wisdom(k, wisdom.text, wisdom.name, error) : KILN_STATUS_OK;
}

enum kiln_status kiln_create(struct kiln **made, const struct kiln_config *config, struct kiln_error *error)
{
    struct kiln_config c = {.size = sizeof c};
    if (!made) return fail(error, KILN_STATUS_INVALID, "k is NULL: must point to where the context goes");
    enum kiln_status status =
        config ? struct_read(&c, sizeof c, config, "kiln_config", error) : KILN_STATUS_OK;
    if (status) return status;
    struct kiln *k = calloc(1, sizeof *k);
    if (!k) return fail(error, KILN_STATUS_MEMORY, "no memory for a context");
    pthread_mutex_init(&k->lock, NULL);
    jitdump_init(&k->jitdump);
    status = context_fill(k, &c, error);
    if (status)
        kiln_destroy(k);
    else
        *made = k;
    return status;
}

/* Only a context that was used has something to tell. */
static void counts_log(struct kiln *k)
{
    char line[COUNTS_ROOM];
    struct kiln_stats s = {0};
    if (!k->cache || !context_logs(k, DEBUG_CACHE)) return;
    kiln_stats(k, &s);
    if (!s.hits && !s.misses) return;
    snprintf(line, sizeof line,
             "in memory %" PRIu64 " hits, %" PRIu64 " misses, %" PRIu64 " evictions; on disk %" PRIu64
             " hits, %" PRIu64 " misses, %" PRIu64 " writes; %" PRIu64 " compiled in %.1f ms",
             s.hits, s.misses, s.evictions, s.disk_hits, s.disk_misses, s.disk_writes, s.compiles,
             s.compile_ms);
    context_log(k, DEBUG_CACHE, line);
}

void kiln_destroy(struct kiln *k)
{
    if (!k) return;
    counts_log(k);
    cache_free(k->cache);
    wisdom_free(k->wisdom);
    disk_close(&k->disk);
    if (k->pool) pool_release(k->pool);
    free(k->generator_path);
    jitdump_close(&k->jitdump);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

/* ---- what is shared between calls ---- */

enum kiln_status context_generator(struct kiln *k, const struct generator **generator,
                                   struct kiln_error *error)
{
    enum kiln_status status = KILN_STATUS_OK;
    pthread_mutex_lock(&k->lock);
    if (!k->generator) status = door_open(k->generator_path, &k->generator, error);
    *generator = k->generator;
    pthread_mutex_unlock(&k->lock);
    return status;
}

void context_compiled(struct kiln *k, double ms)
{
    pthread_mutex_lock(&k->lock);
    k->compiles++;
    k->compile_ms += ms;
    pthread_mutex_unlock(&k->lock);
}

void kiln_stats(struct kiln *k, struct kiln_stats *stats)
{
    if (!k || !stats) return;
    cache_stats(k->cache, stats);
    pthread_mutex_lock(&k->lock);
    stats->compiles = k->compiles;
    stats->compile_ms = k->compile_ms;
    stats->threads = k->threads;
    pthread_mutex_unlock(&k->lock);
    stats->disk_hits = __atomic_load_n(&k->disk.hits, __ATOMIC_RELAXED);
    stats->disk_misses = __atomic_load_n(&k->disk.misses, __ATOMIC_RELAXED);
    stats->disk_writes = __atomic_load_n(&k->disk.writes, __ATOMIC_RELAXED);
}

/* ---- the cache on disk ---- */

const char *kiln_cache_path(const struct kiln *k) { return k ? k->disk.dir : NULL; }

/* The directory, or a negative number: *status tells, which is OK if there is none yet. */
static int cache_open(const struct kiln *k, enum kiln_status *status, struct kiln_error *error)
{
    struct kiln_error why = {0};
    *status = KILN_STATUS_INVALID;
    if (!k) return fail(error, *status, "k is NULL: must be a context"), -1;
    *status = KILN_STATUS_SYSTEM;
    if (!k->disk.dir)
        return fail(error, *status,
                    "there is no place for a cache: none of KILN_CACHE_DIR, XDG_CACHE_HOME and HOME "
                    "is set to an absolute path"),
               -1;
    int dir = dir_open(&k->disk, false, &why);
    *status = dir >= 0 || !why.text[0] ? KILN_STATUS_OK : fail(error, why.status, "%s", why.text);
    return dir;
}

enum kiln_status kiln_cache_list(struct kiln *k, kiln_cache_visit *visit, void *user,
                                 struct kiln_error *error)
{
    enum kiln_status status;
    if (!visit) return fail(error, KILN_STATUS_INVALID, "visit is NULL");
    int dir = cache_open(k, &status, error);
    if (dir < 0) return status;
    status = dir_list(dir, visit, user, error);
    close(dir);
    return status;
}

enum kiln_status kiln_cache_prune(struct kiln *k, uint64_t most, uint64_t *removed, struct kiln_error *error)
{
    enum kiln_status status;
    uint64_t left, count = 0;
    int dir = cache_open(k, &status, error);
    if (dir >= 0) {
        status = dir_prune(dir, most < k->disk.most ? most : k->disk.most, &left, &count, error);
        close(dir);
    }
    if (!status && removed) *removed = count;
    return status;
}
