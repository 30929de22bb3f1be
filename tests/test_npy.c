/* .npy: what is written is read again, what NumPy writes is read, and nothing malformed is. */
#include "cli/npy.c"
#include "cli/output.c"

#include <criterion/criterion.h>
#include <stdarg.h>

/* What the code under test said, instead of writing it to standard error. */
static char said[1024];

int complain(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(said, sizeof said, format, list);
    va_end(list);
    return EXIT_USAGE;
}

/* ---- files in a folder of the test's own ---- */

static char folder[] = "/tmp/kiln-npy-XXXXXX", path[64];

static void folder_make(void)
{
    cr_assert(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/x.npy", folder);
    said[0] = '\0';
}

static void folder_remove(void)
{
    unlink(path);
    cr_assert_eq(rmdir(folder), 0, "a file was left behind");
}

TestSuite(npy, .init = folder_make, .fini = folder_remove);

static void file_put(const void *bytes, size_t count)
{
    FILE *file = fopen(path, "wb");
    cr_assert(file && fwrite(bytes, 1, count, file) == count && fclose(file) == 0);
}

/* A file of the version given: its header as text, then `floats` elements 1, 2, 3 ... */
static void npy_put(int version, const char *header, int floats)
{
    char bytes[1024];
    size_t length = strlen(header), start = version == 1 ? 10 : 12;
    const unsigned char rest[] = {(unsigned char)version,       0, (unsigned char)length,
                                  (unsigned char)(length >> 8), 0, 0};
    memcpy(bytes, "\x93NUMPY", 6);
    memcpy(bytes + 6, rest, sizeof rest);
    memcpy(bytes + start, header, length);
    for (int i = 0; i < floats; i++)
        memcpy(bytes + start + length + 4 * (size_t)i, &(float){(float)i + 1}, 4);
    file_put(bytes, start + length + 4 * (size_t)floats);
}

static void refused(const char *why)
{
    struct npy npy;
    said[0] = '\0';
    cr_assert_not(npy_read(&npy, path));
    cr_assert(strstr(said, why), "said \"%s\", which does not tell of \"%s\"", said, why);
    cr_assert_null(npy.data);
}

/* ---- what is right ---- */

Test(npy, round_trip)
{
    static const struct npy cases[] = {
        {1, {3}}, {2, {2, 3}}, {4, {1, 2, 8, 8}}, {5, {1, 1, 1, 1, 1}},
        {0},      {2, {0, 7}}, {3, {1, 1, 128}},  {8, {1, 2, 1, 2, 1, 2, 1, 2}},
    };
    float data[128];
    for (int i = 0; i < 128; i++) data[i] = 0.1f * (float)i - 3;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct npy put = cases[i], got;
        put.data = data;
        cr_assert(npy_write(&put, path), "%s", said);
        cr_assert(npy_read(&got, path), "%s", said);
        cr_assert_eq(got.rank, put.rank);
        cr_assert(memcmp(got.shape, put.shape, (size_t)put.rank * sizeof *put.shape) == 0);
        cr_assert(memcmp(got.data, data, (size_t)bytes_of(&put)) == 0);
        npy_free(&got);
    }
}

Test(npy, written_as_numpy_writes)
{
    static const char want[] = "\x93NUMPY\x01\x00\x76\x00"
                               "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }  ";
    float data[2] = {1, 2};
    const struct npy npy = {1, {2}, data};
    char bytes[256];
    cr_assert(npy_write(&npy, path));
    FILE *file = fopen(path, "rb");
    cr_assert_eq(fread(bytes, 1, sizeof bytes, file), 128 + 8, "elements begin at a multiple of 64");
    fclose(file);
    cr_assert(memcmp(bytes, want, sizeof want - 1) == 0);
    cr_assert_eq(bytes[127], '\n');
}

Test(npy, dictionaries_that_python_accepts)
{
    static const char *const headers[] = {
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}",
        "{\"descr\": \"<f4\", \"fortran_order\": False, \"shape\": (2, 3)}\n",
        "  { 'shape' :( 2 ,3, ) ,'fortran_order':False,\n 'descr':'<f4' }  \n  ",
        "{'fortran_order': False, 'shape': (2L, 3L), 'descr': '<f4'}\n",
    };
    for (int version = 1; version <= 2; version++)
        for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
            struct npy npy;
            npy_put(version, headers[i], 6);
            cr_assert(npy_read(&npy, path), "%s: %s", headers[i], said);
            cr_assert(npy.rank == 2 && npy.shape[0] == 2 && npy.shape[1] == 3 && npy.data[5] == 6);
            npy_free(&npy);
        }
}

/* ---- what is wrong ---- */

#define TYPE_AND_ORDER "{'descr': '<f4', 'fortran_order': False, "

