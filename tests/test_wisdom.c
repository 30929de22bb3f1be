/* Wisdom: what of a text is read, which line of several counts, and what is compiled with it. */
#include "api.h"

#include <stdio.h>
#include <unistd.h>

#include "conv.h"
#include "wisdom.h"

TestSuite(wisdom);

#define OTHER "conv n1 ic2 iw5 oc2 kw1 f32 nhwc"

/* ---- lines ---- */

/* What was told while a text was read, a line for each. */
static void told(void *user, const char *sentence)
{
    say(user, sentence, strlen(sentence));
    say(user, "\n", 1);
}

struct row {
    const char *text;
    const char *kept; /* what is written again */
    const char *why;  /* a part of what is told, or NULL: nothing is */
};

static void row_try(const struct row *row)
{
    struct said why = {0}, kept = {0};
    struct wisdom *w = wisdom_new();
    cr_assert(w);
    WORKS(wisdom_read(w, row->text, strlen(row->text), told, &why, &error));
    wisdom_write(w, say, &kept);
    wisdom_free(w);
    cr_expect_str_eq(kept.text, row->kept, "%s: kept \"%s\"", row->text, kept.text);
    if (row->why)
        cr_expect(strstr(why.text, row->why), "%s: told \"%s\"", row->text, why.text);
    else
        cr_expect_str_eq(why.text, "", "%s: told \"%s\"", row->text, why.text);
}

#define FORM "has not the form \"conv | schedule | isa\""

