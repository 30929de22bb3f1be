/* Kiln: fixed convolution shapes, fired into machine code.
 *
 * A convolution is described by a struct kiln_conv, compiled once into a plan, and run many times. Everything
 * here is thread-safe unless a function says otherwise; the only state beside contexts is each thread's
 * scratch memory. Every function that can fail returns a status and, if the caller passes one, fills a struct
 * kiln_error with a sentence. A failing call changes none of its outputs.
 *
 * Notation: x[n][ih][iw][ic] is a dense C array; ic and oc count over all groups; icg = ic / g and
 * ocg = oc / g. Dilation counts from 1, as in PyTorch. Sizes are in elements unless they say bytes. */
#ifndef KILN_H
#define KILN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KILN_VERSION_MAJOR 0
#define KILN_VERSION_MINOR 1
#define KILN_VERSION_PATCH 0

#if defined __GNUC__
#define KILN_API __attribute__((visibility("default")))
#else
#define KILN_API
#endif

/* ---- statuses and errors ---- */

enum kiln_status {
    KILN_STATUS_OK,          /* done */
    KILN_STATUS_INVALID,     /* the caller's mistake: the text says which field, its value, what is allowed */
    KILN_STATUS_UNSUPPORTED, /* well formed, but beyond what Kiln or this machine does */
    KILN_STATUS_MEMORY,      /* an allocation failed */
    KILN_STATUS_SYSTEM,      /* the operating system or a missing file: the text names it */
    KILN_STATUS_INTERNAL,    /* a defect of Kiln: please report the text, which holds the plan line */
};

enum { KILN_ERROR_TEXT = 512 };

/* What went wrong, in a sentence. Owned by the caller; may be uninitialised before a call; written only by a
 * call that fails. Every `error` parameter may be NULL. */
struct kiln_error {
    enum kiln_status status;
    char text[KILN_ERROR_TEXT];
};

/* "ok", "invalid", "unsupported", "memory", "system", "internal"; "unknown" for any other value. */
KILN_API const char *kiln_status_name(enum kiln_status status);

/* "0.1.0": the version of the library that is running, which may differ from the header's. */
KILN_API const char *kiln_version(void);

/* Receives bytes in order; they are not terminated and not kept. */
typedef void kiln_sink(void *user, const char *bytes, size_t count);

/* A line for each word of struct kiln_config's debug and of KILN_DEBUG, "  WORD  what it asks for". */
KILN_API void kiln_debug_print(kiln_sink *sink, void *user);

/* ---- the convolution: what is asked ---- */

enum kiln_type { KILN_TYPE_F32, KILN_TYPE_BF16, KILN_TYPE_F16, KILN_TYPE_U8, KILN_TYPE_S8, KILN_TYPE_S32 };

enum kiln_layout {
    KILN_LAYOUT_NCHW, /* x[n][ic][id][ih][iw] */
    KILN_LAYOUT_NHWC, /* x[n][id][ih][iw][ic] */
};

/* What a tap outside src reads. */
enum kiln_mode {
    KILN_MODE_ZEROS,
    KILN_MODE_REFLECT,   /* mirrored without repeating the border: -1 reads 1; padding < extent */
    KILN_MODE_REPLICATE, /* the nearest border element */
    KILN_MODE_CIRCULAR,  /* wrapped around: -1 reads extent - 1; padding <= extent */
};

enum kiln_accuracy {
    KILN_ACCURACY_DEFAULT, /* error against the f64 result at most 2e-5 of the output's RMS on N(0,1) data */
    KILN_ACCURACY_STRICT,  /* the plain sum: no Winograd, no reduced precision; NaN and Inf spread just so */
    KILN_ACCURACY_FAST,    /* at most 1e-4 of the output's RMS */
};

