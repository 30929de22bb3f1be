/* Where a program that holds the archive finds its module: beside itself, else where that was configured to
 * be installed. The door is compiled once more, into this program, with CONFIGURED as that place. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "door.h"

#define MODULE "/libkiln-generator.so"

/* Modules that are made, one after another, and what the door then tells: nothing, or a part of its refusal.
 */
static const struct {
    const char *module, *at, *says;
} cases[] = {
    {NULL, NULL, "nor in lib/kiln"},
    {FAKE_GENERATOR, CONFIGURED MODULE, NULL},
    {OLD_GENERATOR, BESIDE MODULE, BESIDE MODULE " is of version"}, /* so that it is told which was opened */
};
enum { CASES = sizeof cases / sizeof *cases };

static bool case_holds(int i)
{
    const struct generator *generator = NULL;
    struct kiln_error error = {0};
    char stamp[DOOR_STAMP_ROOM];
    if (cases[i].module && symlink(cases[i].module, cases[i].at)) return perror(cases[i].at), false;
    door_stamp(NULL, stamp);
    enum kiln_status status = door_open(NULL, &generator, &error);
    bool told = cases[i].says ? status == KILN_STATUS_SYSTEM && strstr(error.text, cases[i].says)
                              : !status && !strcmp(generator->llvm, "0.fake");
    bool stamped = (*stamp != '\0') == (cases[i].module != NULL);
    if (!told || !stamped) fprintf(stderr, "case %d: stamp \"%s\", %s\n", i, stamp, error.text);
    return told && stamped;
}

static void modules_remove(void)
{
    for (int i = 0; i < CASES; i++)
        if (cases[i].at) unlink(cases[i].at);
}

int main(void)
{
    int wrong = 0;
    unsetenv("KILN_GENERATOR");
    modules_remove(); /* those of a run that was ended */
    for (int i = 0; i < CASES; i++) wrong += !case_holds(i);
    modules_remove();
    return wrong != 0;
}
