/* output: a file that appears whole or not at all. It is written beside its final name and renamed
 * when complete; what was there before stays until then. Pipes and devices are written as they are. */
#ifndef KILN_CLI_OUTPUT_H
#define KILN_CLI_OUTPUT_H

#include <stdbool.h>
#include <stdio.h>

struct output {
    FILE *file;
    char *path;      /* where it will be */
    char *temporary; /* where it is; NULL: written in place, since path is no plain file */
};

/* What a command's help says of FILE. */
#define OUTPUT_HELP "- is standard output"

/* path "-": standard output. False: said on standard error, as for output_close. */
bool output_open(struct output *output, const char *path);

/* Completes the file if all was written and `keep`, else removes it. False: it was to be kept, and is not. */
bool output_close(struct output *output, bool keep);

/* Writes DIR/NAME by `content`, which is false where it could not make all of it. False: said. */
typedef bool output_content(FILE *file, const void *arg);
bool output_into(const char *dir, const char *name, output_content *content, const void *arg);

#endif
