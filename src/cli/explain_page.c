/* Reads the text of kiln_explain and writes its page: the plan line, the loop nest as boxes, facts, pictures,
 * and tables of the estimate's parts and of the candidates. */
#include "explain_page.h"

#include "html.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char css[] =
    ":root { --acc: #4a7fc1; --left: #d98b2b; --top: #3a9d7c; --rest: #9a6fb0 }\n"
    ".plan { font: 600 1rem/1.7 ui-monospace, monospace; color: var(--ink); max-width: none }\n"
    ".plan span { padding: .15rem .5rem; border: 1px solid var(--line); border-radius: 5px; margin-right: "
    ".4rem;\n"
    "  -webkit-box-decoration-break: clone; box-decoration-break: clone }\n"
    ".two { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(27rem, 100%), 1fr)); gap: 0 "
    "3rem }\n"
    ".nest { font: .85rem/1.5 ui-monospace, monospace }\n"
    ".loop { border: 1px solid var(--faint); border-radius: 6px; padding: .15rem .6rem .4rem; margin: .25rem "
    "0 0;\n"
    "  background: rgba(128, 128, 128, .05) }\n"
    ".unrolled { border-style: dashed; border-color: var(--left) }\n"
    ".nest i { float: right; color: var(--left); font-style: normal }\n"
    ".once { color: var(--faint) }\n.once, .turns { margin-right: .8rem }\n.does { margin-top: .15rem }\n"
    "svg { max-width: 100%; height: auto; font: 11px system-ui, sans-serif; fill: var(--ink) }\n"
    "svg .faint { fill: var(--faint) }\nsvg .halo { paint-order: stroke; stroke: var(--paper); stroke-width: "
    "4px }\n"
    ".grid { stroke: var(--line) }\n.roof { stroke: var(--ink); stroke-width: 1.5; fill: none }\n"
    ".guide { stroke: var(--bad); stroke-dasharray: 3 3 }\n.point { fill: var(--bad) }\n"
    "rect { stroke: none }\n.acc { fill: var(--acc) }\n.left { fill: var(--left) }\n.top { fill: var(--top) "
    "}\n"
    ".rest { fill: var(--rest) }\n.free { fill: none; stroke: var(--line) }\n"
    ".legend b { display: inline-block; width: .7em; height: .7em; border-radius: 2px; margin: 0 .3em 0 .6em "
    "}\n"
    "b.acc { background: var(--acc) }\nb.left { background: var(--left) }\nb.top { background: var(--top) }\n"
    "b.rest { background: var(--rest) }\n"
    ".bar { width: 14rem }\n.bar div { height: .7rem; background: var(--acc); border-radius: 2px }\n"
    ".most .bar div { background: var(--bad) }\n.most td { font-weight: 600 }\n"
    ".chosen td { font-weight: 600 }\ntr.more td { border: none; color: var(--faint) }\n"
    "td.why { text-align: left; white-space: normal }\ntd.name { text-align: left; color: var(--faint) }\n"
    "h2::first-letter { text-transform: uppercase }\n"
    "td.schedule { text-align: left; font-family: ui-monospace, monospace }\n";

/* ---- reading ---- */

/* Cuts text into lines, and those into sections; `lines` has room for all of them. */
static void cut(struct explained *e, char *text, char **lines)
{
    *e = (struct explained){.count = 1, .sections[0].lines = lines};
    for (char *line; (line = strsep(&text, "\n"));) {
        if (*line) {
            *lines++ = line;
            e->sections[e->count - 1].count++;
        } else if (text && *text) {
            if (e->count == SECTIONS_MOST) return;
            e->sections[e->count++].lines = lines;
        }
    }
}

static size_t lines_of(const char *text)
{
    size_t count = 1;
    for (; *text; text++) count += *text == '\n';
    return count;
}

static bool named(const char *line, const char *name)
{
    size_t length = strlen(name);
    return strlen(line) >= VALUE_AT && !strncmp(line + 2, name, length) && line[2 + length] == ' ';
}

const char *explained_fact(const struct explained *e, const char *name)
{
    const struct section *facts = &e->sections[SECTION_FACTS];
    for (int i = 0; i < facts->count; i++)
        if (named(facts->lines[i], name)) return facts->lines[i] + VALUE_AT;
    return "";
}

/* ---- the plan line ---- */

