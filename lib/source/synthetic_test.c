/*
 * Synthetic data: the same from the same seed, whole where it says so, broken
 * where it says so, and never over data of somebody else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/source/synthetic.h"
#include "lib/source/testing.h"

#define USERS 2000

/* Everything of the contract in one figure. */
#define FINGERPRINT                                                                                                       \
    "SELECT md5(string_agg(h, '' ORDER BY h)) FROM ("                                                                     \
    "SELECT md5(x::text) AS h FROM portfolio.users x UNION ALL SELECT md5(x::text) FROM portfolio.preferences x"          \
    " UNION ALL SELECT md5(x::text) FROM portfolio.accounts x UNION ALL SELECT md5(x::text) FROM portfolio.instruments x" \
    " UNION ALL SELECT md5(x::text) FROM portfolio.transactions x UNION ALL SELECT md5(x::text) FROM portfolio.prices x"  \
    " UNION ALL SELECT md5(x::text) FROM portfolio.fx_rates x UNION ALL SELECT md5(x::text) FROM portfolio.splits x) y"

/* The users whose data is whole. */
#define WHOLE                                                                                                \
    "user_id % 1000 NOT IN (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,"                          \
    " 40, 41, 42, 43, 44, 45, 46, 47, 48, 49)"

static int seed(int64_t users, int64_t number, bool force, struct fp_err *err)
{
    struct pg_options pg = {.dsn = testing_dsn};
    struct source_seed_options o = {.users = users,
                                    .seed = number,
                                    .force = force,
                                    .last_day = day_from_civil(2026, 2, 28)};
    return source_seed(&pg, &o, err);
}

static int setup(void **state)
{
    struct fp_err err = {0};
    if (testing_create(state) != 0)
        return -1;
    testing_need(seed(USERS, 1, false, &err), &err);
    return 0;
}

static void the_amounts_are_as_promised(void **state)
{
    (void)state;
    assert_int_equal(testing_number("SELECT count(*) FROM portfolio.users"), USERS);
    assert_int_equal(testing_number("SELECT count(*) FROM portfolio.instruments WHERE id <= 500"), 500);
    assert_int_equal(testing_number("SELECT count(*) FROM portfolio.splits"), 20);
    assert_in_range(testing_number("SELECT count(DISTINCT currency) FROM portfolio.instruments"), 3, 9);
    assert_in_range(testing_number("SELECT count(*) / "
                                   "2000"
                                   " FROM portfolio.transactions"),
                    8, 15);
    assert_in_range(
        testing_number(
            "SELECT max(n) FROM (SELECT count(*) AS n FROM portfolio.transactions GROUP BY user_id) x"),
        30, 60);
    assert_in_range(testing_number("SELECT count(*) FROM portfolio.users u WHERE NOT EXISTS"
                                   " (SELECT 1 FROM portfolio.transactions t WHERE t.user_id = u.id)"),
                    80, 400);
    assert_int_equal(testing_number(
                         "SELECT count(*) FROM portfolio.preferences WHERE kind = 'monthly' AND NOT enabled"),
                     USERS / 50);
    assert_int_equal(testing_number(
                         "SELECT count(DISTINCT date_trunc('month', created_at)) FROM portfolio.users"),
                     60);
    assert_int_equal(testing_number(
                         "SELECT count(*) FROM portfolio.users WHERE created_at >= '2026-03-01+00'"),
                     0);
}

static void a_price_stands_on_each_weekday_and_a_rate_of_each_pair(void **state)
{
    (void)state;
    assert_int_equal(
        testing_number(
            "SELECT count(*) FROM portfolio.prices WHERE extract(isodow FROM day) > 5 OR close <= 0"),
        0);
    assert_int_equal(
        testing_number(
            "SELECT count(DISTINCT n) FROM (SELECT count(*) AS n FROM portfolio.prices WHERE instrument_id <> 502"
            " GROUP BY instrument_id) x"),
        1);
    assert_int_equal(testing_number("SELECT max(day) - date '2026-02-27' FROM portfolio.prices"), 0);
    assert_int_equal(testing_number("SELECT min(day) - date '2021-01-01' FROM portfolio.prices"), 0);
    assert_int_equal(
        testing_number(
            "SELECT count(*) FROM (SELECT day FROM portfolio.fx_rates GROUP BY day HAVING count(*) <> 12) x"),
        0);
}

