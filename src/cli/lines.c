/* Owns the convolutions of a command: reading, splitting at '|', parsing. All are read before any is
 * worked on, so that a mistake in the last line costs no waiting. */
#include "lines.h"

#include "ask.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Cuts a comment and the blanks on both sides, in place. */
static char *trimmed(char *text)
{
    text[strcspn(text, "#\r\n")] = '\0';
    while (isspace((unsigned char)*text)) text++;
    size_t length = strlen(text);
    while (length > 0 && isspace((unsigned char)text[length - 1])) text[--length] = '\0';
    return text;
}

/* Memory that was asked for. Lists of convolutions are short: without room for one, nothing else goes. */
static void *need(void *memory)
{
    if (!memory) exit(complain("no memory for the list of convolutions"));
    return memory;
}

/* The part of text behind its index-th '|' up to the next, in memory of its own; NULL: there is none. */
static char *part(const char *text, int index)
{
    for (int i = 0; i < index; i++) {
        text = strchr(text, '|');
        if (!text) return NULL;
        text++;
    }
    char *copy = need(strndup(text, strcspn(text, "|")));
    const char *inner = trimmed(copy);
    memmove(copy, inner, strlen(inner) + 1);
    return copy;
}

static struct line *line_new(struct lines *lines)
{
    if (lines->count == lines->room) {
        lines->room = lines->room ? 2 * lines->room : 16;
        lines->at = need(realloc(lines->at, lines->room * sizeof *lines->at));
    }
    return &lines->at[lines->count++];
}

bool lines_add(struct lines *lines, const char *text, const char *where)
{
    struct kiln_conv conv;
    struct kiln_error error;
    if (kiln_conv_parse(&conv, text, &error) != KILN_STATUS_OK)
        return complain("%s%s%s", where ? where : "", where ? ": " : "", error.text), false;
    char *fourth = part(text, 3);
    if (fourth) {
        complain("%s%sa plan line has three parts, and here is a fourth: '%.60s'", where ? where : "",
                 where ? ": " : "", fourth);
        return free(fourth), false;
    }
    *line_new(lines) = (struct line){
        .text = need(strdup(text)), .conv = conv, .schedule = part(text, 1), .machine = part(text, 2)};
    return true;
}

/* What editors of other systems put in front of UTF-8. */
static const char byte_order_mark[] = "\xef\xbb\xbf";
enum { MARK_BYTES = sizeof byte_order_mark - 1 };

static bool file_read(struct lines *lines, FILE *file, const char *path)
{
    char *text = NULL;
    size_t room = 0;
    bool good = true;
    ssize_t length;
    for (int number = 1; good && (length = getline(&text, &room, file)) >= 0; number++) {
        char where[256];
        snprintf(where, sizeof where, "%s:%d", path, number);
        if (memchr(text, '\0', (size_t)length)) /* the text would end there, and ask for something else */
            complain("%s: it holds a zero byte: a list is text", where), good = false;
        bool marked = number == 1 && strncmp(text, byte_order_mark, MARK_BYTES) == 0;
        char *inner = trimmed(marked ? text + MARK_BYTES : text);
        if (good && *inner) good = lines_add(lines, inner, where);
    }
    free(text);
    if (good && ferror(file)) return complain("cannot read %s: %s", path, strerror(errno)), false;
    return good;
}

bool lines_read(struct lines *lines, const char *path)
{
    bool standard = strcmp(path, "-") == 0;
    size_t before = lines->count;
    if (!*path) return complain("the name of the file of convolutions is empty"), false;
    FILE *file = standard ? stdin : fopen(path, "r");
    if (!file) return complain("cannot open %s: %s", path, strerror(errno)), false;
    const char *name = standard ? "standard input" : path;
    bool good = file_read(lines, file, name);
    if (!standard) fclose(file);
    if (good && lines->count == before) return complain("%s has no convolutions", name), false;
    return good;
}

void lines_free(struct lines *lines)
{
    for (size_t i = 0; i < lines->count; i++) {
        free(lines->at[i].text);
        free(lines->at[i].schedule);
        free(lines->at[i].machine);
    }
    free(lines->at);
    *lines = (struct lines){0};
}

const char *plan_word(const char *plan, int index, char word[WORD_ROOM])
{
    const char *at = plan;
    for (int i = 0; i < index && at; i++) at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL;
    if (!at) at = "?";
    at += strspn(at, " ");
    snprintf(word, WORD_ROOM, "%.*s", (int)strcspn(at, " |"), at);
    return word;
}
