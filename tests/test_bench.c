/* bench: its arithmetic from inside; from outside, with a peer whose answers are known, what it says and
 * with which status it exits. KILN is the path of the program. */
#include "cli/bench_crew.c"
#include "cli/bench_time.c"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

void *fill_memory(size_t bytes) { return malloc(bytes); }

Test(bench, quantile)
{
    double values[] = {5, 1, 4, 2, 3};
    cr_assert_eq(quantile(values, 5, 0.5), 3);
    cr_assert_eq(quantile(values, 5, 0), 1);
    cr_assert_eq(quantile(values, 5, 1), 5);
    cr_assert_eq(quantile(values, 5, 0.95), 5);
    cr_assert_eq(quantile(values, 1, 0.5), 1);
    cr_assert_eq(quantile(values, 0, 0.5), 0);
}

static void run_slow(void *state)
{
    ++*(int *)state;
    double end = now_us() + 300;
    while (now_us() < end) continue;
}

static void run_fast(void *state) { ++*(int *)state; }

Test(bench, race)
{
    int slow = 0, fast = 0;
    struct contender both[] = {{.run = run_slow, .state = &slow}, {.run = run_fast, .state = &fast}};
    double share = contenders_race(both, 2, 0, false);
    cr_assert(share > 0 && share <= 1);
    cr_assert_geq(both[0].us, 300);
    cr_assert_lt(both[1].us, 20);
    cr_assert_geq(slow, 2 * SAMPLES_MIN);
    cr_assert_geq(fast, 100 * SAMPLES_MIN, "short calls are timed in batches");
}

static void count_work(void *arg, int i) { ++((int *)arg)[i]; }

Test(bench, crew)
{
    int worked[5] = {0};
    struct kiln_error error;
    struct crew *crew = crew_make(4, count_work, worked, &error);
    cr_assert(crew);
    for (int run = 1; run <= 3; run++) {
        crew_run(crew);
        for (int i = 0; i < 4; i++) cr_expect_eq(worked[i], run, "thread %d, run %d: %d", i, run, worked[i]);
        usleep(run * 1000); /* so that they sleep, once */
    }
    crew_free(crew);
    crew_free(NULL);
    cr_assert_eq(worked[4], 0);
}

/* Runs `kiln bench ARGUMENTS`, for a short time if they say none, and keeps what it writes. */
static int run_bench(const char *arguments, char *said, size_t room)
{
    char command[1024];
    const char *time = strstr(arguments, "--min-time") ? "" : "--min-time 0.001";
    snprintf(command, sizeof command, "\"$KILN\" bench %s %s 2>&1", time, arguments);
    FILE *pipe = popen(command, "r");
    cr_assert(pipe);
    size_t length = fread(said, 1, room - 1, pipe);
    said[length] = 0;
    int status = pclose(pipe);
    cr_assert(WIFEXITED(status), "%s ended by a signal", command);
    return WEXITSTATUS(status);
}

#define NHWC "'conv ic3 ih6 iw7 oc5 kh3 kw3 ph1 f32 nhwc +bias +relu' "
#define NCHW "'conv ic3 ih6 iw7 oc5 kh3 kw3 ph1 f32 nchw +bias +add' "

struct expected {
    const char *arguments;
    int status;
    const char *says[6]; /* each must be there */
};

