/* The program from outside: for lines of arguments, its exit status and what it says. KILN is its path. */
#include "cli/npy.c"
#include "cli/output.c"

#include <fcntl.h>
#include <stdarg.h>

#include "shell.h"

/* Only the files below are written with it, which must work. */
int complain(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    cr_assert_fail("a file could not be written");
    return EXIT_USAGE;
}

/* ---- a folder with files ---- */

static char folder[] = "/tmp/kiln-cli-XXXXXX";

static void array_put(const char *name, int rank, int64_t a, int64_t b, int64_t c, int64_t d)
{
    float data[] = {1, 2, 3, 4, 5, 6, 7, 8};
    const struct npy npy = {rank, {a, b, c, d}, data};
    cr_assert(npy_write(&npy, name));
}

/* Tests run inside the folder, with the example's tensors at $CHAIN. */
static void folder_make(void)
{
    folder_enter(folder);
    setenv("CHAIN", SOURCE_DIR "/examples/chain", 1);
    file_put("good.txt",
             "# a comment\n\nconv ic2 iw8 oc3 kw3 f32 nhwc # behind\n  mb1ic8ih7oc8oh7kh3ph1 \t\n");
    file_put("bad.txt", "conv ic2 iw8 oc3 kw3 f32 nhwc\nconv ic2 iw8 oc3 kw9 f32 nhwc\n");
    file_put("comments.txt", "# only this\n\n");
    file_put("old", "old");
    array_put("x3.npy", 3, 1, 4, 1, 0);
    array_put("x4.npy", 4, 1, 1, 4, 1);
    array_put("w3.npy", 3, 1, 1, 2, 0);
    array_put("w4.npy", 4, 1, 1, 1, 2);
    array_put("one.npy", 1, 1, 0, 0, 0);
    array_put("two.npy", 1, 2, 0, 0, 0);
}

static void folder_remove(void) { folder_leave(folder); }

TestSuite(cli, .init = folder_make, .fini = folder_remove, .timeout = 300);

#define LAYER1 "conv ic2 ih4 iw4 oc4 kh2 kw2 sh2 sw2 f32 nchw"
#define SMALL "conv ic2 iw8 oc3 kw3 f32 nhwc"
#define JUNK "'" SMALL " | direct ow=3 | avx2 | junk'"
#define PLAIN "'direct ow=6'"
#define ONE_D "conv ic1 iw4 oc1 kw2 f32 nhwc"

/* ---- bad usage ---- */

