/* The check of the data contract finds what is missing and says what to run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/base/str.h"
#include "lib/source/contract.h"
#include "lib/source/synthetic.h"
#include "lib/source/testing.h"

#define USERS 12000 /* more than is small */

static struct fp_source *source;

/* What was found, a line each: "FAIL what: finding -> remedy". */
struct findings {
    struct fp_str text;
    int fails, warns;
};

static void note(void *ctx, enum contract_severity severity, const char *what, const char *finding,
                 const char *remedy)
{
    struct findings *f = ctx;
    f->fails += severity == CONTRACT_FAIL;
    f->warns += severity == CONTRACT_WARN;
    str_printf(&f->text, "%s %s: %s -> %s\n", contract_severity_name(severity), what, finding, remedy);
}

static void check(struct findings *f)
{
    struct fp_err err = {0};
    memset(f, 0, sizeof *f);
    str_init(&f->text, 0);
    if (source_check_contract(source, note, f, &err) != 0)
        fail_msg("%s", err.msg);
}

static void expect(const struct findings *f, const char *part)
{
    if (strstr(f->text.data, part) == NULL)
        fail_msg("not found: %s\nin:\n%s", part, f->text.data);
}

/* Breaks, checks that each part is told as a failure or warning, and mends. */
static void broken(const char *breaks, const char *mends, bool fails, const char *part, const char *remedy)
{
    struct findings f;
    testing_script(testing_dsn, breaks);
    check(&f);
    testing_script(testing_dsn, mends);
    expect(&f, part);
    expect(&f, remedy);
    assert_int_equal(f.fails > 0, fails);
    str_fini(&f.text);
}

static int setup(void **state)
{
    struct fp_err err = {0};
    if (testing_create(state) != 0)
        return -1;
    struct pg_options pg = {.dsn = testing_dsn};
    struct source_seed_options o = {.users = USERS, .seed = 1};
    testing_need(source_seed(&pg, &o, &err), &err);
    source = source_open(&pg, &err);
    return source != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    source_close(source);
    return testing_drop(state);
}

static void seeded_data_fits_and_its_broken_users_are_warned_of(void **state)
{
    struct findings f;
    (void)state;
    check(&f);
    if (f.fails != 0)
        fail_msg("%s", f.text.data);
    expect(&f, "ok page of users: index range");
    expect(&f, "ok transactions of a batch: index range");
    expect(&f, "warn portfolio.users: 10 users whose base_currency");
    expect(&f, "warn portfolio.prices: 3 instruments with a close in the last two months");
    expect(&f, "ok portfolio.transactions: transfers of shares have both sides");
    expect(&f, "ok server: primary");
    str_fini(&f.text);
}

static void a_missing_index_is_named_with_the_statement_that_makes_it(void **state)
{
    (void)state;
    broken("DROP INDEX portfolio.users_created_at_id",
           "CREATE UNIQUE INDEX users_created_at_id ON portfolio.users (created_at, id)", true,
           "FAIL portfolio.users: no index on (created_at,id)",
           "CREATE UNIQUE INDEX CONCURRENTLY users_created_at_id ON portfolio.users (created_at, id)");
    broken("DROP INDEX portfolio.transactions_user",
           "CREATE INDEX transactions_user ON portfolio.transactions (user_id, trade_date)", true,
           "FAIL transactions of a batch: reads portfolio.transactions from end to end",
           "(user_id, trade_date)");
}

static void an_index_in_the_wrong_order_does_not_serve(void **state)
{
    (void)state;
    broken("DROP INDEX portfolio.users_created_at_id; CREATE INDEX wrong ON portfolio.users (id, created_at);"
           " CREATE INDEX part ON portfolio.users (created_at, id) WHERE id > 5",
           "DROP INDEX portfolio.wrong, portfolio.part;"
           " CREATE UNIQUE INDEX users_created_at_id ON portfolio.users (created_at, id)",
           true, "FAIL portfolio.users: no index on (created_at,id)", "FAIL page of users");
}

static void what_the_statistics_need_is_warned_of(void **state)
{
    (void)state;
    broken(
        "DROP INDEX portfolio.transactions_user; CREATE INDEX transactions_user ON portfolio.transactions (user_id)",
        "DROP INDEX portfolio.transactions_user; CREATE INDEX transactions_user ON portfolio.transactions"
        " (user_id, trade_date) INCLUDE (id, recorded_at)",
        false,
        "warn portfolio.transactions: no index on (user_id,trade_date) that includes id and recorded_at",
        "INCLUDE (id, recorded_at)");
    broken("UPDATE portfolio.instruments SET asset_class = '' WHERE id = 9",
           "UPDATE portfolio.instruments SET asset_class = 'equity' WHERE id = 9", false,
           "warn portfolio.instruments: 1 instruments without asset_class", "SELECT id, symbol");
    broken("UPDATE portfolio.splits SET numerator = 0 WHERE instrument_id = 7",
           "UPDATE portfolio.splits SET numerator = 2 WHERE instrument_id = 7", false,
           "warn portfolio.splits: 1 splits whose numerator",
           "SELECT instrument_id, day FROM portfolio.splits");
}

