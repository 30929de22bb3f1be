/* kiln tune: the fastest plans of many convolutions, found by timing, kept as wisdom. */
#include "tune.h"
#include "ask.h"
#include "bench.h"
#include "commands.h"
#include "lists.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    THREADS_MAX = 1024,
    THREADS_LISTED = 64,
    SECONDS_MOST = 10000000, /* a third of a year */
    SHARDS_MOST = 1000000,   /* beyond any fleet, and below what an int holds */
};

struct tune {
    struct common common;
    int threads[THREADS_LISTED], threads_count; /* each is tuned for; none: the context's default */
    enum kiln_effort effort;
    double seconds, total; /* 0: no limit, but for what kiln_tune has */
    const char *wisdom;
    int shard, shards; /* 1 of 1: all */
    bool again, report, noisy;
    struct kiln *k;
    int file; /* of wisdom, appended to; -1: none */
    struct show show;
    struct report found;
    int tuned, known, skipped, failed;
    int status; /* to exit with: the worst so far */
};

/* ---- what is asked ---- */

/* The number of the digits that *text begins with, which it steps over; 0: there are none, or it is above
 * `most`. */
static int number_read(const char **text, int most)
{
    int64_t number = 0;
    for (; **text >= '0' && **text <= '9'; ++*text)
        if (number <= most) number = 10 * number + (**text - '0');
    return number <= most ? (int)number : 0;
}

static bool flag_seconds(void *into, const struct flag *flag, const char *value)
{
    char *end;
    double seconds = strtod(value, &end);
    if (end == value || *end || !(seconds > 0 && seconds <= SECONDS_MOST))
        return complain("--%s is '%.60s'; it must be a number of seconds above 0, at most %d", flag->name,
                        value, SECONDS_MOST),
               false;
    *(double *)((char *)into + flag->offset) = seconds;
    return true;
}

static bool flag_effort(void *into, const struct flag *flag, const char *value)
{
    static const struct {
        const char *name;
        enum kiln_effort effort;
    } efforts[] = {{"measure", KILN_EFFORT_MEASURE}, {"exhaustive", KILN_EFFORT_EXHAUSTIVE}};
    for (size_t i = 0; i < sizeof efforts / sizeof *efforts; i++)
        if (!strcmp(value, efforts[i].name)) return ((struct tune *)into)->effort = efforts[i].effort, true;
    return complain("--%s is '%.60s'; it is measure or exhaustive", flag->name, value), false;
}

static bool flag_shard(void *into, const struct flag *flag, const char *value)
{
    struct tune *t = into;
    const char *at = value;
    t->shard = number_read(&at, SHARDS_MOST);
    bool slash = *at == '/';
    at += slash;
    t->shards = number_read(&at, SHARDS_MOST);
    if (slash && !*at && t->shard >= 1 && t->shard <= t->shards) return true;
    return complain("--%s is '%.60s'; it is i/n with i from 1 to n and n at most %d, such as 2/8", flag->name,
                    value, SHARDS_MOST),
           false;
}

static bool flag_threads(void *into, const struct flag *flag, const char *value)
{
    struct tune *t = into;
    const char *at = value;
    bool good, more;
    t->threads_count = 0;
    do {
        int threads = number_read(&at, THREADS_MAX);
        good = threads >= 1 && t->threads_count < THREADS_LISTED;
        if (good) t->threads[t->threads_count++] = threads;
        more = *at == ',';
        at += more;
    } while (good && more);
    if (good && !*at) return true;
    return complain("--%s is '%.60s'; it is at most %d numbers from 1 to %d with commas between, such as 1,2",
                    flag->name, value, THREADS_LISTED, THREADS_MAX),
           false;
}

