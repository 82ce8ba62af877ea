/*
 * Help: everything in it comes from the tables of commands and settings.
 */
#include <string.h>

#include "cli/cli.h"
#include "cli/globals.h"

#define AT(field) offsetof(struct cli_globals, field)

const struct config_setting cli_global_rows[] = {
    {"rpc", CONFIG_STRING, NULL, CLI_DEFAULT_RPC, 1, 255, NULL,
     "the scheduler's address; several by commas. grpc:// or tls+grpc:// for its gRPC door", AT(rpc)},
    {"token-file", CONFIG_SECRET_FILE, NULL, "", 0, 0, NULL,
     "file with the bearer token, when the scheduler asks for one", AT(token_file)},
    {"bus-ca-file", CONFIG_STRING, NULL, "", 0, 4096, NULL,
     "CA of the scheduler's certificate, for tls+tcp:// and tls+grpc://", AT(bus_ca_file)},
    {"bus-cert-file", CONFIG_STRING, NULL, "", 0, 4096, NULL,
     "our certificate, for tls+tcp:// and tls+grpc://", AT(bus_cert_file)},
    {"bus-key-file", CONFIG_STRING, NULL, "", 0, 4096, NULL, "the certificate's key", AT(bus_key_file)},
    {"json", CONFIG_BOOL, NULL, "false", 0, 0, NULL,
     "print the reply's message as JSON, names as in the .proto", AT(json)},
    {"timeout", CONFIG_DURATION_MS, "s", "10s", 1, 600000, NULL, "wait at most so long for an answer",
     AT(timeout_ms)},
};
const size_t cli_n_global_rows = sizeof cli_global_rows / sizeof cli_global_rows[0];

const struct cli_command *cli_find(const char *name)
{
    for (const struct cli_command *const *c = cli_commands; *c != NULL; c++)
        if (strcmp((*c)->name, name) == 0)
            return *c;
    return NULL;
}

const char cli_exit_codes[] = "  0    done\n"
                              "  1    refused or failed: the code and the reason are on stderr\n"
                              "  2    wrong usage, or a specification that is not valid\n"
                              "  3    the watched job ended FAILED or CANCELLED\n"
                              "  4    nobody answered, or not in time\n"
                              "  5    there is no such job\n"
                              "  130  watching was stopped by Ctrl-C; the job goes on\n";

void cli_print_usage(FILE *out)
{
    fputs("foliopost: submits report jobs, watches them, and says what became of every user.\n\n"
          "Usage: foliopost COMMAND [ARGUMENT]... [--NAME VALUE]...\n\n",
          out);
    for (const struct cli_command *const *c = cli_commands; *c != NULL; c++)
        fprintf(out, "  %-11s %-22s %s\n", (*c)->name, (*c)->arguments, (*c)->summary);
    fputs("\nEvery command: --help, --rpc URL, --token-file FILE, --json, --timeout DURATION.\n"
          "A setting can come from the environment too: --rpc as FOLIOPOST_RPC, --token-file\n"
          "as FOLIOPOST_TOKEN_FILE; the flag wins. Times are UTC.\n\n"
          "Exit codes:\n",
          out);
    fputs(cli_exit_codes, out);
}

void cli_print_help(const struct cli_command *c, FILE *out)
{
    fprintf(out, "Usage: foliopost %s%s%s [--NAME VALUE]...\n\n%s.\n", c->name,
            c->arguments[0] != '\0' ? " " : "", c->arguments, c->summary);
    if (c->details[0] != '\0')
        fprintf(out, "\n%s", c->details);
    if (c->n_rows > 0)
        fputs("\nSettings:\n", out);
    for (size_t i = 0; i < c->n_rows; i++)
        config_print_row(&c->rows[i], out);
    fputs("\nEvery command:\n", out);
    for (size_t i = 0; i < cli_n_global_rows; i++)
        config_print_row(&cli_global_rows[i], out);
    fputs("\nEach can come from the environment too: --rpc as FOLIOPOST_RPC; the flag wins.\n", out);
}

static enum cli_exit run_help(struct cli *c, void *values, char **args, int n_args)
{
    (void)c;
    (void)values;
    if (n_args == 0) {
        cli_print_usage(stdout);
        return CLI_OK;
    }
    const struct cli_command *command = cli_find(args[0]);
    if (command == NULL) {
        fprintf(stderr, "foliopost: there is no command of this name; see foliopost help\n");
        return CLI_USAGE;
    }
    cli_print_help(command, stdout);
    return CLI_OK;
}

const struct cli_command cli_help = {.name = "help",
                                     .arguments = "[COMMAND]",
                                     .summary = "Explains a command, or all and the exit codes",
                                     .details = "",
                                     .max_args = 1,
                                     .run = run_help};
