/* disk: reads and writes one file per kernel. A file is believed if it is ours alone (owner_check: that
 * keeps attackers out) and its checksum fits (that finds damage); the key is compared in full, since a
 * name is but a hash. Files appear by renaming, whole; no fsync is needed, since a torn one is found out. */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "status.h"

enum {
    DISK_VERSION = 1,
    FILE_BYTES_MOST = 16 << 20, /* a hundred times the largest kernel that the code budget allows */
};

static const char magic[8] = "kilncch";

/* What a file begins with; the key, the maker's stamp and the image follow. */
struct header {
    char magic[8];
    uint32_t version;  /* DISK_VERSION */
    uint32_t none;     /* 0 */
    uint64_t hits;     /* written in place, 8 aligned bytes at once, so that no reader sees half of it */
    uint64_t checksum; /* XXH3 of everything behind this field */
    uint64_t bytes;    /* of the whole file */
    uint64_t key_bytes, maker_bytes; /* with terminators */
};

static size_t align_up(size_t v) { return (v + IMAGE_CODE_ALIGN - 1) / IMAGE_CODE_ALIGN * IMAGE_CODE_ALIGN; }

static uint64_t checksum(const void *file, size_t bytes)
{
    size_t from = offsetof(struct header, checksum) + sizeof(uint64_t);
    return XXH3_64bits((const char *)file + from, bytes - from);
}

void disk_name(const char *key, char name[DISK_NAME_ROOM])
{
    XXH128_hash_t hash = XXH3_128bits(key, strlen(key));
    snprintf(name, DISK_NAME_ROOM, "%016llx%016llx.kiln", (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
}

void disk_stamp(const char *path, char stamp[DISK_STAMP_ROOM])
{
    struct stat s;
    if (stat(path, &s))
        snprintf(stamp, DISK_STAMP_ROOM, "%s", path);
    else
        snprintf(stamp, DISK_STAMP_ROOM, "%lld.%lld.%ld %s", (long long)s.st_size,
                 (long long)s.st_mtim.tv_sec, s.st_mtim.tv_nsec, path);
}

/* ---- reading ---- */

/* The parts of a file of held->count bytes, if they lie within it and are undamaged. */
static enum kiln_status held_split(struct held *held, struct kiln_error *why)
{
#define NEED(condition, ...) \
    if (!(condition)) return fail(why, KILN_STATUS_INVALID, __VA_ARGS__)
    const struct header *h = (const void *)held->bytes;
    const char *text = held->bytes + sizeof *h;
    size_t count = held->count;
    NEED(count >= sizeof *h, "it has %zu bytes: the header alone takes %zu", count, sizeof *h);
    NEED(!memcmp(h->magic, magic, sizeof magic), "it does not begin with \"%s\"", magic);
    NEED(h->version == DISK_VERSION, "its format is %u: this library writes %d", h->version, DISK_VERSION);
    NEED(!h->none, "its header was damaged");
    NEED(h->bytes == count, "it should have %llu bytes and has %zu", (unsigned long long)h->bytes, count);
    NEED(h->checksum == checksum(held->bytes, count), "its checksum does not fit: it was damaged");
    NEED(h->key_bytes >= 1 && h->key_bytes < count && h->maker_bytes >= 1 && h->maker_bytes < count,
         "its texts lie outside");
    size_t image = align_up(sizeof *h + h->key_bytes + h->maker_bytes);
    NEED(image < count, "its image lies outside");
    NEED(!text[h->key_bytes - 1] && !text[h->key_bytes + h->maker_bytes - 1], "its texts have no end");
#undef NEED
    held->hits = h->hits;
    held->key = text;
    held->maker = text + h->key_bytes;
    held->image = (const void *)(held->bytes + image);
    return image_check(held->image, count - image, why);
}

enum kiln_status held_read(struct held *held, int fd, struct kiln_error *why)
{
    off_t bytes;
    *held = (struct held){0};
    enum kiln_status status = owner_check(fd, S_IFREG, &bytes, why);
    if (status) return status;
    if (bytes > FILE_BYTES_MOST)
        return fail(why, KILN_STATUS_INVALID, "it has %lld bytes: at most %d are read", (long long)bytes,
                    FILE_BYTES_MOST);
    held->bytes = aligned_alloc(IMAGE_CODE_ALIGN, align_up((size_t)bytes + 1));
    if (!held->bytes) return fail(why, KILN_STATUS_MEMORY, "no memory for it");
    while (held->count < (size_t)bytes) {
        ssize_t got = pread(fd, held->bytes + held->count, (size_t)bytes - held->count, (off_t)held->count);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(why, KILN_STATUS_SYSTEM, "it cannot be read: %s", strerror(errno));
        if (got == 0) break; /* cut short this moment: found out below */
        held->count += (size_t)got;
    }
    return held_split(held, why);
}

/* Whether the file that helped to make it is still the same. One that is gone is no objection: what it
 * made still runs, and a machine need not have what it does not use. */
static bool maker_same(const char *maker)
{
    char now[DISK_STAMP_ROOM];
    const char *path = strchr(maker, '/');
    if (!path) return true;
    disk_stamp(path, now);
    return strcmp(now, path) == 0 || strcmp(now, maker) == 0;
}

/* Whether the process may write files of that size: beyond its limit it would be sent a signal. */
static bool size_allowed(size_t bytes)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) == 0 && bytes <= limit.rlim_cur;
}

