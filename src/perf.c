/* perf: the map is appended to by one write for each kernel, so that processes' threads do not mix lines. It
 * lies where anyone may write: it is never followed through a link, nor trusted to be ours. */
#include "perf.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_ROOM = 64, LINES_ROOM = 2 * (KILN_TEXT_MAX + 64) };

static int map_open(void)
{
    char path[PATH_ROOM];
    struct stat s;
    snprintf(path, sizeof path, "/tmp/perf-%ld.map", (long)getpid());
    int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
    if (file < 0) return -1;
    if (!fstat(file, &s) && S_ISREG(s.st_mode) && s.st_uid == geteuid()) return file;
    close(file);
    return -1;
}

void perf_map(const struct kernel *kernel)
{
    char lines[LINES_ROOM];
    uintptr_t begin = (uintptr_t)kernel->code, end = begin + kernel->code_room, run, pack;
    if (!kernel->code) return;
    memcpy(&run, &kernel->run, sizeof run); /* ISO C lets no function's address be cast */
    memcpy(&pack, &kernel->pack, sizeof pack);
    int length = snprintf(lines, sizeof lines,
                          "%" PRIxPTR " %" PRIxPTR " kiln run %s\n%" PRIxPTR " %" PRIxPTR " kiln pack %s\n",
                          run, (run < pack ? pack : end) - run, kernel->text, pack,
                          (pack < run ? run : end) - pack, kernel->text);
    int file = length < (int)sizeof lines ? map_open() : -1;
    if (file < 0) return;
    if (write(file, lines, (size_t)length) < 0) length = 0; /* a profile without names is still one */
    close(file);
}
