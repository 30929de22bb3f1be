/* cpu: machines as data. Owns the table of features, the table of ISA levels and the table of tunings;
 * everything here is derived from them. A new feature or level is a row. */
#include "cpu.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "probe.h"
#include "status.h"
#include "text.h"

/* One feature: LLVM's name, the level whose code may use it, whether that level needs it, and where
 * the machine announces it. Needed ones make a level available; the others are passed to LLVM if there,
 * and tell tunings apart. */
struct feature {
    const char *name;
    enum isa isa;
    bool needed;
    struct probe_bit where;
};

static const struct feature features[] = {
    {"sse2", ISA_SSE2, true, {1, 0, PROBE_EDX, 26}},
    {"sse4.2", ISA_AVX2, true, {1, 0, PROBE_ECX, 20}},
    {"avx", ISA_AVX2, true, {1, 0, PROBE_ECX, 28}},
    {"avx2", ISA_AVX2, true, {7, 0, PROBE_EBX, 5}},
    {"fma", ISA_AVX2, true, {1, 0, PROBE_ECX, 12}},
    {"f16c", ISA_AVX2, true, {1, 0, PROBE_ECX, 29}},
    {"bmi", ISA_AVX2, true, {7, 0, PROBE_EBX, 3}},
    {"bmi2", ISA_AVX2, true, {7, 0, PROBE_EBX, 8}},
    {"lzcnt", ISA_AVX2, true, {0x80000001, 0, PROBE_ECX, 5}},
    {"popcnt", ISA_AVX2, true, {1, 0, PROBE_ECX, 23}},
    {"prfchw", ISA_AVX2, false, {0x80000001, 0, PROBE_ECX, 8}},
    {"movbe", ISA_AVX2, false, {1, 0, PROBE_ECX, 22}},
    {"vaes", ISA_AVX2, false, {7, 0, PROBE_ECX, 9}},
    {"avxvnni", ISA_AVX2, false, {7, 1, PROBE_EAX, 4}},
    {"avx512f", ISA_AVX512, true, {7, 0, PROBE_EBX, 16}},
    {"avx512cd", ISA_AVX512, true, {7, 0, PROBE_EBX, 28}},
    {"avx512vl", ISA_AVX512, true, {7, 0, PROBE_EBX, 31}},
    {"avx512bw", ISA_AVX512, true, {7, 0, PROBE_EBX, 30}},
    {"avx512dq", ISA_AVX512, true, {7, 0, PROBE_EBX, 17}},
    {"avx512vbmi", ISA_AVX512, false, {7, 0, PROBE_ECX, 1}},
    {"avx512vbmi2", ISA_AVX512, false, {7, 0, PROBE_ECX, 6}},
    {"avx512fp16", ISA_AVX512, false, {7, 0, PROBE_EDX, 23}},
    {"avx512vnni", ISA_VNNI, true, {7, 0, PROBE_ECX, 11}},
    {"avx512bf16", ISA_AVX512_BF16, true, {7, 1, PROBE_EAX, 5}},
    {"amx-tile", ISA_AMX, true, {7, 0, PROBE_EDX, 24}},
    {"amx-int8", ISA_AMX, true, {7, 0, PROBE_EDX, 25}},
    {"amx-bf16", ISA_AMX, true, {7, 0, PROBE_EDX, 22}},
    {"fp-armv8", ISA_NEON, true, {0, 0, PROBE_EAX, 0}},
    {"neon", ISA_NEON, true, {0, 0, PROBE_EAX, 1}},
};
enum { FEATURES = sizeof features / sizeof *features };
static_assert(FEATURES <= 64, "a set of features is a uint64_t");

/* XCR0: the state of xmm and ymm; also of masks and zmm; also of tiles. */
enum { STATE_NONE = 0, STATE_YMM = 0x6, STATE_ZMM = 0xe6, STATE_TILES = 0x600e6 };

/* The levels, indexed by enum isa; of one architecture in ascending order, each including the former. */
static const struct level {
    const char *name;
    enum arch arch;
    int lanes, registers;
    bool fma, masks;
    uint64_t state;
} levels[] = {
    [ISA_SSE2] = {"sse2", ARCH_X86_64, 4, 16, false, false, STATE_NONE},
    [ISA_AVX2] = {"avx2", ARCH_X86_64, 8, 16, true, true, STATE_YMM},
    [ISA_AVX512] = {"avx512", ARCH_X86_64, 16, 32, true, true, STATE_ZMM},
    [ISA_VNNI] = {"vnni", ARCH_X86_64, 16, 32, true, true, STATE_ZMM},
    [ISA_AVX512_BF16] = {"avx512_bf16", ARCH_X86_64, 16, 32, true, true, STATE_ZMM},
    [ISA_AMX] = {"amx", ARCH_X86_64, 16, 32, true, true, STATE_TILES},
    [ISA_NEON] = {"neon", ARCH_AARCH64, 4, 32, true, false, STATE_NONE},
};
enum { LEVELS = sizeof levels / sizeof *levels, FEATURES_LISTED = 4 };