static void put_plan(FILE *file, char *line)
{
    fputs("<h1>kiln explain</h1><p class=\"plan\">", file);
    for (char *bar; line; line = bar) {
        if ((bar = strstr(line, " | "))) *bar = '\0', bar += 3;
        fputs("<span>", file);
        html_text(file, line);
        fputs("</span>", file);
    }
    fputs("</p>\n", file);
}

/* ---- the loop nest ---- */

/* Boxes that are open: the indentation of the line that each is of. */
enum { BOXES_MOST = 32 };
struct boxes {
    size_t indent[BOXES_MOST];
    int count;
};

static void boxes_close(FILE *file, struct boxes *boxes, size_t indent)
{
    for (; boxes->count && boxes->indent[boxes->count - 1] >= indent; boxes->count--) fputs("</div>", file);
}

/* Whether a list such as "kw, ic" has the name, or is "everything". */
static bool listed(const char *list, const char *name)
{
    size_t length = strlen(name);
    if (!strcmp(list, "everything")) return true;
    for (; list; list = strchr(list, ' '), list += list != NULL)
        if (!strncmp(list, name, length) && (!list[length] || list[length] == ',')) return true;
    return false;
}

/* "oh in 56" opens a box; a loop of one turn needs none. */
static bool put_loop(FILE *file, char *loop, const char *unrolled)
{
    char *turns = strstr(loop, " in ");
    if (turns) *turns = '\0', turns += 4;
    bool once = turns && !strcmp(turns, "1"), flat = !once && listed(unrolled, loop);
    fputs(once   ? "<span class=\"once\">"
          : flat ? "<div class=\"loop unrolled\"><i>unrolled</i><b>"
                 : "<div class=\"loop\"><b>",
          file);
    html_text(file, loop);
    fputs(once ? " " : "</b> <span class=\"turns\">", file);
    if (turns) html_text(file, turns);
    fputs("</span>", file);
    return !once;
}

static void put_loops(FILE *file, char *line, size_t indent, struct boxes *boxes)
{
    static const char cut_at[] = "; unrolled: ";
    char *unrolled = strstr(line, cut_at);
    if (unrolled) *unrolled = '\0', unrolled += sizeof cut_at - 1;
    for (char *loop = line, *next; loop; loop = next) {
        if ((next = strstr(loop, ", "))) *next = '\0', next += 2;
        if (boxes->count == BOXES_MOST) return;
        if (put_loop(file, loop, unrolled ? unrolled : "")) boxes->indent[boxes->count++] = indent;
    }
}

static void put_nest(FILE *file, const struct section *nest)
{
    struct boxes boxes = {.count = 0};
    fputs("<section><h2>loop nest</h2><div class=\"nest\">", file);
    for (int i = 0; i < nest->count; i++) {
        size_t indent = strspn(nest->lines[i], " ");
        char *line = nest->lines[i] + indent;
        boxes_close(file, &boxes, indent);
        if (!strncmp(line, "for ", 4)) {
            put_loops(file, line + 4, indent, &boxes);
            continue;
        }
        fputs("<div class=\"does\">", file);
        html_text(file, line);
        fputs("</div>", file);
    }
    boxes_close(file, &boxes, 0);
    fputs("</div></section>\n", file);
}

/* ---- tables ---- */

static void put_facts(FILE *file, const struct section *facts)
{
    fputs("<section><h2>facts</h2><table>\n", file);
    for (int i = 0; i < facts->count; i++) {
        char name[VALUE_AT - 2] = {0};
        if (strlen(facts->lines[i]) < VALUE_AT) continue;
        memcpy(name, facts->lines[i] + 2, sizeof name - 1);
        fputs("<tr>", file);
        html_cell(file, "name", name);
        html_cell(file, "why", facts->lines[i] + VALUE_AT);
        fputs("</tr>\n", file);
    }
    fputs("</table></section>\n", file);
}

/* "  fma  921600  51 %  what it is of". */
static void put_part(FILE *file, const char *line, const char *bound)
{
    char name[16], cycles[24];
    int share, at = 0;
    if (sscanf(line, " %15s %23s %d %% %n", name, cycles, &share, &at) != 3 || !at) return;
    bool most = !strncmp(bound, name, strlen(name));
    fprintf(file, "<tr class=\"%s\">", most ? "most" : "part");
    html_cell(file, "text", name);
    html_cell(file, "number", cycles);
    fprintf(file, "<td>%d %%</td><td class=\"bar\"><div style=\"width:%d%%\"></div></td>", share,
            share < 100 ? share : 100);
    html_cell(file, "why", line + at);
    fputs("</tr>\n", file);
}