/* Post-ops, applied in order to each sum v of output channel oc. */
enum kiln_post_kind {
    KILN_POST_BIAS,      /* v + bias[oc] */
    KILN_POST_SCALE,     /* v * scale[oc] */
    KILN_POST_ADD,       /* v + add[...], a tensor of dst's shape, which may be dst itself */
    KILN_POST_RELU,      /* v < 0 ? 0 : v; NaN stays NaN */
    KILN_POST_LEAKY,     /* v < 0 ? a * v : v */
    KILN_POST_PRELU,     /* v < 0 ? prelu[oc] * v : v */
    KILN_POST_CLIP,      /* v < a ? a : v > b ? b : v; NaN stays NaN; a <= b */
    KILN_POST_SIGMOID,   /* 1 / (1 + exp(-v)) */
    KILN_POST_TANH,      /* tanh(v) */
    KILN_POST_SILU,      /* v / (1 + exp(-v)) */
    KILN_POST_GELU,      /* v * (1 + erf(v / sqrt(2))) / 2 */
    KILN_POST_HARDSWISH, /* v * clip(v + 3, 0, 6) / 6 */
};

struct kiln_post {
    enum kiln_post_kind kind;
    float a, b; /* leaky(a), clip(a,b); else 0 */
};

/* Post-ops of one convolution at most: twice the longest chain seen in published networks. */
enum { KILN_POST_MAX = 8 };

/* One convolution. Fill it with kiln_conv_init and then by name, or with kiln_conv_parse.
 *
 *   od = (id + pf + pk - ((kd - 1) * dd + 1)) / sd + 1
 *   oh = (ih + pt + pb - ((kh - 1) * dh + 1)) / sh + 1
 *   ow = (iw + pl + pr - ((kw - 1) * dw + 1)) / sw + 1
 *
 * A 2-D convolution has id = kd = 1, a 1-D one also ih = kh = 1. */
struct kiln_conv {
    size_t size;            /* sizeof(struct kiln_conv); set by kiln_conv_init */
    int64_t n, g;           /* batch; groups */
    int64_t ic, id, ih, iw; /* src: channels, depth, height, width */
    int64_t oc, kd, kh, kw; /* output channels; kernel */
    int64_t sd, sh, sw;     /* strides */
    int64_t dd, dh, dw;     /* dilation, 1 is dense */
    int64_t pf, pk;         /* padding: front, back */
    int64_t pt, pb;         /* top, bottom */
    int64_t pl, pr;         /* left, right */
    enum kiln_type src, weights, dst;
    enum kiln_layout layout; /* of src and dst; weights are always w[oc][icg][kd][kh][kw] */
    enum kiln_mode mode;
    enum kiln_accuracy accuracy;
    int post_count;
    struct kiln_post post[KILN_POST_MAX];
};

/* Sets n, g, the strides, the dilations and every extent to 1, but ic, iw, oc and kw, which must then be set,
 * to 0; no padding, f32, nhwc, zeros, default accuracy, no post-ops. */
KILN_API void kiln_conv_init(struct kiln_conv *conv);

/* Reads the text form (docs/plan.md), such as "conv n1 ic64 ih56 iw56 oc64 kh3 kw3 ph1 pw1 f32 nhwc +bias
 * +relu"; a plan line is read up to its first '|'. oneDNN's benchdnn words are read too. Checks as
 * kiln_conv_check does. INVALID: the error says what is wrong and where. UNSUPPORTED: a benchdnn word that
 * leaves a part of src out. */
KILN_API enum kiln_status kiln_conv_parse(struct kiln_conv *conv, const char *text, struct kiln_error *error);

/* Writes the canonical text, always terminated if room > 0, and returns its length without the terminator, as
 * snprintf does; parsing it gives an equal conv. Never needs more than KILN_TEXT_MAX bytes. */
KILN_API size_t kiln_conv_print(const struct kiln_conv *conv, char *text, size_t room);

enum { KILN_TEXT_MAX = 1024 }; /* bytes that any text of a conv or of a plan line needs at most */

