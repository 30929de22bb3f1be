/* jitdump: the form is that of the kernel's tools/perf/Documentation/jitdump-specification.txt, version 1.
 * The file lies where perf's own agents put theirs, in a new directory of each context, so that nothing that
 * is there already is opened: $JITDUMPDIR, else $HOME, then .debug/jit/kiln-jit-XXXXXX/jit-PID.dump. */
#include "jitdump.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "image.h"
#include "text.h"

enum { MAGIC = 0x4A695444, VERSION = 1, FILE_NAME_ROOM = 32 };
enum record { CODE_LOAD = 0, CODE_CLOSE = 3 };

struct header {
    uint32_t magic, version, bytes, elf_machine, pad, pid;
    uint64_t time, flags;
};

struct prefix {
    uint32_t id, bytes; /* of the whole record */
    uint64_t time;
};

struct load {
    struct prefix prefix;
    uint32_t pid, tid;
    uint64_t vma, at, code_bytes, index;
    /* the name with its terminator, and the code */
};

_Static_assert(sizeof(struct header) == 40 && sizeof(struct load) == 56, "the form has no gaps");

/* `perf record -k mono` writes times of this clock, by which the two are joined. */
static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void news_put(char news[JITDUMP_NEWS], const char *what, const char *path, int error)
{
    const char *colon = error ? ": " : "", *why = error ? strerror(error) : "";
    snprintf(news, JITDUMP_NEWS, "%s%.300s%s%s", what, path, colon, why);
}

/* ---- the file ---- */

/* Makes the directory; its path, or "" and why in news. Processes with more rights than their user do not
 * listen to the environment, and so have no place. */
static void dir_make(char path[PATH_MAX], char news[JITDUMP_NEWS])
{
    static const char *const parts[] = {"/.debug", "/jit"};
    struct text t = text_into(path, PATH_MAX);
    const char *base = secure_getenv("JITDUMPDIR");
    if (!base || !*base) base = secure_getenv("HOME");
    path[0] = '\0';
    if (!base || !*base || strlen(base) > PATH_MAX / 2) {
        news_put(news, "no place for a file: set JITDUMPDIR to a directory", "", 0);
        return;
    }
    text_put(&t, "%s", base);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        text_put(&t, "%s", parts[i]);
        mkdir(path, 0777); /* it may be there; if it cannot be made, nor can what is in it */
    }
    size_t length = t.length;
    text_put(&t, "/kiln-jit-XXXXXX");
    if (mkdtemp(path)) return;
    path[length] = '\0';
    news_put(news, "cannot make a directory in ", path, errno);
    path[0] = '\0';
}

/* A new file in a directory just made, which nobody else has put in its place. */
static int file_make(const char *dir, const char *name)
{
    struct stat s;
    int at = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), file = -1;
    if (at < 0) return -1;
    errno = EPERM;
    if (!fstat(at, &s) && s.st_uid == geteuid())
        file = openat(at, name, O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int why = errno;
    close(at);
    errno = why;
    return file;
}

static size_t page_bytes(void) { return (size_t)sysconf(_SC_PAGESIZE); }

/* Begins the file and maps its mark. */
static bool file_begin(struct jitdump *d)
{
    const struct header header = {.magic = MAGIC,
                                  .version = VERSION,
                                  .bytes = sizeof header,
                                  .elf_machine = HOST_MACHINE,
                                  .pid = (uint32_t)d->pid,
                                  .time = now()};
    if (write(d->file, &header, sizeof header) != (ssize_t)sizeof header) return false;
    void *mark = mmap(NULL, page_bytes(), PROT_READ | PROT_EXEC, MAP_PRIVATE, d->file, 0);
    d->mark = mark == MAP_FAILED ? NULL : mark;
    return d->mark;
}

/* Leaves the file as it is; another process's goes on there. */
static void file_leave(struct jitdump *d)
{
    if (d->mark) munmap(d->mark, page_bytes());
    if (d->file >= 0) close(d->file);
    d->mark = NULL;
    d->file = -1;
}

static void file_open(struct jitdump *d, char news[JITDUMP_NEWS])
{
    char dir[PATH_MAX], path[PATH_MAX + FILE_NAME_ROOM];
    file_leave(d);
    d->pid = getpid();
    d->count = 0;
    dir_make(dir, news);
    if (!dir[0]) return;
    struct text t = text_into(path, sizeof path);
    text_put(&t, "%s/jit-%ld.dump", dir, (long)d->pid);
    d->file = file_make(dir, path + strlen(dir) + 1);
    bool begun = d->file >= 0 && file_begin(d);
    news_put(news, begun ? "writes " : "cannot write and map ", path, begun ? 0 : errno);
    if (!begun) file_leave(d);
}

/* ---- its records ---- */

/* False: it could not be written in full. What is behind the last whole record is not read. */
static bool load_put(struct jitdump *d, const struct symbol *s)
{
    size_t name_bytes = strlen(s->name) + 1, bytes = sizeof(struct load) + name_bytes + s->bytes;
    struct load load = {.prefix = {CODE_LOAD, (uint32_t)bytes, now()},
                        .pid = (uint32_t)d->pid,
                        .tid = (uint32_t)gettid(),
                        .vma = (uintptr_t)s->at,
                        .at = (uintptr_t)s->at,
                        .code_bytes = s->bytes,
                        .index = d->count++};
    const struct iovec parts[] = {
        {&load, sizeof load}, {(void *)s->name, name_bytes}, {(void *)s->at, s->bytes}};
    errno = 0; /* a disk that fills up in the middle sets none */
    return writev(d->file, parts, sizeof parts / sizeof *parts) == (ssize_t)bytes;
}

void jitdump_add(struct jitdump *d, const struct symbol symbols[SYMBOLS], char news[JITDUMP_NEWS])
{
    news[0] = '\0';
    pthread_mutex_lock(&d->lock);
    if (d->pid != getpid()) file_open(d, news);
    for (int i = 0; d->file >= 0 && i < SYMBOLS; i++) {
        if (load_put(d, &symbols[i])) continue;
        news_put(news, "the file is not written any more", "", errno);
        file_leave(d);
    }
    pthread_mutex_unlock(&d->lock);
}

void jitdump_init(struct jitdump *d)
{
    pthread_mutex_init(&d->lock, NULL);
    d->pid = 0;
    d->file = -1;
    d->mark = NULL;
}

void jitdump_close(struct jitdump *d)
{
    const struct prefix end = {CODE_CLOSE, sizeof end, now()};
    bool ours = d->file >= 0 && d->pid == getpid();
    if (ours && write(d->file, &end, sizeof end) < 0)
        errno = 0; /* it ends as if the process had been killed */
    file_leave(d);
    pthread_mutex_destroy(&d->lock);
}
