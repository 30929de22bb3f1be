/* explain_page: `kiln explain` drawn. The page says what kiln_explain tells and nothing else: its text is
 * read, line by line, and what is not understood of it is left out. */
#ifndef KILN_CLI_EXPLAIN_PAGE_H
#define KILN_CLI_EXPLAIN_PAGE_H

#include <stdbool.h>
#include <stdio.h>

/* Lines of the text between two empty ones. */
struct section {
    char **lines;
    int count;
};

/* Sections of the text; which of those behind the parts there are depends on what was asked. */
enum { SECTION_PLAN, SECTION_NEST, SECTION_FACTS, SECTION_PARTS, SECTION_TABLES, SECTIONS_MOST = 8 };

struct explained {
    struct section sections[SECTIONS_MOST];
    int count;
};

/* A line is "  NAME       VALUE": the value begins here. A name that is all blanks goes on with the line
 * above. */
enum { VALUE_AT = 13 };

/* The value of a line of the facts, such as "registers"; "" if there is none. */
const char *explained_fact(const struct explained *e, const char *name);

/* Writes the page of what kiln_explain told; the text is cut into pieces on the way. False: no memory. */
bool explain_page(FILE *file, char *text);

/* The pictures, each nothing where its facts are not there. */
void draw_registers(FILE *file, const struct explained *e);
void draw_roofline(FILE *file, const struct explained *e);

#endif