/* OK, or INVALID naming the field, its value and what is allowed: extents below 1, groups that do not divide
 * ic and oc, no output left, a tensor beyond PTRDIFF_MAX bytes, and so on. */
KILN_API enum kiln_status kiln_conv_check(const struct kiln_conv *conv, struct kiln_error *error);

/* The derived output extents: out[0] = od, out[1] = oh, out[2] = ow. INVALID as kiln_conv_check. */
KILN_API enum kiln_status kiln_conv_output(const struct kiln_conv *conv, int64_t out[3],
                                           struct kiln_error *error);

/* ---- the context ---- */

/* Runs work(arg, i) for every i in [0, count), on any threads, and returns when all have run. Called by
 * kiln_run, and for one context by one thread at a time. */
typedef void kiln_parallel(void *user, size_t count, void (*work)(void *arg, size_t i), void *arg);

/* One line, without a newline, as chosen by `debug`. Called on whatever thread has something to tell, with no
 * lock held: it may call back into Kiln. */
typedef void kiln_log(void *user, const char *line);

/* What may be done with the cache of kernels on disk (docs/caching.md). */
enum kiln_cache {
    KILN_CACHE_DEFAULT, /* KILN_CACHE, else on */
    KILN_CACHE_OFF,     /* not looked at */
    KILN_CACHE_READ,    /* kernels are taken from it; nothing is written, hits are not counted */
    KILN_CACHE_ON,      /* and those compiled are written to it */
};

/* How a context is made. Zero every field not set, and set size; every zero field means its default. */
struct kiln_config {
    size_t size; /* sizeof(struct kiln_config) */
    int threads; /* of the pool behind kiln_run, at most 1024; 0: KILN_THREADS, else 1, or with `parallel` one
                    for each processor. Of the pool no more are started than the thread that calls
                    kiln_create may use processors (its affinity): kiln_stats tells how many */
    kiln_parallel *parallel; /* the caller's own threads instead of the pool; threads is then their number */
    void *parallel_user;
    size_t cache_bytes;    /* capacity of the in-memory cache of kernels; 0: 64 MiB */
    const char *isa;       /* the most that may be used, such as "avx2"; NULL: KILN_ISA, else all there is */
    const char *generator; /* path of the generator module; NULL: KILN_GENERATOR, else beside the library */
    const char *debug; /* what is logged, and which profilers and debuggers are told of kernels: words such as
                          "plan,cache" that kiln_debug_print lists. NULL: KILN_DEBUG, else nothing */
    kiln_log *log;     /* NULL: standard error. Called until kiln_destroy has returned */
    void *log_user;
    const char *wisdom; /* path of a file for kiln_wisdom_import; "": none; NULL: KILN_WISDOM, else none */
    /* The cache of kernels on disk. Its directory, an absolute path, is made when first written to; NULL:
     * KILN_CACHE_DIR, else $XDG_CACHE_HOME/kiln, else ~/.cache/kiln, else there is none. */
    enum kiln_cache cache;
    const char *cache_dir;
    uint64_t cache_disk_bytes; /* beyond which the least recently used go; 0: KILN_CACHE_MAX, else 256 MiB */
};

struct kiln;

/* Makes a context: caches, pool, options. config may be NULL; it is copied. Destroy it with kiln_destroy. A
 * forked child may run plans, on its own thread; it must not compile with a context that another thread of
 * its parent was compiling with. INVALID: a bad field, or a bad variable of the environment. UNSUPPORTED: an
 * ISA that this machine lacks. SYSTEM: threads cannot be started, or the wisdom file not be read. MEMORY. */
KILN_API enum kiln_status kiln_create(struct kiln **k, const struct kiln_config *config,
                                      struct kiln_error *error);

/* Plans made with k remain usable. NULL is allowed. No other call may be using k. */
KILN_API void kiln_destroy(struct kiln *k);

/* ---- compiling ---- */

