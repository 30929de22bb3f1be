/* disk: one file per kernel, believed only if it is ours and whole. Whatever is wrong with it, a kernel that
 * is found is right, and what is ignored is replaced by the next writing. */
#include "disk_folder.h"

#include <sys/resource.h>
#include <time.h>

TestSuite(disk, .init = folder_make, .fini = folder_remove, .timeout = 120);

Test(disk, what_was_put_is_found)
{
    struct stat s;
    ABSENT("a");
    cr_assert_eq(stat(cache_dir, &s), -1, "asking made the directory");
    put("a", 0);
    put("b", 10000);
    FOUND("a");
    FOUND("b");
    FOUND("a");
    ABSENT("c");
    cr_assert_eq(disk.hits, 3);
    cr_assert_eq(disk.misses, 2);
    cr_assert_eq(disk.writes, 2);
    cr_assert(stat(cache_dir, &s) == 0 && (s.st_mode & 07777) == 0700);
    cr_assert(stat(file_of("a"), &s) == 0 && (s.st_mode & 07777) == 0600);
    cr_assert_eq(files(""), 2);
}

Test(disk, modes)
{
    disk_of((struct kiln_config){.cache = KILN_CACHE_READ});
    put("a", 0);
    ABSENT("a");
    disk_of((struct kiln_config){.cache = KILN_CACHE_OFF});
    put("a", 0);
    ABSENT("a");
    cr_assert_eq(disk.misses, 0);
    disk_of((struct kiln_config){.cache = KILN_CACHE_ON});
    put("a", 0);
    FOUND("a");
    disk_of((struct kiln_config){.cache = KILN_CACHE_READ});
    FOUND("a");
    disk_of((struct kiln_config){.cache = KILN_CACHE_OFF});
    ABSENT("a");
}

/* ---- damage ---- */

enum { HITS = 16, HITS_END = 24 }; /* where a file counts its hits, which no checksum covers */

Test(disk, every_byte_flipped)
{
    static char good[4096];
    put("key", 0);
    size_t count = file_read(file_of("key"), good, sizeof good);
    cr_assert(count > 100 && count < sizeof good);
    disk_of((struct kiln_config){.cache = KILN_CACHE_READ});
    for (size_t i = 0; i < count; i++) {
        static const char flips[] = {1, (char)0x80, (char)0xff};
        for (size_t f = 0; f < sizeof flips; f++) {
            good[i] ^= flips[f];
            file_write(file_of("key"), good, count);
            good[i] ^= flips[f];
            if (i >= HITS && i < HITS_END)
                FOUND("key");
            else
                cr_assert(!get("key") && why.text[0], "byte %zu", i);
        }
    }
}

Test(disk, cut_at_every_length)
{
    static char good[4096];
    put("key", 0);
    size_t count = file_read(file_of("key"), good, sizeof good - 1);
    for (size_t length = 0; length <= count + 1; length++) {
        file_write(file_of("key"), good, length);
        if (length == count)
            FOUND("key");
        else
            cr_assert(!get("key") && why.text[0], "length %zu", length);
    }
    put("key", 0);
    FOUND("key");
}

Test(disk, swapped_between_keys)
{
    put("a", 0);
    put("b", 0);
    char a[128], b[128];
    strcpy(a, file_of("a"));
    strcpy(b, file_of("b"));
    cr_assert(rename(a, "aside") == 0 && rename(b, a) == 0 && rename("aside", b) == 0);
    IGNORED("a", "it is of another key: \"b\"");
    IGNORED("b", "it is of another key: \"a\"");
    put("a", 0);
    FOUND("a");
    IGNORED("b", "it is of another key");
}

/* ---- what else may be in a file's place ---- */

static void make_empty(const char *path) { file_write(path, "", 0); }
static void make_directory(const char *path) { cr_assert_eq(mkdir(path, 0700), 0); }
static void make_fifo(const char *path) { cr_assert_eq(mkfifo(path, 0600), 0); }

/* A link to a sound file: believed where it is, not where the link is. */
static void make_link(const char *path)
{
    put("key", 0);
    cr_assert(rename(path, "elsewhere") == 0 && symlink("../elsewhere", path) == 0);
}

static void make_writable(const char *path)
{
    put("key", 0);
    cr_assert_eq(chmod(path, 0620), 0);
}

/* A kernel with one byte of its header changed. */
static void make_changed(const char *path, size_t at)
{
    char bytes[4096];
    put("key", 0);
    size_t count = file_read(path, bytes, sizeof bytes);
    bytes[at]++;
    file_write(path, bytes, count);
}

