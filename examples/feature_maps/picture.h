/* Pictures in memory, and as PNG files. */
#ifndef PICTURE_H
#define PICTURE_H

#include <stdbool.h>

/* Rows of pixels from the top, rgb[h][w][3]. Zero: none. */
struct picture {
    int w, h;
    unsigned char *rgb;
};

/* Black. False, with a sentence on standard error: no memory. */
bool picture_make(struct picture *picture, int w, int h);
void picture_free(struct picture *picture);

/* Of any PNG; what is transparent is seen on white. False, with a sentence: it cannot be read, is none, is
 * damaged, or has a side longer than `most`. */
bool picture_read(struct picture *picture, const char *path, int most);

/* False, with a sentence: it cannot be written whole; then no file is left. */
bool picture_write(const struct picture *picture, const char *path);

#endif
