/*
 * foliopost man: the manual page, made from the tables of commands and
 * settings, so that it says what --help says.
 *
 * Everything that comes from a table is escaped: a line of it that began with a
 * dot would be a request of roff's, and a plain hyphen cannot be copied from a
 * terminal.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

static void print_escaped(const char *s)
{
    bool begins = true;
    for (; *s != '\0'; s++) {
        if (begins && (*s == '.' || *s == '\''))
            fputs("\\&", stdout);
        if (*s == '\\')
            fputs("\\e", stdout);
        else if (*s == '-')
            fputs("\\-", stdout);
        else
            putchar(*s);
        begins = *s == '\n';
    }
}

/* Lines as they stand. */
static void print_block(const char *text)
{
    printf(".PP\n.nf\n");
    print_escaped(text);
    printf("%s.fi\n", text[0] != '\0' && text[strlen(text) - 1] == '\n' ? "" : "\n");
}

static void print_rows(const struct config_setting *rows, size_t n)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *f = open_memstream(&text, &bytes);
    if (f == NULL)
        return;
    for (size_t i = 0; i < n; i++)
        config_print_row(&rows[i], f);
    fclose(f);
    if (bytes > 0)
        print_block(text);
    free(text); /* of the C library's, not ours */
}

static void print_command(const struct cli_command *c)
{
    printf(".SS \"");
    print_escaped(c->name);
    printf("%s", c->arguments[0] != '\0' ? " " : "");
    print_escaped(c->arguments);
    printf("\"\n");
    print_escaped(c->summary);
    printf(".\n");
    if (c->details[0] != '\0')
        print_block(c->details);
    print_rows(c->rows, c->n_rows);
}

static enum cli_exit run(struct cli *c, void *values, char **args, int n_args)
{
    (void)c;
    (void)values;
    (void)args;
    (void)n_args;
    printf(".TH FOLIOPOST 1 \"\" \"foliopost\" \"User Commands\"\n"
           ".SH NAME\nfoliopost \\- submits report jobs, watches them, and says what became of every user\n"
           ".SH SYNOPSIS\n.B foliopost\n.I COMMAND\n[\\fIARGUMENT\\fR]... [\\-\\-\\fINAME VALUE\\fR]...\n"
           ".SH COMMANDS\n");
    for (const struct cli_command *const *k = cli_commands; *k != NULL; k++)
        print_command(*k);
    printf(".SH \"EVERY COMMAND\"\n"
           "Each setting can come from the environment too: \\-\\-rpc as FOLIOPOST_RPC; the flag wins.\n");
    print_rows(cli_global_rows, cli_n_global_rows);
    printf(".SH \"EXIT STATUS\"\n");
    print_block(cli_exit_codes);
    return CLI_OK;
}

const struct cli_command cli_man = {
    .name = "man",
    .arguments = "",
    .summary = "Prints the manual page, of all commands",
    .details = "  foliopost man | man -l -\n  foliopost man > /usr/local/share/man/man1/foliopost.1\n",
    .run = run,
};