static const struct expected cases[] = {
    {NHWC, 0, {"schedule", "n1 ic3 ih6 iw7 oc5", "command line", "direct"}},
    {NHWC "--peers fake", 0, {"fake:right", "ratio"}},
    {NCHW "--peers fake",
     1,
     {"fake:wrong", "fake:wrong: outputs differ", "fake:nan: outputs differ by inf", "it \"refuses\""}},
    {NHWC "--layout nchw --peers fake", 1, {"fake:wrong", " nchw "}},
    {NHWC "--json",
     0,
     {"{\"conv\": \"conv n1 ic3", "\"layout\": \"nhwc\", \"threads\": 1", "\"plan\": \"conv n1"}},
    {NHWC "--json --peers fake",
     0,
     {"\"peak_gflops\": ", "\"core_share\": ", "\"peer\": \"fake:right\"",
      "\"peer_us\": ", "\"ratio\": ", "\"call_overhead_ns\": "}},
    {NCHW "--json --peers fake",
     1,
     {"\"peer\": \"fake:refuses\", \"error\": \"it \\\"refuses\\\"\"}", "differ by inf"}},
    {"'conv ic3 iw7 oc5 kw3 bf16' " NHWC, 0, {"skipped: ", "n1 ic3 ih6"}},
    {"'conv ic3 iw7 oc5 kw3 bf16' --json", 0, {"\"error\": \""}},
    {NHWC "--schedule nonsense", 2, {"invalid: "}},
    {NHWC "--peers nobody", 2, {"kiln-peer-nobody.so"}},
    {NHWC "--peers ../fake", 2, {"'../fake'"}},
    {NHWC "--layout nwhc", 2, {"nwhc"}},
    {NHWC "--layout nhwc,nchw", 2, {"'nhwc,nchw' is neither nchw nor nhwc; bench takes one of them"}},
    {NHWC "--isa all", 2, {"isa is \"all\": must be one of "}},
    {NHWC "--min-time 0", 2, {"--min-time: '0'"}},
    {NHWC "--min-time 1s", 2, {"'1s'"}},
    {"", 2, {"no convolution given"}},
    {"-f /nowhere", 2, {"/nowhere"}},
};

static const struct expected cases_of_two[] = {
    {NHWC "--json --threads 2",
     0,
     {"\"threads\": 2", "\"single_us\": ", "\"speedup\": ", "\"peak_speedup\": "}},
    {NHWC "--threads 2", 0, {"1 thread speedup", "\n2 threads: ", "FMA loop", "FMA peak of one core: "}},
};

static const struct expected cases_of_one[] = {
    {NHWC "--json --threads 2",
     0,
     {"kiln: 2 threads are asked for; as many run as processors that this process may use, 1\n",
      "\"threads\": 1"}},
};

static void expect(const struct expected *expected, size_t count)
{
    cr_assert(getenv("KILN"), "KILN must be the path of the program");
    for (const struct expected *e = expected; e < expected + count; e++) {
        char said[16384];
        int status = run_bench(e->arguments, said, sizeof said);
        cr_expect_eq(status, e->status, "bench %s: status %d\n%s", e->arguments, status, said);
        for (int j = 0; j < 6 && e->says[j]; j++)
            cr_expect(strstr(said, e->says[j]), "bench %s: no '%s' in\n%s", e->arguments, e->says[j], said);
    }
}

#define EXPECT(cases) expect(cases, sizeof cases / sizeof *cases)

Test(bench, from_outside) { EXPECT(cases); }

/* This process, and so those it starts, may use so many processors. */
static int processors(void)
{
    cpu_set_t set;
    cr_assert_eq(sched_getaffinity(0, sizeof set, &set), 0);
    return CPU_COUNT(&set);
}

Test(bench, threads)
{
    if (processors() < 2) cr_skip("one processor runs one thread");
    EXPECT(cases_of_two);
}

Test(bench, threads_on_one_processor)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    cr_assert_eq(sched_setaffinity(0, sizeof one, &one), 0);
    EXPECT(cases_of_one);
}

/* What a peer refuses for the same reason in row after row is said once. */
Test(bench, reasons)
{
    char said[16384];
    cr_assert_eq(run_bench(NCHW NCHW NCHW "--peers fake", said, sizeof said), 1);
    int times = 0;
    for (const char *at = said; (at = strstr(at, "fake:refuses: it")); at++) times++;
    cr_assert_eq(times, 1, "%s", said);
}

/* Where nothing was timed, no number is told. */
Test(bench, nothing_timed)
{
    char said[16384];
    cr_assert_eq(run_bench("'conv ic3 iw7 oc5 kw3 bf16'", said, sizeof said), 0);
    const char *summary = strstr(said, "\nratio = ");
    cr_assert(summary && strstr(summary, " 0        1 "), "%s", said);
    cr_expect(!strstr(summary, "0.0") && !strstr(summary, "FMA peak"), "%s", said);
}

/* Files are summed up one by one, in the order given, and all together. */
Test(bench, families)
{
    char said[16384];
    const char *arguments = NHWC "-f " SOURCE_DIR "/bench/shapes/tiny.txt " NHWC " --isa sse2";
    cr_assert_eq(run_bench(arguments, said, sizeof said), 0, "%s", said);
    const char *summary = strstr(said, "\nratio = ");
    cr_assert(summary, "%s", said);
    const char *first = strstr(summary, "command line"), *file = strstr(summary, "/tiny.txt");
    cr_assert(first && file && first < file && strstr(file, "command line") && strstr(file, "\nall "), "%s",
              said);
}

