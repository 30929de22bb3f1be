/* library: a static library of the files that kiln aot wrote, made by a compiler and an archiver of the
 * system. */
#ifndef KILN_CLI_LIBRARY_H
#define KILN_CLI_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

extern const char host_arch[]; /* this machine's, as --target names it */

struct library { /* zero: empty */
    char **objects;
    size_t count;
};

/* Takes note of an object. False, as for library_make: said on standard error. */
bool library_add(struct library *library, const char *dir, const char *name);

/* Compiles DIR/NAME.c to an object and makes DIR/libNAME.a of all of them. The tools are those that CC and AR
 * name, which may have arguments, else cc and ar, or of another machine "TRIPLE-gcc" and "TRIPLE-ar". */
bool library_make(struct library *library, const char *dir, const char *name, const char *target);

void library_free(struct library *library);

#endif