/* How machines with certain features, and without others, are tuned for; the first row that fits. They
 * are families of cores, told apart by what they introduced: nothing here asks for a vendor. The name is
 * that of the scheduling model whose code was best, on whatever machine: LLVM 19's models of Zen move
 * loads ahead until they spill, 348 times in one first layer where this one's code spills nothing. */
static const struct tuning {
    const char *name;
    enum arch arch;
    const char *has[FEATURES_LISTED];
    int fma_per_cycle, load_per_cycle, l3_per_cycle;
} tunings[] = {
    {"sapphirerapids", ARCH_X86_64, {"amx-tile"}, 2, 2, 8},
    {"sapphirerapids", ARCH_X86_64, {"avx512fp16"}, 2, 2, 8},
    {"sapphirerapids", ARCH_X86_64, {"avx512bf16", "avx512vbmi2", "avxvnni"}, 2, 2, 24}, /* Zen 5 */
    {"sapphirerapids", ARCH_X86_64, {"avx512bf16", "avx512vbmi2"}, 1, 1, 24}, /* Zen 4: 512 bits in two halves
                                                                               */
    {"sapphirerapids", ARCH_X86_64, {"avx512f"}, 2, 2, 8},
    {"alderlake", ARCH_X86_64, {"avx2"}, 2, 2, 12},
    {"x86-64", ARCH_X86_64, {NULL}, 1, 2, 8}, /* a multiplication and an addition make one FMA */
    {"neoverse-n1", ARCH_AARCH64, {NULL}, 2, 2, 10},
};
enum { TUNINGS = sizeof tunings / sizeof *tunings };

static const char *const arch_names[] = {[ARCH_X86_64] = "x86_64", [ARCH_AARCH64] = "aarch64"};
enum { ARCHS = sizeof arch_names / sizeof *arch_names };

#if defined __x86_64__
static const enum arch host_arch = ARCH_X86_64;
#else
static const enum arch host_arch = ARCH_AARCH64;
#endif

/* Caches that a machine of unknown make is taken to have, and what is believed of one that tells:
 * hypervisors are known to answer with zeros and with the whole host's level 3. */
enum { L1D_MOST = 1 << 20, L2_MOST = 64 << 20, L3_MOST = 1 << 30 };
static const struct cache_range {
    int64_t typical, least, most;
} cache_ranges[] = {
    {32 << 10, 8 << 10, L1D_MOST},
    {1 << 20, 64 << 10, L2_MOST},
    {16 << 20, 64 << 10, L3_MOST},
};

const char *isa_name(enum isa isa) { return levels[isa].name; }

bool isa_find(const char *name, size_t length, enum isa *isa)
{
    for (int i = 0; i < LEVELS; i++)
        if (strlen(levels[i].name) == length && !memcmp(levels[i].name, name, length))
            return *isa = (enum isa)i, true;
    return false;
}

enum isa isa_code(enum isa isa)
{
    return levels[isa].arch == ARCH_X86_64 && isa > ISA_AVX512 ? ISA_AVX512 : isa;
}

/* ---- sets of features, as bits, and as text "+avx,+avx2" ---- */

/* The index of the feature of this name and length, or -1. */
static int feature_find(const char *name, size_t length)
{
    for (int i = 0; i < FEATURES; i++)
        if (strlen(features[i].name) == length && !memcmp(features[i].name, name, length)) return i;
    return -1;
}

static bool set_has(uint64_t set, const char *name) { return set >> feature_find(name, strlen(name)) & 1; }

static bool isa_within(enum isa isa, enum isa top)
{
    return levels[isa].arch == levels[top].arch && isa <= top;
}

/* The features that code of level `isa` may use, or those it needs. */
static uint64_t set_of(enum isa isa, bool needed)
{
    uint64_t set = 0;
    for (int i = 0; i < FEATURES; i++)
        if (isa_within(features[i].isa, isa) && (features[i].needed || !needed)) set |= UINT64_C(1) << i;
    return set;
}