/* ---- reports ---- */

/* A folder for one test, with a gnuplot that draws without looking, in `bin`. */
struct folder {
    char path[64];
};

static void in_folder(const struct folder *f, const char *command, int wanted)
{
    char whole[1024];
    snprintf(whole, sizeof whole, "cd %s && %s", f->path, command);
    int status = system(whole);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == wanted, "'%s': status %d", whole, status);
}

static struct folder folder_make(void)
{
    struct folder f = {"/tmp/kiln-bench-XXXXXX"};
    cr_assert(mkdtemp(f.path));
    in_folder(&f,
              "mkdir bin none && printf '#!/bin/sh\\n[ \"$1\" = -d ] && "
              "echo \"<svg/>\" >\"${2%%.gp}.svg\"\\n' >bin/gnuplot && chmod +x bin/gnuplot",
              0);
    return f;
}

static void folder_remove(const struct folder *f) { in_folder(f, "rm -r \"$PWD\"", 0); }

#define REPORT "PATH=$PWD/bin:$PATH \"$KILN\" bench --min-time 0.001 " NHWC "--peers fake --report "

Test(bench, report)
{
    struct folder f = folder_make();
    in_folder(&f, REPORT "new >said", 0);
    in_folder(&f, "grep -q fake:right said", 0);
    in_folder(&f, "grep -q '^command line.3→5 3×3 @6×7.small.*conv n1 ic3 ' new/shapes.tsv", 0);
    in_folder(&f, "grep -q '^family.convs.fake.fake_least.fake_most$' new/families.tsv", 0);
    in_folder(&f, "grep -q '^peers = \"fake\"$' new/ratios.gp && grep -q '^shapes = 1$' new/ratios.gp", 0);
    /* all three pictures are in the page */
    in_folder(&f, "[ $(grep -c base64,PHN2Zy8+Cg== new/index.html) = 3 ]", 0);
    in_folder(&f, "tail -1 new/index.html | grep -q '</html>'", 0);
    /* a second report replaces it; what is not a report's stays */
    in_folder(&f, "touch new/mine && " REPORT "new --json >said && [ -e new/mine ]", 0);
    in_folder(&f, "! grep -qv '^{' said", 0);
    folder_remove(&f);
}

/* Without peers there is nothing to compare, and what an earlier report compared is gone. */
Test(bench, report_alone)
{
    struct folder f = folder_make();
    in_folder(&f, REPORT "new >said && PATH=$PWD/bin:$PATH \"$KILN\" bench " NHWC "--report new >said", 0);
    in_folder(&f, "[ -e new/roofline.svg ] && [ ! -e new/ratios.svg ] && [ ! -e new/peers.gp ]", 0);
    in_folder(&f, "[ $(grep -c base64, new/index.html) = 1 ]", 0);
    folder_remove(&f);
}

/* The data stay where there is no gnuplot. */
Test(bench, report_without_gnuplot)
{
    struct folder f = folder_make();
    in_folder(&f, "PATH=$PWD/none \"$KILN\" bench --min-time 0.001 " NHWC "--report new >said 2>&1", 1);
    in_folder(&f, "grep -q 'gnuplot-nox.*new' said && [ -s new/shapes.tsv ] && [ -s new/roofline.gp ]", 0);
    in_folder(&f, "grep -q '</html>' new/index.html && ! grep -q base64 new/index.html", 0);
    folder_remove(&f);
}

Test(bench, report_refused)
{
    struct folder f = folder_make();
    in_folder(&f, REPORT ". 2>said", 2);
    in_folder(&f, "grep -q \"'.' holds other files\" said && [ ! -e index.html ]", 0);
    in_folder(&f, REPORT "said 2>said2", 2);
    in_folder(&f, "grep -q \"'said' is there\" said2", 0);
    in_folder(&f, REPORT "no/where 2>said", 2);
    in_folder(&f, "grep -q \"'no/where' No such file\" said", 0);
    in_folder(&f, REPORT "'' 2>said", 2);
    in_folder(&f, "grep -q 'is empty' said", 0);
    folder_remove(&f);
}