Test(wisdom, lines)
{
    static const struct row rows[] = {
        {"", "", NULL},
        {"\n\n  \r\n\t\n", "", NULL},
        {"# nothing\n   # but comments", "", NULL},
        {SMALL " | a ow=1 | avx2", SMALL " | a ow=1 | avx2\n", NULL},
        {"  " SMALL "|a|avx2#12.5 us threads=2  \r\n", SMALL " | a | avx2  # 12.5 us threads=2\n", NULL},
        {"conv kw1 oc2 iw4 ic2 | a | avx2", SMALL " | a | avx2\n", NULL},
        {SMALL " | a | vnni # 1 us", SMALL " | a | avx512  # 1 us\n", NULL},
        {SMALL " | a | neon # 1 us", SMALL " | a | neon  # 1 us\n", NULL},
        {SMALL " | a | avx2 # 1 us\nnonsense\n" OTHER " | b | avx2 # 2 us",
         SMALL " | a | avx2  # 1 us\n" OTHER " | b | avx2  # 2 us\n", "line 2 is passed over: "},
        {SMALL, "", FORM},
        {SMALL " | a", "", FORM},
        {SMALL " | | avx2", "", FORM},
        {SMALL " | a | ", "", FORM},
        {SMALL " | a | avx2 sse2", "", FORM},
        {SMALL " | a | avx2 | b", "", FORM},
        {SMALL " # | a | avx2", "", FORM},
        {SMALL " | a | mmx", "", "'mmx' is no ISA level"},
        {"conv n1 ic0 iw4 oc2 kw1 | a | avx2", "", "ic is 0"},
        {SMALL " | a\x01 | avx2", "", "a control byte, \\x01"},
        {"\xff\xfe\x80 | \x80 | \x80", "", "line 1 is passed over: "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) row_try(&rows[i]);
}

/* Of each key the least time; what says none, or nonsense, is worth least. */
Test(wisdom, the_best_line_of_a_key_counts)
{
#define A SMALL " | a | avx2"
#define B SMALL " | b | avx2"
    static const struct row rows[] = {
        {A " # 2 us\n" B " # 1 us\n", B "  # 1 us\n", NULL},
        {A " # 1 us\n" B " # 2 us\n", A "  # 1 us\n", NULL},
        {A " # 1 us\n" B " # 1 us\n", A "  # 1 us\n", NULL},
        {A "\n" B " # 9 us\n", B "  # 9 us\n", NULL},
        {A " # 9 us\n" B "\n", A "  # 9 us\n", NULL},
        {A " # 9 us\n" B " # -1 us\n", A "  # 9 us\n", NULL},
        {A " # 9 us\n" B " # 0 us\n", A "  # 9 us\n", NULL},
        {A " # 9 us\n" B " # nan us\n", A "  # 9 us\n", NULL},
        {A " # 9 us\n" B " # 1e99 us\n", A "  # 9 us\n", NULL},
        {A " # 9 us\n" B " # 1 ms\n", A "  # 9 us\n", NULL},
        {A " # 9 us\n" B " # us 1\n", A "  # 9 us\n", NULL},
        {A " # 9 us\n" B " # 2025 1 us\n", B "  # 2025 1 us\n", NULL},
        {A " # 2 us threads=1\n" B " # 1 us threads=4\n", A "  # 2 us threads=1\n" B "  # 1 us threads=4\n",
         NULL},
        {A " # 2 us\n" B " # 1 us threads=0\n", B "  # 1 us threads=0\n", NULL},
        {A " # 2 us\n" SMALL " | b | sse2 # 1 us\n", A "  # 2 us\n" SMALL " | b | sse2  # 1 us\n", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) row_try(&rows[i]);
}

/* Text that is not ours to trust: of any length, without an end, cut anywhere. */
Test(wisdom, long_and_cut_texts)
{
    static const char line[] = SMALL " | a ow=1 | avx2 # 12.5 us threads=2\n";
    struct wisdom *w = wisdom_new();
    struct said why = {0};
    for (size_t cut = 0; cut < sizeof line; cut++) {
        char *copy = malloc(cut + 1); /* of its own, so that a sanitizer sees any byte read behind it */
        memcpy(copy, line, cut);
        WORKS(wisdom_read(w, copy, cut, NULL, NULL, &error));
        free(copy);
    }
    char *large = malloc(1 << 20);
    memset(large, 'x', 1 << 20);
    WORKS(wisdom_read(w, large, 1 << 20, told, &why, &error));
    cr_assert(strstr(why.text, "it has 1048576 bytes, at most 2047 are read"), "%s", why.text);
    memcpy(large, SMALL " | ", strlen(SMALL " | "));
    memcpy(large + 1500, " | avx2", 8);
    why = (struct said){0};
    WORKS(wisdom_read(w, large, 1507, told, &why, &error));
    cr_assert(strstr(why.text, "its schedule has more than 1023 bytes"), "%s", why.text);
    free(large);
    wisdom_free(w);
    wisdom_free(NULL);
}

static bool finds(struct wisdom *w, const char *text, enum isa isa, int threads, struct advice *advice,
                  const char **other)
{
    struct kiln_conv given = conv_of(text), c;
    conv_canonical(&c, &given);
    return wisdom_find(w, &(struct wisdom_key){&c, isa, threads}, advice, other);
}

/* Far more keys than the first table holds: each is found again. */
Test(wisdom, many_keys)
{
    enum { KEYS = 5000 };
    struct wisdom *w = wisdom_new();
    struct advice advice;
    const char *other;
    char text[KILN_TEXT_MAX];
    for (int i = 1; i <= KEYS; i++) {
        int length = snprintf(text, sizeof text, "conv n1 ic1 iw%d oc1 kw1 f32 nhwc | a ow=%d | avx2", i, i);
        WORKS(wisdom_read(w, text, (size_t)length, NULL, NULL, &error));
    }
    for (int i = 1; i <= KEYS + 1; i++) {
        snprintf(text, sizeof text, "conv n1 ic1 iw%d oc1 kw1 f32 nhwc", i);
        cr_assert_eq(finds(w, text, ISA_AVX2, 1, &advice, &other), i <= KEYS);
        snprintf(text, sizeof text, "a ow=%d", i);
        if (i <= KEYS) cr_assert_str_eq(advice.schedule, text);
    }
    wisdom_free(w);
}

Test(wisdom, the_nearest_number_of_threads)
{
    static const struct {
        int threads, found;
    } rows[] = {{1, 1}, {2, 1}, {3, 4}, {4, 4}, {5, 4}, {64, 16}, {1024, 16}};
    static const char text[] =
        SMALL " | t16 | avx2 # 1 us threads=16\n" SMALL " | t1 | avx2 # 9 us threads=1\n" SMALL
              " | t4 | avx2 # 3 us threads=4\n";
    struct wisdom *w = wisdom_new();
    struct advice advice;
    const char *other;
    WORKS(wisdom_read(w, text, strlen(text), NULL, NULL, &error));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char schedule[8];
        snprintf(schedule, sizeof schedule, "t%d", rows[i].found);
        cr_assert(finds(w, SMALL, ISA_AVX2, rows[i].threads, &advice, &other));
        cr_expect_eq(advice.threads, rows[i].found);
        cr_expect_str_eq(advice.schedule, schedule);
    }
    cr_assert_not(finds(w, SMALL, ISA_AVX512, 1, &advice, &other));
    cr_assert_str_eq(other, "avx2");
    cr_assert_not(finds(w, OTHER, ISA_AVX2, 1, &advice, &other));
    cr_assert_null(other);
    wisdom_free(w);
}

/* ---- compiling with it ---- */

/* A log that is kept. */
static void log_keep(void *user, const char *line) { told(user, line); }

static struct kiln *wise_context(const char *text, struct said *log)
{
    struct kiln *k = context_with((struct kiln_config){
        .isa = "sse2", .wisdom = "", .debug = "wisdom", .log = log_keep, .log_user = log});
    WORKS(kiln_wisdom_import(k, text, strlen(text), &error));
    return k;
}

/* What kiln_compile makes of SMALL with this wisdom and these options. */
static void compiles_to(const char *wisdom, struct kiln_options o, const char *schedule, const char *logged)
{
    struct said log = {0};
    struct kiln *k = wise_context(wisdom, &log);
    struct kiln_conv c = conv_of(SMALL);
    struct kiln_plan *plan;
    char line[KILN_TEXT_MAX];
    o.size = sizeof o;
    WORKS(kiln_compile(k, &c, &o, &plan, &error));
    snprintf(line, sizeof line, SMALL " | %s | sse2", schedule);
    cr_expect_str_eq(kiln_plan_text(plan), line, "of %s", wisdom);
    cr_expect(strstr(log.text, logged), "of %s: logged \"%s\"", wisdom, log.text);
    kiln_plan_release(plan);
    kiln_destroy(k);
}

Test(wisdom, decides_where_there_is_some)
{
    const struct kiln_options none = {0}, only = {.effort = KILN_EFFORT_WISDOM_ONLY};
    const struct kiln_options given = {.schedule = "mine"}, small = {.code_budget = 700};
    const struct kiln_options both = {.schedule = "mine", .effort = KILN_EFFORT_WISDOM_ONLY};
    compiles_to(SMALL " | wise | sse2 # 1 us", none, "wise", SMALL " on sse2: wise");
    compiles_to(SMALL " | wise | sse2", none, "wise", "");
    compiles_to(SMALL " | wise | sse2", only, "wise", "");
    compiles_to(SMALL " | wise | sse2 # threads=8", none, "wise", "");
    compiles_to(SMALL " | wise | sse2", given, "mine", "");
    compiles_to("", both, "mine", "");
    compiles_to(SMALL " | wise | sse2", small, "fake", "");
    compiles_to(OTHER " | wise | sse2", none, "fake", "");
}

Test(wisdom, is_passed_over_with_a_reason)
{
    const struct kiln_options none = {0};
    compiles_to(SMALL " | wise | neon", none, "fake", SMALL " on sse2: there is some for neon only");
    compiles_to(SMALL " | wise | mmx", none, "fake", "'mmx' is no ISA level");
    compiles_to(SMALL " | invalid | sse2", none, "fake", SMALL " on sse2: passed over: made to fail");
    compiles_to("\x7f\x45LF | |", none, "fake", "line 1 is passed over");
}

Test(wisdom, only_fails_with_a_sentence)
{
    static const struct {
        const char *text, *why;
        int budget;
    } rows[] = {
        {"", SMALL "\" on sse2: there is none", 0},
        {SMALL " | wise | avx2", "there is some for avx2 only", 0},
        {SMALL " | invalid | sse2", "made to fail", 0},
        {SMALL " | wise | sse2", "none is used with a code_budget below 800", 700},
    };
    struct kiln_conv c = conv_of(SMALL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct said log = {0}, text = {0};
        struct kiln *k = wise_context(rows[i].text, &log);
        struct kiln_plan *plan = NULL;
        struct kiln_options o = {
            .size = sizeof o, .effort = KILN_EFFORT_WISDOM_ONLY, .code_budget = rows[i].budget};
        REFUSES(kiln_compile(k, &c, &o, &plan, &error), KILN_STATUS_UNSUPPORTED, rows[i].why);
        REFUSES(kiln_explain(k, &c, &o, say, &text, &error), KILN_STATUS_UNSUPPORTED, rows[i].why);
        REFUSES(kiln_candidates(k, &c, &o, say, &text, &error), KILN_STATUS_UNSUPPORTED, rows[i].why);
        cr_assert_null(plan);
        cr_assert_eq(text.length, 0);
        kiln_destroy(k);
    }
}

/* A kernel in memory is found by what wisdom says now, not by what it said when it was compiled. */
Test(wisdom, what_comes_later_counts)
{
    static const struct {
        const char *wisdom, *schedule; /* imported; explicit */
        const char *compiled;
        uint64_t misses, hits;
    } rows[] = {
        {"", NULL, "fake", 1, 0},
        {OTHER " | wise | sse2", NULL, "fake", 1, 1},
        {SMALL " | wise | avx2", NULL, "fake", 1, 2},
        {SMALL " | wise | sse2 # 3 us", NULL, "wise", 2, 2},
        {"", "wise", "wise", 2, 3},
        {SMALL " | slow | sse2 # 4 us", NULL, "wise", 2, 4},
        {SMALL " | wiser | sse2 # 2 us", NULL, "wiser", 3, 4},
        {SMALL " | fake | sse2 # 1 us", NULL, "fake", 4, 4}, /* explicit: not the planner's choice as such */
        {"", "wiser", "wiser", 4, 5},
    };
    struct said log = {0};
    struct kiln *k = wise_context("", &log);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char line[KILN_TEXT_MAX];
        struct kiln_stats stats;
        WORKS(kiln_wisdom_import(k, rows[i].wisdom, strlen(rows[i].wisdom), &error));
        struct kiln_plan *plan = plan_of(k, SMALL, rows[i].schedule);
        snprintf(line, sizeof line, SMALL " | %s | sse2", rows[i].compiled);
        cr_expect_str_eq(kiln_plan_text(plan), line, "row %zu", i);
        kiln_stats(k, &stats);
        cr_expect_eq(stats.misses, rows[i].misses, "row %zu", i);
        cr_expect_eq(stats.hits, rows[i].hits, "row %zu", i);
        kiln_plan_release(plan);
    }
    kiln_destroy(k);
}

