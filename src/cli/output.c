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

/* Devices and pipes cannot be replaced; a link's target is what is meant. */
static bool names_find(struct output *output, const char *path)
{
    struct stat there;
    bool exists = stat(path, &there) == 0;
    output->path = exists ? realpath(path, NULL) : strdup(path);
    output->temporary = NULL;
    if (!output->path) return false;
    if (exists && !S_ISREG(there.st_mode)) return true;
    if (asprintf(&output->temporary, "%s.XXXXXX", output->path) >= 0) return true;
    output->temporary = NULL;
    return false;
}

static FILE *temporary_open(char *name)
{
    int handle = mkstemp(name);
    if (handle < 0) return NULL;
    FILE *file = fdopen(handle, "wb");
    if (file && fchmod(handle, usual_mode()) == 0) return file;
    if (file)
        fclose(file);
    else
        close(handle);
    unlink(name);
    return NULL;
}

static void names_free(struct output *output)
{
    free(output->temporary);
    free(output->path);
    *output = (struct output){0};
}

bool output_open(struct output *output, const char *path)
{
    bool named = names_find(output, path);
    output->file = !named ? NULL : output->temporary ? temporary_open(output->temporary) : fopen(path, "wb");
    if (output->file) return true;
    complain("cannot write %s: %s", path, strerror(errno));
    names_free(output);
    return false;
}

bool output_close(struct output *output, bool keep)
{
    bool written = !ferror(output->file);
    written = fclose(output->file) == 0 && written;
    bool kept = keep && written && (!output->temporary || rename(output->temporary, output->path) == 0);
    if (keep && !kept) complain("cannot write %s: %s", output->path, strerror(errno));
    if (!kept && output->temporary) unlink(output->temporary);
    names_free(output);
    return kept || !keep;
}