/* The first price after a split is near the ratio's share of the one before, and not near that one. */
static void prices_are_as_traded_across_splits(void **state)
{
    (void)state;
    assert_int_equal(
        testing_number(
            "SELECT count(*) FROM portfolio.splits s,"
            " LATERAL (SELECT close FROM portfolio.prices WHERE instrument_id = s.instrument_id AND day < s.day ORDER BY day DESC LIMIT 1) b,"
            " LATERAL (SELECT close FROM portfolio.prices WHERE instrument_id = s.instrument_id AND day = s.day) a"
            " WHERE a.close * s.numerator / s.denominator BETWEEN b.close * 0.8 AND b.close * 1.2"),
        20);
}

static void nobody_whole_sells_what_he_does_not_hold(void **state)
{
    (void)state;
    assert_int_equal(
        testing_number(
            "WITH t AS (SELECT *, CASE WHEN type IN ('buy', 'delivery_in') THEN quantity"
            "  WHEN type IN ('sell', 'delivery_out') THEN -quantity ELSE 0 END AS moved FROM portfolio.transactions WHERE " WHOLE
            ")"
            " SELECT count(*) FROM (SELECT t.id, sum(e.moved * CASE WHEN s.day > e.trade_date AND s.day <= t.trade_date"
            "  THEN s.numerator::numeric / s.denominator ELSE 1 END) AS held FROM t JOIN t AS e ON e.user_id = t.user_id"
            "  AND e.instrument_id = t.instrument_id AND (e.trade_date, e.id) <= (t.trade_date, t.id)"
            "  LEFT JOIN portfolio.splits s ON s.instrument_id = t.instrument_id GROUP BY t.id) x WHERE held < 0"),
        0);
}

static void cash_is_never_negative_and_amounts_add_up(void **state)
{
    (void)state;
    assert_int_equal(
        testing_number(
            "SELECT count(*) FROM (SELECT sum(amount) OVER (PARTITION BY user_id, currency ORDER BY trade_date, id) AS cash"
            " FROM portfolio.transactions WHERE " WHOLE ") x WHERE cash < 0"),
        0);
    assert_int_equal(
        testing_number(
            "SELECT count(*) FROM portfolio.transactions WHERE " WHOLE " AND type IN ('buy', 'sell') AND"
            " amount <> CASE type WHEN 'buy' THEN -1 ELSE 1 END * round(quantity * price, CASE currency WHEN 'JPY' THEN 0 ELSE 2 END)"
            " - fee - tax"),
        0);
    assert_int_equal(
        testing_number(
            "SELECT count(*) FROM portfolio.transactions WHERE type IN ('delivery_in', 'delivery_out') AND amount <> 0"),
        0);
    assert_int_equal(testing_number("SELECT count(*) FROM portfolio.transactions WHERE " WHOLE
                                    " AND (fee < 0 OR tax < 0 OR quantity < 0)"),
                     0);
}

static void trades_are_at_the_close_in_the_currency_of_account_and_instrument(void **state)
{
    (void)state;
    assert_int_equal(
        testing_number(
            "SELECT count(*) FROM portfolio.transactions t LEFT JOIN portfolio.prices p ON p.instrument_id = t.instrument_id"
            " AND p.day = t.trade_date WHERE " WHOLE
            " AND t.price IS NOT NULL AND p.close IS DISTINCT FROM t.price"),
        0);
    assert_int_equal(
        testing_number(
            "SELECT count(*) FROM portfolio.transactions t LEFT JOIN portfolio.accounts a ON a.id = t.account_id"
            " LEFT JOIN portfolio.instruments i ON i.id = t.instrument_id WHERE t." WHOLE
            " AND (a.user_id IS DISTINCT FROM t.user_id OR a.currency <> t.currency OR i.currency <> t.currency)"),
        0);
    assert_int_equal(
        testing_number(
            "SELECT count(*) FROM portfolio.transactions t JOIN portfolio.users u ON u.id = t.user_id WHERE t." WHOLE
            " AND (t.trade_date < (u.created_at AT TIME ZONE 'UTC')::date OR t.trade_date > '2026-02-28')"),
        0);
}

