/* guard: memory that begins or ends at a page which cannot be touched, and calls that survive touching
 * it. What makes a test of "never a byte outside the tensors". */
#ifndef KILN_TESTS_GUARD_H
#define KILN_TESTS_GUARD_H

#include <stdbool.h>
#include <stddef.h>

enum guard_side {
    GUARD_BEHIND, /* the last byte is followed by the page */
    GUARD_BEFORE, /* the first byte is preceded by it */
};

/* Writable memory, filled with GUARD_FILL, which as floats is NaN. Aligned as asked, so that with
 * GUARD_BEHIND up to align - 1 bytes may be left between the last byte and the page; those, and what is
 * left of the first or last page on the other side, hold GUARD_FILL too. */
enum { GUARD_FILL = 0xff };
struct guard {
    char *at; /* NULL: no bytes were asked for */
    size_t bytes;
    char *map, *room; /* everything; its accessible part */
    size_t map_bytes, room_bytes;
};

/* Aborts if there is no memory: a test cannot go on. */
struct guard guard_new(size_t bytes, size_t align, enum guard_side side);
void guard_read_only(const struct guard *g);
void guard_poison(const struct guard *g); /* fills it again */
/* Whether nothing was written around it, where no page is in the way. */
bool guard_intact(const struct guard *g);
void guard_free(struct guard *g);

/* Calls f(arg). False: it was ended by a fault, such as touching the page or an instruction that the
 * machine lacks; *address is where. Not for f that allocates. */
bool guard_call(void (*f)(void *arg), void *arg, const char **address);

#endif
