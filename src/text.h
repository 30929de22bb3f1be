/* text: the one scanner and printer of words: `letters` + number (ic64), key=value (ow=14), and
 * name(a,b). Words are separated by blanks; a '|' ends a part of a plan line. Nothing here depends
 * on the locale. */
#ifndef KILN_SRC_TEXT_H
#define KILN_SRC_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- printing into a bounded buffer ---- */

/* text is always terminated if room > 0; length counts all that was put, as snprintf counts, so that
 * length >= room says that the buffer was too small. */
struct text {
    char *to;
    size_t room, length;
};

struct text text_into(char *to, size_t room);
/* As printf; not for floats, whose '.' depends on the locale. */
void text_put(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The shortest decimal that reads back as the same float; v is finite. */
void text_put_float(struct text *t, float v);

/* ---- scanning ---- */

/* A piece of someone's text; not terminated. Print it with "%.*s", WORD(w). */
struct word {
    const char *at;
    size_t length;
};

/* Longer words are cut in messages, which must fit struct kiln_error. */
enum { WORD_SHOWN_MAX = 48 };
#define WORD(w) word_shown(w), (w).at
int word_shown(struct word w);

/* What is left to read. */
struct words {
    const char *at, *end;
};

struct words words_of(const char *text);              /* up to the first '|' or the end */
bool words_next(struct words *words, struct word *w); /* false: no more */
/* The part of a plan line behind its `skip`-th '|' (0: the first part), trimmed; false: there is none. */
bool words_part(const char *text, int skip, struct words *part);
/* The schedule and the ISA of a plan line, "conv | schedule | isa"; false: it has another form. */
bool words_line(const char *line, struct words *schedule, struct word *isa);

bool word_is(struct word w, const char *expected);
bool word_starts(struct word w, const char *prefix, struct word *rest);

/* Splits "key=value" at its first '='; false: there is none, or no key. */
bool word_pair(struct word w, struct word *key, struct word *value);
/* Splits "ic64" or "ic-1" into letters and the rest, which may be empty and need not be a number. */
void word_split(struct word w, struct word *letters, struct word *rest);

/* What became of a number. */
enum number { NUMBER_OK, NUMBER_NONE, NUMBER_OVERFLOW };

/* The whole word is one decimal integer, '-' allowed in front, '+' and blanks not. `value` is
 * written only when OK; OVERFLOW: beyond int64. */
enum number word_number(struct word w, int64_t *value);
/* The whole word is one decimal number, such as "-0.5" or "1e-3"; finite, also as a float. */
enum number word_float(struct word w, float *value);

/* Index of the entry of names[count] that is nearest to w in edits, if near enough to be what was
 * meant; else -1. Entries may be NULL. */
int word_nearest(struct word w, const char *const *names, size_t count);

#endif