Test(npy, malformed_headers)
{
    static const struct {
        const char *header, *why;
    } cases[] = {
        {"", "not that of an array"},
        {"{}", "not that of an array"},
        {"{", "not that of an array"},
        {"{'descr': '<f4'}", "not that of an array"},
        {TYPE_AND_ORDER "}", "not that of an array"},
        {TYPE_AND_ORDER "'shape': (6,), 'more': 1}", "not that of an array"},
        {TYPE_AND_ORDER "'shape': (6,)} x", "not that of an array"},
        {TYPE_AND_ORDER "'shape': (6,)", "not that of an array"},
        {"{'descr': '<f4' 'fortran_order': False, 'shape': (6,)}", "not that of an array"},
        {"{'descr' '<f4', 'fortran_order': False, 'shape': (6,)}", "not that of an array"},
        {"{'descr: '<f4', 'fortran_order': False, 'shape': (6,)}", "not that of an array"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (3,)}", "'<f8'"},
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (6,)}", "'>f4'"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (6,)}", "'|u1'"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (6,)}", "its type"},
        {"{'descr': <f4, 'fortran_order': False, 'shape': (6,)}", "its type"},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (6,)}", "Fortran order"},
        {"{'descr': '<f4', 'fortran_order': 0, 'shape': (6,)}", "Fortran order"},
        {TYPE_AND_ORDER "'shape': 6}", "its shape"},
        {TYPE_AND_ORDER "'shape': [6]}", "its shape"},
        {TYPE_AND_ORDER "'shape': (6", "its shape"},
        {TYPE_AND_ORDER "'shape': (2 3)}", "its shape"},
        {TYPE_AND_ORDER "'shape': (-6,)}", "its shape"},
        {TYPE_AND_ORDER "'shape': (,)}", "its shape"},
        {TYPE_AND_ORDER "'shape': (6.0,)}", "its shape"},
        {TYPE_AND_ORDER "'shape': (1, 1, 1, 1, 1, 1, 1, 1, 6)}", "more than 8"},
        {TYPE_AND_ORDER "'shape': (99999999999999999999,)}", "its shape"},
        {TYPE_AND_ORDER "'shape': (9223372036854775807,)}", "any memory"},
        {TYPE_AND_ORDER "'shape': (4294967296, 4294967296)}", "any memory"},
        {TYPE_AND_ORDER "'shape': (1000000000000,)}", "cut short"},
        {TYPE_AND_ORDER "'shape': (7,)}", "cut short"},
        {TYPE_AND_ORDER "'shape': (5,)}", "needs 20 bytes of elements, the file holds 24"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        npy_put(1, cases[i].header, 6);
        refused(cases[i].why);
    }
}

Test(npy, malformed_starts)
{
    static const struct {
        const char *bytes;
        size_t count;
        const char *why;
    } cases[] = {
        {"", 0, "not an array file"},
        {"\x93NUMP", 5, "not an array file"},
        {"\x93NUMPY\x01", 7, "not an array file"},
        {"\x94NUMPY\x01\x00\x01\x00{", 11, "not an array file"},
        {"PK\x03\x04 an .npz file", 16, "not an array file"},
        {"\x93NUMPY\x03\x00\x01\x00\x00\x00{", 13, "its version is 3"},
        {"\x93NUMPY\x00\x00\x01\x00{", 11, "its version is 0"},
        {"\x93NUMPY\x01\x00", 8, "within its header"},
        {"\x93NUMPY\x01\x00\x05", 9, "within its header"},
        {"\x93NUMPY\x01\x00\x05\x00{", 11, "within its header"},
        {"\x93NUMPY\x02\x00\x05\x00\x00", 11, "within its header"},
        {"\x93NUMPY\x02\x00\xff\xff\xff\xff{", 13, "at most 10000"},
        {"\x93NUMPY\x01\x00\xff\xff{", 11, "at most 10000"},
        {"\x93NUMPY\x01\x00\x03\x00{\0}", 13, "zero byte"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        file_put(cases[i].bytes, cases[i].count);
        refused(cases[i].why);
    }
}

/* Every file that ends too early is refused, wherever it ends. */
Test(npy, truncated_anywhere)
{
    char bytes[256];
    float data[3] = {1, 2, 3};
    cr_assert(npy_write(&(struct npy){1, {3}, data}, path));
    FILE *file = fopen(path, "rb");
    size_t whole = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    for (size_t count = 0; count < whole; count++) {
        struct npy npy;
        file_put(bytes, count);
        cr_assert_not(npy_read(&npy, path), "%zu of %zu bytes", count, whole);
    }
}

/* ---- where it cannot be written ---- */

Test(npy, a_missing_file_is_named)
{
    refused("x.npy: No such file");
    cr_assert_not(npy_write(&(struct npy){.rank = 0, .data = &(float){1}}, "/nowhere/at/all/y.npy"));
    cr_assert(strstr(said, "/nowhere/at/all/y.npy: No such file"), "%s", said);
}

Test(npy, abandoned_output_leaves_the_old_file)
{
    struct output output;
    struct npy npy;
    npy_put(1, TYPE_AND_ORDER "'shape': (6,)}", 6);
    cr_assert(output_open(&output, path));
    fputs("half a file", output.file);
    cr_assert(output_close(&output, false));
    cr_assert(npy_read(&npy, path), "%s", said);
    npy_free(&npy);
}

Test(npy, a_link_stays_a_link)
{
    char link[80];
    struct stat there;
    struct npy npy;
    snprintf(link, sizeof link, "%s/link", folder);
    file_put("", 0);
    cr_assert_eq(symlink(path, link), 0);
    cr_assert(npy_write(&(struct npy){.rank = 0, .data = &(float){1}}, link), "%s", said);
    cr_assert(lstat(link, &there) == 0 && S_ISLNK(there.st_mode));
    cr_assert(npy_read(&npy, path), "%s", said);
    npy_free(&npy);
    unlink(link);
}

Test(npy, a_full_device_is_an_error)
{
    struct stat there;
    float *data = calloc(1 << 20, sizeof *data);
    cr_assert_not(npy_write(&(struct npy){1, {1 << 20}, data}, "/dev/full"));
    cr_assert(strstr(said, "cannot write /dev/full"), "%s", said);
    cr_assert(stat("/dev/full", &there) == 0 && S_ISCHR(there.st_mode), "it was not replaced");
    free(data);
}
