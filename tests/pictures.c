/* Pictures for test_feature_maps.sh.
 *
 *   pictures make KIND W H OUT.png   the same greys in every kind of PNG, but for "clear" and "white"
 *   pictures same A.png B.png        exit status 0: they are; else it says what differs */
#include "picture.h"

#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 1 << 16 };

static const struct kind {
    const char *name;
    unsigned format;
    int channels, fill; /* every byte; -1: a pattern */
} kinds[] = {
    {"rgb", PNG_FORMAT_RGB, 3, -1},
    {"grey", PNG_FORMAT_GRAY, 1, -1},
    {"palette", PNG_FORMAT_RGB_COLORMAP, 1, -1},
    {"rgba", PNG_FORMAT_RGBA, 4, -1},
    {"clear", PNG_FORMAT_RGBA, 4, 0},
    {"white", PNG_FORMAT_GRAY, 1, 255},
};

static int make(const struct kind *kind, int w, int h, const char *path)
{
    png_image png = {
        .version = PNG_IMAGE_VERSION, .format = kind->format, .width = (unsigned)w, .height = (unsigned)h};
    size_t channels = (size_t)kind->channels, count = (size_t)w * (size_t)h * channels;
    unsigned char *bytes = malloc(count), colors[256][3];
    if (!bytes) return 1;
    for (int i = 0; i < 256; i++) memset(colors[i], i, 3);
    png.colormap_entries = 256;
    for (size_t i = 0; i < count; i++)
        bytes[i] = (unsigned char)(i % channels == 3 ? 255 : i / channels * 37 + i / channels / 64);
    if (kind->fill >= 0) memset(bytes, kind->fill, count);
    int written = png_image_write_to_file(&png, path, 0, bytes, 0, colors);
    free(bytes);
    return !written;
}

static int same(const struct picture *a, const struct picture *b)
{
    int differ = 0, first = 0, count = a->w * a->h;
    if (a->w != b->w || a->h != b->h)
        return printf("%d x %d pixels, and %d x %d\n", a->w, a->h, b->w, b->h), 1;
    for (int i = count - 1; i >= 0; i--)
        if (memcmp(a->rgb + 3 * i, b->rgb + 3 * i, 3)) differ++, first = i;
    if (differ)
        printf("%d of %d pixels differ, the first at %d,%d\n", differ, count, first % a->w, first / a->w);
    return differ != 0;
}

int main(int argc, char **argv)
{
    struct picture a, b;
    for (size_t i = 0; argc == 6 && i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(argv[2], kinds[i].name) == 0)
            return make(&kinds[i], atoi(argv[3]), atoi(argv[4]), argv[5]);
    if (argc != 4 || !picture_read(&a, argv[2], MOST)) return 2;
    if (!picture_read(&b, argv[3], MOST)) return picture_free(&a), 2;
    int status = same(&a, &b);
    picture_free(&a), picture_free(&b);
    return status;
}