/* Of each kind two, by the ids that the file's header names. */
static void the_broken_are_there(void **state)
{
    (void)state;
    static const struct {
        const char *seen;
        int kind;
    } kinds[] = {
        {"SELECT count(*) FROM portfolio.users u WHERE base_currency = 'XXX'", 1},
        {"SELECT count(*) FROM portfolio.transactions t WHERE NOT EXISTS (SELECT 1 FROM portfolio.prices p WHERE p.instrument_id = t.instrument_id)"
         " AND instrument_id = 501",
         2},
        {"SELECT count(*) FROM portfolio.transactions WHERE quantity < 0", 3},
        {"SELECT count(*) FROM portfolio.transactions WHERE quantity > 1e18", 4},
        {"SELECT count(*) FROM portfolio.transactions WHERE user_id % 1000 = 5 AND id % 128 = 120 AND type = 'sell'",
         5},
        {"SELECT count(*) FROM portfolio.transactions t WHERE instrument_id NOT IN (SELECT id FROM portfolio.instruments)",
         6},
        {"SELECT count(*) FROM portfolio.users WHERE email LIKE E'%\\r\\n%'", 7},
        {"SELECT count(*) FROM portfolio.users WHERE email = ''", 8},
        {"SELECT count(*) FROM portfolio.transactions WHERE amount = 'NaN' AND price = 'NaN'", 9},
        {"SELECT count(*) FROM portfolio.users WHERE email <> '' AND email NOT LIKE '%@%'", 10},
        {"SELECT count(*) FROM portfolio.transactions WHERE currency = 'CHF'", 11},
        {"SELECT count(*) FROM portfolio.transactions WHERE trade_date = '-infinity'", 12},
        {"SELECT count(*) FROM portfolio.transactions WHERE type = 'gift'", 13},
        {"SELECT count(*) FROM portfolio.users WHERE base_currency = 'eur'", 14},
        {"SELECT count(*) FROM portfolio.users WHERE length(email) > 300", 15},
        {"SELECT count(*) FROM portfolio.transactions WHERE user_id % 1000 = 16 AND id % 128 = 121 AND quantity = 1000",
         16},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (testing_number(kinds[i].seen) != USERS / 1000)
            fail_msg("kind %d: %lld", kinds[i].kind, testing_number(kinds[i].seen));
    assert_int_equal(testing_number("SELECT count(*) FROM portfolio.users WHERE last_name LIKE '%{{/b}}%'"),
                     USERS / 1000);
}

static void the_uncommon_are_there(void **state)
{
    (void)state;
    for (int kind = 40; kind <= 49; kind++) {
        char sql[200];

        snprintf(
            sql, sizeof sql,
            "SELECT count(DISTINCT user_id) FROM portfolio.transactions WHERE user_id %% 1000 = %d AND currency = 'EUR'"
            " AND (instrument_id IS NULL) = (price IS NULL)",
            kind);
        if (testing_number(sql) != USERS / 1000)
            fail_msg("kind %d: %lld", kind, testing_number(sql));
    }
    assert_int_equal(testing_number(
                         "SELECT count(*) FROM portfolio.transactions t LEFT JOIN portfolio.accounts a"
                         " ON a.id = t.account_id AND a.user_id = t.user_id"
                         " WHERE t.user_id % 1000 BETWEEN 40 AND 49 AND a.id IS NULL"),
                     0);
}

/* Who never is mailed shows nothing, neither of his broken data nor of his name. */
static void who_opted_out_is_of_no_kind_that_is_to_be_seen(void **state)
{
    (void)state;
    assert_int_equal(testing_number(
                         "SELECT count(*) FROM portfolio.preferences WHERE kind = 'monthly' AND NOT enabled"),
                     USERS / 50);
    assert_int_equal(testing_number(
                         "SELECT count(*) FROM portfolio.preferences WHERE NOT enabled"
                         " AND (user_id % 1000 BETWEEN 1 AND 31 OR user_id % 1000 BETWEEN 40 AND 53"
                         " OR user_id % 1000 BETWEEN 700 AND 709)"),
                     0);
}

static void what_the_contract_indexes_is_indexed_and_helpers_are_gone(void **state)
{
    (void)state;
    assert_int_equal(testing_number("SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
                                    " WHERE c.relnamespace = 'portfolio'::regnamespace AND i.indisvalid"),
                     11);
    assert_int_equal(testing_number(
                         "SELECT (SELECT count(*) FROM pg_class WHERE relname LIKE 'synthetic\\_%')"
                         " + (SELECT count(*) FROM pg_proc WHERE proname LIKE 'synthetic\\_%')"),
                     0);
}

static void the_same_seed_gives_the_same_rows_and_another_gives_others(void **state)
{
    struct fp_err err = {0};
    (void)state;
    char *first = testing_text(FINGERPRINT);
    testing_need(seed(USERS, 1, true, &err), &err);
    char *again = testing_text(FINGERPRINT);
    testing_need(seed(USERS, 2, true, &err), &err);
    char *other = testing_text(FINGERPRINT);
    assert_string_equal(first, again);
    assert_string_not_equal(first, other);
    mem_free(first);
    mem_free(again);
    mem_free(other);
}

static void synthetic_data_is_replaced_only_by_force(void **state)
{
    struct fp_err err = {0};
    (void)state;
    assert_int_equal(seed(10, 1, false, &err), -1);
    assert_int_equal(err.code, FP_ALREADY_EXISTS);
    assert_non_null(strstr(err.msg, "--force"));
    testing_script(testing_dsn, "UPDATE portfolio.synthetic SET complete = false");
    testing_need(seed(10, 1, false, &err), &err); /* one that was cut short is begun again */
    assert_int_equal(testing_number("SELECT count(*) FROM portfolio.users"), 10);
}

static void foreign_data_is_never_touched(void **state)
{
    struct fp_err err = {0};
    (void)state;
    testing_script(testing_dsn, "DROP TABLE portfolio.synthetic");
    assert_int_equal(seed(20, 1, true, &err), -1);
    assert_int_equal(err.code, FP_FAILED_PRECONDITION);
    testing_script(testing_dsn, "DROP SCHEMA portfolio CASCADE; CREATE SCHEMA portfolio;"
                                " CREATE VIEW portfolio.accounts AS SELECT 1 AS id");
    assert_int_equal(seed(20, 1, true, &err), -1);
    assert_int_equal(err.code, FP_FAILED_PRECONDITION);
    testing_script(testing_dsn, "DROP SCHEMA portfolio CASCADE");
    testing_need(seed(20, 1, false, &err), &err);
    /* what somebody hung on ours stops the removal, and nothing is lost */
    testing_script(testing_dsn, "CREATE VIEW public.mine AS SELECT * FROM portfolio.users");
    assert_int_equal(seed(30, 1, true, &err), -1);
    assert_int_equal(testing_number("SELECT count(*) FROM public.mine"), 20);
}

static void wrong_numbers_are_refused(void **state)
{
    struct fp_err err = {0};
    (void)state;
    assert_int_equal(seed(0, 1, false, &err), -1);
    assert_int_equal(err.code, FP_INVALID_ARGUMENT);
    assert_int_equal(seed(SOURCE_SEED_MAX_USERS + 1, 1, false, &err), -1);
    assert_int_equal(err.code, FP_INVALID_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_amounts_are_as_promised),
        cmocka_unit_test(a_price_stands_on_each_weekday_and_a_rate_of_each_pair),
        cmocka_unit_test(prices_are_as_traded_across_splits),
        cmocka_unit_test(nobody_whole_sells_what_he_does_not_hold),
        cmocka_unit_test(cash_is_never_negative_and_amounts_add_up),
        cmocka_unit_test(trades_are_at_the_close_in_the_currency_of_account_and_instrument),
        cmocka_unit_test(the_broken_are_there),
        cmocka_unit_test(the_uncommon_are_there),
        cmocka_unit_test(who_opted_out_is_of_no_kind_that_is_to_be_seen),
        cmocka_unit_test(what_the_contract_indexes_is_indexed_and_helpers_are_gone),
        cmocka_unit_test(the_same_seed_gives_the_same_rows_and_another_gives_others),
        cmocka_unit_test(synthetic_data_is_replaced_only_by_force),
        cmocka_unit_test(foreign_data_is_never_touched),
        cmocka_unit_test(wrong_numbers_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, testing_drop);
}
