/* door: finds and opens the code-generation module. Nothing else in the core knows that LLVM exists. */
#include "door.h"

#include <assert.h>
#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "status.h"

/* The generator that is linked in; NULL: it is a module. */
#ifdef KILN_STATIC_GENERATOR
generator_entry kiln_generator;
static generator_entry *const built_in = kiln_generator;
#else
static generator_entry *const built_in = NULL;
#endif

#define MODULE "libkiln-generator.so"

/* Where the module may lie, seen from the folder of this library, or of the program that holds it: a
 * build folder, a distribution's private folder, and the prefix of a program in bin/. */
static const char *const places[] = {MODULE, "kiln/" MODULE, "../lib/kiln/" MODULE, "../lib/" MODULE};
enum { PLACES = sizeof places / sizeof *places };

/* The shared library moves with its folder. What holds the archive may lie anywhere: for that the module also
 * counts where it was configured to be installed. */
static const char shared_name[] = "libkiln.so", installed[] = KILN_MODULES "/" MODULE;
static_assert(sizeof installed <= PATH_MAX, "it fits where paths go");

/* The file that holds this code; false if the system does not tell. The program itself has no name in the
 * list of loaded objects. Asked for by the address of a table: ISO C lets no function's be cast. */
static bool own_file(char path[PATH_MAX])
{
    Dl_info info;
    void *found = NULL;
    if (!dladdr1((const void *)places, &info, &found, RTLD_DL_LINKMAP) || !found) return false;
    const struct link_map *map = found;
    return realpath(map->l_name[0] ? map->l_name : "/proc/self/exe", path) != NULL;
}

/* The first place, seen from the folder, where a file is; false if there is none, with the first place in
 * path for the error. */
static bool place_find(const char *folder, char path[PATH_MAX])
{
    char at[PATH_MAX];
    for (int i = 0; i < PLACES; i++) {
        if ((size_t)snprintf(at, sizeof at, "%s%s", folder, places[i]) >= sizeof at) continue;
        bool there = !access(at, R_OK);
        if (there || i == 0) memcpy(path, at, sizeof at);
        if (there) return true;
    }
    return false;
}

/* False if there is no module, with a place where one should be in path for the error. */
static bool module_find(char path[PATH_MAX])
{
    char file[PATH_MAX];
    snprintf(path, PATH_MAX, "%s", MODULE);
    if (own_file(file)) {
        char *name = strrchr(file, '/') + 1; /* realpath gives an absolute path */
        bool shared = !strncmp(name, shared_name, sizeof shared_name - 1);
        *name = '\0';
        if (place_find(file, path)) return true;
        if (shared) return false;
    }
    if (access(installed, R_OK)) return false;
    memcpy(path, installed, sizeof installed);
    return true;
}

/* The table inside an opened module, if it is of our version. */
static enum kiln_status module_enter(generator_entry *entry, const char *path,
                                     const struct generator **generator, struct kiln_error *error)
{
    const struct generator *table = entry();
    if (table->version != GENERATOR_VERSION)
        return fail(error, KILN_STATUS_SYSTEM, "%.256s is of version %u: this library needs %d", path,
                    (unsigned)table->version, GENERATOR_VERSION);
    *generator = table;
    return KILN_STATUS_OK;
}

/* What dlopen says of the module, or a library that it needs, which is not there. Others have other causes,
 * such as too little memory, that no package mends. */
static const char file_missing[] = "cannot open shared object file";
static const char llvm_advice[] =
    "; it needs LLVM 19: install the package libllvm19, or set KILN_GENERATOR to "
    "another module";

static enum kiln_status module_open(const char *path, const struct generator **generator,
                                    struct kiln_error *error)
{
    /* Never closed: LLVM leaves threads' data behind, and kernels being compiled must not lose their code. */
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!module) {
        const char *reason = dlerror();
        if (!reason) reason = "no reason given";
        return fail(error, KILN_STATUS_SYSTEM, "the code-generation module %.160s cannot be opened: %.200s%s",
                    path, reason, strstr(reason, file_missing) ? llvm_advice : "");
    }
    generator_entry *entry = NULL;
    void *symbol = dlsym(module, GENERATOR_SYMBOL);
    if (!symbol)
        return fail(error, KILN_STATUS_SYSTEM, "%.256s is not a code-generation module: it lacks %s", path,
                    GENERATOR_SYMBOL);
    memcpy(&entry, &symbol, sizeof symbol);
    return module_enter(entry, path, generator, error);
}

/* The module that was asked for; NULL: none, so it is linked in or looked for. */
static const char *module_asked(const char *path)
{
    if (!path && !built_in) path = secure_getenv("KILN_GENERATOR");
    return path && *path ? path : NULL;
}

void door_stamp(const char *path, char stamp[DOOR_STAMP_ROOM])
{
    char found[PATH_MAX];
    struct stat s;
    const char *asked = module_asked(path);
    bool known = asked || (!path && built_in ? own_file(found) : module_find(found));
    stamp[0] = '\0';
    if (!known || stat(asked ? asked : found, &s)) return;
    snprintf(stamp, DOOR_STAMP_ROOM, "%lld.%lld.%09ld", (long long)s.st_size, (long long)s.st_mtim.tv_sec,
             s.st_mtim.tv_nsec);
}

enum kiln_status door_open(const char *path, const struct generator **generator, struct kiln_error *error)
{
    char found[PATH_MAX];
    const char *asked = module_asked(path);
    if (!path && built_in) return module_enter(built_in, "the generator linked in", generator, error);
    if (asked) return module_open(asked, generator, error);
    if (module_find(found)) return module_open(found, generator, error);
    return fail(
        error, KILN_STATUS_SYSTEM,
        "the code-generation module is not at %.256s nor in lib/kiln: install it beside the library or "
        "program that holds Kiln, and LLVM 19 (the package libllvm19), or set KILN_GENERATOR to its path",
        found);
}
