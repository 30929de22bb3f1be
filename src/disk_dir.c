/* disk_dir: the directory of the cache: whether it may be believed, what is in it, and what goes. Nothing
 * of it is remembered between calls: other processes write to it, and it may be removed at any time. */
#include "disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "status.h"

enum { TEMPORARY_SECONDS = 3600 }; /* no writer takes that long: it has died */

#define TEMPORARY "tmp-"

/* ---- opening ---- */

enum kiln_status owner_check(int fd, mode_t kind, off_t *bytes, struct kiln_error *why)
{
    struct stat s;
    if (fstat(fd, &s)) return fail(why, KILN_STATUS_SYSTEM, "it cannot be looked at: %s", strerror(errno));
    if ((s.st_mode & S_IFMT) != kind)
        return fail(why, KILN_STATUS_INVALID, "it is no %s", kind == S_IFREG ? "regular file" : "directory");
    if (s.st_uid != geteuid())
        return fail(why, KILN_STATUS_INVALID, "it belongs to user %u: this process runs as %u", s.st_uid,
                    geteuid());
    if (s.st_mode & (S_IWGRP | S_IWOTH))
        return fail(why, KILN_STATUS_INVALID, "others may write to it: its mode is %03o", s.st_mode & 0777u);
    *bytes = s.st_size;
    return KILN_STATUS_OK;
}

/* Makes a directory and those above it, for this user alone, as the XDG base directory specification says. */
static void dir_make(const char *path)
{
    char *at = strdup(path);
    for (char *slash = at ? strchr(at + 1, '/') : NULL; slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(at, 0700);
        *slash = '/';
    }
    if (at) mkdir(at, 0700);
    free(at);
}

int dir_open(const struct disk *disk, bool make, struct kiln_error *why)
{
    const int how = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    off_t bytes;
    int dir = openat(AT_FDCWD, disk->dir, how);
    if (dir < 0 && errno == ENOENT && make) {
        dir_make(disk->dir);
        dir = openat(AT_FDCWD, disk->dir, how);
    }
    if (dir >= 0 && !owner_check(dir, S_IFDIR, &bytes, why)) return dir;
    if (dir >= 0)
        fail(why, why->status, "%.200s: %.250s", disk->dir, why->text);
    else if (errno == ENOENT && !make)
        why->text[0] = '\0';
    else
        fail(why, KILN_STATUS_SYSTEM, "%.200s cannot be opened%s: %s", disk->dir,
             errno == ENOTDIR ? ", or is a symbolic link" : "", strerror(errno));
    if (dir >= 0) close(dir);
    return -1;
}

int temporary_make(int dir, char name[DISK_NAME_ROOM])
{
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random) random = (uint64_t)clock();
    snprintf(name, DISK_NAME_ROOM, TEMPORARY "%ld-%016llx", (long)getpid(), (unsigned long long)random);
    return openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
}

/* ---- looking through it ---- */

/* One file of a cache; `entry`: of a kernel, else a temporary one. */
struct found {
    char name[DISK_NAME_ROOM];
    bool entry;
    uint64_t bytes;
    struct timespec used;
};

struct scan {
    struct found *at;
    size_t count, room;
};

static bool is_entry(const char *name)
{
    return strspn(name, "0123456789abcdef") == 32 && !strcmp(name + 32, ".kiln");
}

static bool is_temporary(const char *name) { return !strncmp(name, TEMPORARY, strlen(TEMPORARY)); }

static bool scan_add(struct scan *scan, const struct found *found)
{
    if (scan->count == scan->room) {
        size_t room = scan->room ? 2 * scan->room : 64;
        struct found *grown = realloc(scan->at, room * sizeof *grown);
        if (!grown) return false;
        scan->at = grown;
        scan->room = room;
    }
    scan->at[scan->count++] = *found;
    return true;
}

/* One name of the directory, if it is ours; what is gone by now is left out. False: no memory. */
static bool scan_name(struct scan *scan, int dir, const char *name)
{
    struct stat s;
    struct found found = {.entry = is_entry(name)};
    if (!found.entry && !is_temporary(name)) return true;
    if (strlen(name) >= sizeof found.name || fstatat(dir, name, &s, AT_SYMLINK_NOFOLLOW)) return true;
    memcpy(found.name, name, strlen(name) + 1);
    found.bytes = (uint64_t)s.st_size;
    found.used = s.st_mtim;
    return scan_add(scan, &found);
}

static int older_first(const void *a, const void *b)
{
    const struct timespec *x = &((const struct found *)a)->used, *y = &((const struct found *)b)->used;
    if (x->tv_sec != y->tv_sec) return x->tv_sec < y->tv_sec ? -1 : 1;
    return (x->tv_nsec > y->tv_nsec) - (x->tv_nsec < y->tv_nsec);
}