static void what_a_job_would_hold_back_is_warned_of(void **state)
{
    (void)state;
    /* not when the split is on file */
    broken(
        "UPDATE portfolio.prices SET close = close / 30 WHERE instrument_id = 9 AND day > current_date - 20",
        "UPDATE portfolio.prices SET close = close * 30 WHERE instrument_id = 9 AND day > current_date - 20",
        false, "warn portfolio.prices: 4 instruments with a close in", "put the split on file");
    broken("CREATE TABLE portfolio.kept AS SELECT * FROM portfolio.prices WHERE instrument_id = 9;"
           " UPDATE portfolio.prices p SET close = CASE WHEN day > current_date - 20 THEN 25 ELSE 100 END"
           " WHERE instrument_id = 9 AND day > current_date - 62",
           "UPDATE portfolio.prices p SET close = k.close FROM portfolio.kept k"
           " WHERE p.instrument_id = 9 AND p.day = k.day; DROP TABLE portfolio.kept",
           false, "warn portfolio.prices: 4 instruments with a close in", "suspected_split");
    broken(
        "UPDATE portfolio.prices SET close = close / 30 WHERE instrument_id = 9 AND day > current_date - 20;"
        " INSERT INTO portfolio.splits SELECT 9, min(day), 30, 1 FROM portfolio.prices"
        " WHERE instrument_id = 9 AND day > current_date - 20",
        "UPDATE portfolio.prices SET close = close * 30 WHERE instrument_id = 9 AND day > current_date - 20;"
        " DELETE FROM portfolio.splits WHERE instrument_id = 9",
        false, "warn portfolio.prices: 3 instruments with a close in", "suspect_price");
}

/* Shares that one account was booked out of and nobody into, and the other way round. */
static void a_transfer_with_one_side_is_warned_of(void **state)
{
    (void)state;
    broken(
        "DELETE FROM portfolio.transactions WHERE user_id = 40 AND type = 'transfer_in'",
        "INSERT INTO portfolio.transactions (id, user_id, account_id, instrument_id, type, quantity, price,"
        " amount, fee, tax, currency, trade_date, recorded_at) SELECT id + 1, user_id, account_id + 2,"
        " instrument_id, 'transfer_in', quantity, price, amount, fee, tax, currency, trade_date, recorded_at"
        " FROM portfolio.transactions WHERE user_id = 40 AND type = 'transfer_out'",
        false, "warn portfolio.transactions: 1 transfers of shares without their other side",
        "book both sides");
}

static void a_missing_column_or_table_is_named(void **state)
{
    (void)state;
    broken("ALTER TABLE portfolio.users RENAME COLUMN locale TO lang",
           "ALTER TABLE portfolio.users RENAME COLUMN lang TO locale", true,
           "FAIL portfolio.users: no column locale", "ALTER TABLE portfolio.users ADD COLUMN locale text");
    broken("ALTER TABLE portfolio.splits RENAME TO away", "ALTER TABLE portfolio.away RENAME TO splits", true,
           "FAIL portfolio.splits: not there", "sql/portfolio.sql");
}

static void a_wrong_type_is_told_from_a_loose_one(void **state)
{
    (void)state;
    broken("ALTER TABLE portfolio.preferences ALTER COLUMN enabled TYPE text",
           "ALTER TABLE portfolio.preferences ALTER COLUMN enabled TYPE boolean USING enabled::boolean", true,
           "FAIL portfolio.preferences: column enabled is text, not boolean", "TYPE boolean");
    broken("ALTER TABLE portfolio.fx_rates ALTER COLUMN rate TYPE float8",
           "ALTER TABLE portfolio.fx_rates ALTER COLUMN rate TYPE numeric(24,10)", false,
           "warn portfolio.fx_rates: column rate is float8, not numeric: decimals are not exact",
           "TYPE numeric");
}

static void stale_prices_are_told_with_their_age(void **state)
{
    (void)state;
    broken("CREATE TABLE portfolio.kept AS SELECT * FROM portfolio.prices WHERE day > current_date - 30;"
           " DELETE FROM portfolio.prices WHERE day > current_date - 30",
           "INSERT INTO portfolio.prices SELECT * FROM portfolio.kept; DROP TABLE portfolio.kept", true,
           "FAIL portfolio.prices: newest of ", "load newer ones");
}

