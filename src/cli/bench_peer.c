/* bench_peer: opens the peers, modules beside this program or where they are installed. They are never
 * closed: a library such as OpenMP's cannot be unloaded while its threads live. */
#include "ask.h"
#include "bench.h"
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Writes the folder of this program, with its last '/'. */
static bool program_folder(char *path, size_t room)
{
    ssize_t length = readlink("/proc/self/exe", path, room - 1);
    if (length < 0) return false;
    path[length] = 0;
    char *slash = strrchr(path, '/');
    if (!slash) return false;
    slash[1] = 0;
    return true;
}

/* The module's file: in a build folder beside this program, or in the installed KILN_PEERS. */
static bool peer_path(char path[PATH_MAX], const char *folder, const char *name)
{
    if (strchr(name, '/')) return false;
    int length = snprintf(path, PATH_MAX, "%skiln-peer-%s.so", folder, name);
    if (length < PATH_MAX && access(path, R_OK)) /* installed, then */
        length = snprintf(path, PATH_MAX, "%s" KILN_PEERS "/kiln-peer-%s.so", folder, name);
    return length < PATH_MAX;
}

static bool peer_open(struct peers *peers, const char *folder, const char *name)
{
    char path[PATH_MAX];
    if (!*name) return complain("--peers: a name is empty; it is a list such as onednn,other"), false;
    if (peers->count == PEERS_MAX) return complain("--peers: more than %d", PEERS_MAX), false;
    if (!peer_path(path, folder, name)) return complain("--peers: '%s' is no peer's name", name), false;
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!module)
        return complain("--peers: %s (was its library found when Kiln was built?)", dlerror()), false;
    peer_entry_function *entry = (peer_entry_function *)dlsym(module, PEER_SYMBOL);
    const struct peer *peer = entry ? entry() : NULL;
    if (!peer || peer->version != PEER_VERSION)
        return complain("--peers: %s is of another version", path), false;
    for (int i = 0; i < peers->count; i++)
        if (peers->at[i] == peer) return complain("--peers: '%s' is in the list twice", name), false;
    peers->at[peers->count++] = peer;
    return true;
}

bool peers_open(struct peers *peers, const char *list, int threads)
{
    peers->count = 0;
    if (!list) return true;
    char folder[PATH_MAX], count[16];
    if (!program_folder(folder, sizeof folder))
        return complain("--peers: /proc/self/exe is unreadable"), false;
    snprintf(count, sizeof count, "%d", threads);
    setenv("OMP_NUM_THREADS", count, 1); /* read by OpenMP when it is loaded */
    char *names = strdup(list), *rest = names;
    bool good = names;
    for (char *name; good && (name = strsep(&rest, ","));) good = peer_open(peers, folder, name);
    free(names);
    return good;
}
