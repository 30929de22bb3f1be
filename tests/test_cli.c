/* The program from outside: for lines of arguments, its exit status and what it says. KILN is its path. */
#include "cli/npy.c"
#include "cli/output.c"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <sys/wait.h>

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

static void file_put(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");
    cr_assert(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void array_put(const char *name, int rank, int64_t a, int64_t b, int64_t c, int64_t d)
{
    float data[] = {1, 2, 3, 4, 5, 6, 7, 8};
    const struct npy npy = {rank, {a, b, c, d}, data};
    cr_assert(npy_write(&npy, name));
}

/* Tests run inside the folder, with the example's tensors at $CHAIN. */
static void folder_make(void)
{
    cr_assert(getenv("KILN"), "KILN must be the path of the program");
    cr_assert(mkdtemp(folder) && chdir(folder) == 0);
    setenv("CHAIN", SOURCE_DIR "/examples/chain", 1);
    file_put("good.txt",
             "# a comment\n\nconv ic2 iw8 oc3 kw3 f32 nhwc # behind\n  mb1ic8ih7oc8oh7kh3ph1 \t\n");
    file_put("bad.txt", "conv ic2 iw8 oc3 kw3 f32 nhwc\nconv ic2 iw8 oc3 kw9 f32 nhwc\n");
    file_put("old", "old");
    array_put("x3.npy", 3, 1, 4, 1, 0);
    array_put("x4.npy", 4, 1, 1, 4, 1);
    array_put("w3.npy", 3, 1, 1, 2, 0);
    array_put("w4.npy", 4, 1, 1, 1, 2);
    array_put("one.npy", 1, 1, 0, 0, 0);
    array_put("two.npy", 1, 2, 0, 0, 0);
}

static void folder_remove(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(cli, .init = folder_make, .fini = folder_remove, .timeout = 300);

/* ---- running ---- */

/* What the last command wrote, to standard output and standard error together. */
static char wrote[1 << 16];

/* Runs a line of shell, in which `kiln` is the program; returns its exit status. */
static int shell(const char *line)
{
    char command[2048];
    snprintf(command, sizeof command, "kiln() { \"$KILN\" \"$@\"; }; { %s ; } 2>&1", line);
    FILE *pipe = popen(command, "r");
    cr_assert(pipe);
    size_t length = fread(wrote, 1, sizeof wrote - 1, pipe);
    wrote[length] = '\0';
    int status = pclose(pipe);
    cr_assert(WIFEXITED(status), "%s was killed", line);
    return WEXITSTATUS(status);
}

struct expected {
    const char *line;
    int status;
    const char *says; /* a part of it */
};

static void expect(const struct expected *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int status = shell(cases[i].line);
        cr_expect_eq(status, cases[i].status, "%s: exit %d, not %d:\n%s", cases[i].line, status,
                     cases[i].status, wrote);
        cr_expect(strstr(wrote, cases[i].says), "%s: no \"%s\" in:\n%s", cases[i].line, cases[i].says, wrote);
    }
}

#define EXPECT(cases) expect(cases, sizeof cases / sizeof *cases)

#define LAYER1 "conv ic2 ih4 iw4 oc4 kh2 kw2 sh2 sw2 f32 nchw"
#define SMALL "conv ic2 iw8 oc3 kw3 f32 nhwc"
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
        {"kiln explain", 2, "explain needs a convolution"},
        {"kiln dump --ir", 2, "dump needs a convolution"},
        {"kiln cpu " SMALL, 2, "cpu takes no convolution"},
        {"kiln explain '" SMALL "' '" SMALL "'", 2, "explain takes one convolution, not 2"},
        {"kiln run --fry", 2, "unrecognized option '--fry'"},
        {"kiln check -x", 2, "invalid option -- 'x'"},
        {"kiln check --full=yes " SMALL, 2, "doesn't allow an argument"},
        {"kiln check -f", 2, "requires an argument"},
        {"kiln check -f nowhere.txt", 2, "cannot open nowhere.txt: No such file"},
        {"kiln check -f .", 2, "cannot read ."},
        {"kiln check -f bad.txt", 2, "bad.txt:2: "},
        {"kiln check conv ic2 iw8", 2, "kiln: "},
        {"kiln check fry", 2, "kiln: "},
        {"kiln check '" SMALL " nonsense'", 2, "nonsense"},
        {"kiln check " SMALL " --isa", 2, "requires an argument"},
        {"kiln check " SMALL " --isa ,", 2, "--isa is ','"},
        {"kiln check " SMALL " --isa fry", 2, "fry"},
        {"kiln check " SMALL " --layout nhcw", 2, "--layout has 'nhcw'"},
        {"kiln check " SMALL " --layout nhwc,,nchw", 2, "--layout is 'nhwc,,nchw'"},
        {"kiln check " SMALL " --threads 0", 2, "--threads is '0'; it must be a number from 1 to 1024"},
        {"kiln check " SMALL " --threads 9999999999999999999", 2, "--threads is"},
        {"kiln check " SMALL " --threads two", 2, "--threads is 'two'"},
        {"kiln check " SMALL " --budget 1x", 2, "--budget is '1x'"},
        {"kiln dump " SMALL, 2, "say what to dump"},
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

/* ---- good usage ---- */

Test(cli, help)
{
    static const struct expected cases[] = {
        {"kiln help", 0, "explain"},
        {"kiln --help", 0, "usage: kiln COMMAND"},
        {"kiln --version", 0, "kiln 0."},
        {"kiln help run", 0, "--prelu FILE"},
        {"kiln run --help", 0, "EXIT STATUS"},
        {"kiln check --help", 0, "N passed, N failed, N skipped"},
        {"kiln explain --help", 0, "--at POSITION"},
        {"kiln dump --help", 0, "--ir-opt"},
        {"kiln bench --help", 0, "bench"},
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
        {"kiln check '" SMALL " +sigmoid'", 0, "+sigmoid"},
        {"kiln check '" SMALL " | fry ow=3'", 1, "\n0 passed, 1 failed, 0 skipped\n"},
        {"kiln check " SMALL " --schedule 'fry ow=3'", 1, "FAIL"},
        {"kiln check 'conv ic3 iw70 oc5 kw3 fast f32 nhwc' --threads 3", 0, "1 passed"},
        {"kiln check '" SMALL " +clip(-0.5,0.25) +bias'", 0, "bound"},
        {"kiln check '" SMALL " +bias +clip(-0.5,0.25)'", 0, "exact"},
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
        {"kiln dump " SMALL " --asm -o - && ls ./-", 0, "-"},
        {"kiln cpu", 0, "isa"},
        {"kiln cpu --target aarch64", 0, "neon"},
    };
    EXPECT(cases);
}
