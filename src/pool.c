/* pool: wraps pthreadpool, or the caller's parallel-for, so that no one ever waits for it; and owns
 * each thread's arena. The arenas are the only data of the process rather than of a context: they are
 * never shared, and one per thread and context would be many. */
#include "pool.h"

#include <pthread.h>
#include <pthreadpool.h>
#include <stdlib.h>
#include <unistd.h>

#include "status.h"

struct pool {
    int references; /* atomic */
    int threads;
    pid_t owner;              /* the process in which the threads run */
    pthread_mutex_t busy;     /* held while the threads work */
    pthreadpool_t threadpool; /* NULL: one thread, or the caller's */
    kiln_parallel *parallel;
    void *user;
};

enum kiln_status pool_new(struct pool **made, int threads, kiln_parallel *parallel, void *user,
                          struct kiln_error *error)
{
    struct pool *p = calloc(1, sizeof *p);
    if (!p) return fail(error, KILN_STATUS_MEMORY, "no memory for a pool of threads");
    *p = (struct pool){
        .references = 1, .threads = threads, .owner = getpid(), .parallel = parallel, .user = user};
    if (threads > 1 && !parallel) {
        p->threadpool = pthreadpool_create((size_t)threads);
        if (!p->threadpool) {
            free(p);
            return fail(error, KILN_STATUS_SYSTEM, "cannot start %d threads", threads);
        }
    }
    pthread_mutex_init(&p->busy, NULL);
    *made = p;
    return KILN_STATUS_OK;
}

struct pool *pool_retain(struct pool *p)
{
    __atomic_add_fetch(&p->references, 1, __ATOMIC_RELAXED);
    return p;
}

/* In a forked child the threads do not exist and cannot be joined: their memory is left as it is. */
void pool_release(struct pool *p)
{
    if (__atomic_sub_fetch(&p->references, 1, __ATOMIC_ACQ_REL)) return;
    if (p->threadpool && p->owner == getpid()) pthreadpool_destroy(p->threadpool);
    if (p->owner == getpid()) pthread_mutex_destroy(&p->busy);
    free(p);
}

size_t pool_shares(const struct pool *p)
{
    return p->threads > 1 ? (size_t)p->threads * POOL_SHARES_EACH : 1;
}

bool pool_try(struct pool *p, size_t count, void (*work)(void *arg, size_t i), void *arg)
{
    if (p->threads < 2 || p->owner != getpid() || pthread_mutex_trylock(&p->busy)) return false;
    if (p->parallel)
        p->parallel(p->user, count, work, arg);
    else
        pthreadpool_parallelize_1d(p->threadpool, work, arg, count, 0);
    pthread_mutex_unlock(&p->busy);
    return true;
}

/* ---- arenas ---- */

enum { ARENA_ALIGN = 64, ARENA_STEP = 4096 };

static _Thread_local struct {
    void *memory;
    size_t bytes;
} own;

/* Has a thread's arena freed when it ends. */
static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static bool key_there;

/* Other destructors of the thread may still run kernels, and then find no arena. */
static void arena_free(void *memory)
{
    free(memory);
    own.memory = NULL;
    own.bytes = 0;
}

static void key_make(void) { key_there = !pthread_key_create(&key, arena_free); }

/* A library that is unloaded must not be called when a thread ends; the arenas are then left behind. */
__attribute__((destructor)) static void key_delete(void)
{
    if (key_there) pthread_key_delete(key);
}

static void *arena_grow(size_t bytes)
{
    pthread_once(&key_once, key_make);
    if (!key_there || bytes > PTRDIFF_MAX - ARENA_STEP) return NULL;
    size_t room = (bytes + ARENA_STEP - 1) / ARENA_STEP * ARENA_STEP;
    void *memory = aligned_alloc(ARENA_ALIGN, room);
    if (!memory || pthread_setspecific(key, memory)) {
        free(memory);
        return NULL;
    }
    free(own.memory);
    own.memory = memory;
    own.bytes = room;
    return memory;
}

void *arena(size_t bytes) { return bytes <= own.bytes ? own.memory : arena_grow(bytes); }
