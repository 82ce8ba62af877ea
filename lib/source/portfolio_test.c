/* Transactions and market data out of a real database, whole and broken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/base/fixed.h"
#include "lib/source/portfolio.h"
#include "lib/source/testing.h"

#define AS_OF_US (19800 * FP_US_PER_DAY)

static struct fp_source *source;
static struct portfolio_period march; /* 2024, as of 2024-03-18 */

static int32_t day(const char *text)
{
    int32_t d;

    assert_true(day_parse(text, &d));
    return d;
}

static char *read_file(const char *path)
{
    char *text = mem_alloc(1 << 20);
    FILE *f = fopen(path, "r");

    if (!f)
        fail_msg("%s: run the test in the root of the project", path);
    text[fread(text, 1, (1 << 20) - 1, f)] = 0;
    fclose(f);
    return text;
}

static int setup(void **state)
{
    struct fp_err err = {0};
    char *sql;

    if (testing_create(state) != 0)
        return -1;
    sql = read_file("sql/portfolio.sql");
    testing_script(testing_dsn, sql);
    mem_free(sql);
    source = source_open(&(struct pg_options){.dsn = testing_dsn, .prepare = true}, &err);
    march = (struct portfolio_period){day("2024-03-01"), day("2024-03-31"), AS_OF_US, 1};
    return source ? 0 : -1;
}

static int teardown(void **state)
{
    source_close(source);
    return testing_drop(state);
}

static int clean(void **state)
{
    (void)state;
    testing_script(testing_dsn,
                   "TRUNCATE portfolio.transactions, portfolio.prices, portfolio.fx_rates, portfolio.splits,"
                   " portfolio.instruments");
    return 0;
}

/* Columns of a transaction, as SQL. */
static void put(const char *values)
{
    char sql[3000];

    snprintf(
        sql, sizeof sql,
        "INSERT INTO portfolio.transactions (id, user_id, account_id, instrument_id, type, quantity, price, amount,"
        " fee, tax, currency, trade_date, recorded_at) VALUES %s",
        values);
    testing_script(testing_dsn, sql);
}

static int ask(const int64_t *ids, size_t n, size_t max_rows, struct portfolio_txs *out, struct fp_err *err)
{
    const struct portfolio_ask all = {ids, n, max_rows, PORTFOLIO_ALL};

    return portfolio_txs_load(source, &march, &all, out, err);
}

static void load(const int64_t *ids, size_t n, struct portfolio_txs *out)
{
    struct fp_err err = {0};

    if (ask(ids, n, 1000, out, &err))
        fail_msg("%s", err.msg);
}

static void rows_come_scaled_and_by_user(void **state)
{
    (void)state;
    const int64_t ids[] = {9, 3, 5};
    struct portfolio_txs t;

    put("(1, 9, 1, 77, 'buy', 1.5, 10.12345678, -16.1852, 1, 0.0001, 'USD', '2024-02-01', '2024-02-01'),"
        "(2, 3, 1, NULL, 'deposit', 0, NULL, 12.3456, 0, 0, 'EUR', '2024-03-31', '2024-03-01'),"
        "(3, 9, 1, 5, 'delivery_out', 2, NULL, 0, 0, 0, 'USD', '2024-01-01', '2024-01-01'),"
        "(4, 9, 1, 5, 'sell', 2, 3, 6, 0, 0, 'USD', '2024-04-01', '2024-01-01'),"  /* after the period */
        "(5, 3, 1, 5, 'sell', 2, 3, 6, 0, 0, 'USD', '2024-03-01', '2024-03-19'),"  /* recorded after as_of */
        "(6, 4, 1, 5, 'sell', 2, 3, 6, 0, 0, 'USD', '2024-03-01', '2024-03-01')"); /* not asked for */
    load(ids, 3, &t);
    assert_int_equal(t.n_txs, 3);
    assert_int_equal(t.users[0].id, 9);
    assert_int_equal(t.users[0].n, 2);
    assert_int_equal(t.txs[t.users[0].first].id, 3); /* by day */
    const struct perf_tx *buy = &t.txs[t.users[0].first + 1];
    assert_int_equal(buy->type, PERF_BUY);
    assert_int_equal(buy->day, day("2024-02-01"));
    assert_int_equal(buy->quantity_e8, 150000000);
    assert_int_equal(buy->price_e8, 1012345678);
    assert_int_equal(buy->amount_e4, -161852);
    assert_int_equal(buy->fee_e4, 10000);
    assert_int_equal(buy->tax_e4, 1);
    assert_int_equal(buy->currency, perf_currency("USD"));
    assert_int_equal(t.n_instruments, 2);
    assert_int_equal(t.instrument_ids[buy->instrument], 77);
    assert_int_equal(t.users[1].n, 1);
    assert_int_equal(t.txs[t.users[1].first].instrument, -1);
    assert_int_equal(t.users[2].n, 0);
    portfolio_txs_fini(&t);
}

