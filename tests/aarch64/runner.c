/* Runs images on the machine they were made for, between guard pages, and compares with the oracle.
 * Linked without LLVM; built for AArch64 and run under emulation on other machines. An image holds its
 * plan line, so nothing else is needed.
 *
 *   runner FOLDER        of NUMBER.image, from 0000 on, as compile left them */
#include "conv.h"
#include "tensors.h"

#include <stdio.h>
#include <stdlib.h>

enum { IMAGES_MOST = 10000, IMAGE_ROOM = 1 << 22 };

/* The image's bytes; NULL: no such file. */
static struct image *image_read(const char *path, size_t *bytes)
{
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    void *room = malloc(IMAGE_ROOM);
    if (!room) abort();
    *bytes = fread(room, 1, IMAGE_ROOM, f);
    fclose(f);
    return room;
}

/* Tries one kernel on the data of its conv, and if it is strict on infinities and NaN too. */
static bool try_data(const struct kernel *kernel, const struct kiln_conv *conv, struct text *why)
{
    bool fine = true;
    for (int strict = 0; fine && strict <= (conv->accuracy == KILN_ACCURACY_STRICT && post_exact(conv));
         strict++) {
        struct tensors t = tensors_make(conv, strict ? DATA_SPECIALS : data_for(kernel->exact, conv));
        fine = kernel_try(kernel, &t, why);
        tensors_free(&t);
    }
    return fine;
}

static bool try_image(const struct image *image, size_t bytes, struct text *why)
{
    struct kiln_error error;
    struct kiln_conv conv;
    struct kernel *kernel;
    if (image_check(image, bytes, &error) || conv_parse(&conv, image_text(image), &error) ||
        kernel_load(image, &kernel, &error)) {
        text_put(why, "%s", error.text);
        return false;
    }
    bool fine = false;
    if (kernel->run)
        fine = try_data(kernel, &conv, why);
    else
        text_put(why, "the image is for another machine");
    kernel_release(kernel);
    return fine;
}

int main(int argc, char **argv)
{
    int passed = 0, failed = 0;
    for (int i = 0; argc == 2 && i < IMAGES_MOST; i++) {
        char path[4096], why[KILN_TEXT_MAX];
        size_t bytes;
        snprintf(path, sizeof path, "%s/%04d.image", argv[1], i);
        struct image *image = image_read(path, &bytes);
        if (!image) break;
        struct text w = text_into(why, sizeof why);
        bool fine = try_image(image, bytes, &w);
        if (!fine) printf("%s: %s\n    %s\n", path, bytes > sizeof *image ? image_text(image) : "", why);
        passed += fine;
        failed += !fine;
        free(image);
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed || !passed;
}
