/* kiln_aot: what it hands out, in which order, and what it refuses; and kiln aot from outside. That the code
 * is right is tests/aot's to show. */
#include "api.h"
#include "shell.h"

static char folder[] = "/tmp/kiln-aot-XXXXXX";
static void folder_make(void) { folder_enter(folder); }
static void folder_remove(void) { folder_leave(folder); }

TestSuite(aot, .init = folder_make, .fini = folder_remove, .timeout = 120);

/* ---- the function, over the module without LLVM ---- */

struct files {
    size_t count, objects;
    char names[4096]; /* "net_0_avx2.o net.c net.h " */
    char plans[4096]; /* one on each line */
    char header[1 << 14], source[1 << 14];
};

static void text_keep(char *to, size_t room, const struct kiln_aot_file *file)
{
    cr_assert_lt(file->count, room);
    memcpy(to, file->bytes, file->count);
}

static void keep(void *user, const struct kiln_aot_file *file)
{
    struct files *f = user;
    f->count++;
    strcat(strcat(f->names, file->name), " ");
    cr_assert_eq(file->plan != NULL, strstr(file->name, ".o") != NULL);
    cr_assert_eq(file->plan != NULL, file->code_bytes > 0);
    if (file->plan)
        cr_assert(!memcmp(file->bytes, file->plan, file->count), "it is not an object of %s", file->plan);
    if (file->plan) f->objects++, strcat(strcat(f->plans, file->plan), "\n");
    if (strstr(file->name, ".h")) text_keep(f->header, sizeof f->header, file);
    if (strstr(file->name, ".c")) text_keep(f->source, sizeof f->source, file);
}

enum { CONVS = 6 };
#define OPTIONS(...) \
    &(const struct kiln_options) { .size = sizeof(struct kiln_options), __VA_ARGS__ }

Test(aot, equal_convolutions_are_one_function_the_best_isa_first)
{
    static struct files f, again;
    struct kiln *k = context_with((struct kiln_config){0});
    const struct kiln_conv small = conv_of(SMALL), big = conv_of(BIG),
                           convs[CONVS] = {small, big, small, big, small, big};
    const struct kiln_options *options[CONVS] = {
        OPTIONS(.target = "x86_64", .isa = "sse2"),
        OPTIONS(.target = "x86_64", .isa = "avx2"),
        OPTIONS(.target = "x86_64"),
        OPTIONS(.target = "x86_64-linux-gnu", .isa = "avx512"),
        OPTIONS(.target = "x86_64", .isa = "sse2", .schedule = "late"),
        OPTIONS(.target = "x86_64", .isa = "avx2", .schedule = "late"),
    };
    WORKS(kiln_aot(k, "net", convs, options, CONVS, keep, &f, &error));
    cr_assert_str_eq(f.names, "net_0_amx.o net_0_sse2.o net_1_avx512.o net_1_avx2.o net.c net.h ");
    cr_assert_not(strstr(f.plans, "late"), "%s", f.plans);
    cr_assert(strstr(f.header, "net_count = 2 "), "%s", f.header);
    cr_assert(strstr(f.header, "const struct net_conv *net_1(void);"), "%s", f.header);
    WORKS(kiln_aot(k, "net", convs, options, CONVS, keep, &again, &error));
    cr_assert(!memcmp(&f, &again, sizeof f), "the same is not made twice");
    kiln_destroy(k);
}

