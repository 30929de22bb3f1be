/* emit: the words in which a loop nest is written. A C `for` in an emitter unrolls; FOR and FROM emit
 * a loop; EACH is either, as the plan says. Values and walking pointers that change live in slots,
 * which mem2reg turns into registers: nobody writes a phi by hand. Knows not which algorithm runs. */
#ifndef KILN_GENERATOR_EMIT_H
#define KILN_GENERATOR_EMIT_H

#include "cpu.h"

#include <llvm-c/Core.h>

typedef LLVMValueRef value;

enum { MAX_LANES = 64 }; /* of vectors, also of two in a row */

struct emit {
    const struct cpu *cpu;
    LLVMContextRef context;
    LLVMModuleRef module;
    LLVMBuilderRef b, slots; /* slots stands before the end of the entry block */
    LLVMTypeRef i1, i32, i64, f32, ptr, vec;
    LLVMTypeRef fma_type;
    value fma_function;
    int lanes;        /* of vec */
    int open;         /* loops begun and not ended: 0 when emission is over, or a `break` left one open */
    char defect[256]; /* the first error that LLVM reported, or "" */
    int64_t fmas, loads, stores; /* emitted so far: vectors and broadcasts */
};

/* A module for cpu whose vectors have `lanes` lanes; emit_end disposes of all of it. */
void emit_begin(struct emit *e, const struct cpu *cpu, int lanes);
void emit_end(struct emit *e);

/* Begins function `name`; its parameters are pointers or i64, one letter each: 'p' or 'i'. */
value function_begin(struct emit *e, const char *name, const char *params);
void function_end(struct emit *e);
value param(struct emit *e, int i);
value arg(struct emit *e,
          size_t offset); /* the pointer at a byte offset in struct kiln_args, the first parameter */

/* ---- integers ---- */
value k(struct emit *e, int64_t v);
bool known(value v); /* a constant; folding makes known what depends on knowns alone */
int64_t constant(value v);
value add(struct emit *e, value x, value y);
value sub(struct emit *e, value x, value y);
value mul(struct emit *e, value x, int64_t y);
value quo(struct emit *e, value x, int64_t y); /* x >= 0 */
value rem(struct emit *e, value x, int64_t y);
value least(struct emit *e, value x, value y);
value most(struct emit *e, value x, value y);
value below(struct emit *e, value x, int64_t y); /* 0 <= x < y */
value both(struct emit *e, value x, value y);
value choose(struct emit *e, value condition, value x, value y);

/* ---- addresses, in f32 elements; they may start outside a tensor ---- */
value at(struct emit *e, value base, value index);
value plus(struct emit *e, value base, int64_t index);
/* The same pointer or integer, but no pass knows where it came from: keeps loop strength reduction and
 * load merging away, which decide how long code generation takes. */
value opaque(struct emit *e, value v);

/* ---- slots: variables of the emitted code, set where they are made ---- */
struct slot {
    value p;
    LLVMTypeRef type;
};
struct slot slot(struct emit *e, const char *name, value v);
value get(struct emit *e, struct slot s);
void set(struct emit *e, struct slot s, value v);

/* Memory of the emitted function's own for n vectors: on its stack, made once. */
value own_memory(struct emit *e, int64_t n);

/* ---- loops ---- */
enum turn {
    TURN_LOOP,   /* a loop; a constant count of one is none, of zero no code; bounds of run time are tested
                    first */
    TURN_UNROLL, /* the bounds are constants: the body once for each */
    TURN_ONCE,   /* at most one turn: an if */
};
struct loop {
    value i, hi;
    value phi; /* the counter, of which i is a copy */
    LLVMBasicBlockRef body, after;
    enum turn turn;
    bool open;
};
struct loop loop_begin(struct emit *e, const char *name, enum turn turn, value lo, value hi);
void loop_end(struct emit *e, struct loop *l);

#define TURN(name, turn, lo, hi) \
    for (struct loop name = loop_begin(e, #name, turn, lo, hi); name.open; loop_end(e, &name))
#define FROM(name, lo, hi) TURN (name, TURN_LOOP, lo, hi)
#define FOR(name, count) FROM (name, k(e, 0), k(e, count))
#define EACH(name, count, unrolled) TURN (name, (unrolled) ? TURN_UNROLL : TURN_LOOP, k(e, 0), k(e, count))

/* ---- floats: scalars or vectors ---- */
value zero(struct emit *e); /* a vector of zeros */
value load(struct emit *e, value p);
value load_aligned(struct emit *e, value p); /* packed weights: aligned to a whole vector */
value load_scalar(struct emit *e, value p);
value load_splat(struct emit *e, value p);
value splat_constant(struct emit *e, float v);
void store(struct emit *e, value v, value p);
void store_scalar(struct emit *e, value v, value p);
/* Asks for the cache line at p, which may be anywhere, before it is used: to be written, or to be read,
 * for which it is brought as near as L2. */
void prefetch(struct emit *e, value p, bool write);
value vadd(struct emit *e, value x, value y);
value vsub(struct emit *e, value x, value y);
value vmul(struct emit *e, value x, value y);
value vmuladd(struct emit *e, value x, value y, value z); /* x * y + z; two roundings where there is no FMA */
value vfma(struct emit *e, value x, value y, value z);    /* the same as a part of the sums, counted */
value vrelu(struct emit *e, value v);
value vclip(struct emit *e, value v, float lo, float hi);
value shuffle(struct emit *e, value x, value y, const int *lanes, int n); /* of x's lanes, then y's */

/* ---- tails: only the lanes whose bit is set are read or written; the others read as zero ---- */
typedef uint64_t lanes_mask;
lanes_mask first_lanes(int n);
value load_lanes(struct emit *e, value p, lanes_mask mask);
void store_lanes(struct emit *e, value v, value p, lanes_mask mask);

/* The same where only the emitted code knows which lanes: those from lo to hi - 1, either of which may lie
 * outside the vector. NULL as a mask stands for all lanes. */
value lanes_between(struct emit *e, value lo, value hi);
value load_masked(struct emit *e, value p, value mask);
void store_masked(struct emit *e, value v, value p, value mask);

/* ---- vectors of f64, for what is computed once: as many lanes as those of f32 ---- */
value widen(struct emit *e, value v);
value narrow(struct emit *e, value v);
value load_double(struct emit *e, value p); /* takes the room of two vectors; store is as ever */
value table_double(struct emit *e, const double *v, int n); /* constants: where the first lies */
value load_splat_double(struct emit *e, value p);

/* v[0..lanes) as a matrix, transposed: lane j of the new v[i] is lane i of the old v[j]. Of the old
 * vectors only the first n exist. */
void transpose(struct emit *e, value *v, int n);

/* Lane i of the new v[0] is the sum of the lanes of the old v[i], for i < n. */
void lane_sums(struct emit *e, value *v, int n);

#endif
