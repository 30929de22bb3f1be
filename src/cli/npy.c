/* Owns the format: magic, version, the length of the header, the header, which is a Python dictionary
 * {'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 8, 8), }, then the elements. Everything
 * read is checked: such files come from anywhere. */
#include "npy.h"

#include "ask.h"
#include "output.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "elements are read and written as they lie in memory");

static const char magic[6] = "\x93NUMPY";

enum {
    HEADER_MAX = 10000, /* NumPy's own limit */
    HEADER_ALIGN = 64,  /* of the elements in files that are written */
    PREFIX = 10,        /* magic, version and length of a version 1 file */
    WORD_MAX = 64       /* longest string in a header that is worth showing */
};

/* ---- the header's Python ---- */

/* What is left of a header; its end is a zero byte. */
struct cursor {
    const char *at;
};

static void skip_blanks(struct cursor *c)
{
    while (isspace((unsigned char)*c->at)) c->at++;
}

/* Takes a sign such as ':' and the blanks before it, if it is next. */
static bool take(struct cursor *c, char sign)
{
    skip_blanks(c);
    if (*c->at != sign) return false;
    c->at++;
    return true;
}

static bool take_string(struct cursor *c, char word[WORD_MAX])
{
    skip_blanks(c);
    char quote = *c->at;
    if (quote != '\'' && quote != '"') return false;
    const char *end = strchr(c->at + 1, quote);
    if (!end || end - c->at > WORD_MAX) return false;
    size_t length = (size_t)(end - c->at - 1);
    memcpy(word, c->at + 1, length);
    word[length] = '\0';
    c->at = end + 1;
    return true;
}

/* A name such as False. */
static bool take_name(struct cursor *c, char word[WORD_MAX])
{
    skip_blanks(c);
    size_t length = 0;
    while (isalpha((unsigned char)c->at[length])) length++;
    if (length == 0 || length >= WORD_MAX) return false;
    memcpy(word, c->at, length);
    word[length] = '\0';
    c->at += length;
    return true;
}

/* A count such as 8, or 8L as Python 2 wrote it. */
static bool take_count(struct cursor *c, int64_t *count)
{
    skip_blanks(c);
    if (!isdigit((unsigned char)*c->at)) return false;
    char *end;
    errno = 0;
    *count = strtoll(c->at, &end, 10);
    c->at = end + (*end == 'L');
    return errno == 0;
}

/* ---- its fields ---- */

typedef bool field_read(struct npy *npy, struct cursor *c, const char *path);

static bool descr_read(struct npy *npy, struct cursor *c, const char *path)
{
    (void)npy;
    char word[WORD_MAX];
    if (!take_string(c, word))
        return complain("%s: its type is not a plain one; '<f4' is wanted", path), false;
    if (strcmp(word, "<f4") == 0) return true;
    return complain("%s: its elements are '%s'; only '<f4' is read (in NumPy: x.astype('<f4'))", path, word),
           false;
}

static bool order_read(struct npy *npy, struct cursor *c, const char *path)
{
    (void)npy;
    char word[WORD_MAX];
    if (take_name(c, word) && strcmp(word, "False") == 0) return true;
    return complain("%s: it is in Fortran order; only C order is read (in NumPy: np.ascontiguousarray(x))",
                    path),
           false;
}

static bool shape_read(struct npy *npy, struct cursor *c, const char *path)
{
    bool good = take(c, '(');
    npy->rank = 0;
    while (good && !take(c, ')')) {
        if (npy->rank == NPY_RANK_MAX)
            return complain("%s: it has more than %d dimensions", path, NPY_RANK_MAX), false;
        good = take_count(c, &npy->shape[npy->rank++]) && (take(c, ',') || *c->at == ')');
    }
    return good || (complain("%s: its shape is not a list of extents", path), false);
}

static const struct {
    const char *name;
    field_read *read;
} fields[] = {{"descr", descr_read}, {"fortran_order", order_read}, {"shape", shape_read}};

enum { FIELDS = sizeof fields / sizeof *fields };

static int field_find(const char *name)
{
    for (int i = 0; i < FIELDS; i++)
        if (strcmp(fields[i].name, name) == 0) return i;
    return -1;
}

static bool header_parse(struct npy *npy, const char *header, const char *path)
{
    struct cursor c = {header};
    bool seen[FIELDS] = {false};
    bool good = take(&c, '{');
    while (good && !take(&c, '}')) {
        char name[WORD_MAX];
        good = take_string(&c, name) && take(&c, ':');
        int i = good ? field_find(name) : -1;
        if (i < 0) break;
        if (!fields[i].read(npy, &c, path)) return false;
        seen[i] = true;
        good = take(&c, ',') || *c.at == '}';
    }
    for (int i = 0; i < FIELDS; i++) good = good && seen[i];
    skip_blanks(&c);
    if (good && *c.at == '\0') return true;
    return complain("%s: its header is not that of an array file", path), false;
}

/* ---- reading ---- */