Test(cli, bad_usage)
{
    static const struct expected cases[] = {
        {"kiln", 2, "usage: kiln"},
        {"kiln fry", 2, "there is no command 'fry'"},
        {"kiln help fry", 2, "there is no command 'fry'"},
        {"kiln -x", 2, "there is no command '-x'"},
        {"kiln run", 2, "run needs a convolution"},
        {"kiln check", 2, "check needs a convolution"},
        {"kiln compile", 2, "compile needs a convolution"},
        {"kiln compile " SMALL " --jobs 0", 2, "--jobs is '0'; it must be a number from 1 to 1024"},
        {"kiln explain", 2, "explain needs a convolution"},
        {"kiln dump --ir", 2, "dump needs a convolution"},
        {"kiln cpu extra", 2, "cpu takes no arguments but options; here is 'extra'"},
        {"kiln --version x", 2, "nothing goes behind `kiln --version`; here is 'x'"},
        {"kiln help run extra", 2, "nothing goes behind"},
        {"kiln explain '" SMALL "' '" SMALL "'", 2, "explain takes one convolution, not 2"},
        {"kiln run --fry", 2, "unrecognized option '--fry'"},
        {"kiln accuracy", 2, "accuracy needs a convolution"},
        {"kiln accuracy " SMALL " --isa fry", 2, "fry"},
        {"kiln accuracy " SMALL " --layout nhcw", 2, "--layout has 'nhcw'"},
        {"kiln check -x", 2, "invalid option -- 'x'"},
        {"kiln check --full=yes " SMALL, 2, "doesn't allow an argument"},
        {"kiln check -f", 2, "requires an argument"},
        {"kiln check --isa avx2 --isa sse2 " SMALL, 2, "--isa is given twice"},
        {"kiln dump " SMALL " --ir -o a -o b", 2, "-o is given twice"},
        {"kiln check -f ''", 2, "the name of the file of convolutions is empty"},
        {"kiln check -f comments.txt", 2, "comments.txt has no convolutions"},
        {"printf '" SMALL "\\n" SMALL "\\0 +bias\\n' | kiln compile -f -", 2,
         "standard input:2: it holds a zero byte"},
        {"kiln check -f nowhere.txt", 2, "cannot open nowhere.txt: No such file"},
        {"kiln check -f .", 2, "cannot read ."},
        {"kiln check " JUNK, 2, "a plan line has three parts, and here is a fourth: 'junk'"},
        {"kiln run " JUNK " --dst y.npy", 2, "a fourth"},
        {"kiln explain " JUNK, 2, "a fourth"},
        {"kiln bench " JUNK, 2, "a fourth"},
        {"echo " JUNK " | kiln check -f -", 2, "standard input:1: a plan line"},
        {"kiln check -f bad.txt", 2, "bad.txt:2: "},
        {"kiln check conv ic2 iw8", 2, "kiln: "},
        {"kiln check fry", 2, "kiln: "},
        {"kiln check '" SMALL " nonsense'", 2, "nonsense"},
        {"kiln check " SMALL " --isa", 2, "requires an argument"},
        {"kiln check " SMALL " --isa ,", 2, "--isa is ','"},
        {"kiln check " SMALL " --isa fry", 2, "fry"},
        {"kiln check " SMALL " --layout nhcw", 2, "--layout has 'nhcw'"},
        {"kiln check " SMALL " --layout nhwc,,nchw", 2, "--layout is 'nhwc,,nchw'"},
        {"kiln check " SMALL " --layout nhwc,as-given", 2, "'as-given' among others; it stands alone"},
        {"kiln check " SMALL " --layout nhwc,nhwc", 2, "--layout has 'nhwc' twice"},
        {"kiln check " SMALL " --isa sse2,sse2", 2, "--isa has 'sse2' twice"},
        {"kiln bench " SMALL " --peers ''", 2, "a name is empty"},
        {"kiln check " SMALL " --threads 0", 2, "--threads is '0'; it must be a number from 1 to 1024"},
        {"kiln check " SMALL " --threads 9999999999999999999", 2, "--threads is"},
        {"kiln check " SMALL " --threads two", 2, "--threads is 'two'"},
        {"kiln check " SMALL " --budget 1x", 2, "--budget is '1x'"},
        {"kiln dump " SMALL, 2, "say what to dump"},
        {"kiln dump '" SMALL "' '" SMALL "' --ir", 2,
         "one convolution, not 2, unless --out names a directory"},
        {"kiln dump " SMALL " --ir --asm", 2, "excludes the other"},
        {"kiln dump " SMALL " --ir -o /nowhere/x", 2, "cannot write /nowhere/x: No such file"},
        {"kiln dump " SMALL " --ir --target vax", 2, "vax"},
        {"kiln dump " SMALL " --ir --schedule 'fry ow=1'", 2, "fry"},
        {"kiln explain " SMALL " --isa fry", 2, "fry"},
        {"kiln explain " SMALL " --src x3.npy", 2, "only with --at"},
        {"kiln cpu --isa fry", 2, "fry"},
        {"kiln cpu --target vax", 2, "vax"},
        {"kiln bench --fry", 2, "--fry"},
    };
    EXPECT(cases);
}

