/*
 * Does a database fit the data contract: tables, columns, types, indexes, and
 * the plans of the two hot queries.
 *
 * The tables below are sql/portfolio.sql as demands: what a table or a view
 * must have at least. A view has no indexes of its own, so there the plan is
 * the judge; for a table both are asked, since a plan over a small table says
 * nothing about a large one. Each finding carries the statement that mends it.
 */
#include "lib/source/contract_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"

/* A scan or a sort of fewer rows costs less than a page's round trip. */
#define LARGE_ROWS 10000

enum kind { WHOLE, TEXT, TIME, DAY, NUMBER, BOOL };

/* What is taken for each kind, with the type to declare. `loose` works, but not as well. */
static const struct {
    const char *declare, *fits, *loose, *why_loose;
} kinds[] = {
    [WHOLE] = {"bigint", " int8 int4 int2 ", " ", ""},
    [TEXT] = {"text", " text varchar bpchar citext name ", " ", ""},
    [TIME] = {"timestamptz", " timestamptz ", " timestamp ",
              "read in the server's TimeZone, and ambiguous when clocks are set back"},
    [DAY] = {"date", " date ", " timestamp timestamptz ", "cut to the day by the server's TimeZone"},
    [NUMBER] = {"numeric", " numeric int8 int4 int2 ", " float8 float4 money ", "decimals are not exact"},
    [BOOL] = {"boolean", " bool ", " ", ""},
};

struct column {
    const char *name;
    enum kind kind;
    bool optional; /* part of the contract; not read yet, or done without */
};
struct relation {
    const char *name;
    struct column columns[13];
};
static const struct relation relations[] = {
    {"users",
     {{"id", WHOLE, 0},
      {"email", TEXT, 0},
      {"first_name", TEXT, 0},
      {"last_name", TEXT, 0},
      {"created_at", TIME, 0},
      {"locale", TEXT, 0},
      {"time_zone", TEXT, 0},
      {"base_currency", TEXT, 0}}},
    {"preferences", {{"user_id", WHOLE, 0}, {"kind", TEXT, 0}, {"enabled", BOOL, 0}, {"brand", TEXT, 1}}},
    {"accounts", {{"id", WHOLE, 1}, {"user_id", WHOLE, 1}, {"kind", TEXT, 1}, {"currency", TEXT, 1}}},
    {"instruments",
     {{"id", WHOLE, 0},
      {"symbol", TEXT, 0},
      {"name", TEXT, 0},
      {"currency", TEXT, 0},
      {"asset_class", TEXT, 1}}},
    {"transactions",
     {{"id", WHOLE, 0},
      {"user_id", WHOLE, 0},
      {"account_id", WHOLE, 1},
      {"instrument_id", WHOLE, 0},
      {"type", TEXT, 0},
      {"quantity", NUMBER, 0},
      {"price", NUMBER, 0},
      {"amount", NUMBER, 0},
      {"fee", NUMBER, 0},
      {"tax", NUMBER, 0},
      {"currency", TEXT, 0},
      {"trade_date", DAY, 0},
      {"recorded_at", TIME, 0}}},
    {"prices",
     {{"instrument_id", WHOLE, 0}, {"day", DAY, 0}, {"close", NUMBER, 0}, {"recorded_at", TIME, 0}}},
    {"fx_rates", {{"base", TEXT, 0}, {"quote", TEXT, 0}, {"day", DAY, 0}, {"rate", NUMBER, 0}}},
    {"splits",
     {{"instrument_id", WHOLE, 0}, {"day", DAY, 0}, {"numerator", WHOLE, 0}, {"denominator", WHOLE, 0}}},
};
#define N_RELATIONS (sizeof relations / sizeof relations[0])
#define N_COLUMNS   (sizeof relations[0].columns / sizeof relations[0].columns[0])

