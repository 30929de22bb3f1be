/* The cache on disk in use: through the public functions and the program, by processes that compete, are
 * killed, forked and forbidden things. After all of it results are right, or a status tells why there is
 * none. */
#include "api.h"
#include "disk_folder.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static void use_make(void)
{
    folder_make();
    setenv("KILN_CACHE_DIR", cache_dir, 1);
    setenv("KILN_CACHE", "on", 1);
}

TestSuite(disk_use, .init = use_make, .fini = folder_remove, .timeout = 300);

/* What a context has logged. */
static struct said logged;

static void remember(void *user, const char *line)
{
    (void)user;
    say(&logged, line, strlen(line));
    say(&logged, "\n", 1);
}

static struct kiln_stats stats_of(struct kiln *k)
{
    struct kiln_stats stats;
    kiln_stats(k, &stats);
    return stats;
}

/* A context that compiles SMALL and is gone again; returns what it counted. */
static struct kiln_stats compile_once(struct kiln_config config)
{
    config.debug = "cache";
    config.log = remember;
    logged.length = 0;
    struct kiln *k = context_with(config);
    struct kiln_plan *plan = plan_of(k, SMALL, NULL);
    struct kiln_stats stats = stats_of(k);
    kiln_plan_release(plan);
    kiln_destroy(k);
    return stats;
}

/* From the first line on. */
#define LOGGED(begin) cr_assert(!strncmp(logged.text, (begin), strlen(begin)), "%s", logged.text)

Test(disk_use, a_second_process_does_not_compile)
{
    struct kiln_stats stats = compile_once((struct kiln_config){0});
    cr_assert(stats.compiles == 1 && stats.disk_misses == 1 && stats.disk_writes == 1 &&
              stats.disk_hits == 0);
    LOGGED("kiln: cache: miss " SMALL "\nkiln: cache: in memory 0 hits, 1 misses, 0 evictions; "
           "on disk 0 hits, 1 misses, 1 writes; 1 compiled in ");
    stats = compile_once((struct kiln_config){.generator = FAKE_GENERATOR});
    cr_assert(stats.compiles == 0 && stats.disk_misses == 0 && stats.disk_writes == 0 &&
              stats.disk_hits == 1);
    LOGGED("kiln: cache: disk " SMALL "\nkiln: cache: in memory 0 hits, 1 misses, 0 evictions; "
           "on disk 1 hits, 0 misses, 0 writes; 0 compiled in 0.0 ms\n");
    stats = compile_once((struct kiln_config){.cache = KILN_CACHE_OFF});
    cr_assert(stats.compiles == 1 && stats.disk_misses == 0 && stats.disk_writes == 0 &&
              stats.disk_hits == 0);
    cr_assert_eq(chmod(cache_dir, 0722), 0);
    stats = compile_once((struct kiln_config){0});
    cr_assert(stats.compiles == 1 && stats.disk_misses == 1);
    cr_assert(strstr(logged.text, "kiln: cache: ignored ") && strstr(logged.text, "its mode is 722"), "%s",
              logged.text);
}

/* A module of another size or time of change makes kernels of its own. */
Test(disk_use, another_generator_compiles_anew)
{
    cr_assert_eq(system("cp " FAKE_GENERATOR " one.so && cp one.so two.so && touch -d '1 hour ago' two.so"),
                 0);
    cr_assert_eq(compile_once((struct kiln_config){.generator = "./one.so"}).compiles, 1);
    cr_assert_eq(compile_once((struct kiln_config){.generator = "./one.so"}).compiles, 0);
    cr_assert_eq(compile_once((struct kiln_config){.generator = "./two.so"}).compiles, 1);
    cr_assert_eq(files(""), 2);
}

