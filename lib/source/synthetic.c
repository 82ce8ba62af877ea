/*
 * Makes synthetic data: runs sql/portfolio.sql and the steps of
 * sql/synthetic.sql, both compiled in, over one connection.
 *
 * The SQL does the work, so that a million users never pass through this
 * process. The marker table portfolio.synthetic is made first, in the same
 * transaction as the contract's tables: a schema has both or neither, and what
 * has no marker belongs to somebody else and is left alone. There is no
 * resuming: a run that was cut short left complete = false and is replaced by
 * the next, which gives the same rows.
 */
#include "lib/source/synthetic.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/embedded.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

extern const struct fp_embedded embedded_portfolio[];

/* Whole months, with the last day's own: prices begin two months before the
 * first user, for a first opening value. */
#define USER_MONTHS  60
#define PRICE_MONTHS 62
/* The index of a hundred million transactions is built in less. */
#define STEP_TIMEOUT_MS (2 * 3600 * 1000)

static const char step_mark[] = "-- step: ";

#define CONTRACT_TABLES                                                                                      \
    "'users','preferences','accounts','instruments','transactions','prices','fx_rates','splits'"

struct seeding {
    struct fp_pg *pg;
    const struct source_seed_options *o;
};

static const char *embedded(const char *name)
{
    for (const struct fp_embedded *e = embedded_portfolio; e->name != NULL; e++)
        if (strcmp(e->name, name) == 0)
            return e->text;
    fp_panic("%s is not compiled in", name);
}

static void report(const struct seeding *s, const char *step, int64_t done)
{
    if (s->o->progress != NULL)
        s->o->progress(s->o->ctx, step, done, s->o->users);
}

/* --- what is there already ------------------------------------------------------- */

struct found {
    int64_t tables; /* of the contract, or views of these names */
    bool marker, complete;
};

static int look(struct fp_pg *pg, struct found *f, struct fp_err *err)
{
    struct fp_rows *rows;
    memset(f, 0, sizeof *f);
    if (pg_run(pg, NULL,
               "SELECT count(*) FILTER (WHERE relname IN (" CONTRACT_TABLES ")),"
               " count(*) FILTER (WHERE relname = 'synthetic') FROM pg_class"
               " WHERE relnamespace = to_regnamespace('portfolio') AND relkind IN ('r', 'p', 'v', 'm', 'f')",
               NULL, &rows, err) != 0)
        return -1;
    f->tables = pg_i64(rows, 0, 0);
    f->marker = pg_i64(rows, 0, 1) > 0;
    pg_rows_free(rows);
    if (!f->marker)
        return 0;
    if (pg_run(pg, NULL, "SELECT complete FROM portfolio.synthetic", NULL, &rows, err) != 0)
        return -1;
    f->complete = pg_rows_count(rows) > 0 && pg_bool(rows, 0, 0);
    pg_rows_free(rows);
    return 0;
}

/* Names each of our tables: whatever else stands in the schema, or hangs on
 * them, makes the DROP fail rather than go with it. */
static int clear_away(struct fp_pg *pg, struct fp_err *err)
{
    static const char sql[] =
        "DO $$ DECLARE things text; BEGIN"
        " SELECT string_agg(oid::regclass::text, ', ') INTO things FROM pg_class"
        "  WHERE relnamespace = 'portfolio'::regnamespace AND relkind = 'r'"
        "  AND (relname IN (" CONTRACT_TABLES ") OR relname = 'synthetic' OR relname LIKE 'synthetic\\_%');"
        " EXECUTE 'DROP TABLE ' || things;"
        " SELECT string_agg(oid::regprocedure::text, ', ') INTO things FROM pg_proc"
        "  WHERE pronamespace = 'portfolio'::regnamespace AND proname LIKE 'synthetic\\_%';"
        " IF things IS NOT NULL THEN EXECUTE 'DROP FUNCTION ' || things; END IF; END $$";
    return pg_run_script(pg, sql, err);
}

static int make_room(const struct seeding *s, struct fp_err *err)
{
    struct found f;
    if (look(s->pg, &f, err) != 0)
        return -1;
    if (f.tables > 0 && !f.marker) {
        return err_set(err, FP_FAILED_PRECONDITION,
                       "schema portfolio has data that was not made by seed (no table portfolio.synthetic): "
                       "it is never replaced; give another database");
    }
    if (f.complete && !s->o->force) {
        return err_set(err, FP_ALREADY_EXISTS,
                       "schema portfolio has synthetic data already: use --force to make it anew");
    }
    if (!f.marker)
        return 0;
    report(s, "remove", 0);
    return clear_away(s->pg, err);
}

/* --- steps --------------------------------------------------------------------------- */

