/* status: codes and sentences. Owns the names of the statuses and the one way an error is filled. */
#include "status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const names[] = {
    [KILN_STATUS_OK] = "ok",
    [KILN_STATUS_INVALID] = "invalid",
    [KILN_STATUS_UNSUPPORTED] = "unsupported",
    [KILN_STATUS_MEMORY] = "memory",
    [KILN_STATUS_SYSTEM] = "system",
    [KILN_STATUS_INTERNAL] = "internal",
};

const char *status_name(enum kiln_status status)
{
    return (size_t)status < sizeof names / sizeof *names ? names[status] : "unknown";
}

enum kiln_status fail(struct kiln_error *error, enum kiln_status status, const char *format, ...)
{
    if (!error) return status;
    /* By way of a second buffer, since a sentence may quote the one it replaces. */
    char sentence[KILN_ERROR_TEXT];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    memcpy(error->text, sentence, sizeof sentence);
    error->status = status;
    return status;
}
