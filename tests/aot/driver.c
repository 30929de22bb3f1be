/* Runs every convolution of a network compiled ahead of time, between guard pages, and compares with the
 * oracle. Or tells only what is chosen: an emulator may read what masks leave out.
 *
 *   driver            status 77: there are none for this machine
 *   driver ISA        whether that level is chosen in all of them, or "none" */
#include "net.h"

#include "args.h"
#include "conv.h"
#include "tensors.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* The same arguments under two names. */
#define SAME(m) _Static_assert(offsetof(struct net_args, m) == offsetof(struct kiln_args, m), #m)
SAME(src);
SAME(weights);
SAME(bias);
SAME(scale);
SAME(add);
SAME(prelu);
SAME(dst);

static bool isa_is(const char *plan, const char *isa)
{
    const char *last = strrchr(plan, ' ');
    return last && strcmp(last + 1, isa) == 0;
}

/* As the cache would hand it out. */
static struct kernel kernel_of(const struct net_conv *c)
{
    struct kernel kernel = {.packed_bytes = c->packed_size,
                            .scratch_bytes = c->scratch_size,
                            .tasks = c->tasks,
                            .exact = !strstr(c->plan, "| winograd")};
    memcpy(&kernel.run, &c->run, sizeof kernel.run);
    memcpy(&kernel.pack, &c->pack, sizeof kernel.pack);
    return kernel;
}

static bool try_conv(const struct net_conv *c, struct text *why)
{
    struct kiln_error error;
    struct kiln_conv conv;
    if (conv_parse(&conv, c->text, &error)) return text_put(why, "%s", error.text), false;
    if (c->packed_size % PACKED_ALIGN || c->scratch_size % PACKED_ALIGN)
        return text_put(why, "no multiples: %zu, %zu", c->packed_size, c->scratch_size), false;
    struct kernel kernel = kernel_of(c);
    struct tensors t = tensors_make(&conv, data_for(kernel.exact, &conv));
    bool fine = kernel_try(&kernel, &t, why);
    tensors_free(&t);
    return fine;
}

enum { SKIPPED = 77 };

int main(int argc, char **argv)
{
    int passed = 0, failed = 0;
    if (!net_get(0) && argc == 1) return SKIPPED;
    if (net_get(net_count)) failed++, printf("there is one too many\n");
    for (size_t i = 0; i < net_count; i++) {
        char said[KILN_TEXT_MAX] = "";
        struct text why = text_into(said, sizeof said);
        const struct net_conv *c = net_get(i);
        bool fine = argc > 1 ? isa_is(c ? c->plan : " none", argv[1]) : c && try_conv(c, &why);
        if (!fine) printf("%zu: %s\n    %s\n", i, c ? c->plan : "there is none", said);
        passed += fine;
        failed += !fine;
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed || !passed;
}
