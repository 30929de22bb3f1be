/* kiln tune and kiln wisdom from outside, and kiln_tune where only a caller can reach. No time is asserted:
 * what was found is, and what became of it. */
#include "shell.h"

#include "api.h"

#include <sched.h>
#include <time.h>
#include <unistd.h>

static char folder[] = "/tmp/kiln-tune-XXXXXX";

/* Six convolutions, two of them twice. */
static const char list[] = "conv ic8 iw8 oc8 kw3 f32 nhwc\n"
                           "conv ic8 iw9 oc8 kw3 f32 nhwc # behind\n"
                           "conv iw8 ic8 oc8 kw3 f32 nhwc\n"
                           "conv ic8 iw10 oc8 kw3 f32 nhwc\n"
                           "conv ic8 iw11 oc8 kw3 f32 nhwc\n"
                           "conv ic8 iw9 oc8 kw3 f32 nhwc\n"
                           "conv ic8 iw12 oc8 kw3 f32 nhwc\n"
                           "conv ic8 iw13 oc8 kw3 f32 nhwc\n";

static void folder_make(void)
{
    folder_enter(folder);
    unsetenv("KILN_WISDOM");
    file_put("list", list);
}

static void folder_remove(void) { folder_leave(folder); }

TestSuite(tune, .init = folder_make, .fini = folder_remove, .timeout = 300);

#define TUNE "kiln tune --noisy --time 0.2 "
#define ONE "conv n1 ic8 iw8 oc8 kw3 f32 nhwc"
#define LINE(schedule, comment) ONE " | " schedule " | sse2" comment "\n"

Test(tune, bad_usage)
{
    file_put("no-line", "conv ic2 iw8");
    static const struct expected cases[] = {
        {"kiln tune", 2, "tune needs a convolution"},
        {"kiln tune " ONE " --shard 0/2", 2, "--shard is '0/2'"},
        {"kiln tune " ONE " --shard 3/2", 2, "--shard is '3/2'"},
        {"kiln tune " ONE " --shard 1/2x", 2, "--shard is '1/2x'"},
        {"kiln tune " ONE " --shard 1", 2, "--shard is '1'"},
        {"kiln tune " ONE " --shard ' 1/2'", 2, "--shard is ' 1/2'"},
        {"kiln tune " ONE " --shard 4294967297/2", 2, "--shard is '4294967297/2'"},
        {"kiln tune " ONE " --shard 1/18446744073709551617", 2, "i from 1 to n and n at most 1000000"},
        {"kiln tune " ONE " --effort most", 2, "--effort is 'most'; it is measure or exhaustive"},
        {"kiln tune " ONE " --time 0", 2, "--time is '0'"},
        {"kiln tune " ONE " --time 1e9", 2,
         "--time is '1e9'; it must be a number of seconds above 0, at most 1"},
        {"kiln tune " ONE " --threads 0", 2, "--threads is '0'"},
        {"kiln tune " ONE " --threads 1025", 2, "--threads is '1025'"},
        {"kiln tune " ONE " --threads 1,x", 2, "--threads is '1,x'"},
        {"kiln tune " ONE " --threads 1,", 2, "--threads is '1,'"},
        {"kiln tune " ONE " --threads 1x", 2, "--threads is '1x'"},
        {"kiln tune " ONE " --threads ,1", 2, "--threads is ',1'"},
        {"kiln tune " ONE " --threads '1 2'", 2, "numbers from 1 to 1024 with commas between"},
        {"kiln tune " ONE " --threads 99999999999999999999", 2, "--threads is '999"},
        {"kiln tune " ONE " --threads $(seq -s, 65)", 2, "it is at most 64 numbers"},
        {"kiln tune " ONE " --total -1", 2, "--total is '-1'"},
        {"kiln tune " ONE " --wisdom nowhere/w", 2, "cannot write nowhere/w: No such"},
        {"kiln tune " ONE " --wisdom ''", 2, "--wisdom: the name of the file is empty"},
        {"kiln tune " ONE " --isa fry", 2, "kiln: isa is \"fry\""},
        {"kiln tune '" ONE " | direct | fry'", 2, "FAILED: " ONE ": isa is \"fry\""},
        {"kiln tune " ONE " --wisdom .", 2, "cannot write .: Is a directory"},
        {"kiln wisdom", 2, "wisdom is merge, list or check;"},
        {"kiln wisdom fry", 2, "wisdom is merge, list or check, not 'fry';"},
        {"kiln wisdom merge", 2, "wisdom merge needs a FILE"},
        {"kiln wisdom merge nowhere", 2, "it cannot be read: No such"},
        {"kiln wisdom merge -o", 2, "requires an argument"},
        {"kiln wisdom merge -o a -o b list", 2, "-o is given twice"},
        {"kiln wisdom merge -x list", 2, "unrecognized option '-x'"},
        {"kiln wisdom list list -o a", 2, "-o is for merge only"},
        {"kiln wisdom --help", 0, "EXIT STATUS"},
        {"kiln wisdom merge --help", 0, "EXIT STATUS"},
        {"KILN_WISDOM=nowhere kiln explain " ONE, 2, "KILN_WISDOM is \"nowhere\": it cannot be read"},
    };
    EXPECT(cases);
}