Test(aot, a_level_is_asked_for_at_run_time_by_what_it_needs)
{
    static struct files x86, sse2, arm;
    struct kiln *k = context_with((struct kiln_config){0});
    const struct kiln_conv conv = conv_of(SMALL);
    const struct kiln_options *avx2[] = {OPTIONS(.target = "x86_64", .isa = "avx2")};
    const struct kiln_options *least[] = {OPTIONS(.target = "x86_64", .isa = "sse2")};
    const struct kiln_options *neon[] = {OPTIONS(.target = "aarch64-unknown-linux-gnu")};
    WORKS(kiln_aot(k, "net", &conv, avx2, 1, keep, &x86, &error));
    /* sse2; sse4.2, avx, fma, f16c, popcnt; avx2, bmi, bmi2; lzcnt */
    cr_assert(strstr(x86.source, "if (cpu_saves(0x6) && cpu_has(0x1, 0, 3, 0x4000000) && "
                                 "cpu_has(0x1, 0, 2, 0x30901000) && cpu_has(0x7, 0, 1, 0x128) && "
                                 "cpu_has(0x80000001, 0, 2, 0x20))\n        return 2; /* avx2 */"),
              "%s", x86.source);
    WORKS(kiln_aot(k, "net", &conv, least, 1, keep, &sse2, &error));
    cr_assert(strstr(sse2.source, "if (1)"), "%s", sse2.source);
    cr_assert_not(strstr(sse2.source, "cpuid"), "%s", sse2.source);
    WORKS(kiln_aot(k, "net", &conv, neon, 1, keep, &arm, &error));
    cr_assert_str_eq(arm.names, "net_0_neon.o net.c net.h ");
    cr_assert(strstr(arm.source, "if (1)"), "%s", arm.source);
    cr_assert_not(strstr(arm.source, "cpuid"), "%s", arm.source);
    kiln_destroy(k);
}

Test(aot, refuses)
{
    static struct files f;
    struct kiln *k = context_with((struct kiln_config){0});
    struct kiln_conv conv = conv_of(SMALL), convs[3] = {conv, conv, conv_of(BIG)}, none = conv;
    none.ic = 0;
    static const char *const names[] = {NULL,
                                        "",
                                        "1net",
                                        "my net",
                                        "net-1",
                                        "n\xc3\xa9t",
                                        "a2345678901234567890123456789012345678901234567890123456789012345"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        REFUSES(kiln_aot(k, names[i], &conv, NULL, 1, keep, &f, &error), KILN_STATUS_INVALID,
                "must be an identifier of C of at most 64 letters");
    REFUSES(kiln_aot(NULL, "net", &conv, NULL, 1, keep, &f, &error), KILN_STATUS_INVALID, "k is NULL");
    REFUSES(kiln_aot(k, "net", NULL, NULL, 1, keep, &f, &error), KILN_STATUS_INVALID, "convs are none");
    REFUSES(kiln_aot(k, "net", &conv, NULL, 0, keep, &f, &error), KILN_STATUS_INVALID, "convs are none");
    REFUSES(kiln_aot(k, "net", &conv, NULL, SIZE_MAX, keep, &f, &error), KILN_STATUS_INVALID,
            "convs are none");
    REFUSES(kiln_aot(k, "net", &conv, NULL, 1, NULL, &f, &error), KILN_STATUS_INVALID, "visit is NULL");
    REFUSES(kiln_aot(k, "net", &none, NULL, 1, keep, &f, &error), KILN_STATUS_INVALID, "ic");

    const struct kiln_options *two[] = {OPTIONS(.target = "x86_64"), OPTIONS(.target = "aarch64"), NULL};
    REFUSES(kiln_aot(k, "net", convs, two, 2, keep, &f, &error), KILN_STATUS_INVALID, "must be the same");
    static const char *const targets[] = {"riscv64", "aarch64-apple-darwin", "x86_64-pc-windows-msvc",
                                          "x86_64-", ""};
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        const struct kiln_options *o[] = {OPTIONS(.target = targets[i])};
        REFUSES(kiln_aot(k, "net", &conv, o, 1, keep, &f, &error), KILN_STATUS_INVALID, "target is");
    }
    /* the sentence names the conv: one that was not compiled, of several */
    const struct kiln_options *last[] = {NULL, NULL, OPTIONS(.schedule = "unsupported")};
    REFUSES(
        kiln_aot(k, "net", convs, last, 3, keep, &f, &error), KILN_STATUS_UNSUPPORTED,
        "conv n1 ic64 ih56 iw56 oc64 kh3 kw3 ph1 pw1 f32 nhwc +bias +scale +prelu +add +relu: made to fail");
    const struct kiln_options *isa[] = {OPTIONS(.target = "aarch64", .isa = "avx2")};
    REFUSES(kiln_aot(k, "net", &conv, isa, 1, keep, &f, &error), KILN_STATUS_INVALID, "isa is \"avx2\"");
    cr_assert_eq(f.count, 0, "files were handed out: %s", f.names);
    kiln_destroy(k);
}

