/* cache: a hash table of kernels by the bytes of a key, with a list in order of use. One lock guards all of
 * it; it is not held while a kernel is made. Keys are compared in full: a hash only finds the bucket.
 *
 * An entry belongs to the table and to every thread that waits for it; the last one frees it. An entry
 * being made is in the table, so that others find and await it, but not in the list, so that it is not
 * evicted. */
#include "cache.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "status.h"

enum { BUCKETS_FIRST = 64 }; /* a power of two; doubled when there are as many entries */

struct entry {
    struct entry *next;          /* in the bucket */
    struct entry *newer, *older; /* in the list of use, once made */
    uint64_t hash;
    int owners; /* the table, while it holds the entry, and the threads in cache_get */
    bool made;  /* status, and kernel or error, are final */
    bool kept;  /* in the table and the list; not evicted yet */
    enum kiln_status status;
    struct kernel *kernel;
    struct kiln_error error;
    size_t bytes; /* all that this entry holds, counted against the capacity */
    size_t key_bytes;
    void *key; /* right behind the entry */
};

struct cache {
    pthread_mutex_t lock;
    pthread_cond_t finished; /* some entry was made or failed */
    size_t capacity;
    struct entry **buckets;
    size_t bucket_count, count;
    struct entry ends; /* of the list of use: ends.older is the newest, ends.newer the oldest */
    struct kiln_stats stats;
};

struct cache *cache_new(size_t capacity_bytes)
{
    struct cache *c = calloc(1, sizeof *c);
    struct entry **buckets = c ? calloc(BUCKETS_FIRST, sizeof *buckets) : NULL;
    if (!buckets) {
        free(c);
        return NULL;
    }
    c->capacity = capacity_bytes;
    c->buckets = buckets;
    c->bucket_count = BUCKETS_FIRST;
    c->ends.newer = c->ends.older = &c->ends;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->finished, NULL);
    return c;
}

static void entry_drop(struct entry *e)
{
    if (--e->owners) return;
    if (e->kernel) kernel_release(e->kernel);
    free(e);
}

/* ---- the table ---- */

static struct entry **bucket_of(struct cache *c, uint64_t hash)
{
    return &c->buckets[hash & (c->bucket_count - 1)];
}

static struct entry *table_find(struct cache *c, uint64_t hash, const void *key, size_t bytes)
{
    struct entry *e = *bucket_of(c, hash);
    while (e && (e->hash != hash || e->key_bytes != bytes || memcmp(e->key, key, bytes) != 0)) e = e->next;
    return e;
}

/* Twice the buckets; without memory for them the chains only grow longer. */
static void table_grow(struct cache *c)
{
    size_t count = 2 * c->bucket_count;
    struct entry **buckets = calloc(count, sizeof *buckets);
    if (!buckets) return;
    for (size_t i = 0; i < c->bucket_count; i++) {
        for (struct entry *e = c->buckets[i], *next; e; e = next) {
            next = e->next;
            e->next = buckets[e->hash & (count - 1)];
            buckets[e->hash & (count - 1)] = e;
        }
    }
    free(c->buckets);
    c->buckets = buckets;
    c->bucket_count = count;
}

static void table_add(struct cache *c, struct entry *e)
{
    if (c->count >= c->bucket_count) table_grow(c);
    struct entry **bucket = bucket_of(c, e->hash);
    e->next = *bucket;
    *bucket = e;
    e->owners++;
    c->count++;
}

/* The table's part in owning e goes to the caller. */
static void table_remove(struct cache *c, struct entry *e)
{
    struct entry **at = bucket_of(c, e->hash);
    while (*at != e) at = &(*at)->next;
    *at = e->next;
    c->count--;
}

/* ---- the order of use ---- */

static void use_remove(struct entry *e)
{
    e->newer->older = e->older;
    e->older->newer = e->newer;
}

static void use_newest(struct cache *c, struct entry *e)
{
    e->newer = &c->ends;
    e->older = c->ends.older;
    e->older->newer = e;
    c->ends.older = e;
}

static void evict(struct cache *c, struct entry *e)
{
    c->stats.bytes -= e->bytes;
    e->kept = false;
    use_remove(e);
    table_remove(c, e);
    entry_drop(e);
}

void cache_free(struct cache *c)
{
    if (!c) return;
    while (c->ends.newer != &c->ends) evict(c, c->ends.newer);
    assert(c->count == 0); /* nobody is in cache_get any more */
    pthread_cond_destroy(&c->finished);
    pthread_mutex_destroy(&c->lock);
    free(c->buckets);
    free(c);
}

/* ---- getting ---- */

static struct entry *entry_new(uint64_t hash, const void *key, size_t bytes)
{
    struct entry *e = calloc(1, sizeof *e + bytes);
    if (!e) return NULL;
    e->hash = hash;
    e->owners = 1;
    e->bytes = sizeof *e + bytes;
    e->key_bytes = bytes;
    e->key = memcpy(e + 1, key, bytes);
    return e;
}

/* Tells everyone what became of e, and keeps it if it succeeded and fits, dropping the oldest. */
static void entry_finish(struct cache *c, struct entry *e)
{
    e->made = true;
    pthread_cond_broadcast(&c->finished);
    if (e->kernel) e->bytes += e->kernel->bytes;
    assert(e->owners >= 2); /* the table, and the thread that made it */
    if (e->status || e->bytes > c->capacity) {
        table_remove(c, e);
        e->owners--; /* not the last: whoever made it still has it */
        return;
    }
    while (c->stats.bytes + e->bytes > c->capacity) {
        struct entry *oldest = c->ends.newer;
        evict(c, oldest);
        assert(c->ends.newer != oldest);
        c->stats.evictions++;
    }
    c->stats.bytes += e->bytes;
    e->kept = true;
    use_newest(c, e);
}

/* Makes e with the lock released. */
static void entry_make(struct cache *c, struct entry *e, cache_make *make, void *user)
{
    c->stats.misses++;
    table_add(c, e);
    pthread_mutex_unlock(&c->lock);
    enum kiln_status status = make(user, &e->kernel, &e->error);
    pthread_mutex_lock(&c->lock);
    e->status = status;
    if (status) e->kernel = NULL;
    entry_finish(c, e);
}

/* Finds e, waiting for whoever makes it. */
static void entry_await(struct cache *c, struct entry *e)
{
    c->stats.hits++;
    e->owners++;
    while (!e->made) pthread_cond_wait(&c->finished, &c->lock);
    if (!e->kept) return;
    use_remove(e);
    use_newest(c, e);
}

enum kiln_status cache_get(struct cache *c, const void *key, size_t bytes, cache_make *make, void *user,
                           struct kernel **kernel, struct kiln_error *error)
{
    uint64_t hash = XXH3_64bits(key, bytes);
    pthread_mutex_lock(&c->lock);
    struct entry *e = table_find(c, hash, key, bytes);
    if (e)
        entry_await(c, e);
    else if ((e = entry_new(hash, key, bytes)))
        entry_make(c, e, make, user);
    enum kiln_status status = e ? e->status : KILN_STATUS_MEMORY;
    if (!e)
        fail(error, status, "no memory for an entry of the cache");
    else if (status)
        fail(error, status, "%s", e->error.text);
    else
        *kernel = kernel_retain(e->kernel);
    if (e) entry_drop(e);
    pthread_mutex_unlock(&c->lock);
    return status;
}

void cache_stats(struct cache *c, struct kiln_stats *stats)
{
    pthread_mutex_lock(&c->lock);
    *stats = c->stats;
    pthread_mutex_unlock(&c->lock);
}