Test(disk_use, the_configuration_wins)
{
    char other[128];
    snprintf(other, sizeof other, "%s/other", folder);
    setenv("KILN_CACHE_DIR", "not absolute", 1);
    setenv("KILN_CACHE", "bad", 1);
    setenv("KILN_CACHE_MAX", "bad", 1);
    const struct kiln_config config = {
        .cache = KILN_CACHE_ON, .cache_dir = other, .cache_disk_bytes = 100000};
    cr_assert_eq(compile_once(config).compiles, 1);
    cr_assert_eq(compile_once(config).compiles, 0);
    struct kiln *k = context_with(config);
    uint64_t removed = 0;
    cr_assert_str_eq(kiln_cache_path(k), other);
    WORKS(kiln_cache_prune(k, UINT64_MAX, &removed, &error));
    cr_assert_eq(removed, 0);
    WORKS(kiln_cache_prune(k, 0, &removed, &error));
    cr_assert_eq(removed, 1);
    REFUSES(kiln_cache_list(k, NULL, NULL, &error), KILN_STATUS_INVALID, "visit is NULL");
    REFUSES(kiln_cache_prune(NULL, 0, NULL, &error), KILN_STATUS_INVALID, "k is NULL");
    kiln_destroy(k);
    cr_assert_eq(compile_once(config).compiles, 1);
}

Test(disk_use, without_a_home_there_is_no_cache_and_all_works)
{
    unsetenv("KILN_CACHE_DIR");
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    struct kiln_stats stats = compile_once((struct kiln_config){0});
    cr_assert(stats.compiles == 1 && stats.disk_misses == 0 && stats.disk_writes == 0);
    struct kiln *k = context_with((struct kiln_config){0});
    cr_assert_null(kiln_cache_path(k));
    REFUSES(kiln_cache_prune(k, 0, NULL, &error), KILN_STATUS_SYSTEM, "no place for a cache");
    kiln_destroy(k);
}

/* ---- processes ---- */

enum { UNABLE = 77 };

/* Waits for a child that must exit with 0, or with UNABLE to try. */
static void child_good(pid_t child)
{
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == UNABLE) cr_skip("this system does not let it be tried\n");
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
}

enum { CONVS = 50, FLOATS = 4096 };

static struct kiln_conv nth_conv(int i)
{
    char text[128];
    snprintf(text, sizeof text, "conv ic%d ih5 iw%d oc%d kh3 kw%d ph1 f32 %s strict +bias", 1 + i % 4, 3 + i,
             1 + i % 7, 1 + i % 3, i % 2 ? "nhwc" : "nchw");
    return conv_of(text);
}

/* Compiled against the oracle, on small integers: strict, so by value. */
static bool conv_right(struct kiln *k, const struct kiln_conv *conv)
{
    static float src[FLOATS], weights[FLOATS], bias[16], want[FLOATS], got[FLOATS];
    static _Alignas(64) float packed[4 * FLOATS];
    struct kiln_plan *plan;
    for (int i = 0; i < FLOATS; i++) {
        src[i] = (float)(i % 7 - 3);
        weights[i] = (float)(i % 5 - 2);
        want[i] = got[i] = -1e9f;
    }
    struct kiln_args args = {.src = src, .bias = bias, .dst = want};
    if (kiln_compile(k, conv, NULL, &plan, &error)) return false;
    bool good = kiln_plan_packed_size(plan) <= sizeof packed &&
                !kiln_interpret(conv, weights, &args, &error) && !kiln_pack(plan, weights, packed, &error);
    args.weights = packed;
    args.dst = got;
    good = good && !kiln_run(plan, &args, &error) && !memcmp(want, got, sizeof want);
    kiln_plan_release(plan);
    return good;
}

/* From another place in the list for each process. */
static bool convs_right(struct kiln *k, int first)
{
    for (int i = 0; i < CONVS; i++) {
        struct kiln_conv conv = nth_conv((first + i) % CONVS);
        if (!conv_right(k, &conv)) return false;
    }
    return true;
}

Test(disk_use, eight_processes_fill_one_cache)
{
    pid_t children[8];
    const struct kiln_config config = {.size = sizeof config, .debug = "cache", .log = remember};
    for (int i = 0; i < 8; i++) {
        children[i] = fork();
        if (children[i]) continue;
        struct kiln *k;
        _exit(kiln_create(&k, &config, &error) || !convs_right(k, i % 4 * 7));
    }
    for (int i = 0; i < 8; i++) child_good(children[i]);
    cr_assert_eq(files(""), CONVS, "as many files as kernels, and no temporary ones");
    struct kiln *k;
    WORKS(kiln_create(&k, &config, &error));
    logged.length = 0;
    cr_assert(convs_right(k, 0), "%s", error.text);
    cr_assert_eq(stats_of(k).disk_hits, CONVS);
    cr_assert(!strstr(logged.text, "ignored"), "%s", logged.text);
    kiln_destroy(k);
}

