/* disk_place: where the cache is and what may be done with it: as the configuration says, else the
 * environment, which processes with more rights than their user (set-user-ID) do not listen to. */
#include "disk.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "status.h"
#include "text.h"

enum { DISK_BYTES = 256 << 20 }; /* some twenty thousand kernels */

static const char *const mode_names[] = {
    [KILN_CACHE_OFF] = "off",
    [KILN_CACHE_READ] = "read",
    [KILN_CACHE_ON] = "on",
};
enum { MODES = sizeof mode_names / sizeof *mode_names };

/* An environment variable; NULL: not set, or empty. */
static const char *variable(const char *name)
{
    const char *value = secure_getenv(name);
    return value && *value ? value : NULL;
}

static enum kiln_status mode_read(enum kiln_cache *mode, enum kiln_cache asked, struct kiln_error *error)
{
    const char *text = variable("KILN_CACHE");
    *mode = asked;
    if ((unsigned)asked >= MODES)
        return fail(error, KILN_STATUS_INVALID, "cache is %d: must be one of enum kiln_cache", (int)asked);
    if (asked != KILN_CACHE_DEFAULT) return KILN_STATUS_OK;
    *mode = KILN_CACHE_ON;
    if (!text) return KILN_STATUS_OK;
    for (int i = KILN_CACHE_OFF; i < MODES; i++) {
        *mode = (enum kiln_cache)i;
        if (!strcmp(mode_names[i], text)) return KILN_STATUS_OK;
    }
    return fail(error, KILN_STATUS_INVALID, "KILN_CACHE is \"%.32s\": must be off, read or on", text);
}

/* "1000", "64K", "256M" or "1G". */
static bool bytes_parse(const char *text, uint64_t *bytes)
{
    static const char units[] = "KMG";
    size_t length = strlen(text);
    const char *unit = length ? strchr(units, text[length - 1]) : NULL;
    int shift = unit ? 10 * (int)(unit - units + 1) : 0;
    int64_t v;
    if (word_number((struct word){text, length - (unit != NULL)}, &v) != NUMBER_OK) return false;
    if (v < 1 || v > INT64_MAX >> shift) return false;
    *bytes = (uint64_t)v << shift;
    return true;
}

static enum kiln_status most_read(uint64_t *most, uint64_t asked, struct kiln_error *error)
{
    const char *text = variable("KILN_CACHE_MAX");
    *most = asked ? asked : DISK_BYTES;
    if (*most > INT64_MAX) *most = INT64_MAX;
    if (asked || !text || bytes_parse(text, most)) return KILN_STATUS_OK;
    return fail(error, KILN_STATUS_INVALID,
                "KILN_CACHE_MAX is \"%.32s\": must be a number of bytes, at least 1, such as 1000000 or 256M",
                text);
}

static char *joined(const char *dir, const char *behind)
{
    char *path = NULL;
    return asprintf(&path, "%s%s", dir, behind) < 0 ? NULL : path;
}

/* The user's own; a relative path counts as none, as the XDG base directory specification has it. */
static enum kiln_status place_find(char **dir, struct kiln_error *error)
{
    const char *cache = variable("XDG_CACHE_HOME"), *home = variable("HOME");
    bool xdg = cache && *cache == '/';
    if (!xdg && (!home || *home != '/')) return KILN_STATUS_OK;
    *dir = xdg ? joined(cache, "/kiln") : joined(home, "/.cache/kiln");
    return *dir ? KILN_STATUS_OK : fail(error, KILN_STATUS_MEMORY, "no memory for a path");
}

static enum kiln_status place_read(char **dir, const char *asked, struct kiln_error *error)
{
    const char *name = asked ? "cache_dir" : "KILN_CACHE_DIR";
    if (!asked) asked = variable("KILN_CACHE_DIR");
    if (!asked) return place_find(dir, error);
    if (*asked != '/')
        return fail(error, KILN_STATUS_INVALID, "%s is \"%.300s\": must be an absolute path", name, asked);
    *dir = joined(asked, "");
    if (!*dir) return fail(error, KILN_STATUS_MEMORY, "no memory for a path");
    /* O_NOFOLLOW does not see a symbolic link behind which there is a '/'. */
    for (size_t length = strlen(*dir); length > 1 && (*dir)[length - 1] == '/';) (*dir)[--length] = '\0';
    return KILN_STATUS_OK;
}

enum kiln_status disk_open(struct disk *disk, const struct kiln_config *config, struct kiln_error *error)
{
    *disk = (struct disk){0};
    enum kiln_status status = mode_read(&disk->mode, config->cache, error);
    if (!status) status = most_read(&disk->most, config->cache_disk_bytes, error);
    if (!status) status = place_read(&disk->dir, config->cache_dir, error);
    if (!disk->dir) disk->mode = KILN_CACHE_OFF;
    return status;
}

void disk_close(struct disk *disk) { free(disk->dir); }