/* All files of ours, the least recently used first; the caller frees scan->at, on failure too. */
static enum kiln_status scan_read(struct scan *scan, int dir, struct kiln_error *error)
{
    *scan = (struct scan){0};
    int again = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = again < 0 ? NULL : fdopendir(again);
    bool good = true;
    if (!stream) {
        fail(error, KILN_STATUS_SYSTEM, "the cache's directory cannot be read: %s", strerror(errno));
        if (again >= 0) close(again);
        return KILN_STATUS_SYSTEM;
    }
    for (struct dirent *d; good && (d = readdir(stream));) good = scan_name(scan, dir, d->d_name);
    closedir(stream);
    if (!good) return fail(error, KILN_STATUS_MEMORY, "no memory for the cache's list of files");
    if (scan->count) qsort(scan->at, scan->count, sizeof *scan->at, older_first);
    return KILN_STATUS_OK;
}

/* ---- dropping ---- */

enum kiln_status dir_prune(int dir, uint64_t most, uint64_t *left, uint64_t *removed,
                           struct kiln_error *error)
{
    struct scan scan;
    enum kiln_status status = scan_read(&scan, dir, error);
    time_t dead = time(NULL) - TEMPORARY_SECONDS;
    uint64_t total = 0;
    int stays = 0; /* why `first` could not be removed */
    const char *first = NULL;
    for (size_t i = 0; i < scan.count; i++) total += scan.at[i].bytes;
    for (size_t i = 0; i < scan.count && !status; i++) {
        const struct found *f = &scan.at[i];
        if (f->entry ? total <= most : f->used.tv_sec > dead) continue;
        bool gone = !unlinkat(dir, f->name, 0);
        *removed += gone;
        if (gone || errno == ENOENT)
            total -= f->bytes; /* ENOENT: another process was faster */
        else if (!stays)
            stays = errno, first = f->name;
    }
    if (stays) status = fail(error, KILN_STATUS_SYSTEM, "%s cannot be removed: %s", first, strerror(stays));
    free(scan.at);
    *left = total;
    return status;
}

/* To look through thousands of files takes as long as to compile a kernel, so it is done once in a while: at
 * a context's first write, and when an eighth of what was left then has been written. Several processes
 * may so go beyond the limit together, each by that eighth. */
void dir_wrote(struct disk *disk, int dir, uint64_t bytes)
{
    uint64_t left, removed = 0;
    if (__atomic_sub_fetch(&disk->room, (int64_t)bytes, __ATOMIC_RELAXED) > 0) return;
    dir_prune(dir, disk->most, &left, &removed, NULL);
    /* Some more than must, or every write from now on would have to. */
    if (removed) dir_prune(dir, disk->most / 8 * 7, &left, &removed, NULL);
    __atomic_store_n(&disk->room, left < disk->most ? (int64_t)((disk->most - left) / 8) : 0,
                     __ATOMIC_RELAXED);
}

/* ---- telling ---- */

/* Whether a file is what its name says it is, and what it holds. */
static enum kiln_status found_read(int dir, const struct found *f, struct held *held, struct kiln_error *why)
{
    char name[DISK_NAME_ROOM];
    *held = (struct held){0};
    int fd = openat(dir, f->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return fail(why, KILN_STATUS_SYSTEM, "it cannot be opened: %s", strerror(errno));
    enum kiln_status status = held_read(held, fd, why);
    close(fd);
    if (status) return status;
    disk_name(held->key, name);
    return strcmp(name, f->name) == 0
               ? KILN_STATUS_OK
               : fail(why, KILN_STATUS_INVALID, "it is of another key: \"%.300s\"", held->key);
}

enum kiln_status dir_list(int dir, kiln_cache_visit *visit, void *user, struct kiln_error *error)
{
    struct scan scan;
    enum kiln_status status = scan_read(&scan, dir, error);
    for (size_t i = status ? 0 : scan.count; i-- > 0;) {
        const struct found *f = &scan.at[i];
        struct kiln_error why;
        struct held held;
        if (!f->entry) continue;
        bool sound = !found_read(dir, f, &held, &why);
        if (!sound && why.status == KILN_STATUS_MEMORY)
            status = fail(error, why.status, "no memory to read %s", f->name);
        if (status) break;
        const struct kiln_cache_entry entry = {.file = f->name,
                                               .plan = sound ? image_text(held.image) : NULL,
                                               .key = sound ? held.key : NULL,
                                               .wrong = sound ? NULL : why.text,
                                               .bytes = f->bytes,
                                               .hits = sound ? held.hits : 0,
                                               .used = f->used.tv_sec};
        visit(user, &entry);
        free(held.bytes);
    }
    free(scan.at);
    return status;
}
