/* Owns the calls of the compiler and the archiver. */
#include "library.h"

#include "ask.h"

#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined __x86_64__
const char host_arch[] = "x86_64";
#else
const char host_arch[] = "aarch64";
#endif

enum { AOT_FILE_ROOM = 128 }; /* of a name of at most 64 letters, and an ending */

static bool no_memory(void) { return complain("no memory for a static library"), false; }

bool library_add(struct library *library, const char *dir, const char *name)
{
    char *path;
    char **objects = realloc(library->objects, (library->count + 1) * sizeof *objects);
    if (objects) library->objects = objects;
    if (!objects || asprintf(&path, "%s/%s", dir, name) < 0) return no_memory();
    objects[library->count++] = path;
    return true;
}

void library_free(struct library *library)
{
    for (size_t i = 0; i < library->count; i++) free(library->objects[i]);
    free(library->objects);
}

/* ---- tools ---- */

struct tool {
    const char *variable, *here, *there; /* there: behind the triple */
};

static const struct tool compiler = {"CC", "cc", "gcc"}, archiver = {"AR", "ar", "ar"};

/* "cc", or for another machine "aarch64-linux-gnu-gcc"; the caller frees it. NULL: no memory. */
static char *tool_find(const struct tool *tool, const char *target)
{
    char *name;
    const char *named = getenv(tool->variable);
    if (named && *named) return strdup(named);
    if (strncmp(target, host_arch, strlen(host_arch)) == 0) return strdup(tool->here);
    const char *rest = strchr(target, '-') ? "" : "-linux-gnu";
    return asprintf(&name, "%s%s-%s", target, rest, tool->there) < 0 ? NULL : name;
}

/* Runs the tool, whose words a shell tells apart, on arguments that none reads. `arguments` begins with room
 * for four of ours and ends with NULL. */
static bool tool_run(const struct tool *tool, const char *target, char **arguments)
{
    pid_t child;
    int status = -1;
    char *name = tool_find(tool, target);
    if (!name) return no_memory();
    arguments[0] = (char *)"sh", arguments[1] = (char *)"-c";
    arguments[2] = (char *)"exec $0 \"$@\"", arguments[3] = name;
    bool started = !posix_spawnp(&child, "sh", NULL, NULL, arguments, environ);
    bool good = started && waitpid(child, &status, 0) == child && WIFEXITED(status) && !WEXITSTATUS(status);
    if (!good) complain("--static: '%.200s' failed; %s names another", name, tool->variable);
    free(name);
    return good;
}

/* ---- the library ---- */

/* Its object is the library's last. */
static bool source_compile(struct library *library, const char *dir, const char *name, const char *target)
{
    char object[AOT_FILE_ROOM];
    char *source;
    snprintf(object, sizeof object, "%s.o", name);
    if (!library_add(library, dir, object)) return false;
    if (asprintf(&source, "%s/%s.c", dir, name) < 0) return no_memory();
    char *arguments[] = {NULL,          NULL,
                         NULL,          NULL,
                         (char *)"-O2", (char *)"-fPIC",
                         (char *)"-c",  source,
                         (char *)"-o",  library->objects[library->count - 1],
                         NULL};
    bool good = tool_run(&compiler, target, arguments);
    free(source);
    return good;
}

static bool objects_archive(const struct library *library, char *path, const char *target)
{
    char **arguments = calloc(library->count + 7, sizeof *arguments);
    if (!arguments) return no_memory();
    arguments[4] = (char *)"rcs";
    arguments[5] = path;
    memcpy(arguments + 6, library->objects, library->count * sizeof *arguments);
    unlink(path); /* or what it held stays in it */
    bool good = tool_run(&archiver, target, arguments);
    free(arguments);
    return good;
}

bool library_make(struct library *library, const char *dir, const char *name, const char *target)
{
    char *path;
    if (!source_compile(library, dir, name, target)) return false;
    if (asprintf(&path, "%s/lib%s.a", dir, name) < 0) return no_memory();
    bool good = objects_archive(library, path, target);
    free(path);
    return good;
}