static const struct {
    const char *relation, *columns; /* an index on these, or one that begins with them */
    enum contract_severity missing;
    const char *without, *remedy;
} indexes[] = {
    {"portfolio.users", "created_at,id", CONTRACT_FAIL, "every page sorts all users",
     "CREATE UNIQUE INDEX CONCURRENTLY users_created_at_id ON portfolio.users (created_at, id)"},
    {"portfolio.users", "id", CONTRACT_FAIL, "every batch sent again reads all users",
     "CREATE UNIQUE INDEX CONCURRENTLY users_id ON portfolio.users (id)"},
    {"portfolio.preferences", "user_id,kind", CONTRACT_FAIL, "every user of a page reads all preferences",
     "CREATE UNIQUE INDEX CONCURRENTLY preferences_user ON portfolio.preferences (user_id, kind)"},
    {"portfolio.transactions", "user_id", CONTRACT_FAIL, "every batch reads all transactions",
     "CREATE INDEX CONCURRENTLY transactions_user ON portfolio.transactions (user_id, trade_date)"
     " INCLUDE (id, recorded_at)"},
    {"portfolio.prices", "instrument_id,day", CONTRACT_FAIL, "every instrument reads all prices",
     "CREATE UNIQUE INDEX CONCURRENTLY prices_day ON portfolio.prices (instrument_id, day)"},
    {"portfolio.instruments", "id", CONTRACT_WARN, "every batch reads all instruments",
     "CREATE UNIQUE INDEX CONCURRENTLY instruments_id ON portfolio.instruments (id)"},
    {"portfolio.fx_rates", "base,quote,day", CONTRACT_WARN, "every period reads all rates",
     "CREATE UNIQUE INDEX CONCURRENTLY fx_rates_day ON portfolio.fx_rates (base, quote, day)"},
    {"portfolio.splits", "instrument_id", CONTRACT_WARN, "every instrument reads all splits",
     "CREATE INDEX CONCURRENTLY splits_day ON portfolio.splits (instrument_id, day)"},
};

/* --- small things ------------------------------------------------------------------ */

const char *contract_severity_name(enum contract_severity s)
{
    return s == CONTRACT_OK ? "ok" : s == CONTRACT_WARN ? "warn" : "FAIL";
}

void contract_tell(const struct contract *c, enum contract_severity severity, const char *what,
                   const char *remedy, const char *finding, ...)
{
    char text[512];
    va_list args;
    va_start(args, finding);
    vsnprintf(text, sizeof text, finding, args);
    va_end(args);
    c->found(c->ctx, severity, what, text, remedy);
}

int contract_number(const struct contract *c, const char *name, const char *sql, const struct pg_args *a,
                    int64_t *out, bool *null, struct fp_err *err)
{
    struct fp_rows *rows;
    bool unused;
    null = null != NULL ? null : &unused;
    *null = true;
    *out = 0;
    if (pg_run(c->pg, NULL, sql, a, &rows, err) != 0)
        return err_prefix(err, "%s", name);
    *null = pg_rows_count(rows) == 0 || pg_is_null(rows, 0, 0);
    *out = *null ? 0 : pg_i64(rows, 0, 0);
    pg_rows_free(rows);
    return 0;
}

/* --- shape --------------------------------------------------------------------------- */

/* relkind, whether it may be read, and the type of each column by name. */
static int read_shape(const struct contract *c, const char *relation, struct fp_rows **rows,
                      struct fp_err *err)
{
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_text(&a, relation);
    int failed = pg_run(
        c->pg, NULL,
        "SELECT r.relkind::text, has_schema_privilege(n.oid, 'USAGE') AND"
        " has_table_privilege(r.oid, 'SELECT'), a.attname, b.typname, current_user::text"
        " FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace"
        " JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped"
        " JOIN pg_type t ON t.oid = a.atttypid"
        " JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END"
        " WHERE n.nspname = 'portfolio' AND r.relname = $1::text AND r.relkind IN ('r', 'p', 'v', 'm', 'f')",
        &a, rows, err);
    pg_args_fini(&a);
    return failed;
}

