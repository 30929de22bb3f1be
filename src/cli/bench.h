/* bench: Kiln timed beside other libraries, in one process, on the same tensors. The parts, in the
 * order the data flows: peers are opened, each conv is measured (timed in turns, then compared), and
 * each result is reported. */
#ifndef KILN_CLI_BENCH_H
#define KILN_CLI_BENCH_H

#include "lines.h"
#include "peer.h"

/* ---- timing: who runs, in turns ---- */

/* One of those timed in turns: run(state) is one call. */
struct contender {
    void (*run)(void *state);
    void *state;
    double us; /* of one call, the median of the samples: the result */
    size_t batch;
    double *samples;
};

/* Times the contenders A B C A B C ..., each at least SAMPLES_MIN times and about `seconds` long. Calls
 * that are short beside the clock's resolution are timed in batches. Between turns it waits `pause_us`,
 * for the idle threads of the previous contender to go to sleep. */
void contenders_race(struct contender *contenders, size_t count, double seconds, unsigned pause_us);

/* The p-quantile of values, which are sorted: 0.5 is the median. 0 where there are none. */
double quantile(double *values, size_t count, double p);

/* ---- peak: what one core could do ---- */

/* A short run of independent FMAs in the widest vectors allowed; flops: of one run. */
struct peak {
    void (*run)(void *unused);
    double flops;
};

/* isa NULL: the machine's widest. */
struct peak peak_find(const char *isa);

/* ---- peers: the libraries beside ---- */

enum {
    PEERS_MAX = 8,   /* libraries of one --peers list */
    TIMINGS_MAX = 16 /* variants of all of them together, for one conv */
};

struct peers {
    const struct peer *at[PEERS_MAX];
    int count;
};

/* Opens the modules of a list such as "onednn", each beside this program, with OMP_NUM_THREADS set.
 * False: said on standard error. */
bool peers_open(struct peers *peers, const char *list, int threads);

/* ---- measuring one conv ---- */

/* How one variant of one peer did. */
struct timing {
    char name[64]; /* "onednn:any" */
    double us;
    double worst;                /* largest difference from Kiln's output, in RMS of the output */
    bool agrees;                 /* worst is within the bound */
    char error[KILN_ERROR_TEXT]; /* empty: it ran */
};

struct result {
    char text[KILN_TEXT_MAX]; /* the conv, canonical */
    enum kiln_layout layout;
    enum kiln_status status; /* of Kiln; not OK: error says why, and nothing was timed */
    char error[KILN_ERROR_TEXT];
    char plan[KILN_TEXT_MAX];
    double us, gflops, peak_gflops; /* peak of one core, timed in the same turns */
    double compile_ms, pack_us, overhead_ns;
    struct timing timings[TIMINGS_MAX];
    int timing_count;
};

/* What is the same for every conv measured. */
struct setup {
    struct kiln_config config;
    struct peers peers;
    struct peak peak;
    int threads;
    double seconds;          /* of timing, for each contender */
    double tiny_overhead_ns; /* of kiln_run, measured once on a tiny conv */
};

/* Warms the process up with one tiny compile, and measures what a call of kiln_run costs. */
enum kiln_status setup_warm(struct setup *setup, struct kiln_error *error);

/* Compiles in a context of its own, so always cold; runs; compares. Fills every field of *result. */
void conv_measure(const struct setup *setup, const struct line *line, const struct kiln_options *options,
                  struct result *result);

/* peer_us / us of the fastest peer variant; 0 where none ran. */
double result_ratio(const struct result *result);

/* ---- reporting ---- */

/* Results of one file of convs, or of those on the command line. */
struct family {
    const char *name;
    const struct result *results;
    size_t count;
};

void report_json(const struct result *result, int threads);
void report_head(const struct result *result); /* table: the line of column names */
void report_row(const struct result *result, int threads);
void report_summary(const struct family *families, size_t count);

#endif
