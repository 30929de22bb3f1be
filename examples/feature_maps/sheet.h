/* The contact sheet: a picture, its feature maps, and the kernels that made them. */
#ifndef SHEET_H
#define SHEET_H

#include "picture.h"

enum { CHANNELS = 3, KERNELS = 6, TAPS = 9 };

/* One kernel: for each channel of the picture the same 3x3 weights, times the channel's own. All of them are
 * integers, so that f32 makes no error. */
struct kernel {
    const char *name;
    float taps[TAPS], channels[CHANNELS];
    float unit; /* of a sum v, v / unit is shown, cut off at 255 */
    bool both;  /* below 0 in blue and above in orange; else from 0 on in grey */
};

/* maps[h][w][KERNELS], of the size of the picture. False: no memory. */
bool sheet_make(struct picture *sheet, const struct picture *picture, const float *maps,
                const struct kernel kernels[KERNELS]);

#endif