/* How a plan is chosen. What takes time to find, kiln_tune finds once, and leaves as wisdom. */
enum kiln_effort {
    KILN_EFFORT_ESTIMATE,    /* wisdom where there is some, else the analytic model; nothing is timed */
    KILN_EFFORT_WISDOM_ONLY, /* wisdom, and nothing but that: UNSUPPORTED where there is none */
    KILN_EFFORT_MEASURE,     /* kiln_tune only: times a dozen of the model's best */
    KILN_EFFORT_EXHAUSTIVE,  /* kiln_tune only: times all that the model does not think far behind */
};

/* What may be asked of one compilation. Zero every field not set, and set size. */
struct kiln_options {
    size_t size; /* sizeof(struct kiln_options) */
    enum kiln_effort effort;
    const char *isa;      /* as in kiln_config, within its cap; NULL: the context's */
    const char *target;   /* "x86_64", "aarch64" or a triple such as "aarch64-linux-gnu": compile for
                             another machine; the plan can be dumped, not run. NULL: this machine */
    const char *schedule; /* an explicit schedule, "direct ow=14 oc=2 ..." or a whole plan line of this
                             conv, whose machine then caps the ISA; NULL: the planner chooses */
    size_t scratch_limit; /* bytes of scratch that a plan may need for each thread: of others none is chosen,
                             and such a schedule is INVALID; 1: none at all; 0: no limit */
    int code_budget;      /* unrolled FMAs that the planner may choose for the whole object; 0: 800, the
                             most: 4096, which is also what an explicit schedule may unroll; with less
                             than 800 no wisdom is used */
    int candidates;       /* that kiln_candidates tells, at most 4096; 0: one of every algorithm */
};

struct kiln_plan;

/* Plans, emits, compiles and loads one convolution, or finds it in the caches, in memory or on disk; then the
 * code-generation module, and so LLVM, is not even opened. Two threads that ask for the same kernel compile
 * it once. What is wrong with the cache on disk is never an error: what cannot be believed is ignored and
 * made anew, what cannot be written is not kept, and the log tells ("cache"). The plan is immutable and
 * belongs to the caller, who releases it. options may be NULL. INVALID: conv, options or schedule, with the
 * reason. UNSUPPORTED: what is not compiled yet, no schedule within the limits, or an ISA that is not there.
 * SYSTEM: the code-generation module cannot be opened, or memory cannot be made executable. MEMORY. INTERNAL.
 */
KILN_API enum kiln_status kiln_compile(struct kiln *k, const struct kiln_conv *conv,
                                       const struct kiln_options *options, struct kiln_plan **plan,
                                       struct kiln_error *error);

/* Told by kiln_compile_many that convs[index] is done, as `done` of `count`: error is NULL, or why it has no
 * plan. Called on any of its threads, by one at a time. */
typedef void kiln_compiled(void *user, size_t index, size_t done, size_t count,
                           const struct kiln_error *error);

/* Compiles convs[count] as kiln_compile does each, equal ones once, on `jobs` threads, this one included: 0
 * to 1024; 0: one for each processor that this thread may use. options: NULL, or count pointers, each of
 * which may be NULL. plans[i] is then the plan of convs[i], which the caller releases, or NULL. compiled may
 * be NULL. OK: all have plans. INVALID: k, convs, count, jobs or plans, and nothing was done. Otherwise the
 * status and the sentence of the first that has none, named by its index; the others have theirs. MEMORY:
 * also for the list of them; then none has a plan. */
KILN_API enum kiln_status kiln_compile_many(struct kiln *k, const struct kiln_conv *convs,
                                            const struct kiln_options *const *options, size_t count, int jobs,
                                            struct kiln_plan **plans, kiln_compiled *compiled, void *user,
                                            struct kiln_error *error);

/* Reference counts: a plan starts with one, and goes with its last. NULL is allowed in release. */
KILN_API struct kiln_plan *kiln_plan_retain(struct kiln_plan *plan);
KILN_API void kiln_plan_release(struct kiln_plan *plan);