static void set_print(uint64_t set, char *text, size_t room)
{
    size_t length = 0;
    text[0] = '\0';
    for (int i = 0; i < FEATURES; i++) {
        if (!(set >> i & 1)) continue;
        length +=
            (size_t)snprintf(text + length, room - length, "%s+%s", length ? "," : "", features[i].name);
        assert(length < room);
    }
}

/* False: not a list of known features. */
static bool set_parse(uint64_t *set, const char *text)
{
    *set = 0;
    for (const char *at = text; *at;) {
        size_t length = strcspn(at, ",");
        int i = at[0] == '+' ? feature_find(at + 1, length - 1) : -1;
        if (i < 0) return false;
        *set |= UINT64_C(1) << i;
        at += length;
        if (*at != ',') continue;
        at++;
        if (!*at) return false;
    }
    return true;
}

/* ---- from features to a machine ---- */

static bool tuning_fits(const struct tuning *t, enum arch arch, uint64_t set)
{
    bool fits = t->arch == arch;
    for (int i = 0; i < FEATURES_LISTED && t->has[i]; i++) fits = fits && set_has(set, t->has[i]);
    return fits;
}

static void cpu_tune(struct cpu *cpu, uint64_t set)
{
    const struct tuning *t = tunings;
    while (!tuning_fits(t, cpu->arch, set)) t++; /* each architecture's last row fits all */
    assert(t < tunings + TUNINGS);
    cpu->fma_per_cycle = t->fma_per_cycle;
    cpu->load_per_cycle = t->load_per_cycle;
    cpu->l3_per_cycle = t->l3_per_cycle;
    snprintf(cpu->tune, sizeof cpu->tune, "%s", t->name);
}

/* Makes cpu one of level `isa`, of what the set of features offers. Caches stay, and so does the tuning
 * if the vectors remain as wide: forbidding an instruction does not make it another core. */
static void cpu_level(struct cpu *cpu, enum isa isa, uint64_t set)
{
    const struct level *level = &levels[isa];
    bool same = cpu->lanes == level->lanes;
    cpu->arch = level->arch;
    cpu->isa = isa;
    cpu->lanes = level->lanes;
    cpu->registers = level->registers;
    cpu->fma = level->fma;
    cpu->masks = level->masks;
    set &= set_of(isa, false);
    if (!same) cpu_tune(cpu, set);
    set_print(set, cpu->features, sizeof cpu->features);
}

/* The highest level of arch whose needs the set and the saved state meet, and those of all below it. */
static enum isa isa_highest(enum arch arch, uint64_t set, uint64_t state)
{
    enum isa best = arch == ARCH_X86_64 ? ISA_SSE2 : ISA_NEON; /* part of the architecture itself */
    for (int i = 0; i < LEVELS; i++) {
        uint64_t needed = set_of((enum isa)i, true);
        if (levels[i].arch != arch || (set & needed) != needed) continue;
        if ((state & levels[i].state) == levels[i].state) best = (enum isa)i;
    }
    return best;
}

static int64_t clamp(int64_t v, int64_t least, int64_t most)
{
    return v < least ? least : v > most ? most : v;
}

static void cpu_caches(struct cpu *cpu, const int64_t told[3])
{
    int64_t bytes[3];
    for (int i = 0; i < 3; i++) {
        const struct cache_range *r = &cache_ranges[i];
        bytes[i] = told[i] > 0 ? clamp(told[i], r->least, r->most) : r->typical;
    }
    cpu->l1d = bytes[0];
    cpu->l2 = bytes[1];
    cpu->l3 = bytes[2] < bytes[1] ? bytes[1] : bytes[2];
}

void cpu_host(struct cpu *cpu)
{
    uint64_t set = 0;
    int64_t told[3];
    struct probe p = {0};
    for (int i = 0; i < FEATURES; i++)
        if (levels[features[i].isa].arch == host_arch && probe_feature(&p, features[i].where))
            set |= UINT64_C(1) << i;
    memset(cpu, 0, sizeof *cpu);
    cpu_level(cpu, isa_highest(host_arch, set, probe_state(&p)), set);
    probe_caches(&p, told);
    cpu_caches(cpu, told);
}

const char *cpu_host_arch(void) { return arch_names[host_arch]; }

/* ---- levels by name ---- */

/* Lists the levels of arch for an error: "sse2, avx2, ...". */
static void isa_list(enum arch arch, char *text, size_t room)
{
    size_t length = 0;
    text[0] = '\0';
    for (int i = 0; i < LEVELS && length < room; i++)
        if (levels[i].arch == arch)
            length +=
                (size_t)snprintf(text + length, room - length, "%s%s", length ? ", " : "", levels[i].name);
}