/* The tables of the contract, and the marker that says what they are made of. */
static int make_tables(const struct seeding *s, struct fp_err *err)
{
    char first[11], from[11], last[11];
    int32_t today = day_from_us(clock_wall_us());
    int32_t last_day = s->o->last_day != 0 ? s->o->last_day : today - 1;
    int32_t month = day_first_of_month(last_day);
    day_format(day_add_months(month, 1 - PRICE_MONTHS), first);
    day_format(day_add_months(month, 1 - USER_MONTHS), from);
    day_format(last_day, last);
    struct fp_str sql;
    str_init(&sql, 0);
    str_puts(&sql, embedded("portfolio.sql"));
    str_printf(&sql,
               "CREATE TABLE portfolio.synthetic (seed bigint, users bigint, first_day date, users_from date,"
               " last_day date, complete boolean);\n"
               "INSERT INTO portfolio.synthetic VALUES (%" PRId64 ", %" PRId64 ", '%s', '%s', '%s', false);",
               s->o->seed, s->o->users, first, from, last);
    int failed = pg_run_script(s->pg, sql.data, err);
    str_fini(&sql);
    return failed;
}

static int run_range(const struct seeding *s, const char *sql, int64_t from, int64_t to, struct fp_err *err)
{
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_i64(&a, from);
    pg_arg_i64(&a, to);
    int failed = pg_run(s->pg, NULL, sql, &a, NULL, err);
    pg_args_fini(&a);
    return failed;
}

/* each 0: once, of any number of statements. */
static int run_step(const struct seeding *s, const char *name, int64_t each, const char *sql,
                    struct fp_err *err)
{
    report(s, name, 0);
    if (each == 0)
        return pg_run_script(s->pg, sql, err) == 0 ? 0 : err_prefix(err, "step %s", name);
    for (int64_t done = 0; done < s->o->users; done += each) {
        int64_t to = done + each < s->o->users ? done + each : s->o->users;
        if (run_range(s, sql, done + 1, to, err) != 0)
            return err_prefix(err, "step %s, users %" PRId64 " to %" PRId64, name, done + 1, to);
        report(s, name, to);
    }
    return 0;
}

/* "-- step: NAME [each N]" up to the next mark; *next is NULL after the last. */
static int run_next(const struct seeding *s, const char *step, const char **next, struct fp_err *err)
{
    char name[64];
    size_t line = strcspn(step, "\n");
    snprintf(name, sizeof name, "%.*s", (int)(line - strlen(step_mark)), step + strlen(step_mark));
    char *each = strstr(name, " each ");
    int64_t users_each = each != NULL ? strtoll(each + strlen(" each "), NULL, 10) : 0;
    if (each != NULL)
        *each = '\0';
    *next = strstr(step + line, step_mark);
    struct fp_str sql;
    str_init(&sql, 0);
    str_add(&sql, step + line, *next != NULL ? (size_t)(*next - step) - line : strlen(step + line));
    int failed = run_step(s, name, users_each, sql.data, err);
    str_fini(&sql);
    return failed;
}

/* JIT compiles for longer than these statements run; a crash of the server is
 * answered by seeding again. */
static int tune_session(struct fp_pg *pg, struct fp_err *err)
{
    return pg_run_script(
        pg,
        "SET jit = off; SET synchronous_commit = off; SET work_mem = '64MB'; SET client_min_messages = error",
        err);
}

static int seed(const struct seeding *s, struct fp_err *err)
{
    if (tune_session(s->pg, err) != 0 || make_room(s, err) != 0 || make_tables(s, err) != 0)
        return -1;
    const char *step = strstr(embedded("synthetic.sql"), "\n-- step: ");
    for (step = step != NULL ? step + 1 : NULL; step != NULL;)
        if (run_next(s, step, &step, err) != 0)
            return -1;
    /* Leaves nothing for autovacuum to do in the middle of somebody's job. */
    report(s, "vacuum", 0);
    return pg_run(s->pg, NULL,
                  "VACUUM portfolio.users, portfolio.accounts, portfolio.transactions, portfolio.prices",
                  NULL, NULL, err);
}

int source_seed(const struct pg_options *pg, const struct source_seed_options *o, struct fp_err *err)
{
    if (o->users < 1 || o->users > SOURCE_SEED_MAX_USERS) {
        return err_set(err, FP_INVALID_ARGUMENT, "users is %" PRId64 ": give 1 to %d", o->users,
                       SOURCE_SEED_MAX_USERS);
    }
    struct pg_options patient = *pg;
    patient.query_timeout_ms = STEP_TIMEOUT_MS;
    patient.prepare = false;
    struct seeding s = {.pg = pg_new(&patient, err), .o = o};
    if (s.pg == NULL)
        return -1;
    int failed = seed(&s, err);
    pg_free(s.pg);
    return failed == 0 ? 0 : err_prefix(err, "seed");
}
