/* What the tests of the cache on disk share: a cache in a folder of its own, with small kernels. */
#ifndef KILN_TESTS_DISK_FOLDER_H
#define KILN_TESTS_DISK_FOLDER_H

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk.h"
#include "small_image.h"

static char folder[] = "/tmp/kiln-disk-XXXXXX", cache_dir[64];
static struct disk disk;
static struct kiln_error why;

static inline void disk_of(struct kiln_config config)
{
    disk_close(&disk);
    config.size = sizeof config;
    if (!config.cache_dir) config.cache_dir = cache_dir;
    if (!config.cache) config.cache = KILN_CACHE_ON;
    cr_assert_eq(disk_open(&disk, &config, &why), KILN_STATUS_OK, "%s", why.text);
}

/* Tests run inside the folder; the cache is to be at cache_dir, which is not there yet. */
static inline void folder_make(void)
{
    umask(022);
    cr_assert(mkdtemp(folder) && chdir(folder) == 0);
    snprintf(cache_dir, sizeof cache_dir, "%s/cache", folder);
    disk_of((struct kiln_config){0});
}

static inline void folder_remove(void)
{
    char command[96];
    disk_close(&disk);
    snprintf(command, sizeof command, "chmod -R u+rwX %s && rm -r %s", folder, folder);
    cr_assert_eq(system(command), 0);
}

static inline void put(const char *key, size_t code)
{
    struct image *i = small_image(key, code);
    disk_put(&disk, key, NULL, i, &why);
    free(i);
}

/* Whether the key's kernel is found; it must then be right. */
static inline bool get(const char *key)
{
    struct kernel *k;
    int dst[3] = {0};
    cr_assert_eq(disk_get(&disk, key, &k, &why), KILN_STATUS_OK, "%s", why.text);
    if (!k) return false;
    k->run(&(struct kiln_args){.dst = dst}, 1, 2, NULL);
    cr_assert(dst[0] == 0 && dst[1] == 1 && dst[2] == 0);
    cr_assert_str_eq(k->text, key);
    kernel_release(k);
    return true;
}

#define FOUND(key) cr_assert(get(key), "%s", why.text)
#define ABSENT(key) cr_assert(!get(key) && !why.text[0], "%s", why.text)
#define IGNORED(key, reason) \
    cr_assert(!get(key) && strstr(why.text, (reason)), "\"%s\", not \"%s\"", why.text, (reason))

/* The path of a key's file. */
static inline const char *file_of(const char *key)
{
    static char path[128];
    char name[DISK_NAME_ROOM];
    disk_name(key, name);
    snprintf(path, sizeof path, "%s/%s", cache_dir, name);
    return path;
}

static inline size_t file_read(const char *path, char *bytes, size_t room)
{
    FILE *file = fopen(path, "r");
    cr_assert(file, "%s", path);
    size_t count = fread(bytes, 1, room, file);
    fclose(file);
    return count;
}

static inline void file_write(const char *path, const void *bytes, size_t count)
{
    FILE *file = fopen(path, "w");
    cr_assert(file && fwrite(bytes, 1, count, file) == count && fclose(file) == 0, "%s", path);
}

/* Files of the cache whose names begin with `prefix`. */
static inline int files(const char *prefix)
{
    int count = 0;
    DIR *dir = opendir(cache_dir);
    if (!dir) return 0;
    for (struct dirent *d; (d = readdir(dir));)
        count += d->d_name[0] != '.' && !strncmp(d->d_name, prefix, strlen(prefix));
    closedir(dir);
    return count;
}

#endif
