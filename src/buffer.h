/* buffer: a sink that keeps all bytes, with a terminator behind them. */
#ifndef KILN_SRC_BUFFER_H
#define KILN_SRC_BUFFER_H

#include "kiln.h"

struct buffer {  /* zero: empty */
    char *bytes; /* freed by the owner; NULL: nothing came */
    size_t count, room;
    bool failed; /* there was no memory: what is there is cut short */
};

kiln_sink buffer_sink; /* user: a struct buffer */

#endif
