/* The file that `perf inject --jit` reads: KILN_DEBUG=jitdump. Read back field by field, as the format's
 * description has them; no structure is shared with the writer. */
#include "api.h"

#include <elf.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char folder[] = "/tmp/kiln-jitdump-XXXXXX";

static void folder_make(void)
{
    cr_assert(mkdtemp(folder));
    setenv("JITDUMPDIR", folder, 1);
}

static void folder_remove(void)
{
    char command[96];
    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(jitdump, .init = folder_make, .fini = folder_remove, .timeout = 30);

/* ---- the log ---- */

static struct said log_said;

static void log_say(void *user, const char *line)
{
    say(user, line, strlen(line));
    say(user, "\n", 1);
}

static struct kiln *context(void)
{
    memset(&log_said, 0, sizeof log_said);
    return context_with(
        (struct kiln_config){.isa = "sse2", .debug = "jitdump", .log = log_say, .log_user = &log_said});
}

/* The path that the log tells, in a line of which nothing else is. */
static const char *path_told(char path[256])
{
    static const char begin[] = "kiln: jitdump: writes ";
    cr_assert(!strncmp(log_said.text, begin, strlen(begin)), "%s", log_said.text);
    size_t length = strcspn(log_said.text, "\n");
    cr_assert_eq(length + 1, log_said.length, "%s", log_said.text);
    snprintf(path, 256, "%.*s", (int)(length - strlen(begin)), log_said.text + strlen(begin));
    return path;
}

/* ---- the file ---- */

struct dump {
    char bytes[1 << 20];
    size_t count, at;
};

static void dump_read(struct dump *d, const char *path)
{
    FILE *file = fopen(path, "r");
    cr_assert(file, "%s", path);
    d->count = fread(d->bytes, 1, sizeof d->bytes, file);
    d->at = 0;
    fclose(file);
    cr_assert_lt(d->count, sizeof d->bytes);
}

static uint64_t field(struct dump *d, size_t bytes)
{
    uint64_t v = 0;
    cr_assert_leq(d->at + bytes, d->count, "the file ends at %zu", d->count);
    memcpy(&v, d->bytes + d->at, bytes); /* little-endian, as all machines here */
    d->at += bytes;
    return v;
}

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void header_expect(struct dump *d, uint64_t since)
{
    cr_assert_eq(field(d, 4), 0x4A695444, "magic");
    cr_assert_eq(field(d, 4), 1, "version");
    cr_assert_eq(field(d, 4), 40, "bytes of the header");
#if defined __x86_64__
    cr_assert_eq(field(d, 4), EM_X86_64, "machine");
#else
    cr_assert_eq(field(d, 4), EM_AARCH64, "machine");
#endif
    cr_assert_eq(field(d, 4), 0, "padding");
    cr_assert_eq(field(d, 4), (uint64_t)getpid(), "process");
    uint64_t time = field(d, 8);
    cr_assert(time >= since && time <= now(), "time");
    cr_assert_eq(field(d, 8), 0, "flags");
}

/* A record of code. Returns its time. */
static uint64_t load_expect(struct dump *d, const char *name, const void *function, uint64_t index)
{
    size_t begin = d->at;
    uint64_t at;
    memcpy(&at, function, sizeof at);
    cr_assert_eq(field(d, 4), 0, "the record is not of code loaded");
    size_t bytes = field(d, 4);
    uint64_t time = field(d, 8);
    cr_assert_eq(field(d, 4), (uint64_t)getpid(), "process");
    cr_assert_eq(field(d, 4), (uint64_t)gettid(), "thread");
    cr_assert_eq(field(d, 8), at, "address");
    cr_assert_eq(field(d, 8), at, "address of the code");
    size_t code = field(d, 8);
    cr_assert(code > 0 && code < 4096, "%zu bytes of code", code);
    cr_assert_eq(field(d, 8), index, "index");
    cr_assert_eq(bytes, 56 + strlen(name) + 1 + code, "bytes of the record");
    cr_assert_str_eq(d->bytes + d->at, name);
    d->at += strlen(name) + 1;
    cr_assert_arr_eq(d->bytes + d->at, (const void *)at, code, "the code is another");
    d->at += code;
    cr_assert_eq(d->at, begin + bytes);
    return time;
}

/* ---- tests ---- */

/* Whether a file is mapped readable and executable. */
static bool is_mapped(const char *path)
{
    char line[512];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (!found && fgets(line, sizeof line, maps)) found = strstr(line, path) && strstr(line, " r-xp ");
    fclose(maps);
    return found;
}

Test(jitdump, holds_each_function_with_its_code)
{
    static struct dump d;
    char path[256], tail[32];
    struct stat s;
    uint64_t since = now();
    struct kiln *k = context();
    struct kiln_plan *plan = plan_of(k, SMALL, NULL);
    kiln_plan_release(plan_of(k, SMALL, NULL)); /* a hit adds nothing */
    kiln_kernel *run = kiln_plan_kernel(plan);
    kiln_packer *pack = kiln_plan_packer(plan);
    path_told(path);
    cr_assert(is_mapped(path), "perf would not notice %s", path);
    snprintf(tail, sizeof tail, "/jit-%ld.dump", (long)getpid());
    cr_assert(strstr(path, tail) && !strncmp(path, folder, strlen(folder)), "%s", path);
    cr_assert(!stat(path, &s) && (s.st_mode & 0777) == 0600);
    dump_read(&d, path);
    header_expect(&d, since);
    uint64_t first = load_expect(&d, "kiln run " SMALL " | fake | sse2", &run, 0);
    uint64_t second = load_expect(&d, "kiln pack " SMALL " | fake | sse2", &pack, 1);
    cr_assert(since <= first && first <= second && second <= now());
    cr_assert_eq(d.at, d.count);

    kiln_destroy(k);
    cr_assert(!is_mapped(path));
    dump_read(&d, path);
    d.at = (size_t)s.st_size;
    cr_assert_eq(field(&d, 4), 3, "the record is not of the end");
    cr_assert_eq(field(&d, 4), 16);
    cr_assert(field(&d, 8) >= second);
    cr_assert_eq(d.at, d.count);
    kiln_plan_release(plan);
}

static long file_bytes(const char *path)
{
    struct stat s;
    return stat(path, &s) ? -1 : (long)s.st_size;
}

/* A child, in which the context's next kernel goes to a file of the child's own, if there is one. Assertions
 * are the parent's: the framework waits for ever on those of a child of a test. */
static void child_run(struct kiln *k, bool compiles, struct said *told)
{
    memset(&log_said, 0, sizeof log_said);
    if (compiles) kiln_plan_release(plan_of(k, SMALL " +relu", NULL));
    kiln_destroy(k);
    *told = log_said;
    _exit(0);
}

Test(jitdump, a_child_leaves_its_parent_s_file_alone)
{
    static struct dump d;
    char path[256], of_child[256];
    int status;
    struct said *told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(told, MAP_FAILED);
    struct kiln *k = context();
    kiln_plan_release(plan_of(k, SMALL, NULL));
    path_told(path);
    long bytes = file_bytes(path);
    for (int compiles = 0; compiles < 2; compiles++) {
        pid_t child = fork();
        if (!child) child_run(k, compiles, told);
        cr_assert(waitpid(child, &status, 0) == child && WIFEXITED(status) && !WEXITSTATUS(status));
        cr_assert_eq(file_bytes(path), bytes);
        if (!compiles) continue;
        log_said = *told;
        cr_assert_str_neq(path_told(of_child), path);
        dump_read(&d, of_child);
        d.at = 20;
        cr_assert_eq(field(&d, 4), (uint64_t)child, "process");
        d.at = 40 + 56;
        cr_assert_str_eq(d.bytes + d.at, "kiln run " SMALL " +relu | fake | sse2");
    }
    kiln_plan_release(plan_of(k, SMALL " +bias", NULL));
    cr_assert_gt(file_bytes(path), bytes);
    kiln_destroy(k);
}

Test(jitdump, each_context_has_a_file)
{
    char paths[2][256];
    for (int i = 0; i < 2; i++) {
        struct kiln *k = context();
        kiln_plan_release(plan_of(k, SMALL, NULL));
        path_told(paths[i]);
        kiln_destroy(k);
    }
    cr_assert_str_neq(paths[0], paths[1]);
}

enum { THREADS = 8, EACH = 4 };

static void *compile_thread(void *user)
{
    static int threads;
    char conv[128];
    int thread = __atomic_fetch_add(&threads, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < EACH; i++) {
        snprintf(conv, sizeof conv, "conv n1 ic%d iw4 oc2 kw1 f32 nhwc", thread * EACH + i + 1);
        kiln_plan_release(plan_of(user, conv, NULL));
    }
    return NULL;
}

Test(jitdump, records_of_many_threads_are_whole)
{
    static struct dump d;
    char path[256];
    pthread_t threads[THREADS];
    uint64_t indices = 0, bytes;
    struct kiln *k = context();
    for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, compile_thread, k);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    dump_read(&d, path_told(path));
    kiln_destroy(k);
    for (d.at = 40; d.at < d.count; d.at += bytes) {
        size_t begin = d.at;
        cr_assert_eq(field(&d, 4), 0);
        bytes = field(&d, 4);
        d.at = begin + 48;
        indices |= 1ull << field(&d, 8);
        d.at = begin;
    }
    cr_assert_eq(d.at, d.count);
    cr_assert_eq(indices, ~0ull >> (64 - 2 * THREADS * EACH), "each has an index of its own");
}

