/* The C that goes with objects compiled ahead of time: how to call them, and the choice among them. In the
 * texts '@' stands for the name. */
#include "aot.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "load.h"
#include "run.h"
#include "text.h"

/* ---- putting ---- */

static void put_template(struct buffer *to, const char *text, const char *name)
{
    for (;;) {
        size_t plain = strcspn(text, "@");
        buffer_sink(to, text, plain);
        if (!text[plain]) return;
        buffer_sink(to, name, strlen(name));
        text += plain + 1;
    }
}

enum { PUT_ROOM = 4 * KILN_TEXT_MAX };

__attribute__((format(printf, 2, 3))) static void put(struct buffer *to, const char *format, ...)
{
    char text[PUT_ROOM];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buffer_sink(to, text, (size_t)length);
}

static size_t round_up(size_t bytes) { return (bytes + PACKED_ALIGN - 1) / PACKED_ALIGN * PACKED_ALIGN; }

/* ---- the header ---- */

static const char header_begin[] =
    " Link the objects and what @.c is compiled to; nothing else is needed.\n"
    " *\n"
    " *     const struct @_conv *c = @_0();             NULL: this machine has none of the ISAs\n"
    " *     void *packed = aligned_alloc(64, c->packed_size);\n"
    " *     void *scratch = c->scratch_size ? aligned_alloc(64, c->scratch_size) : NULL;\n"
    " *     c->pack(weights, packed);                   once\n"
    " *     c->run(&args, 0, c->tasks, scratch);        many times\n"
    " *\n"
    " * All of it may be called by any number of threads at once. */\n"
    "#ifndef @_H\n"
    "#define @_H\n"
    "\n"
    "#include <stddef.h>\n"
    "\n"
    "/* Nothing is exported from what these become part of, or two libraries with nets of one name would "
    "call\n"
    " * each other's. To export them, define @_API as nothing, also for @.c. */\n"
    "#ifndef @_API\n"
    "#define @_API __attribute__((visibility(\"hidden\")))\n"
    "#endif\n"
    "\n"
    "#ifdef __cplusplus\n"
    "extern \"C\" {\n"
    "#endif\n"
    "\n"
    "/* The tensors of one run: dense, and aligned to their element. Those that a convolution does not use "
    "may\n"
    " * be NULL. dst may be the same tensor as add, and overlap nothing else. */\n"
    "struct @_args {\n"
    "    const void *src;     /* nhwc: x[n][ih][iw][ic]; nchw: x[n][ic][ih][iw] */\n"
    "    const void *weights; /* as pack packed them */\n"
    "    const void *bias;    /* bias[oc] */\n"
    "    const void *scale;   /* scale[oc] */\n"
    "    const void *add;     /* of dst's shape and layout */\n"
    "    const void *prelu;   /* prelu[oc] */\n"
    "    void *dst;           /* nhwc: y[n][oh][ow][oc]; nchw: y[n][oc][oh][ow] */\n"
    "};\n"
    "\n"
    "/* One convolution as this machine computes it. */\n"
    "struct @_conv {\n"
    "    const char *text;    /* the convolution */\n"
    "    const char *plan;    /* and how it is computed: a plan line */\n"
    "    size_t packed_size;  /* bytes of packed weights, a multiple of 64 */\n"
    "    size_t scratch_size; /* bytes that each running thread needs, a multiple of 64; 0: none */\n"
    "    size_t tasks;        /* pieces of the work */\n"
    "    /* Packs w[oc][ic / g][kh][kw] into packed[packed_size], aligned to 64 bytes; the two do not "
    "overlap. Do\n"
    "     * not store packed weights: another machine may read another order. */\n"
    "    void (*pack)(const void *weights, void *packed);\n"
    "    /* Computes tasks [begin, end). No two tasks write the same output: threads may share them in any "
    "way.\n"
    "     * scratch, aligned to 64 bytes, serves one call at a time. */\n"
    "    void (*run)(const struct @_args *args, size_t begin, size_t end, void *scratch);\n"
    "};\n";

static const char header_end[] = "\n"
                                 "/* Convolution i; NULL: also where i is not below @_count. */\n"
                                 "@_API const struct @_conv *@_get(size_t i);\n"
                                 "\n"
                                 "#ifdef __cplusplus\n"
                                 "}\n"
                                 "#endif\n"
                                 "\n"
                                 "#endif\n";

/* The schedule of a plan line. */
static struct words schedule_of(const char *plan)
{
    struct words schedule = {plan, plan};
    struct word isa;
    words_line(plan, &schedule, &isa);
    return schedule;
}

/* What is told of function i in front of its declaration; returns the kernel behind its last. */
static const struct aot_kernel *put_comment(struct buffer *to, const struct aot *aot,
                                            const struct aot_kernel *k)
{
    char conv[KILN_TEXT_MAX];
    size_t function = k->function;
    kiln_conv_print(kiln_plan_conv(k->plan), conv, sizeof conv);
    put(to, "\n/* %s\n", conv);
    for (; k < aot->kernels + aot->count && k->function == function; k++) {
        struct words schedule = schedule_of(kiln_plan_text(k->plan));
        put(to, " *   %-6s %6zu bytes of code, %.*s\n", isa_name(k->isa), k->plan->kernel->code_bytes,
            (int)(schedule.end - schedule.at), schedule.at);
    }
    put(to, " */\n");
    return k;
}

