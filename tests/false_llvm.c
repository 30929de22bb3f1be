/* Kiln in a program that exports names of an LLVM linked into it: those come before all that is opened later,
 * our LLVM included. A mixture would crash anywhere: so a miss is a status that tells. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kiln.h"

__attribute__((visibility("default"))) void *LLVMContextCreate(void);

/* What the program has of another LLVM; nobody may call it. */
void *LLVMContextCreate(void)
{
    fputs("Kiln calls the program's LLVM\n", stderr);
    abort();
}

int main(void)
{
    const struct kiln_config config = {.size = sizeof config, .cache = KILN_CACHE_OFF};
    struct kiln_error error = {0};
    struct kiln_conv conv;
    struct kiln *k;
    struct kiln_plan *plan = NULL;
    if (kiln_create(&k, &config, &error) || kiln_conv_parse(&conv, "conv ic1 iw4 oc1 kw2", &error)) return 1;
    enum kiln_status status = kiln_compile(k, &conv, NULL, &plan, &error);
    bool good = status == KILN_STATUS_SYSTEM && !plan && strstr(error.text, "another LLVM");
    if (!good) fprintf(stderr, "%s: %s\n", kiln_status_name(status), error.text);
    kiln_destroy(k);
    return !good;
}
