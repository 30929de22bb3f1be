/* load: code is executable and not writable, on a page of its own, and gone with the last reference. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "load.h"
#include "small_image.h"

static struct kiln_error error;

/* The permissions of the page at an address, as /proc/self/maps tells them; "" if nothing is there. */
static void permissions(const void *at, char text[5])
{
    FILE *maps = fopen("/proc/self/maps", "r");
    unsigned long from, to;
    char line[512], p[5];
    text[0] = '\0';
    while (fgets(line, sizeof line, maps))
        if (sscanf(line, "%lx-%lx %4s", &from, &to, p) == 3 && (unsigned long)at >= from &&
            (unsigned long)at < to)
            memcpy(text, p, 5);
    fclose(maps);
}

Test(load, a_kernel_runs)
{
    struct kernel *k;
    struct image *i = small_image("a | b | c", 0);
    cr_assert_eq(kernel_load(i, &k, &error), KILN_STATUS_OK, "%s", error.text);
    free(i);
    int dst[SMALL_TASKS] = {0}, weights = 7, packed = 0;
    k->run(&(struct kiln_args){.dst = dst}, 1, 3, NULL);
    cr_assert(dst[0] == 0 && dst[1] == 1 && dst[2] == 1 && dst[3] == 0);
    k->pack(&weights, &packed);
    cr_assert_eq(packed, 7);
    cr_assert_str_eq(k->text, "a | b | c");
    cr_assert_eq(k->packed_bytes, 64);
    cr_assert_eq(k->scratch_bytes, 0);
    cr_assert_eq(k->tasks, SMALL_TASKS);
    cr_assert(k->exact);
    cr_assert_geq(k->bytes, k->code_room);
    kernel_release(k);
}

Test(load, code_is_never_writable_once_executable)
{
    struct kernel *k;
    char before[5], after[5];
    struct image *i = small_image("x", 3 * 4096 + 1);
    cr_assert_eq(kernel_load(i, &k, &error), KILN_STATUS_OK);
    free(i);
    const char *code = k->code;
    cr_assert_eq((uintptr_t)code % (uintptr_t)sysconf(_SC_PAGESIZE), 0);
    permissions(code, before);
    cr_assert_str_eq(before, "r-xp");
    permissions(code + 3 * 4096, before);
    cr_assert_str_eq(before, "r-xp");
    kernel_retain(k);
    kernel_release(k);
    permissions(code, before);
    cr_assert_str_eq(before, "r-xp", "a reference remains");
    kernel_release(k);
    permissions(code, after);
    cr_assert_str_neq(after, "r-xp", "the last reference is gone");
}

Test(load, another_machine_s_code_is_not_executable)
{
    struct kernel *k;
    struct image *i = small_image("x", 0);
    i->elf_machine = OTHER_MACHINE;
    image_seal(i);
    cr_assert_eq(kernel_load(i, &k, &error), KILN_STATUS_OK);
    free(i);
    cr_assert_null(k->run);
    cr_assert_null(k->pack);
    cr_assert_null(k->code);
    cr_assert_eq(k->tasks, SMALL_TASKS);
    kernel_release(k);
}