/* What a terminal would obey is told as text, wherever user's words are told. */
Test(cli, control_bytes)
{
    static const struct expected cases[] = {
        {"kiln \"$(printf 'a\\033[1m')\"", 2, "'a\\x1b[1m'"},
        {"kiln check \"$(printf -- '--a\\033')\"", 2, "'--a\\x1b'"},
        {"kiln check \"" SMALL " | $(printf 'a\\033\\177')\"", 2, "'a\\x1b\\x7f'"},
        {"kiln check \"" SMALL " | direct ow=3 | $(printf 'a\\033')\"", 2, "a\\x1b"},
        {"kiln bench \"" SMALL " | $(printf 'a\\033')\"", 2, "'a\\x1b'"},
    };
    EXPECT(cases);
    cr_assert_null(strchr(wrote, '\033'));
}

Test(cli, bad_tensors)
{
#define FILES " --src $CHAIN/output0.npy --weights $CHAIN/weights1.npy"
    static const struct expected cases[] = {
        {"kiln run " LAYER1 FILES, 2, "needs --dst FILE"},
        {"kiln run " LAYER1 " --dst y.npy", 2, "needs --src FILE"},
        {"kiln run " LAYER1 " --dst y.npy --src $CHAIN/output0.npy", 2, "needs --weights FILE"},
        {"kiln run " LAYER1 " +bias --dst y.npy" FILES, 2, "needs --bias FILE"},
        {"kiln run " LAYER1 " --dst y.npy --bias two.npy" FILES, 2, "has no +bias"},
        {"kiln run " LAYER1 " +bias --dst y.npy --bias two.npy" FILES, 2,
         "has the shape (2,); the convolution needs (4,)"},
        {"kiln run " LAYER1 " --dst y.npy --src nowhere.npy --weights $CHAIN/weights1.npy", 2,
         "cannot open nowhere.npy"},
        {"kiln run " LAYER1 " --dst y.npy --src old --weights $CHAIN/weights1.npy", 2,
         "old is not an array file"},
        {"kiln run " LAYER1 " --dst y.npy --src $CHAIN/input.npy --weights $CHAIN/weights1.npy", 2,
         "--src: "},
        {"kiln run " LAYER1 " --dst y.npy --src $CHAIN/input.npy --weights $CHAIN/weights1.npy", 2,
         "has the shape (1, 1, 8, 8); the convolution needs (1, 2, 4, 4)"},
        {"kiln run " LAYER1 " --dst y.npy --src $CHAIN/output0.npy --weights $CHAIN/weights0.npy", 2,
         "needs (4, 2, 2, 2)"},
        {"kiln run " LAYER1 " --dst /nowhere/y.npy" FILES, 2, "cannot write /nowhere/y.npy"},
        {"kiln run " LAYER1 " --dst y.npy --isa fry" FILES, 2, "fry"},
        {"kiln explain " LAYER1 " --at 0,0,0,0", 2, "needs --src FILE"},
        {"kiln run " LAYER1 " --dst y.npy --src . --weights x3.npy", 2, ". is a directory"},
        {"kiln run " LAYER1 " --dst ''" FILES, 2, "the name of the file to write is empty"},
        {"kiln explain " LAYER1 " --at 0,0,0,0 --schedule fry" FILES, 2, "without --schedule"},
        {"kiln explain " LAYER1 " --at 0,0,0,0 --isa sse2" FILES, 2, "without --schedule, --isa"},
        {"kiln explain " LAYER1 " --at 0,0,0" FILES, 2, "outputs are at n,oc,oh,ow"},
        {"kiln explain " LAYER1 " --at 0,0,0,0,0,0" FILES, 2, "outputs are at n,oc,oh,ow"},
        {"kiln explain " LAYER1 " --at 0,0,0,x" FILES, 2, "outputs are at n,oc,oh,ow"},
        {"kiln explain " LAYER1 " --at ''" FILES, 2, "outputs are at n,oc,oh,ow"},
        {"kiln explain " LAYER1 " --at 0,4,0,0" FILES, 2, "kiln: "},
        {"kiln explain " LAYER1 " --at 0,0,0,-1" FILES, 2, "kiln: "},
        {"kiln explain " ONE_D " --at 0,0,0,0 --src x3.npy --weights w3.npy", 0, "= 5\n"},
        {"kiln explain " ONE_D " --at 0,0 --src x3.npy --weights w3.npy", 2, "outputs are at n,oc,ow"},
    };
    EXPECT(cases);
    cr_assert_neq(access("y.npy", F_OK), 0, "a failed run writes nothing");
}

