/* bench: the command. Reads what is asked, measures each conv in turn, reports. */
#include "bench.h"
#include "ask.h"
#include "bench_dir.h"
#include "commands.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Lines begin .. end of the whole list came from one file. */
struct file {
    const char *name;
    size_t begin, end;
};

struct bench {
    struct common common;
    struct file *files;
    size_t file_count;
    const char *peers, *report;
    double seconds;
    int layout; /* 1 + enum kiln_layout; 0: as each line says */
    bool json;
};

/* ---- what is asked ---- */

/* As flag_file, and remembers which lines came from where. */
static bool flag_family(void *into, const struct flag *flag, const char *value)
{
    struct bench *b = into;
    struct file *files = realloc(b->files, (b->file_count + 1) * sizeof *files);
    if (!files) return complain("out of memory"), false;
    b->files = files;
    size_t begin = b->common.convs.count;
    if (!flag_file(into, flag, value)) return false;
    files[b->file_count++] = (struct file){value, begin, b->common.convs.count};
    return true;
}

static bool flag_seconds(void *into, const struct flag *flag, const char *value)
{
    char *end;
    double seconds = strtod(value, &end);
    if (end == value || *end || !(seconds > 0 && seconds <= 3600))
        return complain("--%s: '%s' is not a number of seconds above 0, at most 3600", flag->name, value),
               false;
    ((struct bench *)into)->seconds = seconds;
    return true;
}

static bool flag_layout(void *into, const struct flag *flag, const char *value)
{
    static const char *const names[] = {[KILN_LAYOUT_NCHW] = "nchw", [KILN_LAYOUT_NHWC] = "nhwc"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(value, names[i])) return ((struct bench *)into)->layout = (int)i + 1, true;
    return complain("--%s: '%s' is neither nchw nor nhwc; bench takes one of them", flag->name, value), false;
}

static const struct flag flags[] = {
    {"f", "FILE",
     "convolutions from FILE, one per line; '#' begins a comment; each FILE is summed up by itself",
     flag_family, offsetof(struct common, convs), .many = true},
    FLAG_THREADS,
    {"peers", "LIST", "libraries to time beside, such as onednn", flag_text, offsetof(struct bench, peers)},
    {"json", NULL, "a JSON object per conv and peer variant, and nothing else", flag_true,
     offsetof(struct bench, json)},
    {"report", "DIR", "a page with tables and plots (by gnuplot), their data and scripts, in DIR", flag_text,
     offsetof(struct bench, report)},
    {"layout", "NAME", "nchw or nhwc, whatever the lines say: one, where check takes a list", flag_layout},
    {"min-time", "S", "seconds of timing for each library and conv; default 0.1", flag_seconds},
    FLAG_ISA,
    FLAG_SCHEDULE,
    FLAG_BUDGET,
};

static const struct page page = {
    .name = "bench",
    .brief = "time convolutions, alone or beside another library",
    .usage = "[-f FILE] [CONV ...] [--peers LIST] [--json] [--threads N] [--report DIR]",
    .about =
        "Times warm runs with packed weights, in turns with each peer in the same process, compares the\n"
        "outputs in full, and prints a table. With one thread the process stays on one core; let nothing\n"
        "else run. Exit status 1: an output differs from a peer's, or there was no memory to time one.\n"
        "What Kiln does not do is skipped, with the reason.\n"
        "\n"
        "A plan line is timed with its own ISA whatever --isa says, and with its own schedule unless\n"
        "--schedule is given. '% peak' is of the widest vectors that --isa allows.\n"
        "\n"
        "EXAMPLES\n"
        "  kiln bench -f bench/shapes/resnet50.txt --peers onednn\n"
        "  kiln bench mb1ic64ih56oc64oh56kh3ph1 --threads 4 --layout nchw\n"
        "  kiln bench conv n1 ic64 ih56 iw56 oc64 kh3 kw3 ph1 pw1 f32 nhwc --isa avx2 --json\n",
    .flags = flags,
    .count = sizeof flags / sizeof *flags,
    .most = 100000,
};

/* ---- what is done ---- */

static int threads_asked(const struct bench *b)
{
    const char *text = getenv("KILN_THREADS");
    int threads = b->common.threads ? b->common.threads : text ? atoi(text) : 1;
    return threads > 0 ? threads : 1;
}

/* How many there will be: fewer than asked for where there are fewer processors. 0: said on standard error.
 */
static int threads_had(const struct bench *b)
{
    struct kiln_stats stats;
    struct kiln *k = ask_kiln(&b->common);
    if (!k) return 0;
    kiln_stats(k, &stats);
    kiln_destroy(k);
    if (threads_asked(b) > stats.threads) threads_fewer(threads_asked(b), stats.threads);
    return stats.threads;
}

