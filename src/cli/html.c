/* Owns the common style: inks of the pages, tables, headings. */
#include "html.h"

static const char head[] = "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\n"
                           "<meta name=\"viewport\" content=\"width=device-width\"/>\n<title>";

static const char common[] =
    "</title>\n<style>\n"
    ":root { color-scheme: light dark; --ink: #222; --faint: #777; --line: #ddd; --paper: #fff;\n"
    "  --good: #12946f; --bad: #c2503f }\n"
    "@media (prefers-color-scheme: dark) { :root { --ink: #ddd; --faint: #999; --line: #383838;\n"
    "  --paper: #161616; --good: #45b892; --bad: #e07b6b } }\n"
    "body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);\n"
    "  max-width: 72rem; margin: 2rem auto; padding: 0 1rem }\n"
    "h1 { font-size: 1.5rem; margin: 0 }\nh2 { font-size: 1.1rem; margin: 2.5rem 0 .3rem }\n"
    "p { color: var(--faint); margin: .2rem 0 .8rem; max-width: 48rem }\n.wide { overflow-x: auto }\n"
    "table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums }\n"
    "th { color: var(--faint); font-weight: 500; text-align: right; vertical-align: bottom }\n"
    "th, td { padding: .15rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap }\n"
    "td { text-align: right }\ntd.text, th.text { text-align: left }\n"
    "td.good { color: var(--good) }\ntd.bad { color: var(--bad) }\n";

void html_begin(FILE *file, const char *title, const char *css)
{
    fputs(head, file);
    html_text(file, title);
    fputs(common, file);
    fputs(css, file);
    fputs("</style></head><body>\n", file);
}

void html_end(FILE *file) { fputs("</body></html>\n", file); }

void html_text(FILE *file, const char *text)
{
    for (const char *c = text; *c; c++) switch (*c) {
        case '<': fputs("&lt;", file); break;
        case '>': fputs("&gt;", file); break;
        case '&': fputs("&amp;", file); break;
        case '"': fputs("&quot;", file); break;
        default: fputc((unsigned char)*c < ' ' ? ' ' : *c, file);
        }
}

void html_cell(FILE *file, const char *kind, const char *text)
{
    fprintf(file, "<td class=\"%s\">", kind);
    html_text(file, text);
    fputs("</td>", file);
}
