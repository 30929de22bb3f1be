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
 * that are short beside the clock's resolution are timed in batches. With `threads`, it waits between turns
 * until those that the previous contender left spinning are asleep. Returns the share of the turns' time in
 * which this process had a core: less than about 0.98, and something else ran there. With `threads`: 1. */
double contenders_race(struct contender *contenders, size_t count, double seconds, bool threads);

/* Keeps this thread, and those it starts, on the core where it is. Where that is refused, timings are noisier
 * and still right. */
void pin_to_one_core(void);

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

/* ---- crew: what all threads could do at once ---- */

/* Threads of the bench's own, which do the same at the same time. */
struct crew;

/* work(arg, i) is called for thread i in [0, threads), 0 being the caller's. NULL: no memory or threads,
 * said in *error. */
struct crew *crew_make(int threads, void (*work)(void *arg, int i), void *arg, struct kiln_error *error);
void crew_run(void *crew); /* a contender's run: returns when all of them have worked */
void crew_free(struct crew *crew);

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
    double us, gflops;
    /* In the same turns: the peak of one core, and of all threads at once; ours on one thread. */
    double peak_gflops, peak_all_gflops, single_us;
    double compile_ms, pack_us, overhead_ns;
    double core_share; /* of the turns' time: what other work left us of the core; 1 with threads */
    struct timing timings[TIMINGS_MAX];
    int timing_count;
};

/* What is the same for every conv measured. */
struct setup {
    struct kiln_config config;
    struct peers peers;
    struct peak peak;
    struct crew *crew; /* all threads at the peak, each CREW_SLICES times; NULL: one thread */
    int threads;
    double seconds;          /* of timing, for each contender */
    double tiny_overhead_ns; /* of kiln_run, measured once on a tiny conv */
};

/* Warms the process up with one tiny compile for `isa` (NULL: the best), measures what a call of kiln_run
 * costs, and makes the crew. */
enum kiln_status setup_warm(struct setup *setup, const char *isa, struct kiln_error *error);
void setup_free(struct setup *setup);

/* Compiles in a context of its own, so always cold; runs; compares. Fills every field of *result. */
void conv_measure(const struct setup *setup, const struct line *line, const struct kiln_options *options,
                  struct result *result);

/* Whether it ran and its outputs agree with ours. */
bool timing_counts(const struct timing *timing);

/* Microseconds of a peer's fastest variant that counts, of all peers' where `peer` is NULL; 0: none. */
double result_best(const struct result *result, const char *peer);

/* ---- summing up ---- */

/* Results of one file of convs, or of those on the command line. */
struct family {
    const char *name;
    const struct result *results;
    size_t count;
};

/* All that was measured, and beside what. */
struct findings {
    const struct setup *setup;
    const struct family *families;
    size_t count;
};

/* Ratios: their geometric mean, the least and the most. */
struct tally {
    double log_sum, least, most;
    size_t count;
};

/* One family, or several together. */
struct total {
    size_t convs, skipped; /* convs: those that Kiln ran */
    struct tally fastest;  /* the fastest peer's time / ours */
    struct tally peers[PEERS_MAX];
    struct tally speedup; /* of all threads over one; the others of convs above LARGE_MFLOP only */
    struct tally large_speedup, large_peak, large_share; /* peak: the FMA loop's; share: ours / the peak's */
    double compile_ms[3], peak_gflops[3]; /* median, 95th percentile and most; least, median and most */
    double peak_all_gflops;               /* of all threads, the most */
    double core_share[2];                 /* least and median */
};

enum { LARGE_MFLOP = 50 }; /* below this the start of threads counts */

double tally_mean(const struct tally *tally); /* 0: of none */

/* False: no memory. */
bool total_make(struct total *total, const struct family *families, size_t count, const struct peers *peers);

/* Whether other work took so much of the core that times are in doubt. */
bool total_disturbed(const struct total *total);

/* Writes the summary as text. */
void summary_print(const struct findings *findings);

/* ---- reporting ---- */

/* `before` is the row printed before this one, or NULL: what a peer has refused there for the same reason
 * is not said again. */
void report_json(const struct result *result, int threads);
void report_head(const struct result *result, int threads); /* table: the line of column names */
void report_row(const struct result *result, const struct result *before, int threads);

#endif
