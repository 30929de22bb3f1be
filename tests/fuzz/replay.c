/* Runs a fuzz target without a fuzzer: on stored inputs, as an ordinary test, and on random ones made
 * from them, as a longer run by any compiler.
 *
 *   TARGET [--lines FILE] ... [--random N] [--seed S] [FILE | FOLDER] ...
 *
 * A file is one input, a folder one for each file; --lines: a file that holds one in each line, up to "=>".
 * With
 * --random, N more are made by cutting, joining and changing those. Before each of them it is left in
 * ./replay.last, where it stays if it ends the program; `TARGET replay.last` repeats it. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

/* ---- inputs ---- */

struct input {
    uint8_t *bytes;
    size_t count;
};

struct corpus {
    struct input *inputs;
    size_t count;
};

static void *need(void *memory)
{
    if (memory) return memory;
    perror("replay");
    exit(2);
}

static void add(struct corpus *c, const void *bytes, size_t count)
{
    c->inputs = need(realloc(c->inputs, (c->count + 1) * sizeof *c->inputs));
    struct input *in = &c->inputs[c->count++];
    in->bytes = need(malloc(count + 1));
    in->count = count;
    memcpy(in->bytes, bytes, count);
}

static void corpus_free(struct corpus *c)
{
    for (size_t i = 0; i < c->count; i++) free(c->inputs[i].bytes);
    free(c->inputs);
}

static void add_file(struct corpus *c, const char *path)
{
    enum { ROOM = 1 << 20 };
    FILE *f = need(fopen(path, "rb"));
    uint8_t *bytes = need(malloc(ROOM));
    add(c, bytes, fread(bytes, 1, ROOM, f));
    free(bytes);
    fclose(f);
}

static void add_lines(struct corpus *c, const char *path)
{
    FILE *f = need(fopen(path, "rb"));
    char *line = NULL;
    size_t room = 0;
    for (ssize_t count; (count = getline(&line, &room, f)) >= 0;) {
        char *expected = strstr(line, " =>"); /* of a table of texts and what becomes of them */
        count = expected ? expected - line : count - (line[count - 1] == '\n');
        if (count > 0 && line[0] != '#') add(c, line, (size_t)count);
    }
    free(line);
    fclose(f);
}

static void add_path(struct corpus *c, const char *path)
{
    struct stat s;
    if (stat(path, &s)) need(NULL);
    if (!S_ISDIR(s.st_mode)) {
        add_file(c, path);
        return;
    }
    struct dirent **names;
    int count = scandir(path, &names, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char inside[4096];
        snprintf(inside, sizeof inside, "%s/%s", path, names[i]->d_name);
        if (names[i]->d_name[0] != '.') add_path(c, inside);
        free(names[i]);
    }
    if (count >= 0) free(names);
}

/* ---- random inputs ---- */

static uint64_t state;

static size_t below(size_t n)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (size_t)(state >> 33) % n;
}

enum { MADE_ROOM = 4096 };

struct made {
    uint8_t bytes[MADE_ROOM];
    size_t count;
};

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Puts bytes in place of m's [from, to). */
static void replace(struct made *m, size_t from, size_t to, const uint8_t *bytes, size_t count)
{
    count = least(count, MADE_ROOM - from);
    size_t behind = least(m->count - to, MADE_ROOM - from - count);
    memmove(m->bytes + from + count, m->bytes + to, behind);
    memcpy(m->bytes + from, bytes, count);
    m->count = from + count + behind;
}

/* The word around a place, up to blanks. */
static void word_at(const uint8_t *bytes, size_t count, size_t at, size_t *from, size_t *to)
{
    for (*from = at; *from > 0 && bytes[*from - 1] != ' ';) --*from;
    for (*to = at; *to < count && bytes[*to] != ' ';) ++*to;
}

static void change_byte(struct made *m, const struct input *other)
{
    (void)other;
    if (m->count) m->bytes[below(m->count)] = (uint8_t)below(256);
}

/* A digit for a digit, or a few. */
static void change_number(struct made *m, const struct input *other)
{
    static const char *const numbers[] = {"0",
                                          "1",
                                          "2",
                                          "3",
                                          "4",
                                          "5",
                                          "7",
                                          "8",
                                          "9",
                                          "13",
                                          "16",
                                          "17",
                                          "33",
                                          "65",
                                          "-1",
                                          "2147483648",
                                          "9223372036854775807"};
    size_t at = m->count ? below(m->count) : 0, to;
    (void)other;
    while (at < m->count && (m->bytes[at] < '0' || m->bytes[at] > '9')) at++;
    for (to = at; to < m->count && m->bytes[to] >= '0' && m->bytes[to] <= '9';) to++;
    const char *number = numbers[below(sizeof numbers / sizeof *numbers)];
    if (at < to) replace(m, at, to, (const uint8_t *)number, strlen(number));
}

/* A word of another input for a word of this. */
static void change_word(struct made *m, const struct input *other)
{
    size_t from = 0, to = 0, first = 0, last = 0;
    if (m->count) word_at(m->bytes, m->count, below(m->count), &from, &to);
    if (other->count) word_at(other->bytes, other->count, below(other->count), &first, &last);
    replace(m, from, to, other->bytes + first, last - first);
}

/* The front of this, the rest of another. */
static void join(struct made *m, const struct input *other)
{
    size_t from = m->count ? below(m->count) : 0, at = other->count ? below(other->count) : 0;
    replace(m, from, m->count, other->bytes + at, other->count - at);
}

static void cut(struct made *m, const struct input *other)
{
    size_t from = 0, to = 0;
    (void)other;
    if (m->count) word_at(m->bytes, m->count, below(m->count), &from, &to);
    replace(m, from, to, (const uint8_t *)"", 0);
}

static void make(struct made *m, const struct corpus *c)
{
    static void (*const changes[])(struct made *, const struct input *) = {
        change_byte, change_number, change_number, change_number, change_word, change_word, join, cut};
    const struct input *from = &c->inputs[below(c->count)];
    m->count = 0;
    replace(m, 0, 0, from->bytes, from->count);
    for (size_t left = 1 + below(4); left > 0; left--)
        changes[below(sizeof changes / sizeof *changes)](m, &c->inputs[below(c->count)]);
}

static void run_made(const struct made *m)
{
    FILE *f = need(fopen("replay.last", "wb"));
    fwrite(m->bytes, 1, m->count, f);
    fclose(f);
    LLVMFuzzerTestOneInput(m->bytes, m->count);
}

/* ---- all of it ---- */

int main(int argc, char **argv)
{
    struct corpus c = {0};
    size_t randoms = 0;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(argv[i], "--lines"))
            add_lines(&c, value), i++;
        else if (!strcmp(argv[i], "--random"))
            randoms = strtoul(value, NULL, 10), i++;
        else if (!strcmp(argv[i], "--seed"))
            state = strtoul(value, NULL, 10), i++;
        else
            add_path(&c, argv[i]);
    }
    for (size_t i = 0; i < c.count; i++) {
        fprintf(stderr, "%.*s\n", (int)c.inputs[i].count, (const char *)c.inputs[i].bytes);
        LLVMFuzzerTestOneInput(c.inputs[i].bytes, c.inputs[i].count);
    }
    static struct made made;
    for (size_t i = 0; c.count && i < randoms; i++) {
        make(&made, &c);
        run_made(&made);
    }
    if (randoms) unlink("replay.last");
    printf("%zu inputs stored, %zu made\n", c.count, c.count ? randoms : 0);
    corpus_free(&c);
    return c.count == 0;
}
