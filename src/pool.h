/* pool: threads, and each thread's scratch memory. Knows nothing of convolutions: work is a function
 * of a share's index. */
#ifndef KILN_SRC_POOL_H
#define KILN_SRC_POOL_H

#include "kiln.h"

/* Shares per thread: enough that a thread which starts late leaves some of its own to the others. */
enum { POOL_THREADS_MAX = 1024, POOL_SHARES_EACH = 4, POOL_SHARES_MAX = POOL_THREADS_MAX * POOL_SHARES_EACH };

struct pool; /* reference-counted; used by every plan of a context */

/* A pool of `threads` threads, the calling one included; or of the caller's, through `parallel`, if
 * that is not NULL. SYSTEM: threads cannot be started. MEMORY. */
enum kiln_status pool_new(struct pool **made, int threads, kiln_parallel *parallel, void *user,
                          struct kiln_error *error);
struct pool *pool_retain(struct pool *pool);
void pool_release(struct pool *pool);

/* How many shares are worth making of work that many threads can do; 1: run it yourself. */
size_t pool_shares(const struct pool *pool);

/* Runs work(arg, i) for every i in [0, count) on the pool's threads and returns true; or does nothing
 * and returns false if the pool is busy, or belongs to the process that forked this one. */
bool pool_try(struct pool *pool, size_t count, void (*work)(void *arg, size_t i), void *arg);

/* At least `bytes` of this thread's own memory, aligned to 64; it grows when asked for more, which
 * invalidates what was handed out before, and goes with the thread. NULL: no memory. */
void *arena(size_t bytes);

#endif
