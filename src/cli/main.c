/* The program: finds the command in its table and hands over. */
#include "ask.h"
#include "commands.h"

#include <stdio.h>
#include <string.h>

static const struct command {
    const char *name;
    command_run *run;
    const char *summary;
} commands[] = {
    {"compile", cli_compile, "compile a list of convolutions on several threads"},
    {"run", cli_run, "run a convolution on .npy files"},
    {"check", cli_check, "compile and compare with the oracle"},
    {"accuracy", cli_accuracy, "measure the errors of every algorithm"},
    {"explain", cli_explain, "tell what would run and why, or one output element term by term"},
    {"dump", cli_dump, "write IR, assembly, object or image of a kernel"},
    {"aot", cli_aot, "compile ahead of time, for programs without Kiln and LLVM"},
    {"bench", cli_bench, "time kernels, beside other libraries if asked"},
    {"cache", cli_cache, "list, check and remove the kernels kept on disk"},
    {"tune", cli_tune, "find the fastest plans by timing them, and keep them as wisdom"},
    {"wisdom", cli_wisdom, "merge, list and check files of wisdom"},
    {"cpu", cli_cpu, "print what this machine offers"},
};

enum { COMMANDS = sizeof commands / sizeof *commands, NAME_MAX_SHOWN = 64 };

static const struct command *command_find(const char *name)
{
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0) return &commands[i];
    return NULL;
}

static bool is_help(const char *word)
{
    return strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static bool is_version(const char *word) { return strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0; }

static int unknown(const char *name)
{
    return complain("there is no command '%.60s'; `kiln help` lists them", name);
}

/* Calls a command with argv[0] as getopt's messages should begin. */
static int call(const struct command *command, int argc, char **argv)
{
    char name[NAME_MAX_SHOWN];
    snprintf(name, sizeof name, "kiln %s", command->name);
    argv[0] = name;
    return command->run(argc, argv);
}

static void usage(FILE *file)
{
    fputs("Kiln compiles convolutions of fixed shape to machine code.\n\n"
          "usage: kiln COMMAND ...\n\n",
          file);
    for (int i = 0; i < COMMANDS; i++) fprintf(file, "  %-8s  %s\n", commands[i].name, commands[i].summary);
    fputs("  help      print this; `kiln help COMMAND` or `kiln COMMAND --help` tells more\n"
          "  --version  print which Kiln this is; also -V\n\n"
          "A CONV is text such as\n"
          "  conv n1 ic64 ih56 iw56 oc64 kh3 kw3 ph1 pw1 f32 nhwc +bias +relu\n"
          "as one quoted argument or as words; text behind a '|' is a schedule. oneDNN's words,\n"
          "such as mb1ic64ih56oc64oh56kh3ph1, are read too.\n\n"
          "KILN_DEBUG=WORD,... logs on standard error:\n",
          file);
    kiln_debug_print(sink_file, file);
}

static int refuse_extra(const char *after, const char *word)
{
    return complain("nothing goes behind `%s`; here is '%.60s'", after, word);
}

/* "help", "help COMMAND", and help about itself. */
static int help(int argc, char **argv)
{
    if (argc > 2) return refuse_extra("kiln help COMMAND", argv[2]);
    if (argc < 2 || is_help(argv[1])) return usage(stdout), EXIT_GOOD;
    const struct command *command = command_find(argv[1]);
    if (!command) return unknown(argv[1]);
    char option[] = "--help", *arguments[] = {argv[1], option, NULL};
    return call(command, 2, arguments);
}

static int version(int argc, char **argv)
{
    if (argc > 1) return refuse_extra("kiln --version", argv[1]);
    printf("kiln %s\n", kiln_version());
    return EXIT_GOOD;
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) return usage(stderr), EXIT_USAGE;
    if (is_help(argv[1])) return help(argc - 1, argv + 1);
    if (is_version(argv[1])) return version(argc - 1, argv + 1);
    const struct command *command = command_find(argv[1]);
    return command ? call(command, argc - 1, argv + 1) : unknown(argv[1]);
}

int main(int argc, char **argv)
{
    int status = dispatch(argc, argv);
    bool written = fflush(stdout) == 0 && !ferror(stdout);
    if (!written && status == EXIT_GOOD) return complain("cannot write to standard output");
    return status;
}
