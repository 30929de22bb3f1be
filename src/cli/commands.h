/* commands: what main's table leads to. Each reads its own arguments, argv[0] being "kiln NAME", and
 * returns the status to exit with. */
#ifndef KILN_CLI_COMMANDS_H
#define KILN_CLI_COMMANDS_H

typedef int command_run(int argc, char **argv);

command_run cli_aot, cli_run, cli_check, cli_accuracy, cli_explain, cli_dump, cli_bench, cli_cache,
    cli_compile, cli_cpu, cli_tune, cli_wisdom;

#endif
