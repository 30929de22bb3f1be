/* bench_dir: the directory of `kiln bench --report DIR`, in the order its files are made: data, plots by
 * gnuplot from scripts that stay beside them, and one page with all of it. */
#ifndef KILN_CLI_BENCH_DIR_H
#define KILN_CLI_BENCH_DIR_H

#include "bench.h"
#include "output.h"

#include <stdio.h>

/* The files, all made anew by each report. The first marks the directory as one of ours. */
#define REPORT_SHAPES "shapes.tsv"     /* a row per conv, the worst ratio first */
#define REPORT_FAMILIES "families.tsv" /* a row per family */
#define REPORT_PAGE "index.html"

/* Before anything is measured: makes DIR if it is not there. False, said on standard error: it cannot be
 * written, or holds files that are not an earlier report's. */
bool dir_prepare(const char *dir);

/* Writes everything. False, said on standard error: a file cannot be written, or there is no gnuplot; then
 * what could be written is there. */
bool dir_write(const char *dir, const struct findings *findings);

/* ---- parts ---- */

/* What is measured for the plots alone. */
struct roofs {
    double peak_gflops, memory_gbs; /* of all threads; memory 0: not measured */
};

/* GB/s that all threads reach on arrays beyond the caches; 0: no memory for them. */
double stream_measure(int threads);

/* "64->64 3x3 @56x56" in signs made for reading. */
void shape_name(const struct kiln_conv *conv, char *name, size_t room);
/* "resnet50" of "bench/shapes/resnet50.txt". */
void family_name(const char *path, char *name, size_t room);

/* Results of all families, the worst ratio first, those without one last. */
struct ranked {
    const struct result *result;
    const struct family *family;
};
size_t ranked_count(const struct findings *findings);
void ranked_make(struct ranked *ranked, const struct findings *findings);

output_content shapes_write, families_write; /* arg: struct findings */

/* Writes the scripts and runs gnuplot on each. False: said. */
bool plots_write(const char *dir, const struct findings *findings, const struct roofs *roofs);

enum { PLOTS = 3 };
extern const struct plot {
    const char *name, *title; /* the file is NAME.svg, by NAME.gp */
    bool beside;              /* only if there are peers */
    const char *about;        /* a sentence below it */
    const char *const *script;
} plots[PLOTS];

/* Text of the files of bench/plots. */
extern const struct scripts {
    const char *style, *peers, *ratios, *roofline;
} scripts;

bool plot_wanted(const struct plot *plot, const struct findings *findings);

struct page_parts {
    const char *dir;
    const struct findings *findings;
    const struct roofs *roofs;
};
output_content page_write; /* arg: struct page_parts */

#endif