static const struct flag flags[] = {
    FLAG_FILE,
    {"effort", "NAME",
     "measure: a dozen of the model's best (default);\nexhaustive: all that the model does not think far "
     "behind",
     flag_effort},
    {"time", "S", "seconds for each convolution at most; default 10, exhaustive 120", flag_seconds,
     offsetof(struct tune, seconds)},
    {"total", "S", "seconds for all of them; what is left then is told, and done by the next run",
     flag_seconds, offsetof(struct tune, total)},
    {"wisdom", "FILE", "what is known already, and where lines are added; default KILN_WISDOM", flag_text,
     offsetof(struct tune, wisdom)},
    {"shard", "I/N", "only the I-th of N parts of the list", flag_shard},
    {"again", NULL, "also what the file knows", flag_true, offsetof(struct tune, again)},
    {"noisy", NULL, "also on a machine too noisy to tell plans apart", flag_true,
     offsetof(struct tune, noisy)},
    {"report", NULL, "the planner's own choices beside the best found, in place of lines", flag_true,
     offsetof(struct tune, report)},
    {"threads", "N[,N...]",
     "on so many threads, all convolutions on each number in turn, no more than\nprocessors that the process "
     "may use; default KILN_THREADS, else 1",
     flag_threads},
    FLAG_ISA,
    FLAG_BUDGET,
};

static const char about[] =
    "Times plans of each convolution and writes the best as a line of wisdom: the plan, and behind\n"
    "'#' its time, that of the planner's own choice, threads, date and machine. With a file of wisdom\n"
    "each line is added to it when it is found, and what the file knows for as many threads is not\n"
    "timed again: a run that was interrupted goes on where it was. Wisdom is used where KILN_WISDOM\n"
    "names the file. Let nothing else run: where one plan's times differ by more than 3 % nothing is\n"
    "kept, and the exit status is 1.\n"
    "\n"
    "--shard deals a list, each convolution once, to N machines, whose files `kiln wisdom merge`\n"
    "joins. A terminal is shown the progress, on standard error.\n"
    "\n"
    "What is best on one thread need not be on two: --threads 1,2 finds a line for each, and each is used\n"
    "where as many threads run, or a number nearest to it.\n"
    "\n"
    "--report compares: ratio is the time of the planner's choice, divided by the best. What is known\n"
    "is raced once more. Those marked 'held' are a third, chosen by their text, that the planner's\n"
    "model is judged by and not fitted to.\n"
    "\n"
    "A plan line's schedule is passed over, its ISA is not.\n"
    "\n"
    "EXAMPLES\n"
    "  kiln tune -f bench/shapes/resnet50.txt --wisdom resnet50.wisdom\n"
    "  kiln tune -f bench/shapes/resnet50.txt --wisdom resnet50.wisdom --threads 1,2,4\n"
    "  kiln tune -f bench/shapes/resnet50.txt --wisdom part2.wisdom --shard 2/8 --total 600\n"
    "  kiln tune conv ic64 ih56 iw56 oc64 kh3 kw3 ph1 pw1 f32 nhwc --effort exhaustive --report\n";

static const struct page page = {.name = "tune",
                                 .brief = "find the fastest plans by timing them",
                                 .usage = "[-f FILE] [CONV ...] [--effort NAME] [--wisdom FILE] [--report]",
                                 .about = about,
                                 .flags = flags,
                                 .count = sizeof flags / sizeof *flags,
                                 .most = 100000};

/* A line as what it asks for, and its number. */
struct asked {
    char *text;
    size_t index;
};

static int compare_asked(const void *a, const void *b)
{
    const struct asked *x = a, *y = b;
    int order = strcmp(x->text, y->text);
    return order ? order : (x->index > y->index) - (x->index < y->index);
}

/* Marks in `again` the lines that ask for what an earlier one does; false: no memory. */
static bool lines_repeat(const struct lines *lines, bool *again)
{
    char conv[KILN_TEXT_MAX];
    struct asked *asked = calloc(lines->count, sizeof *asked);
    size_t made = 0;
    for (; asked && made < lines->count; made++) {
        const struct line *line = &lines->at[made];
        kiln_conv_print(&line->conv, conv, sizeof conv);
        asked[made].index = made;
        if (asprintf(&asked[made].text, "%s|%s", conv, line->machine ? line->machine : "") < 0) break;
    }
    bool good = made == lines->count;
    if (good) qsort(asked, made, sizeof *asked, compare_asked);
    for (size_t i = 1; good && i < made; i++)
        again[asked[i].index] = !strcmp(asked[i].text, asked[i - 1].text);
    while (made > 0) free(asked[--made].text);
    free(asked);
    return good;
}

/* Leaves in the list each convolution once, and of these those of the shard: by turns, as players are dealt
 * cards. */
