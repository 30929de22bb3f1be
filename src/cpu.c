/* cpu: machines as data. Owns the table of features, the table of ISA levels and the table of tunings;
 * everything here is derived from them. A new feature or level is a row. */
#include "cpu.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probe.h"
#include "status.h"

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
 * are families of cores, told apart by what they introduced: nothing here asks for a vendor. */
static const struct tuning {
    const char *name;
    enum arch arch;
    const char *has[FEATURES_LISTED], *lacks;
    int fma_per_cycle, load_per_cycle;
} tunings[] = {
    {"sapphirerapids", ARCH_X86_64, {"amx-tile"}, NULL, 2, 2},
    {"znver4", ARCH_X86_64, {"avx512bf16", "avx512vbmi2", "avxvnni"}, "avx512fp16", 2, 2}, /* Zen 5 */
    {"znver4", ARCH_X86_64, {"avx512bf16", "avx512vbmi2"}, "avx512fp16", 1, 1}, /* 512 bits in two halves */
    {"icelake-server", ARCH_X86_64, {"avx512vbmi2"}, NULL, 2, 2},
    {"skylake-avx512", ARCH_X86_64, {"avx512f"}, NULL, 2, 2},
    {"alderlake", ARCH_X86_64, {"avxvnni"}, NULL, 2, 2},
    {"znver3", ARCH_X86_64, {"vaes"}, NULL, 2, 2},
    {"haswell", ARCH_X86_64, {"avx2"}, NULL, 2, 2},
    {"x86-64", ARCH_X86_64, {NULL}, NULL, 1, 2}, /* a multiplication and an addition make one FMA */
    {"neoverse-n1", ARCH_AARCH64, {NULL}, NULL, 2, 2},
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
static const struct cache_range {
    const char *name;
    int64_t typical, least, most;
} cache_ranges[] = {
    {"l1d", 32 << 10, 8 << 10, 1 << 20},
    {"l2", 1 << 20, 64 << 10, 64 << 20},
    {"l3", 16 << 20, 64 << 10, 1 << 30},
};

const char *isa_name(enum isa isa) { return levels[isa].name; }

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
        if (*at == ',' && !*++at) return false;
    }
    return true;
}

/* ---- from features to a machine ---- */

static bool tuning_fits(const struct tuning *t, enum arch arch, uint64_t set)
{
    bool fits = t->arch == arch && !(t->lacks && set_has(set, t->lacks));
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
    for (int i = 0; i < FEATURES; i++)
        if (levels[features[i].isa].arch == host_arch && probe_feature(features[i].where))
            set |= UINT64_C(1) << i;
    memset(cpu, 0, sizeof *cpu);
    cpu_level(cpu, isa_highest(host_arch, set, probe_state()), set);
    probe_caches(told);
    cpu_caches(cpu, told);
}

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

static enum kiln_status isa_parse(enum isa *isa, enum arch arch, const char *name, struct kiln_error *error)
{
    char list[96];
    for (int i = 0; i < LEVELS; i++) {
        if (levels[i].arch != arch || strcmp(levels[i].name, name)) continue;
        *isa = (enum isa)i;
        return KILN_STATUS_OK;
    }
    isa_list(arch, list, sizeof list);
    return fail(error, KILN_STATUS_INVALID, "isa is \"%.32s\": must be one of %s for %s", name, list,
                arch_names[arch]);
}

static enum kiln_status arch_parse(enum arch *arch, const char *name, struct kiln_error *error)
{
    for (int i = 0; i < ARCHS; i++) {
        if (strcmp(arch_names[i], name)) continue;
        *arch = (enum arch)i;
        return KILN_STATUS_OK;
    }
    return fail(error, KILN_STATUS_INVALID, "target is \"%.32s\": must be x86_64 or aarch64", name);
}

enum kiln_status cpu_target(struct cpu *cpu, const char *arch, const char *isa, struct kiln_error *error)
{
    enum arch a = host_arch;
    enum kiln_status status = arch_parse(&a, arch, error);
    if (status) return status;
    enum isa level = isa_highest(a, UINT64_MAX, UINT64_MAX);
    if (isa) status = isa_parse(&level, a, isa, error);
    if (status) return status;
    memset(cpu, 0, sizeof *cpu);
    cpu_level(cpu, level, set_of(level, true));
    cpu_caches(cpu, (const int64_t[3]){0, 0, 0});
    return KILN_STATUS_OK;
}