static void make_unreadable_format(const char *path) { make_changed(path, 8); }

static void make_damaged_header(const char *path) { make_changed(path, 12); }

static void make_huge(const char *path)
{
    put("key", 0);
    cr_assert_eq(truncate(path, (off_t)1 << 40), 0);
}

static void make_text(const char *path)
{
    file_write(path, "conv n1 ic1 ih1 iw1, once upon a time in a file of text", 55);
}

static void make_of_another_user(const char *path)
{
    put("key", 0);
    if (chown(path, 12345, 12345)) cr_skip("only root can give files away\n");
}

static const struct {
    void (*make)(const char *path);
    const char *why;
    bool stays; /* writing cannot replace it */
} in_place[] = {
    {make_empty, "it has 0 bytes", false},
    {make_directory, "it is no regular file", true},
    {make_fifo, "it is no regular file", false},
    {make_link, "Too many levels of symbolic links", false},
    {make_writable, "others may write to it: its mode is 620", false},
    {make_unreadable_format, "its format is 2", false},
    {make_damaged_header, "its header was damaged", false},
    {make_huge, "at most", false},
    {make_text, "it has 55 bytes", false},
    {make_of_another_user, "it belongs to user 12345", false},
};

Test(disk, what_is_no_kernel_of_ours_is_ignored_and_replaced)
{
    put("other", 0);
    for (size_t i = 0; i < sizeof in_place / sizeof *in_place; i++) {
        char path[128];
        strcpy(path, file_of("key"));
        in_place[i].make(path);
        IGNORED("key", in_place[i].why);
        cr_assert(strstr(why.text, path), "%s", why.text);
        put("key", 0);
        cr_assert_eq(files("tmp-"), 0, "a temporary file was left");
        if (in_place[i].stays) {
            cr_assert(strstr(why.text, "not written"), "%s", why.text);
            IGNORED("key", in_place[i].why);
        } else {
            FOUND("key");
        }
        FOUND("other");
        cr_assert_eq(remove(path), 0);
    }
}

/* ---- the directory ---- */

static void dir_writable(void) { cr_assert_eq(chmod(cache_dir, 0777), 0); }
static void dir_linked(void) { cr_assert(rename(cache_dir, "real") == 0 && symlink("real", cache_dir) == 0); }
static void dir_a_file(void)
{
    cr_assert_eq(rename(cache_dir, "real"), 0);
    file_write(cache_dir, "x", 1);
}

static void dir_of_another_user(void)
{
    if (chown(cache_dir, 12345, 12345)) cr_skip("only root can give directories away\n");
}

static const struct {
    void (*make)(void);
    const char *why;
} dirs[] = {
    {dir_writable, "others may write to it: its mode is 777"},
    {dir_linked, "symbolic link"},
    {dir_a_file, "cannot be opened"},
    {dir_of_another_user, "it belongs to user 12345"},
};

static void dir_refused(int i)
{
    put("key", 0);
    FOUND("key");
    dirs[i].make();
    IGNORED("key", dirs[i].why);
    put("other", 0);
    cr_assert(strstr(why.text, dirs[i].why), "%s", why.text);
    cr_assert_eq(disk.writes, 1);
}

Test(disk, a_directory_others_may_write_to) { dir_refused(0); }
Test(disk, a_link_to_a_directory) { dir_refused(1); }
Test(disk, a_file_in_place_of_the_directory) { dir_refused(2); }
Test(disk, a_directory_of_another_user) { dir_refused(3); }

Test(disk, a_slash_behind_a_link_does_not_follow_it)
{
    put("key", 0);
    cr_assert_eq(symlink(cache_dir, "link"), 0);
    char path[128];
    snprintf(path, sizeof path, "%s/link//", folder);
    disk_of((struct kiln_config){.cache_dir = path});
    IGNORED("key", "symbolic link");
}

/* As root, for whom nothing is read-only, by becoming somebody else. */
Test(disk, a_read_only_directory)
{
    put("key", 0);
    if (geteuid() == 0) {
        const uid_t other = 65534;
        cr_assert(chown(folder, other, other) == 0 && chown(cache_dir, other, other) == 0 &&
                  chown(file_of("key"), other, other) == 0 && setresuid(other, other, other) == 0);
    }
    cr_assert_eq(chmod(cache_dir, 0500), 0);
    put("other", 0);
    cr_assert(strstr(why.text, "not written: Permission denied"), "%s", why.text);
    FOUND("key");
    cr_assert_eq(chmod(file_of("key"), 0400), 0);
    FOUND("key");
}

