/* status: codes and sentences, from one list. */
#ifndef KILN_SRC_STATUS_H
#define KILN_SRC_STATUS_H

#include "kiln.h"

const char *status_name(enum kiln_status status); /* the body of kiln_status_name */

/* Fills *error (may be NULL) with status and a sentence, and returns status: `return fail(...)`. */
__attribute__((format(printf, 3, 4))) enum kiln_status fail(struct kiln_error *error, enum kiln_status status,
                                                            const char *format, ...);

#endif
