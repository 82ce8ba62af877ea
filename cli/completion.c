/*
 * foliopost completion: a function for bash or zsh made from the tables of
 * commands and settings, so that it never lags behind them.
 */
#include <ctype.h>
#include <string.h>

#include "cli/cli.h"

static void print_flags(const struct config_setting *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        printf(" --%s", rows[i].name);
}

static void print_choices(const char *choices) /* "a|b" as words */
{
    for (; *choices != '\0'; choices++)
        putchar(*choices == '|' ? ' ' : *choices);
}

/* A path, as the tables say it: a text of up to 4096 bytes. */
static bool is_path(const struct config_setting *row)
{
    return row->type == CONFIG_SECRET_FILE || (row->type == CONFIG_STRING && row->max == 4096);
}

/* What may follow a setting: its choices, files, or nothing of ours. */
static void print_values(const struct config_setting *rows, size_t n, const char *command)
{
    for (size_t i = 0; i < n; i++) {
        const struct config_setting *row = &rows[i];
        if (row->choices != NULL) {
            printf("        %s:--%s) COMPREPLY=($(compgen -W '", command, row->name);
            print_choices(row->choices);
            printf("' -- \"$word\")); return;;\n");
        } else if (is_path(row)) {
            printf("        %s:--%s) COMPREPLY=($(compgen -f -- \"$word\")); return;;\n", command, row->name);
        } else if (row->type != CONFIG_BOOL) {
            printf("        %s:--%s) return;;\n", command, row->name);
        }
    }
}

/* "JOB resend|accept": words to choose from are in small letters, "JOB" is none. */
static void print_words(const char *arguments)
{
    while (*arguments != '\0') {
        size_t between = strspn(arguments, "|[] "), n = strcspn(arguments + between, "|[] ");
        if (islower((unsigned char)arguments[between]))
            printf(" %.*s", (int)n, arguments + between);
        arguments += between + n;
    }
}

static bool takes_path(const struct cli_command *k)
{
    return strstr(k->arguments, "FILE") != NULL || strstr(k->arguments, "DIR") != NULL;
}

static void print_names(const char *between)
{
    for (const struct cli_command *const *k = cli_commands; *k != NULL; k++)
        printf("%s%s", k == cli_commands ? "" : between, (*k)->name);
}

static void print_bash(void)
{
    printf("# bash completion of foliopost:  eval \"$(foliopost completion bash)\"\n"
           "_foliopost() {\n"
           "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command= i\n"
           "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
           "        case ${COMP_WORDS[i]} in\n        ");
    print_names("|");
    printf(") command=${COMP_WORDS[i]}; break;;\n        esac\n    done\n    case $command:$before in\n");
    for (const struct cli_command *const *k = cli_commands; *k != NULL; k++)
        print_values((*k)->rows, (*k)->n_rows, (*k)->name);
    print_values(cli_global_rows, cli_n_global_rows, "*");
    printf("    esac\n    local words= files=\n    case $command in\n        '') words='");
    print_names(" ");
    printf("';;\n");
    for (const struct cli_command *const *k = cli_commands; *k != NULL; k++) {
        printf("        %s) words='", (*k)->name);
        print_words((*k)->arguments);
        print_flags((*k)->rows, (*k)->n_rows);
        printf("'%s;;\n", takes_path(*k) ? " files=1" : "");
    }
    printf("    esac\n    COMPREPLY=($(compgen -W \"$words");
    print_flags(cli_global_rows, cli_n_global_rows);
    printf(
        " --help\" -- \"$word\"))\n    [ -z \"$files\" ] || COMPREPLY+=($(compgen -f -- \"$word\"))\n}\ncomplete -F _foliopost foliopost\n");
}

/* --- zsh ---------------------------------------------------------------------------------- */

/* 'name:what it is', quoted for the shell. */
static void print_described(const char *prefix, const char *name, const char *what)
{
    printf(" '%s%s:", prefix, name);
    for (; *what != '\0'; what++)
        *what == '\'' ? (void)fputs("'\\''", stdout) : (void)putchar(*what);
    putchar('\'');
}

static void print_options(const struct config_setting *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        print_described("--", rows[i].name, rows[i].help);
}

static void print_zsh_values(const struct config_setting *rows, size_t n, const char *command)
{
    for (size_t i = 0; i < n; i++) {
        const struct config_setting *row = &rows[i];
        if (row->choices != NULL) {
            printf("        %s:--%s) compadd -- ", command, row->name);
            print_choices(row->choices);
            printf("; return;;\n");
        } else if (is_path(row)) {
            printf("        %s:--%s) _files; return;;\n", command, row->name);
        } else if (row->type != CONFIG_BOOL) {
            printf("        %s:--%s) return;;\n", command, row->name);
        }
    }
}

static void print_zsh_command(const struct cli_command *k)
{
    printf("        %s) options=(", k->name);
    print_options(k->rows, k->n_rows);
    printf(")");
    if (k->arguments[strcspn(k->arguments, "abcdefghijklmnopqrstuvwxyz")] != '\0') {
        printf("; compadd --");
        print_words(k->arguments);
    }
    if (takes_path(k))
        printf("; _files");
    printf(";;\n");
}

static void print_zsh(void)
{
    printf("#compdef foliopost\n# zsh completion of foliopost:  eval \"$(foliopost completion zsh)\"\n"
           "_foliopost() {\n    local command= i\n    local -a commands options every\n    commands=(");
    for (const struct cli_command *const *k = cli_commands; *k != NULL; k++)
        print_described("", (*k)->name, (*k)->summary);
    printf(")\n    every=(");
    print_options(cli_global_rows, cli_n_global_rows);
    printf(" '--help:explains the command')\n    for ((i = 2; i < CURRENT; i++)); do\n"
           "        case ${words[i]} in\n        ");
    print_names("|");
    printf(
        ") command=${words[i]}; break;;\n        esac\n    done\n    case $command:${words[CURRENT-1]} in\n");
    for (const struct cli_command *const *k = cli_commands; *k != NULL; k++)
        print_zsh_values((*k)->rows, (*k)->n_rows, (*k)->name);
    print_zsh_values(cli_global_rows, cli_n_global_rows, "*");
    printf("    esac\n    case $command in\n        '') _describe command commands;;\n");
    for (const struct cli_command *const *k = cli_commands; *k != NULL; k++)
        print_zsh_command(*k);
    printf(
        "    esac\n    _describe option options\n    _describe option every\n}\n"
        "if [ \"${funcstack[1]}\" = _foliopost ]; then _foliopost \"$@\"; else compdef _foliopost foliopost; fi\n");
}

static enum cli_exit run(struct cli *c, void *values, char **args, int n_args)
{
    (void)c;
    (void)values;
    if (n_args == 0 || strcmp(args[0], "bash") == 0) {
        print_bash();
        return CLI_OK;
    }
    if (strcmp(args[0], "zsh") == 0) {
        print_zsh();
        return CLI_OK;
    }
    fprintf(stderr, "foliopost: there is completion for bash and zsh\n");
    return CLI_USAGE;
}

const struct cli_command cli_completion = {
    .name = "completion",
    .arguments = "[bash|zsh]",
    .summary = "Prints a completion script for the shell",
    .details =
        "  eval \"$(foliopost completion bash)\"\n  foliopost completion bash > /etc/bash_completion.d/foliopost\n"
        "  foliopost completion zsh > /usr/local/share/zsh/site-functions/_foliopost\n",
    .max_args = 1,
    .run = run,
};
