/* kiln wisdom: files of wisdom joined, listed and checked. */
#include "ask.h"
#include "commands.h"
#include "lists.h"
#include "output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One command on some files. */
struct work {
    struct kiln *k;
    const char *path; /* of the file being read */
    const char *out;  /* -o, or NULL */
    int bad;          /* lines passed over, or refused */
    int good, skipped;
    bool unable; /* to check: there is no generator */
};

/* ---- reading ---- */

/* Lines passed over, as the library logs them: "kiln: wisdom: line 3 ...". */
static void line_told(void *user, const char *line)
{
    struct work *w = user;
    const char *sentence = strstr(line, "line ");
    w->bad++;
    complain("%s: %s", w->path, sentence ? sentence : line);
}

/* A context that knows what is in a file and nothing else; false: said on standard error. */
static bool file_know(struct work *w, const char *path)
{
    struct kiln_error error;
    struct kiln_config config = {.size = sizeof config, .wisdom = path, .debug = "wisdom"};
    config.log = line_told, config.log_user = w;
    w->path = path;
    return kiln_create(&w->k, &config, &error) == KILN_STATUS_OK || (complain("%s", error.text), false);
}

/* ---- merge ---- */

static void sink_import(void *user, const char *bytes, size_t count)
{
    kiln_wisdom_import(user, bytes, count, NULL);
}

/* Each file into a context of its own, which is then told to the first. */
static bool files_know(struct work *w, char **paths, int count)
{
    struct kiln *all = NULL;
    for (int i = 0; i < count; i++) {
        if (!file_know(w, paths[i])) return kiln_destroy(all), false;
        if (all) {
            kiln_wisdom_export(w->k, sink_import, all, NULL);
            kiln_destroy(w->k);
        } else {
            all = w->k;
        }
        w->k = NULL;
    }
    w->k = all;
    return true;
}

static int merge(struct work *w, char **paths, int count)
{
    struct output output;
    if (!files_know(w, paths, count)) return EXIT_USAGE;
    if (!output_open(&output, w->out ? w->out : "-")) return EXIT_USAGE;
    kiln_wisdom_export(w->k, sink_file, output.file, NULL);
    return output_close(&output, true) ? EXIT_GOOD : EXIT_USAGE;
}

/* ---- list ---- */

/* "   123.4 us  1 thread  conv ... | schedule | isa" of a line that the library wrote. */
static void sink_list(void *user, const char *bytes, size_t count)
{
    const char *mark = memchr(bytes, '#', count), *end = bytes + count - 1;
    char comment[2 * KILN_TEXT_MAX] = "";
    double us = 0;
    (void)user;
    if (mark) snprintf(comment, sizeof comment, "%.*s", (int)(end - mark - 1), mark + 1);
    const char *threads = strstr(comment, "threads=");
    const char *stop = mark ? mark : end;
    while (stop > bytes && stop[-1] == ' ') stop--;
    if (sscanf(comment, "%lf us", &us) == 1 && us > 0)
        printf("%12.3f us", us);
    else
        printf("%12s   ", "-");
    printf("  %4d  %.*s\n", threads ? atoi(threads + strlen("threads=")) : 1, (int)(stop - bytes), bytes);
}

static int list(struct work *w, char **paths, int count)
{
    if (!files_know(w, paths, count)) return EXIT_USAGE;
    printf("%15s  %s  plan\n", "time", "thr.");
    kiln_wisdom_export(w->k, sink_list, NULL, NULL);
    return EXIT_GOOD;
}

/* ---- check ---- */

/* Asks the planner whether it takes a line's plan. */
static void sink_check(void *user, const char *bytes, size_t count)
{
    struct work *w = user;
    struct kiln_conv conv;
    struct kiln_error error;
    char line[4 * KILN_TEXT_MAX];
    snprintf(line, sizeof line, "%.*s", (int)count, bytes);
    line[strcspn(line, "#\n")] = '\0';
    char isa[WORD_ROOM];
    struct kiln_options options = {.size = sizeof options, .schedule = line};
    enum kiln_status status = isa_status(w->k, NULL, plan_word(line, 2, isa), &error);
    bool foreign = status != KILN_STATUS_OK;
    if (!foreign) status = kiln_conv_parse(&conv, line, &error);
    if (status == KILN_STATUS_OK) status = kiln_candidates(w->k, &conv, &options, sink_nothing, NULL, &error);
    foreign = foreign || status == KILN_STATUS_UNSUPPORTED;
    w->unable = w->unable || status == KILN_STATUS_SYSTEM;
    *(status == KILN_STATUS_OK ? &w->good : foreign ? &w->skipped : &w->bad) += 1;
    if (status == KILN_STATUS_OK) return;
    printf("%s %s: ", foreign ? "skip" : "FAIL", line);
    plain_put(stdout, error.text, 0);
    putchar('\n');
}