/* A command that fails leaves what was there, and nothing beside it. */
Test(cli, failure_leaves_the_old_file)
{
    static const struct expected cases[] = {
        {"kiln run " LAYER1 " --dst old --src $CHAIN/input.npy --weights $CHAIN/weights1.npy", 2, "kiln: "},
        {"kiln dump " SMALL " --ir --isa fry -o old", 2, "kiln: "},
        {"cat old", 0, "old"},
        {"ls | grep -c ^old", 0, "1\n"},
    };
    EXPECT(cases);
}

/* Where a command writes: what is replaced keeps its mode, what cannot be replaced is written as it is. */
Test(cli, where_output_goes)
{
    static const struct expected cases[] = {
        {"chmod 751 old && kiln dump " SMALL " --ir -o old && stat -c %a old", 0, "751\n"},
        {"umask 027 && kiln dump " SMALL " --ir -o new && stat -c %a new", 0, "640\n"},
        {"chmod 444 old && kiln dump " SMALL " --asm -o old", 2, "cannot write old: it is there and write-"},
        {"ln -s nothing link && kiln dump " SMALL " --ir -o link", 2, "a link to what is not there"},
        {"ln -s new there && kiln dump " SMALL " --asm -o there && readlink there && grep globl new", 0,
         "new"},
        {"kiln dump " SMALL " --ir -o .", 2, "Is a directory"},
        {"kiln dump " SMALL " --asm -o - | cat && ! ls ./-", 0, ".globl"},
        {"kiln dump " SMALL " --asm -o /dev/stdout | cat", 0, ".globl"},
        {"{ echo A; kiln dump " SMALL " --asm -o /dev/stdout; } > both && head -n 1 both", 0, "A\n"},
        {"kiln dump " SMALL " --asm -o /dev/null && test -c /dev/null", 0, ""},
        {"mkfifo pipe && { cat pipe & kiln dump " SMALL " --asm -o pipe; wait; test -p pipe; }", 0, ".globl"},
        {"kiln dump " SMALL " --asm -o /dev/full", 2, "cannot write /dev/full: No space"},
        {"kiln run " ONE_D " --src x3.npy --weights w3.npy --dst - | head -c 6 | tail -c 5", 0, "NUMPY"},
    };
    EXPECT(cases);
}

/* One mistake has one status, whatever command meets it, and is named. */
Test(cli, one_mistake_has_one_status)
{
    static const char *const commands[] = {
        "run --src x3.npy --weights w3.npy --dst z.npy",
        "check",
        "accuracy",
        "dump --ir",
        "bench --min-time 0.001",
        "compile",
        "explain",
    };
    static const struct {
        const char *environment, *conv, *says;
    } mistakes[] = {
        {"KILN_ISA=foo", ONE_D, "KILN_ISA is \"foo\": must be one of "},
        {"KILN_DEBUG=foo", ONE_D, "KILN_DEBUG is \"foo\": must be some of plan,cache,wisdom,ir,asm"},
        {"KILN_THREADS=0", ONE_D, "KILN_THREADS is \"0\": must be 1 to 1024"},
#if defined __x86_64__
        {"KILN_ISA=sse2", ONE_D " --isa avx2", "isa is \"avx2\": KILN_ISA allows at most sse2"},
#endif
#ifndef KILN_STATIC_GENERATOR
        {"KILN_GENERATOR=/nope", ONE_D, "/nope"},
#endif
        {"X=", ONE_D " --isa fry", "isa is \"fry\""},
        {"X=", ONE_D " --schedule fry", "'fry' is not an algorithm"},
        {"X=", ONE_D " --schedule 'direct ow=99'", "ow=99"},
        {"X=", ONE_D " --schedule ''", "schedule is empty: must be as in a plan line"},
        {"X=", "'" ONE_D " | direct ow=1 | avx9'", "isa is \"avx9\""},
        {"X=", "'" ONE_D " | fry'", "'fry' is not an algorithm"},
        {"X=", "'conv ic1 iw4 oc0 kw2'", "oc is 0"},
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++)
        for (size_t j = 0; j < sizeof commands / sizeof *commands; j++) {
            char line[512];
            snprintf(line, sizeof line, "env %s \"$KILN\" %s %s", mistakes[i].environment, commands[j],
                     mistakes[i].conv);
            expect(&(struct expected){line, 2, mistakes[i].says}, 1);
        }
}

