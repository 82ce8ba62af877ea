/*
 * foliopost doctor: are the databases fit for a job?
 *
 * The portfolio against the data contract (lib/source/contract.h), and the
 * ledger: its schema's version, and that PostgreSQL loses no commit, on which
 * every promise rests. Only reads. Exits 1 when something must be mended.
 */
#include <inttypes.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/database.h"
#include "lib/ledger/ledger.h"
#include "lib/source/contract.h"

struct values {
    char *source_dsn, *ledger_dsn;
};

static const struct config_setting rows[] = {
    ROW_SOURCE_DSN(offsetof(struct values, source_dsn)),
    ROW_LEDGER_DSN(offsetof(struct values, ledger_dsn)),
};

struct findings {
    bool json;
    int n, warnings, failures;
};

static void found(void *ctx, enum contract_severity severity, const char *what, const char *finding,
                  const char *remedy)
{
    struct findings *f = ctx;
    f->warnings += severity == CONTRACT_WARN;
    f->failures += severity == CONTRACT_FAIL;
    f->n++;
    if (!f->json) {
        printf("%-4s  %s: %s\n", contract_severity_name(severity), what, finding);
        if (remedy[0] != '\0')
            printf("      to mend it: %s\n", remedy);
        return;
    }
    struct fp_str line;
    str_init(&line, 0);
    str_printf(&line, "%s\n  {\"severity\": \"%s\", \"what\": ", f->n > 1 ? "," : "",
               contract_severity_name(severity));
    str_json(&line, what);
    str_puts(&line, ", \"finding\": ");
    str_json(&line, finding);
    str_puts(&line, ", \"remedy\": ");
    str_json(&line, remedy);
    str_putc(&line, '}');
    fputs(line.data, stdout);
    str_fini(&line);
}

static void check_schema(struct fp_ledger *l, struct findings *f)
{
    struct fp_err err;
    char text[64];
    snprintf(text, sizeof text, "version %d", LEDGER_SCHEMA_VERSION);
    if (ledger_check_schema(l, &err) == 0)
        found(f, CONTRACT_OK, "ledger schema", text, "");
    else
        found(f, CONTRACT_FAIL, "ledger schema", err.msg,
              err.code == FP_FAILED_PRECONDITION ? "foliopost migrate" : "");
}

/* "A mail that was sent is known as sent" holds only when commits last. */
static int check_durability(struct fp_ledger *l, struct findings *f, struct fp_err *err)
{
    static const char sql[] =
        "SELECT current_setting('synchronous_commit'), current_setting('fsync'), "
        "current_setting('full_page_writes'), current_setting('synchronous_standby_names')";
    static const char *const names[] = {"synchronous_commit", "fsync", "full_page_writes"};
    struct fp_rows *r = NULL;
    char text[160], remedy[160];
    if (pg_run(ledger_pg(l), NULL, sql, NULL, &r, err) != 0)
        return -1;
    for (int i = 0; i < 3; i++) {
        const char *value = pg_text(r, 0, i);
        bool good = strcmp(value, "off") != 0 && strcmp(value, "local") != 0;
        snprintf(text, sizeof text, "%s = %s", names[i], value);
        snprintf(remedy, sizeof remedy, "ALTER SYSTEM SET %s = on; SELECT pg_reload_conf();", names[i]);
        found(f, good ? CONTRACT_OK : CONTRACT_FAIL, "ledger durability", text, good ? "" : remedy);
    }
    bool standby = pg_text(r, 0, 3)[0] != '\0';
    found(f, CONTRACT_OK, "ledger standby",
          standby ? "synchronous_standby_names is set"
                  : "no synchronous standby: promote none, or set synchronous_standby_names first",
          "");
    pg_rows_free(r);
    return 0;
}

static int check_ledger(const char *dsn, struct findings *f, struct fp_err *err)
{
    struct pg_options o = database_options(dsn);
    struct fp_ledger *l = ledger_open(&o, err);
    int rc = l != NULL ? check_durability(l, f, err) : -1;
    if (rc == 0)
        check_schema(l, f);
    ledger_close(l);
    return rc == 0 ? 0 : err_prefix(err, "the ledger");
}

static int check_source(const char *dsn, struct findings *f, struct fp_err *err)
{
    struct pg_options o = database_options(dsn);
    struct fp_source *s = source_open(&o, err);
    int rc = s != NULL ? source_check_contract(s, found, f, err) : -1;
    source_close(s);
    return rc == 0 ? 0 : err_prefix(err, "the portfolio");
}

static enum cli_exit run(struct cli *c, void *values, char **args, int n_args)
{
    const struct values *v = values;
    struct findings f = {.json = cli_json(c)};
    struct fp_err err;
    (void)args;
    (void)n_args;
    const char *source = v->source_dsn[0] != '\0' ? v->source_dsn : v->ledger_dsn;
    if (source[0] == '\0') {
        err_set(
            &err, FP_INVALID_ARGUMENT,
            "no database: give --source-dsn and --ledger-dsn, or FOLIOPOST_SOURCE_DSN and FOLIOPOST_LEDGER_DSN");
        return cli_fail(&err);
    }
    if (f.json)
        printf("{\"findings\": [");
    int rc = check_source(source, &f, &err);
    if (rc == 0 && v->ledger_dsn[0] != '\0')
        rc = check_ledger(v->ledger_dsn, &f, &err);
    if (f.json)
        printf("\n], \"warnings\": %d, \"failures\": %d}\n", f.warnings, f.failures);
    if (rc != 0)
        return cli_fail(&err);
    if (!f.json)
        printf("%d looked at, %d to mend, %d warning%s\n", f.n, f.failures, f.warnings,
               f.warnings == 1 ? "" : "s");
    return f.failures > 0 ? CLI_FAILED : CLI_OK;
}

const struct cli_command cli_doctor = {
    .name = "doctor",
    .arguments = "",
    .summary = "Checks the databases: the data contract, the ledger, durability",
    .details =
        "Only reads. Says for each thing that is missing what to run to mend it.\n"
        "Exit code 1 when something must be mended.\n\n"
        "  foliopost doctor --source-dsn 'host=replica dbname=app' --ledger-dsn 'host=db dbname=foliopost'\n",
    .rows = rows,
    .n_rows = sizeof rows / sizeof rows[0],
    .values_bytes = sizeof(struct values),
    .run = run,
};