/* What comes from memory in place of a schedule that is refused each time is no miss, nor compiled again. */
Test(wisdom, a_hit_behind_a_refusal_is_a_hit)
{
    struct said log = {0};
    struct kiln *k = context_with((struct kiln_config){
        .isa = "sse2", .wisdom = "", .debug = "cache,plan", .log = log_keep, .log_user = &log});
    WORKS(kiln_wisdom_import(k, SMALL " | invalid | sse2", strlen(SMALL " | invalid | sse2"), &error));
    for (int i = 0; i < 2; i++) kiln_plan_release(plan_of(k, SMALL, NULL));
    cr_assert_str_eq(log.text, "kiln: cache: miss " SMALL "\nkiln: plan: " SMALL " | fake | sse2\n"
                               "kiln: cache: hit " SMALL "\n");
    kiln_destroy(k);
}

/* What is no matter of wisdom, such as memory, is passed on and not tried again. */
Test(wisdom, other_failures_are_passed_on)
{
    struct said log = {0};
    struct kiln *k = wise_context(SMALL " | internal | sse2", &log);
    struct kiln_conv c = conv_of(SMALL);
    struct kiln_plan *plan;
    REFUSES(kiln_compile(k, &c, NULL, &plan, &error), KILN_STATUS_INTERNAL, "made to fail");
    kiln_destroy(k);
}