/* ---- good usage ---- */

Test(cli, help)
{
    static const struct expected cases[] = {
        {"kiln help", 0, "explain"},
        {"kiln --help", 0, "usage: kiln COMMAND"},
        {"kiln --version", 0, "kiln 0."},
        {"kiln -V", 0, "kiln 0."},
        {"kiln -h", 0, "usage: kiln COMMAND"},
        {"kiln help help", 0, "usage: kiln COMMAND"},
        {"kiln help --help", 0, "usage: kiln COMMAND"},
        {"kiln check -h", 0, "EXIT STATUS"},
        {"kiln help run", 0, "--prelu FILE"},
        {"kiln run --help", 0, "EXIT STATUS"},
        {"kiln accuracy --help", 0, "N(0,1) data"},
        {"kiln check --help", 0, "N passed, N failed, N skipped"},
        {"kiln explain --help", 0, "--at POSITION"},
        {"kiln dump --help", 0, "--ir-opt"},
        {"kiln bench --help", 0, "EXAMPLES\n  kiln bench"},
        {"kiln compile --help", 0, "--jobs N"},
        {"kiln cpu --help", 0, "--target ARCH"},
        {"kiln run --help > /dev/full", 2, "cannot write to standard output"},
    };
    EXPECT(cases);
}

Test(cli, run)
{
    static const struct expected cases[] = {
        {"kiln run conv ic1 ih8 iw8 oc2 kh2 kw2 sh2 sw2 f32 nchw --src $CHAIN/input.npy --weights "
         "$CHAIN/weights0.npy --dst y0.npy && cmp y0.npy $CHAIN/output0.npy",
         0, ""},
        {"kiln run '" LAYER1 "' --src y0.npy --weights $CHAIN/weights1.npy --dst y1.npy --threads 2 && cmp "
         "y1.npy $CHAIN/output1.npy",
         0, ""},
        {"kiln run --dst old --src y0.npy --weights $CHAIN/weights1.npy " LAYER1 " && cmp old y1.npy", 0, ""},
        {"kiln run mb1ic2ih4oc4oh2kh2sh2ph0 --src y0.npy --weights $CHAIN/weights1.npy --dst z.npy", 2,
         "needs (1, 4, 4, 2)"},
        {"kiln run " ONE_D " --src x3.npy --weights w3.npy --dst d3.npy && grep -c '(1, 3, 1)' d3.npy", 0,
         "1\n"},
        {"kiln run " ONE_D " --src x4.npy --weights w3.npy --dst d4.npy && grep -c '(1, 1, 3, 1)' d4.npy", 0,
         "1\n"},
        {"kiln run " ONE_D " --src x4.npy --weights w4.npy --dst e4.npy && cmp d4.npy e4.npy", 0, ""},
        {"kiln run " ONE_D " +bias +relu --src x3.npy --weights w3.npy --bias one.npy --dst e4.npy", 0, ""},
    };
    EXPECT(cases);
}