static int setup_make(struct setup *setup, const struct bench *b)
{
    *setup = (struct setup){.threads = threads_had(b), .seconds = b->seconds};
    if (!setup->threads) return EXIT_USAGE;
    if (setup->threads == 1) pin_to_one_core();
    ask_config(&b->common, &setup->config);
    setup->peak = peak_find(b->common.isa);
    if (!peers_open(&setup->peers, b->peers, setup->threads)) return EXIT_USAGE;
    struct kiln_error error;
    if (setup_warm(setup, b->common.isa, &error) != KILN_STATUS_OK) return complain("%s", error.text);
    return EXIT_GOOD;
}

/* Whether two rows have the same columns. */
static bool same_peers(const struct result *a, const struct result *b)
{
    if (a->timing_count != b->timing_count) return false;
    for (int i = 0; i < a->timing_count; i++)
        if (strcmp(a->timings[i].name, b->timings[i].name) != 0) return false;
    return true;
}

/* `head` is the result whose columns were named last, or NULL; `before` the one reported last, or NULL. */
static void report(const struct bench *b, const struct result *result, const struct result *before,
                   int threads, const struct result **head)
{
    if (b->json) {
        report_json(result, threads);
        return;
    }
    if (result->status == KILN_STATUS_OK && (!*head || !same_peers(*head, result))) {
        report_head(result, threads);
        *head = result;
    }
    report_row(result, before, threads);
}

/* The exit status that one result asks for. What Kiln does not support is no failure. */
static int result_status(const struct result *result)
{
    bool differs = false;
    for (int i = 0; i < result->timing_count; i++)
        differs |= !*result->timings[i].error && !result->timings[i].agrees;
    return exit_worse(exit_of(result->status), differs ? EXIT_FAILED : EXIT_GOOD);
}

/* As check does, a line that names its machine is timed as that machine. */
static int measure_all(const struct bench *b, const struct setup *setup, struct result *results)
{
    int status = EXIT_GOOD;
    const struct result *head = NULL;
    for (size_t i = 0; i < b->common.convs.count; i++) {
        struct line *line = &b->common.convs.at[i];
        struct kiln_options options;
        if (b->layout) line->conv.layout = (enum kiln_layout)(b->layout - 1);
        ask_options(&b->common, line, &options);
        if (line->machine) options.isa = line->machine;
        conv_measure(setup, line, &options, &results[i]);
        report(b, &results[i], i ? &results[i - 1] : NULL, setup->threads, &head);
        status = exit_worse(status, result_status(&results[i]));
    }
    return status;
}

/* One family per file; lines that no file claims come from the command line. */
static size_t families_make(const struct bench *b, const struct result *results, struct family *families)
{
    size_t count = 0, at = 0;
    for (size_t i = 0; i <= b->file_count; i++) {
        struct file end = {NULL, b->common.convs.count, b->common.convs.count};
        const struct file *file = i < b->file_count ? &b->files[i] : &end;
        if (file->begin > at)
            families[count++] = (struct family){"command line", results + at, file->begin - at};
        if (file->end > file->begin)
            families[count++] = (struct family){file->name, results + file->begin, file->end - file->begin};
        at = file->end;
    }
    return count;
}

/* What is told when all is measured. The status, or a worse one. */
static int conclude(const struct bench *b, const struct setup *setup, const struct result *results,
                    int status)
{
    struct family *families = calloc(2 * b->file_count + 1, sizeof *families);
    if (!families) return complain("out of memory");
    struct findings findings = {setup, families, families_make(b, results, families)};
    if (!b->json) summary_print(&findings);
    if (b->report && !dir_write(b->report, &findings) && status == EXIT_GOOD) status = EXIT_FAILED;
    free(families);
    return status;
}

static int bench_run(const struct bench *b)
{
    struct setup setup;
    if (!b->common.convs.count) return complain("bench: no convolution given; see kiln bench --help");
    if (b->report && !dir_prepare(b->report)) return EXIT_USAGE;
    int status = setup_make(&setup, b);
    struct result *results = status == EXIT_GOOD ? calloc(b->common.convs.count, sizeof *results) : NULL;
    if (status == EXIT_GOOD && !results) status = complain("out of memory");
    if (results) {
        status = measure_all(b, &setup, results);
        status = conclude(b, &setup, results, status);
    }
    free(results);
    setup_free(&setup);
    return status;
}

int cli_bench(int argc, char **argv)
{
    struct bench bench = {.common.cold = true, .seconds = 0.1};
    int status = ask(&page, argc, argv, &bench.common);
    if (status == ASK_GO_ON) status = bench_run(&bench);
    lines_free(&bench.common.convs);
    free(bench.files);
    return status;
}