Test(wisdom, explain_tells_who_decided)
{
    struct said log = {0}, text = {0}, all = {0};
    struct kiln *k = wise_context(SMALL " | wise | sse2 # 12 us then", &log);
    struct kiln_conv c = conv_of(SMALL);
    WORKS(kiln_explain(k, &c, NULL, say, &text, &error));
    cr_assert_str_eq(text.text, SMALL " | wise | sse2\n  wisdom     this schedule: 12 us then\n");
    WORKS(kiln_candidates(k, &c, NULL, say, &all, &error));
    cr_assert_str_eq(all.text, SMALL " | fake | sse2", "candidates are the planner's");
    kiln_destroy(k);
}

/* ---- in and out ---- */

Test(wisdom, round_trip)
{
    static const char text[] = OTHER " | b ow=2 | avx2  # 2.5 us threads=3 2025-05-17 machine=x\n" SMALL
                                     " | a | sse2\n" SMALL " | a | neon  # 1 us\n";
    struct said log = {0}, once = {0}, twice = {0};
    struct kiln *k = wise_context(text, &log), *again;
    WORKS(kiln_wisdom_export(k, say, &once, &error));
    cr_assert_str_eq(once.text, text);
    again = wise_context(once.text, &log);
    WORKS(kiln_wisdom_import(again, once.text, once.length, &error));
    WORKS(kiln_wisdom_export(again, say, &twice, &error));
    cr_assert_str_eq(twice.text, text);
    kiln_destroy(again);
    REFUSES(kiln_wisdom_import(NULL, text, 1, &error), KILN_STATUS_INVALID, "k is NULL");
    REFUSES(kiln_wisdom_import(k, NULL, 1, &error), KILN_STATUS_INVALID, "text is NULL");
    WORKS(kiln_wisdom_import(k, NULL, 0, &error));
    REFUSES(kiln_wisdom_export(NULL, say, &twice, &error), KILN_STATUS_INVALID, "k is NULL");
    REFUSES(kiln_wisdom_export(k, NULL, NULL, &error), KILN_STATUS_INVALID, "sink is NULL");
    kiln_destroy(k);
}