/* The plan line, "conv ... | schedule | machine"; owned by the plan. */
KILN_API const char *kiln_plan_text(const struct kiln_plan *plan);

/* Whether the plan's algorithm makes no error on small integers: every sum within 2^24 is exact. */
KILN_API bool kiln_plan_exact(const struct kiln_plan *plan);

/* The convolution the plan computes; owned by the plan. */
KILN_API const struct kiln_conv *kiln_plan_conv(const struct kiln_plan *plan);

/* Wisdom is text: plan lines, each with the time that it took in a comment behind it, as kiln_tune finds
 * them:
 *
 *   conv n1 ic64 ... f32 nhwc | direct ow=14 oc=2 | avx512  # 123.4 us threads=1 2025-05-17 ...
 *
 * Texts of wisdom are joined by putting one behind the other: of each conv, ISA and number of threads the
 * line of the least time counts, and lines without a time count least. What is known for another number of
 * threads is used where nothing is for this context's. Lines that say nothing usable are passed over, and the
 * log tells why (debug "wisdom"); what a schedule is worth shows when it is compiled: one that is refused
 * then is passed over too. */

/* Adds text[size] to what the context knows. INVALID: NULL. MEMORY: what came before is kept. */
KILN_API enum kiln_status kiln_wisdom_import(struct kiln *k, const char *text, size_t size,
                                             struct kiln_error *error);

/* Hands out all that the context knows, a line at a time. INVALID: NULL. */
KILN_API enum kiln_status kiln_wisdom_export(struct kiln *k, kiln_sink *sink, void *user,
                                             struct kiln_error *error);

/* What kiln_tune found, and on the way what it has found so far. */
struct kiln_tuned {
    char line[3 * KILN_TEXT_MAX]; /* a line of wisdom: the best plan, its time, threads, date and machine */
    char estimate[KILN_TEXT_MAX]; /* the plan line of the planner's own choice; "" if nothing was timed */
    double us, estimate_us; /* of a run of the best, and of the planner's choice; that is 0 if nothing was */
    double noise;           /* by how much two times of one plan differed: 0.01 is one percent */
    int candidates, tried;  /* plans to compile and time, and how many of them were */
    bool known;             /* the context's wisdom had it: nothing was timed */
};

/* How kiln_tune works. Zero every field not set, and set size. */
struct kiln_tuning {
    size_t size;    /* sizeof(struct kiln_tuning) */
    double seconds; /* for all of it, but for the last compiling and a few last runs; 0: 10, EXHAUSTIVE 120 */
    bool again;     /* also what is known */
    bool noisy;     /* also where the machine is too noisy to tell plans apart */
    void (*progress)(void *user, const struct kiln_tuned *so_far, double seconds); /* NULL: none */
    void *user;
};

/* Times plans of one convolution on this machine and the context's threads, and adds the best to the
 * context's wisdom. The planner's choice stays unless it is beaten by more than the noise; a plan whose sums
 * are not the plain ones must win by a tenth. options: isa, scratch_limit and code_budget, as for
 * kiln_compile, and effort: MEASURE, which is what NULL means, EXHAUSTIVE, or ESTIMATE: the planner's choice
 * beside wisdom's alone. tuning and tuned may be NULL. Let nothing else run meanwhile. INVALID, UNSUPPORTED,
 * MEMORY, INTERNAL: as kiln_compile. SYSTEM: also a machine too noisy. */
KILN_API enum kiln_status kiln_tune(struct kiln *k, const struct kiln_conv *conv,
                                    const struct kiln_options *options, const struct kiln_tuning *tuning,
                                    struct kiln_tuned *tuned, struct kiln_error *error);

/* Tells what would run, why that and not another, and what it costs: the plan line, the loop nest, registers,
 * loads, FMAs, packed weights, scratch beside the caches, flops, bytes, the estimate with its parts and the
 * one that binds, every algorithm's best or why there is none, and the runners-up. Nothing is compiled.
 * Statuses as kiln_compile. */
