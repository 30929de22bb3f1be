/* Owns the reading of lists of names, and which of them a line is worked on with. */
#include "lists.h"

#include "ask.h"

#include <string.h>

static bool names_add(struct names *names, const char *name, size_t length)
{
    if (length == 0 || length >= NAME_ROOM || names->count == LIST_MAX) return false;
    memcpy(names->at[names->count], name, length);
    names->at[names->count++][length] = '\0';
    return true;
}

static bool names_read(struct names *names, const char *list)
{
    for (;;) {
        size_t length = strcspn(list, ",");
        if (!names_add(names, list, length)) return false;
        if (!list[length]) return true;
        list += length + 1;
    }
}

/* A name that is in the list of --`flag` twice would be worked on twice. */
static bool names_differ(const struct names *names, const char *flag)
{
    for (int i = 0; i < names->count; i++)
        for (int j = 0; j < i; j++)
            if (strcmp(names->at[i], names->at[j]) == 0)
                return complain("--%s has '%s' twice", flag, names->at[i]), false;
    return true;
}

enum kiln_status isa_status(struct kiln *k, const char *target, const char *isa, struct kiln_error *error)
{
    struct kiln_options options = {.size = sizeof options, .isa = isa, .target = target};
    return kiln_cpu_print(k, &options, sink_nothing, NULL, error);
}

/* The levels that "all" stands for, of every architecture. */
static const char all_isas[] = "sse2,avx2,avx512,neon";

/* Leaves those ISAs of the list that the machine has; an unknown name is a mistake, except in "all". */
static bool isas_filter(struct kiln *k, const char *target, struct names *isas, bool all)
{
    int kept = 0;
    for (int i = 0; i < isas->count; i++) {
        struct kiln_error error;
        enum kiln_status status = isa_status(k, target, isas->at[i], &error);
        if (status == KILN_STATUS_OK)
            memmove(isas->at[kept++], isas->at[i], NAME_ROOM);
        else if (!all)
            complain("%s", error.text);
        if (status == KILN_STATUS_INVALID && !all) return false;
    }
    isas->count = kept;
    return kept > 0 || (complain("none of the ISA levels of --isa can be used"), false);
}

static bool layouts_check(const struct names *layouts)
{
    for (int i = 0; i < layouts->count; i++) {
        if (strcmp(layouts->at[i], "as-given") == 0)
            return complain("--layout has 'as-given' among others; it stands alone, for no other layouts"),
                   false;
        if (strcmp(layouts->at[i], "nhwc") != 0 && strcmp(layouts->at[i], "nchw") != 0)
            return complain("--layout has '%s'; it is as-given or a list of nhwc and nchw", layouts->at[i]),
                   false;
    }
    return names_differ(layouts, "layout");
}

bool lists_read(struct lists *lists, struct kiln *k, const char *target, const char *isas,
                const char *layouts)
{
    bool all = isas && strcmp(isas, "all") == 0;
    if (isas && !names_read(&lists->isas, all ? all_isas : isas))
        return complain("--isa is '%s'; it is 'all' or a list such as sse2,avx2", isas), false;
    if (!names_differ(&lists->isas, "isa")) return false;
    if (isas && !isas_filter(k, target, &lists->isas, all)) return false;
    if (!layouts || strcmp(layouts, "as-given") == 0) return true;
    if (!names_read(&lists->layouts, layouts))
        return complain("--layout is '%s'; it is as-given or a list of nhwc and nchw", layouts), false;
    return layouts_check(&lists->layouts);
}

int lists_convs(const struct lists *lists) { return lists->layouts.count ? lists->layouts.count : 1; }

struct kiln_conv lists_conv(const struct lists *lists, const struct line *line, int i)
{
    struct kiln_conv conv = line->conv;
    if (lists->layouts.count)
        conv.layout = strcmp(lists->layouts.at[i], "nchw") == 0 ? KILN_LAYOUT_NCHW : KILN_LAYOUT_NHWC;
    return conv;
}

int lists_isas(const struct lists *lists, const struct line *line)
{
    return line->machine || !lists->isas.count ? 1 : lists->isas.count;
}

const char *lists_isa(const struct lists *lists, const struct line *line, int i)
{
    if (line->machine) return line->machine;
    return lists->isas.count ? lists->isas.at[i] : NULL;
}