Test(tune, finds_keeps_and_uses)
{
    static const struct expected cases[] = {
        {TUNE ONE " --wisdom w", 0, "# 1 tuned, 0 known, 0 skipped, 0 failed, 0 left"},
        {"cat w", 0, " us estimate="},
        {"cat w", 0, " threads=1 20"},
        {TUNE ONE " --wisdom w", 0, "# 0 tuned, 1 known,"},
        {"KILN_WISDOM=w " TUNE ONE, 0, "# 0 tuned, 1 known,"},
        {TUNE ONE " --wisdom w --again", 0, "# 1 tuned, 0 known,"},
        {TUNE ONE " --wisdom w --isa sse2", 0, "# 1 tuned, 0 known,"},
        {TUNE ONE " --wisdom w --isa sse2 --effort exhaustive --again", 0, "# 1 tuned, 0 known,"},
        {"wc -l <w", 0, "4"},
        {"kiln wisdom check w", 0, "2 passed, 0 failed, 0 skipped"},
        {"kiln wisdom list w", 0, " us     1  " ONE " | "},
        {"KILN_WISDOM=w kiln explain " ONE, 0, "wisdom     this schedule: "},
        {TUNE ONE " --wisdom w --report", 0, "all          1 convs: estimate / best geomean "},
        {TUNE ONE " 'conv ic2 id2 ih2 iw2 oc2 kd2 kh2 kw2 f32 nhwc'", 0, "# 1 tuned, 0 known, 1 skipped"},
        {"kiln tune 'conv ic2 id2 ih2 iw2 oc2 kd2 kh2 kw2 f32 nhwc'", 0, "# skipped: conv n1 ic2 id2"},
        {TUNE "-f list --total 0.000001", 0, " left"},
    };
    EXPECT(cases);
}

/* A line for each number of threads, */
Test(tune, several_numbers_of_threads)
{
    cpu_set_t all;
    static const struct expected cases[] = {
        {TUNE ONE " --threads 1,2,1 --wisdom w", 0, "# 2 tuned, 0 known, 0 skipped, 0 failed, 0 left"},
        {"grep -c 'threads=1 ' w", 0, "1\n"},
        {"grep -c 'threads=2 ' w", 0, "1\n"},
        {TUNE ONE " --threads 2,1 --wisdom w", 0, "# 0 tuned, 2 known, 0 skipped, 0 failed, 0 left"},
        {TUNE ONE " --threads 1,2 --wisdom w --report", 0, "# threads=2\nratio "},
        {TUNE "-f list --threads 1,2 --total 0.000001", 0, " left"},
    };
    if (sched_getaffinity(0, sizeof all, &all) || CPU_COUNT(&all) < 2)
        cr_skip("one processor runs one thread");
    EXPECT(cases);
}

/* but of no more than there are processors. */
Test(tune, more_threads_than_processors)
{
    cpu_set_t one;
    static const struct expected cases[] = {
        {TUNE ONE " --threads 2,1 --wisdom w", 0, "as processors that this process may use, 1"},
        {TUNE ONE " --threads 2,1 --wisdom w", 0, "# 0 tuned, 1 known, 0 skipped, 0 failed, 0 left"},
        {"cat w | wc -l", 0, "1\n"},
        {"cat w", 0, " threads=1 20"},
    };
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    cr_assert_eq(sched_setaffinity(0, sizeof one, &one), 0);
    EXPECT(cases);
}

