/*
 * foliopost completion: a bash function made from the tables of commands and
 * settings, so that it never lags behind them.
 */
#include <string.h>

#include "cli/cli.h"

static void print_flags(const struct config_setting *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        printf(" --%s", rows[i].name);
}

/* What may follow a setting: its choices, files, or nothing of ours. */
static void print_values(const struct config_setting *rows, size_t n, const char *command)
{
    for (size_t i = 0; i < n; i++) {
        const struct config_setting *row = &rows[i];
        if (row->choices != NULL) {
            printf("        %s:--%s) COMPREPLY=($(compgen -W '", command, row->name);
            for (const char *s = row->choices; *s != '\0'; s++)
                putchar(*s == '|' ? ' ' : *s);
            printf("' -- \"$word\")); return;;\n");
        } else if (row->type == CONFIG_SECRET_FILE) {
            printf("        %s:--%s) COMPREPLY=($(compgen -f -- \"$word\")); return;;\n", command, row->name);
        } else if (row->type != CONFIG_BOOL) {
            printf("        %s:--%s) return;;\n", command, row->name);
        }
    }
}

/* "weekly|monthly|custom": words to choose from; "JOB" is none. */
static void print_words(const char *arguments)
{
    for (const char *s = arguments; strchr(arguments, '|') != NULL && *s != '\0'; s++)
        putchar(*s == '|' ? ' ' : *s);
}

static enum cli_exit run(struct cli *c, void *values, char **args, int n_args)
{
    (void)c;
    (void)values;
    if (n_args > 0 && strcmp(args[0], "bash") != 0) {
        fprintf(stderr, "foliopost: there is completion for bash only\n");
        return CLI_USAGE;
    }
    printf("# bash completion of foliopost:  eval \"$(foliopost completion bash)\"\n"
           "_foliopost() {\n"
           "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command= i\n"
           "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
           "        case ${COMP_WORDS[i]} in\n        ");
    for (const struct cli_command *const *k = cli_commands; *k != NULL; k++)
        printf("%s%s", k == cli_commands ? "" : "|", (*k)->name);
    printf(") command=${COMP_WORDS[i]}; break;;\n        esac\n    done\n    case $command:$before in\n");
    for (const struct cli_command *const *k = cli_commands; *k != NULL; k++)
        print_values((*k)->rows, (*k)->n_rows, (*k)->name);
    print_values(cli_global_rows, cli_n_global_rows, "*");
    printf("    esac\n    local words=\n    case $command in\n        '') words='");
    for (const struct cli_command *const *k = cli_commands; *k != NULL; k++)
        printf("%s%s", k == cli_commands ? "" : " ", (*k)->name);
    printf("';;\n");
    for (const struct cli_command *const *k = cli_commands; *k != NULL; k++) {
        printf("        %s) words='", (*k)->name);
        print_words((*k)->arguments);
        print_flags((*k)->rows, (*k)->n_rows);
        printf("';;\n");
    }
    printf("    esac\n    COMPREPLY=($(compgen -W \"$words");
    print_flags(cli_global_rows, cli_n_global_rows);
    printf(" --help\" -- \"$word\"))\n}\ncomplete -F _foliopost foliopost\n");
    return CLI_OK;
}

const struct cli_command cli_completion = {
    .name = "completion",
    .arguments = "[bash]",
    .summary = "Prints a completion script for the shell",
    .details =
        "  eval \"$(foliopost completion bash)\"\n  foliopost completion bash > /etc/bash_completion.d/foliopost\n",
    .max_args = 1,
    .run = run,
};