static void put_parts(FILE *file, const struct explained *e)
{
    const struct section *parts = &e->sections[SECTION_PARTS];
    const char *bound = explained_fact(e, "bound by");
    fputs("<h2>estimate</h2><p>", file);
    html_text(file, explained_fact(e, "estimate"));
    fputs("; bound by ", file);
    html_text(file, bound);
    fputs(".</p><div class=\"wide\"><table><tr><th class=\"text\">part</th><th>cycles</th><th>share</th>"
          "<th class=\"text\">of parts that overlap</th><th></th></tr>\n",
          file);
    for (int i = 1; i < parts->count; i++) put_part(file, parts->lines[i], bound);
    fputs("</table></div>\n", file);
}

/* "4113941 cycles, 88 % of peak, 400 fma unrolled: direct ow=12", or any text. */
static void put_verdict(FILE *file, const char *text)
{
    char cycles[24], peak[12], fmas[12];
    int at = 0;
    int got = sscanf(text, "%23[0-9] cycles, %11[0-9] %% of peak, %11[0-9] fma unrolled: %n", cycles, peak,
                     fmas, &at);
    if (got != 3 || !at) {
        fputs("<td class=\"why\" colspan=\"4\">", file);
        html_text(file, text);
        fputs("</td>", file);
        return;
    }
    html_cell(file, "number", cycles);
    html_cell(file, "number", peak);
    html_cell(file, "number", fmas);
    html_cell(file, "schedule", text + at);
}

/* "  direct     slower: ...": who, what became of it, and the rest. */
static void put_candidate(FILE *file, char *line)
{
    if (strlen(line) < VALUE_AT) return;
    char *text = line + VALUE_AT, *rest = strstr(text, ": ");
    line[VALUE_AT - 1] = '\0';
    if (rest) *rest = '\0', rest += 2;
    bool more = strspn(line, " ") == VALUE_AT - 1;
    fprintf(file, "<tr class=\"%s\">", more ? "more" : !strcmp(text, "chosen") ? "chosen" : "other");
    html_cell(file, "text", more ? "" : line + 2);
    html_cell(file, "text", rest ? text : "");
    put_verdict(file, rest ? rest : text);
    fputs("</tr>\n", file);
}

/* A title and rows; or what wisdom had to say, in one line. */
static void put_table(FILE *file, const struct section *table)
{
    char *title = table->lines[0];
    fputs("<h2>", file);
    if (named(title, "wisdom")) {
        fputs("wisdom</h2><p>", file);
        html_text(file, title + VALUE_AT);
        fputs("</p>\n", file);
        return;
    }
    html_text(file, title + strspn(title, " "));
    fputs("</h2><div class=\"wide\"><table><tr><th></th><th></th><th>cycles</th><th>% of peak</th>"
          "<th>fma unrolled</th><th class=\"text\">schedule</th></tr>\n",
          file);
    for (int i = 1; i < table->count; i++) put_candidate(file, table->lines[i]);
    fputs("</table></div>\n", file);
}

/* ---- the page ---- */

static void put_page(FILE *file, const struct explained *e)
{
    char *plan = e->sections[SECTION_PLAN].count ? e->sections[SECTION_PLAN].lines[0] : NULL;
    html_begin(file, plan ? plan : "kiln explain", css);
    put_plan(file, plan);
    fputs("<div class=\"two\">\n", file);
    put_nest(file, &e->sections[SECTION_NEST]);
    draw_registers(file, e);
    draw_roofline(file, e);
    put_facts(file, &e->sections[SECTION_FACTS]);
    fputs("</div>\n", file);
    put_parts(file, e);
    for (int i = SECTION_TABLES; i < e->count; i++)
        if (e->sections[i].count) put_table(file, &e->sections[i]);
    html_end(file);
}

bool explain_page(FILE *file, char *text)
{
    struct explained e;
    char **lines = malloc(lines_of(text) * sizeof *lines);
    if (!lines) return false;
    cut(&e, text, lines);
    put_page(file, &e);
    free(lines);
    return true;
}
