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

/* False if the machine has no such leaf: CPUID then answers with the highest one's, which means nothing. */
static bool leaf_read(uint32_t leaf, uint32_t subleaf, uint32_t r[PROBE_REGISTERS])
{
    return __get_cpuid_count(leaf, subleaf, &r[PROBE_EAX], &r[PROBE_EBX], &r[PROBE_ECX], &r[PROBE_EDX]);
}

bool probe_feature(struct probe_bit where)
{
    uint32_t r[PROBE_REGISTERS];
    return leaf_read(where.leaf, where.subleaf, r) && (r[where.reg] >> where.bit & 1);
}

uint64_t probe_state(void)
{
    uint32_t low, high;
    if (!probe_feature((struct probe_bit){LEAF_FEATURES, 0, PROBE_ECX, BIT_OSXSAVE})) return 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/* Both vendors describe one cache per subleaf in the same fields; the list ends with type 0. */
static bool caches_read(uint32_t leaf, int64_t bytes[3])
{
    bool any = false;
    for (uint32_t i = 0; i < CACHES_MAX; i++) {
        uint32_t r[PROBE_REGISTERS];
        if (!leaf_read(leaf, i, r)) break;
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

void probe_caches(int64_t bytes[3])
{
    memset(bytes, 0, 3 * sizeof *bytes);
    if (!caches_read(LEAF_CACHES_INTEL, bytes)) caches_read(extended + LEAF_CACHES_AMD, bytes);
}

#elif defined __aarch64__

#include <stdio.h>
#include <sys/auxv.h>

enum { CACHES_MAX = 8 }; /* more index folders than any machine has */

bool probe_feature(struct probe_bit where) { return getauxval(AT_HWCAP) >> where.bit & 1; }

uint64_t probe_state(void) { return UINT64_MAX; }

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

void probe_caches(int64_t bytes[3])
{
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