static const char *type_of(const struct fp_rows *rows, const char *column)
{
    for (int i = 0; i < pg_rows_count(rows); i++)
        if (strcmp(pg_text(rows, i, 2), column) == 0)
            return pg_text(rows, i, 3);
    return NULL;
}

static bool is_one_of(const char *type, const char *list)
{
    char word[80];
    snprintf(word, sizeof word, " %s ", type);
    return strstr(list, word) != NULL;
}

/* Tells what is wrong with one column; true when nothing is. */
static bool check_column(struct contract *c, const char *what, const struct column *col, const char *type)
{
    char remedy[200];
    const char *declare = kinds[col->kind].declare;
    if (type == NULL) {
        snprintf(remedy, sizeof remedy, "ALTER TABLE %s ADD COLUMN %s %s; or add it to the view", what,
                 col->name, declare);
        contract_tell(c, col->optional ? CONTRACT_WARN : CONTRACT_FAIL, what, remedy, "no column %s",
                      col->name);
        c->broken = c->broken || !col->optional;
        return false;
    }
    if (is_one_of(type, kinds[col->kind].fits))
        return true;
    bool loose = is_one_of(type, kinds[col->kind].loose);
    snprintf(remedy, sizeof remedy, "ALTER TABLE %s ALTER COLUMN %s TYPE %s; or cast it in the view", what,
             col->name, declare);
    contract_tell(c, loose ? CONTRACT_WARN : CONTRACT_FAIL, what, remedy, "column %s is %s, not %s%s%s",
                  col->name, type, declare, loose ? ": " : "", loose ? kinds[col->kind].why_loose : "");
    c->broken = c->broken || !loose;
    return false;
}

static void check_columns(struct contract *c, const char *what, const struct relation *r,
                          const struct fp_rows *rows)
{
    int good = 0, all = 0;
    for (size_t i = 0; i < N_COLUMNS && r->columns[i].name != NULL; i++, all++)
        good += check_column(c, what, &r->columns[i], type_of(rows, r->columns[i].name));
    if (good == all) {
        const char *kind = pg_text(rows, 0, 0);
        contract_tell(c, CONTRACT_OK, what, "", "%s, %d columns", strcmp(kind, "v") == 0 ? "view" : "table",
                      all);
    }
}

static int check_relation(struct contract *c, const struct relation *r, struct fp_err *err)
{
    char what[64], remedy[160];
    struct fp_rows *rows;
    snprintf(what, sizeof what, "portfolio.%s", r->name);
    if (read_shape(c, r->name, &rows, err) != 0)
        return -1;
    if (pg_rows_count(rows) == 0) {
        contract_tell(c, CONTRACT_FAIL, what,
                      "make a table or a view of this name: sql/portfolio.sql, docs/data-contract.md",
                      "not there");
        c->broken = true;
    } else if (!pg_bool(rows, 0, 1)) {
        snprintf(remedy, sizeof remedy, "GRANT USAGE ON SCHEMA portfolio TO %s; GRANT SELECT ON %s TO %s",
                 pg_text(rows, 0, 4), what, pg_text(rows, 0, 4));
        contract_tell(c, CONTRACT_FAIL, what, remedy, "role %s may not read it", pg_text(rows, 0, 4));
        c->forbidden = true;
    } else {
        check_columns(c, what, r, rows);
    }
    pg_rows_free(rows);
    return 0;
}

/* --- indexes ---------------------------------------------------------------------------- */

/* How many indexes serve; null when the relation has none of its own. */
static const char index_sql[] =
    "SELECT count(i.indexrelid) FILTER (WHERE i.indisvalid AND i.indpred IS NULL AND"
    " (SELECT string_agg(a.attname, ',' ORDER BY k.n) || ',' FROM unnest(i.indkey) WITH ORDINALITY AS k(att, n)"
    "  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.att WHERE k.n <= i.indnkeyatts) LIKE $2::text || ',%')"
    " FROM pg_class r LEFT JOIN pg_index i ON i.indrelid = r.oid"
    " WHERE r.oid = to_regclass($1::text) AND r.relkind IN ('r', 'p', 'm') GROUP BY r.oid";

