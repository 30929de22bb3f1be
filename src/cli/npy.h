/* npy: NumPy's array files, versions 1 and 2, f32 in C order. */
#ifndef KILN_CLI_NPY_H
#define KILN_CLI_NPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Two more than any tensor here has, so that a wrong one can be named. */
enum { NPY_RANK_MAX = 8 };

struct npy {
    int rank;
    int64_t shape[NPY_RANK_MAX];
    float *data; /* npy_free frees it */
};

/* False: said on standard error, and *npy is empty. */
bool npy_read(struct npy *npy, const char *path);
bool npy_write(const struct npy *npy, const char *path);
void npy_free(struct npy *npy);

/* "(1, 2, 8, 8)", as NumPy writes it. */
enum { NPY_SHAPE_TEXT = NPY_RANK_MAX * 22 + 4 };
void npy_shape_print(char text[NPY_SHAPE_TEXT], int rank, const int64_t *shape);

#endif