static void file_put(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    cr_assert(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void exports(const struct kiln_config *config, const char *text)
{
    struct said said = {0};
    struct kiln *k;
    WORKS(kiln_create(&k, config, &error));
    WORKS(kiln_wisdom_export(k, say, &said, &error));
    cr_expect_str_eq(said.text, text);
    kiln_destroy(k);
}

Test(wisdom, files)
{
    char folder[] = "/tmp/kiln-wisdom-XXXXXX";
    struct kiln *k;
    cr_assert(mkdtemp(folder) && chdir(folder) == 0);
    file_put("one", SMALL " | one | sse2\n");
    file_put("two", SMALL " | two | sse2\n");
    file_put("empty", "");
    struct kiln_config config = {.size = sizeof config};
    exports(&config, "");
    setenv("KILN_WISDOM", "one", 1);
    exports(&config, SMALL " | one | sse2\n");
    config.wisdom = "two";
    exports(&config, SMALL " | two | sse2\n");
    config.wisdom = "";
    exports(&config, "");
    config.wisdom = "empty";
    exports(&config, "");
    config.wisdom = "nowhere";
    REFUSES(kiln_create(&k, &config, &error), KILN_STATUS_SYSTEM,
            "wisdom is \"nowhere\": it cannot be read: No such");
    config.wisdom = NULL;
    setenv("KILN_WISDOM", ".", 1);
    REFUSES(kiln_create(&k, &config, &error), KILN_STATUS_SYSTEM,
            "KILN_WISDOM is \".\": it cannot be read: Is a");
    cr_assert(!unlink("one") && !unlink("two") && !unlink("empty") && !rmdir(folder));
}
