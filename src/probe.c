/* probe: reads CPUID, XCR0, HWCAP and sysfs. Owns everything that differs between the machines Kiln
 * runs on; the rest of the core is the same source on all of them. */
#include "probe.h"

#include <string.h>

#if defined __x86_64__

#include <cpuid.h>

/* CPUID leaves and fields of Intel's and AMD's manuals. */
enum {
    LEAF_FEATURES = 1,
    LEAF_CACHES_INTEL = 4,
    LEAF_CACHES_AMD = 0x1d, /* within the extended leaves */
    BIT_OSXSAVE = 27,
    CACHE_NONE = 0,
    CACHE_INSTRUCTION = 2,
    CACHES_MAX = 16, /* more subleaves than any machine has; ends the loop under a broken hypervisor */
};
static const uint32_t extended = 0x80000000;

static const uint32_t *leaf_ask(struct probe *p, uint32_t leaf, uint32_t subleaf)
{
    enum { ANSWERS = sizeof p->answers / sizeof *p->answers };
    for (int i = 0; i < p->count; i++)
        if (p->answers[i].leaf == leaf && p->answers[i].subleaf == subleaf) return p->answers[i].r;
    if (p->count < ANSWERS) p->count++;
    struct probe_answer *a = &p->answers[p->count - 1];
    a->leaf = leaf, a->subleaf = subleaf;
    __cpuid_count(leaf, subleaf, a->r[PROBE_EAX], a->r[PROBE_EBX], a->r[PROBE_ECX], a->r[PROBE_EDX]);
    return a->r;
}

/* NULL if the machine has no such leaf: CPUID then answers with the highest one's, which means nothing. What
 * it gives holds until the next call. */
static const uint32_t *leaf_read(struct probe *p, uint32_t leaf, uint32_t subleaf)
{
    uint32_t highest = leaf_ask(p, leaf & extended, 0)[PROBE_EAX];
    return leaf <= highest ? leaf_ask(p, leaf, subleaf) : NULL;
}

bool probe_feature(struct probe *p, struct probe_bit where)
{
    const uint32_t *r = leaf_read(p, where.leaf, where.subleaf);
    return r && (r[where.reg] >> where.bit & 1);
}

uint64_t probe_state(struct probe *p)
{
    uint32_t low, high;
    if (!probe_feature(p, (struct probe_bit){LEAF_FEATURES, 0, PROBE_ECX, BIT_OSXSAVE})) return 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/* Both vendors describe one cache per subleaf in the same fields; the list ends with type 0. */
static bool caches_read(struct probe *p, uint32_t leaf, int64_t bytes[3])
{
    bool any = false;
    for (uint32_t i = 0; i < CACHES_MAX; i++) {
        const uint32_t *r = leaf_read(p, leaf, i);
        if (!r) break;
        uint32_t type = r[PROBE_EAX] & 0x1f, level = r[PROBE_EAX] >> 5 & 7;
        if (type == CACHE_NONE) break;
        if (type == CACHE_INSTRUCTION || level < 1 || level > 3) continue;
        int64_t ways = (r[PROBE_EBX] >> 22) + 1, partitions = (r[PROBE_EBX] >> 12 & 0x3ff) + 1;
        int64_t line = (r[PROBE_EBX] & 0xfff) + 1, sets = (int64_t)r[PROBE_ECX] + 1;
        bytes[level - 1] = ways * partitions * line * sets;
        any = true;
    }
    return any;
}

void probe_caches(struct probe *p, int64_t bytes[3])
{
    memset(bytes, 0, 3 * sizeof *bytes);
    if (!caches_read(p, LEAF_CACHES_INTEL, bytes)) caches_read(p, extended + LEAF_CACHES_AMD, bytes);
}

#elif defined __aarch64__

#include <stdio.h>
#include <sys/auxv.h>

enum { CACHES_MAX = 8 }; /* more index folders than any machine has */

bool probe_feature(struct probe *p, struct probe_bit where)
{
    (void)p;
    return getauxval(AT_HWCAP) >> where.bit & 1;
}

uint64_t probe_state(struct probe *p)
{
    (void)p;
    return UINT64_MAX;
}

/* One word of one of the files that describe cache `index` of the first core; "" if it is not there. */
static void sysfs_word(int index, const char *name, char word[32])
{
    char path[96];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/%s", index, name);
    word[0] = '\0';
    FILE *f = fopen(path, "re");
    if (!f) return;
    if (fscanf(f, "%31s", word) != 1) word[0] = '\0';
    fclose(f);
}

void probe_caches(struct probe *p, int64_t bytes[3])
{
    (void)p;
    memset(bytes, 0, 3 * sizeof *bytes);
    for (int i = 0; i < CACHES_MAX; i++) {
        char type[32], level[32], size[32];
        sysfs_word(i, "type", type);
        sysfs_word(i, "level", level);
        sysfs_word(i, "size", size);
        if (!strcmp(type, "Instruction") || level[0] < '1' || level[0] > '3') continue;
        long long count = 0;
        char unit = 0;
        if (sscanf(size, "%9lld%c", &count, &unit) >= 1)
            bytes[level[0] - '1'] = count << (unit == 'K' ? 10 : unit == 'M' ? 20 : 0);
    }
}

#else
#error "Kiln runs on x86-64 and AArch64"
#endif
