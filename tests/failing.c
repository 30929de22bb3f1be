#include "failing.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <pthreadpool.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* Seen by the module, which is opened late. */
#pragma GCC visibility push(default)

/* All atomic: compiling has many threads. */
static long left, held; /* left: calls that work; below 0 none is counted */
static bool armed, all;
static const char *first;

void failing_begin(long nth, bool rest)
{
    first = NULL;
    all = rest;
    left = nth;
    __atomic_store_n(&armed, true, __ATOMIC_SEQ_CST);
}

const char *failing_end(void)
{
    __atomic_store_n(&armed, false, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&first, __ATOMIC_SEQ_CST);
}

long failing_held(void) { return __atomic_load_n(&held, __ATOMIC_SEQ_CST); }

static bool fails(const char *name)
{
    const char *none = NULL;
    if (!__atomic_load_n(&armed, __ATOMIC_SEQ_CST)) return false;
    long turn = __atomic_fetch_sub(&left, 1, __ATOMIC_SEQ_CST);
    if (turn > 0 || (turn < 0 && !all)) return false;
    __atomic_compare_exchange_n(&first, &none, name, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    errno = ENOMEM;
    return true;
}

static void *hold(void *p)
{
    if (p) __atomic_add_fetch(&held, 1, __ATOMIC_SEQ_CST);
    return p;
}

static void release(const void *p)
{
    if (p) __atomic_sub_fetch(&held, 1, __ATOMIC_SEQ_CST);
}

/* ---- memory ---- */

void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes) { return fails("malloc") ? NULL : hold(__real_malloc(bytes)); }

void *__real_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes)
{
    return fails("calloc") ? NULL : hold(__real_calloc(count, bytes));
}

void *__real_realloc(void *old, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes)
{
    void *p = fails("realloc") ? NULL : __real_realloc(old, bytes);
    return old ? p : hold(p);
}

void *__real_aligned_alloc(size_t align, size_t bytes);
void *__wrap_aligned_alloc(size_t align, size_t bytes)
{
    return fails("aligned_alloc") ? NULL : hold(__real_aligned_alloc(align, bytes));
}

char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text) { return fails("strdup") ? NULL : hold(__real_strdup(text)); }

char *__real_strndup(const char *text, size_t most);
char *__wrap_strndup(const char *text, size_t most)
{
    return fails("strndup") ? NULL : hold(__real_strndup(text, most));
}

__attribute__((format(printf, 2, 3))) int __wrap_asprintf(char **text, const char *format, ...)
{
    va_list arguments;
    if (fails("asprintf")) return -1;
    va_start(arguments, format);
    int length = vasprintf(text, format, arguments);
    va_end(arguments);
    if (length >= 0) hold(*text);
    return length;
}

void __real_free(void *p);
void __wrap_free(void *p)
{
    release(p);
    __real_free(p);
}

/* ---- pages ---- */

void *__real_mmap(void *at, size_t bytes, int protection, int flags, int file, off_t offset);
void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int file, off_t offset)
{
    if (fails("mmap")) return MAP_FAILED;
    void *p = __real_mmap(at, bytes, protection, flags, file, offset);
    return p == MAP_FAILED ? p : hold(p);
}

int __real_munmap(void *at, size_t bytes);
int __wrap_munmap(void *at, size_t bytes)
{
    release(at);
    return __real_munmap(at, bytes);
}

int __real_mprotect(void *at, size_t bytes, int protection);
int __wrap_mprotect(void *at, size_t bytes, int protection)
{
    return fails("mprotect") ? -1 : __real_mprotect(at, bytes, protection);
}

/* ---- files, for which libc needs memory ---- */

FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode)
{
    return fails("fopen") ? NULL : hold(__real_fopen(path, mode));
}

int __real_fclose(FILE *file);
int __wrap_fclose(FILE *file)
{
    release(file);
    return __real_fclose(file);
}

DIR *__real_fdopendir(int directory);
DIR *__wrap_fdopendir(int directory) { return fails("fdopendir") ? NULL : hold(__real_fdopendir(directory)); }

int __real_closedir(DIR *stream);
int __wrap_closedir(DIR *stream)
{
    release(stream);
    return __real_closedir(stream);
}

/* ---- threads ---- */

typedef void *thread_work(void *arg);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *how, thread_work *work, void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *how, thread_work *work, void *arg)
{
    return fails("pthread_create") ? EAGAIN : __real_pthread_create(thread, how, work, arg);
}

int __real_pthread_setspecific(pthread_key_t key, const void *value);
int __wrap_pthread_setspecific(pthread_key_t key, const void *value)
{
    return fails("pthread_setspecific") ? ENOMEM : __real_pthread_setspecific(key, value);
}

pthreadpool_t __real_pthreadpool_create(size_t threads);
pthreadpool_t __wrap_pthreadpool_create(size_t threads)
{
    return fails("pthreadpool_create") ? NULL : hold(__real_pthreadpool_create(threads));
}

void __real_pthreadpool_destroy(pthreadpool_t pool);
void __wrap_pthreadpool_destroy(pthreadpool_t pool)
{
    release(pool);
    __real_pthreadpool_destroy(pool);
}
