/* wisdom: a table of lines by the hash of their conv. Lines of one conv, for several levels and numbers of
 * threads, follow each other from the slot of its hash on. */
#include "wisdom.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "conv.h"
#include "status.h"
#include "text.h"

enum {
    SLOTS_FIRST = 64, /* a power of two; doubled when half of them are taken */
    THREADS_MOST = 1024,
    BETWEEN_MOST = 32, /* bytes of a written line that are neither conv, schedule nor comment */
};

struct entry {
    struct kiln_conv conv; /* canonical */
    uint64_t hash;         /* of conv */
    enum isa isa;
    int threads;
    double us; /* 0: not told */
    char *schedule, *comment;
};

struct wisdom {
    pthread_mutex_t lock;
    struct entry *at; /* in the order of arrival */
    size_t count, room;
    size_t *slots; /* 1 + the index of an entry; 0: free */
    size_t slot_count;
};

struct wisdom *wisdom_new(void)
{
    struct wisdom *w = calloc(1, sizeof *w);
    if (w) pthread_mutex_init(&w->lock, NULL);
    return w;
}

static uint64_t conv_hash(const struct kiln_conv *canonical)
{
    return XXH3_64bits(canonical, sizeof *canonical);
}

static void entry_free(struct entry *e)
{
    free(e->schedule);
    free(e->comment);
}