static int check_index(const struct contract *c, size_t i, struct fp_err *err)
{
    struct pg_args a;
    int64_t serving = 0;
    bool none = true;
    pg_args_init(&a);
    pg_arg_text(&a, indexes[i].relation);
    pg_arg_text(&a, indexes[i].columns);
    int failed = contract_number(c, "indexes", index_sql, &a, &serving, &none, err);
    pg_args_fini(&a);
    if (failed || none) /* a view, or not there */
        return failed;
    if (serving > 0) {
        contract_tell(c, CONTRACT_OK, indexes[i].relation, "", "index on (%s)", indexes[i].columns);
    } else {
        contract_tell(c, indexes[i].missing, indexes[i].relation, indexes[i].remedy, "no index on (%s): %s",
                      indexes[i].columns, indexes[i].without);
    }
    return 0;
}

/* One row when the table has no such index; none for a view. */
static const char covering_sql[] =
    "SELECT 1 FROM pg_class r WHERE r.oid = to_regclass('portfolio.transactions') AND r.relkind IN ('r', 'p')"
    " AND NOT EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = r.oid AND i.indisvalid AND i.indpred IS NULL"
    "  AND (SELECT attname FROM pg_attribute a WHERE a.attrelid = r.oid AND a.attnum = i.indkey[0]) = 'user_id'"
    "  AND (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = r.oid AND a.attnum = ANY (i.indkey::int2[])"
    "       AND a.attname IN ('id', 'trade_date', 'recorded_at')) = 3)";

/* What a checkpoint is held against can come from the index alone. */
static int check_covering(const struct contract *c, struct fp_err *err)
{
    int64_t missing = 0;

    if (contract_number(c, "indexes", covering_sql, NULL, &missing, NULL, err) != 0)
        return -1;
    if (missing)
        contract_tell(
            c, CONTRACT_WARN, "portfolio.transactions",
            "CREATE INDEX CONCURRENTLY transactions_user ON portfolio.transactions (user_id, trade_date)"
            " INCLUDE (id, recorded_at)",
            "no index on (user_id,trade_date) that includes id and recorded_at: checkpoints are compared"
            " row by row in the table");
    else
        contract_tell(c, CONTRACT_OK, "portfolio.transactions", "",
                      "checkpoints are compared by an index alone");
    return 0;
}

/* --- plans ------------------------------------------------------------------------------- */

struct plan {
    bool sorts, large; /* large: reads a table of more than LARGE_ROWS */
    char scanned[128]; /* such a table that is read from end to end; "" */
};

static int rows_of(const struct contract *c, const char *relation, int64_t *rows, struct fp_err *err)
{
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_text(&a, relation);
    int failed =
        contract_number(c, "size", "SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass($1::text)",
                        &a, rows, NULL, err);
    pg_args_fini(&a);
    return failed;
}

/* "   ->  Seq Scan on portfolio.users u" or "Index Scan using i on portfolio.users" */
static int read_plan_line(const struct contract *c, const char *line, struct plan *p, struct fp_err *err)
{
    char relation[128];
    int64_t rows;
    line += strspn(line, " ->");
    if ((strncmp(line, "Sort", 4) == 0 || strncmp(line, "Incremental Sort", 16) == 0) &&
        strchr(line, ':') == NULL)
        p->sorts = true;
    const char *on = strstr(line, " on ");
    const char *scan = strstr(line, "Scan");
    if (on == NULL || scan == NULL || scan > on || strchr(line, ':') != NULL)
        return 0;
    snprintf(relation, sizeof relation, "%.*s", (int)strcspn(on + 4, " "), on + 4);
    if (rows_of(c, relation, &rows, err) != 0)
        return -1;
    p->large = p->large || rows > LARGE_ROWS;
    if (rows > LARGE_ROWS && strstr(line, "Seq Scan") != NULL)
        snprintf(p->scanned, sizeof p->scanned, "%s", relation);
    return 0;
}

