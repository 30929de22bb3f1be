/* What the tests of the program share: lines of shell, their exit status and what they say. */
#ifndef KILN_TESTS_SHELL_H
#define KILN_TESTS_SHELL_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the last command wrote, to standard output and standard error together. */
static char wrote[1 << 16];

/* Runs a line of shell, in which `kiln` is the program; returns its exit status. */
static inline int shell(const char *line)
{
    char command[2048];
    snprintf(command, sizeof command, "kiln() { \"$KILN\" \"$@\"; }; { %s ; } 2>&1", line);
    FILE *pipe = popen(command, "r");
    cr_assert(pipe);
    size_t length = fread(wrote, 1, sizeof wrote - 1, pipe);
    wrote[length] = '\0';
    int status = pclose(pipe);
    cr_assert(WIFEXITED(status), "%s was killed", line);
    return WEXITSTATUS(status);
}

/* Tests run inside a folder of their own, made from a name that ends in XXXXXX. */
static inline void folder_enter(char *folder)
{
    cr_assert(getenv("KILN"), "KILN must be the path of the program");
    cr_assert(mkdtemp(folder) && chdir(folder) == 0);
}

static inline void folder_leave(const char *folder)
{
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert_eq(system(command), 0);
}

static inline void file_put(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");
    cr_assert(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

struct expected {
    const char *line;
    int status;
    const char *says; /* a part of it */
};

static inline void expect(const struct expected *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int status = shell(cases[i].line);
        cr_expect_eq(status, cases[i].status, "%s: exit %d, not %d:\n%s", cases[i].line, status,
                     cases[i].status, wrote);
        cr_expect(strstr(wrote, cases[i].says), "%s: no \"%s\" in:\n%s", cases[i].line, cases[i].says, wrote);
    }
}

#define EXPECT(cases) expect(cases, sizeof cases / sizeof *cases)

#endif
