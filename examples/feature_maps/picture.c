#include "picture.h"
#include <errno.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char unread[] = "cannot be read as a PNG: ", unwritten[] = "cannot be written: ";

static bool fail(const char *path, const char *what, const char *why)
{
    fprintf(stderr, "%s: %s%s\n", path, what, why);
    return false;
}

bool picture_make(struct picture *picture, int w, int h)
{
    *picture = (struct picture){w, h, calloc((size_t)w * (size_t)h, 3)};
    return picture->rgb || fail("picture", "", "out of memory");
}

void picture_free(struct picture *picture)
{
    free(picture->rgb);
    *picture = (struct picture){0};
}

static bool pixels_read(struct picture *picture, png_image *png, const char *path, int most)
{
    char why[96];
    const png_color white = {255, 255, 255};
    snprintf(why, sizeof why, "%u x %u pixels; a side may have %d at most", png->width, png->height, most);
    if (png->width > (unsigned)most || png->height > (unsigned)most) return fail(path, "has ", why);
    if (!picture_make(picture, (int)png->width, (int)png->height)) return false;
    png->format = PNG_FORMAT_RGB;
    if (png_image_finish_read(png, &white, picture->rgb, 0, NULL)) return true;
    picture_free(picture);
    return fail(path, unread, png->message);
}

bool picture_read(struct picture *picture, const char *path, int most)
{
    png_image png = {.version = PNG_IMAGE_VERSION};
    if (!png_image_begin_read_from_file(&png, path)) return fail(path, unread, png.message);
    bool read = pixels_read(picture, &png, path, most);
    png_image_free(&png);
    return read;
}

/* Writes a file, or removes what was written of it. */
static bool bytes_write(const void *bytes, size_t count, const char *path)
{
    FILE *file = fopen(path, "wb");
    if (!file) return fail(path, unwritten, strerror(errno));
    bool written = fwrite(bytes, 1, count, file) == count;
    written = fclose(file) == 0 && written;
    if (written) return true;
    const char *why = strerror(errno);
    struct stat is;
    if (stat(path, &is) == 0 && S_ISREG(is.st_mode)) remove(path);
    return fail(path, unwritten, why);
}

bool picture_write(const struct picture *picture, const char *path)
{
    png_image png = {.version = PNG_IMAGE_VERSION, .format = PNG_FORMAT_RGB};
    png.width = (unsigned)picture->w, png.height = (unsigned)picture->h;
    png_alloc_size_t count = PNG_IMAGE_PNG_SIZE_MAX(png);
    void *bytes = malloc(count);
    if (!bytes) return fail(path, unwritten, "out of memory");
    bool written = png_image_write_to_memory(&png, bytes, &count, 0, picture->rgb, 0, NULL)
                       ? bytes_write(bytes, count, path)
                       : fail(path, unwritten, png.message);
    free(bytes);
    return written;
}