static int check(struct work *w, char **paths, int count)
{
    if (!files_know(w, paths, count)) return EXIT_USAGE;
    kiln_wisdom_export(w->k, sink_check, w, NULL);
    printf("%d passed, %d failed, %d skipped\n", w->good, w->bad, w->skipped);
    return w->unable ? EXIT_USAGE : w->bad ? EXIT_FAILED : EXIT_GOOD;
}

/* ---- the command ---- */

static const struct verb {
    const char *name;
    int (*run)(struct work *w, char **paths, int count);
} verbs[] = {{"merge", merge}, {"list", list}, {"check", check}};
enum { VERBS = sizeof verbs / sizeof *verbs };

static const struct page page = {
    .name = "wisdom",
    .brief = "merge, list and check files of wisdom",
    .usage = "merge FILE ... [-o OUT] | list FILE ... | check FILE ...",
    .about = "Wisdom is lines of plans that `kiln tune` timed, and any number of files make one if they are\n"
             "put one behind the other: of each convolution, ISA and number of threads the fastest line\n"
             "counts. So files need not be merged to be used, but merged ones are short.\n"
             "\n"
             "  merge  writes the lines that count, of all files, to OUT or to standard output, which\n"
             "         may be one of the FILEs: it is replaced when all of them have been read\n"
             "  list   prints them with their times and numbers of threads\n"
             "  check  asks the planner whether it takes each plan; those of other machines are skipped.\n"
             "         Exit status 1: some line is not wisdom, or is refused\n"
             "\n"
             "Lines that are not wisdom are named on standard error, and passed over.\n"
             "\n"
             "EXAMPLES\n"
             "  kiln wisdom merge part*.wisdom -o all.wisdom\n"
             "  kiln wisdom check all.wisdom\n",
    .flags = (const struct flag[]){{"o", "OUT", "what merge writes; " OUTPUT_HELP, flag_text}},
    .count = 1,
    .most = 0};

/* Takes -o and its file out of the arguments behind the verb; false: said on standard error. */
static bool out_take(struct work *w, char **words, int *count, bool allowed)
{
    int kept = 0;
    for (int i = 0; i < *count; i++) {
        if (strcmp(words[i], "-o") != 0) {
            if (words[i][0] == '-' && words[i][1])
                return complain("unrecognized option '%.60s'; `kiln wisdom --help` lists them", words[i]),
                       false;
            words[kept++] = words[i];
            continue;
        }
        if (!allowed) return complain("-o is for merge only"), false;
        if (w->out) return complain("-o is given twice, and only one can count"), false;
        if (++i == *count) return complain("option '-o' requires an argument"), false;
        w->out = words[i];
    }
    *count = kept;
    return true;
}

static bool asks_help(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) return true;
    return false;
}

int cli_wisdom(int argc, char **argv)
{
    struct work w = {0};
    struct common none = {0};
    char help[] = "--help", *only[] = {argv[0], help, NULL};
    if (asks_help(argc, argv)) return ask(&page, 2, only, &none);
    for (int i = 0; argc > 1 && i < VERBS; i++) {
        int count = argc - 2;
        if (strcmp(argv[1], verbs[i].name) != 0) continue;
        if (!out_take(&w, argv + 2, &count, verbs[i].run == merge)) return EXIT_USAGE;
        if (count == 0) return complain("wisdom %s needs a FILE", verbs[i].name);
        int status = verbs[i].run(&w, argv + 2, count);
        kiln_destroy(w.k);
        return status;
    }
    return complain("wisdom is merge, list or check%s%.60s%s; `kiln wisdom --help` tells more",
                    argc > 1 ? ", not '" : "", argc > 1 ? argv[1] : "", argc > 1 ? "'" : "");
}