/* The parts of a list hold each convolution once, all together. */
Test(tune, shards_are_the_whole)
{
    static const struct expected cases[] = {
        {"for i in 1 2 3 4; do " TUNE "-f list --wisdom part$i --shard $i/4 || exit 1; done", 0, "# 2 tuned"},
        {"cat part? | sed 's/ |.*//' | sort | uniq -d | wc -l", 0, "0\n"},
        {"cat part? | sed 's/ |.*//' | sort | wc -l", 0, "6\n"},
        {"kiln wisdom merge part? -o all && wc -l <all", 0, "6\n"},
        {TUNE "-f list --wisdom all", 0, "# 0 tuned, 6 known, 0 skipped, 0 failed, 0 left"},
    };
    EXPECT(cases);
}

/* Killed when the first line is there, and that or a later one cut: the rest is done by the next run. */
Test(tune, goes_on_after_an_interruption)
{
    static const struct expected cases[] = {
        {"(exec \"$KILN\" tune --noisy --effort exhaustive -f list --wisdom w) & "
         "while ! [ -s w ]; do sleep 0.01; done; kill -9 $!; wait $!; kiln wisdom check w",
         0, " passed, 0 failed"},
        {"printf 'conv n1 ic8 iw9 oc' >>w", 0, ""},
        {TUNE "-f list --wisdom w", 0, "0 skipped, 0 failed, 0 left"},
        {TUNE "-f list --wisdom w", 0, "# 0 tuned, 6 known"},
        {"kiln wisdom merge w | wc -l", 0, "6\n"},
        {"kiln wisdom check w", 1, "1 failed"},
    };
    EXPECT(cases);
}

Test(tune, files_are_merged_and_checked)
{
    file_put("a", "# two lines of one key\n" LINE("direct ow=2", " # 3 us") LINE("direct ow=3", " # 2 us"));
    file_put("b", LINE("direct", " # 1 us") "junk \x01\n" LINE("direct ow=5", " # 4 us threads=2"));
    file_put("refused", LINE("direct ow=33", "") LINE("frob", " # threads=2") ONE " | direct | neon\n");
    static const struct expected cases[] = {
        {"kiln wisdom merge a b 2>/dev/null", 0,
         LINE("direct", "  # 1 us") LINE("direct ow=5", "  # 4 us threads=2")},
        {"kiln wisdom merge b a 2>/dev/null", 0,
         LINE("direct", "  # 1 us") LINE("direct ow=5", "  # 4 us threads=2")},
        {"kiln wisdom merge a b >/dev/null", 0, "kiln: b: line 2 is passed over: it holds a control byte"},
        {"kiln wisdom merge a b -o a 2>/dev/null && wc -l <a", 0, "2\n"},
        {"kiln wisdom check b", 1, "2 passed, 1 failed, 0 skipped"},
        {"kiln wisdom check refused", 1, "0 passed, 2 failed, 1 skipped"},
        {"kiln wisdom check refused", 1, "'frob' is not an algorithm"},
        {"KILN_WISDOM=refused KILN_DEBUG=wisdom kiln check --isa sse2 " ONE, 0,
         "passed over: schedule: ow=33"},
        {"KILN_WISDOM=b kiln explain --isa sse2 " ONE, 0, ONE " | direct | sse2\n"},
    };
    EXPECT(cases);
}

/* ---- the function ---- */

static struct kiln *context_real(struct kiln_config config)
{
    struct kiln *k = NULL;
    config.size = sizeof config, config.cache = KILN_CACHE_OFF;
    WORKS(kiln_create(&k, &config, &error));
    return k;
}