/* Writes the same few kernels over and over, until it is killed. */
static void write_forever(void)
{
    for (int i = 0;; i++) {
        char key[] = "0";
        key[0] = (char)('0' + i % 5);
        struct image *image = small_image(key, (size_t)(i % 5) * 20000);
        disk_put(&disk, key, NULL, image, &why);
        free(image);
    }
}

Test(disk_use, writers_killed_at_any_moment)
{
    int found = 0;
    for (int i = 0; i < 1000; i++) {
        pid_t child = fork();
        if (!child) write_forever();
        usleep((useconds_t)(i * 37 % 1000));
        cr_assert(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
        for (char key[] = "0"; *key < '5'; ++*key) {
            bool is = get(key);
            cr_assert(is || !why.text[0], "%s", why.text);
            found += is;
        }
    }
    cr_assert_gt(found, 1000);
    cr_assert_gt(files("tmp-"), 0, "nobody was killed while writing");
}

/* A context used in the parent, and on by the child of a fork. */
Test(disk_use, fork_after_use)
{
    struct kiln *k = context_with((struct kiln_config){0});
    struct kiln_plan *plan = plan_of(k, SMALL, NULL);
    pid_t child = fork();
    if (!child) {
        struct kiln_plan *same = plan_of(k, SMALL, NULL), *other = plan_of(k, SMALL, "other");
        struct kiln_stats stats = stats_of(k);
        _exit(!same || !other || stats.hits != 1 || stats.disk_writes != 2);
    }
    child_good(child);
    kiln_plan_release(plan);
    plan = plan_of(k, SMALL, "other");
    cr_assert_eq(stats_of(k).disk_hits, 1);
    cr_assert_eq(stats_of(k).compiles, 1);
    kiln_plan_release(plan);
    kiln_destroy(k);
}

/* Both sides compile on by an LLVM that was at work before. */
Test(disk_use, fork_after_compiling)
{
    const struct kiln_config config = {.size = sizeof config};
    struct kiln_conv convs[4];
    struct kiln *k;
    WORKS(kiln_create(&k, &config, &error));
    for (int i = 0; i < 4; i++) convs[i] = nth_conv(i);
    cr_assert(conv_right(k, &convs[0]), "%s", error.text);
    pid_t child = fork();
    if (!child) _exit(!conv_right(k, &convs[0]) || !conv_right(k, &convs[1]) || !conv_right(k, &convs[2]));
    cr_assert(conv_right(k, &convs[1]) && conv_right(k, &convs[3]), "%s", error.text);
    child_good(child);
    cr_assert_eq(files(""), 4);
    kiln_destroy(k);
}

/* ---- what a system may forbid ---- */

/* From now on no memory of this process is made executable. False: that cannot be done here. */
static bool executable_memory_forbid(void)
{
    enum { PROT = offsetof(struct seccomp_data, args) + 2 * sizeof(uint64_t) };
    static struct sock_filter lines[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, PROT),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 4 /* PROT_EXEC */, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof lines / sizeof *lines, lines};
    return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static bool refused(struct kiln *k, const char *schedule)
{
    struct kiln_plan *plan = NULL;
    const struct kiln_conv conv = conv_of(SMALL);
    const struct kiln_options options = {.size = sizeof options, .schedule = schedule};
    return kiln_compile(k, &conv, &options, &plan, &error) == KILN_STATUS_SYSTEM && !plan &&
           strstr(error.text, "cannot make memory executable");
}

/* What is in memory runs on; neither what is on disk nor what is compiled can be loaded. */
Test(disk_use, executable_memory_refused)
{
    struct kiln *k = context_with((struct kiln_config){0}), *other = context_with((struct kiln_config){0});
    kiln_plan_release(plan_of(k, SMALL, NULL));
    kiln_plan_release(plan_of(other, SMALL, "opens the module"));
    pid_t child = fork();
    if (!child) {
        if (!executable_memory_forbid()) _exit(UNABLE);
        bool good = refused(other, NULL) && refused(other, "new");
        kiln_plan_release(plan_of(k, SMALL, NULL));
        _exit(!good);
    }
    child_good(child);
    cr_assert_eq(files(""), 2, "what cannot be loaded was written");
    kiln_destroy(k);
    kiln_destroy(other);
}

static bool file_try(const char *path, const char *text)
{
    int file = open(path, O_WRONLY | O_CLOEXEC);
    bool good = file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text);
    if (file >= 0) close(file);
    return good;
}

