/* debug: a row is a word; docs/debugging.md has the same table, which a test compares. */
#include "debug.h"

#include <assert.h>
#include <string.h>

#include "status.h"
#include "text.h"

static const struct row {
    const char *name, *about;
} rows[] = {
    [DEBUG_PLAN] = {"plan", "the plan line of each kernel that is compiled"},
    [DEBUG_CACHE] = {"cache",
                     "each hit in memory, hit on disk and miss; files ignored; at the end the counts"},
    [DEBUG_WISDOM] = {"wisdom", "what wisdom is used, and what of it is passed over"},
    [DEBUG_IR] = {"ir", "LLVM IR of each kernel that is compiled, after the passes"},
    [DEBUG_ASM] = {"asm", "assembly of each kernel that is compiled"},
    [DEBUG_PERF] = {"perf", "nothing; names kernels for `perf report`, in /tmp/perf-PID.map"},
    [DEBUG_JITDUMP] = {"jitdump", "where it writes jit-PID.dump: names and code for `perf inject --jit`"},
    [DEBUG_GDB] = {"gdb", "nothing; names kernels for gdb"},
};
enum { ROWS = sizeof rows / sizeof *rows, WORDS_ROOM = 128, LINE_ROOM = 128 };

const char *debug_name(enum debug what) { return rows[what].name; }

static enum kiln_status word_fail(const char *text, const char *name, struct kiln_error *error)
{
    char words[WORDS_ROOM];
    struct text t = text_into(words, sizeof words);
    for (int i = 0; i < ROWS; i++) text_put(&t, "%s%s", i ? "," : "", rows[i].name);
    assert(t.length < sizeof words);
    return fail(error, KILN_STATUS_INVALID, "%s is \"%.64s\": must be some of %s", name, text, words);
}

enum kiln_status debug_parse(unsigned *debug, const char *text, const char *name, struct kiln_error *error)
{
    *debug = 0;
    for (const char *at = text ? text : ""; *at;) {
        size_t length = strcspn(at, ",");
        int i = 0;
        while (i < ROWS && (strlen(rows[i].name) != length || memcmp(rows[i].name, at, length) != 0)) i++;
        if (i == ROWS) return word_fail(text, name, error);
        *debug |= 1u << i;
        at += length + (at[length] == ',');
    }
    return KILN_STATUS_OK;
}

void debug_print(kiln_sink *sink, void *user)
{
    char line[LINE_ROOM];
    for (int i = 0; i < ROWS; i++) {
        struct text t = text_into(line, sizeof line);
        text_put(&t, "  %-8s  %s\n", rows[i].name, rows[i].about);
        assert(t.length < sizeof line);
        sink(user, line, t.length);
    }
}
