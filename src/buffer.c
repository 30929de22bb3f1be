/* buffer: grows by doubling; once there is no memory it takes nothing more. */
#include "buffer.h"

#include <stdlib.h>
#include <string.h>

void buffer_sink(void *user, const char *bytes, size_t count)
{
    struct buffer *b = user;
    size_t need = b->count + count + 1;
    if (need > b->room && !b->failed) {
        char *grown = realloc(b->bytes, 2 * need);
        b->failed = !grown;
        if (grown) b->bytes = grown;
        if (grown) b->room = 2 * need;
    }
    if (b->failed) return;
    if (count) memcpy(b->bytes + b->count, bytes, count);
    b->count += count;
    b->bytes[b->count] = '\0';
}
