/* The map that profilers read: KILN_DEBUG=perf. */
#include "api.h"

#include <stdio.h>
#include <unistd.h>

TestSuite(perf);

/* The line of a profiler's map that names a function at an address; NULL: there is none. */
static const char *map_line(const char *map, kiln_kernel *run, char line[KILN_TEXT_MAX])
{
    uintptr_t at;
    char address[32];
    memcpy(&at, &run, sizeof at);
    snprintf(address, sizeof address, "%lx ", (unsigned long)at);
    FILE *file = fopen(map, "r");
    bool found = false;
    while (file && !found && fgets(line, KILN_TEXT_MAX, file))
        found = !strncmp(line, address, strlen(address));
    if (file) fclose(file);
    return found ? line : NULL;
}

Test(perf, is_told_where_kernels_are)
{
    char map[64], line[KILN_TEXT_MAX];
    snprintf(map, sizeof map, "/tmp/perf-%ld.map", (long)getpid());
    struct kiln *k = context_with((struct kiln_config){.debug = "perf"});
    struct kiln_plan *plan = plan_of(k, SMALL, NULL);
    cr_assert(map_line(map, kiln_plan_kernel(plan), line), "%s does not name the kernel", map);
    cr_assert(strstr(line, " kiln run " SMALL), "%s", line);
    kiln_plan_release(plan);
    kiln_destroy(k);

    /* What is not ours, or no file, is not written to. */
    cr_assert(!unlink(map) && !symlink("/tmp/kiln-not-made", map));
    k = context_with((struct kiln_config){.debug = "perf"});
    kiln_plan_release(plan_of(k, SMALL, NULL));
    kiln_destroy(k);
    cr_assert(access("/tmp/kiln-not-made", F_OK), "a link was followed");
    cr_assert(!unlink(map));
}