/* ---- the program ---- */

#define STRICT_CC "cc -std=c99 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror"
#define ONE "conv ic8 iw8 oc8 kw3 f32 nhwc"

Test(aot, bad_usage)
{
    file_put("file", "");
    static const struct expected cases[] = {
        {"kiln aot --out net", 2, "aot needs a convolution"},
        {"kiln aot " ONE, 2, "aot needs --out DIR"},
        {"kiln aot " ONE " --out none/net", 2, "--out: cannot make 'none/net'"},
        {"kiln aot " ONE " --out file", 2, "cannot write file/"},
        {"kiln aot " ONE " --out -x", 2, "--out is '-x'"},
        {"kiln aot " ONE " --out net --name 1", 2, "name is \"1\""},
        {"kiln aot " ONE " --out net --isa fry", 2, "isa is \"fry\""},
        {"kiln aot " ONE " --out net --isa avx2,avx2", 2, "--isa has 'avx2' twice"},
        {"kiln aot " ONE " --out net --target aarch64 --isa avx2", 2, "isa is \"avx2\""},
        {"kiln aot " ONE " --out net --target mips-linux-gnu", 2, "target is \"mips-linux-gnu\""},
        {"kiln aot conv ic8 iw8 oc8 kw3 bf16 nhwc --out net", 2, "conv n1 ic8 iw8 oc8 kw3 bf16 nhwc: "},
        {"CC=false kiln aot " ONE " --out net --static", 2, "--static: 'false' failed; CC names another"},
        {"AR=no-such kiln aot " ONE " --out net --static", 2, "--static: 'no-such' failed; AR names another"},
    };
    EXPECT(cases);
}

Test(aot, says_what_it_made)
{
    static const struct expected cases[] = {
        {"kiln aot " ONE " --target x86_64 --isa sse2,avx2 --out net --name my", 0, "2 kernels, "},
        {"ls net", 0, "my.c\nmy.h\nmy_0_avx2.o\nmy_0_sse2.o\n"},
        {"kiln aot " ONE " --target x86_64 --isa avx2 --out net | sed 's/[0-9]* bytes/N bytes/'", 0,
         "convs_0_avx2.o  N bytes of code  conv n1 ic8 iw8 oc8 kw3 f32 nhwc | "},
        {"kiln aot '" ONE " | direct ow=2 | avx2' '" ONE " | direct ow=4 | avx512' --target x86_64 --out net",
         0, "| direct ow=4 | avx512\nconvs_0_avx2.o"},
        {"printf '%s\\n' '#include \"my.h\"' 'int main() { return my_0() == 0; }' > main.cc &&"
         " c++ -Wall -Wextra -Werror -I net -c main.cc",
         0, ""},
        {STRICT_CC " -c net/my.c", 0, ""},
        /* nothing is exported, unless it is asked for */
        {"cc -shared -fPIC -o my.so net/my.c net/my_*.o && nm -D my.so | grep -c my_", 1, "0\n"},
        {"cc -shared -fPIC -Dmy_API= -o my.so net/my.c net/my_*.o && nm -D my.so | grep -o 'my_[0g].*'", 0,
         "my_0\nmy_get\n"},
        /* another net, of a name that differs in case alone, and with nothing to choose from */
        {"kiln aot " ONE " --target x86_64 --isa sse2 --out net --name My", 0, "1 kernels, "},
        {"printf '%s\\n' '#include \"my.h\"' '#include \"My.h\"' 'int a[my_count], b[My_count];' >both.c &&"
         " " STRICT_CC " -I net -c both.c net/My.c",
         0, ""},
    };
    EXPECT(cases);
}