static enum kiln_status isa_parse(enum isa *isa, enum arch arch, const char *name, const char *by,
                                  struct kiln_error *error)
{
    char list[96];
    enum isa found;
    if (isa_find(name, strlen(name), &found) && levels[found].arch == arch)
        return *isa = found, KILN_STATUS_OK;
    isa_list(arch, list, sizeof list);
    return fail(error, KILN_STATUS_INVALID, "%s is \"%.32s\": must be one of %s for %s", by, name, list,
                arch_names[arch]);
}

/* "aarch64", or "aarch64-linux-gnu", since all of Linux has one form of objects and one way of calling. */
static bool arch_is(const char *arch, const char *name)
{
    size_t length = strlen(arch);
    if (strncmp(name, arch, length) != 0) return false;
    return !name[length] || (name[length] == '-' && strstr(name + length, "-linux"));
}

static enum kiln_status arch_parse(enum arch *arch, const char *name, struct kiln_error *error)
{
    for (int i = 0; i < ARCHS; i++) {
        if (!arch_is(arch_names[i], name)) continue;
        *arch = (enum arch)i;
        return KILN_STATUS_OK;
    }
    return fail(error, KILN_STATUS_INVALID,
                "target is \"%.32s\": must be x86_64, aarch64, or a triple such as aarch64-linux-gnu", name);
}

enum kiln_status cpu_target(struct cpu *cpu, const char *arch, const char *isa, struct kiln_error *error)
{
    enum arch a = host_arch;
    enum kiln_status status = arch_parse(&a, arch, error);
    if (status) return status;
    enum isa level = isa_highest(a, UINT64_MAX, UINT64_MAX);
    if (isa) status = isa_parse(&level, a, isa, "isa", error);
    if (status) return status;
    memset(cpu, 0, sizeof *cpu);
    cpu->capped = isa ? "isa" : NULL;
    cpu_level(cpu, level, set_of(level, true));
    cpu_caches(cpu, (const int64_t[3]){0, 0, 0});
    return KILN_STATUS_OK;
}

static enum kiln_status isa_missing(const struct cpu *cpu, const char *isa, const char *by,
                                    struct kiln_error *error)
{
    if (cpu->capped)
        return fail(error, KILN_STATUS_UNSUPPORTED, "%s is \"%s\": %s allows at most %s", by, isa,
                    cpu->capped, isa_name(cpu->isa));
    return fail(error, KILN_STATUS_UNSUPPORTED, "%s is \"%s\": this machine has at most %s", by, isa,
                isa_name(cpu->isa));
}

enum kiln_status cpu_cap(struct cpu *cpu, const char *isa, const char *by, struct kiln_error *error)
{
    enum isa level = cpu->isa;
    uint64_t set;
    if (!isa) return KILN_STATUS_OK;
    enum kiln_status status = isa_parse(&level, cpu->arch, isa, by, error);
    if (status || level == cpu->isa) return status;
    if (level > cpu->isa) return isa_missing(cpu, isa, by, error);
    bool known = set_parse(&set, cpu->features);
    assert(known);
    (void)known;
    cpu->capped = by;
    cpu_level(cpu, level, set);
    return KILN_STATUS_OK;
}

/* ---- a level, asked for at run time ---- */

static bool register_same(struct probe_bit a, struct probe_bit b)
{
    return a.leaf == b.leaf && a.subleaf == b.subleaf && a.reg == b.reg;
}

/* Puts the test of the first feature of the set and of all that are told in its register; returns the others.
 */
static uint64_t register_put(struct text *t, uint64_t set)
{
    uint32_t bits = 0;
    struct probe_bit first = features[__builtin_ctzll(set)].where;
    for (int i = 0; i < FEATURES; i++) {
        if (!(set >> i & 1) || !register_same(features[i].where, first)) continue;
        bits |= UINT32_C(1) << features[i].where.bit;
        set &= ~(UINT64_C(1) << i);
    }
    text_put(t, "cpu_has(0x%x, %u, %d, 0x%x)", first.leaf, first.subleaf, (int)first.reg, bits);
    return set;
}

void cpu_put_test(struct text *t, enum isa isa)
{
    const struct level *level = &levels[isa];
    if (level->state == STATE_NONE) {
        text_put(t, "1"); /* the level is part of the architecture itself */
        return;
    }
    text_put(t, "cpu_saves(0x%x) && ", (unsigned)level->state);
    for (uint64_t left = set_of(isa, true); left;) {
        left = register_put(t, left);
        if (left) text_put(t, " && ");
    }
}

