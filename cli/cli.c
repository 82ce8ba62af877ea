/*
 * One run of the command line: which command, its settings, its connection.
 *
 * Arguments are taken apart here, because lib/config knows settings only: what
 * does not begin with "--" and is not a setting's value is the command's name
 * or one of its arguments, in any order, so that `foliopost --json jobs` and
 * `foliopost jobs --json` are the same.
 *
 * The end is _exit(): an NNG socket with an answer outstanding can hang in
 * exit handlers (lib/bus/bus.h). Output is flushed before, and a full disk or
 * a closed pipe behind stdout is a failure.
 */
#include "cli/cli.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/globals.h"
#include "lib/base/clock.h"
#include "lib/base/text.h"
#include "lib/bus/bus.h"
#include "lib/log/log.h"

#define MAX_ARGS 32 /* behind the command; settings not counted */

const struct cli_command *const *cli_commands;

struct cli {
    struct cli_globals globals;
    struct fp_rpc_client *client; /* made at the first call */
    struct fp_arena *arena;
};

/* --- taking argv apart ------------------------------------------------------------ */

struct parts {
    const struct cli_command *command;
    char *args[MAX_ARGS];
    int n_args;
    char **settings; /* argv of the settings alone */
    int n_settings;
    bool help, version;
};

static const struct config_setting *row_in(const struct config_setting *rows, size_t n, const char *name,
                                           size_t length)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(rows[i].name) == length && strncmp(rows[i].name, name, length) == 0)
            return &rows[i];
    return NULL;
}

/* Does this flag take the next word as its value? An unknown one is not asked:
 * lib/config refuses it anyway. */
static bool takes_value(const struct cli_command *command, const char *flag)
{
    if (strchr(flag, '=') != NULL)
        return false;
    const struct config_setting *row = row_in(cli_global_rows, cli_n_global_rows, flag + 2, strlen(flag + 2));
    for (const struct cli_command *const *c = cli_commands; row == NULL && *c != NULL; c++)
        if (command == NULL || command == *c) /* settings may stand before the command */
            row = row_in((*c)->rows, (*c)->n_rows, flag + 2, strlen(flag + 2));
    return row != NULL && row->type != CONFIG_BOOL;
}

static int add_word(struct parts *p, char *word, struct fp_err *err)
{
    char shown[64];
    text_clean(shown, sizeof shown, word);
    if (word[0] == '-' && word[1] != '\0')
        return err_set(err, FP_INVALID_ARGUMENT, "%s: settings begin with two hyphens; see foliopost help",
                       shown);
    if (p->command == NULL) {
        p->command = cli_find(word);
        if (p->command == NULL)
            return err_set(err, FP_INVALID_ARGUMENT, "\"%s\" is not a command; see foliopost help", shown);
    } else if (p->n_args == MAX_ARGS) {
        return err_set(err, FP_INVALID_ARGUMENT, "more than %d arguments", MAX_ARGS);
    } else {
        p->args[p->n_args++] = word;
    }
    return 0;
}