/* Also makes it the most recently used, by the time of change. Two processes at the same moment may count
 * once. A failure is none of anyone's business. */
static void hit_count(int fd, uint64_t hits)
{
    size_t at = offsetof(struct header, hits);
    _Static_assert(offsetof(struct header, hits) % sizeof hits == 0, "written at once");
    hits++;
    if (size_allowed(at + sizeof hits) && pwrite(fd, &hits, sizeof hits, (off_t)at) < 0) return;
}

/* The kernel of an open file; none if it is not as it should be, which *why tells. */
static enum kiln_status file_load(const struct disk *disk, int fd, const char *key, struct kernel **kernel,
                                  struct kiln_error *why)
{
    struct held held;
    enum kiln_status status = held_read(&held, fd, why);
    if (!status && strcmp(held.key, key) != 0)
        status = fail(why, KILN_STATUS_INVALID, "it is of another key: \"%.300s\"", held.key);
    if (!status && !maker_same(held.maker))
        status = fail(why, KILN_STATUS_INVALID, "what made it has changed since: %.300s", held.maker);
    bool ignored = status != KILN_STATUS_OK;
    if (!ignored) status = kernel_load(held.image, kernel, why);
    if (*kernel && disk->mode == KILN_CACHE_ON) hit_count(fd, held.hits);
    free(held.bytes);
    return ignored ? KILN_STATUS_OK : status;
}

/* For writing too, if hits are to be counted and it can be. O_NONBLOCK: a FIFO must not hold us up. */
static int file_open(const struct disk *disk, int dir, const char *name)
{
    int how = O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    int fd = disk->mode == KILN_CACHE_ON ? openat(dir, name, O_RDWR | how) : -1;
    if (fd >= 0 || (disk->mode == KILN_CACHE_ON && errno == ENOENT)) return fd;
    return openat(dir, name, O_RDONLY | how);
}

/* Puts the name of what is ignored in front of the reason. */
static void why_name(struct kiln_error *why, const struct disk *disk, const char *name)
{
    if (why->text[0]) fail(why, why->status, "%.200s/%s: %.250s", disk->dir, name, why->text);
}

