/* A two-layer network in plain C: where does an image change from one pixel to the next, and by how much?
 *
 *   layer 0   1 -> 2 channels   kernels [-1 +1] and [+1 -1], ReLU       steps up; steps down
 *   layer 1   2 -> 1 channel    weights 1 and 1, bias -2, ReLU          steps of both kinds, less 2
 *
 * The result is max(|x[i + 1] - x[i]| - 2, 0), which can be checked by eye. Without the first ReLU the two
 * channels would cancel out. */
#include <kiln.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { H = 4, W = 8, STEPS = W - 1 };

static const float image[H][W] = {
    {1, 1, 1, 9, 9, 9, 1, 1},
    {1, 2, 3, 4, 5, 6, 7, 8},
    {0, 3, 0, 4, 0, 5, 0, 6},
    {7, 7, 5, 5, 2, 2, 9, 0},
};
static const float kernels[2][1][1][2] = {{{{-1, +1}}}, {{{+1, -1}}}}; /* weights[oc][ic][kh][kw] */
static const float both[1][2][1][1] = {{{{1}}, {{1}}}}, less[1] = {-2};

struct layer {
    const char *conv;
    const void *weights, *bias;
    struct kiln_plan *plan;
    void *packed;
};

static void must(enum kiln_status status, const struct kiln_error *error)
{
    if (status == KILN_STATUS_OK) return;
    fprintf(stderr, "%s\n", error->text);
    exit(1);
}

/* Done once: machine code for just this shape, and weights in the order that it reads them in. */
static void layer_make(struct layer *layer, struct kiln *k)
{
    struct kiln_conv conv;
    struct kiln_error error;
    must(kiln_conv_parse(&conv, layer->conv, &error), &error);
    must(kiln_compile(k, &conv, NULL, &layer->plan, &error), &error);
    layer->packed = aligned_alloc(64, (kiln_plan_packed_size(layer->plan) + 63) / 64 * 64);
    must(kiln_pack(layer->plan, layer->weights, layer->packed, &error), &error);
}

static void layer_run(const struct layer *layer, const float *src, float *dst)
{
    struct kiln_args args = {.src = src, .weights = layer->packed, .bias = layer->bias, .dst = dst};
    struct kiln_error error;
    must(kiln_run(layer->plan, &args, &error), &error);
}

/* Prints what the network gives beside the formula. Returns how often they differ. */
static int compare(const float result[H][STEPS])
{
    int wrong = 0;
    for (int h = 0; h < H; h++) {
        for (int w = 0; w < STEPS; w++) {
            float expected = fmaxf(fabsf(image[h][w + 1] - image[h][w]) - 2, 0);
            printf(" %2g", result[h][w]);
            wrong += result[h][w] != expected;
        }
        puts("");
    }
    return wrong;
}

int main(void)
{
    struct layer layers[] = {
        {"conv ic1 ih4 iw8 oc2 kw2 nchw +relu", kernels},
        {"conv ic2 ih4 iw7 oc1 kw1 nchw +bias +relu", both, less},
    };
    float hidden[2][H][STEPS], result[H][STEPS];
    struct kiln *k;
    struct kiln_error error;
    must(kiln_create(&k, NULL, &error), &error);
    for (int i = 0; i < 2; i++) layer_make(&layers[i], k);

    layer_run(&layers[0], image[0], hidden[0][0]); /* as often as there are images */
    layer_run(&layers[1], hidden[0][0], result[0]);
    int wrong = compare(result);

    for (int i = 0; i < 2; i++) {
        kiln_plan_release(layers[i].plan);
        free(layers[i].packed);
    }
    kiln_destroy(k);
    printf("%d of %d are wrong\n", wrong, H * STEPS);
    return wrong != 0;
}