Test(disk, a_directory_that_went_away_is_made_again)
{
    put("key", 0);
    cr_assert(unlink(file_of("key")) == 0 && rmdir(cache_dir) == 0);
    ABSENT("key");
    put("key", 0);
    FOUND("key");
}

/* ---- writing that fails ---- */

Test(disk, a_limit_on_the_size_of_files_is_no_signal)
{
    put("key", 0);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){10, 10}), 0);
    put("other", 0);
    cr_assert(strstr(why.text, "not written"), "%s", why.text);
    FOUND("key");
    ABSENT("other");
    cr_assert_eq(files(""), 1);
}

Test(disk, more_than_the_whole_cache_is_not_written)
{
    disk_of((struct kiln_config){.cache_disk_bytes = 20000});
    put("small", 0);
    put("large", 30000);
    cr_assert(strstr(why.text, "not written"), "%s", why.text);
    FOUND("small");
    ABSENT("large");
}

/* ---- who made it ---- */

Test(disk, another_maker_in_its_place_makes_anew)
{
    char maker[128];
    snprintf(maker, sizeof maker, "%s/libmaker.so", folder);
    file_write(maker, "one", 3);
    struct image *i = small_image("key", 0);
    disk_put(&disk, "key", maker, i, &why);
    FOUND("key");
    file_write(maker, "three", 5);
    IGNORED("key", "what made it has changed");
    cr_assert_eq(unlink(maker), 0);
    FOUND("key");
    disk_put(&disk, "key", maker, i, &why);
    FOUND("key");
    free(i);
}

/* ---- use, and dropping ---- */

/* As if last used so many seconds ago. */
static void age(const char *path, time_t seconds)
{
    const struct timespec then[2] = {{time(NULL) - seconds, 0}, {time(NULL) - seconds, 0}};
    cr_assert_eq(utimensat(AT_FDCWD, path, then, 0), 0);
}

Test(disk, the_least_recently_used_go)
{
    char key[] = "0";
    uint64_t left, removed = 0;
    for (; *key <= '9'; ++*key) put(key, 10000);
    for (*key = '0'; *key <= '9'; ++*key) age(file_of(key), 100 * ('9' + 1 - *key));
    FOUND("1"); /* now the most recent */
    int dir = dir_open(&disk, false, &why);
    cr_assert_eq(dir_prune(dir, 45000, &left, &removed, &why), KILN_STATUS_OK);
    close(dir);
    cr_assert_eq(removed, 6);
    cr_assert(left <= 45000 && left > 40000);
    for (*key = '0'; *key <= '9'; ++*key) cr_assert_eq(get(key), *key == '1' || *key >= '7', "%s", key);
}

Test(disk, writing_keeps_the_limit)
{
    char key[32];
    disk_of((struct kiln_config){.cache_disk_bytes = 100000});
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "key %d", i);
        put(key, 10000);
        cr_assert_eq(why.text[0], '\0', "%s", why.text);
        FOUND(key);
        cr_assert_leq(files(""), 9);
    }
    cr_assert_geq(files(""), 7);
}

Test(disk, temporary_files_of_the_dead_go)
{
    uint64_t left, removed = 0;
    put("key", 0);
    cr_assert_eq(chdir(cache_dir), 0);
    file_write("tmp-1-0123456789abcdef", "x", 1);
    file_write("tmp-2-0123456789abcdef", "x", 1);
    file_write("not-ours", "x", 1);
    age("tmp-1-0123456789abcdef", 3700);
    age("not-ours", 1000000);
    int dir = dir_open(&disk, false, &why);
    cr_assert_eq(dir_prune(dir, 0, &left, &removed, &why), KILN_STATUS_OK);
    close(dir);
    cr_assert_eq(removed, 2);
    cr_assert_eq(access("tmp-2-0123456789abcdef", F_OK), 0, "its writer may be alive");
    cr_assert_eq(access("not-ours", F_OK), 0);
    ABSENT("key");
}

/* ---- telling ---- */

struct listed {
    int sound, wrong;
    uint64_t hits;
    char plans[256];
};

static void visit(void *user, const struct kiln_cache_entry *e)
{
    struct listed *l = user;
    cr_assert_eq(!e->plan, e->wrong != NULL);
    cr_assert(e->bytes < 4096 && e->used > 0 && strlen(e->file) == 37);
    *(e->plan ? &l->sound : &l->wrong) += 1;
    l->hits += e->hits;
    strcat(l->plans, e->plan ? e->plan : e->wrong);
    strcat(l->plans, ";");
}

