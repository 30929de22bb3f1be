/* tune: what kiln tune shows while it works, and what it reports. */
#ifndef KILN_CLI_TUNE_H
#define KILN_CLI_TUNE_H

#include "kiln.h"

/* ---- while it works ---- */

/* On a terminal a line on standard error that is written again and again, else nothing. */
struct show {
    bool terminal;
    double begin, total; /* seconds; total: at most, 0: no limit */
    size_t done, count;  /* convolutions */
    char text[KILN_TEXT_MAX];
};

double show_seconds(void); /* of a clock that only goes forward */
void show_clear(const struct show *show);
void show_put(const struct show *show, const struct kiln_tuned *so_far);

/* ---- what it reports ---- */

/* How the planner's own choices did beside the best that was found. */
struct report {
    struct report_row *rows;
    size_t count, room;
};

/* False: no memory. */
bool report_add(struct report *report, const char *conv, const struct kiln_tuned *tuned);
/* Rows from the best choice to the worst, then the sums. */
void report_print(const struct report *report);
void report_free(struct report *report);

/* Whether a convolution is one of the third that the planner's model is judged by and never fitted to: that
 * depends on its canonical text alone. */
bool report_held(const char *conv);

#endif