/* Root over a name space of its own, for who is not root outside. */
static bool root_become(void)
{
    char users[32], groups[32];
    snprintf(users, sizeof users, "0 %u 1", geteuid());
    snprintf(groups, sizeof groups, "0 %u 1", getegid());
    return !unshare(CLONE_NEWUSER | CLONE_NEWNS) && file_try("/proc/self/uid_map", users) &&
           file_try("/proc/self/setgroups", "deny") && file_try("/proc/self/gid_map", groups);
}

/* A file system of 64 KiB of its own, at cache_dir; seen by this process alone. */
static bool small_disk_mount(void)
{
    if (mkdir(cache_dir, 0700) || (unshare(CLONE_NEWNS) && !root_become())) return false;
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)) return false;
    return mount("small", cache_dir, "tmpfs", 0, "size=64k,mode=700") == 0;
}

/* Takes all that is left of the disk. */
static void ballast_put(void)
{
    static const char page[4096];
    FILE *file = fopen("cache/ballast", "w");
    while (file && fwrite(page, 1, sizeof page, file) == sizeof page) continue;
    if (file) fclose(file);
}

/* What cannot be written is compiled, and right. */
static bool compiles_unwritten(void)
{
    const struct kiln_config config = {.size = sizeof config, .debug = "cache", .log = remember};
    const struct kiln_conv conv = nth_conv(CONVS - 1);
    struct kiln *k;
    logged.length = 0;
    bool good = !kiln_create(&k, &config, &error) && conv_right(k, &conv) && stats_of(k).compiles == 1 &&
                stats_of(k).disk_writes == 0 && strstr(logged.text, "not written: No space left");
    kiln_destroy(k);
    return good;
}

Test(disk_use, a_full_disk)
{
    pid_t child = fork();
    if (!child) {
        char key[] = "a";
        if (!small_disk_mount()) _exit(UNABLE);
        while (put(key, 10000), !why.text[0] && *key < 'z') ++*key;
        bool good = strstr(why.text, "not written: No space left") && *key > 'b' && files("tmp-") == 0;
        good = good && !get(key) && !why.text[0];
        while (--*key >= 'a') good = good && get(key);
        ballast_put();
        good = good && compiles_unwritten();
        umount(cache_dir);
        _exit(!good);
    }
    child_good(child);
}

/* ---- the program ---- */

/* Output of a line of shell, in which `kiln` is the program; its exit status goes to *status. */
static const char *shell(const char *line, int *status)
{
    static char wrote[8192], command[1024];
    snprintf(command, sizeof command, "kiln() { \"$KILN\" \"$@\"; }; { %s ; } 2>&1", line);
    FILE *pipe = popen(command, "r");
    wrote[fread(wrote, 1, sizeof wrote - 1, pipe)] = '\0';
    *status = WEXITSTATUS(pclose(pipe));
    return wrote;
}

/* A .npy file of zeros. */
static void npy_put(const char *name, const char *shape, size_t count)
{
    static const float zeros[1 << 16];
    char head[100];
    FILE *file = fopen(name, "w");
    cr_assert(file && count <= sizeof zeros / sizeof *zeros);
    snprintf(head, sizeof head, "{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", shape);
    fprintf(file, "\x93NUMPY%c%c%c%c%-117s\n", 1, 0, 118, 0, head);
    cr_assert(fwrite(zeros, sizeof *zeros, count, file) == count && fclose(file) == 0);
}

/* Whether `kiln run` has a libLLVM in its memory when it writes its output: more than a pipe holds, so that
 * it waits for us to read. */
static bool run_maps_llvm(void)
{
    char path[64], line[512];
    bool llvm = false;
    pid_t child = fork();
    if (!child) {
        execl(getenv("KILN"), "kiln", "run", "conv ic1 ih128 iw256 oc1 kh1 kw1 f32 nhwc", "--src", "x.npy",
              "--weights", "w.npy", "--dst", "pipe", NULL);
        _exit(127);
    }
    int pipe = open("pipe", O_RDONLY);
    snprintf(path, sizeof path, "/proc/%d/maps", child);
    FILE *maps = fopen(path, "r");
    cr_assert(pipe >= 0 && maps);
    while (fgets(line, sizeof line, maps)) llvm |= strstr(line, "libLLVM") != NULL;
    fclose(maps);
    while (read(pipe, line, sizeof line) > 0) continue;
    close(pipe);
    child_good(child);
    return llvm;
}