void aot_put_header(const struct aot *aot, struct buffer *to)
{
    put(to, "/* Convolutions compiled ahead of time by Kiln %s.", kiln_version());
    put_template(to, header_begin, aot->name);
    for (const struct aot_kernel *k = aot->kernels; k < aot->kernels + aot->count;) {
        size_t function = k->function;
        k = put_comment(to, aot, k);
        put(to, "%s_API const struct %s_conv *%s_%zu(void);\n", aot->name, aot->name, aot->name, function);
    }
    put_template(to, "\nenum { @_count = ", aot->name);
    put(to, "%zu };\n", aot->functions);
    put_template(to, header_end, aot->name);
}

/* ---- the source ---- */

static const char source_x86[] =
    "#include <cpuid.h>\n"
    "\n"
    "/* Registers are numbered in the order eax, ebx, ecx, edx. */\n"
    "static int cpu_has(unsigned leaf, unsigned subleaf, int reg, unsigned bits)\n"
    "{\n"
    "    unsigned r[4];\n"
    "    return __get_cpuid_count(leaf, subleaf, &r[0], &r[1], &r[2], &r[3]) && (r[reg] & bits) == bits;\n"
    "}\n"
    "\n"
    "/* Whether the system saves the registers that these bits of XCR0 stand for. */\n"
    "static int cpu_saves(unsigned bits)\n"
    "{\n"
    "    unsigned low, high;\n"
    "    if (!cpu_has(1, 0, 2, 1u << 27)) return 0;\n"
    "    __asm__ volatile(\"xgetbv\" : \"=a\"(low), \"=d\"(high) : \"c\"(0));\n"
    "    return (low & bits) == bits;\n"
    "}\n"
    "\n";

static const char source_level[] =
    "/* The machine is asked once; several threads may do so. */\n"
    "static int level(void)\n"
    "{\n"
    "    static int known = -1;\n"
    "    int l = __atomic_load_n(&known, __ATOMIC_RELAXED);\n"
    "    if (l < 0) __atomic_store_n(&known, l = level_find(), __ATOMIC_RELAXED);\n"
    "    return l;\n"
    "}\n"
    "\n";

static const char source_end[] =
    "};\n"
    "\n"
    "const struct @_conv *@_get(size_t i)\n"
    "{\n"
    "    for (size_t c = 0; c < sizeof choices / sizeof *choices; c++)\n"
    "        if (choices[c].conv == i && choices[c].level <= level()) return &choices[c].with;\n"
    "    return NULL;\n"
    "}\n"
    "\n";

/* Levels are numbered from 1 in ascending order, of the ISAs of one architecture. */
static int level_of(enum isa isa) { return (int)isa + 1; }

static void put_level_find(struct buffer *to, const struct aot *aot)
{
    put(to, "static int level_find(void)\n{\n");
    for (int isa = ISA_NEON; isa >= 0; isa--) {
        char test[KILN_TEXT_MAX];
        struct text t = text_into(test, sizeof test);
        bool used = false;
        for (size_t i = 0; i < aot->count; i++) used |= (int)aot->kernels[i].isa == isa;
        if (!used) continue;
        cpu_put_test(&t, (enum isa)isa);
        put(to, "    if (%s)\n        return %d; /* %s */\n", test, level_of((enum isa)isa),
            isa_name((enum isa)isa));
    }
    put(to, "    return 0;\n}\n\n");
}

static void put_declarations(struct buffer *to, const struct aot *aot)
{
    for (size_t i = 0; i < aot->count; i++) {
        const char *symbol = aot->kernels[i].symbol;
        put(to, "void %s_pack(const void *, void *);\n", symbol);
        put(to, "void %s_run(const struct %s_args *, size_t, size_t, void *);\n", symbol, aot->name);
    }
}

static void put_choice(struct buffer *to, const struct aot_kernel *k)
{
    char conv[KILN_TEXT_MAX];
    kiln_conv_print(kiln_plan_conv(k->plan), conv, sizeof conv);
    put(to, "    {%zu, %d,\n     {\"%s\",\n      \"%s\",\n", k->function, level_of(k->isa), conv,
        kiln_plan_text(k->plan));
    put(to, "      %zu, %zu, %zu, %s_pack, %s_run}},\n", round_up(kiln_plan_packed_size(k->plan)),
        round_up(kiln_plan_scratch_size(k->plan)), kiln_plan_tasks(k->plan), k->symbol, k->symbol);
}

/* Not where all is for what is part of the architecture itself. */
static bool asks_cpuid(const struct aot *aot)
{
    bool asks = false;
    for (size_t i = 0; i < aot->count; i++)
        asks |= aot->kernels[i].isa > ISA_SSE2 && aot->kernels[i].isa < ISA_NEON;
    return asks;
}

void aot_put_source(const struct aot *aot, struct buffer *to)
{
    put_template(to,
                 "/* Chooses among the kernels of @.h by what this machine offers. */\n#include \"@.h\"\n\n",
                 aot->name);
    if (asks_cpuid(aot)) put(to, "%s", source_x86);
    put_level_find(to, aot);
    put(to, "%s", source_level);
    put_declarations(to, aot);
    put_template(
        to,
        "\n/* Of each convolution the best first. */\nstatic const struct choice {\n    size_t conv;\n"
        "    int level;\n    struct @_conv with;\n} choices[] = {\n",
        aot->name);
    for (size_t i = 0; i < aot->count; i++) put_choice(to, &aot->kernels[i]);
    put_template(to, source_end, aot->name);
    for (size_t i = 0; i < aot->functions; i++)
        put(to, "const struct %s_conv *%s_%zu(void) { return %s_get(%zu); }\n", aot->name, aot->name, i,
            aot->name, i);
}