KILN_API enum kiln_status kiln_explain(struct kiln *k, const struct kiln_conv *conv,
                                       const struct kiln_options *options, kiln_sink *sink, void *user,
                                       struct kiln_error *error);

/* Tells the plan lines of the best schedule of every algorithm that can do this, or with options->candidates
 * of so many that are worth a try, likely and different ones first; newlines between them, the planner's
 * choice first; with options->schedule, or with wisdom if the effort is that only, that one's line
 * alone. Each can be given as
 * options->schedule. Nothing is compiled. Statuses as kiln_compile. */
KILN_API enum kiln_status kiln_candidates(struct kiln *k, const struct kiln_conv *conv,
                                          const struct kiln_options *options, kiln_sink *sink, void *user,
                                          struct kiln_error *error);

enum kiln_dump {
    KILN_DUMP_IR,     /* LLVM IR as emitted, text */
    KILN_DUMP_IR_OPT, /* after the passes, text */
    KILN_DUMP_ASM,    /* assembly, text */
    KILN_DUMP_OBJECT, /* the ELF object */
    KILN_DUMP_IMAGE,  /* the flat image with its header: what the cache holds */
};

/* Compiles again, outside the cache, and hands out one of the artefacts. Statuses as kiln_compile. */
KILN_API enum kiln_status kiln_dump(struct kiln *k, const struct kiln_conv *conv,
                                    const struct kiln_options *options, enum kiln_dump what, kiln_sink *sink,
                                    void *user, struct kiln_error *error);

/* ---- ahead of time (docs/aot.md) ---- */

/* One file that kiln_aot makes. */
struct kiln_aot_file {
    const char *name;  /* "NAME_0_avx2.o", "NAME.c", "NAME.h": for the caller to put where it belongs */
    const char *bytes; /* gone after the call */
    size_t count;
    const char *plan;  /* of an object: its plan line; NULL: it is C */
    size_t code_bytes; /* of an object: machine code and constants */
};

typedef void kiln_aot_visit(void *user, const struct kiln_aot_file *file);

/* Compiles convs[count] for programs that have neither Kiln nor LLVM: hands out an object for each kernel,
 * then NAME.c, which chooses among them by what the machine that it runs on offers, and NAME.h, which tells
 * how they are called; link all of them. NAME, the prefix of every name in them, is an identifier of C of at
 * most 64 letters. Equal convolutions are one function, NAME_0, NAME_1 and so on in the order of the list;
 * with different options they give it kernels to choose from, one for each ISA: of two for one ISA the first
 * counts. options[i] as for kiln_compile, or NULL; target, the same in all, NULL being this machine's
 * architecture; isa: NULL is its highest. Code is for every machine of its target and ISA, not only for this
 * one. Nothing is handed out unless all is made. INVALID: k, name, convs, options, visit, or targets
 * that differ. Statuses of kiln_compile, whose sentence then begins with the conv. */
KILN_API enum kiln_status kiln_aot(struct kiln *k, const char *name, const struct kiln_conv *convs,
                                   const struct kiln_options *const *options, size_t count,
                                   kiln_aot_visit *visit, void *user, struct kiln_error *error);

/* ---- this machine ---- */

/* What one machine offers, as `kiln cpu` prints it; capped as options say. INVALID: options, such as an
 * unknown ISA. UNSUPPORTED: an ISA that is not there. */
KILN_API enum kiln_status kiln_cpu_print(struct kiln *k, const struct kiln_options *options, kiln_sink *sink,
                                         void *user, struct kiln_error *error);

