/* context: what it knows of plans that were timed. */
#include "context.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "status.h"

enum { FILE_BYTES_MOST = 1 << 30 }; /* more lines than are kept */

static void skip_log(void *k, const char *sentence) { context_log(k, DEBUG_WISDOM, sentence); }

static enum kiln_status text_read(struct kiln *k, const char *text, size_t size, struct kiln_error *error)
{
    bool told = context_logs(k, DEBUG_WISDOM);
    return wisdom_read(k->wisdom, text, size, told ? skip_log : NULL, k, error);
}

/* All bytes of a file, to be freed; NULL: errno says why. */
static char *file_bytes(FILE *file, size_t *size)
{
    char *bytes = NULL;
    size_t room = 0;
    *size = 0;
    while (!feof(file)) {
        if (*size == room) {
            room = room ? 2 * room : BUFSIZ;
            char *grown = room <= FILE_BYTES_MOST ? realloc(bytes, room) : NULL;
            if (!grown) errno = room <= FILE_BYTES_MOST ? ENOMEM : EFBIG;
            if (!grown) return free(bytes), NULL;
            bytes = grown;
        }
        *size += fread(bytes + *size, 1, room - *size, file);
        if (ferror(file)) return free(bytes), NULL;
    }
    return bytes;
}

enum kiln_status context_wisdom(struct kiln *k, const char *path, const char *by, struct kiln_error *error)
{
    size_t size = 0;
    FILE *file = fopen(path, "re");
    char *bytes = file ? file_bytes(file, &size) : NULL;
    int why = errno;
    if (file) fclose(file);
    if (!bytes)
        return fail(error, why == ENOMEM ? KILN_STATUS_MEMORY : KILN_STATUS_SYSTEM,
                    "%s is \"%.256s\": it cannot be read: %s", by, path, strerror(why));
    enum kiln_status status = text_read(k, bytes, size, error);
    free(bytes);
    return status;
}

enum kiln_status kiln_wisdom_import(struct kiln *k, const char *text, size_t size, struct kiln_error *error)
{
    if (!k) return fail(error, KILN_STATUS_INVALID, "k is NULL: must be a context");
    if (!text && size) return fail(error, KILN_STATUS_INVALID, "text is NULL, of %zu bytes", size);
    return text_read(k, text, size, error);
}

enum kiln_status kiln_wisdom_export(struct kiln *k, kiln_sink *sink, void *user, struct kiln_error *error)
{
    if (!k) return fail(error, KILN_STATUS_INVALID, "k is NULL: must be a context");
    if (!sink) return fail(error, KILN_STATUS_INVALID, "sink is NULL");
    wisdom_write(k->wisdom, sink, user);
    return KILN_STATUS_OK;
}
