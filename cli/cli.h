/*
 * The command line: a table of commands, and what they share.
 *
 * A command is a row: its settings are a table of lib/config, its work is a
 * function that prints to stdout and returns an exit code. Errors and notes go
 * to stderr, so that stdout can be piped.
 */
#ifndef FP_CLI_CLI_H
#define FP_CLI_CLI_H

#include "lib/base/err.h"
#include "lib/config/config.h"
#include "lib/rpc/rpc.h"

/* The exit codes: documented in `foliopost help`. */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_JOB_FAILED = 3,
    CLI_UNAVAILABLE = 4,
    CLI_NOT_FOUND = 5,
    CLI_INTERRUPTED = 130, /* 128 + SIGINT, as shells have it */
};

struct cli; /* one run: global settings, the connection, memory for replies */

struct cli_command {
    const char *name;
    const char *arguments; /* "JOB"; "", and never NULL, without any */
    const char *summary;   /* one line */
    const char *details;   /* for --help: what it does, with examples */
    const struct config_setting *rows;
    size_t n_rows;
    size_t values_bytes; /* of the struct that the rows fill; 0: no settings */
    int min_args, max_args;
    const char
        *no_json; /* the command has only text: what a program is to call instead; NULL: it has --json */
    enum cli_exit (*run)(struct cli *c, void *values, char **args, int n_args);
};

/* The whole of main(): finds the command in the table (ended by NULL), reads
 * its settings, runs it. Does not return. */
int cli_main(const struct cli_command *const *table, int argc, char **argv);
extern const struct cli_command *const *cli_commands; /* the table; never NULL in a command */

/* --- for the commands ---------------------------------------------------------- */

/* Calls a method; NULL with *err filled. The reply lives until the next call. */
const void *cli_call(struct cli *c, const char *method, const ProtobufCMessage *request,
                     const ProtobufCMessageDescriptor *reply, struct fp_err *err) FP_MUST_CHECK;
/* The same with a time limit of its own. */
const void *cli_call_within(struct cli *c, int deadline_ms, const char *method,
                            const ProtobufCMessage *request, const ProtobufCMessageDescriptor *reply,
                            struct fp_err *err) FP_MUST_CHECK;
bool cli_json(const struct cli *c);
/* The reply as JSON on stdout; on one line when compact. */
void cli_print_json(const ProtobufCMessage *m, bool compact);
/* "foliopost: CODE: message" on stderr; the exit code for it. */
enum cli_exit cli_fail(const struct fp_err *err);
/* A job's id from an argument. */
int cli_job_id(const char *text, int64_t *id, struct fp_err *err) FP_MUST_CHECK;
/* A day (YYYY-MM-DD) as its beginning in UTC; "any" leaves *us as it is. flag: for the error. */
int cli_day_us(const char *flag, const char *text, int64_t *us, struct fp_err *err) FP_MUST_CHECK;
/* "5%" or "0.5%" as parts per million: of a 0.0001th % to 100 %. False when it is not like that. */
bool cli_percent_ppm(const char *text, int32_t *ppm) FP_MUST_CHECK;
/* " --NAME VALUE" on stderr, unless it is `unset`: for commands that a person is told to call next. */
void cli_print_flag(const char *name, const char *value, const char *unset);
/* How this run was given its address, for texts like "watch it again by": "" or " --rpc URL". */
const char *cli_rpc_flag(const struct cli *c);

/* help.c */
extern const struct config_setting cli_global_rows[];
extern const size_t cli_n_global_rows;
extern const char cli_exit_codes[]; /* for help: a line for each */
const struct cli_command *cli_find(const char *name);
void cli_print_usage(FILE *out);                                   /* all commands */
void cli_print_help(const struct cli_command *command, FILE *out); /* one */

/* watch.c: follows a job until it ends; the exit code says how. */
enum cli_exit cli_watch(struct cli *c, int64_t job_id);

/* Each stands in the file named after it, with its settings. */
extern const struct cli_command cli_submit, cli_jobs, cli_status, cli_watch_job, cli_pause, cli_resume,
    cli_cancel, cli_approve, cli_report, cli_deliveries, cli_history, cli_fleet, cli_retry, cli_suppressions,
    cli_migrate, cli_resolve, cli_resend, cli_erase, cli_rates, cli_rate, cli_audit, cli_identities, cli_seed,
    cli_doctor, cli_explain, cli_preview, cli_send_test, cli_schedule, cli_top, cli_completion, cli_man,
    cli_template, cli_recover, cli_help;

#endif