/* What a context has counted since it was made. */
struct kiln_stats {
    uint64_t hits, misses; /* of the in-memory cache; to wait for another thread's compiling is a hit; what
                              ended in an error was a miss, too */
    uint64_t compiles;     /* kernels compiled: of the misses those neither found on disk nor failed */
    uint64_t evictions;    /* kernels dropped to stay within cache_bytes */
    uint64_t bytes;        /* of the kernels held now */
    double compile_ms;     /* CPU milliseconds spent compiling, all together */
    int threads;           /* that share a run: those of the pool, or as many as `parallel` is said to have */
    uint64_t disk_hits, disk_misses, disk_writes; /* of the cache on disk, asked on each miss in memory */
};

KILN_API void kiln_stats(struct kiln *k, struct kiln_stats *stats);

/* ---- the cache on disk ---- */

/* The directory of a context's cache on disk, which need not exist yet; NULL: no place for one is known.
 * Owned by the context. */
KILN_API const char *kiln_cache_path(const struct kiln *k);

/* One file of it: a kernel. */
struct kiln_cache_entry {
    const char *file;  /* its name in the directory */
    const char *plan;  /* the plan line; NULL: the file is not sound */
    const char *key;   /* all that the kernel is the answer to; NULL likewise */
    const char *wrong; /* a sentence; NULL: nothing is */
    uint64_t bytes;
    uint64_t
        hits; /* times it was loaded, counted in KILN_CACHE_ON; of several at one moment some may be lost */
    int64_t used; /* when it was written or last hit: seconds since 1970 */
};

typedef void kiln_cache_visit(void *user, const struct kiln_cache_entry *entry);

/* Reads and checks every file of the cache on disk, and tells of each, the most recently used first; what it
 * hands over is gone after the call. No directory: no files. SYSTEM, INVALID: there is no place for one, or
 * the directory cannot be read or believed, with the reason. MEMORY. */
KILN_API enum kiln_status kiln_cache_list(struct kiln *k, kiln_cache_visit *visit, void *user,
                                          struct kiln_error *error);

/* Removes the least recently used files until `most` bytes are left, or what the context keeps, if that is
 * less (UINT64_MAX: that alone; 0: all go), and what killed writers have left. *removed, or NULL: how many
 * went. Statuses as kiln_cache_list; SYSTEM: also a file that cannot be removed; the others have been. */
KILN_API enum kiln_status kiln_cache_prune(struct kiln *k, uint64_t most, uint64_t *removed,
                                           struct kiln_error *error);

/* ---- running ---- */

/* The tensors of one run: pointers only, a fixed layout that kernels bake in. Those that the convolution does
 * not use may be NULL. Tensors are dense and aligned to their element; packed weights to 64 bytes. dst may be
 * the same tensor as add, and overlap nothing else. */
struct kiln_args {
    const void *src;     /* nhwc: x[n][id][ih][iw][ic]; nchw: x[n][ic][id][ih][iw] */
    const void *weights; /* as kiln_pack packed them: kiln_plan_packed_size bytes */
    const void *bias;    /* bias[oc] */
    const void *scale;   /* scale[oc] */
    const void *add;     /* of dst's shape and layout */
    const void *prelu;   /* prelu[oc] */
    void *dst;           /* nhwc: y[n][od][oh][ow][oc]; nchw: y[n][oc][od][oh][ow] */
};

/* A kernel computes tasks [begin, end) of a plan; no two tasks write the same output. scratch: NULL if the
 * plan needs none, else kiln_plan_scratch_size bytes, aligned to 64, used by one call at a time. */
typedef void kiln_kernel(const struct kiln_args *args, size_t begin, size_t end, void *scratch);

/* Packs w[oc][icg][kd][kh][kw] into what the kernel reads. */
typedef void kiln_packer(const void *weights, void *packed);

/* Bytes of packed weights, of scratch for one running thread (0: none), and the number of tasks. */
KILN_API size_t kiln_plan_packed_size(const struct kiln_plan *plan);
KILN_API size_t kiln_plan_scratch_size(const struct kiln_plan *plan);
KILN_API size_t kiln_plan_tasks(const struct kiln_plan *plan);

/* The machine code itself, for callers with their own threads and no need of checks; valid as long as the
 * plan. NULL for a plan of another target. */
