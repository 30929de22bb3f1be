/* kiln cache: looks after the kernels that are kept on disk. */
#include "ask.h"
#include "commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct cache {
    struct common common;
    const char *dir;
    struct kiln *k;
    size_t sound, wrong;
    uint64_t bytes;
    int64_t now;
};

static const struct flag flags[] = {
    {"dir", "DIR", "the cache in DIR, an absolute path, instead of the user's own", flag_text,
     offsetof(struct cache, dir)},
};

static const char about[] =
    "Compiled kernels are kept in files, one each, so that no process compiles what another\n"
    "one has compiled before. This looks after them:\n"
    "\n"
    "  list    each kernel, the most recently used first: its size, how long ago it was used,\n"
    "          how often it was loaded, and its plan line\n"
    "  verify  reads every file and tells what is wrong with it; exit status 1 if anything is.\n"
    "          Damage does no harm: such a file is never used, and replaced when its kernel is\n"
    "          asked for\n"
    "  prune   removes the least recently used down to KILN_CACHE_MAX bytes (256M unless set),\n"
    "          which also happens by itself, and what killed writers left\n"
    "  clear   removes all kernels\n"
    "  path    prints the directory: KILN_CACHE_DIR, else $XDG_CACHE_HOME/kiln, else\n"
    "          ~/.cache/kiln\n"
    "\n"
    "KILN_CACHE=off|read|on says what other commands and programs may do with it.\n"
    "\n"
    "EXAMPLES\n"
    "  kiln cache list\n"
    "  KILN_CACHE_MAX=16M kiln cache prune\n"
    "  du -sh \"$(kiln cache path)\"\n";

static const struct page page = {.name = "cache",
                                 .brief = "list, check and remove the kernels kept on disk",
                                 .usage = "list|verify|prune|clear|path [--dir DIR]",
                                 .about = about,
                                 .flags = flags,
                                 .count = sizeof flags / sizeof *flags};

/* ---- list and verify ---- */

/* "3 s", "5 min", "2 h" or "9 d". */
static void age_put(int64_t seconds)
{
    static const struct {
        int64_t seconds;
        const char *name;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    int i = 0;
    while (i < 3 && seconds < 2 * units[i].seconds) i++;
    printf(" %4" PRId64 " %-3s", seconds < 0 ? 0 : seconds / units[i].seconds, units[i].name);
}

static void wrong_put(const struct kiln_cache_entry *e)
{
    printf("%s: ", e->file);
    plain_put(stdout, e->wrong, 0);
    putchar('\n');
}

static void count(struct cache *c, const struct kiln_cache_entry *e)
{
    *(e->wrong ? &c->wrong : &c->sound) += 1;
    c->bytes += e->bytes;
}

static void list_one(void *user, const struct kiln_cache_entry *e)
{
    struct cache *c = user;
    if (c->sound + c->wrong == 0) printf("%8s %8s %6s  %s\n", "bytes", "used", "hits", "plan");
    count(c, e);
    printf("%8" PRIu64, e->bytes);
    age_put(c->now - e->used);
    printf(" %6" PRIu64 "  ", e->hits);
    if (e->wrong) return wrong_put(e);
    plain_put(stdout, e->plan, 0);
    putchar('\n');
}

static void verify_one(void *user, const struct kiln_cache_entry *e)
{
    count(user, e);
    if (e->wrong) wrong_put(e);
}

static int visit_all(struct cache *c, kiln_cache_visit *visit)
{
    struct kiln_error error;
    c->now = (int64_t)time(NULL);
    if (kiln_cache_list(c->k, visit, c, &error) != KILN_STATUS_OK) return complain("%s", error.text);
    printf("%zu kernels, %" PRIu64 " bytes", c->sound + c->wrong, c->bytes);
    if (c->wrong) printf(", %zu not sound", c->wrong);
    putchar('\n');
    return EXIT_GOOD;
}

static int list(struct cache *c) { return visit_all(c, list_one); }

static int verify(struct cache *c)
{
    int status = visit_all(c, verify_one);
    return c->wrong ? exit_worse(status, EXIT_FAILED) : status;
}

/* ---- the others ---- */

static int remove_to(struct cache *c, uint64_t most)
{
    struct kiln_error error;
    uint64_t removed = 0;
    if (kiln_cache_prune(c->k, most, &removed, &error) != KILN_STATUS_OK) return complain("%s", error.text);
    printf("%" PRIu64 " removed\n", removed);
    return EXIT_GOOD;
}

static int prune(struct cache *c) { return remove_to(c, UINT64_MAX); }
static int clear(struct cache *c) { return remove_to(c, 0); }

static int path(struct cache *c)
{
    const char *dir = kiln_cache_path(c->k);
    if (!dir)
        return complain("there is no place for a cache: set KILN_CACHE_DIR, XDG_CACHE_HOME or HOME to an "
                        "absolute path");
    puts(dir);
    return EXIT_GOOD;
}

static const struct action {
    const char *name;
    int (*run)(struct cache *);
} actions[] = {{"list", list}, {"verify", verify}, {"prune", prune}, {"clear", clear}, {"path", path}};

/* Whatever KILN_CACHE says of compiling. */
static int run(struct cache *c, const struct action *action)
{
    const struct kiln_config config = {
        .size = sizeof config, .wisdom = "", .cache = KILN_CACHE_ON, .cache_dir = c->dir};
    struct kiln_error error;
    if (kiln_create(&c->k, &config, &error) != KILN_STATUS_OK) return complain("%s", error.text);
    int status = action->run(c);
    kiln_destroy(c->k);
    return status;
}

int cli_cache(int argc, char **argv)
{
    struct cache cache = {0};
    const struct action *action = NULL;
    const char *name = argc > 1 && argv[1][0] != '-' ? argv[1] : NULL;
    for (size_t i = 0; name && i < sizeof actions / sizeof *actions; i++)
        if (strcmp(actions[i].name, name) == 0) action = &actions[i];
    if (name && !action)
        return complain("cache does not know '%.60s'; it must be list, verify, prune, clear or path", name);
    if (action) argv[1] = argv[0];
    int status = ask(&page, argc - (action != NULL), argv + (action != NULL), &cache.common);
    if (status != ASK_GO_ON) return status;
    return action ? run(&cache, action) : complain("say what to do: list, verify, prune, clear or path");
}