Test(disk_use, a_warm_process_has_no_llvm)
{
    cr_assert(getenv("KILN"), "KILN must be the path of the program");
    npy_put("x.npy", "1, 128, 256, 1", 128 * 256);
    npy_put("w.npy", "1, 1, 1, 1", 1);
    cr_assert_eq(mkfifo("pipe", 0600), 0);
    cr_assert(run_maps_llvm(), "the first one compiles");
    cr_assert_eq(files(""), 1);
#ifdef KILN_STATIC_GENERATOR
    cr_skip("LLVM is part of the library\n");
#endif
    cr_assert_not(run_maps_llvm());
}

Test(disk_use, the_command)
{
    static const struct {
        const char *line;
        int status;
        const char *says;
    } rows[] = {
        {"kiln cache", 2, "say what to do"},
        {"kiln cache fry", 2, "cache does not know 'fry'"},
        {"kiln cache list extra", 2, "here is 'extra'"},
        {"kiln cache list --dir here", 2, "must be an absolute path"},
        {"kiln cache --help", 0, "kiln cache list|verify|prune|clear|path"},
        {"kiln cache path", 0, "/cache"},
        {"KILN_CACHE=off kiln cache path", 0, "/cache"},
        {"env -u KILN_CACHE_DIR -u XDG_CACHE_HOME -u HOME \"$KILN\" cache path", 2, "there is no place"},
        {"kiln cache list", 0, "0 kernels, 0 bytes"},
        {"kiln cache verify", 0, "0 kernels, 0 bytes"},
        {"kiln cache prune", 0, "0 removed"},
        {"kiln compile 'conv ic3 iw5 oc2 kw3 f32 nhwc' 'conv ic4 iw5 oc2 kw3 f32 nhwc'", 0, "ok   conv"},
        {"kiln cache list", 0, "| direct"},
        {"kiln cache verify", 0, "2 kernels"},
        {"kiln compile 'conv ic4 iw5 oc2 kw3 f32 nhwc'", 0, "0 compiled"},
        {"printf x | dd of=$(ls -d cache/* | head -1) bs=1 seek=99 conv=notrunc 2>/dev/null; kiln cache "
         "verify",
         1, ", 1 not sound"},
        {"kiln cache list", 0, "its checksum does not fit"},
        {"KILN_CACHE_MAX=100 kiln cache prune", 0, "2 removed"},
        {"kiln compile 'conv ic3 iw5 oc2 kw3 f32 nhwc'; kiln cache clear", 0, "1 removed"},
        {"mkdir cache/0123456789abcdef0123456789abcdef.kiln; kiln cache clear", 2,
         "0123456789abcdef0123456789abcdef.kiln cannot be removed: Is a directory"},
        {"chmod 777 cache; kiln cache list", 2, "others may write to it"},
        {"kiln compile 'conv ic3 iw5 oc2 kw3 f32 nhwc'", 0,
         "kiln: 1 of the kernels compiled are not kept on disk: "},
        {"kiln compile 'conv ic3 iw5 oc2 kw3 f32 nhwc'", 0, "others may write to it"},
        {"KILN_CACHE_DIR=/proc/version/x kiln compile 'conv ic3 iw5 oc2 kw3 f32 nhwc'", 0, "Not a directory"},
        {"KILN_CACHE=read kiln compile 'conv ic3 iw5 oc2 kw3 f32 nhwc' 2>&1 >/dev/null | wc -c", 0, "0\n"},
        {"chmod 700 cache; kiln compile 'conv ic3 iw5 oc2 kw3 f32 nhwc' 2>&1 >/dev/null | wc -c", 0, "0\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int status;
        const char *wrote = shell(rows[i].line, &status);
        cr_expect_eq(status, rows[i].status, "%s: exit %d:\n%s", rows[i].line, status, wrote);
        cr_expect(strstr(wrote, rows[i].says), "%s: no \"%s\" in:\n%s", rows[i].line, rows[i].says, wrote);
    }
}
