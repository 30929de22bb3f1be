/* Any bytes as a text of wisdom: lines are kept or passed over with a sentence, and what is kept reads back
 * as itself. */
#include "fuzz.h"

#include "wisdom.h"

#include <stdlib.h>
#include <string.h>

/* What a sink was given; cut where it has no room. */
struct kept {
    char bytes[1 << 16];
    size_t count;
};

static void keep(void *user, const char *bytes, size_t count)
{
    struct kept *k = user;
    must(count > 0 && bytes[count - 1] == '\n', "a line without an end");
    if (count > sizeof k->bytes - k->count) return;
    memcpy(k->bytes + k->count, bytes, count);
    k->count += count;
}

static void told(void *user, const char *sentence)
{
    (void)user;
    must(strlen(sentence) > strlen("line 1 is passed over: "), "no sentence");
}

static struct wisdom *wisdom_from(const void *bytes, size_t count, wisdom_tell *tell)
{
    struct wisdom *w = wisdom_new();
    must(w && !wisdom_read(w, bytes, count, tell, NULL, NULL), "no memory");
    return w;
}

static void refused(void *user, const char *sentence)
{
    (void)user;
    must(false, "what was written is passed over: %s", sentence);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static struct kept once, twice;
    char *text = malloc(count + !count); /* of its own, so that a sanitizer sees any byte read behind it */
    if (!text) return 0;
    if (count) memcpy(text, bytes, count);
    struct wisdom *w = wisdom_from(text, count, told);
    once.count = twice.count = 0;
    wisdom_write(w, keep, &once);
    struct wisdom *again = wisdom_from(once.bytes, once.count, refused);
    wisdom_write(again, keep, &twice);
    must(once.count == twice.count && !memcmp(once.bytes, twice.bytes, once.count), "reads back differently");
    wisdom_free(w);
    wisdom_free(again);
    free(text);
    return 0;
}