static int explain(const struct contract *c, const char *sql, const struct pg_args *a, struct plan *p,
                   struct fp_err *err)
{
    char text[4096];
    struct fp_rows *rows;
    memset(p, 0, sizeof *p);
    snprintf(text, sizeof text, "EXPLAIN (VERBOSE, COSTS OFF) %s", sql);
    if (pg_run(c->pg, NULL, text, a, &rows, err) != 0)
        return err_prefix(err, "EXPLAIN");
    int failed = 0;
    for (int i = 0; !failed && i < pg_rows_count(rows); i++)
        failed = read_plan_line(c, pg_text(rows, i, 0), p, err);
    pg_rows_free(rows);
    return failed;
}

static void judge_plan(const struct contract *c, const char *what, const struct plan *p, bool sort_allowed,
                       const char *remedy)
{
    if (p->scanned[0] != '\0') {
        contract_tell(c, CONTRACT_FAIL, what, remedy, "reads %s from end to end", p->scanned);
    } else if (p->sorts && p->large && !sort_allowed) {
        contract_tell(c, CONTRACT_FAIL, what, remedy, "sorts instead of reading the index in its order");
    } else {
        contract_tell(c, CONTRACT_OK, what, "", "%s",
                      p->large ? "index range" : "the tables are small: nothing to see yet");
    }
}

static int check_page_plan(const struct contract *c, struct fp_err *err)
{
    struct pg_args a;
    struct plan p;
    int64_t first_us;
    if (source_first_user_us(c->source, &first_us, err) != 0)
        return -1;
    pg_args_init(&a);
    pg_arg_time_us(&a, first_us);
    pg_arg_i64(&a, INT64_MIN);
    pg_arg_time_us(&a, clock_wall_us());
    pg_arg_i64(&a, 100);
    pg_arg_text(&a, "monthly");
    int failed = explain(c, source_users_page_sql(), &a, &p, err);
    pg_args_fini(&a);
    if (!failed) {
        judge_plan(c, "page of users", &p, false,
                   "ANALYZE portfolio.users; for a view: index the tables below it so that "
                   "(created_at, id) is one index of one table");
    }
    return failed;
}

/* A batch of users, whose few rows may be sorted. */
static int check_transactions_plan(const struct contract *c, struct fp_err *err)
{
    struct plan p;
    if (explain(
            c,
            "SELECT * FROM portfolio.transactions WHERE user_id = ANY(ARRAY(SELECT id FROM portfolio.users"
            " ORDER BY created_at, id LIMIT 100)::bigint[]) AND trade_date <= current_date ORDER BY user_id, trade_date, id",
            NULL, &p, err) != 0)
        return -1;
    judge_plan(c, "transactions of a batch", &p, true,
               "ANALYZE portfolio.transactions; for a view: index user_id in the table "
               "below it");
    return 0;
}

int source_check_contract(struct fp_source *s, contract_found *found, void *ctx, struct fp_err *err)
{
    struct contract c = {.source = s, .pg = source_pg(s), .found = found, .ctx = ctx};
    for (size_t i = 0; i < N_RELATIONS; i++)
        if (check_relation(&c, &relations[i], err) != 0)
            return -1;
    for (size_t i = 0; !c.forbidden && i < sizeof indexes / sizeof indexes[0]; i++)
        if (check_index(&c, i, err) != 0)
            return -1;
    if (c.broken || c.forbidden) {
        contract_tell(&c, CONTRACT_WARN, "data", "mend the above and run doctor again", "not looked at");
        return 0;
    }
    if (check_covering(&c, err) != 0 || check_page_plan(&c, err) != 0 ||
        check_transactions_plan(&c, err) != 0)
        return -1;
    return contract_check_data(&c, err);
}