static int take_apart(int argc, char **argv, struct parts *p, struct fp_err *err)
{
    p->settings = mem_array((size_t)argc + 1, sizeof *p->settings);
    p->settings[p->n_settings++] = argv[0];
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            p->help = true;
        } else if (strcmp(argv[i], "--version") == 0) {
            p->version = true;
        } else if (strncmp(argv[i], "--", 2) == 0 && argv[i][2] != '\0') {
            p->settings[p->n_settings++] = argv[i];
            if (i + 1 < argc && takes_value(p->command, argv[i]))
                p->settings[p->n_settings++] = argv[++i];
        } else if (strcmp(argv[i], "--") != 0 && add_word(p, argv[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int check_count(const struct parts *p, struct fp_err *err)
{
    const struct cli_command *c = p->command;
    if (p->n_args >= c->min_args && p->n_args <= c->max_args)
        return 0;
    return err_set(err, FP_INVALID_ARGUMENT,
                   "usage: foliopost %s%s%s [--NAME VALUE]...; see foliopost %s --help", c->name,
                   c->arguments[0] != '\0' ? " " : "", c->arguments, c->name);
}

/* A program that asks for JSON must not be handed a picture. */
static int check_json(const struct parts *p, const struct cli *c, struct fp_err *err)
{
    if (!c->globals.json || p->command->no_json == NULL)
        return 0;
    return err_set(err, FP_INVALID_ARGUMENT, "--json: foliopost %s has only text; for programs: %s",
                   p->command->name, p->command->no_json);
}

/* --- running ------------------------------------------------------------------------ */

static enum cli_exit run_command(struct parts *p)
{
    struct cli c = {0};
    struct fp_err err;
    char program[64];
    void *values = mem_alloc(p->command->values_bytes + 1);
    snprintf(program, sizeof program, "foliopost %s", p->command->name);
    struct config_table table = {.program = program,
                                 .summary = p->command->summary,
                                 .rows = p->command->rows,
                                 .n_rows = p->command->n_rows,
                                 .more = cli_global_rows,
                                 .n_more = cli_n_global_rows,
                                 .more_values = &c.globals};
    enum cli_exit code;
    if (config_parse(&table, values, p->n_settings, p->settings, &err) != 0) {
        code = cli_fail(&err);
    } else if (check_count(p, &err) != 0 || check_json(p, &c, &err) != 0) {
        code = cli_fail(&err);
        config_fini(&table, values);
    } else {
        c.arena = arena_new(2 * WIRE_MAX_ARENA_BYTES); /* an envelope and what is in it */
        code = p->command->run(&c, values, p->args, p->n_args);
        rpc_client_free(c.client);
        arena_free(c.arena);
        config_fini(&table, values);
    }
    mem_free(values);
    return code;
}

static enum cli_exit dispatch(struct parts *p)
{
    if (p->version) {
        printf("foliopost %s\n", config_version());
        return CLI_OK;
    }
    if (p->command == NULL) {
        cli_print_usage(p->help ? stdout : stderr);
        return p->help ? CLI_OK : CLI_USAGE;
    }
    if (p->help) {
        cli_print_help(p->command, stdout);
        return CLI_OK;
    }
    return run_command(p);
}

/* The widths of letters; numbers stay as they are. What we print is UTF-8, and a terminal
 * behind a bare "C" (a container, ssh without LANG) nearly always takes it too. */
static void take_locale(void)
{
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        setlocale(LC_CTYPE, "C.UTF-8");
}

int cli_main(const struct cli_command *const *table, int argc, char **argv)
{
    struct parts parts = {0};
    struct fp_err err;
    cli_commands = table;
    take_locale();
    log_init("foliopost", false, LOG_ERROR_LEVEL); /* what happens is said by the command */
    enum cli_exit code = take_apart(argc, argv, &parts, &err) == 0 ? dispatch(&parts) : cli_fail(&err);
    mem_free(parts.settings);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "foliopost: cannot write the output: %s\n", strerror(errno));
        code = code == CLI_OK ? CLI_FAILED : code;
    }
    fflush(stderr);
    _exit((int)code);
}

/* --- for the commands ----------------------------------------------------------------- */

/* Who names a CA wants TLS: no token goes out in the clear because of a scheme. */
static int check_tls(const struct cli *c, struct fp_err *err)
{
    if (c->globals.bus_ca_file[0] == '\0' || strncmp(c->globals.rpc, "tls+", 4) == 0)
        return 0;
    return err_set(
        err, FP_INVALID_ARGUMENT,
        "--rpc %s is plain although --bus-ca-file is given: write tls+tcp:// or tls+grpc://, or leave the file out",
        c->globals.rpc);
}

static int connect_client(struct cli *c, struct fp_err *err)
{
    char *token = NULL;
    if (c->client != NULL)
        return 0;
    if (check_tls(c, err) != 0 || config_secret(c->globals.token_file, &token, err) != 0)
        return -1;
    const struct bus_tls tls = {c->globals.bus_ca_file, c->globals.bus_cert_file, c->globals.bus_key_file};
    c->client = rpc_client_new(c->globals.rpc, token, &tls, err);
    mem_free(token);
    return c->client != NULL ? 0 : err_prefix(err, "--rpc");
}

const void *cli_call_within(struct cli *c, int deadline_ms, const char *method,
                            const ProtobufCMessage *request, const ProtobufCMessageDescriptor *reply,
                            struct fp_err *err)
{
    err->code = FP_OK;
    if (connect_client(c, err) != 0)
        return NULL;
    arena_reset(c->arena);
    return rpc_call(c->client, method, request, reply, deadline_ms, c->arena, err);
}

const void *cli_call(struct cli *c, const char *method, const ProtobufCMessage *request,
                     const ProtobufCMessageDescriptor *reply, struct fp_err *err)
{
    return cli_call_within(c, (int)c->globals.timeout_ms, method, request, reply, err);
}

bool cli_json(const struct cli *c)
{
    return c->globals.json;
}

void cli_print_json(const ProtobufCMessage *m, bool compact)
{
    struct fp_str out;
    str_init(&out, 0);
    wire_print_json(m, !compact, &out);
    printf("%s\n", out.data);
    str_fini(&out);
}

enum cli_exit cli_fail(const struct fp_err *err)
{
    fflush(stdout); /* what was printed comes before what went wrong */
    fprintf(stderr, "foliopost: %s: %s\n", err_code_name(err->code), err->msg);
    switch (err->code) {
    case FP_INVALID_ARGUMENT:
        return CLI_USAGE;
    case FP_UNAVAILABLE:
    case FP_DEADLINE_EXCEEDED:
        return CLI_UNAVAILABLE;
    case FP_NOT_FOUND:
        return CLI_NOT_FOUND;
    default:
        return CLI_FAILED;
    }
}

int cli_job_id(const char *text, int64_t *id, struct fp_err *err)
{
    char shown[64];
    if (text_parse_i64(text, id) && *id > 0)
        return 0;
    text_clean(shown, sizeof shown, text);
    return err_set(err, FP_INVALID_ARGUMENT, "\"%s\" is not a job's id: a number above 0; see foliopost jobs",
                   shown);
}

int cli_day_us(const char *flag, const char *text, int64_t *us, struct fp_err *err)
{
    int32_t day;
    if (strcmp(text, "any") == 0)
        return 0;
    if (!day_parse(text, &day))
        return err_set(err, FP_INVALID_ARGUMENT, "--%s: \"%s\" is not a day, as 2026-10-01", flag, text);
    *us = day * FP_US_PER_DAY;
    return 0;
}

bool cli_percent_ppm(const char *text, int32_t *ppm)
{
    char number[20];
    double percent = 0;
    size_t n = strlen(text);
    if (n < 2 || n >= sizeof number || text[n - 1] != '%')
        return false;
    snprintf(number, sizeof number, "%.*s", (int)(n - 1), text);
    if (!text_parse_double(number, &percent) || !(percent >= 0.0001 && percent <= 100))
        return false;
    *ppm = (int32_t)(percent * 10000 + 0.5);
    return true;
}

void cli_print_flag(const char *name, const char *value, const char *unset)
{
    if (strcmp(value, unset) != 0)
        fprintf(stderr, strchr(value, ' ') != NULL ? " --%s '%s'" : " --%s %s", name, value);
}

const char *cli_rpc_flag(const struct cli *c)
{
    static char text[320];
    if (strcmp(c->globals.rpc, CLI_DEFAULT_RPC) == 0)
        return "";
    snprintf(text, sizeof text, " --rpc %s", c->globals.rpc);
    return text;
}
