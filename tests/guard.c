/* Guarded memory by mmap and mprotect; faults by signal handlers, which are this program's only while a
 * call lasts. One thread at a time. */
#include "guard.h"

#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- memory ---- */

static void need(bool fine, const char *what)
{
    if (fine) return;
    perror(what);
    abort();
}

struct guard guard_new(size_t bytes, size_t align, enum guard_side side)
{
    struct guard g = {.bytes = bytes};
    if (!bytes) return g;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    g.room_bytes = (bytes + align + page - 1) / page * page;
    g.map_bytes = g.room_bytes + 2 * page;
    g.map = mmap(NULL, g.map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(g.map != MAP_FAILED, "guard: mmap");
    g.room = g.map + page;
    need(!mprotect(g.room, g.room_bytes, PROT_READ | PROT_WRITE), "guard: mprotect");
    g.at = side == GUARD_BEFORE ? g.room : g.room + g.room_bytes - (bytes + align - 1) / align * align;
    memset(g.room, GUARD_FILL, g.room_bytes);
    return g;
}

void guard_read_only(const struct guard *g)
{
    if (g->at) need(!mprotect(g->room, g->room_bytes, PROT_READ), "guard: mprotect");
}

void guard_poison(const struct guard *g)
{
    if (g->at) memset(g->at, GUARD_FILL, g->bytes);
}

static bool filled(const char *from, const char *to)
{
    while (from < to && *(const unsigned char *)from == GUARD_FILL) from++;
    return from == to;
}

bool guard_intact(const struct guard *g)
{
    return !g->at || (filled(g->room, g->at) && filled(g->at + g->bytes, g->room + g->room_bytes));
}

void guard_free(struct guard *g)
{
    if (g->at) munmap(g->map, g->map_bytes);
    g->at = NULL;
}

/* ---- faults ---- */

static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
enum { FAULTS = sizeof faults / sizeof *faults };

/* A signal handler has no other way to know what it interrupted. */
static sigjmp_buf back;
static const char *volatile fault_address;

static void handle(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    fault_address = info->si_addr;
    siglongjmp(back, 1);
}

bool guard_call(void (*f)(void *arg), void *arg, const char **address)
{
    struct sigaction ours = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO}, theirs[FAULTS];
    sigemptyset(&ours.sa_mask);
    for (int i = 0; i < FAULTS; i++) sigaction(faults[i], &ours, &theirs[i]);
    bool fine = !sigsetjmp(back, 1);
    if (fine) f(arg);
    for (int i = 0; i < FAULTS; i++) sigaction(faults[i], &theirs[i], NULL);
    if (!fine) *address = fault_address;
    return fine;
}