/* What stops the file stops nothing else, and is told once. */
Test(jitdump, without_a_place_kernels_are_made_all_the_same)
{
    static const char *const rows[][2] = {
        {"/nowhere", "kiln: jitdump: cannot make a directory in /nowhere/.debug/jit: No such file or dir"},
        {"", "kiln: jitdump: no place for a file: set JITDUMPDIR to a directory\n"},
    };
    unsetenv("HOME");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        setenv("JITDUMPDIR", rows[i][0], 1);
        struct kiln *k = context();
        kiln_plan_release(plan_of(k, SMALL, NULL));
        kiln_plan_release(plan_of(k, SMALL " +relu", NULL));
        cr_assert(!strncmp(log_said.text, rows[i][1], strlen(rows[i][1])), "%s", log_said.text);
        cr_assert_eq(strcspn(log_said.text, "\n") + 1, log_said.length, "told again: %s", log_said.text);
        kiln_destroy(k);
    }
}

Test(jitdump, a_full_disk_ends_the_file)
{
    struct kiln *k = context();
    kiln_plan_release(plan_of(k, SMALL, NULL));
    char path[256];
    path_told(path);
    long bytes = file_bytes(path);
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    rlim_t all = limit.rlim_cur;
    limit.rlim_cur = (rlim_t)bytes + 10;
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    kiln_plan_release(plan_of(k, SMALL " +relu", NULL));
    limit.rlim_cur = all;
    setrlimit(RLIMIT_FSIZE, &limit);
    cr_assert(strstr(log_said.text, "\nkiln: jitdump: the file is not written any more"), "%s",
              log_said.text);
    kiln_plan_release(plan_of(k, SMALL " +bias", NULL));
    kiln_destroy(k);
    cr_assert_leq(file_bytes(path), bytes + 10);
}

/* Home is the place where nothing else is said. */
Test(jitdump, falls_back_to_home)
{
    char path[256], begin[64];
    unsetenv("JITDUMPDIR");
    setenv("HOME", folder, 1);
    struct kiln *k = context();
    kiln_plan_release(plan_of(k, SMALL, NULL));
    snprintf(begin, sizeof begin, "%s/.debug/jit/kiln-jit-", folder);
    cr_assert(!strncmp(path_told(path), begin, strlen(begin)), "%s", path);
    kiln_destroy(k);
}
