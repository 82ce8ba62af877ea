/*
 * The schema and its version.
 *
 * The SQL files are compiled in. Each is applied in one transaction together
 * with its row in schema_version, under an advisory lock of the transaction;
 * the row is inserted first, so that of two runs at once the second waits at
 * the lock, then fails on the row's key and takes the file as applied.
 *
 * A file may lock one table against everybody and then have to wait for another,
 * which a long transaction writes to. Meanwhile nobody renews his lease. So it waits
 * for a short time only, gives back all it has, and begins again after a pause in
 * which everybody can.
 */
#include "lib/ledger/ledger_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/embedded.h"
#include "lib/base/str.h"

extern const struct fp_embedded embedded_migrations[];

/* Any number, as long as nobody else in this database locks it. */
#define LOCK "SELECT pg_advisory_xact_lock(7061115211615);\n"

/* Behind LOCK, which only other migrations wait for. A renewal that waits as long is in time still. */
#define LOCK_TIMEOUT "SET LOCAL lock_timeout = '2s';\n"
/* Renewals come every third of a lease, and one that failed is tried again within a second. */
#define PAUSE_US (LEDGER_LEASE_MS / 3 * INT64_C(1000))
/* Some ten minutes. */
#define TRIES 110

static const char database_name[] = "SELECT current_database()";

static int schema_problem(struct fp_ledger *l, const char *what, struct fp_err *err)
{
    struct fp_rows *rows;
    if (ledger_step(l, "database_name", database_name, NULL, &rows, err) != 0)
        return -1;
    err_set(err, FP_FAILED_PRECONDITION,
            "schema foliopost %s in database %s: run `foliopost migrate --ledger-dsn ...`", what,
            pg_text(rows, 0, 0));
    pg_rows_free(rows);
    return -1;
}

/* *version 0: there is none. */
static int read_version(struct fp_ledger *l, int64_t *version, struct fp_err *err)
{
    struct fp_err why;
    struct fp_rows *rows;
    *version = 0;
    if (ledger_step(l, NULL, "SELECT coalesce(max(version), 0) FROM foliopost.schema_version", NULL, &rows,
                    &why) != 0) {
        const char *state = pg_sqlstate(l->pg);
        bool absent = strcmp(state, "42P01") == 0 || strcmp(state, "3F000") == 0;
        return absent ? 0 : err_set(err, why.code, "%s", why.msg);
    }
    *version = pg_i64(rows, 0, 0);
    pg_rows_free(rows);
    return 0;
}

int ledger_check_schema(struct fp_ledger *l, struct fp_err *err)
{
    int64_t version;
    if (read_version(l, &version, err) != 0)
        return -1;
    if (version == 0)
        return schema_problem(l, "is missing", err);
    if (version < LEDGER_SCHEMA_VERSION)
        return schema_problem(l, "is older than this program", err);
    if (version > LEDGER_SCHEMA_VERSION) {
        return err_set(err, FP_FAILED_PRECONDITION,
                       "schema foliopost has version %" PRId64
                       ", newer than this program's %d: run a newer program",
                       version, LEDGER_SCHEMA_VERSION);
    }
    return 0;
}

static int make_version_table(struct fp_ledger *l, struct fp_err *err)
{
    return pg_run_script(l->pg,
                         LOCK "CREATE SCHEMA IF NOT EXISTS foliopost;\n"
                              "CREATE TABLE IF NOT EXISTS foliopost.schema_version (\n"
                              "    version    integer PRIMARY KEY,\n"
                              "    name       text NOT NULL,\n"
                              "    applied_at timestamptz NOT NULL DEFAULT clock_timestamp());\n",
                         err);
}

static bool must_wait(struct fp_ledger *l, const struct fp_err *why)
{
    return why->code == FP_ABORTED || strcmp(pg_sqlstate(l->pg), "55P03") == 0;
}

/* Until its locks are had. */
static int run_patiently(struct fp_ledger *l, const char *name, const char *script,
                         void (*say)(const char *name, const char *why), struct fp_err *why)
{
    int rc;
    for (int tries = 1; (rc = pg_run_script(l->pg, script, why)) != 0; tries++) {
        if (tries == TRIES || !must_wait(l, why))
            break;
        if (say != NULL)
            say(name, why->msg);
        clock_sleep_us(PAUSE_US);
    }
    return rc;
}

static int apply(struct fp_ledger *l, int version, const struct fp_embedded *file,
                 void (*say)(const char *name, const char *why), int *applied, struct fp_err *err)
{
    struct fp_err why;
    struct fp_str script;
    str_init(&script, 0);
    str_printf(&script,
               LOCK LOCK_TIMEOUT "INSERT INTO foliopost.schema_version (version, name) VALUES (%d, '%s');\n",
               version, file->name);
    str_puts(&script, file->text);
    int rc = run_patiently(l, file->name, script.data, say, &why);
    str_fini(&script);
    if (rc == 0) {
        (*applied)++;
        return 0;
    }
    if (why.code == FP_ALREADY_EXISTS) /* by another run meanwhile */
        return 0;
    err_set(err, why.code, "%s", why.msg);
    return err_prefix(err, "migration %s", file->name);
}

int ledger_migrate(struct fp_ledger *l, int *applied, struct fp_err *err)
{
    return ledger_migrate_saying(l, NULL, applied, err);
}

/* A run whose reply was lost is run again by the person: it goes on behind
 * what is there. */
int ledger_migrate_saying(struct fp_ledger *l, void (*say)(const char *name, const char *why), int *applied,
                          struct fp_err *err)
{
    int64_t version;
    *applied = 0;
    if (read_version(l, &version, err) != 0 || (version == 0 && make_version_table(l, err) != 0))
        return -1;
    for (const struct fp_embedded *f = embedded_migrations; f->name != NULL; f++) {
        int number = atoi(f->name); /* "0001_ledger.sql" */
        if (number > version && apply(l, number, f, say, applied, err) != 0)
            return -1;
    }
    return ledger_check_schema(l, err);
}
