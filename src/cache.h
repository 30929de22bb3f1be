/* cache: bytes of a key -> kernel, in memory, least recently used dropped first. A second thread that asks
 * for a key being made waits for it instead of making it again. Knows nothing of LLVM, nor of
 * the cache on disk, which kiln.c asks when it makes a kernel. */
#ifndef KILN_SRC_CACHE_H
#define KILN_SRC_CACHE_H

#include "load.h"

struct cache;

/* Makes the kernel of a key on a miss; may fail, which every waiting thread is told. */
typedef enum kiln_status cache_make(void *user, struct kernel **made, struct kiln_error *error);

struct cache *cache_new(size_t capacity_bytes); /* NULL: no memory */
void cache_free(struct cache *cache);           /* kernels retained elsewhere live on */

/* The kernel of key[bytes], retained for the caller: found, or made by this or another thread. A kernel
 * larger than the capacity is handed out and not kept; nothing failed is kept. */
enum kiln_status cache_get(struct cache *cache, const void *key, size_t bytes, cache_make *make, void *user,
                           struct kernel **kernel, struct kiln_error *error);
void cache_stats(struct cache *cache, struct kiln_stats *stats); /* all but compiles and compile_ms */

#endif
