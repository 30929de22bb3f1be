/* job: one convolution that is asked for, with its options: checked, with the schedule that wisdom has for
 * it, and as keys and texts. Knows nothing of what is then done. */
#ifndef KILN_SRC_JOB_H
#define KILN_SRC_JOB_H

#include "context.h"

/* All that decides the code within one context. Its bytes are the key of the cache in memory, up to the end
 * of the schedule: every one of them means something. */
struct question {
    struct kiln_conv conv; /* canonical */
    uint64_t scratch_limit;
    int code_budget;
    enum isa isa;
    enum { FOR_THIS, FOR_TARGET } machine;
    char schedule[KILN_TEXT_MAX]; /* explicit, or wisdom's; "": the planner chooses */
};

struct job {
    struct kiln *k;
    struct question asked;
    struct kiln_options options;
    struct cpu cpu;
    bool wise; /* the schedule is wisdom's: */
    struct advice advice;
    char conv[KILN_TEXT_MAX], machine[MACHINE_TEXT_MAX]; /* written when they are needed */
};

enum { JOB_KEY_ROOM = 2 * KILN_TEXT_MAX + MACHINE_TEXT_MAX + 256 };

/* Statuses as kiln_compile. */
enum kiln_status job_read(struct job *job, struct kiln *k, const struct kiln_conv *conv,
                          const struct kiln_options *options, struct kiln_error *error);

typedef enum kiln_status job_work(struct job *job, void *arg, struct kiln_error *error);

/* Does the work; where it refuses wisdom's schedule, again without. */
enum kiln_status job_do(struct job *job, job_work *work, void *arg, struct kiln_error *error);

/* Leaves wisdom aside: the planner chooses. */
void wisdom_drop(struct job *job);

/* Of job->asked, as a key. */
size_t job_bytes(const struct job *job);

/* The key on disk: all that decides the code, in full, and nothing else. The module stands for the planner,
 * the emitters and their choice of LLVM; which LLVM it opens is known only then, so disk_put notes that file
 * and disk_get compares. */
void job_print(struct job *job, char key[JOB_KEY_ROOM]);

/* The conv as text, and what the generator is asked. They hold until the next call for this job. */
const char *job_conv(struct job *job);
struct request job_request(struct job *job);

/* ---- its parts ---- */

/* A copy with the defaults filled in. INVALID: a field, with what is allowed. */
enum kiln_status options_read(struct kiln_options *to, const struct kiln_options *from,
                              struct kiln_error *error);

/* This machine, capped by the context and then by the options; or the target. INVALID, UNSUPPORTED. */
enum kiln_status machine_choose(struct cpu *cpu, const struct kiln *k, const struct kiln_options *options,
                                struct kiln_error *error);

#endif
