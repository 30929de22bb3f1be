/* bench_dir: makes the report's directory and writes into it. It never touches a file that is not a
 * report's: a directory with others in it is refused before anything is measured. */
#include "bench_dir.h"
#include "ask.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool refuse(const char *dir, const char *why)
{
    return complain("--report: '%s' %s", dir, why), false;
}

/* Whether a directory is empty or has the file that every report has. */
static bool dir_ours(const char *dir)
{
    DIR *open = opendir(dir);
    bool empty = true, report = false;
    if (!open) return refuse(dir, strerror(errno));
    for (struct dirent *entry; (entry = readdir(open));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        empty = false;
        report |= !strcmp(entry->d_name, REPORT_SHAPES);
    }
    closedir(open);
    if (empty || report) return true;
    return refuse(dir, "holds other files; name a new directory, an empty one, or that of an earlier report");
}

bool dir_prepare(const char *dir)
{
    if (!*dir) return complain("--report: the name of the directory is empty"), false;
    if (strlen(dir) + 64 > PATH_MAX)
        return complain("--report: the name of the directory is too long"), false;
    if (mkdir(dir, 0777) && errno != EEXIST) return refuse(dir, strerror(errno));
    struct stat there;
    if (stat(dir, &there)) return refuse(dir, strerror(errno));
    if (!S_ISDIR(there.st_mode)) return refuse(dir, "is there, and not a directory");
    if (access(dir, W_OK | X_OK)) return refuse(dir, strerror(errno));
    return dir_ours(dir);
}

bool dir_write(const char *dir, const struct findings *findings)
{
    struct total total;
    if (!total_make(&total, findings->families, findings->count, &findings->setup->peers))
        return refuse(dir, "cannot be filled: no memory");
    const struct roofs roofs = {total.peak_all_gflops, stream_measure(findings->setup->threads)};
    const struct page_parts page = {dir, findings, &roofs};
    if (!output_into(dir, REPORT_SHAPES, shapes_write, findings) ||
        !output_into(dir, REPORT_FAMILIES, families_write, findings))
        return false;
    bool drawn = plots_write(dir, findings, &roofs);
    return output_into(dir, REPORT_PAGE, page_write, &page) && drawn;
}