enum kiln_status disk_get(struct disk *disk, const char *key, struct kernel **kernel, struct kiln_error *why)
{
    char name[DISK_NAME_ROOM];
    enum kiln_status status = KILN_STATUS_OK;
    *kernel = NULL;
    why->text[0] = '\0';
    if (disk->mode == KILN_CACHE_OFF) return KILN_STATUS_OK;
    disk_name(key, name);
    int dir = dir_open(disk, false, why);
    int fd = dir < 0 ? -1 : file_open(disk, dir, name);
    if (fd >= 0)
        status = file_load(disk, fd, key, kernel, why);
    else if (dir >= 0 && errno != ENOENT)
        fail(why, KILN_STATUS_SYSTEM, "it cannot be opened: %s", strerror(errno));
    if (dir >= 0) why_name(why, disk, name);
    if (fd >= 0) close(fd);
    if (dir >= 0) close(dir);
    __atomic_add_fetch(*kernel ? &disk->hits : &disk->misses, 1, __ATOMIC_RELAXED);
    return status;
}

/* ---- writing ---- */

/* The whole file of an image, which the caller frees; NULL: too large, or no memory. */
static char *file_compose(const char *key, const char *stamp, const struct image *image, size_t *bytes)
{
    struct header h = {
        .version = DISK_VERSION, .key_bytes = strlen(key) + 1, .maker_bytes = strlen(stamp) + 1};
    size_t at = align_up(sizeof h + h.key_bytes + h.maker_bytes);
    if (image->bytes > FILE_BYTES_MOST - at) return NULL;
    h.bytes = *bytes = at + image->bytes;
    memcpy(h.magic, magic, sizeof magic);
    char *file = calloc(1, *bytes);
    if (!file) return NULL;
    memcpy(file, &h, sizeof h);
    memcpy(file + sizeof h, key, h.key_bytes);
    memcpy(file + sizeof h + h.key_bytes, stamp, h.maker_bytes);
    memcpy(file + at, image, image->bytes);
    h.checksum = checksum(file, *bytes);
    memcpy(file, &h, sizeof h);
    return file;
}

static bool write_whole(int fd, const char *bytes, size_t count)
{
    while (count) {
        ssize_t put = write(fd, bytes, count);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return false;
        bytes += put;
        count -= (size_t)put;
    }
    return true;
}

/* Writes a file under its final name, by way of a temporary one; false: errno tells. */
static bool file_write(int dir, const char *name, const char *bytes, size_t count)
{
    char temporary[DISK_NAME_ROOM];
    int fd = temporary_make(dir, temporary);
    if (fd < 0) return false;
    bool written = write_whole(fd, bytes, count);
    int reason = errno;
    bool closed = close(fd) == 0;
    if (written && closed && renameat(dir, temporary, dir, name) == 0) return true;
    if (written) reason = errno;
    unlinkat(dir, temporary, 0);
    errno = reason;
    return false;
}

/* The directory is open. */
static void file_put(struct disk *disk, int dir, const char *name, const char *bytes, size_t count,
                     struct kiln_error *why)
{
    if (count > disk->most || !size_allowed(count))
        fail(why, KILN_STATUS_SYSTEM, "not written: %zu bytes are more than the cache or the process may",
             count);
    else if (!file_write(dir, name, bytes, count))
        fail(why, KILN_STATUS_SYSTEM, "not written: %s", strerror(errno));
    else {
        __atomic_add_fetch(&disk->writes, 1, __ATOMIC_RELAXED);
        dir_wrote(disk, dir, count);
    }
    why_name(why, disk, name);
}

void disk_put(struct disk *disk, const char *key, const char *maker, const struct image *image,
              struct kiln_error *why)
{
    char name[DISK_NAME_ROOM], stamp[DISK_STAMP_ROOM] = "";
    size_t count;
    why->text[0] = '\0';
    if (disk->mode != KILN_CACHE_ON) return;
    if (maker) disk_stamp(maker, stamp);
    disk_name(key, name);
    char *bytes = file_compose(key, stamp, image, &count);
    if (!bytes) fail(why, KILN_STATUS_MEMORY, "not written: too large, or no memory for it");
    int dir = bytes ? dir_open(disk, true, why) : -1;
    if (dir >= 0) file_put(disk, dir, name, bytes, count, why);
    if (dir >= 0) close(dir);
    free(bytes);
}