Test(tune, refuses)
{
    struct kiln *k = context_real((struct kiln_config){0});
    struct kiln_conv c = conv_of(ONE), bad = c;
    struct kiln_tuned tuned = {.us = -1};
    bad.ic = 0;
    static const struct {
        struct kiln_options o;
        struct kiln_tuning t;
        const char *why;
    } rows[] = {
        {{.size = 1}, {.size = sizeof(struct kiln_tuning)}, "size is 1"},
        {{.size = sizeof(struct kiln_options)}, {.size = 1}, "struct kiln_tuning"},
        {{.size = sizeof(struct kiln_options), .effort = KILN_EFFORT_WISDOM_ONLY},
         {.size = sizeof(struct kiln_tuning)},
         "effort is 1"},
        {{.size = sizeof(struct kiln_options), .schedule = "direct"},
         {.size = sizeof(struct kiln_tuning)},
         "schedule is given"},
        {{.size = sizeof(struct kiln_options), .target = "aarch64"},
         {.size = sizeof(struct kiln_tuning)},
         "target is given"},
        {{.size = sizeof(struct kiln_options), .isa = "frob"}, {.size = sizeof(struct kiln_tuning)}, "frob"},
        {{.size = sizeof(struct kiln_options)},
         {.size = sizeof(struct kiln_tuning), .seconds = -1},
         "seconds is -1: must be"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        REFUSES(kiln_tune(k, &c, &rows[i].o, &rows[i].t, &tuned, &error), KILN_STATUS_INVALID, rows[i].why);
    REFUSES(kiln_tune(NULL, &c, NULL, NULL, &tuned, &error), KILN_STATUS_INVALID, "k is NULL");
    REFUSES(kiln_tune(k, NULL, NULL, NULL, &tuned, &error), KILN_STATUS_INVALID, "conv is NULL");
    REFUSES(kiln_tune(k, &bad, NULL, NULL, &tuned, &error), KILN_STATUS_INVALID, "ic is 0");
    cr_assert(tuned.us < 0, "a failure changed its output");
    kiln_destroy(k);
}

/* Four calls take long, then four do not, each of which is long enough to be timed alone: of one plan and its
 * twin, timed behind three calls that warm up, one is always slow. Each sleep takes longer on a busy machine:
 * there are so many more in the slow ones that no rest of the machine's makes up for them. */
static void unsteady(void *user, size_t count, void (*work)(void *arg, size_t i), void *arg)
{
    unsigned *calls = user;
    bool slow = (*calls)++ / 4 % 2;
    for (size_t i = 0; i < count; i++) work(arg, i);
    for (int i = 0; i < (slow ? 120 : 6); i++) nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
}

Test(tune, a_noisy_machine_is_refused)
{
    unsigned calls = 0;
    struct kiln_config config = {.threads = 2, .parallel = unsteady, .parallel_user = &calls};
    struct kiln *k = context_real(config);
    struct kiln_conv c = conv_of("conv ic64 ih28 iw28 oc64 kh3 kw3 ph1 pw1 f32 nhwc");
    struct kiln_options o = {.size = sizeof o, .effort = KILN_EFFORT_ESTIMATE};
    struct kiln_tuning t = {.size = sizeof t, .seconds = 0.1};
    struct kiln_tuned tuned;
    struct said text = {0};
    REFUSES(kiln_tune(k, &c, &o, &t, &tuned, &error), KILN_STATUS_SYSTEM, "the machine is too noisy");
    WORKS(kiln_wisdom_export(k, say, &text, &error));
    cr_assert_eq(text.length, 0, "%s", text.text);
    t.noisy = true;
    WORKS(kiln_tune(k, &c, &o, &t, &tuned, &error));
    cr_assert_gt(tuned.noise, 0.03);
    WORKS(kiln_wisdom_export(k, say, &text, &error));
    cr_assert(strstr(text.text, "threads=2"), "%s", text.text);
    kiln_destroy(k);
}

/* Nothing is timed where it is known, and what is found is known from then on. */
Test(tune, what_is_known)
{
    struct kiln *k = context_real((struct kiln_config){.isa = "sse2"});
    struct kiln_conv c = conv_of(ONE);
    struct kiln_options o = {.size = sizeof o, .effort = KILN_EFFORT_WISDOM_ONLY};
    struct kiln_tuning t = {.size = sizeof t, .noisy = true, .seconds = 0.2};
    struct kiln_tuned tuned;
    struct kiln_plan *plan;
    static const char slow[] = LINE("direct", " # 0.5 us"), refused[] = LINE("direct ow=33", " # 0.5 us");
    WORKS(kiln_wisdom_import(k, refused, strlen(refused), &error));
    WORKS(kiln_tune(k, &c, NULL, &t, &tuned, &error));
    cr_assert_not(tuned.known, "a plan that is refused is not known");
    kiln_destroy(k);
    k = context_real((struct kiln_config){.isa = "sse2"});
    WORKS(kiln_wisdom_import(k, slow, strlen(slow), &error));
    WORKS(kiln_tune(k, &c, NULL, &t, &tuned, &error));
    cr_assert(tuned.known);
    cr_assert_str_eq(tuned.line, ONE " | direct | sse2  # 0.5 us");
    cr_assert_eq(tuned.tried, 0);
    t.again = true;
    WORKS(kiln_tune(k, &c, NULL, &t, &tuned, &error));
    cr_assert_not(tuned.known);
    cr_assert_gt(tuned.tried, 0);
    WORKS(kiln_compile(k, &c, &o, &plan, &error));
    kiln_plan_release(plan);
    kiln_destroy(k);
}
