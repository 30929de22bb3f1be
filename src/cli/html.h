/* html: what the program's pages share: one file that needs no other, in light and dark. */
#ifndef KILN_CLI_HTML_H
#define KILN_CLI_HTML_H

#include <stdio.h>

/* A page's head, with a style of its own behind the common one, and its end. Both are sound XML too. */
void html_begin(FILE *file, const char *title, const char *css);
void html_end(FILE *file);

/* Text that may hold anything; and a cell of a table, of the class `kind`, with such text. */
void html_text(FILE *file, const char *text);
void html_cell(FILE *file, const char *kind, const char *text);

#endif
