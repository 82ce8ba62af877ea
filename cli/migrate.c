/*
 * foliopost migrate and seed: the two commands that write to a database
 * themselves. Both are safe to repeat.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/database.h"
#include "cli/format.h"
#include "cli/screen.h"
#include "lib/base/clock.h"
#include "lib/ledger/ledger.h"
#include "lib/source/synthetic.h"

struct migrate_values {
    char *ledger_dsn;
};

struct seed_values {
    char *source_dsn, *ledger_dsn, *last_day;
    int64_t users, seed;
    bool force;
};

#define AT(field) offsetof(struct seed_values, field)

static const struct config_setting migrate_rows[] = {
    ROW_LEDGER_DSN(offsetof(struct migrate_values, ledger_dsn)),
};

static const struct config_setting seed_rows[] = {
    {"users", CONFIG_INT, "users", "10000", 1, SOURCE_SEED_MAX_USERS, NULL, "how many to make", AT(users)},
    {"seed", CONFIG_INT, NULL, "1", 0, 9e15, NULL, "the same seed makes the same data", AT(seed)},
    {"last-day", CONFIG_STRING, NULL, "", 0, 10, NULL,
     "last day with data, YYYY-MM-DD; empty: yesterday, UTC", AT(last_day)},
    {"force", CONFIG_BOOL, NULL, "false", 0, 0, NULL, "replace synthetic data that is there already",
     AT(force)},
    ROW_SOURCE_DSN(AT(source_dsn)),
    ROW_LEDGER_DSN(AT(ledger_dsn)),
};

static int missing_dsn(const char *flag, const char *variable, struct fp_err *err)
{
    return err_set(err, FP_INVALID_ARGUMENT,
                   "no database: give --%s or %s, as 'host=127.0.0.1 dbname=foliopost'", flag, variable);
}

static void say_waits(const char *name, const char *why)
{
    fprintf(stderr, "foliopost: migration %s waits for others' transactions and is tried again: %s\n", name,
            why);
}

static enum cli_exit run_migrate(struct cli *c, void *values, char **args, int n_args)
{
    const struct migrate_values *v = values;
    struct fp_err err;
    int applied = 0, rc = -1;
    (void)args;
    (void)n_args;
    struct pg_options o = database_options(v->ledger_dsn);
    struct fp_ledger *l = NULL;
    if (v->ledger_dsn[0] == '\0')
        missing_dsn("ledger-dsn", "FOLIOPOST_LEDGER_DSN", &err);
    else if ((l = ledger_open(&o, &err)) != NULL)
        rc = ledger_migrate_saying(l, say_waits, &applied, &err);
    ledger_close(l);
    if (rc != 0)
        return cli_fail(&err);
    if (cli_json(c))
        printf("{\"applied\": %d, \"schema_version\": %d}\n", applied, LEDGER_SCHEMA_VERSION);
    else if (applied == 0)
        printf("the ledger's schema is at version %d already\n", LEDGER_SCHEMA_VERSION);
    else
        printf("applied %d migration%s: the ledger's schema is at version %d\n", applied,
               applied == 1 ? "" : "s", LEDGER_SCHEMA_VERSION);
    return CLI_OK;
}

/* --- seed ---------------------------------------------------------------------------- */

struct seeding {
    struct screen screen;
    bool live;
    char said[64]; /* the step that was printed last */
};

static void on_progress(void *ctx, const char *step, int64_t done, int64_t total)
{
    struct seeding *s = ctx;
    struct fp_str text;
    char a[FORMAT_CAP], b[FORMAT_CAP];
    if (!s->live && strcmp(step, s->said) == 0)
        return;
    snprintf(s->said, sizeof s->said, "%s", step);
    str_init(&text, 0);
    str_printf(&text, "%s", step);
    if (total > 0 && done > 0)
        str_printf(&text, "  %s of %s users", format_count(done, a), format_count(total, b));
    if (s->live)
        screen_draw(&s->screen, text.data);
    else
        fprintf(stderr, "%s\n", text.data);
    str_fini(&text);
}

static enum cli_exit seed(struct cli *c, const struct pg_options *pg, struct source_seed_options *o)
{
    struct seeding s = {.live = screen_is_terminal() && !cli_json(c)};
    struct fp_err err;
    char a[FORMAT_CAP], b[FORMAT_CAP];
    o->progress = on_progress;
    o->ctx = &s;
    int64_t since_us = clock_mono_us();
    int rc = source_seed(pg, o, &err);
    if (s.screen.drawn > 0)
        putchar('\n');
    if (rc != 0)
        return cli_fail(&err);
    double seconds = (double)(clock_mono_us() - since_us) / 1e6;
    if (cli_json(c))
        printf("{\"users\": %" PRId64 ", \"seed\": %" PRId64 ", \"seconds\": %.1f}\n", o->users, o->seed,
               seconds);
    else
        printf("made %s users from seed %" PRId64 " in %s\n", format_count(o->users, a), o->seed,
               format_duration(seconds, b));
    return CLI_OK;
}

static enum cli_exit run_seed(struct cli *c, void *values, char **args, int n_args)
{
    const struct seed_values *v = values;
    struct fp_err err;
    const char *dsn = v->source_dsn[0] != '\0' ? v->source_dsn : v->ledger_dsn;
    struct pg_options pg = database_options(dsn);
    struct source_seed_options o = {.users = v->users, .seed = v->seed, .force = v->force};
    (void)args;
    (void)n_args;
    if (dsn[0] == '\0') {
        missing_dsn("source-dsn", "FOLIOPOST_SOURCE_DSN", &err);
        return cli_fail(&err);
    }
    if (v->last_day[0] != '\0' && !day_parse(v->last_day, &o.last_day)) {
        err_set(&err, FP_INVALID_ARGUMENT, "--last-day: \"%s\" is not a day, as 2026-10-31", v->last_day);
        return cli_fail(&err);
    }
    return seed(c, &pg, &o);
}

const struct cli_command cli_migrate = {
    .name = "migrate",
    .arguments = "",
    .summary = "Brings the ledger's schema to this program's version",
    .details = "Applies what is missing, each step in a transaction; nothing when all is there.\n\n"
               "  foliopost migrate --ledger-dsn 'host=db dbname=foliopost user=owner'\n",
    .rows = migrate_rows,
    .n_rows = 1,
    .values_bytes = sizeof(struct migrate_values),
    .run = run_migrate,
};

const struct cli_command cli_seed = {
    .name = "seed",
    .arguments = "",
    .summary = "Makes a schema portfolio with synthetic users, for trying things out",
    .details = "Never touches tables that it did not make.\n\n"
               "  foliopost seed --users 1000000 --seed 7 --source-dsn 'host=127.0.0.1 dbname=try'\n",
    .rows = seed_rows,
    .n_rows = sizeof seed_rows / sizeof seed_rows[0],
    .values_bytes = sizeof(struct seed_values),
    .run = run_seed,
};