Test(disk, listing_tells_all_and_what_is_wrong)
{
    struct listed l = {0};
    char a[128];
    put("a", 0);
    put("b", 0);
    put("c", 0);
    for (int i = 0; i < 5; i++) FOUND("b");
    strcpy(a, file_of("a"));
    age(a, 50);
    age(file_of("b"), 10);
    age(file_of("c"), 30);
    cr_assert_eq(rename(a, file_of("not a")), 0);
    int dir = dir_open(&disk, false, &why);
    cr_assert_eq(dir_list(dir, visit, &l, &why), KILN_STATUS_OK);
    close(dir);
    cr_assert_eq(l.sound, 2);
    cr_assert_eq(l.wrong, 1);
    cr_assert_eq(l.hits, 5);
    cr_assert_str_eq(l.plans, "b;c;it is of another key: \"a\";");
}

/* ---- where ---- */

Test(disk, places_and_settings)
{
    static const struct {
        const char *cache, *dir, *xdg, *home, *most;
        enum kiln_cache mode;
        const char *path; /* or what is said of the mistake */
    } rows[] = {
        {NULL, NULL, NULL, "/home/u", NULL, KILN_CACHE_ON, "/home/u/.cache/kiln"},
        {"on", "", "", "/home/u", "", KILN_CACHE_ON, "/home/u/.cache/kiln"},
        {"read", NULL, "/x", "/home/u", NULL, KILN_CACHE_READ, "/x/kiln"},
        {"on", NULL, "x", "/home/u", NULL, KILN_CACHE_ON, "/home/u/.cache/kiln"},
        {"on", "/c//", "/x", "/home/u", NULL, KILN_CACHE_ON, "/c"},
        {"off", "/c", "/x", "/home/u", NULL, KILN_CACHE_OFF, "/c"},
        {"on", NULL, "x", "home", NULL, KILN_CACHE_OFF, NULL},
        {"on", NULL, NULL, NULL, NULL, KILN_CACHE_OFF, NULL},
        {"yes", "/c", NULL, NULL, NULL, KILN_CACHE_DEFAULT, "KILN_CACHE is \"yes\": must be off, read or on"},
        {"on", "c", NULL, NULL, NULL, KILN_CACHE_DEFAULT,
         "KILN_CACHE_DIR is \"c\": must be an absolute path"},
        {"on", "/c", NULL, NULL, "much", KILN_CACHE_DEFAULT, "KILN_CACHE_MAX is \"much\""},
        {"on", "/c", NULL, NULL, "0", KILN_CACHE_DEFAULT, "KILN_CACHE_MAX is \"0\""},
        {"on", "/c", NULL, NULL, "9000000000G", KILN_CACHE_DEFAULT, "KILN_CACHE_MAX"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *const set[][2] = {{"KILN_CACHE", rows[i].cache},
                                      {"KILN_CACHE_DIR", rows[i].dir},
                                      {"XDG_CACHE_HOME", rows[i].xdg},
                                      {"HOME", rows[i].home},
                                      {"KILN_CACHE_MAX", rows[i].most}};
        for (size_t v = 0; v < sizeof set / sizeof *set; v++) {
            unsetenv(set[v][0]);
            if (set[v][1]) setenv(set[v][0], set[v][1], 1);
        }
        struct disk d;
        enum kiln_status status = disk_open(&d, &(struct kiln_config){0}, &why);
        const char *said = status ? why.text : d.dir;
        cr_assert_eq(status, rows[i].mode ? KILN_STATUS_OK : KILN_STATUS_INVALID, "row %zu", i);
        if (!status) cr_assert_eq(d.mode, rows[i].mode, "row %zu", i);
        cr_assert(said == rows[i].path || strstr(said, rows[i].path), "row %zu: %s", i, said);
        disk_close(&d);
    }
}

Test(disk, sizes)
{
    static const struct {
        const char *text;
        uint64_t most;
    } rows[] = {{"1", 1}, {"1000", 1000}, {"3K", 3 << 10}, {"256M", 256 << 20}, {"2G", (uint64_t)2 << 30}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        setenv("KILN_CACHE_MAX", rows[i].text, 1);
        disk_of((struct kiln_config){0});
        cr_assert_eq(disk.most, rows[i].most);
        disk_of((struct kiln_config){.cache_disk_bytes = 77});
        cr_assert_eq(disk.most, 77);
    }
}