KILN_API kiln_kernel *kiln_plan_kernel(const struct kiln_plan *plan);
KILN_API kiln_packer *kiln_plan_packer(const struct kiln_plan *plan);

/* Packs weights[oc][icg][kd][kh][kw] into packed[kiln_plan_packed_size], aligned to 64 bytes; the two must
 * not overlap. Packed weights belong to this plan: another plan of the same conv may read another order.
 * INVALID: a NULL or misaligned pointer. UNSUPPORTED: a plan of another target. */
KILN_API enum kiln_status kiln_pack(const struct kiln_plan *plan, const void *weights, void *packed,
                                    struct kiln_error *error);

/* Computes the convolution on the context's threads. But for rounding, a 2-D one in nhwc is
 *
 *   for (n) for (oc) for (oh) for (ow) {
 *       double v = 0;
 *       for (i in [0, icg)) for (kh) for (kw)
 *           v += src[n][oh * sh - pt + kh * dh][ow * sw - pl + kw * dw][oc / ocg * icg + i]
 *                * weights[oc][i][kh][kw];
 *       dst[n][oh][ow][oc] = post-ops(v);
 *   }
 *
 * where a tap outside src reads 0. NaN and Inf spread exactly so only under KILN_ACCURACY_STRICT: otherwise
 * padding may be multiplied by weights, and 0 * Inf is NaN, and Winograd spreads them over whole tiles of
 * outputs. Re-entrant: any number of threads may run one plan. After a thread's first call nothing is
 * allocated and no lock is waited for: a plan of one task, or any while the pool is busy, runs on the calling
 * thread. INVALID: a NULL or misaligned tensor. UNSUPPORTED: a plan of another target. MEMORY: a thread's
 * first scratch. */
KILN_API enum kiln_status kiln_run(const struct kiln_plan *plan, const struct kiln_args *args,
                                   struct kiln_error *error);

/* The ith of nth shares of kiln_run, which differ by a task at most, on the calling thread: when every ith in
 * [0, nth) has run, in any order, on any threads, dst is whole. scratch as for kiln_kernel, or NULL: memory
 * of the calling thread's own, kept from call to call. Statuses as kiln_run; INVALID: also nth == 0, ith >=
 * nth or misaligned scratch. */
KILN_API enum kiln_status kiln_run_part(const struct kiln_plan *plan, const struct kiln_args *args,
                                        void *scratch, size_t ith, size_t nth, struct kiln_error *error);

/* The oracle: the naive nest with f64 sums, for every f32 convolution that kiln_conv_check accepts; slow.
 * args as for kiln_run, except that args->weights is not read: weights[oc][icg][kd][kh][kw] is passed raw.
 * INVALID: conv, or as kiln_run. UNSUPPORTED: types other than f32. */
KILN_API enum kiln_status kiln_interpret(const struct kiln_conv *conv, const void *weights,
                                         const struct kiln_args *args, struct kiln_error *error);

/* One element of what kiln_interpret computes: at = {n, oc, od, oh, ow}; args->dst is not looked at, and for
 * +add args->add is read at the same element. Statuses as kiln_interpret; INVALID: also coordinates out of
 * range. */
KILN_API enum kiln_status kiln_interpret_at(const struct kiln_conv *conv, const void *weights,
                                            const struct kiln_args *args, const int64_t at[5], float *value,
                                            struct kiln_error *error);

/* The same element, told term by term: for each input channel a line per tap with the index and value read,
 * the weight and the product, and a subtotal; then the post-ops; last line "= VALUE". Statuses as
 * kiln_interpret_at. */
KILN_API enum kiln_status kiln_explain_at(const struct kiln_conv *conv, const void *weights,
                                          const struct kiln_args *args, const int64_t at[5], kiln_sink *sink,
                                          void *user, struct kiln_error *error);

#ifdef __cplusplus
}
#endif

#endif
