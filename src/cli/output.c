/* Owns the temporary files of commands that write files. */
#include "output.h"

#include "ask.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The mode that a new file would get: mkstemp makes files for the owner alone. */
static mode_t usual_mode(void)
{
    mode_t mask = umask(0);
    umask(mask);
    return 0666 & ~mask;
}

static bool refuse(const char *path, const char *why)
{
    return complain("cannot write %s: %s", path, why), false;
}

/* Whether the path is where standard output goes: "-", or such as /dev/stdout, which may be a file. */
static bool is_standard(const char *path, const struct stat *there)
{
    struct stat standard;
    return strcmp(path, "-") == 0 || (there && fstat(STDOUT_FILENO, &standard) == 0 &&
                                      standard.st_dev == there->st_dev && standard.st_ino == there->st_ino);
}

static FILE *temporary_open(char *name, mode_t mode)
{
    int handle = mkstemp(name);
    if (handle < 0) return NULL;
    FILE *file = fdopen(handle, "wb");
    if (file && fchmod(handle, mode) == 0) return file;
    if (file)
        fclose(file);
    else
        close(handle);
    unlink(name);
    return NULL;
}

/* Opens a file beside output->path, which it takes over. */
static bool beside_open(struct output *output, mode_t mode)
{
    if (!output->path || asprintf(&output->temporary, "%s.XXXXXX", output->path) < 0)
        output->temporary = NULL;
    else
        output->file = temporary_open(output->temporary, mode);
    return output->file || refuse(output->path ? output->path : "the file", strerror(errno));
}

/* A file that is there is replaced by one of the same mode; a link's target is what is meant. */
static bool file_replace(struct output *output, const char *path, const struct stat *there)
{
    bool writable = there->st_mode & (S_IWUSR | S_IWGRP | S_IWOTH); /* root may write whatever the mode */
    if (!writable || access(path, W_OK) != 0) return refuse(path, "it is there and write-protected");
    output->path = realpath(path, NULL);
    return beside_open(output, there->st_mode & 07777);
}

static bool file_create(struct output *output, const char *path)
{
    struct stat link;
    if (lstat(path, &link) == 0) return refuse(path, "it is a link to what is not there");
    output->path = strdup(path);
    return beside_open(output, usual_mode());
}

/* Devices and pipes cannot be replaced. */
static bool in_place_open(struct output *output, const char *path, bool standard)
{
    output->path = strdup(standard ? "standard output" : path);
    output->file = !output->path ? NULL : standard ? stdout : fopen(path, "wb");
    return output->file || refuse(path, strerror(errno));
}

static void names_free(struct output *output)
{
    free(output->temporary);
    free(output->path);
    *output = (struct output){0};
}

static bool any_open(struct output *output, const char *path)
{
    struct stat there;
    if (!*path) return complain("the name of the file to write is empty"), false;
    bool exists = stat(path, &there) == 0;
    if (is_standard(path, exists ? &there : NULL)) return in_place_open(output, path, true);
    if (!exists) return errno == ENOENT ? file_create(output, path) : refuse(path, strerror(errno));
    if (S_ISREG(there.st_mode)) return file_replace(output, path, &there);
    return in_place_open(output, path, false);
}

bool output_open(struct output *output, const char *path)
{
    *output = (struct output){0};
    bool good = any_open(output, path);
    if (!good) names_free(output);
    return good;
}

bool output_close(struct output *output, bool keep)
{
    bool written = !ferror(output->file);
    written = (output->file == stdout ? fflush(stdout) : fclose(output->file)) == 0 && written;
    bool kept = keep && written && (!output->temporary || rename(output->temporary, output->path) == 0);
    if (keep && !kept) refuse(output->path, strerror(errno));
    if (!kept && output->temporary) unlink(output->temporary);
    names_free(output);
    return kept || !keep;
}

bool output_into(const char *dir, const char *name, output_content *content, const void *arg)
{
    char *path;
    struct output output;
    if (asprintf(&path, "%s/%s", dir, name) < 0) return refuse(name, strerror(ENOMEM));
    bool good = output_open(&output, path);
    if (good) {
        good = content(output.file, arg);
        if (!good) refuse(path, "there is no memory, or no room");
        good = output_close(&output, good) && good;
    }
    free(path);
    return good;
}
