/* context: struct kiln, the home of everything that is not a plan: options, machine, cache, threads,
 * the generator once opened, counters and the log. */
#ifndef KILN_SRC_CONTEXT_H
#define KILN_SRC_CONTEXT_H

#include <pthread.h>

#include "cache.h"
#include "cpu.h"
#include "debug.h"
#include "disk.h"
#include "door.h"
#include "jitdump.h"
#include "pool.h"
#include "wisdom.h"

struct kiln {
    struct cpu cpu;                 /* this machine, capped */
    char machine[MACHINE_TEXT_MAX]; /* the same as text */
    struct cache *cache;
    struct wisdom *wisdom;
    struct disk disk;
    char module[DOOR_STAMP_ROOM]; /* of the generator: part of every key; "" if nothing is kept on disk */
    struct pool *pool;
    int threads;          /* of the pool, or the caller's */
    char *generator_path; /* NULL: door_open looks for it */
    unsigned debug;       /* a bit per enum debug */
    kiln_log *log;
    void *log_user;
    struct jitdump jitdump;
    pthread_mutex_t lock;              /* guards what follows */
    const struct generator *generator; /* NULL: not opened yet */
    uint64_t compiles;
    double compile_ms;
};

/* The generator, opened by whoever needs it first. Statuses as door_open. */
enum kiln_status context_generator(struct kiln *k, const struct generator **generator,
                                   struct kiln_error *error);

/* Processors that the calling thread may run on, and so the threads that it starts. */
int64_t context_processors(void);

/* Counts a kernel compiled in `ms` of CPU time. */
void context_compiled(struct kiln *k, double ms);

/* Adds the lines of a file to what the context knows. `by` is what named the file. SYSTEM, MEMORY. */
enum kiln_status context_wisdom(struct kiln *k, const char *path, const char *by, struct kiln_error *error);

bool context_logs(const struct kiln *k, enum debug what);
/* Logs each line of a text, behind "kiln: WHAT: ". */
void context_log(const struct kiln *k, enum debug what, const char *text);

/* Tells profilers and debuggers of a kernel that nobody has yet, as KILN_DEBUG says. `news`: as jitdump_add.
 */
void context_show(struct kiln *k, struct kernel *kernel, char news[JITDUMP_NEWS]);

/* Copies a caller's struct, which begins with its size, over one of ours of `room` bytes that holds the
 * defaults: a caller built with an older header has fewer fields, one built with a newer header more,
 * which must be zero. INVALID, naming the struct. */
enum kiln_status struct_read(void *to, size_t room, const void *from, const char *name,
                             struct kiln_error *error);

#endif