void wisdom_free(struct wisdom *w)
{
    if (!w) return;
    for (size_t i = 0; i < w->count; i++) entry_free(&w->at[i]);
    free(w->at);
    free(w->slots);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

/* ---- one line ---- */

/* What a comment says; words it does not know say nothing. */
static void comment_read(const char *comment, struct entry *e)
{
    struct words words = words_of(comment);
    struct word w, key, value;
    float number = 0, us;
    int64_t threads;
    e->us = 0, e->threads = 1;
    while (words_next(&words, &w)) {
        if (word_is(w, "us") && number > 0) e->us = (double)number;
        number = word_float(w, &us) == NUMBER_OK ? us : 0;
        if (word_pair(w, &key, &value) && word_is(key, "threads") &&
            word_number(value, &threads) == NUMBER_OK && threads >= 1 && threads <= THREADS_MOST)
            e->threads = (int)threads;
    }
}

static const char *const no_memory = "no memory for wisdom";

/* Makes an entry of a plan line and its comment. INVALID: why it is none. */
static enum kiln_status entry_make(struct entry *e, const char *line, struct words comment,
                                   struct kiln_error *error)
{
    struct kiln_conv conv;
    struct words schedule;
    struct word isa;
    enum kiln_status status = conv_parse(&conv, line, error);
    if (status) return status;
    if (!words_line(line, &schedule, &isa) || schedule.at == schedule.end)
        return fail(error, KILN_STATUS_INVALID, "it has not the form \"conv | schedule | isa\"");
    if (!isa_find(isa.at, isa.length, &e->isa))
        return fail(error, KILN_STATUS_INVALID, "'%.*s' is no ISA level", WORD(isa));
    if (schedule.end - schedule.at >= KILN_TEXT_MAX)
        return fail(error, KILN_STATUS_INVALID, "its schedule has more than %d bytes", KILN_TEXT_MAX - 1);
    e->isa = isa_code(e->isa);
    size_t length = conv_print(&conv, NULL, 0) + (size_t)(schedule.end - schedule.at) +
                    (size_t)(comment.end - comment.at);
    if (length + BETWEEN_MOST >= WISDOM_LINE_MAX)
        return fail(error, KILN_STATUS_INVALID, "written in full it has more than %d bytes",
                    WISDOM_LINE_MAX - 1);
    conv_canonical(&e->conv, &conv);
    e->hash = conv_hash(&e->conv);
    e->schedule = strndup(schedule.at, (size_t)(schedule.end - schedule.at));
    e->comment = strndup(comment.at, (size_t)(comment.end - comment.at));
    if (e->schedule && e->comment) return comment_read(e->comment, e), KILN_STATUS_OK;
    entry_free(e);
    return fail(error, KILN_STATUS_MEMORY, "%s", no_memory);
}

/* Reads the bytes of a line that says something. */
static enum kiln_status entry_read(struct entry *e, struct words bytes, struct kiln_error *error)
{
    char line[WISDOM_LINE_MAX];
    size_t length = (size_t)(bytes.end - bytes.at);
    if (length >= sizeof line)
        return fail(error, KILN_STATUS_INVALID, "it has %zu bytes, at most %zu are read", length,
                    sizeof line - 1);
    for (const char *c = bytes.at; c < bytes.end; c++)
        if ((unsigned char)*c < ' ' && *c != '\t')
            return fail(error, KILN_STATUS_INVALID, "it holds a control byte, \\x%02x", (unsigned char)*c);
    memcpy(line, bytes.at, length);
    line[length] = '\0';
    char *mark = strchr(line, '#');
    struct words comment = {line + length, line + length};
    if (mark) {
        *mark = '\0';
        if (!words_part(mark + 1, 0, &comment)) comment.end = comment.at;
    }
    return entry_make(e, line, comment, error);
}

/* ---- the table ---- */

/* The slot of the first entry of this hash, or the free one where it would go. */
static size_t slot_first(const struct wisdom *w, uint64_t hash) { return hash & (w->slot_count - 1); }

static size_t slot_next(const struct wisdom *w, size_t slot) { return (slot + 1) & (w->slot_count - 1); }

static void slot_take(struct wisdom *w, size_t index)
{
    size_t slot = slot_first(w, w->at[index].hash);
    while (w->slots[slot]) slot = slot_next(w, slot);
    w->slots[slot] = index + 1;
}

/* Makes room for one more; false: no memory. */
static bool table_grow(struct wisdom *w)
{
    if (w->count == w->room) {
        size_t room = w->room ? 2 * w->room : SLOTS_FIRST / 2;
        struct entry *at = realloc(w->at, room * sizeof *at);
        if (!at) return false;
        w->at = at, w->room = room;
    }
    if (2 * (w->count + 1) <= w->slot_count) return true;
    size_t count = w->slot_count ? 2 * w->slot_count : SLOTS_FIRST;
    size_t *slots = calloc(count, sizeof *slots);
    if (!slots) return false;
    free(w->slots);
    w->slots = slots, w->slot_count = count;
    for (size_t i = 0; i < w->count; i++) slot_take(w, i);
    return true;
}

static bool entry_better(const struct entry *a, const struct entry *b)
{
    return a->us > 0 && (b->us <= 0 || a->us < b->us);
}

/* Takes e over where it is better than what is known, and frees what is worse. */
static enum kiln_status entry_add(struct wisdom *w, struct entry *e, struct kiln_error *error)
{
    if (!table_grow(w)) return entry_free(e), fail(error, KILN_STATUS_MEMORY, "%s", no_memory);
    for (size_t slot = slot_first(w, e->hash); w->slots[slot]; slot = slot_next(w, slot)) {
        struct entry *known = &w->at[w->slots[slot] - 1], worse = *e;
        if (known->hash != e->hash || known->isa != e->isa || known->threads != e->threads ||
            memcmp(&known->conv, &e->conv, sizeof e->conv) != 0)
            continue;
        if (entry_better(e, known)) worse = *known, *known = *e;
        return entry_free(&worse), KILN_STATUS_OK;
    }
    if (w->count == WISDOM_LINES_MOST) {
        entry_free(e);
        return fail(error, KILN_STATUS_INVALID, "it is one more than the %d that are kept",
                    WISDOM_LINES_MOST);
    }
    w->at[w->count] = *e;
    slot_take(w, w->count++);
    return KILN_STATUS_OK;
}

static enum kiln_status line_add(struct wisdom *w, struct words bytes, struct kiln_error *error)
{
    struct entry e;
    enum kiln_status status = entry_read(&e, bytes, error);
    if (status) return status;
    pthread_mutex_lock(&w->lock);
    status = entry_add(w, &e, error);
    pthread_mutex_unlock(&w->lock);
    return status;
}

/* ---- all lines ---- */

static bool blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

static void line_told(wisdom_tell *tell, void *user, size_t number, const struct kiln_error *why)
{
    char sentence[KILN_ERROR_TEXT + 64];
    if (!tell) return;
    snprintf(sentence, sizeof sentence, "line %zu is passed over: %s", number, why->text);
    tell(user, sentence);
}

enum kiln_status wisdom_read(struct wisdom *w, const char *text, size_t size, wisdom_tell *tell, void *user,
                             struct kiln_error *error)
{
    const char *end = text + size;
    for (size_t number = 1; text < end; number++) {
        struct kiln_error why;
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        struct words line = {text, newline ? newline : end};
        text = newline ? newline + 1 : end;
        while (line.at < line.end && blank(*line.at)) line.at++;
        while (line.at < line.end && blank(line.end[-1])) line.end--;
        if (line.at == line.end || *line.at == '#') continue;
        enum kiln_status status = line_add(w, line, &why);
        if (status == KILN_STATUS_MEMORY) return fail(error, status, "%s", why.text);
        if (status) line_told(tell, user, number, &why);
    }
    return KILN_STATUS_OK;
}

/* The line of the i-th entry; 0: there are no more. */
static size_t entry_print(struct wisdom *w, size_t i, char *line, size_t room)
{
    struct text t = text_into(line, room);
    pthread_mutex_lock(&w->lock);
    if (i < w->count) {
        const struct entry *e = &w->at[i];
        t.length = conv_print(&e->conv, line, room);
        text_put(&t, " | %s | %s", e->schedule, isa_name(e->isa));
        text_put(&t, "%s%s\n", *e->comment ? "  # " : "", e->comment);
    }
    pthread_mutex_unlock(&w->lock);
    return t.length;
}

/* Line by line, so that no lock is held where the sink is called. */
void wisdom_write(struct wisdom *w, kiln_sink *sink, void *user)
{
    char line[WISDOM_LINE_MAX];
    size_t length;
    for (size_t i = 0; (length = entry_print(w, i, line, sizeof line)) > 0; i++) sink(user, line, length);
}

/* ---- what is known of a key ---- */

static int apart(int a, int b) { return a < b ? b - a : a - b; }

/* The entry for a key, or NULL; *other: one of the conv for another level. */
static const struct entry *entry_find(const struct wisdom *w, const struct wisdom_key *key,
                                      const struct entry **other)
{
    const struct entry *best = NULL;
    uint64_t hash = conv_hash(key->conv);
    for (size_t slot = slot_first(w, hash); w->slots[slot]; slot = slot_next(w, slot)) {
        const struct entry *e = &w->at[w->slots[slot] - 1];
        if (e->hash != hash || memcmp(&e->conv, key->conv, sizeof e->conv) != 0) continue;
        if (e->isa != key->isa)
            *other = e;
        else if (!best || apart(e->threads, key->threads) < apart(best->threads, key->threads))
            best = e;
    }
    return best;
}

bool wisdom_find(struct wisdom *w, const struct wisdom_key *key, struct advice *advice,
                 const char **other_isa)
{
    const struct entry *other = NULL, *found = NULL;
    *other_isa = NULL;
    pthread_mutex_lock(&w->lock);
    if (w->count) found = entry_find(w, key, &other);
    if (found) {
        memcpy(advice->schedule, found->schedule, strlen(found->schedule) + 1); /* entry_make saw to it */
        memcpy(advice->comment, found->comment, strlen(found->comment) + 1);    /* that they fit */
        advice->threads = found->threads, advice->us = found->us;
    } else if (other) {
        *other_isa = isa_name(other->isa);
    }
    pthread_mutex_unlock(&w->lock);
    return found;
}
