/* Finds the edges of a disc with a convolution that was compiled ahead of time: nothing of Kiln is linked but
 * the kernels, no LLVM, and nothing is compiled when it runs. */
#include "edges.h"

#include <stdio.h>
#include <stdlib.h>

enum { HEIGHT = 16, WIDTH = 48 };

static float x[HEIGHT][WIDTH], y[HEIGHT][WIDTH];

/* What is inside and differs from its neighbours: Laplace's kernel. */
static const float laplace[3][3] = {{-1, -1, -1}, {-1, 8, -1}, {-1, -1, -1}};

/* Letters are twice as high as wide. */
static float disc(int h, int w)
{
    double up = h - HEIGHT / 2 + 0.5, right = (w - WIDTH / 2 + 0.5) / 2;
    return up * up + right * right < 49;
}

static void *room(size_t bytes)
{
    void *at = bytes ? aligned_alloc(64, bytes) : NULL;
    if (bytes && !at) exit(1);
    return at;
}

int main(void)
{
    const struct edges_conv *c = edges_0();
    if (!c) return fputs("this machine has none of the ISAs that were compiled for\n", stderr), 77;
    for (int h = 0; h < HEIGHT; h++)
        for (int w = 0; w < WIDTH; w++) x[h][w] = disc(h, w);

    void *packed = room(c->packed_size), *scratch = room(c->scratch_size);
    const struct edges_args args = {.src = x, .weights = packed, .dst = y};
    c->pack(laplace, packed);
    c->run(&args, 0, c->tasks, scratch);
    free(packed);
    free(scratch);

    printf("%s\n", c->plan);
    for (int h = 0; h < HEIGHT; h++)
        for (int w = 0; w < WIDTH; w++)
            printf("%c%s", y[h][w] > 0 ? '#' : x[h][w] > 0 ? '.' : ' ', w == WIDTH - 1 ? "\n" : "");
    return y[HEIGHT / 2][WIDTH / 2] != 0 || y[1][WIDTH / 2] != 3;
}