Test(cli, check)
{
    static const struct expected cases[] = {
        {"kiln check -f good.txt", 0, "\n2 passed, 0 failed, 0 skipped\n"},
        {"kiln check -f good.txt --layout nhwc,nchw " SMALL, 0, "\n6 passed, 0 failed, 0 skipped\n"},
        {"kiln check -f - < good.txt", 0, "\n2 passed, 0 failed, 0 skipped\n"},
        {"kiln check " SMALL " --full", 0, "exact  conv n1 ic2 iw8 oc3 kw3 f32 nhwc  (18 outputs)\n1 passed"},
        {"kiln check mb1ic8ih7oc8oh7kh3ph1 " SMALL " conv ic4 iw4 oc4 kw1 f32 nchw", 0, "\n3 passed"},
        {"kiln check " SMALL " --isa all", 0, " 0 failed, 0 skipped\n"},
        {"kiln check '" SMALL " +scale'", 0, "+scale"},
        {"kiln check '" SMALL " | fry ow=3'", 2, "\n0 passed, 1 failed, 0 skipped\n"},
        {"kiln check " SMALL " --schedule 'fry ow=3'", 2, "FAIL"},
        {"kiln check 'conv ic3 iw70 oc5 kw3 fast f32 nhwc' --threads 3", 0, "1 passed"},
        {"kiln check '" SMALL " +clip(-0.5,0.25) +bias'", 0, "bound"},
        {"kiln check '" SMALL " +bias +clip(-0.5,0.25)'", 0, "exact"},
    };
    EXPECT(cases);
}

/* A terminal sees what is being checked; a file does not. */
Test(cli, check_shows_what_it_does)
{
    char line[256], seen[4096] = "";
    int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    cr_assert(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0);
    snprintf(line, sizeof line, "kiln check " SMALL " --isa all 2>%s >told", ptsname(terminal));
    int held = open(ptsname(terminal), O_RDWR | O_NOCTTY); /* what was written stays until it is read */
    cr_assert_eq(shell(line), 0);
    cr_assert_gt(read(terminal, seen, sizeof seen - 1), 0);
    close(held), close(terminal);
    cr_expect(strstr(seen, "checking ") && strstr(seen, " conv n1 ic2 iw8 oc3 kw3"), "%s", seen);
    static const struct expected cases[] = {
        {"! grep checking told && tail -n 1 told", 0, " 0 failed, 0 skipped\n"},
        {"! { kiln check " SMALL " 2>&1 >told | grep .; }", 0, ""},
    };
    EXPECT(cases);
}

/* 4e15 bytes are more than any address space has. */
#define TOO_BIG "'conv ic1 ih32000000 iw32000000 oc1 kw1 f32 nhwc' "

/* What memory has no room for fails by itself. */
/* Every algorithm that applies, or the one that a line names; the lines' own layouts and ISAs, or those
 * given. */
Test(cli, accuracy)
{
#define FACES "'conv g8 ic8 ih9 iw9 oc8 kh3 kw3 ph1 pw1 f32 nhwc'"
    static const struct expected cases[] = {
        {"kiln accuracy " SMALL, 0, "\n2 passed, 0 failed, 0 skipped\n"},
        {"kiln accuracy " SMALL, 0, "2e-05  conv n1 ic2 iw8 oc3 kw3 f32 nhwc | direct "},
        {"kiln accuracy '" SMALL " fast'", 0, " 1e-04  conv "},
        {"kiln accuracy " FACES, 0, "\n2 passed, 0 failed, 0 skipped\n"},
        {"kiln accuracy " FACES, 0, "\nok   depthwise "},
        {"kiln accuracy " FACES, 0, "\nok   direct "},
        {"kiln accuracy " FACES " --layout nhwc,nchw", 0, "\n5 passed, 0 failed, 0 skipped\n"},
        {"kiln accuracy " FACES " --schedule 'direct unroll=kw'", 0, "\n1 passed, 0 failed, 0 skipped\n"},
        {"kiln accuracy '" SMALL " | direct ow=3 | sse2' --isa all", 0, "| direct ow=3 | sse2\n"},
        {"kiln accuracy '" SMALL " | direct ow=3 | sse2' --isa all", 0, "\n1 passed, 0 failed"},
        {"kiln accuracy '" SMALL " +clip(0,0)'", 0, "\nok   direct             none     none    2e-05  conv"},
        {"kiln accuracy '" SMALL " +clip(0,0)'", 0,
         "\ndirect               1      none     none      none     none     0 %\n"},
        {"kiln accuracy -f good.txt", 0, " 0 failed, 0 skipped\n"},
        {"kiln accuracy '" SMALL " +scale' " SMALL, 0, "\n2 passed, 0 failed, 1 skipped\n"},
        {"kiln accuracy '" SMALL " | fry ow=3'", 2, "\n0 passed, 1 failed, 0 skipped\n"},
    };
    EXPECT(cases);
}