static void null_infinite_and_double_keys_are_failures(void **state)
{
    (void)state;
    broken("ALTER TABLE portfolio.users ALTER COLUMN created_at DROP NOT NULL;"
           " UPDATE portfolio.users SET created_at = NULL WHERE id = 11999",
           "UPDATE portfolio.users SET created_at = now() WHERE id = 11999;"
           " ALTER TABLE portfolio.users ALTER COLUMN created_at SET NOT NULL",
           true, "FAIL portfolio.users: 1 users without id or created_at", "SET NOT NULL");
    broken(
        "INSERT INTO portfolio.users (id, email, created_at, base_currency) VALUES (-5, '', '-infinity', 'EUR')",
        "DELETE FROM portfolio.users WHERE id = -5", true,
        "FAIL portfolio.users: 1 users with created_at infinite", "registration time");
}

static void a_view_is_judged_by_its_plan(void **state)
{
    (void)state;
    struct findings f;
    testing_script(testing_dsn, "ALTER TABLE portfolio.users RENAME TO below;"
                                " CREATE VIEW portfolio.users AS SELECT * FROM portfolio.below");
    check(&f);
    expect(&f, "ok portfolio.users: view, 8 columns");
    expect(&f, "ok page of users: index range");
    assert_int_equal(f.fails, 0);
    str_fini(&f.text);
    testing_script(
        testing_dsn,
        "CREATE OR REPLACE VIEW portfolio.users AS SELECT id, email, first_name, last_name,"
        " created_at + interval '0' AS created_at, locale, time_zone, base_currency FROM portfolio.below");
    check(&f);
    expect(&f, "FAIL page of users: reads portfolio.below from end to end -> ");
    str_fini(&f.text);
    testing_script(testing_dsn, "DROP VIEW portfolio.users; ALTER TABLE portfolio.below RENAME TO users");
}

static void what_may_not_be_read_is_told_with_the_grant(void **state)
{
    struct fp_err err;
    struct findings f;
    char dsn[800], sql[200];
    (void)state;
    snprintf(sql, sizeof sql, "CREATE ROLE reader_%d LOGIN; GRANT USAGE ON SCHEMA portfolio TO reader_%d",
             (int)getpid(), (int)getpid());
    testing_script(testing_dsn, sql);
    snprintf(dsn, sizeof dsn, "%s user=reader_%d", testing_dsn, (int)getpid());
    struct fp_source *all = source;
    struct pg_options o = {.dsn = dsn};
    source = source_open(&o, &err);
    check(&f);
    source_close(source);
    source = all;
    snprintf(sql, sizeof sql, "REVOKE USAGE ON SCHEMA portfolio FROM reader_%d; DROP ROLE reader_%d",
             (int)getpid(), (int)getpid());
    testing_script(testing_dsn, sql);
    expect(&f, "may not read it");
    expect(&f, "GRANT SELECT ON portfolio.users TO reader_");
    assert_true(f.fails >= 8);
    str_fini(&f.text);
}

static void an_empty_database_is_told_and_no_error(void **state)
{
    struct findings f;
    (void)state;
    broken("ALTER SCHEMA portfolio RENAME TO away", "ALTER SCHEMA away RENAME TO portfolio", true,
           "FAIL portfolio.users: not there", "sql/portfolio.sql");
    testing_script(testing_dsn,
                   "TRUNCATE portfolio.users, portfolio.transactions, portfolio.prices, portfolio.fx_rates");
    check(&f);
    assert_int_equal(f.fails, 0);
    expect(&f, "warn portfolio.prices: empty");
    str_fini(&f.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seeded_data_fits_and_its_broken_users_are_warned_of),
        cmocka_unit_test(a_missing_index_is_named_with_the_statement_that_makes_it),
        cmocka_unit_test(an_index_in_the_wrong_order_does_not_serve),
        cmocka_unit_test(what_the_statistics_need_is_warned_of),
        cmocka_unit_test(what_a_job_would_hold_back_is_warned_of),
        cmocka_unit_test(a_transfer_with_one_side_is_warned_of),
        cmocka_unit_test(a_missing_column_or_table_is_named),
        cmocka_unit_test(a_wrong_type_is_told_from_a_loose_one),
        cmocka_unit_test(stale_prices_are_told_with_their_age),
        cmocka_unit_test(null_infinite_and_double_keys_are_failures),
        cmocka_unit_test(a_view_is_judged_by_its_plan),
        cmocka_unit_test(what_may_not_be_read_is_told_with_the_grant),
        cmocka_unit_test(an_empty_database_is_told_and_no_error),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
