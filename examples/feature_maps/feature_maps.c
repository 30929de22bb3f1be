/* What do six kernels over three channels make? Six feature maps: each kernel has a 3x3 square of weights for
 * each of the three channels, and all its products are summed up. To see them:
 *
 *   feature_maps IN.png OUT.png
 *
 * OUT.png is a contact sheet: the picture, below it the weights of the kernels, beside them the maps. These
 * have a frame, since padding reads 0. */
#include "sheet.h"
#include <kiln.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST = 2048 /* a side of IN.png: tensors and sheet stay below 400 MB */ };

#define LIGHT {77, 150, 29} /* of red, green and blue, as eyes see it: 256 in all */

static const struct kernel kernels[KERNELS] = {
    {"VERTICAL EDGES", {-1, 0, 1, -2, 0, 2, -1, 0, 1}, LIGHT, 384, true},
    {"HORIZONTAL EDGES", {-1, -2, -1, 0, 0, 0, 1, 2, 1}, LIGHT, 384, true},
    {"BLUR", {1, 1, 1, 1, 1, 1, 1, 1, 1}, LIGHT, 9 * 256, false},
    {"SHARPEN", {0, -1, 0, -1, 5, -1, 0, -1, 0}, LIGHT, 256, false},
    {"EMBOSS", {-2, -1, 0, -1, 1, 1, 0, 1, 2}, LIGHT, 256, false},
    {"YELLOW - BLUE", {1, 1, 1, 1, 1, 1, 1, 1, 1}, {1, 1, -2}, 9, true},
};

static bool fail(const char *sentence)
{
    fprintf(stderr, "feature_maps: %s\n", sentence);
    return false;
}

/* maps[h][w][oc] of src[h][w][ic], in one convolution. */
static bool convolve(int w, int h, const float *src, float *maps)
{
    float weights[KERNELS][CHANNELS][TAPS];
    char text[128];
    struct kiln_conv conv;
    struct kiln_error error;
    struct kiln *k = NULL;
    struct kiln_plan *plan = NULL;
    void *packed = NULL;
    for (int oc = 0; oc < KERNELS; oc++)
        for (int ic = 0; ic < CHANNELS; ic++)
            for (int tap = 0; tap < TAPS; tap++)
                weights[oc][ic][tap] = kernels[oc].channels[ic] * kernels[oc].taps[tap];
    snprintf(text, sizeof text, "conv ic3 ih%d iw%d oc6 kh3 kw3 ph1 pw1 nhwc strict", h, w);
    bool done = !kiln_conv_parse(&conv, text, &error) && !kiln_create(&k, NULL, &error) &&
                !kiln_compile(k, &conv, NULL, &plan, &error);
    if (done) {
        packed = aligned_alloc(64, (kiln_plan_packed_size(plan) + 63) / 64 * 64);
        struct kiln_args args = {.src = src, .weights = packed, .dst = maps};
        done = !kiln_pack(plan, weights, packed, &error) && !kiln_run(plan, &args, &error);
    }
    free(packed), kiln_plan_release(plan), kiln_destroy(k);
    return done || fail(error.text);
}

/* The bytes of a picture lie as a tensor in nhwc does. */
static bool picture_convolve(const struct picture *picture, float *src, float *maps)
{
    if (!src || !maps) return fail("out of memory");
    for (int i = 0; i < picture->w * picture->h * CHANNELS; i++) src[i] = picture->rgb[i];
    return convolve(picture->w, picture->h, src, maps);
}

int main(int argc, char **argv)
{
    struct picture picture, sheet = {0};
    if (argc != 3) return fputs("usage: feature_maps IN.png OUT.png\n", stderr), 2;
    if (!picture_read(&picture, argv[1], MOST)) return 2;
    size_t pixels = (size_t)picture.w * (size_t)picture.h;
    float *src = malloc(pixels * CHANNELS * sizeof *src), *maps = malloc(pixels * KERNELS * sizeof *maps);
    bool done = picture_convolve(&picture, src, maps) && sheet_make(&sheet, &picture, maps, kernels) &&
                picture_write(&sheet, argv[2]);
    picture_free(&sheet), picture_free(&picture), free(src), free(maps);
    return done ? 0 : 2;
}
