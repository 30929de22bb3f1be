/* harness: what tests of generated code share: files of cases, the machines there are, plans compiled
 * through the generator's table, and schedules nobody would propose. */
#ifndef KILN_TESTS_HARNESS_H
#define KILN_TESTS_HARNESS_H

#include "algo.h"
#include "door.h"
#include "planner.h"
#include "tensors.h"

/* ---- files of cases: a conv or a plan per line, '#' begins a comment ---- */

struct line {
    int number;
    char *text; /* without comment and blanks around it; never empty */
};

struct lines {
    struct line *line;
    size_t count;
    char *bytes;
};

/* The lines of a file, named from the root of the sources; aborts if it cannot be read. */
struct lines lines_read(const char *path);
void lines_free(struct lines *lines);

/* ---- machines ---- */

/* This machine capped at the ISA; false: it has not got that. */
bool machine_capped(struct cpu *cpu, const char *isa);

/* ---- plans ---- */

/* A sink that collects: user is a struct bytes, which the caller frees. */
struct bytes {
    char *at; /* terminated, for texts */
    size_t count;
};
void bytes_sink(void *user, const char *bytes, size_t count);
void bytes_free(struct bytes *b);

/* Everything of struct request that a plan says. */
struct request_text {
    char conv[KILN_TEXT_MAX], machine[KILN_TEXT_MAX], schedule[KILN_TEXT_MAX];
    struct request request;
};
void request_of(struct request_text *r, const struct plan *p);

/* The checked image of a plan, through the generator's table, so through text; the caller frees it. */
enum kiln_status plan_image(const struct plan *p, struct image **image, struct kiln_error *error);
enum kiln_status plan_compile(const struct plan *p, struct kernel **made, struct kiln_error *error);

/* Compiles and tries a plan on tensors of its conv, of the data for its algorithm (data_for) if results
 * are to be as wanted. False: *why says what went wrong. */
bool plan_try(const struct plan *p, const struct tensors *t, struct text *why);

/* Changes knobs of a plan at random until plan_check accepts it, or gives up after a while: false, and
 * *p is as it was. */
bool plan_shake(struct plan *p, struct random *r);

#endif
