/* The door to LLVM, from outside: where the generator or LLVM is missing every command that needs it says so,
 * names what to install, and exits with one status; what needs neither works. */
#include "shell.h"

static char folder[] = "/tmp/kiln-door-XXXXXX";

#define CONV "'conv ic1 iw4 oc1 kw2 f32 nhwc'"
#define FILES " --src x.npy --weights w.npy "

/* A .npy file of [1][1][count], counting from 1. */
static void npy_put(const char *name, const char *shape, int count)
{
    char head[100];
    FILE *file = fopen(name, "w");
    cr_assert(file);
    snprintf(head, sizeof head, "{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", shape);
    fprintf(file, "\x93NUMPY%c%c%c%c%-117s\n", 1, 0, 118, 0, head);
    for (float v = 1; v <= (float)count; v++) cr_assert_eq(fwrite(&v, sizeof v, 1, file), 1);
    cr_assert_eq(fclose(file), 0);
}

static void door_make(void)
{
    static const struct expected cases[] = {
        {"kiln run " CONV FILES "--dst y.npy", 0, ""},
        {"printf '%s | direct | sse2  # 1 us\\n' " CONV " >wisdom", 0, ""},
    };
    folder_enter(folder);
    npy_put("x.npy", "1, 4, 1", 4);
    npy_put("w.npy", "1, 1, 2", 2);
    EXPECT(cases);
}

static void door_remove(void) { folder_leave(folder); }

TestSuite(door, .init = door_make, .fini = door_remove, .timeout = 300);

Test(door, the_oracle_needs_no_door)
{
    static const struct expected cases[] = {
        {"KILN_GENERATOR=/nope kiln run " CONV FILES "--dst o.npy --oracle && cmp o.npy y.npy", 0, ""},
        {"kiln run 'conv ic1 iw4 oc1 kw2 f32 nhwc +bias'" FILES "--dst o.npy --oracle", 2, "--bias"},
        {"kiln run --help", 0, "--oracle"},
    };
    EXPECT(cases);
}

#ifndef KILN_STATIC_GENERATOR

/* Modules that cannot be opened, as lines of shell that make ./kiln such, and what is said of each. */
static const struct broken {
    const char *make, *says;
} broken[] = {
    {"sed s/libLLVM/libLOST/g \"$KILN_GENERATOR\" >lost.so; g=./lost.so", "libLOST"},
    {"g=/nope.so", "/nope.so cannot be opened"},
    {"cp \"${KILN%/*}\"/libkiln.so.* .; g=; export LD_LIBRARY_PATH=$PWD",
     "libkiln-generator.so nor in lib/kiln"},
};

Test(door, every_command_tells_what_is_missing)
{
    static const char *const commands[] = {
        "run " CONV FILES "--dst z.npy",
        "check " CONV,
        "accuracy " CONV,
        "dump --ir " CONV,
        "bench --min-time 0.001 " CONV,
        "compile " CONV,
        "explain " CONV,
        "tune " CONV,
        "tune --wisdom wisdom --isa sse2 " CONV, /* known, but not whether it is still accepted */
        "wisdom check wisdom",
    };
    static const char *const needed[] = {"libllvm19", "LLVM 19", "KILN_GENERATOR"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        for (size_t j = 0; j < sizeof commands / sizeof *commands; j++) {
            char line[512];
            snprintf(line, sizeof line, "%s; KILN_GENERATOR=$g \"$KILN\" %s", broken[i].make, commands[j]);
            expect(&(struct expected){line, 2, broken[i].says}, 1);
            for (size_t n = 0; n < sizeof needed / sizeof *needed; n++)
                cr_expect(strstr(wrote, needed[n]), "%s: no \"%s\" in:\n%s", line, needed[n], wrote);
            cr_expect(access("z.npy", F_OK), "%s wrote its output", line);
        }
}

Test(door, what_needs_no_generator_works)
{
    static const char *const commands[] = {"cpu", "wisdom merge wisdom", "wisdom list wisdom", "cache path",
                                           "help"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        for (size_t j = 0; j < sizeof commands / sizeof *commands; j++) {
            char line[512];
            snprintf(line, sizeof line, "%s; KILN_GENERATOR=$g \"$KILN\" %s", broken[i].make, commands[j]);
            expect(&(struct expected){line, 0, j ? "" : "generator  not found: "}, 1);
        }
}

/* What is no module, though it is there, is not mended by a package. */
Test(door, no_wrong_advice)
{
    static const struct expected cases[] = {
        {"KILN_GENERATOR=$PWD/x.npy kiln compile " CONV, 2, "x.npy cannot be opened: "},
        {"KILN_GENERATOR=$PWD/x.npy kiln compile " CONV " | grep -c libllvm19", 1, "0\n"},
    };
    EXPECT(cases);
}

/* LLVM goes, the module stays: what was compiled before runs, whatever else is asked for is told. */
Test(door, a_cache_outlives_llvm)
{
    static const struct expected cases[] = {
        {"cp \"$KILN_GENERATOR\" one.so && KILN_CACHE_DIR=$PWD/cache KILN_CACHE=on KILN_GENERATOR=./one.so "
         "kiln run " CONV FILES "--dst a.npy && cmp a.npy y.npy",
         0, ""},
        {"sed s/libLLVM/libLOST/g one.so >lost.so && touch -r one.so lost.so && mv lost.so one.so", 0, ""},
        {"KILN_CACHE_DIR=$PWD/cache KILN_CACHE=on KILN_GENERATOR=./one.so kiln run " CONV FILES
         "--dst b.npy && cmp b.npy y.npy",
         0, ""},
        {"KILN_CACHE_DIR=$PWD/cache KILN_CACHE=on KILN_GENERATOR=./one.so kiln run " CONV FILES
         "--dst c.npy --schedule 'direct ow=1'",
         2, "libllvm19"},
    };
    EXPECT(cases);
}

#endif
