/* door: the one door to LLVM. The generator is a module with one exported, versioned table of
 * functions that take text and give text or bytes; it is opened on the first miss, privately, and
 * never closed, or linked in (-DKILN_STATIC_GENERATOR=ON). A schedule is opaque text here. */
#ifndef KILN_SRC_DOOR_H
#define KILN_SRC_DOOR_H

#include "kiln.h"

enum {
    GENERATOR_VERSION = 4,
    CODE_BUDGET = 800, /* FMAs; about 20 kB of code: what the instruction cache holds with room to spare */
    CODE_BUDGET_MOST = 4096, /* some 90 kB; compiling more takes LLVM seconds */
};

/* Where an algorithm whose sums are not the plain ones wins by less than this factor, the plain ones are
 * preferred: by estimates as well as by times. */
static const double WORTH_INEXACT = 1.1;

/* What is to be generated, all as text. */
struct request {
    const char *conv;     /* canonical conv text */
    const char *machine;  /* cpu_print */
    const char *schedule; /* explicit, or NULL: the planner chooses */
    size_t scratch_limit; /* bytes; 0: none */
    int code_budget;      /* FMAs; 0: CODE_BUDGET */
    int candidates;       /* listed, at most; 0: one of each algorithm */
    const char *symbol;   /* of the dump of an object: its functions are SYMBOL_run and SYMBOL_pack, for the
                             program that it is linked into; NULL: run and pack */
};

struct generator {
    uint32_t version; /* GENERATOR_VERSION */
    const char *llvm; /* "19.1.7", for reports */
    const char
        *llvm_file; /* the path that LLVM was loaded from; NULL: not known, or it is part of the module */
    /* The plan line that would be compiled. */
    enum kiln_status (*plan)(const struct request *, kiln_sink *, void *, struct kiln_error *);
    /* The plan lines of those worth a try, with newlines between, the chosen one first. */
    enum kiln_status (*candidates)(const struct request *, kiln_sink *, void *, struct kiln_error *);
    enum kiln_status (*explain)(const struct request *, kiln_sink *, void *, struct kiln_error *);
    /* The whole image, in one call of the sink. */
    enum kiln_status (*compile)(const struct request *, kiln_sink *, void *, struct kiln_error *);
    enum kiln_status (*dump)(const struct request *, enum kiln_dump, kiln_sink *, void *,
                             struct kiln_error *);
};

/* The module's one exported symbol. */
typedef const struct generator *generator_entry(void);
#define GENERATOR_SYMBOL "kiln_generator"

/* The table, from the module at `path`; or if that is NULL the one linked in; or from KILN_GENERATOR
 * (ignored in privileged processes), or from beside what holds this code. SYSTEM: what was looked for and
 * where, and what to install. */
enum kiln_status door_open(const char *path, const struct generator **generator, struct kiln_error *error);

/* What tells the module that door_open would open from others, without opening it: its size and the time of
 * its last change; "" if there is none. */
enum { DOOR_STAMP_ROOM = 64 };
void door_stamp(const char *path, char stamp[DOOR_STAMP_ROOM]);

#endif
