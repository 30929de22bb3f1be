/* A kernel of a few instructions, for tests that need no compiler. run adds 1 to the int dst[task] of
 * each task, and to the int at scratch if there is any; pack copies one int. */
#ifndef KILN_TESTS_SMALL_IMAGE_H
#define KILN_TESTS_SMALL_IMAGE_H

#include <elf.h>
#include <string.h>

#include "image.h"

#if defined __x86_64__
enum { SMALL_MACHINE = EM_X86_64, OTHER_MACHINE = EM_AARCH64 };
__asm__(".pushsection .rodata\n"
        "small_run:  mov 48(%rdi), %rax\n" /* args->dst */
        "            test %rcx, %rcx\n"
        "            jz 1f\n"
        "            incl (%rcx)\n"
        "1:          cmp %rdx, %rsi\n"
        "            jae 2f\n"
        "            incl (%rax,%rsi,4)\n"
        "            inc %rsi\n"
        "            jmp 1b\n"
        "2:          ret\n"
        "small_pack: mov (%rdi), %eax\n"
        "            mov %eax, (%rsi)\n"
        "            ret\n"
        "small_end:\n"
        ".popsection\n");
#else
enum { SMALL_MACHINE = EM_AARCH64, OTHER_MACHINE = EM_X86_64 };
__asm__(".pushsection .rodata\n"
        ".balign 4\n"
        "small_run:  ldr x4, [x0, #48]\n" /* args->dst */
        "            cbz x3, 1f\n"
        "            ldr w5, [x3]\n"
        "            add w5, w5, #1\n"
        "            str w5, [x3]\n"
        "1:          cmp x1, x2\n"
        "            b.hs 2f\n"
        "            ldr w5, [x4, x1, lsl #2]\n"
        "            add w5, w5, #1\n"
        "            str w5, [x4, x1, lsl #2]\n"
        "            add x1, x1, #1\n"
        "            b 1b\n"
        "2:          ret\n"
        "small_pack: ldr w2, [x0]\n"
        "            str w2, [x1]\n"
        "            ret\n"
        "small_end:\n"
        ".popsection\n");
#endif
#pragma GCC visibility push(hidden)
extern const char small_run[], small_pack[], small_end[];
#pragma GCC visibility pop

enum { SMALL_TASKS = 40 };

/* With at least `room` bytes of code. The caller frees it. */
static inline struct image *small_image(const char *text, size_t room)
{
    size_t bytes = (size_t)(small_end - small_run);
    struct image *i = image_new(text, room < bytes ? bytes : room);
    if (!i) return NULL;
    memcpy(image_code(i), small_run, bytes);
    i->elf_machine = SMALL_MACHINE;
    i->pack = (uint64_t)(small_pack - small_run);
    i->packed_bytes = 64;
    i->tasks = SMALL_TASKS;
    i->exact = 1;
    image_seal(i);
    return i;
}

#endif
