/* disk: key text -> image, in files of one directory that outlive the process. Found again only if
 * every byte is as it was written; whatever is not right is left alone, told about, and made anew.
 * Knows nothing of LLVM. */
#ifndef KILN_SRC_DISK_H
#define KILN_SRC_DISK_H

#include <sys/types.h>

#include "load.h"

struct disk {
    enum kiln_cache mode; /* never KILN_CACHE_DEFAULT */
    char *dir;            /* an absolute path without a '/' behind it; NULL: none, and the mode is off */
    uint64_t most;        /* bytes of all files that are kept */
    int64_t room;         /* atomic: bytes to be written before the directory is looked through again */
    uint64_t hits, misses, writes; /* atomic */
};

enum {
    DISK_NAME_ROOM = 48,    /* of every name of ours, with its terminator */
    DISK_STAMP_ROOM = 4224, /* a path and two numbers */
};

/* ---- disk_place: what the configuration and the environment say ---- */

/* Fills disk, which disk_close frees, on failure too. INVALID: a bad setting. MEMORY. */
enum kiln_status disk_open(struct disk *disk, const struct kiln_config *config, struct kiln_error *error);
void disk_close(struct disk *disk);

/* ---- disk: one file per kernel ---- */

/* Which of all files that may ever be at `path` is there: its size, time of change and path; just the path
 * if there is none. */
void disk_stamp(const char *path, char stamp[DISK_STAMP_ROOM]);

/* OK with *kernel: found, and loaded. OK with NULL: not there, or ignored, and *why tells for what; its
 * text is "" if there simply is none. Any other status: it is there, and cannot be loaded; as kernel_load. */
enum kiln_status disk_get(struct disk *disk, const char *key, struct kernel **kernel, struct kiln_error *why);

/* Keeps an image that was made with the help of the file at `maker`, a path or NULL: once another file is
 * there, the image is ignored. Failing only means not kept: *why tells, its text is "" if it was. */
void disk_put(struct disk *disk, const char *key, const char *maker, const struct image *image,
              struct kiln_error *why);

/* One file's contents, checked in all that can be without knowing what it should be the answer to. */
struct held {
    char *bytes; /* aligned as an image's code is; freed by the caller */
    size_t count;
    uint64_t hits;
    const char *key, *maker; /* within bytes */
    const struct image *image;
};

/* Reads an open file of a cache. INVALID or SYSTEM: not ours, damaged, and so on. MEMORY. */
enum kiln_status held_read(struct held *held, int fd, struct kiln_error *why);

/* The name of the file of a key. */
void disk_name(const char *key, char name[DISK_NAME_ROOM]);

/* ---- disk_dir: the directory ---- */

/* The directory, opened and found to be safe; `make`: made, if it is not there. Negative: why tells; its
 * text is "" if it is not there. */
int dir_open(const struct disk *disk, bool make, struct kiln_error *why);

/* OK if an open file or directory may be believed: it belongs to us, and nobody else may write to it. */
enum kiln_status owner_check(int fd, mode_t kind, off_t *bytes, struct kiln_error *why);

/* A new file for a writer, who renames or removes it, and its name. Negative: errno tells. */
int temporary_make(int dir, char name[DISK_NAME_ROOM]);

/* Counts bytes written; now and then looks through the directory and drops the least recently used. */
void dir_wrote(struct disk *disk, int dir, uint64_t bytes);

/* Drops the least recently used until at most `most` bytes are left, and temporary files that their writer
 * did not live to rename. Adds to *removed. SYSTEM: also a file that stays, when the others have gone. */
enum kiln_status dir_prune(int dir, uint64_t most, uint64_t *left, uint64_t *removed,
                           struct kiln_error *error);

/* Tells of each file, the most recently used first. */
enum kiln_status dir_list(int dir, kiln_cache_visit *visit, void *user, struct kiln_error *error);

#endif
