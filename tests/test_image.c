/* image: what image_check lets through, and that damage to any byte is told. */
#include <criterion/criterion.h>
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"

static struct kiln_error error;

/* A sound image of 100 bytes of code. */
static struct image *sound(void)
{
    struct image *i = image_new("conv ic1 | direct | sse2", 100);
    cr_assert_not_null(i);
    i->elf_machine = EM_X86_64;
    i->run = 0;
    i->pack = 99;
    i->packed_bytes = 64;
    i->tasks = 3;
    image_seal(i);
    return i;
}

Test(image, a_sound_one_passes)
{
    struct image *i = sound();
    cr_assert_eq(image_check(i, i->bytes, &error), KILN_STATUS_OK, "%s", error.text);
    cr_assert_str_eq(image_text(i), "conv ic1 | direct | sse2");
    cr_assert_eq((image_code(i) - (char *)i) % IMAGE_CODE_ALIGN, 0);
    for (int at = 0; at < 100; at++) cr_assert_eq(image_code(i)[at], 0);
    free(i);
}

Test(image, every_damaged_byte_is_told)
{
    struct image *i = sound();
    unsigned char *bytes = (unsigned char *)i;
    for (size_t at = 0; at < i->bytes; at++) {
        size_t count = i->bytes;
        bytes[at] ^= 0x40;
        cr_assert_eq(image_check(i, count, &error), KILN_STATUS_INVALID, "byte %zu", at);
        bytes[at] ^= 0x40;
    }
    free(i);
}

Test(image, every_other_length_is_told)
{
    struct image *i = sound();
    for (size_t count = 0; count < i->bytes; count++) {
        struct image *cut = malloc(count + 1); /* so that a sanitizer sees a read behind it */
        memcpy(cut, i, count);
        cr_assert_eq(image_check(cut, count, &error), KILN_STATUS_INVALID, "%zu bytes", count);
        free(cut);
    }
    free(i);
}

/* Fields that contradict each other under a checksum that fits: an image made by an attacker. */
Test(image, sealed_lies_are_told)
{
    static const struct {
        size_t offset;
        uint64_t value;
        const char *why;
    } rows[] = {
        {offsetof(struct image, text), 0, "plan line"},
        {offsetof(struct image, text), UINT64_MAX, "plan line"},
        {offsetof(struct image, text), 1 << 20, "plan line"},
        {offsetof(struct image, text_bytes), 0, "plan line"},
        {offsetof(struct image, text_bytes), 5, "plan line"},
        {offsetof(struct image, text_bytes), UINT64_MAX, "plan line"},
        {offsetof(struct image, text_bytes), UINT64_MAX - sizeof(struct image) + 1, "plan line"},
        {offsetof(struct image, code), 0, "code"},
        {offsetof(struct image, code), UINT64_MAX - 63, "code"},
        {offsetof(struct image, code), sizeof(struct image) + 1, "code"},
        {offsetof(struct image, code_bytes), 0, "code"},
        {offsetof(struct image, code_bytes), 101, "code"},
        {offsetof(struct image, code_bytes), UINT64_MAX, "code"},
        {offsetof(struct image, run), 100, "entry point"},
        {offsetof(struct image, pack), UINT64_MAX, "entry point"},
        {offsetof(struct image, packed_bytes), UINT64_MAX, "packed"},
        {offsetof(struct image, scratch_bytes), UINT64_C(1) << 63, "scratch"},
        {offsetof(struct image, tasks), UINT64_C(1) << 63, "tasks"},
        {offsetof(struct image, tasks), 0, "tasks"},
        {offsetof(struct image, exact), 2, "exact"},
    };
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        struct image *i = sound();
        memcpy((char *)i + rows[r].offset, &rows[r].value, sizeof rows[r].value);
        image_seal(i);
        cr_assert_eq(image_check(i, i->bytes, &error), KILN_STATUS_INVALID, "row %zu", r);
        cr_assert(strstr(error.text, rows[r].why), "row %zu: %s", r, error.text);
        free(i);
    }
}

Test(image, another_machine_or_version_is_told)
{
    struct image *i = sound();
    i->elf_machine = EM_RISCV;
    image_seal(i);
    cr_assert_eq(image_check(i, i->bytes, &error), KILN_STATUS_INVALID);
    i->elf_machine = EM_AARCH64;
    image_seal(i);
    cr_assert_eq(image_check(i, i->bytes, &error), KILN_STATUS_OK);
    i->version++;
    image_seal(i);
    cr_assert_eq(image_check(i, i->bytes, &error), KILN_STATUS_INVALID);
    cr_assert(strstr(error.text, "version"));
    free(i);
}

Test(image, absurd_sizes_are_refused) { cr_assert_null(image_new("x", SIZE_MAX - 8)); }