static void a_later_life_is_read_from_a_day_on(void **state)
{
    (void)state;
    const int64_t ids[] = {9}, held[] = {99, 5, 5, 1};
    const struct portfolio_ask later = {ids, 1, 10, day("2024-02-01")};
    struct portfolio_txs t;
    struct fp_err err = {0};

    put("(1, 9, 4711, 5, 'buy', 1, 1, -1, 0, 0, 'EUR', '2024-01-31', '2024-02-01'),"
        "(2, 9, 4712, 77, 'buy', 1, 1, -1, 0, 0, 'EUR', '2024-02-01', '2024-02-01'),"
        "(3, 9, 4712, NULL, 'deposit', 0, NULL, 1, 0, 0, 'EUR', '2024-02-02', '2024-02-01')");
    if (portfolio_txs_load(source, &march, &later, &t, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(t.n_txs, 2);
    assert_int_equal(t.txs[0].account, 4712);
    portfolio_txs_also(&t, held, 4);
    assert_int_equal(t.n_instruments, 4);
    for (size_t i = 1; i < t.n_instruments; i++)
        assert_true(t.instrument_ids[i - 1] < t.instrument_ids[i]);
    assert_int_equal(t.instrument_ids[t.txs[0].instrument], 77);
    assert_int_equal(t.txs[1].instrument, -1);
    portfolio_txs_also(&t, NULL, 0);
    assert_int_equal(t.n_instruments, 4);
    portfolio_txs_fini(&t);
}

static void a_broken_row_marks_its_user_alone(void **state)
{
    (void)state;
    const int64_t ids[] = {1, 2, 3, 4, 5, 6, 7, 8};
    const char *reasons[] = {"bad_transaction",
                             "bad_transaction",
                             "bad_transaction",
                             "unknown_type",
                             "unknown_currency",
                             "bad_transaction",
                             "",
                             ""};
    struct portfolio_txs t;

    put("(1, 1, 1, 7, 'buy', 'NaN', 1, -1, 0, 0, 'EUR', '2024-02-01', '2024-02-01'),"
        "(2, 2, 1, 7, 'buy', 1, 'NaN', -1, 0, 0, 'EUR', '2024-02-01', '2024-02-01'),"
        "(3, 3, 1, 7, 'buy', 99999999999999999999, 1, -1, 0, 0, 'EUR', '2024-02-01', '2024-02-01'),"
        "(4, 4, 1, 7, 'gift', 1, 1, -1, 0, 0, 'EUR', '2024-02-01', '2024-02-01'),"
        "(5, 5, 1, 7, 'buy', 1, 1, -1, 0, 0, 'euros', '2024-02-01', '2024-02-01'),"
        "(6, 6, 1, 7, 'buy', 1, 1, -1, 0, 0, 'EUR', '-infinity', '2024-02-01'),"
        "(7, 7, 1, 7, 'buy', 1, 1, -1, 0, 0, 'EUR', 'infinity', '2024-02-01'),"
        "(8, 8, 1, 7, 'buy', 1, 1, -1, 0, 0, 'EUR', '2024-02-01', '2024-02-01'),"
        "(9, 1, 1, 7, 'other', 1, 1, 'NaN', 'NaN', 'NaN', repeat('x', 5000), '2024-02-02', '-infinity')");
    load(ids, 8, &t);
    for (int i = 0; i < 8; i++)
        assert_string_equal(t.users[i].reason, reasons[i]);
    assert_string_equal(t.users[0].detail, "transaction 1: quantity is not a usable figure");
    assert_int_equal(t.users[6].n, 0);
    assert_int_equal(t.users[7].n, 1);
    portfolio_txs_fini(&t);
}

static void too_many_rows_are_an_error(void **state)
{
    (void)state;
    const int64_t ids[] = {1};
    struct portfolio_txs t;
    struct fp_err err;

    testing_script(testing_dsn,
                   "INSERT INTO portfolio.transactions SELECT i, 1, 1, NULL, 'deposit', 0, NULL, 1, 0, 0,"
                   " 'EUR', '2024-01-01', '2024-01-01' FROM generate_series(1, 21) AS i");
    assert_int_equal(ask(ids, 1, 20, &t, &err), -1);
    assert_int_equal(err.code, FP_RESOURCE_EXHAUSTED);
    assert_int_equal(ask(ids, 1, 21, &t, &err), 0);
    assert_int_equal(t.users[0].n, 21);
    portfolio_txs_fini(&t);
    assert_int_equal(ask(ids, 0, 21, &t, &err), 0); /* nobody is fine */
    portfolio_txs_fini(&t);
}

static void a_series_has_what_the_period_can_use(void **state)
{
    (void)state;
    const int64_t ids[] = {5, 7, 99};
    struct portfolio_instrument *i[3];
    struct fp_err err = {0};

    testing_script(
        testing_dsn,
        "INSERT INTO portfolio.instruments VALUES (5, E'A\\tB', 'Name', 'USD', 'equity'), (7, 'C', repeat('é', 200), 'usd', '');"
        "INSERT INTO portfolio.prices VALUES (5, '2024-01-01', 1, '2024-01-01'), (5, '2024-02-28', 2, '2024-01-01'),"
        " (5, '2024-02-29', 'NaN', '2024-01-01'), (5, '2024-03-01', 3.5, '2024-01-01'), (5, '2024-03-04', -4, '2024-01-01'),"
        " (5, '2024-03-05', 5, '2024-03-19'), (5, '2024-03-31', 6, '2024-01-01'), (5, '2024-04-02', 7, '2024-01-01'),"
        " (5, '2024-04-03', 8, '2024-01-01'), (5, 'infinity', 9, '2024-01-01'), (5, '-infinity', 9, '2024-01-01'),"
        " (5, '2024-03-06', 99999999999999, '2024-01-01');"
        "INSERT INTO portfolio.splits VALUES (5, '2024-03-04', 2, 1), (5, '2010-03-04', 0, -1), (5, 'infinity', 1, 1)");
    if (portfolio_instruments_load(source, &march, ids, 3, i, &err))
        fail_msg("%s", err.msg);
    assert_true(i[0]->known && i[1]->known && !i[2]->known);
    assert_string_equal(i[0]->symbol, "A B");
    assert_int_equal(strlen(i[1]->name), 100); /* whole characters */
    assert_int_equal(i[0]->data.currency, perf_currency("USD"));
    assert_string_equal(i[0]->data.asset_class, "equity");
    assert_int_equal(i[1]->data.currency, 0);
    const struct perf_series *s = &i[0]->data.closes_e8;
    const int32_t days[] = {day("2024-02-28"), day("2024-03-01"), day("2024-03-31"), day("2024-04-02")};
    const int64_t closes_e8[] = {200000000, 350000000, 600000000, 700000000};
    assert_int_equal(s->n, 4);
    for (int k = 0; k < 4; k++) {
        assert_int_equal(s->points[k].day, days[k]);
        assert_int_equal(s->points[k].value, closes_e8[k]);
    }
    assert_int_equal(i[0]->data.n_splits, 2);
    assert_int_equal(i[0]->data.splits[1].numerator, 2);
    assert_int_equal(i[1]->data.closes_e8.n, 0);
    for (int k = 0; k < 3; k++)
        mem_free(i[k]);
}

static void rates_come_by_pair(void **state)
{
    (void)state;
    struct portfolio_rates r;
    struct fp_err err = {0};

    if (portfolio_rates_load(source, &march, &r, &err)) /* none at all */
        fail_msg("%s", err.msg);
    assert_int_equal(r.n_pairs, 0);
    portfolio_rates_fini(&r);
    testing_script(
        testing_dsn,
        "INSERT INTO portfolio.fx_rates VALUES ('EUR', 'USD', '2024-02-01', 1.5), ('EUR', 'USD', '2024-02-02', 1.25),"
        " ('EUR', 'USD', '2024-03-02', 1.0000000001), ('EUR', 'USD', '2024-03-03', 'NaN'),"
        " ('EUR', 'USD', '2024-03-04', 0), ('EUR', 'GBP', '2024-05-01', 0.8), ('EUR', 'GBP', '2024-06-01', 0.9),"
        " ('E', 'GBP', '2024-02-01', 0.9), ('USD', 'JPY', '2024-02-01', -3)");
    if (portfolio_rates_load(source, &march, &r, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(r.n_pairs, 2);
    assert_int_equal(r.pairs[0].quote, perf_currency("GBP"));
    assert_int_equal(r.pairs[0].rates_e10.n, 1);
    assert_int_equal(r.pairs[0].rates_e10.points[0].day, day("2024-05-01"));
    assert_int_equal(r.pairs[1].rates_e10.n, 2);
    assert_int_equal(r.pairs[1].rates_e10.points[0].value, 12500000000);
    assert_int_equal(r.pairs[1].rates_e10.points[1].value, 10000000001);
    portfolio_rates_fini(&r);
}

static void what_is_missing_is_said_and_leaves_nothing(void **state)
{
    (void)state;
    const int64_t ids[] = {5};
    struct portfolio_instrument *i[1];
    struct portfolio_txs t;
    struct fp_err err;

    testing_script(testing_dsn, "ALTER TABLE portfolio.splits RENAME TO gone");
    assert_int_equal(portfolio_instruments_load(source, &march, ids, 1, i, &err), -1);
    assert_int_equal(err.code, FP_FAILED_PRECONDITION);
    testing_script(testing_dsn, "ALTER TABLE portfolio.gone RENAME TO splits;"
                                "ALTER TABLE portfolio.transactions RENAME TO gone");
    assert_int_equal(ask(ids, 1, 10, &t, &err), -1);
    assert_int_equal(err.code, FP_FAILED_PRECONDITION);
    testing_script(testing_dsn, "ALTER TABLE portfolio.gone RENAME TO transactions");
    load(ids, 1, &t);
    portfolio_txs_fini(&t);
}

/* A mapping view may have other types and no NOT NULL. */
static void a_view_may_have_other_types(void **state)
{
    (void)state;
    const int64_t ids[] = {1, 2};
    struct portfolio_txs t;

    testing_script(
        testing_dsn,
        "ALTER TABLE portfolio.transactions RENAME TO kept;"
        "CREATE VIEW portfolio.transactions AS SELECT * FROM (VALUES"
        " (1::int, 1::int, 1, 7::int, 'buy'::varchar, 2::float8, 3.5::float8, -7::float8, NULL::float8, NULL::float8,"
        "  'EUR'::char(3), '2024-02-01 10:00'::timestamp, NULL::timestamptz),"
        " (2, 2, 1, 7, 'buy', 'Infinity', 'NaN', NULL, NULL, NULL, NULL, '2024-02-01', NULL))"
        " AS v(id, user_id, account_id, instrument_id, type, quantity, price, amount, fee, tax, currency, trade_date, recorded_at)");
    load(ids, 2, &t);
    testing_script(testing_dsn,
                   "DROP VIEW portfolio.transactions; ALTER TABLE portfolio.kept RENAME TO transactions");
    assert_string_equal(t.users[0].reason, "");
    assert_int_equal(t.txs[0].quantity_e8, 2 * FP_E8);
    assert_int_equal(t.txs[0].amount_e4, -70000);
    assert_string_equal(t.users[1].reason, "bad_transaction");
    portfolio_txs_fini(&t);
}

static void closes_of_a_view_come_by_day_and_each_day_once(void **state)
{
    (void)state;
    const int64_t ids[] = {5, 6};
    struct portfolio_instrument *i[2];
    struct fp_err err = {0};

    testing_script(
        testing_dsn,
        "ALTER TABLE portfolio.prices RENAME TO kept;"
        "CREATE VIEW portfolio.prices AS SELECT * FROM (VALUES"
        " (6::int, '2024-03-05 17:30'::timestamp, 9::float8, NULL::timestamptz), (5, '2024-03-05', 3, NULL),"
        " (5, '2024-03-01', 1, NULL), (6, '2024-03-04', 8, NULL), (5, '2024-03-05', 2, NULL), (5, '2024-03-04', 7, NULL))"
        " AS v(instrument_id, day, close, recorded_at)");
    if (portfolio_instruments_load(source, &march, ids, 2, i, &err))
        fail_msg("%s", err.msg);
    testing_script(testing_dsn, "DROP VIEW portfolio.prices; ALTER TABLE portfolio.kept RENAME TO prices");
    const struct perf_point want[] = {{day("2024-03-01"), FP_E8},
                                      {day("2024-03-04"), 7 * FP_E8},
                                      {day("2024-03-05"), 2 * FP_E8}};
    assert_int_equal(i[0]->data.closes_e8.n, 3); /* of a day that comes twice, the lowest */
    for (int k = 0; k < 3; k++) {
        assert_int_equal(i[0]->data.closes_e8.points[k].day, want[k].day);
        assert_int_equal(i[0]->data.closes_e8.points[k].value, want[k].value);
    }
    assert_int_equal(i[1]->data.closes_e8.n, 2);
    assert_int_equal(i[1]->data.closes_e8.points[1].value, 9 * FP_E8);
    mem_free(i[0]);
    mem_free(i[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(rows_come_scaled_and_by_user, clean),
        cmocka_unit_test_setup(a_later_life_is_read_from_a_day_on, clean),
        cmocka_unit_test_setup(a_broken_row_marks_its_user_alone, clean),
        cmocka_unit_test_setup(too_many_rows_are_an_error, clean),
        cmocka_unit_test_setup(a_series_has_what_the_period_can_use, clean),
        cmocka_unit_test_setup(rates_come_by_pair, clean),
        cmocka_unit_test_setup(what_is_missing_is_said_and_leaves_nothing, clean),
        cmocka_unit_test_setup(a_view_may_have_other_types, clean),
        cmocka_unit_test_setup(closes_of_a_view_come_by_day_and_each_day_once, clean),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