static void lines_deal(struct tune *t)
{
    struct lines *lines = &t->common.convs, left = {0};
    size_t different = 0;
    left.at = calloc(lines->count, sizeof *left.at);
    if (!left.at) exit(complain("no memory for the list of convolutions"));
    bool *again = calloc(lines->count, sizeof *again);
    if (!again || !lines_repeat(lines, again)) exit(complain("no memory for the list of convolutions"));
    for (size_t i = 0; i < lines->count; i++) {
        if (again[i] || different++ % (size_t)t->shards != (size_t)t->shard - 1) continue;
        left.at[left.count++] = lines->at[i];
        lines->at[i] = (struct line){0};
    }
    free(again);
    lines_free(lines);
    left.room = left.count;
    *lines = left;
}

/* ---- the file of wisdom ---- */

static bool file_open(struct tune *t)
{
    char last = '\n';
    const char *variable = getenv("KILN_WISDOM");
    if (!t->wisdom && variable && *variable) t->wisdom = variable;
    t->file = -1;
    if (!t->wisdom) return true;
    if (!*t->wisdom) return complain("--wisdom: the name of the file is empty"), false;
    t->file = open(t->wisdom, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (t->file < 0) return complain("cannot write %s: %s", t->wisdom, strerror(errno)), false;
    off_t size = lseek(t->file, 0, SEEK_END);
    bool cut = size > 0 && pread(t->file, &last, 1, size - 1) == 1 && last != '\n';
    return !cut || write(t->file, "\n", 1) == 1 || (complain("cannot write %s", t->wisdom), false);
}

static bool context_make(struct tune *t)
{
    struct kiln_config config;
    struct kiln_error error;
    ask_config(&t->common, &config);
    config.wisdom = t->wisdom ? t->wisdom : "";
    return kiln_create(&t->k, &config, &error) == KILN_STATUS_OK || (complain("%s", error.text), false);
}

/* Without the generator nothing can be tuned: that is told once, not of each convolution. */
static bool generator_there(const struct tune *t)
{
    struct kiln_error error;
    if (!t->common.convs.count) return true;
    const struct kiln_conv *any = &t->common.convs.at[0].conv;
    if (kiln_candidates(t->k, any, NULL, sink_nothing, NULL, &error) != KILN_STATUS_SYSTEM) return true;
    return complain("%s", error.text), false;
}

/* The same of an ISA that this machine lacks, or that nobody knows. */
static bool isa_there(const struct tune *t)
{
    struct kiln_error error;
    if (!t->common.isa || isa_status(t->k, NULL, t->common.isa, &error) == KILN_STATUS_OK) return true;
    return complain("%s", error.text), false;
}

/* In one write, so that lines of several processes do not mix and none is half there. */
static bool file_add(struct tune *t, const char *line)
{
    char text[sizeof((struct kiln_tuned *)NULL)->line + 1];
    if (t->file < 0) return true;
    int length = snprintf(text, sizeof text, "%s\n", line);
    return write(t->file, text, (size_t)length) == length ||
           (complain("cannot write %s: %s", t->wisdom, strerror(errno)), false);
}

/* ---- one convolution ---- */

static void show_progress(void *user, const struct kiln_tuned *so_far, double seconds)
{
    const struct tune *t = user;
    (void)seconds;
    show_put(&t->show, so_far);
}

static enum kiln_status conv_tune(struct tune *t, const struct line *line, struct kiln_tuned *found,
                                  struct kiln_error *error)
{
    struct kiln_options options;
    struct kiln_tuning tuning = {.size = sizeof tuning,
                                 .seconds = t->seconds,
                                 .again = t->again,
                                 .noisy = t->noisy,
                                 .progress = show_progress,
                                 .user = t};
    ask_options(&t->common, line, &options);
    options.schedule = NULL;
    options.effort = t->effort;
    enum kiln_status status = kiln_tune(t->k, &line->conv, &options, &tuning, found, error);
    if (status != KILN_STATUS_OK || !found->known || !t->report) return status;
    tuning.again = true;
    options.effort = KILN_EFFORT_ESTIMATE;
    status = kiln_tune(t->k, &line->conv, &options, &tuning, found, error);
    found->known = true;
    return status;
}

/* What was not found: skipped if Kiln does not do that, else failed. */
static void conv_fail(struct tune *t, enum kiln_status status, const struct kiln_error *error)
{
    bool skip = status == KILN_STATUS_UNSUPPORTED;
    *(skip ? &t->skipped : &t->failed) += 1;
    /* What the system refuses is that the machine is too noisy: a check that failed. */
    t->status = exit_worse(t->status, status == KILN_STATUS_SYSTEM ? EXIT_FAILED : exit_of(status));
    printf("# %s: %s: ", skip ? "skipped" : "FAILED", t->show.text);
    plain_put(stdout, error->text, 0);
    putchar('\n');
}

/* False: nothing more is to be done. */
static bool line_tune(struct tune *t, const struct line *line)
{
    struct kiln_tuned found = {0};
    struct kiln_error error;
    kiln_conv_print(&line->conv, t->show.text, sizeof t->show.text);
    show_put(&t->show, &found);
    enum kiln_status status = conv_tune(t, line, &found, &error);
    show_clear(&t->show);
    t->show.done++;
    if (status != KILN_STATUS_OK) return conv_fail(t, status, &error), true;
    *(found.known ? &t->known : &t->tuned) += 1;
    if (!found.known && !file_add(t, found.line)) return t->status = EXIT_USAGE, false;
    if (!t->report) return puts(found.line), true;
    return report_add(&t->found, t->show.text, &found) || (complain("no memory for a report"), false);
}

/* All convolutions on this context's threads. False: nothing more is to be done. */
static bool lines_tune(struct tune *t, int threads)
{
    const struct lines *lines = &t->common.convs;
    bool go_on = true;
    for (size_t i = 0; i < lines->count && go_on; i++) {
        if (t->total > 0 && show_seconds() - t->show.begin > t->total) break;
        go_on = line_tune(t, &lines->at[i]);
        fflush(stdout);
    }
    if (t->report && t->threads_count > 1) printf("# threads=%d\n", threads);
    if (t->report) report_print(&t->found);
    report_free(&t->found);
    t->found = (struct report){0};
    return go_on;
}

/* Notes how many threads the context has for those asked for. False: an earlier one of the list had as many.
 */
static bool threads_note(struct tune *t, int index)
{
    struct kiln_stats stats;
    kiln_stats(t->k, &stats);
    if (t->threads[index] > stats.threads) threads_fewer(t->threads[index], stats.threads);
    t->threads[index] = stats.threads;
    for (int i = 0; i < index; i++)
        if (t->threads[i] == stats.threads) return t->show.count -= t->common.convs.count, false;
    return true;
}

/* The same for one number of threads of those listed. */
static bool threads_tune(struct tune *t, int index)
{
    cpu_set_t all;
    t->common.threads = t->threads[index];
    bool good = context_make(t) && isa_there(t) && generator_there(t);
    if (!good) t->status = EXIT_USAGE;
    if (good && threads_note(t, index)) {
        int threads = t->threads[index];
        bool pinned = threads == 1 && !sched_getaffinity(0, sizeof all, &all);
        if (pinned) pin_to_one_core();
        good = lines_tune(t, threads);
        if (pinned) sched_setaffinity(0, sizeof all, &all); /* the next may need more */
    }
    kiln_destroy(t->k);
    t->k = NULL;
    return good;
}

static int tune_all(struct tune *t)
{
    if (!t->threads_count) t->threads[t->threads_count++] = 0; /* the context's default */
    t->show.count = t->common.convs.count * (size_t)t->threads_count;
    t->show.begin = show_seconds(), t->show.total = t->total;
    for (int i = 0; i < t->threads_count; i++)
        if (!threads_tune(t, i)) break;
    printf("# %d tuned, %d known, %d skipped, %d failed, %zu left\n", t->tuned, t->known, t->skipped,
           t->failed, t->show.count - t->show.done);
    return t->status;
}

int cli_tune(int argc, char **argv)
{
    struct tune t = {.common.cold = true, .effort = KILN_EFFORT_MEASURE, .shard = 1, .shards = 1, .file = -1};
    t.show.terminal = isatty(STDERR_FILENO);
    int status = ask(&page, argc, argv, &t.common);
    if (status != ASK_GO_ON) return status;
    if (t.common.convs.count == 0)
        status = complain("tune needs a convolution or -f FILE; `kiln tune --help` shows how");
    if (status == ASK_GO_ON && !file_open(&t)) status = EXIT_USAGE;
    if (status == ASK_GO_ON) {
        lines_deal(&t);
        status = tune_all(&t);
    }
    lines_free(&t.common.convs);
    if (t.file >= 0) close(t.file);
    return status;
}
