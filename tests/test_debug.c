/* KILN_DEBUG: what is logged, to whom, and that it is documented. */
#include "api.h"

#include <stdio.h>

TestSuite(debug);

static void log_append(void *user, const char *line)
{
    say(user, line, strlen(line));
    say(user, "\n", 1);
}

/* A log callback that compiles what is being logged. */
struct echo {
    struct kiln *k;
    int lines;
};

static void log_echo(void *user, const char *line)
{
    struct echo *e = user;
    (void)line;
    if (e->lines++ == 0) kiln_plan_release(plan_of(e->k, SMALL, NULL));
}

Test(debug, a_log_callback_may_call_back, .timeout = 20)
{
    struct echo e = {0};
    e.k = context_with(
        (struct kiln_config){.isa = "sse2", .debug = "cache,plan", .log = log_echo, .log_user = &e});
    kiln_plan_release(plan_of(e.k, SMALL, NULL));
    cr_assert_geq(e.lines, 3, "a miss, its plan, and the callback's hit");
    kiln_destroy(e.k);
}

Test(debug, debug_words_choose_what_is_logged)
{
    static const char *const rows[][2] = {
        {"", ""},
        {"plan", "kiln: plan: " SMALL " | fake | sse2\n"},
        {"cache", "kiln: cache: miss " SMALL "\nkiln: cache: hit " SMALL "\n"},
        {"ir", "kiln: ir: dump 1\nkiln: ir: line 2\n"},
        {"asm,cache",
         "kiln: cache: miss " SMALL "\nkiln: asm: dump 2\nkiln: asm: line 2\nkiln: cache: hit " SMALL "\n"},
    };
    char canonical[KILN_TEXT_MAX];
    struct kiln_conv c = conv_of(SMALL);
    kiln_conv_print(&c, canonical, sizeof canonical);
    cr_assert_str_eq(canonical, SMALL, "the rows are written for the canonical text");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct said log = {0};
        struct kiln *k = context_with(
            (struct kiln_config){.isa = "sse2", .debug = rows[i][0], .log = log_append, .log_user = &log});
        kiln_plan_release(plan_of(k, SMALL, NULL));
        kiln_plan_release(plan_of(k, SMALL, NULL));
        cr_assert_str_eq(log.text, rows[i][1]);
        kiln_destroy(k);
    }
}

Test(debug, debug_cache_ends_with_the_counts)
{
    static const char counts[] = "kiln: cache: in memory 1 hits, 1 misses, 0 evictions; on disk 0 hits, 0 "
                                 "misses, 0 writes; 1 compiled in ";
    struct said log = {0}, none = {0};
    struct kiln *k =
        context_with((struct kiln_config){.debug = "cache", .log = log_append, .log_user = &log});
    kiln_plan_release(plan_of(k, SMALL, NULL));
    kiln_plan_release(plan_of(k, SMALL, NULL));
    size_t before = log.length;
    kiln_destroy(k);
    cr_assert(!strncmp(log.text + before, counts, strlen(counts)), "%s", log.text + before);
    cr_assert(strstr(log.text + before, " ms\n"), "%s", log.text + before);

    /* A context that nothing was asked of, and one that was not made. */
    kiln_destroy(context_with((struct kiln_config){.debug = "cache", .log = log_append, .log_user = &none}));
    struct kiln_config bad = {.size = sizeof bad, .debug = "cache", .log = log_append, .wisdom = "/nowhere"};
    bad.log_user = &none;
    REFUSES(kiln_create(&k, &bad, &error), KILN_STATUS_SYSTEM, "/nowhere");
    cr_assert_eq(none.length, 0, "%s", none.text);
}

/* The table of the documentation is the library's, row by row. */
Test(debug, debug_words_are_documented)
{
    struct said words = {0};
    char line[256], row[512], page[1 << 15];
    FILE *file = fopen(SOURCE_DIR "/docs/debugging.md", "r");
    cr_assert(file);
    page[fread(page, 1, sizeof page - 1, file)] = '\0';
    fclose(file);
    kiln_debug_print(say, &words);
    kiln_debug_print(NULL, NULL);
    int count = 0;
    for (const char *at = words.text; *at; at += strcspn(at, "\n") + 1, count++) {
        char word[32];
        int begin = 0;
        snprintf(line, sizeof line, "%.*s", (int)strcspn(at, "\n"), at);
        cr_assert_eq(sscanf(line, " %31s %n", word, &begin), 1);
        snprintf(row, sizeof row, "\n| `%s` | %s |\n", word, line + begin);
        cr_assert(strstr(page, row), "no row %s", row);
        kiln_destroy(context_with((struct kiln_config){.debug = word}));
    }
    cr_assert_geq(count, 8);
    cr_assert(!strncmp(strstr(page, "\n| `") + 1, "| `plan` |", 10));
}