Test(cli, no_memory)
{
    const char *asan = getenv("ASAN_OPTIONS");
    char options[512];
    snprintf(options, sizeof options, "%s:allocator_may_return_null=1", asan ? asan : "");
    setenv("ASAN_OPTIONS", options, 1);
    static const struct expected cases[] = {
        {"kiln check " TOO_BIG SMALL, 1, "no memory for 4096000000000000 bytes of data\n"},
        {"kiln check " TOO_BIG SMALL, 1, "\n1 passed, 1 failed, 0 skipped\n"},
        {"kiln bench --min-time 0.001 " TOO_BIG SMALL, 1, "memory: no memory for 4096000000000000 bytes"},
        {"kiln bench --min-time 0.001 " TOO_BIG SMALL, 1,
         "\ncommand line                                  1 "},
        {"kiln bench --min-time 0.001 --json " TOO_BIG, 1, "\"error\": \"no memory for"},
    };
    EXPECT(cases);
}

/* The plan that explain and check print is one that check takes. */
Test(cli, a_plan_line_is_a_conv)
{
    static const struct expected cases[] = {
        {"kiln explain " SMALL " | grep '|' | head -n 1 | tee plan.txt", 0,
         "conv n1 ic2 iw8 oc3 kw3 f32 nhwc | "},
        {"kiln check -f plan.txt", 0, "\n1 passed, 0 failed, 0 skipped\n"},
        {"kiln dump \"$(cat plan.txt)\" --ir", 0, "define"},
#if defined __x86_64__ /* each has its own level, and --isa has another */
        {"kiln explain " SMALL " --isa sse2 | grep '|' | head -n 1 | tee plan.txt", 0, "| sse2"},
        {"kiln check -f plan.txt --isa all", 0, "ok   sse2 "},
        {"kiln bench -f plan.txt --isa avx2 --json --min-time 0.001", 0, "| sse2"},
#endif
    };
    EXPECT(cases);
}

Test(cli, explain)
{
    static const struct expected cases[] = {
        {"kiln explain " LAYER1 " --at 0,0,0,0 --src $CHAIN/output0.npy --weights $CHAIN/weights1.npy", 0,
         "  tap 1,0 reads 1,0: 3 * -1 = -3\n"},
        {"kiln explain " LAYER1
         " --at 0,0,0,0 --src $CHAIN/output0.npy --weights $CHAIN/weights1.npy | tail -n 1",
         0, "= -8\n"},
        {"kiln explain " LAYER1 " --at 0,3,1,0 --src $CHAIN/output0.npy --weights $CHAIN/weights1.npy", 0,
         "= -7\n"},
        {"kiln explain " ONE_D " --at 0,0,2 --src x3.npy --weights w3.npy", 0, "tap 1 reads 3: 4 * 2 = 8\n"},
        {"kiln explain " ONE_D " +gelu --at 0,0,0 --src x3.npy --weights w3.npy", 0,
         "+gelu: 5 becomes 4.9999986\n"},
    };
    EXPECT(cases);
}