enum kiln_status cpu_cap(struct cpu *cpu, const char *isa, struct kiln_error *error)
{
    enum isa level = cpu->isa;
    uint64_t set;
    if (!isa) return KILN_STATUS_OK;
    enum kiln_status status = isa_parse(&level, cpu->arch, isa, error);
    if (status) return status;
    if (level > cpu->isa)
        return fail(error, KILN_STATUS_UNSUPPORTED, "isa is \"%s\": at most %s is there to be used", isa,
                    isa_name(cpu->isa));
    bool known = set_parse(&set, cpu->features);
    assert(known);
    (void)known;
    cpu_level(cpu, level, set);
    return KILN_STATUS_OK;
}

/* ---- the text form ---- */

size_t cpu_print(const struct cpu *cpu, char *text, size_t room)
{
    int n = snprintf(text, room,
                     "%s %s fma_per_cycle=%d load_per_cycle=%d l1d=%lld l2=%lld l3=%lld tune=%s features=%s",
                     arch_names[cpu->arch], isa_name(cpu->isa), cpu->fma_per_cycle, cpu->load_per_cycle,
                     (long long)cpu->l1d, (long long)cpu->l2, (long long)cpu->l3, cpu->tune, cpu->features);
    return (size_t)n;
}

/* What is read of "key=value" words: numbers within bounds. The two texts come after them. */
static bool number_read(const char **at, const char *key, int64_t most, int64_t *value)
{
    size_t length = strlen(key);
    if (strncmp(*at, key, length) || (*at)[length] != '=') return false;
    const char *digits = *at + length + 1;
    char *end;
    if (*digits < '0' || *digits > '9') return false;
    errno = 0;
    long long v = strtoll(digits, &end, 10);
    if (errno || v < 1 || v > most || *end != ' ') return false;
    *value = v;
    *at = end + 1;
    return true;
}

/* The next word up to a blank or the end, without its blank; false if it is empty or does not fit. */
static bool word_read(const char **at, const char *key, char *word, size_t room)
{
    size_t skip = strlen(key);
    if (strncmp(*at, key, skip)) return false;
    size_t length = strcspn(*at + skip, " ");
    if (length == 0 || length >= room) return false;
    memcpy(word, *at + skip, length);
    word[length] = '\0';
    *at += skip + length;
    if (**at == ' ') ++*at;
    return true;
}

/* Everything behind the architecture and the level, which cpu_target has filled in already. */
static bool fields_read(struct cpu *cpu, const char *at)
{
    enum { PER_CYCLE_MOST = 16 }; /* more than any core starts; keeps the planner's arithmetic small */
    int64_t fma = 0, load = 0;
    uint64_t set, needed = set_of(cpu->isa, true);
    bool ok = number_read(&at, "fma_per_cycle", PER_CYCLE_MOST, &fma) &&
              number_read(&at, "load_per_cycle", PER_CYCLE_MOST, &load) &&
              number_read(&at, "l1d", cache_ranges[0].most, &cpu->l1d) &&
              number_read(&at, "l2", cache_ranges[1].most, &cpu->l2) &&
              number_read(&at, "l3", cache_ranges[2].most, &cpu->l3) &&
              word_read(&at, "tune=", cpu->tune, sizeof cpu->tune) &&
              word_read(&at, "features=", cpu->features, sizeof cpu->features) && !*at &&
              set_parse(&set, cpu->features) && (set & needed) == needed && !(set & ~set_of(cpu->isa, false));
    if (ok) set_print(set, cpu->features, sizeof cpu->features);
    cpu->fma_per_cycle = (int)fma;
    cpu->load_per_cycle = (int)load;
    return ok;
}

enum kiln_status cpu_parse(struct cpu *cpu, const char *text, struct kiln_error *error)
{
    char arch[16], isa[16];
    struct cpu made;
    const char *at = text;
    if (!word_read(&at, "", arch, sizeof arch) || !word_read(&at, "", isa, sizeof isa))
        return fail(error, KILN_STATUS_INVALID, "machine is \"%.64s\": must begin with arch and isa", text);
    enum kiln_status status = cpu_target(&made, arch, isa, error);
    if (status) return status;
    if (!fields_read(&made, at))
        return fail(
            error, KILN_STATUS_INVALID,
            "machine is \"%.200s\": must be \"arch isa fma_per_cycle= load_per_cycle= l1d= l2= l3= tune= "
            "features=\" with known features and all that the level needs",
            text);
    *cpu = made;
    return KILN_STATUS_OK;
}