/* ---- the text form ---- */

/* A field "key=value" behind the architecture and the level. A number if `most` is not 0, which bounds
 * it; else a word of up to `bytes` with its terminator. */
static const struct field {
    const char *key;
    size_t offset, bytes;
    int64_t most;
} fields[] = {
#define FIELD(name, most) {#name, offsetof(struct cpu, name), sizeof((struct cpu *)0)->name, most}
    FIELD(fma_per_cycle, 16), /* more than any core starts */
    FIELD(load_per_cycle, 16), FIELD(l3_per_cycle, 64), FIELD(l1d, L1D_MOST), FIELD(l2, L2_MOST),
    FIELD(l3, L3_MOST),        FIELD(tune, 0),          FIELD(features, 0),
#undef FIELD
};
enum { FIELDS = sizeof fields / sizeof *fields };

static int64_t field_number(const struct cpu *cpu, const struct field *f)
{
    const void *at = (const char *)cpu + f->offset;
    return f->bytes == sizeof(int64_t) ? *(const int64_t *)at : *(const int *)at;
}

size_t cpu_print(const struct cpu *cpu, char *text, size_t room)
{
    struct text t = text_into(text, room);
    text_put(&t, "%s %s", arch_names[cpu->arch], isa_name(cpu->isa));
    for (const struct field *f = fields; f < fields + FIELDS; f++) {
        if (f->most)
            text_put(&t, " %s=%" PRId64, f->key, field_number(cpu, f));
        else
            text_put(&t, " %s=%s", f->key, (const char *)cpu + f->offset);
    }
    return t.length;
}

/* Writes the value into the field; false: it is not one. */
static bool field_read(struct cpu *cpu, const struct field *f, struct word value)
{
    void *at = (char *)cpu + f->offset;
    int64_t v = 0;
    bool fits = f->most ? word_number(value, &v) == NUMBER_OK && v >= 1 && v <= f->most
                        : value.length >= 1 && value.length < f->bytes;
    if (!fits) return false;
    if (!f->most)
        snprintf(at, f->bytes, "%.*s", (int)value.length, value.at);
    else if (f->bytes == sizeof(int64_t))
        *(int64_t *)at = v;
    else
        *(int *)at = (int)v;
    return true;
}

static enum kiln_status word_into(struct cpu *cpu, struct word w, struct kiln_error *error)
{
    struct word key = {0}, value = {0};
    bool pair = word_pair(w, &key, &value);
    for (const struct field *f = fields; pair && f < fields + FIELDS; f++)
        if (word_is(key, f->key) && field_read(cpu, f, value)) return KILN_STATUS_OK;
    return fail(error, KILN_STATUS_INVALID, "machine has \"%.*s\": not a field with a value within bounds",
                WORD(w));
}

/* Only known features, all that the level needs and none above it: code would be generated for them. */
static enum kiln_status features_check(struct cpu *cpu, struct kiln_error *error)
{
    uint64_t set, needed = set_of(cpu->isa, true);
    if (!set_parse(&set, cpu->features) || (set & needed) != needed || (set & ~set_of(cpu->isa, false)))
        return fail(error, KILN_STATUS_INVALID,
                    "features are \"%.200s\": must be known ones of level %s, with all that it needs",
                    cpu->features, isa_name(cpu->isa));
    set_print(set, cpu->features, sizeof cpu->features);
    return KILN_STATUS_OK;
}

static void word_copy(struct word w, char text[32])
{
    snprintf(text, 32, "%.*s", (int)(w.length < 31 ? w.length : 31), w.length ? w.at : "");
}

enum kiln_status cpu_parse(struct cpu *cpu, const char *text, struct kiln_error *error)
{
    struct words words = words_of(text);
    struct word w[2] = {0};
    char arch[32], isa[32];
    struct cpu made;
    for (int i = 0; i < 2; i++)
        if (!words_next(&words, &w[i]))
            return fail(error, KILN_STATUS_INVALID,
                        "machine is \"%.64s\": must be \"arch isa key=value ...\"", text);
    word_copy(w[0], arch);
    word_copy(w[1], isa);
    enum kiln_status status = cpu_target(&made, arch, isa, error);
    while (!status && words_next(&words, &w[0])) status = word_into(&made, w[0], error);
    if (!status) status = features_check(&made, error);
    if (!status) *cpu = made;
    return status;
}