Test(cli, dump)
{
    static const struct expected cases[] = {
        {"kiln dump " SMALL " --ir", 0, "define"},
        {"kiln dump " SMALL " --ir-opt", 0, "define"},
        {"kiln dump " SMALL " --asm", 0, ".globl"},
        {"kiln dump " SMALL " --obj -o x.o && head -c 4 x.o", 0, "ELF"},
        {"kiln dump " SMALL " --image > x.img && head -c 7 x.img", 0, "kilnimg"},
        {"kiln dump " SMALL " --asm --target aarch64", 0, "ret"},
        /* Each holds its plan line. */
        {"kiln dump " SMALL " --ir --schedule " PLAIN " | head -n 1", 0, " f32 nhwc | direct "},
        {"kiln dump " SMALL " --ir-opt --schedule " PLAIN " | head -n 1", 0, " ; run: "},
        {"kiln dump " SMALL " --asm --schedule " PLAIN " | head -n 1", 0,
         "# conv n1 ic2 iw8 oc3 kw3 f32 nhwc | direct "},
        {"kiln dump " SMALL " --asm --target aarch64 | head -n 1", 0, " | neon\n"},
        {"grep -ao 'conv n1 ic2.*nhwc | direct' x.o", 0, "conv n1 ic2 iw8 oc3 kw3 f32 nhwc | direct"},
        {"grep -ao 'conv n1 ic2.*nhwc | direct' x.img", 0, "conv n1 ic2 iw8 oc3 kw3 f32 nhwc | direct"},
        {"kiln cpu", 0, "isa"},
        {"kiln compile -f good.txt -f good.txt --jobs 2", 0, "4 convolutions, 2 compiled in "},
        {"printf '\\357\\273\\277" SMALL "\\n' | kiln compile -f -", 0, "1 convolutions, 1 compiled in "},
        {"printf '" SMALL "\\n\\357\\273\\277" SMALL "\\n' | kiln compile -f -", 2, "standard input:2: "},
        {"kiln compile " SMALL " 'conv ic2 iw8 oc3 kw3 bf16 nhwc'", 0,
         "skip conv ic2 iw8 oc3 kw3 bf16 nhwc: "},
        {"kiln compile " SMALL " --isa sse2", 0, " | sse2\n1 convolutions, 1 compiled"},
        {"kiln cpu --target aarch64", 0, "neon"},
    };
    EXPECT(cases);
}

/* Files named after their plans. */
Test(cli, dump_out)
{
    static const struct expected cases[] = {
        {"kiln dump " SMALL " --schedule " PLAIN " --isa sse2 --asm --out d", 0,
         "d/conv_n1_ic2_iw8_oc3_kw3_f32_nhwc.direct_ow=6.sse2.s\n"},
        {"ls d | wc -l", 0, "1\n"},
        {"kiln dump " SMALL " --schedule " PLAIN " --isa sse2 --asm | diff - d/*", 0, ""},
        {"kiln dump " SMALL " --schedule " PLAIN " --isa sse2 --out all | wc -l && ls all", 0,
         "5\nconv_n1_ic2_iw8_oc3_kw3_f32_nhwc.direct_ow=6.sse2.img\n"},
        {"for k in ir:ll ir-opt:opt.ll asm:s obj:o image:img; do "
         "kiln dump " SMALL " --schedule " PLAIN
         " --isa sse2 --${k%:*} -o one && cmp one all/*.sse2.${k#*:} || exit 1; done",
         0, ""},
        {"kiln dump -f good.txt '" SMALL " +clip(-1,6)' --obj --out d && ls d | wc -l", 0, "_+clip_-1_6_."},
        {"kiln dump -f good.txt " SMALL " --schedule 'fry ow=1' --out d", 2, "fry"},
        /* Names too long for a file system are cut, and differ all the same. */
        {"for i in 1 2; do kiln dump \"" SMALL "$(printf ' +clip(-123.45678,%d.234567)' 1 2 3 4 5 6 7 $i)\" "
         "--image --out long; done && ls long | awk '{ print length }'",
         0, "204\n204\n"},
        {"ls long | grep -cE '^conv_n1.*-[0-9a-f]{16}[.]img$'", 0, "2\n"},
        {"kiln dump --out d", 2, "dump needs a convolution"},
        {"kiln dump " SMALL " --out d -o x", 2, "-o and --out exclude each other"},
        {"kiln dump " SMALL " --out /nowhere/d", 2, "--out: cannot make '/nowhere/d': No such file"},
        {"kiln dump " SMALL " --out /dev/null", 2, "cannot write /dev/null/conv_"},
        {"kiln dump " SMALL " --out ''", 2, "--out: cannot make ''"},
    };
    EXPECT(cases);
}