/* Bytes of the elements, or -1: more than any file holds. */
static int64_t bytes_of(const struct npy *npy)
{
    int64_t bytes = sizeof *npy->data;
    for (int i = 0; i < npy->rank; i++)
        if (__builtin_mul_overflow(bytes, npy->shape[i], &bytes)) return -1;
    return bytes;
}

/* Reads what precedes the elements; the header's text is terminated. */
static bool header_read(FILE *file, char header[HEADER_MAX + 1], const char *path)
{
    unsigned char start[8], length[4] = {0};
    if (fread(start, 1, sizeof start, file) != sizeof start || memcmp(start, magic, sizeof magic) != 0)
        return complain("%s is not an array file of NumPy", path), false;
    int version = start[6];
    if (version < 1 || version > 2)
        return complain("%s: its version is %d; 1 and 2 are read", path, version), false;
    if (fread(length, version == 1 ? 2 : 4, 1, file) != 1)
        return complain("%s ends within its header", path), false;
    uint32_t count =
        length[0] | (uint32_t)length[1] << 8 | (uint32_t)length[2] << 16 | (uint32_t)length[3] << 24;
    if (count > HEADER_MAX)
        return complain("%s: its header is %u bytes long; at most %d", path, count, HEADER_MAX), false;
    if (fread(header, 1, count, file) != count) return complain("%s ends within its header", path), false;
    header[count] = '\0';
    if (strlen(header) != count) return complain("%s: its header holds a zero byte", path), false;
    return true;
}

/* A plain file must hold exactly what its header says, and nothing is allocated before that is known. */
static bool size_check(FILE *file, int64_t bytes, const char *path)
{
    struct stat there;
    if (bytes < 0) return complain("%s: its shape has more elements than any memory holds", path), false;
    if (fstat(fileno(file), &there) != 0 || !S_ISREG(there.st_mode)) return true;
    int64_t held = there.st_size - ftell(file);
    if (held == bytes) return true;
    return complain("%s: its shape needs %lld bytes of elements, the file holds %lld%s", path,
                    (long long)bytes, (long long)held, held < bytes ? ": it is cut short" : ""),
           false;
}

static bool elements_read(struct npy *npy, FILE *file, const char *path)
{
    int64_t bytes = bytes_of(npy);
    if (!size_check(file, bytes, path)) return false;
    npy->data = malloc(bytes ? (size_t)bytes : 1);
    if (!npy->data) return complain("%s: no memory for %lld bytes", path, (long long)bytes), false;
    if (fread(npy->data, 1, (size_t)bytes, file) == (size_t)bytes) return true;
    return complain("%s ends within its elements", path), false;
}

bool npy_read(struct npy *npy, const char *path)
{
    char header[HEADER_MAX + 1];
    *npy = (struct npy){0};
    FILE *file = fopen(path, "rb");
    if (!file) return complain("cannot open %s: %s", path, strerror(errno)), false;
    struct stat there;
    bool folder = fstat(fileno(file), &there) == 0 && S_ISDIR(there.st_mode);
    if (folder) complain("%s is a directory, not an array file", path);
    bool good = !folder && header_read(file, header, path) && header_parse(npy, header, path) &&
                elements_read(npy, file, path);
    fclose(file);
    if (!good) npy_free(npy);
    return good;
}

void npy_free(struct npy *npy)
{
    free(npy->data);
    *npy = (struct npy){0};
}

/* ---- writing ---- */

void npy_shape_print(char text[NPY_SHAPE_TEXT], int rank, const int64_t *shape)
{
    size_t length = 0;
    text[length++] = '(';
    for (int i = 0; i < rank; i++)
        length += (size_t)snprintf(text + length, NPY_SHAPE_TEXT - length, "%s%lld", i ? ", " : "",
                                   (long long)shape[i]);
    snprintf(text + length, NPY_SHAPE_TEXT - length, rank == 1 ? ",)" : ")");
}

static void header_write(FILE *file, const struct npy *npy)
{
    char shape[NPY_SHAPE_TEXT], header[NPY_SHAPE_TEXT + 128];
    npy_shape_print(shape, npy->rank, npy->shape);
    int length =
        snprintf(header, sizeof header, "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }", shape);
    int whole = (PREFIX + length + 1 + HEADER_ALIGN - 1) / HEADER_ALIGN * HEADER_ALIGN - PREFIX;
    fwrite(magic, 1, sizeof magic, file);
    const unsigned char rest[] = {1, 0, (unsigned char)whole, (unsigned char)(whole >> 8)};
    fwrite(rest, 1, sizeof rest, file);
    fprintf(file, "%-*s\n", whole - 1, header);
}

bool npy_write(const struct npy *npy, const char *path)
{
    struct output output;
    int64_t bytes = bytes_of(npy);
    assert(bytes >= 0);
    if (!output_open(&output, path)) return false;
    header_write(output.file, npy);
    fwrite(npy->data, 1, (size_t)bytes, output.file);
    return output_close(&output, true);
}
